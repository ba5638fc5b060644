//! A new template comes to one pod after the other, in the order of the engine's version, and is taken back when it does not serve.

use chrono::TimeDelta;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use springtide_controller::clock::Clock as _;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::{
    harness::world::{Running, World},
    updates::{cluster_is, group_is, pods},
};

async fn world_with(nodes: i32) -> (World, Running) {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": nodes})).await;
    world.group_serves("etl", nodes as usize).await;
    group_is(&world, "etl", "UpToDate").await;
    (world, operator)
}

/// Image of the engine in a StatefulSet's template.
async fn image(world: &World, stateful_set: &str) -> Option<String> {
    let set = world.get::<StatefulSet>(stateful_set).await?;
    set.spec?.template.spec?.containers.into_iter().next()?.image
}

async fn write_image(world: &World, image: &str) {
    let template = json!({"spec": {"computeTemplate": {"image": image}}});
    world.merge::<LakeCluster>("lake", template).await;
}

/// Pods with this image cannot have it.
pub(crate) fn break_image(world: &World, image: &'static str) {
    world.break_pods(move |pod: &Pod| {
        let engine = &pod.spec.as_ref()?.containers.first()?.image;
        (engine.as_deref() == Some(image)).then(|| {
            json!([{
                "name": "engine", "image": image, "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}},
            }])
        })
    });
}

/// A change of the image that no pod can pull, until it is taken back.
pub(crate) async fn a_change_is_taken_back(world: &World) -> String {
    break_image(world, "registry.example.com/engine:broken");
    write_image(world, "registry.example.com/engine:broken").await;
    group_is(world, "etl", "Rolling").await;
    world
        .eventually("the first pod is a new one that has no image", || async {
            let set = world.get::<StatefulSet>("etl-cn").await?;
            let last = set.spec?.replicas? - 1;
            let pod = world.get::<Pod>(&format!("etl-cn-{last}")).await?;
            pod.status?
                .container_statuses?
                .first()?
                .state
                .as_ref()?
                .waiting
                .as_ref()?;
            Some(())
        })
        .await;
    world.clock.set(world.clock.now() + TimeDelta::seconds(61));
    group_is(world, "etl", "Degraded").await
}

#[tokio::test]
async fn a_bad_image_comes_to_one_pod_goes_back_by_itself_and_says_why() {
    let (world, operator) = world_with(3).await;
    let before = (pods(&world).await, image(&world, "etl-cn").await);
    let message = a_change_is_taken_back(&world).await;
    assert!(
        message.starts_with("the change of the pods of etl-cn was taken back: pod etl-cn-2: image registry.example.com/engine:broken cannot be pulled: no such tag"),
        "{message}"
    );
    world.group_serves("etl", 3).await;
    assert_eq!(image(&world, "etl-cn").await, before.1);
    let mut after = pods(&world).await;
    let third = after.insert("etl-cn-2".to_owned(), before.0["etl-cn-2"].clone());
    assert_ne!(third, before.0.get("etl-cn-2").cloned());
    assert_eq!(after, before.0, "the others were never touched");
    world
        .eventually("an Event warns", || {
            world.is_told(None, "engine:broken cannot be pulled")
        })
        .await;

    // The same is not tried again; other values are.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(image(&world, "etl-cn").await, before.1);
    write_image(&world, "registry.example.com/engine:good").await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(
        image(&world, "etl-cn").await.as_deref(),
        Some("registry.example.com/engine:good")
    );
    operator.stop().await;
}

#[tokio::test]
async fn the_same_is_tried_again_when_somebody_takes_the_mark_away() {
    let (world, operator) = world_with(1).await;
    a_change_is_taken_back(&world).await;
    world.group_serves("etl", 1).await;
    break_image(&world, "no image is broken");
    let again = json!({"metadata": {"annotations": {"springtide.dev/failed-update": null}}});
    world.merge::<StatefulSet>("etl-cn", again).await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(
        image(&world, "etl-cn").await.as_deref(),
        Some("registry.example.com/engine:broken")
    );
    operator.stop().await;
}

#[tokio::test]
async fn a_frontend_whose_settings_do_not_start_goes_back_by_itself() {
    let (world, operator) = world_with(1).await;
    let before = image(&world, "lake-fe").await;
    world.break_pods(|pod| {
        let files = pod.annotations().get("springtide.dev/files")?;
        let engine = &pod.spec.as_ref()?.containers.first()?.image;
        (files.starts_with("lake-engine-") && engine.as_deref() == Some("registry.example.com/engine:2")).then(|| {
            json!([{
                "name": "engine", "image": "registry.example.com/engine:2", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message":
                    "{\"reason\":\"ConfigInvalid\",\"message\":\"engine.json: no such setting\"}"}},
            }])
        })
    });
    let change = json!({"spec": {"image": "registry.example.com/engine:2"}});
    world.merge::<LakeCluster>("lake", change).await;
    let message = cluster_is(&world, "lake", "Degraded").await;
    assert!(
        message.contains("pod lake-fe-0 does not start: engine.json: no such setting"),
        "{message}"
    );
    world.cluster_is_available("lake").await;
    assert_eq!(image(&world, "lake-fe").await, before);
    operator.stop().await;
}

