//! From custom resources to a serving cluster and back.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::world::World;

#[tokio::test]
async fn frontends_come_before_compute() {
    let world = World::new().await;
    world.hold_back("lake-fe-");
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world
        .eventually("frontends are asked for", || world.get::<StatefulSet>("lake-fe"))
        .await;
    world
        .eventually("the group says why it waits", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            status
                .conditions
                .iter()
                .any(|condition| condition.reason == "ClusterNotReady")
                .then_some(())
        })
        .await;
    assert_eq!(world.wanted("etl").await, None, "compute waits for the frontend");
    world.release("lake-fe-");
    world.cluster_is_available("lake").await;
    world.group_serves("etl", 1).await;
    let node = format!("etl-cn-0.etl-cn.{}.svc:9050", world.namespace);
    assert_eq!(
        world.frontend.changes(),
        [
            "CREATE WAREHOUSE IF NOT EXISTS etl".to_owned(),
            format!("ALTER SYSTEM ADD COMPUTE NODE '{node}' INTO WAREHOUSE etl"),
        ]
    );
    operator.stop().await;
}

#[tokio::test]
async fn kubectl_scale_scales_both_ways_and_forgets_the_nodes_that_left() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    for replicas in [12, 3, 0, 2] {
        scale(&world, "etl", replicas).await;
        world.group_serves("etl", replicas).await;
    }
    let shown = world.api::<ComputeGroup>().get_scale("etl").await.unwrap();
    assert_eq!(shown.status.unwrap().replicas, 2);
    operator.stop().await;
}

pub(crate) async fn scale(world: &World, group: &str, replicas: usize) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    world
        .api::<ComputeGroup>()
        .patch_scale(group, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_change_keeps_the_accepted_values_in_force() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    let bad = json!({"spec": {"replicas": 5, "schedules": [
        {"name": "noon", "start": "0 12 * * *", "duration": "1h", "timeZone": "Europe/Atlantis", "minReplicas": 1},
    ]}});
    world.merge::<ComputeGroup>("etl", bad).await;
    let message = world
        .eventually("the zone is refused", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            let accepted = status
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "Accepted")?;
            (accepted.status == "False" && accepted.reason == "UnknownTimeZone").then_some(accepted.message)
        })
        .await;
    assert!(message.contains("Europe/Atlantis"), "{message}");
    world.settle().await;
    assert_eq!(world.wanted("etl").await, Some(2));
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"schedules": []}}))
        .await;
    world.group_serves("etl", 5).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_deleted_cluster_leaves_its_accounts_and_volumes_and_takes_them_up_again() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    let password = |secret: Secret| secret.data.unwrap().remove("password").unwrap().0;
    let before = password(world.get::<Secret>("lake-admin").await.unwrap());
    world.delete::<LakeCluster>("lake").await;
    world
        .eventually("the cluster is gone", || async {
            world.get::<LakeCluster>("lake").await.is_none().then_some(())
        })
        .await;
    world
        .eventually("its frontends are gone", || async {
            world.get::<StatefulSet>("lake-fe").await.is_none().then_some(())
        })
        .await;
    let claims: Api<PersistentVolumeClaim> = world.api();
    let names: Vec<String> = claims
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(names, ["meta-lake-fe-0"]);
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    assert_eq!(password(world.get::<Secret>("lake-admin").await.unwrap()), before);
    operator.stop().await;
}

#[tokio::test]
async fn a_frontend_that_hangs_is_told_and_takes_no_compute_away() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    world.frontend.catalog.lock().unwrap().hangs = true;
    world
        .merge::<LakeCluster>("lake", json!({"metadata": {"annotations": {"look": "now"}}}))
        .await;
    world
        .eventually("it is said that the frontend does not answer", || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let available = status
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "Available")?;
            (available.status != "True").then_some(())
        })
        .await;
    assert_eq!(
        world.wanted("etl").await,
        Some(1),
        "an engine that is silent is no reason to take compute away"
    );
    world.frontend.catalog.lock().unwrap().hangs = false;
    world.cluster_is_available("lake").await;
    world.group_serves("etl", 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_made_again_under_its_name_gets_accounts_of_its_own_at_once() {
    let world = World::new().await;
    let operator = world.operator();
    let is_made = async || {
        world
            .make_cluster_with("lake", json!({"deletionPolicy": "Delete"}))
            .await;
        let made = Instant::now();
        let admin = world
            .eventually("the cluster has its accounts", || world.get::<Secret>("lake-admin"))
            .await;
        let waited = made.elapsed();
        world.cluster_is_available("lake").await;
        (admin.uid(), waited)
    };
    let (first, _) = is_made().await;
    world.delete::<LakeCluster>("lake").await;
    world
        .eventually("the cluster and its accounts are gone", || async {
            let cluster = world.get::<LakeCluster>("lake").await;
            let account = world.get::<Secret>("lake-admin").await;
            (cluster.is_none() && account.is_none()).then_some(())
        })
        .await;
    let (second, waited) = is_made().await;
    assert_ne!(first, second);
    // What was read of the first ones is good for a minute.
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    operator.stop().await;
}
