//! Who counts the nodes that go, and sees that none is forgotten that lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{Api, ResourceExt, api::ListParams};

use super::{STATEMENT_LIMIT, Trial};
use crate::{Result, sql::Session};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// A node as the frontend knows it, and the pod behind it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    id: String,
    /// Uid of the pod, while it runs: one that was told to stop may have work yet.
    lives_as: Option<String>,
}

/// Until the trial ends.
pub(super) async fn watch(trial: &Trial) {
    let mut before: BTreeMap<String, Seen> = BTreeMap::new();
    // Pods whose nodes have served: one that goes before it ever did is no scale-in, since nothing could fail by it.
    let mut served: BTreeSet<String> = BTreeSet::new();
    let mut replicas: Option<i32> = None;
    let mut session: Option<Session> = None;
    while !trial.has_ended() {
        tokio::time::sleep(INTERVAL).await;
        // A look that fails is made again: what is watched here is not the API server.
        if let Ok(now) = replicas_of(trial).await {
            let gone = (now..replicas.unwrap_or(now)).filter(|ordinal| served.remove(&trial.pod(*ordinal)));
            let gone = gone.count() as u64;
            trial.tally.change(|counts| counts.scale_ins += gone);
            replicas = Some(now);
        }
        let open = match session.take() {
            Some(open) => Ok(open),
            None => trial.session().await,
        };
        let Ok(mut open) = open else { continue };
        // Pods after rows: a pod that lives after its row is gone was forgotten while it lived.
        let Ok(rows) = rows(trial, &mut open).await else {
            continue;
        };
        session = Some(open);
        served.extend(rows.iter().filter(|(_, row)| row.serves).map(|(pod, _)| pod.clone()));
        let Ok(alive) = running(trial).await else { continue };
        let alive: BTreeMap<String, String> = alive
            .iter()
            .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect();
        let forgotten = forgotten(&before, &rows, &alive);
        trial.tally.change(|counts| counts.forgotten_alive.extend(forgotten));
        before = rows
            .into_iter()
            .map(|(pod, Row { id, .. })| {
                let lives_as = alive.get(&pod).cloned();
                (pod, Seen { id, lives_as })
            })
            .collect();
    }
}

/// Nodes that are not known any more, or by another id, while the pod lives on that they were before, in words. A pod that was replaced
/// has another uid, and its node keeps its id or not.
fn forgotten(
    before: &BTreeMap<String, Seen>,
    rows: &BTreeMap<String, Row>,
    alive: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (pod, Seen { id, lives_as }) in before {
        if lives_as.is_none() || alive.get(pod) != lives_as.as_ref() {
            continue;
        }
        match rows.get(pod) {
            None => lines.push(format!("node {id} was forgotten while pod {pod} lived")),
            Some(row) if row.id != *id => lines.push(format!(
                "node {id} was forgotten and came back as {} while pod {pod} lived",
                row.id
            )),
            Some(_) => {}
        }
    }
    lines
}

async fn replicas_of(trial: &Trial) -> kube::Result<i32> {
    let sets: Api<StatefulSet> = Api::namespaced(trial.client.clone(), &trial.namespace());
    let set = sets.get(&format!("{}-cn", trial.group)).await?;
    Ok(set.spec.and_then(|spec| spec.replicas).unwrap_or_default())
}

/// What the frontend says of a node.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    id: String,
    serves: bool,
}

/// The group's nodes, by pod.
async fn rows(trial: &Trial, session: &mut Session) -> Result<BTreeMap<String, Row>> {
    let prefix = format!("{}-cn-", trial.group);
    let rows = session.named_rows("SHOW COMPUTE NODES", STATEMENT_LIMIT).await?;
    let nodes = rows.iter().filter_map(|row| {
        let pod = row.get("IP")?.split('.').next()?.to_owned();
        let id = row.get("ComputeNodeId").cloned().unwrap_or_default();
        let serves = row.get("Alive").is_some_and(|alive| alive == "true");
        pod.starts_with(&prefix).then_some((pod, Row { id, serves }))
    });
    Ok(nodes.collect())
}

/// The group's pods that run and were not told to stop.
pub(super) async fn living(trial: &Trial) -> kube::Result<Vec<Pod>> {
    let mut pods = running(trial).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

/// The group's pods that run.
pub(super) async fn running(trial: &Trial) -> kube::Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(trial.client.clone(), &trial.namespace());
    let of_group = ListParams::default().labels(&format!("springtide.dev/compute-group={}", trial.group));
    let pods = pods.list(&of_group).await?.items;
    let runs = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running")
    };
    Ok(pods.into_iter().filter(runs).collect())
}

/// What the frontend knows beside the nodes that are wanted, in words.
pub(super) async fn wrong(trial: &Trial, session: &mut Session, wanted: i32) -> Result<Vec<String>> {
    let known: Vec<String> = rows(trial, session).await?.into_keys().collect();
    let mut expected: Vec<String> = (0..wanted).map(|ordinal| trial.pod(ordinal)).collect();
    expected.sort();
    Ok(if known == expected {
        Vec::new()
    } else {
        vec![format!("the frontend knows {known:?}, and {expected:?} are wanted")]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of id 7 whose pod lived as `then`, and lives as `now` with a row of this id: what is said of it.
    fn said(then: Option<&str>, now: Option<&str>, id: Option<&str>) -> Vec<String> {
        let pod = "soak-cn-1".to_owned();
        let seen = Seen {
            id: "7".to_owned(),
            lives_as: then.map(str::to_owned),
        };
        let row = |id: &str| Row {
            id: id.to_owned(),
            serves: true,
        };
        let before = BTreeMap::from([(pod.clone(), seen)]);
        let rows: BTreeMap<String, Row> = id.map(|id| (pod.clone(), row(id))).into_iter().collect();
        let alive: BTreeMap<String, String> = now.map(|uid| (pod.clone(), uid.to_owned())).into_iter().collect();
        forgotten(&before, &rows, &alive)
    }

    #[test]
    fn a_node_that_is_dropped_while_its_pod_lives_is_told_also_when_it_was_added_again() {
        assert_eq!(
            said(Some("a"), Some("a"), None),
            ["node 7 was forgotten while pod soak-cn-1 lived"]
        );
        assert_eq!(
            said(Some("a"), Some("a"), Some("8")),
            ["node 7 was forgotten and came back as 8 while pod soak-cn-1 lived"]
        );
    }

    #[test]
    fn a_node_that_stays_and_one_whose_pod_went_or_was_replaced_are_nothing_to_tell() {
        for (then, now, id) in [
            (Some("a"), Some("a"), Some("7")),
            (Some("a"), None, None),
            (Some("a"), None, Some("8")),
            (Some("a"), Some("b"), None),
            (Some("a"), Some("b"), Some("8")),
            (None, Some("a"), Some("8")),
            (None, None, None),
        ] {
            assert_eq!(said(then, now, id), [""; 0], "{then:?}, {now:?}, {id:?}");
        }
    }
}
