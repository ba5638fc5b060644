//! What is left when the operator goes for good.

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::{apps::v1::StatefulSet, autoscaling::v2::HorizontalPodAutoscaler};
use kube::ResourceExt;
use serde_json::json;
use springtide_controller::uninstall::{Left, uninstall};
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::world::{Running, World};

async fn size(world: &World) -> Option<i32> {
    world.get::<StatefulSet>("etl-cn").await?.spec?.replicas
}

/// A world with a cluster and an operator, in which windows that open at eight are open.
async fn after_eight() -> (World, Running) {
    let world = World::alone().await;
    let opens = "2030-06-03T08:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap();
    world.clock.set(opens + TimeDelta::minutes(30));
    let operator = world.operator();
    world.make_cluster("lake").await;
    (world, operator)
}

/// Everything that is deleted goes, although nobody looks after it any more.
async fn nothing_hangs(world: &World) {
    world.delete::<ComputeGroup>("etl").await;
    world.delete::<LakeCluster>("lake").await;
    world
        .eventually("both are gone", || async {
            let group = world.get::<ComputeGroup>("etl").await;
            let lake = world.get::<LakeCluster>("lake").await;
            (group.is_none() && lake.is_none()).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_window_that_is_open_when_the_operator_is_uninstalled_does_not_stay_open_for_ever() {
    let (world, operator) = after_eight().await;
    let window =
        json!({"name": "morning", "start": "0 8 * * *", "duration": "2h", "timeZone": "Etc/UTC", "minReplicas": 4});
    let autoscaling = json!({"maxReplicas": 5});
    world
        .make_group(
            "etl",
            "lake",
            json!({"replicas": 1, "schedules": [window], "autoscaling": autoscaling}),
        )
        .await;
    world.group_serves("etl", 4).await;
    operator.crash().await;
    let namespaces = [world.namespace.clone()];
    let left = uninstall(&world.client, &namespaces).await.unwrap();
    let expected = Left {
        resized: 1,
        autoscalers: 1,
        finalizers: 2,
    };
    assert_eq!((left, size(&world).await), (expected, Some(1)));
    assert!(world.get::<HorizontalPodAutoscaler>("etl-cn").await.is_none());
    let group = world.get::<ComputeGroup>("etl").await.unwrap();
    assert_eq!((group.spec.replicas, group.finalizers()), (1, &[] as &[String]));
    let again = uninstall(&world.client, &namespaces).await.unwrap();
    assert_eq!(again, Left::default(), "doing it twice changes nothing more");
    nothing_hangs(&world).await;
}

/// Pods that nobody makes known to a frontend would use the department's quota and serve nobody.
#[tokio::test]
async fn a_group_that_a_window_keeps_small_does_not_grow_when_the_operator_is_uninstalled() {
    let (world, operator) = after_eight().await;
    let window =
        json!({"name": "budget", "start": "0 8 * * *", "duration": "2h", "timeZone": "Etc/UTC", "maxReplicas": 1});
    world
        .make_group("etl", "lake", json!({"replicas": 3, "schedules": [window]}))
        .await;
    world.group_serves("etl", 1).await;
    operator.crash().await;
    let left = uninstall(&world.client, std::slice::from_ref(&world.namespace))
        .await
        .unwrap();
    assert_eq!((left.resized, size(&world).await), (0, Some(1)));
    nothing_hangs(&world).await;
}

#[tokio::test]
async fn a_drain_that_runs_when_the_operator_is_uninstalled_ends_by_the_pods_own_hooks() {
    let world = World::alone().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 3})).await;
    world.group_serves("etl", 3).await;
    world
        .frontend
        .catalog
        .lock()
        .unwrap()
        .busy
        .insert("etl-cn-2".to_owned());
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 1}}))
        .await;
    world
        .eventually("the drain is ordered and holds", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            let waits = |node: &springtide_crds::compute_group::DrainingNode| {
                node.waiting_for.as_deref() == Some("statement of connection 17")
            };
            status.draining.iter().any(waits).then_some(())
        })
        .await;
    assert_eq!(
        size(&world).await,
        Some(3),
        "a busy node keeps its pod, and those below it"
    );
    operator.crash().await;
    uninstall(&world.client, std::slice::from_ref(&world.namespace))
        .await
        .unwrap();
    assert_eq!(size(&world).await, Some(1));
    nothing_hangs(&world).await;
}

#[tokio::test]
async fn what_an_autoscaler_wrote_because_of_a_window_does_not_outlive_the_operator() {
    let (world, operator) = after_eight().await;
    let window =
        json!({"name": "morning", "start": "0 8 * * *", "duration": "2h", "timeZone": "Etc/UTC", "minReplicas": 4});
    // No autoscaler runs here; this is what one would have written.
    let spec = json!({"replicas": 4, "schedules": [window], "autoscaling": {"minReplicas": 2, "maxReplicas": 5}});
    world.make_group("etl", "lake", spec).await;
    world.group_serves("etl", 4).await;
    operator.crash().await;
    uninstall(&world.client, std::slice::from_ref(&world.namespace))
        .await
        .unwrap();
    assert_eq!(size(&world).await, Some(2));
    nothing_hangs(&world).await;
}

#[tokio::test]
async fn an_autoscaler_that_was_not_wanted_any_more_does_not_size_a_group_for_ever() {
    let world = World::alone().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    let spec = json!({"replicas": 1, "autoscaling": {"maxReplicas": 5}});
    world.make_group("etl", "lake", spec).await;
    world.group_serves("etl", 1).await;
    operator.crash().await;
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"autoscaling": null}}))
        .await;
    let left = uninstall(&world.client, std::slice::from_ref(&world.namespace))
        .await
        .unwrap();
    assert_eq!(left.autoscalers, 1);
    assert!(world.get::<HorizontalPodAutoscaler>("etl-cn").await.is_none());
    nothing_hangs(&world).await;
}
