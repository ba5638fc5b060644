//! Settings of frontends that are changed while these run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use springtide_crds::LakeCluster;

use crate::{
    harness::world::World,
    updates::{cluster_is, pods},
};

async fn write(world: &World, frontends: Value) {
    let patch = json!({"spec": {"frontends": frontends}});
    world.merge::<LakeCluster>("lake", patch).await;
}

/// Waits until the status says that this is in force, and nothing else is under way.
async fn in_force(world: &World, expected: Value) {
    world
        .eventually(&format!("{expected} is in force"), || async {
            let cluster = world.get::<LakeCluster>("lake").await?;
            let status = cluster.status?;
            let told = status.conditions.iter().find(|told| told.type_ == "UpToDate")?;
            let is_seen = status.observed_generation == cluster.metadata.generation;
            let is_told = is_seen && told.status == "True" && json!(status.dynamic_settings) == expected;
            is_told.then_some(())
        })
        .await;
}

/// The frontends' files, by the names of their ConfigMaps.
async fn files(world: &World) -> BTreeMap<String, String> {
    let maps = world.api::<ConfigMap>().list(&ListParams::default()).await.unwrap();
    let files = maps
        .into_iter()
        .filter(|map| map.name_any().starts_with("lake-engine-"));
    files
        .map(|map| {
            (
                map.name_any(),
                map.data.unwrap_or_default().remove("engine.json").unwrap_or_default(),
            )
        })
        .collect()
}

fn settings_told(world: &World) -> Vec<String> {
    let changes = world.frontend.changes().into_iter();
    changes.filter(|change| change.starts_with("ADMIN SET")).collect()
}

#[tokio::test]
async fn a_dynamic_setting_is_told_and_read_back_and_no_pod_is_replaced() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    in_force(&world, json!([])).await;
    assert_eq!(world.frontend.catalog.lock().unwrap().asked_for_settings, 0);
    let (before, made) = (pods(&world).await, files(&world).await);

    write(&world, json!({"config": {"queryTimeoutS": "60"}})).await;
    in_force(&world, json!([{"name": "queryTimeoutS", "value": "60"}])).await;
    assert_eq!(
        settings_told(&world),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='60')"]
    );
    assert_eq!(pods(&world).await, before);
    let changed = files(&world).await;
    assert!(changed.keys().eq(made.keys()), "{changed:?}");
    assert!(
        changed.values().all(|file| file.contains("\"queryTimeoutS\": 60")),
        "{changed:?}"
    );

    // The next process knows nothing of what was told the one before, as after a restart with older files.
    world.frontend.catalog.lock().unwrap().settings.clear();
    write(
        &world,
        json!({"config": {"queryTimeoutS": "60", "maxConnections": "500"}}),
    )
    .await;
    in_force(
        &world,
        json!([{"name": "maxConnections", "value": "500"}, {"name": "queryTimeoutS", "value": "60"}]),
    )
    .await;

    write(&world, json!({"config": null})).await;
    in_force(&world, json!([])).await;
    let settings = world.frontend.catalog.lock().unwrap().settings.clone();
    assert_eq!(settings["query_timeout_s"], "300");
    assert_eq!(settings["max_connections"], "1024");
    assert_eq!((pods(&world).await, files(&world).await), (before.clone(), made));
    world.settle().await;
    let asked = world.frontend.catalog.lock().unwrap().asked_for_settings;
    write(&world, json!({"resources": {"cpu": "1"}})).await;
    world
        .eventually("the frontend is another one", || async {
            let now = pods(&world).await;
            (now.len() == before.len() && now != before).then_some(())
        })
        .await;
    in_force(&world, json!([])).await;
    assert_eq!(
        world.frontend.catalog.lock().unwrap().asked_for_settings,
        asked,
        "where nothing is set nobody asks"
    );
    operator.stop().await;
}

/// Another operator leads, or the same one is back: what was told while it was away is in the status and in the files.
#[tokio::test]
async fn what_is_written_while_no_operator_is_there_is_told_by_the_next() {
    let world = World::new().await;
    let operator = world.operator();
    world
        .make_cluster_with("lake", json!({"frontends": {"config": {"queryTimeoutS": "60"}}}))
        .await;
    world.cluster_is_available("lake").await;
    in_force(&world, json!([{"name": "queryTimeoutS", "value": "60"}])).await;
    operator.stop().await;
    let before = pods(&world).await;
    write(
        &world,
        json!({"config": {"queryTimeoutS": null, "resultHoldBytes": "1024"}}),
    )
    .await;
    let operator = world.operator();
    in_force(&world, json!([{"name": "resultHoldBytes", "value": "1024"}])).await;
    let settings = world.frontend.catalog.lock().unwrap().settings.clone();
    assert_eq!(settings["query_timeout_s"], "300");
    assert_eq!(settings["result_hold_bytes"], "1024");
    assert_eq!(pods(&world).await, before);
    operator.stop().await;
}

#[tokio::test]
async fn a_frontend_that_keeps_another_value_is_told_of_by_name_and_value() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    world.frontend.catalog.lock().unwrap().keeps_settings = true;
    write(&world, json!({"config": {"queryTimeoutS": "60"}})).await;
    let message = cluster_is(&world, "lake", "SettingNotInForce").await;
    assert!(
        message.starts_with("queryTimeoutS is still 300 on a frontend that was told 60"),
        "{message}"
    );
    world.frontend.catalog.lock().unwrap().keeps_settings = false;
    in_force(&world, json!([{"name": "queryTimeoutS", "value": "60"}])).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_is_refused_with_what_does_and_nothing_is_told() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    for (config, expected) in [
        (json!({"queryTimeout": "60"}), "(did you mean queryTimeoutS?)"),
        (
            json!({"queryTimeout": null, "maxConnections": "1"}),
            "write a number of connections from 10 to 1000000",
        ),
    ] {
        write(&world, json!({"config": config})).await;
        world
            .eventually(expected, || async {
                let status = world.get::<LakeCluster>("lake").await?.status?;
                let told = status.conditions.into_iter().find(|told| told.type_ == "Accepted")?;
                (told.reason == "InvalidField" && told.message.contains(expected)).then_some(())
            })
            .await;
    }
    assert_eq!(settings_told(&world), [""; 0]);
    operator.stop().await;
}
