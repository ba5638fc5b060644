//! An operator that dies at any moment leaves something from which the next one arrives at the same end.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use springtide_crds::ComputeGroup;

use crate::{
    harness::{
        faults::Faults,
        world::{Running, World},
    },
    lifecycle::scale,
};

#[tokio::test]
async fn crashes_at_random_moments_converge() {
    let seed = std::env::var("SPRINGTIDE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("SPRINGTIDE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    let mut wanted = 1;
    for round in 0..10 {
        // It would wait for the lease of the one that crashed, so each round has a lease of its own.
        let namespace = world.another_operator_namespace(round).await;
        let operator = world.operator_with(|settings| settings.pod_namespace = namespace);
        world.share_password().await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        operator.crash().await;
        if random.random_bool(0.6) {
            wanted = random.random_range(0..5);
            scale(&world, "etl", wanted).await;
        }
    }
    if random.random_bool(0.5) {
        world.delete::<ComputeGroup>("etl").await;
        let operator = world.operator();
        world
            .eventually("the group is gone", || async {
                world.get::<ComputeGroup>("etl").await.is_none().then_some(())
            })
            .await;
        world.make_group("etl", "lake", json!({"replicas": wanted})).await;
        world.group_serves("etl", wanted).await;
        operator.stop().await;
    } else {
        let operator = world.operator();
        world.group_serves("etl", wanted).await;
        world.settle().await;
        operator.stop().await;
    }
}

#[tokio::test]
async fn others_who_write_all_the_time_do_not_keep_it_from_converging() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 3})).await;
    let (groups, sets) = (world.api::<ComputeGroup>(), world.api::<StatefulSet>());
    let others = tokio::spawn(async move {
        for round in 0_u64.. {
            let patch = json!({"metadata": {"annotations": {"round": round.to_string()}}});
            let _absent = groups
                .patch("etl", &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            let _absent = sets
                .patch("etl-cn", &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    world.group_serves("etl", 3).await;
    scale(&world, "etl", 1).await;
    world.group_serves("etl", 1).await;
    scale(&world, "etl", 4).await;
    world.group_serves("etl", 4).await;
    others.abort();
    world.delete::<ComputeGroup>("etl").await;
    world
        .eventually("the group is gone", || async {
            world.get::<ComputeGroup>("etl").await.is_none().then_some(())
        })
        .await;
    operator.stop().await;
}

/// A group that serves, of an operator that has stopped.
async fn made_by_another(world: &World) {
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    operator.stop().await;
}

/// An operator that has looked once, and whose watch of these objects is far longer behind than anybody waits here.
async fn behind(world: &World, path: &'static str) -> Running {
    let lag = Faults::lagging_behind(path, Duration::from_secs(600));
    let operator = world.operator_through(&lag, 1).await;
    let looks = || world.looks().get("ComputeGroup").copied().unwrap_or_default();
    let before = looks();
    world
        .eventually("the operator has looked", || async { (looks() > before).then_some(()) })
        .await;
    operator
}

#[tokio::test]
async fn no_pods_are_made_anew_for_a_group_whose_deletion_nobody_told_of() {
    let world = World::new().await;
    made_by_another(&world).await;
    let operator = behind(&world, "/computegroups").await;
    let failures = || -> u64 {
        let text = world.metrics.render();
        let of_groups = |line: &&str| line.starts_with("springtide_reconciles_total{kind=\"ComputeGroup\"");
        let failed = text
            .lines()
            .filter(of_groups)
            .filter(|line| !line.contains("outcome=\"ok\""));
        failed
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let before = failures();
    // Another operator has let it go.
    world
        .merge::<ComputeGroup>("etl", json!({"metadata": {"finalizers": []}}))
        .await;
    world.delete::<ComputeGroup>("etl").await;
    world.delete::<StatefulSet>("etl-cn").await;
    world
        .eventually("the operator would make it anew, and does not", || async {
            assert!(
                world
                    .get::<StatefulSet>("etl-cn")
                    .await
                    .is_none_or(|set| set.metadata.deletion_timestamp.is_some())
            );
            (failures() > before).then_some(())
        })
        .await;
    operator.stop().await;
}

/// A window that opens meanwhile would be late for as long.
#[tokio::test]
async fn a_size_does_not_wait_for_a_watch_that_is_behind() {
    let world = World::new().await;
    made_by_another(&world).await;
    let operator = behind(&world, "/statefulsets").await;
    // What it has read of the StatefulSet is from before this.
    let patch = json!({"metadata": {"annotations": {"of": "somebody"}}});
    world
        .api::<StatefulSet>()
        .patch("etl-cn", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    scale(&world, "etl", 3).await;
    world.group_serves("etl", 3).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_statement_does_not_wait_for_a_watch_that_is_behind() {
    let world = World::new().await;
    let first = world.operator();
    world.make_sleeper("etl").await;
    world.settle().await;
    first.stop().await;
    let operator = behind(&world, "/computegroups").await;
    // What it has read of the group is from before this.
    world
        .merge::<ComputeGroup>("etl", json!({"metadata": {"annotations": {"of": "somebody"}}}))
        .await;
    world.statements_wait("etl", 1);
    world
        .eventually("it is awake", || async {
            let group = world.get::<ComputeGroup>("etl").await?;
            (group.spec.replicas == 1).then_some(())
        })
        .await;
    operator.stop().await;
}
