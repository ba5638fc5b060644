//! Another release of the operator, which would make pods differently, comes to clusters that run.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod},
};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use springtide_controller::clock::Clock as _;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::world::{Running, World};

/// The release before, and the one after: their sidecars have different images.
pub(crate) fn release(world: &World, sidecar: &str) -> Running {
    let sidecar = sidecar.to_owned();
    world.operator_with(|settings| settings.sidecar_image = sidecar)
}

/// Names of all pods with their uids: what is restarted has another one.
pub(crate) async fn pods(world: &World) -> BTreeMap<String, String> {
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
    pods.iter()
        .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
        .collect()
}

/// Image of the sidecar, or of the first container where there is none.
async fn sidecar(world: &World, stateful_set: &str) -> Option<String> {
    let set = world.get::<StatefulSet>(stateful_set).await?;
    let pod = set.spec?.template.spec?;
    pod.init_containers?.into_iter().next()?.image
}

/// What is said of whether a group's pods are up to date, when it has this reason.
pub(crate) async fn group_is(world: &World, group: &str, reason: &str) -> String {
    world
        .eventually(&format!("{group} is {reason}"), || async {
            let status = world.get::<ComputeGroup>(group).await?.status?;
            let told = status.conditions.into_iter().find(|told| told.type_ == "UpToDate")?;
            (told.reason == reason).then_some(told.message)
        })
        .await
}

/// The same of a cluster's frontends.
pub(crate) async fn cluster_is(world: &World, cluster: &str, reason: &str) -> String {
    world
        .eventually(&format!("{cluster} is {reason}"), || async {
            let status = world.get::<LakeCluster>(cluster).await?.status?;
            let told = status.conditions.into_iter().find(|told| told.type_ == "UpToDate")?;
            (told.reason == reason).then_some(told.message)
        })
        .await
}

async fn made_by(world: &World, sidecar: &str) -> Running {
    let operator = release(world, sidecar);
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    group_is(world, "etl", "UpToDate").await;
    cluster_is(world, "lake", "UpToDate").await;
    operator
}

async fn open_until(world: &World, until: &str) {
    let annotation = json!({"metadata": {"annotations": {"springtide.dev/maintenance-until": until}}});
    world.merge::<LakeCluster>("lake", annotation).await;
}

#[tokio::test]
async fn an_upgrade_of_the_operator_restarts_nothing_until_a_maintenance_window_opens() {
    let world = World::new().await;
    made_by(&world, "sidecar:1").await.stop().await;
    let before = pods(&world).await;

    let operator = release(&world, "sidecar:2");
    let message = group_is(&world, "etl", "UpdatePending").await;
    assert!(
        message.contains("spec.initContainers[drain].image: sidecar:1 → sidecar:2"),
        "{message}"
    );
    assert!(
        message.contains("kubectl annotate --overwrite lakecluster lake"),
        "{message}"
    );
    cluster_is(&world, "lake", "UpToDate").await;
    // It does its work meanwhile, and new pods are those that are known to serve.
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 3}}))
        .await;
    world.group_serves("etl", 3).await;
    assert_eq!(sidecar(&world, "etl-cn").await.as_deref(), Some("sidecar:1"));
    let mut now = pods(&world).await;
    now.remove("etl-cn-2");
    assert_eq!(now, before, "no pod was replaced");

    open_until(&world, "2000-01-01T00:00:00Z").await;
    group_is(&world, "etl", "UpdatePending").await;
    open_until(&world, "2100-01-01T00:00:00Z").await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(sidecar(&world, "etl-cn").await.as_deref(), Some("sidecar:2"));
    let after = pods(&world).await;
    for (name, uid) in before.iter().filter(|(name, _)| name.starts_with("etl-cn-")) {
        assert_ne!(after.get(name), Some(uid), "{name} is of the new template");
    }
    world.group_serves("etl", 3).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_maintenance_window_that_is_written_opens_by_the_clock_for_what_waits() {
    let world = World::new().await;
    let opens = "2030-06-02T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    world.clock.set(opens - TimeDelta::hours(1));
    made_by(&world, "sidecar:1").await.stop().await;
    let before = pods(&world).await;
    let operator = release(&world, "sidecar:2");
    group_is(&world, "etl", "UpdatePending").await;
    // Two in the morning on a Sunday, in summer.
    let window = json!({"name": "sunday", "start": "0 2 * * SUN", "duration": "1h", "timeZone": "Europe/Berlin"});
    world
        .merge::<LakeCluster>("lake", json!({"spec": {"maintenanceWindows": [window]}}))
        .await;
    world
        .eventually("it says when", || async {
            let message = group_is(&world, "etl", "UpdatePending").await;
            message.contains("2030-06-02T00:00:00Z").then_some(())
        })
        .await;
    assert_eq!(pods(&world).await, before);

    // The clock runs on, and nobody writes anything: the edge comes by itself.
    world.clock.set(opens - TimeDelta::seconds(5));
    world
        .merge::<ComputeGroup>("etl", json!({"metadata": {"annotations": {"look": "once"}}}))
        .await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(sidecar(&world, "etl-cn").await.as_deref(), Some("sidecar:2"));
    assert!(world.clock.now() < opens + TimeDelta::hours(1));
    let after = pods(&world).await;
    for name in ["etl-cn-0", "etl-cn-1"] {
        assert_ne!(after.get(name), before.get(name), "{name} is of the new template");
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_downgrade_of_the_operator_restarts_nothing_either() {
    let world = World::new().await;
    made_by(&world, "sidecar:2").await.stop().await;
    let before = pods(&world).await;
    let operator = release(&world, "sidecar:3");
    group_is(&world, "etl", "UpdatePending").await;
    operator.stop().await;
    let operator = release(&world, "sidecar:2");
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(pods(&world).await, before);
    operator.stop().await;
}

#[tokio::test]
async fn what_somebody_writes_after_an_upgrade_is_carried_out_at_once() {
    let world = World::new().await;
    made_by(&world, "sidecar:1").await.stop().await;
    let operator = release(&world, "sidecar:2");
    group_is(&world, "etl", "UpdatePending").await;
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"cacheSize": "3Gi"}}))
        .await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(sidecar(&world, "etl-cn").await.as_deref(), Some("sidecar:2"));
    operator.stop().await;
}

