//! An operator with nothing to do writes nothing: by the API server's own counters.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Service},
};
use serde_json::json;

use crate::harness::world::World;

#[tokio::test]
async fn an_idle_operator_writes_nothing() {
    let world = World::alone().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.make_group("bi", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 2).await;
    world.group_serves("bi", 1).await;
    world.settle().await;
    world.stays_quiet(Duration::from_secs(10)).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_restarted_operator_finds_nothing_to_write() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    world.settle().await;
    operator.stop().await;
    let operator = world.operator();
    world.stays_quiet(Duration::from_secs(6)).await;
    operator.stop().await;
}

#[tokio::test]
async fn drift_in_what_is_ours_is_repaired_and_what_others_add_stays() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    world.settle().await;

    world
        .merge::<StatefulSet>(
            "etl-cn",
            json!({"metadata": {"annotations": {"theirs": "stays"}}, "spec": {"replicas": 7}}),
        )
        .await;
    world.group_serves("etl", 1).await;
    let annotations = world
        .get::<StatefulSet>("etl-cn")
        .await
        .unwrap()
        .metadata
        .annotations
        .unwrap_or_default();
    assert_eq!(annotations.get("theirs").map(String::as_str), Some("stays"));

    world.delete::<Service>("etl-cn").await;
    world
        .eventually("the Service is back", || async { world.get::<Service>("etl-cn").await })
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn what_is_ours_and_no_longer_wanted_is_pruned_and_what_is_not_ours_stays() {
    let world = World::new().await;
    let operator = world.operator();
    let cluster = world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    let labels = json!({"springtide.dev/owner": "lakecluster.lake", "springtide.dev/cluster": "lake"});
    let owner = json!([{"apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "name": "lake",
        "uid": cluster.metadata.uid, "controller": true}]);
    for (name, owners) in [("left-over", owner), ("labelled-by-a-person", json!([]))] {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
            {"name": name, "labels": labels, "ownerReferences": owners}});
        world.create::<ConfigMap>(body).await;
    }
    world
        .eventually("the left-over is gone", || async {
            world.get::<ConfigMap>("left-over").await.is_none().then_some(())
        })
        .await;
    assert!(world.get::<ConfigMap>("labelled-by-a-person").await.is_some());
    operator.stop().await;
}