#[tokio::test]
async fn the_next_node_is_replaced_when_the_one_before_serves() {
    let (world, operator) = world_with(3).await;
    let before = pods(&world).await;
    world.hold_back("etl-cn-2");
    write_image(&world, "registry.example.com/engine:2").await;
    world
        .eventually("the last pod is a new one", || async {
            (pods(&world).await.get("etl-cn-2")? != &before["etl-cn-2"]).then_some(())
        })
        .await;
    let message = world
        .eventually("it is said who is waited for", || async {
            let message = group_is(&world, "etl", "Rolling").await;
            message
                .contains("waits for pod etl-cn-2 to be ready")
                .then_some(message)
        })
        .await;
    assert!(message.contains("1 of 3 so far"), "{message}");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let now = pods(&world).await;
    for name in ["etl-cn-0", "etl-cn-1"] {
        assert_eq!(now.get(name), before.get(name), "{name} waits");
    }
    world.release("etl-cn-2");
    group_is(&world, "etl", "UpToDate").await;
    let after = pods(&world).await;
    assert!((0..3).all(|ordinal| {
        let name = format!("etl-cn-{ordinal}");
        after.get(&name) != before.get(&name)
    }));
    operator.stop().await;
}

fn version(version: &str) -> Value {
    json!({"spec": {"engine": {"version": version}}})
}

#[tokio::test]
async fn a_newer_engine_comes_to_the_nodes_first_and_an_older_one_to_the_frontends() {
    let (world, operator) = world_with(2).await;
    let runs = async || {
        let cluster = world.get::<LakeCluster>("lake").await?.status?.engine?.version;
        let group = world.get::<ComputeGroup>("etl").await?.status?.engine?.version;
        Some((cluster, group))
    };
    let both = |version: &str| Some((version.to_owned(), version.to_owned()));
    assert_eq!(runs().await, both("0.1.0"));
    let old = image(&world, "lake-fe").await;

    world.hold_back("etl-cn-1");
    world.merge::<LakeCluster>("lake", version("0.2.0")).await;
    let message = cluster_is(&world, "lake", "WaitingForTurn").await;
    assert!(message.contains("ComputeGroup etl"), "{message}");
    group_is(&world, "etl", "Rolling").await;
    assert_eq!(image(&world, "lake-fe").await, old);
    world.release("etl-cn-1");
    world
        .eventually("all run 0.2.0", || async {
            (runs().await == both("0.2.0")).then_some(())
        })
        .await;
    world.group_serves("etl", 2).await;

    world.hold_back("lake-fe-");
    let new = image(&world, "etl-cn").await;
    world.merge::<LakeCluster>("lake", version("0.1.0")).await;
    let message = group_is(&world, "etl", "WaitingForTurn").await;
    assert!(message.contains("after the frontends, which run 0.2.0"), "{message}");
    assert_eq!(image(&world, "etl-cn").await, new);
    world.release("lake-fe-");
    world
        .eventually("all run 0.1.0", || async {
            (runs().await == both("0.1.0")).then_some(())
        })
        .await;
    world.group_serves("etl", 2).await;
    operator.stop().await;
}

#[tokio::test]
async fn another_leader_carries_a_roll_on() {
    let (world, operator) = world_with(3).await;
    world.hold_back("etl-cn-2");
    write_image(&world, "registry.example.com/engine:2").await;
    group_is(&world, "etl", "Rolling").await;
    operator.crash().await;
    world.release("etl-cn-2");
    // It would make the pods differently, and carries on what it finds.
    let next = world.operator_with(|settings| settings.sidecar_image = "sidecar:next".to_owned());
    group_is(&world, "etl", "UpdatePending").await;
    let set = world.get::<StatefulSet>("etl-cn").await.unwrap();
    assert!(!set.annotations().contains_key("springtide.dev/at-pod-since"));
    assert!(!set.annotations().contains_key("springtide.dev/previous-template"));
    assert_eq!(
        image(&world, "etl-cn").await.as_deref(),
        Some("registry.example.com/engine:2")
    );
    world.group_serves("etl", 3).await;
    next.stop().await;
}

#[tokio::test]
async fn what_is_written_for_compute_rolls_no_frontend() {
    let (world, operator) = world_with(1).await;
    let before = pods(&world).await;
    let template = json!({"spec": {"computeTemplate": {
        "image": "registry.example.com/engine:2", "config": {"memoryLimitBytes": "1000000000"},
        "podTemplate": {"labels": {"example.com/cost": "retail"}},
    }}});
    world.merge::<LakeCluster>("lake", template).await;
    world
        .eventually("the node is another one", || async {
            (pods(&world).await.get("etl-cn-0")? != &before["etl-cn-0"]).then_some(())
        })
        .await;
    group_is(&world, "etl", "UpToDate").await;
    assert_eq!(pods(&world).await.get("lake-fe-0"), before.get("lake-fe-0"));
    operator.stop().await;
}
