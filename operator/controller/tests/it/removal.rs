//! Clusters that are deleted, and their data: it goes only where it was asked for by name, and nothing holds an object up for good.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use springtide_controller::uninstall::uninstall;
use springtide_crds::LakeCluster;
use springtide_plan::names::DELETE_DATA_ANNOTATION;

use crate::harness::{
    jobs::Ends,
    world::{Running, World},
};

/// The place of the cluster `lake` of these tests.
const PLACE: &str = "s3://retail/lake";

/// A cluster whose data may go, that has served.
async fn serving() -> (World, Running) {
    let world = World::new().await;
    let operator = world.operator();
    world
        .make_cluster_with(
            "lake",
            json!({"deletion": {"data": "Delete", "metadataVolumes": "Delete"}}),
        )
        .await;
    world.cluster_is_available("lake").await;
    (world, operator)
}

async fn name_place(world: &World, place: Option<&str>) {
    let patch = json!({"metadata": {"annotations": {(DELETE_DATA_ANNOTATION): place}}});
    world.merge::<LakeCluster>("lake", patch).await;
}

async fn goes(world: &World) {
    world
        .eventually("the cluster is gone", || async {
            world.get::<LakeCluster>("lake").await.is_none().then_some(())
        })
        .await;
}

/// Waits until the cluster, which is being deleted, says this of itself.
async fn says(world: &World, reason: &str, words: &str) {
    world
        .eventually(&format!("{reason}: {words}"), || async {
            let conditions = world.get::<LakeCluster>("lake").await?.status?.conditions;
            let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready")?;
            (ready.reason == reason && ready.message.contains(words)).then_some(())
        })
        .await;
}

async fn collected(world: &World, job: &str) {
    world
        .eventually("its Job is gone", || async {
            world.get::<Job>(job).await.is_none().then_some(())
        })
        .await;
}

#[tokio::test]
async fn data_that_is_asked_for_by_name_goes_when_nothing_runs_any_more_and_then_the_object_goes() {
    let (world, operator) = serving().await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    let made = world.job_is_made(&job).await;
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert!(
        pods.is_empty(),
        "they could write: {:?}",
        pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    for name in ["lake-fe", "etl-cn"] {
        let set = world.get::<StatefulSet>(name).await.expect("it is there, with no pod");
        assert_eq!(set.spec.unwrap().replicas, Some(0), "{name}");
    }
    // As long as the data is there, so is what reads it.
    assert!(world.get::<PersistentVolumeClaim>("meta-lake-fe-0").await.is_some());
    assert!(world.get::<Secret>("lake-admin").await.is_some());
    let pod = made.spec.unwrap().template.spec.unwrap();
    let arguments = pod.containers[0].args.clone().unwrap();
    assert_eq!(arguments, ["delete-data", "--place", PLACE]);
    says(&world, "DeletingData", PLACE).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        world.get::<LakeCluster>("lake").await.is_some(),
        "the Job has not ended"
    );
    world.end_job(&job, Ends::Complete).await;
    goes(&world).await;
    world
        .eventually("an Event says so", || world.is_told(Some("DataDeleted"), PLACE))
        .await;
    collected(&world, &job).await;
    world
        .eventually("its volume goes, as is written", || async {
            let claim = world.get::<PersistentVolumeClaim>("meta-lake-fe-0").await;
            claim.is_none().then_some(())
        })
        .await;
    assert!(
        world.get::<Secret>("lake-admin").await.is_some(),
        "nobody asked for that"
    );
    operator.stop().await;
}

#[tokio::test]
async fn a_wrong_name_deletes_no_data_and_the_event_has_the_right_one() {
    let (world, operator) = serving().await;
    name_place(&world, Some("s3://retail/lake2")).await;
    world
        .eventually("it is told before", || async {
            let conditions = world.get::<LakeCluster>("lake").await?.status?.conditions;
            let accepted = conditions.iter().find(|condition| condition.type_ == "Accepted")?;
            accepted.message.contains("lets the data stay").then_some(())
        })
        .await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    goes(&world).await;
    world
        .eventually("an Event says so", || {
            world.is_told(Some("DataKept"), "springtide.dev/delete-data: s3://retail/lake")
        })
        .await;
    assert!(world.get::<Job>(&job).await.is_none());
    operator.stop().await;
}

