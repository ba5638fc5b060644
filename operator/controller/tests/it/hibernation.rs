//! A suspended cluster sleeps whole, and wakes with what it had.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::api::ListParams;
use serde_json::json;
use springtide_crds::LakeCluster;

use crate::harness::world::World;

async fn suspend(world: &World, suspend: bool) {
    world
        .merge::<LakeCluster>("lake", json!({"spec": {"suspend": suspend}}))
        .await;
}

async fn sleeps(world: &World) {
    world
        .eventually("the cluster sleeps, and says so", || async {
            let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let told = |type_: &str| {
                let condition = status.conditions.iter().find(|condition| condition.type_ == type_)?;
                Some((condition.status.clone(), condition.reason.clone()))
            };
            let is = |type_: &str, status: &str| told(type_) == Some((status.to_owned(), "Suspended".to_owned()));
            (pods.items.is_empty() && is("Available", "False") && is("Ready", "True")).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_suspended_cluster_sleeps_with_all_its_metadata_in_an_image_and_wakes_with_what_it_had() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    // A window that is always open wakes nothing.
    let always = json!({"name": "always", "start": "0 * * * *", "duration": "1h", "minReplicas": 2});
    world
        .make_group("etl", "lake", json!({"replicas": 1, "schedules": [always]}))
        .await;
    world.group_serves("etl", 2).await;

    suspend(&world, true).await;
    sleeps(&world).await;
    let changes = world.frontend.changes();
    assert_eq!(
        changes.last().map(String::as_str),
        Some("ALTER SYSTEM CREATE IMAGE"),
        "{changes:?}"
    );
    let claims = world.api::<PersistentVolumeClaim>().list(&ListParams::default()).await;
    assert_eq!(claims.unwrap().items.len(), 1, "its volume stays");
    let frontends = world.get::<StatefulSet>("lake-fe").await.unwrap();
    assert_eq!(frontends.spec.unwrap().replicas, Some(0));

    // Nor does another operator.
    operator.crash().await;
    let operator = world.operator();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    sleeps(&world).await;

    suspend(&world, false).await;
    world.cluster_is_available("lake").await;
    world.group_serves("etl", 2).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_woken_while_it_falls_asleep_serves_on() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    // Its drain does not end.
    world
        .frontend
        .catalog
        .lock()
        .unwrap()
        .busy
        .insert("etl-cn-0".to_owned());
    suspend(&world, true).await;
    world
        .eventually("it is said what is waited for", || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let told = status.conditions.into_iter().find(|told| told.type_ == "Ready")?;
            told.message
                .contains("waits for the nodes of ComputeGroup etl to leave")
                .then_some(())
        })
        .await;
    suspend(&world, false).await;
    world.group_serves("etl", 1).await;
    world.cluster_is_available("lake").await;
    assert!(
        !world
            .frontend
            .changes()
            .contains(&"ALTER SYSTEM CREATE IMAGE".to_owned())
    );
    operator.stop().await;
}

/// Kubernetes writes whose a claim is by the policy of the day on which the last pod ended. An empty list of owners on the way out of the
/// cluster is what keeps a volume.
#[tokio::test]
async fn volumes_of_a_sleeping_cluster_go_by_the_deletion_policy_that_was_written_last() {
    let world = World::new().await;
    let operator = world.operator();
    for (before, after) in [("Delete", "Retain"), ("Retain", "Delete")] {
        world.make_cluster_with("lake", json!({"deletionPolicy": before})).await;
        world.cluster_is_available("lake").await;
        suspend(&world, true).await;
        sleeps(&world).await;
        world
            .merge::<LakeCluster>("lake", json!({"spec": {"deletionPolicy": after}}))
            .await;
        world.delete::<LakeCluster>("lake").await;
        world
            .eventually("the cluster is gone, and its StatefulSet", || async {
                let cluster = world.get::<LakeCluster>("lake").await;
                let frontends = world.get::<StatefulSet>("lake-fe").await;
                (cluster.is_none() && frontends.is_none()).then_some(())
            })
            .await;
        let claim = "meta-lake-fe-0";
        if after == "Retain" {
            // Kubernetes collects what belongs to nobody that is there within seconds.
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            let claim = world.get::<PersistentVolumeClaim>(claim).await.expect("it stays");
            assert_eq!(claim.metadata.deletion_timestamp, None);
            assert_eq!(claim.metadata.owner_references.unwrap_or_default(), []);
        } else {
            world
                .eventually("its claim is gone", || async {
                    world.get::<PersistentVolumeClaim>(claim).await.is_none().then_some(())
                })
                .await;
        }
    }
    operator.stop().await;
}
