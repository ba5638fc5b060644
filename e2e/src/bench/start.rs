//! From a pod's creation to a compute node that serves, on the demo's cluster.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};

use super::{Figures, quantile, rounded};
use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    departments,
    places::Places,
    sql::Session,
    target::Target,
    timeline::{Progress, Timeline},
};

/// Nodes that are started and stopped, one after the other.
const ROUNDS: usize = 10;
/// Time between two looks at the frontend's list: the error of each figure.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// One node, from the wish to its first heartbeat, or from the wish until it is forgotten.
const LIMIT: Duration = Duration::from_secs(180);
/// A statement on metadata.
const QUICK: Duration = Duration::from_secs(10);
/// Who owns the number of replicas while this runs.
const FIELD_MANAGER: &str = "springtide-bench";

/// Scales a group of the demo by one node, [`ROUNDS`] times, and times each start.
pub async fn start(places: &Places, timeline: &Timeline, namespace: &str, name: &str) -> Result<()> {
    let target = Target::local(places);
    let client = target.client().await?;
    let groups: Api<ComputeGroup> = Api::namespaced(client.clone(), namespace);
    let missing = || {
        Error::Missing(format!(
            "ComputeGroup {namespace}/{name} is not there; run `make demo` first"
        ))
    };
    let group = cluster::get(&groups, name).await?.ok_or_else(missing)?;
    let lakes: Api<LakeCluster> = Api::namespaced(client.clone(), namespace);
    let lake = cluster::get(&lakes, &group.spec.cluster).await?.ok_or_else(missing)?;
    let mut login = departments::log_in(&target, &client, &lake).await?;
    let before = group.status.as_ref().map_or(group.spec.replicas, |status| {
        status.wanted_replicas.unwrap_or(group.spec.replicas)
    });
    timeline.heading(&format!(
        "{ROUNDS} starts of a node of {namespace}/{name}, with its image on the node"
    ));
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut seconds = Vec::new();
    for round in 1..=ROUNDS {
        let took = timeline
            .step(&format!("start {round}"), async |p| {
                let took = one(&groups, &pods, &mut login.session, name, before + 1).await;
                // Given back on failure too.
                scale(&groups, name, before).await?;
                let took = took?;
                gone(&mut login.session, before, &p).await?;
                p.say(format!("{took:.2} s from the pod's creation to serving"));
                Ok(took)
            })
            .await?;
        seconds.push(took);
    }
    timeline.heading("Seconds from a pod's creation to a node that serves");
    timeline.line("| p50 | p95 | largest |\n|---|---|---|");
    let [p50, p95, largest] = [0.5, 0.95, 1.0].map(|part| quantile(&seconds, part));
    timeline.line(&format!("| {p50:.2} | {p95:.2} | {largest:.2} |"));
    let metrics = BTreeMap::from([
        ("p50_s", rounded(p50)),
        ("p95_s", rounded(p95)),
        ("max_s", rounded(largest)),
    ]);
    Figures::print(timeline, places, "start", metrics).await
}

/// One more node: seconds from the moment its pod exists until the frontend says that it is alive.
async fn one(
    groups: &Api<ComputeGroup>,
    pods: &Api<Pod>,
    session: &mut Session,
    name: &str,
    wanted: i32,
) -> Result<f64> {
    let pod = format!("{name}-cn-{}", wanted - 1);
    let list = pods
        .list(&Default::default())
        .await
        .map_err(Error::kubernetes("list pods"))?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let events = pods
        .watch(&WatchParams::default(), &version)
        .await
        .map_err(Error::kubernetes("watch pods"))?;
    tokio::pin!(events);
    scale(groups, name, wanted).await?;
    let created = async {
        while let Some(event) = events.try_next().await.map_err(Error::kubernetes("watch pods"))? {
            if matches!(&event, WatchEvent::Added(added) if added.name_any() == pod) {
                return Ok(Instant::now());
            }
        }
        Err(Error::Missing("the watch of pods ended".into()))
    };
    let timeout = |what: String| Error::Timeout {
        what,
        seconds: LIMIT.as_secs(),
        last: String::new(),
    };
    let created = tokio::time::timeout(LIMIT, created)
        .await
        .map_err(|_| timeout(format!("{pod} is created")))??;
    while created.elapsed() < LIMIT {
        if alive(session, &pod).await? {
            return Ok(created.elapsed().as_secs_f64());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(timeout(format!("{pod} serves")))
}

/// Whether the frontend has heard from the node of a pod.
async fn alive(session: &mut Session, pod: &str) -> Result<bool> {
    let nodes = session.rows("SHOW COMPUTE NODES", QUICK).await?;
    Ok(nodes.iter().any(|node| {
        node.iter().any(|value| value.starts_with(&format!("{pod}."))) && node.iter().any(|value| value == "true")
    }))
}

/// Waits until the frontend knows only so many nodes.
async fn gone(session: &mut Session, wanted: i32, progress: &Progress) -> Result<()> {
    wait_until("the node has left", LIMIT, progress, async || {
        let nodes = session.rows("SHOW COMPUTE NODES", QUICK).await?.len();
        Ok(if i32::try_from(nodes) == Ok(wanted) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{nodes} nodes"))
        })
    })
    .await
}

async fn scale(groups: &Api<ComputeGroup>, name: &str, replicas: i32) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    groups
        .patch_scale(name, &parameters, &patch)
        .await
        .map(drop)
        .map_err(Error::kubernetes(format!("scale ComputeGroup {name} to {replicas}")))
}
