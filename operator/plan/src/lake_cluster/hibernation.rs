//! A suspended cluster goes to sleep: its compute first, then an image of the metadata that has everything, then the frontends. Volumes and data
//! stay. It wakes when `suspend` is false, and by nothing else.

use springtide_crds::ComputeGroup;

use super::ClusterShape;
use crate::names;
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::{ObservedLakeCluster, SqlAnswer};
use crate::sql::AdminStatement;

/// How far a cluster is on its way to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hibernation {
    /// It is to serve.
    Awake,
    /// Its frontends are still needed.
    FallingAsleep {
        /// What is waited for, for people.
        waits_for: String,
        /// What is to be asked of the leading frontend.
        statement: Option<AdminStatement>,
    },
    /// No frontend is needed.
    Asleep,
}

impl Hibernation {
    /// By what was observed, and by `spec.suspend` as it is written, whether or not it is accepted: it is an emergency brake.
    pub(super) fn of(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Self {
        if !observed.cluster.spec.suspend {
            return Self::Awake;
        }
        if frontends(observed, shape).unwrap_or_default() == 0 {
            return Self::Asleep;
        }
        let waits_for = |what: String| Self::FallingAsleep {
            waits_for: what,
            statement: None,
        };
        let of_cluster = observed.groups.iter().filter(|group| group.spec.cluster == shape.name);
        if let Some(busy) = of_cluster.into_iter().find(|group| has_nodes(observed, group)) {
            let name = busy.metadata.name.as_deref().unwrap_or_default();
            return waits_for(format!("the nodes of ComputeGroup {name} to leave"));
        }
        let SqlAnswer::Answered { frontends, .. } = &observed.sql else {
            return waits_for("a frontend to answer, which is to write an image of the metadata".to_owned());
        };
        let Some(leader) = frontends.iter().find(|row| row.is_leader && row.alive) else {
            return waits_for("a frontend that leads, which is to write an image of the metadata".to_owned());
        };
        match (leader.image_id, leader.journal_id) {
            (Some(image), Some(journal)) if image < journal => Self::FallingAsleep {
                waits_for: format!("an image of the metadata that has change {journal}; the newest has {image}"),
                statement: Some(AdminStatement::CreateImage),
            },
            // An engine that does not tell keeps its journal by itself.
            _ => Self::Asleep,
        }
    }

    /// How many frontends are to run.
    pub(super) fn frontends(&self, shape: &ClusterShape) -> u32 {
        match self {
            Self::Awake | Self::FallingAsleep { .. } => shape.frontends,
            Self::Asleep => 0,
        }
    }
}

/// `spec.replicas` of the frontends' StatefulSet as it is.
fn frontends(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Option<u64> {
    let key = ObjectKey::namespaced(
        ObjectKind::StatefulSet,
        &shape.namespace,
        &names::frontends(&shape.name),
    );
    observed.live.get(&key)?.pointer("/spec/replicas")?.as_u64()
}

/// Whether pods of the group exist, or the frontend has still to forget its nodes.
fn has_nodes(observed: &ObservedLakeCluster, group: &ComputeGroup) -> bool {
    let stateful_set = names::compute(group.metadata.name.as_deref().unwrap_or_default());
    let has_pods = observed
        .compute_pods
        .iter()
        .any(|pod| names::ordinal(pod, &stateful_set).is_some());
    let status = group.status.as_ref();
    has_pods || status.is_some_and(|status| status.replicas > 0 || !status.nodes.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{ClusterFixture, applied, cluster, condition, group, statements};

    fn suspended() -> ClusterFixture {
        let fixture = cluster("demo").secrets().serving().settled();
        fixture.with(|observed| observed.cluster.spec.suspend = true)
    }

    /// The newest image has this of that many changes.
    fn imaged(fixture: ClusterFixture, image: u64, journal: u64) -> ClusterFixture {
        fixture.with(|observed| {
            if let SqlAnswer::Answered { frontends, .. } = &mut observed.sql {
                (frontends[0].image_id, frontends[0].journal_id) = (Some(image), Some(journal));
            }
        })
    }

    fn frontends_of(fixture: &ClusterFixture) -> Option<i64> {
        applied(&fixture.plan()).get("StatefulSet retail/demo-fe")?["spec"]["replicas"].as_i64()
    }

    #[test]
    fn frontends_stay_until_the_nodes_of_all_groups_have_left() {
        let with_group = |status: serde_json::Value, pod: &str| {
            imaged(suspended(), 7, 7).with(|observed| {
                let mut etl = group("etl").0.group;
                etl.status = serde_json::from_value(status).unwrap();
                observed.groups = vec![etl];
                observed.compute_pods.insert(pod.to_owned());
            })
        };
        let leaves = json!({"replicas": 1, "servingReplicas": 1});
        let known = json!({"replicas": 0, "servingReplicas": 0, "nodes": [{"name": "etl-cn-0", "nodeId": "1", "alive": false, "draining": true}]});
        for fixture in [
            with_group(leaves, "x"),
            with_group(known, "x"),
            with_group(json!(null), "etl-cn-3"),
        ] {
            assert_eq!(frontends_of(&fixture), None, "nothing changes");
            let told = condition(&fixture.plan().status.unwrap().conditions, "Ready");
            assert_eq!(
                told,
                "False Suspended: the cluster goes to sleep, and waits for the nodes of ComputeGroup etl to leave"
            );
        }
        let gone = json!({"replicas": 0, "servingReplicas": 0});
        assert_eq!(frontends_of(&with_group(gone, "another-cn-0")), Some(0));
    }

    #[test]
    fn frontends_go_when_an_image_has_everything() {
        let behind = imaged(suspended(), 6, 7);
        assert_eq!(statements(&behind.plan()), ["ALTER SYSTEM CREATE IMAGE"]);
        assert_eq!(frontends_of(&behind), None);
        let whole = imaged(suspended(), 7, 7);
        assert_eq!(statements(&whole.plan()), [""; 0]);
        assert_eq!(frontends_of(&whole), Some(0));
    }

    #[test]
    fn a_frontend_that_does_not_answer_is_not_taken_away() {
        let mute = suspended().with(|observed| observed.sql = SqlAnswer::NotAsked);
        assert_eq!(frontends_of(&mute), None);
        let told = condition(&mute.plan().status.unwrap().conditions, "Ready");
        assert!(
            told.contains("a frontend to answer, which is to write an image"),
            "{told}"
        );
    }

    fn asleep() -> ClusterFixture {
        let fixture = imaged(suspended(), 7, 7).settled();
        fixture
            .with(|observed| {
                observed.pods.clear();
                observed.sql = SqlAnswer::NotAsked;
            })
            .settled()
    }

    #[test]
    fn a_cluster_that_sleeps_is_at_rest_and_says_how_to_wake_it() {
        let asleep = asleep();
        let plan = asleep.plan();
        assert_eq!((plan.actions, plan.status, plan.events), (vec![], None, vec![]));
        let conditions = asleep.0.cluster.status.unwrap().conditions;
        for (type_, begins) in [
            ("Available", "False Suspended: the cluster sleeps"),
            ("Ready", "True Suspended: the cluster sleeps"),
            ("StorageReady", "True Suspended: the cluster sleeps"),
            ("UpToDate", "True UpToDate"),
        ] {
            let told = condition(&conditions, type_);
            assert!(told.starts_with(begins), "{type_}: {told}");
        }
    }

    #[test]
    fn it_wakes_when_suspend_is_false() {
        let woken = asleep().with(|observed| observed.cluster.spec.suspend = false);
        assert_eq!(frontends_of(&woken), Some(1));
    }

    #[test]
    fn a_starrocks_cluster_sleeps_without_an_image() {
        let fixture = cluster("demo").starrocks().secrets().serving().settled();
        let suspended = fixture.with(|observed| observed.cluster.spec.suspend = true);
        assert_eq!(frontends_of(&suspended), Some(0));
    }
}
