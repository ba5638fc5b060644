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
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etl-cn-7"},
        "spec": {"containers": [{"name": "engine", "image": "engine"}]}});
    world.create::<Pod>(pod).await;
    let unseen = {
        let mut catalog = world.frontend.catalog.lock().unwrap();
        let known = catalog.nodes.keys().next().expect("a node").clone();
        let unseen = known.replacen("etl-cn-0", "etl-cn-7", 1);
        catalog.nodes.insert(unseen.clone(), 4711);
        unseen
    };
    let is_known = || world.frontend.catalog.lock().unwrap().nodes.contains_key(&unseen);
    world
        .merge::<ComputeGroup>("etl", json!({"metadata": {"annotations": {"look": "at the nodes"}}}))
        .await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(is_known());
    world.delete::<Pod>("etl-cn-7").await;
    world
        .eventually("it is forgotten", || async { (!is_known()).then_some(()) })
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
