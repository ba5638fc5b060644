//! A department for the trial, on the local Kubernetes, and what is printed of it.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, Department, LakeCluster};

use super::{Options, Outcome, scale_in};
use crate::{
    Error, Result,
    bench::Figures,
    cluster::{self, Look, wait_until},
    departments,
    places::Places,
    platform::{self, Platform},
    sql_client::Installed,
    storage::{self, ENDPOINT, REGION, Storage},
    target::Target,
    timeline::Timeline,
};

/// Name of the department, of its namespace, of its bucket and of its group.
pub(super) const NAME: &str = "soak";
pub(super) const LAKE: &str = "lake";
/// Who writes the objects.
const FIELD_MANAGER: &str = "springtide-soak";
/// From a Department to its namespace.
const LIMIT: Duration = Duration::from_secs(120);
/// Scale-ins without a drain, which have to show failures.
const WITHOUT_DRAIN: u64 = 20;

/// Tries scale-in on the local Kubernetes: first with the drain, then without, and prints both.
///
/// # Errors
/// A statement failed with the drain, or none without it.
pub async fn soak(places: &Places, timeline: &Timeline, nodes: u8, options: &Options) -> Result<()> {
    // First: what is missing is said before a cluster is made for it.
    let installed = timeline
        .step("clients of SQL", async |p| Installed::on(places, &p).await)
        .await?;
    let Some(Stage { target, client, lake }) = set(places, timeline, nodes, "Scale-in").await? else {
        return Ok(());
    };
    timeline.note(&format!("seed {}", options.seed));
    let mut outcomes = Vec::new();
    for (name, drains, scale_ins) in [
        ("with the drain", true, options.gone),
        ("without it", false, WITHOUT_DRAIN),
    ] {
        let options = Options {
            gone: scale_ins,
            every_way: drains,
            ..options.clone()
        };
        let outcome = timeline
            .step(name, async |p| {
                let spec = json!({
                    "cluster": LAKE, "replicas": 2, "cacheSize": "1Gi", "drain": {"enabled": drains, "timeout": "60s"},
                });
                let group = group(&client, spec).await?;
                let lake = departments::wait_ready(&client, &lake, &[&group], &p).await?;
                scale_in(&target, &client, &lake, NAME, &installed, &options, &p).await
            })
            .await?;
        for line in outcome.to_string().lines() {
            timeline.note(line);
        }
        outcomes.push(outcome);
    }
    strike(&client).await?;
    let [with, without] = outcomes.as_slice() else {
        return Ok(());
    };
    Figures::print(timeline, places, "scalein", metrics(with, without)).await?;
    judge(with, without, options.gone)
}

/// A department on the local Kubernetes with a cluster that has no group yet.
pub(super) struct Stage {
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) lake: LakeCluster,
}

/// Sets it; `heading` is what follows in the timeline.
pub(super) async fn set(places: &Places, timeline: &Timeline, nodes: u8, heading: &str) -> Result<Option<Stage>> {
    let local = platform::Options {
        nodes,
        context: None,
        dry_run: false,
    };
    let Some(Platform { target, storage }) = platform::start(places, timeline, &local).await? else {
        return Ok(None);
    };
    let client = target.client().await?;
    timeline.heading(heading);
    let lake = timeline
        .step("department", async |_| department(&client, &storage).await)
        .await?;
    Ok(Some(Stage { target, client, lake }))
}

/// Takes the department away again.
pub(super) async fn strike(client: &Client) -> Result<()> {
    let departments: Api<Department> = Api::all(client.clone());
    let deleted = departments.delete(NAME, &DeleteParams::default()).await;
    deleted.map_err(Error::kubernetes("delete the department")).map(drop)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below the limits of a double")]
fn metrics(with: &Outcome, without: &Outcome) -> BTreeMap<&'static str, f64> {
    BTreeMap::from([
        ("scale_ins", with.scale_ins as f64),
        ("statements", with.succeeded() as f64),
        ("clients", with.by_client.len() as f64),
        ("failed_statements", with.failed as f64),
        ("ledger_difference", with.ledger_difference as f64),
        ("failed_without_drain", without.failed as f64),
    ])
}

fn judge(with: &Outcome, without: &Outcome, scale_ins: u64) -> Result<()> {
    let wrong = |what: &str, expected: &str, found: String| {
        Err(Error::Wrong {
            what: what.into(),
            expected: expected.into(),
            found,
        })
    };
    if with.scale_ins < scale_ins {
        return wrong("scale-ins", &scale_ins.to_string(), with.scale_ins.to_string());
    }
    if with.failed > 0 || with.ledger_difference > 0 || !with.wrong_nodes.is_empty() {
        return wrong("statements with the drain", "no failure", with.to_string());
    }
    let gaps = with.gaps();
    if !gaps.is_empty() {
        return wrong("the trial with the drain", "something of everything", gaps.join("; "));
    }
    // Statements that fail are told of: what clients know stays exact.
    if without.ledger_difference > 0 {
        return wrong("rows without the drain", "those of the ledger", without.to_string());
    }
    if without.failed == 0 {
        return wrong(
            "statements without the drain",
            "failures",
            "none, so the trial proves nothing".into(),
        );
    }
    Ok(())
}

async fn department(client: &Client, storage: &Storage) -> Result<LakeCluster> {
    let keys = storage.account(NAME).await?;
    storage.bucket(NAME, &keys).await?;
    let quota = json!({"cpu": "8", "memory": "32Gi", "storage": "50Gi", "pods": 60});
    let spec = json!({"namespaces": [{"name": NAME, "quota": quota}], "deletionPolicy": "Delete"});
    let _department: Department = apply(&Api::all(client.clone()), "Department", NAME, spec).await?;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    wait_until(
        "the department has its namespace",
        LIMIT,
        &Default::default(),
        async || {
            Ok(match cluster::get(&namespaces, NAME).await? {
                Some(_) => Look::Done(()),
                None => Look::NotYet("no namespace".into()),
            })
        },
    )
    .await?;
    storage::write_secret(client, NAME, "storage", "Opaque", keys.data()).await?;
    let lakes: Api<LakeCluster> = Api::namespaced(client.clone(), NAME);
    let before = cluster::get(&lakes, LAKE).await?;
    let prefix = before.map_or_else(
        || format!("{LAKE}-{}", chrono::Utc::now().timestamp()),
        |before| before.spec.storage.prefix,
    );
    let small = json!({"cpu": "50m", "memory": "768Mi"});
    let spec = json!({
        "engine": {"kind": "Bundled", "version": env!("CARGO_PKG_VERSION")},
        "storage": {
            "bucket": NAME, "prefix": prefix, "endpoint": ENDPOINT, "region": REGION, "pathStyle": true,
            "credentials": {"secretRef": {"name": "storage"}},
        },
        "frontends": {"resources": small, "metadataVolume": {"size": "1Gi"}},
        "computeTemplate": {"resources": small},
        "deletionPolicy": "Delete",
    });
    apply(&lakes, "LakeCluster", LAKE, spec).await
}

/// Writes the group of the department.
pub(super) async fn group(client: &Client, spec: Value) -> Result<ComputeGroup> {
    apply(&Api::namespaced(client.clone(), NAME), "ComputeGroup", NAME, spec).await
}

async fn apply<K>(api: &Api<K>, kind: &str, name: &str, spec: Value) -> Result<K>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let object =
        json!({"apiVersion": "springtide.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map_err(Error::kubernetes(format!("apply {kind} {name}")))
}