/// As they were made before StatefulSets had marks, with files that changed in place.
#[tokio::test]
async fn pods_of_a_release_that_left_no_marks_are_left_alone() {
    let world = World::new().await;
    made_by(&world, "sidecar:1").await.stop().await;
    let before = pods(&world).await;
    let files = "etl-cn";
    let old_files = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": files, "labels": {"springtide.dev/owner": "computegroup.etl"}},
        "data": {"engine.json": "{}"},
    });
    world.create::<ConfigMap>(old_files).await;
    let no_marks = json!({"metadata": {"annotations": {
        "springtide.dev/inputs": null, "springtide.dev/template": null,
    }}});
    world.merge::<StatefulSet>("etl-cn", no_marks.clone()).await;
    world.merge::<StatefulSet>("lake-fe", no_marks).await;

    let operator = release(&world, "sidecar:2");
    group_is(&world, "etl", "UpdatePending").await;
    assert_eq!(pods(&world).await, before);
    // From here on it is known what was written by whom.
    let mark = |set: StatefulSet| set.annotations().get("springtide.dev/inputs").cloned();
    let set = world.get::<StatefulSet>("etl-cn").await.unwrap();
    assert!(mark(set).is_some_and(|mark| mark.starts_with("1:")));
    operator.stop().await;
}

#[tokio::test]
async fn files_are_kept_as_long_as_a_pod_reads_them() {
    let world = World::new().await;
    let operator = made_by(&world, "sidecar:1").await;
    let files = async || {
        let maps = world.api::<ConfigMap>().list(&ListParams::default()).await.unwrap();
        let names = maps.iter().map(ResourceExt::name_any);
        names.filter(|name| name.starts_with("etl-cn-")).collect::<Vec<_>>()
    };
    let first = files().await;
    assert_eq!(first.len(), 1, "{first:?}");
    world.hold_back("etl-cn-1");
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"drain": {"timeout": "7m"}}}))
        .await;
    group_is(&world, "etl", "Rolling").await;
    world
        .eventually("both are there", || async { (files().await.len() == 2).then_some(()) })
        .await;
    world.release("etl-cn-1");
    group_is(&world, "etl", "UpToDate").await;
    world
        .eventually("the old ones have gone", || async {
            let left = files().await;
            (left.len() == 1 && left != first).then_some(())
        })
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_maintenance_window_that_makes_no_sense_is_refused_by_its_field() {
    let world = World::new().await;
    let operator = made_by(&world, "sidecar:1").await;
    let window = |zone: &str| -> Value {
        json!({"spec": {"maintenanceWindows": [{"name": "sunday", "start": "0 2 * * SUN", "timeZone": zone}]}})
    };
    world.merge::<LakeCluster>("lake", window("Europe/Berlinn")).await;
    world
        .eventually("it is refused", || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let told = status.conditions.into_iter().find(|told| told.type_ == "Accepted")?;
            let names_it = told
                .message
                .starts_with("maintenanceWindows[sunday].timeZone: \"Europe/Berlinn\"");
            (told.reason == "UnknownTimeZone" && names_it).then_some(())
        })
        .await;
    world.merge::<LakeCluster>("lake", window("Europe/Berlin")).await;
    world
        .eventually("it is accepted", || async {
            let status = world.get::<LakeCluster>("lake").await?.status?;
            let told = status.conditions.into_iter().find(|told| told.type_ == "Accepted")?;
            (told.status == "True").then_some(())
        })
        .await;
    operator.stop().await;
}
