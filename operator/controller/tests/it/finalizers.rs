//! Deletion never hangs, whatever else is gone.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::world::World;

async fn group_goes(world: &World, name: &str) {
    world
        .eventually("the group is gone", || async {
            world.get::<ComputeGroup>(name).await.is_none().then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_deleted_group_is_forgotten_by_the_engine() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 3})).await;
    world.group_serves("etl", 3).await;
    world.delete::<ComputeGroup>("etl").await;
    group_goes(&world, "etl").await;
    assert!(world.frontend.catalog.lock().unwrap().nodes.is_empty());
    operator.stop().await;
}

#[tokio::test]
async fn a_node_whose_pod_is_there_is_not_forgotten_although_the_watch_of_pods_does_not_tell_of_it() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    // Without its labels no watch of ours tells of this pod.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etl-cn-8"},
        "spec": {"containers": [{"name": "engine", "image": "engine"}]}});
    world.create::<Pod>(pod).await;
    let [without_a_pod, with_a_pod] = {
        let mut catalog = world.frontend.catalog.lock().unwrap();
        let known = catalog.nodes.keys().next().expect("a node").clone();
        ["etl-cn-7", "etl-cn-8"].map(|pod| {
            let node = known.replacen("etl-cn-0", pod, 1);
            catalog.nodes.insert(node.clone(), 4711);
            node
        })
    };
    let is_forgotten = |node: &str| {
        let known = world.frontend.catalog.lock().unwrap().nodes.contains_key(node);
        async move { (!known).then_some(()) }
    };
    // The look that forgets the one would forget the other right after it.
    world
        .eventually("the node without a pod is forgotten", || is_forgotten(&without_a_pod))
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(is_forgotten(&with_a_pod).await.is_none());
    world.delete::<Pod>("etl-cn-8").await;
    world
        .eventually("it is forgotten once its pod is gone", || is_forgotten(&with_a_pod))
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_group_without_a_cluster_can_be_deleted() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_group("orphan", "nowhere", json!({"replicas": 1})).await;
    world
        .eventually("it says that its cluster is missing", || async {
            let status = world.get::<ComputeGroup>("orphan").await?.status?;
            status
                .conditions
                .iter()
                .any(|condition| condition.reason == "ClusterNotFound")
                .then_some(())
        })
        .await;
    world.delete::<ComputeGroup>("orphan").await;
    group_goes(&world, "orphan").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_group_whose_cluster_was_deleted_first_can_be_deleted() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    world.delete::<LakeCluster>("lake").await;
    world
        .eventually("the cluster is gone", || async {
            world.get::<LakeCluster>("lake").await.is_none().then_some(())
        })
        .await;
    world.frontend.stop();
    world.delete::<ComputeGroup>("etl").await;
    group_goes(&world, "etl").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_group_is_given_up_after_a_while_when_its_frontend_hangs() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    world.frontend.catalog.lock().unwrap().hangs = true;
    world.delete::<ComputeGroup>("etl").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(
        world.get::<ComputeGroup>("etl").await.is_some(),
        "the engine still knows the node, and may answer again"
    );
    world.clock.set(chrono::Utc::now() + chrono::TimeDelta::hours(1));
    group_goes(&world, "etl").await;
    operator.stop().await;
}
