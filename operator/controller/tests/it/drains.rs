//! Nodes that leave one by one, by what the frontend says of them.

use serde_json::json;
use springtide_crds::{ComputeGroup, compute_group::DrainPhase};

use crate::{harness::world::World, updates::pods};

fn drains(world: &World) -> Vec<String> {
    let changes = world.frontend.changes();
    changes.into_iter().filter(|change| change.contains("DRAIN")).collect()
}

#[tokio::test]
async fn a_busy_node_stays_until_it_is_idle_and_serves_again_when_it_is_wanted_again() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    let busy = |is_busy: bool| {
        let mut catalog = world.frontend.catalog.lock().unwrap();
        if is_busy {
            catalog.busy.insert("etl-cn-1".to_owned());
        } else {
            catalog.busy.clear();
        }
    };
    busy(true);
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 1}}))
        .await;
    let waiting = world
        .eventually("it waits", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            let node = status.draining.first()?.clone();
            node.waiting_for.as_ref()?.contains("connection").then_some(node)
        })
        .await;
    assert_eq!(waiting.node, "etl-cn-1");

    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 2}}))
        .await;
    world.group_serves("etl", 2).await;
    let orders = drains(&world);
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert!(
        orders[1].starts_with("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE"),
        "{orders:?}"
    );

    busy(false);
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 1}}))
        .await;
    world.group_serves("etl", 1).await;
    assert_eq!(drains(&world).len(), 3);
    operator.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_finish_is_let_go_by_the_frontend_first_and_an_event_says_what_was_cut_off() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    let drain = json!({"timeout": "10s", "onTimeout": "Force"});
    world
        .make_group("etl", "lake", json!({"replicas": 3, "drain": drain}))
        .await;
    world.group_serves("etl", 3).await;
    {
        let mut catalog = world.frontend.catalog.lock().unwrap();
        catalog.busy.extend(["etl-cn-1".to_owned(), "etl-cn-2".to_owned()]);
        catalog.orders_last = Some(20);
    }
    let began = std::time::Instant::now();
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"replicas": 1}}))
        .await;
    world.group_serves("etl", 1).await;
    assert!(began.elapsed() >= std::time::Duration::from_secs(10));
    let orders = drains(&world);
    let forced = orders.iter().position(|order| order.ends_with("FORCE")).unwrap();
    assert!(
        forced >= 2 && orders[forced..].iter().all(|order| order.ends_with("FORCE")),
        "orders that soon lapse are given again, and the last ones let it go: {orders:?}"
    );
    // One of each node, although both are about the same group for the same reason.
    for node in ["etl-cn-1", "etl-cn-2"] {
        let text = format!(
            "node {node} is let go after drain.timeout 10 s, and what runs there of this is cut off: statement of connection 17"
        );
        world
            .eventually("an Event says what was cut off", || {
                world.is_told(Some("DrainForced"), &text)
            })
            .await;
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_statement_that_waits_wakes_a_group_that_sleeps() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_sleeper("etl").await;
    world.statements_wait("etl", 1);
    world.group_serves("etl", 1).await;
    let group = world.get::<ComputeGroup>("etl").await.unwrap();
    assert_eq!(group.spec.replicas, 1, "by the scale subresource");
    operator.stop().await;
}

/// Statements of a burst are through before the nodes that they asked for are there; the next burst finds them.
#[tokio::test]
async fn nodes_that_a_burst_asked_for_come_though_its_line_is_gone_by_the_next_look() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world
        .make_group("etl", "lake", json!({"replicas": 1, "autoscaling": {"maxReplicas": 6}}))
        .await;
    world.group_serves("etl", 1).await;
    let queue = || std::mem::take(&mut world.frontend.catalog.lock().unwrap().queued);
    let line = ("etl".to_owned(), (48, 4));
    world.frontend.catalog.lock().unwrap().queued.extend([line]);
    world
        .eventually("the size grows", || async {
            (world.wanted("etl").await == Some(4)).then_some(())
        })
        .await;
    queue();
    world.group_serves("etl", 4).await;
    let group = world.get::<ComputeGroup>("etl").await.unwrap();
    let demand = group.status.and_then(|status| status.demand);
    assert_eq!(demand.map(|demand| demand.nodes), Some(4));
    operator.stop().await;
}

#[tokio::test]
async fn a_fenced_node_gets_no_work_while_its_pod_stays_and_serves_again_when_the_fence_is_taken_away() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 2})).await;
    world.group_serves("etl", 2).await;
    let before = pods(&world).await;
    let fence = |names: Option<&str>| json!({"metadata": {"annotations": {"springtide.dev/fenced": names}}});

    world.merge::<ComputeGroup>("etl", fence(Some("etl-cn-0"))).await;
    world
        .eventually("it is drained, and said to be fenced", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            let is_drained = status
                .draining
                .iter()
                .any(|node| node.node == "etl-cn-0" && node.phase == DrainPhase::Drained);
            let told = status.conditions.into_iter().find(|told| told.type_ == "Ready")?;
            (is_drained && told.reason == "Fenced").then_some(())
        })
        .await;
    let orders = drains(&world);
    assert!(
        orders.len() == 1 && orders[0].starts_with("ALTER SYSTEM DRAIN"),
        "{orders:?}"
    );
    assert_eq!(
        world.wanted("etl").await,
        Some(2),
        "no pod is taken for one that leaves"
    );
    assert_eq!(pods(&world).await, before);

    world.merge::<ComputeGroup>("etl", fence(None)).await;
    world.group_serves("etl", 2).await;
    let orders = drains(&world);
    assert!(
        orders.len() == 2 && orders[1].starts_with("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE"),
        "{orders:?}"
    );
    assert_eq!(pods(&world).await, before);
    operator.stop().await;
}