#[tokio::test]
async fn a_store_that_is_gone_holds_a_cluster_up_only_until_somebody_lets_the_data_stay() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    let first = world.job_is_made(&job).await;
    world.end_job(&job, Ends::Failed).await;
    says(
        &world,
        "DataDeletionFailed",
        "take the annotation springtide.dev/delete-data away",
    )
    .await;
    world
        .eventually("an Event says so", || world.is_told(Some("DataDeletionFailed"), PLACE))
        .await;
    // It is tried again, as the store may have come back.
    world.clock.set(Utc::now() + TimeDelta::minutes(10));
    world
        .eventually("another Job follows", || async {
            let next = world.get::<Job>(&job).await?;
            (next.uid() != first.uid()).then_some(())
        })
        .await;
    name_place(&world, None).await;
    goes(&world).await;
    collected(&world, &job).await;
    world
        .eventually("an Event says so", || world.is_told(Some("DataKept"), PLACE))
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn data_goes_as_well_where_somebody_deletes_in_the_foreground() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    let clusters: Api<LakeCluster> = world.api();
    clusters.delete("lake", &DeleteParams::foreground()).await.unwrap();
    let made = world.job_is_made(&job).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let still = world
        .get::<Job>(&job)
        .await
        .expect("it is not taken for one that goes first");
    assert_eq!(still.uid(), made.uid());
    world.end_job(&job, Ends::Complete).await;
    goes(&world).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_clusters_along_and_no_data() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete(&world.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let jobs = world.api::<Job>();
    world
        .eventually("the namespace is gone", || async {
            let jobs = jobs.list(&ListParams::default()).await.unwrap();
            assert!(jobs.items.is_empty(), "data is to be deleted: {:?}", jobs.items);
            let namespace = namespaces.get_opt(&world.namespace).await.unwrap();
            namespace.is_none().then_some(())
        })
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn without_an_operator_an_object_goes_when_somebody_takes_its_finalizer_away_and_its_job_goes_with_it() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    world.job_is_made(&job).await;
    operator.crash().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.get::<LakeCluster>("lake").await.is_some(), "nobody lets it go");
    // What docs/removal.md says.
    world
        .merge::<LakeCluster>("lake", json!({"metadata": {"finalizers": null}}))
        .await;
    goes(&world).await;
    collected(&world, &job).await;
}

#[tokio::test]
async fn an_operator_that_is_uninstalled_lets_go_what_waits_for_its_data() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    world.job_is_made(&job).await;
    operator.crash().await;
    let left = uninstall(&world.client, std::slice::from_ref(&world.namespace))
        .await
        .unwrap();
    assert_eq!(left.finalizers, 1);
    goes(&world).await;
    collected(&world, &job).await;
}

#[tokio::test]
async fn an_operator_that_dies_while_data_is_deleted_is_followed_by_one_that_goes_on() {
    let (world, operator) = serving().await;
    name_place(&world, Some(PLACE)).await;
    let job = world.job_of("lake").await;
    world.delete::<LakeCluster>("lake").await;
    let made = world.job_is_made(&job).await;
    operator.crash().await;
    world.end_job(&job, Ends::Complete).await;
    let operator = world.operator();
    goes(&world).await;
    assert!(
        world.get::<Job>(&job).await.is_none_or(|job| job.uid() == made.uid()),
        "one Job was enough"
    );
    operator.stop().await;
}

#[tokio::test]
async fn each_kind_of_what_is_left_goes_by_its_own_policy() {
    let world = World::new().await;
    let operator = world.operator();
    world
        .make_cluster_with(
            "lake",
            json!({"deletionPolicy": "Delete", "deletion": {"metadataVolumes": "Retain"}}),
        )
        .await;
    world.cluster_is_available("lake").await;
    world.delete::<LakeCluster>("lake").await;
    goes(&world).await;
    world
        .eventually("its frontends and accounts are gone", || async {
            let set = world.get::<StatefulSet>("lake-fe").await;
            let account = world.get::<Secret>("lake-admin").await;
            (set.is_none() && account.is_none()).then_some(())
        })
        .await;
    let claim = world.get::<PersistentVolumeClaim>("meta-lake-fe-0").await;
    assert!(claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none()));
    world
        .eventually("an Event says where the data is", || {
            world.is_told(Some("DataKept"), PLACE)
        })
        .await;
    operator.stop().await;
}
