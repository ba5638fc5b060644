//! Of two replicas one acts; when it goes, the other takes over.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use springtide_controller::settings::Settings;

use crate::harness::world::World;

fn leases(world: &World) -> Api<Lease> {
    Api::namespaced(world.client.clone(), &world.operator_namespace())
}

async fn holder(world: &World) -> Option<String> {
    let lease = leases(world).get_opt("springtide-operator").await.unwrap()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

#[tokio::test]
async fn the_second_replica_takes_over_from_one_that_crashed() {
    let world = World::new().await;
    // Long enough that a busy machine does not make the first one lose it.
    let named = |name: &'static str| {
        move |settings: &mut Settings| {
            settings.pod_name = name.to_owned();
            settings.lease_seconds = 15;
        }
    };
    let first = world.operator_with(named("first"));
    world
        .eventually("the first leads", || async {
            holder(&world).await?.starts_with("first_").then_some(())
        })
        .await;
    let second = world.operator_with(named("second"));
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    assert!(holder(&world).await.unwrap().starts_with("first_"));
    first.crash().await;
    world
        .eventually("the second leads", || async {
            holder(&world).await?.starts_with("second_").then_some(())
        })
        .await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    second.stop().await;
    assert_eq!(holder(&world).await, None, "a replica that stops gives the lease back");
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_stops() {
    let world = World::new().await;
    let operator = world.operator();
    world.eventually("it leads", || holder(&world)).await;
    // Several times, as its own renewal may come in between.
    world
        .eventually("it stops", || async {
            let usurped = json!({"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 60}});
            leases(&world)
                .patch("springtide-operator", &PatchParams::default(), &Patch::Merge(usurped))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            (operator.losses() > 0).then_some(())
        })
        .await;
}
