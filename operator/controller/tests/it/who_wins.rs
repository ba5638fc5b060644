//! Several writers of `replicas`: people, GitOps, the autoscaler, the operator that wakes. The last one wins, nobody is fought, and
//! the status says who it was.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use springtide_crds::{
    ComputeGroup,
    compute_group::ScaleDecider::{self, Floor, Replicas},
};

use crate::harness::world::World;

const PERSON: &str = "kubectl";
const GITOPS: &str = "argocd-controller";
const AUTOSCALER: &str = "kube-controller-manager";
const OPERATOR: &str = "springtide-operator";
/// Longer than the operator takes to answer a write that it does not like.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

impl World {
    /// As `kubectl scale` and the autoscaler do.
    async fn scale(&self, writer: &str, replicas: i32) {
        let parameters = PatchParams {
            field_manager: Some(writer.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.api::<ComputeGroup>()
            .patch_scale("etl", &parameters, &patch)
            .await
            .unwrap();
    }

    /// As a sync of a GitOps tool whose manifest has `replicas`.
    async fn sync(&self, replicas: i32) {
        let manifest = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "etl"},
            "spec": {"cluster": "lake", "replicas": replicas},
        });
        self.api::<ComputeGroup>()
            .patch("etl", &PatchParams::apply(GITOPS).force(), &Patch::Apply(&manifest))
            .await
            .unwrap();
    }

    /// So many nodes serve because of `decider`, and the status names who wrote `replicas`, which is as it was written.
    async fn won(&self, writer: &str, written: i32, decider: ScaleDecider, nodes: usize) {
        self.eventually(
            &format!("{writer} has written {written}, and {decider:?} decides"),
            || async {
                let group = self.get::<ComputeGroup>("etl").await?;
                let scaling = group.status?.scaling?;
                let seen = (scaling.replicas_written_by.as_deref(), scaling.decided_by);
                (group.spec.replicas == written && seen == (Some(writer), decider)).then_some(())
            },
        )
        .await;
        self.group_serves("etl", nodes).await;
    }

    async fn stays(&self, written: i32) {
        let generation = self.get::<ComputeGroup>("etl").await.unwrap().metadata.generation;
        tokio::time::sleep(LONG_ENOUGH).await;
        let group = self.get::<ComputeGroup>("etl").await.unwrap();
        assert_eq!((group.spec.replicas, group.metadata.generation), (written, generation));
    }
}

#[tokio::test]
async fn who_writes_the_size_last_wins_within_the_windows_and_the_status_says_who() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    let always =
        json!({"name": "now", "start": "* * * * *", "duration": "2m", "timeZone": "Etc/UTC", "minReplicas": 3});
    let spec = json!({"replicas": 1, "schedules": [always]});
    world.make_group("etl", "lake", spec).await;
    world.won("a-test", 1, Floor, 3).await;
    world.scale(PERSON, 2).await;
    world.won(PERSON, 2, Floor, 3).await;
    world.sync(1).await;
    world.won(GITOPS, 1, Floor, 3).await;
    world.stays(1).await;
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"schedules": null}}))
        .await;
    world.won(GITOPS, 1, Replicas, 1).await;

    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 5, "cpu": 70});
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"autoscaling": autoscaling}}))
        .await;
    world.scale(AUTOSCALER, 4).await;
    world.won(AUTOSCALER, 4, Replicas, 4).await;
    world.scale(PERSON, 2).await;
    world.won(PERSON, 2, Replicas, 2).await;
    world.stays(2).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_gitops_tool_that_writes_zero_puts_a_group_to_sleep_again_that_a_statement_woke() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world
        .make_group("etl", "lake", json!({"replicas": 1, "wakeOnQuery": true}))
        .await;
    world.group_serves("etl", 1).await;
    let waiting = |statements: u32| world.statements_wait("etl", statements);
    let asleep = async || {
        world
            .eventually("the group sleeps, and is known", || async {
                let known = world.frontend.catalog.lock().unwrap().nodes.len();
                (world.wanted("etl").await == Some(0) && known == 1).then_some(())
            })
            .await;
    };
    world.sync(0).await;
    asleep().await;
    world.stays(0).await;
    waiting(1);
    world.group_serves("etl", 1).await;
    waiting(0);
    world.won(OPERATOR, 1, Replicas, 1).await;
    world.sync(0).await;
    asleep().await;
    world.stays(0).await;
    operator.stop().await;
}
