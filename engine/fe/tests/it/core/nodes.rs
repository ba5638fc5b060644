//! Compute nodes, played by a server of this test.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use springtide_contract::drain::REDIRECT_LINGER;
use springtide_fe::core::{Admission, Core, DrainState, NodeView, Patience, Wait};
use springtide_model::NodeId;
use springtide_query::PLAN_VERSION;
use springtide_rpc::message::{
    HEARTBEAT, HeartbeatReply, HeartbeatRequest, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, PlanVersions,
};
use springtide_sql::DrainOrder;
use tokio::net::TcpListener;

use super::fixture::Cluster;

/// What the node says next; `None` is an error.
pub(crate) type Script = Arc<Mutex<Option<HeartbeatReply>>>;

pub(crate) fn reply(http_port: u16) -> HeartbeatReply {
    HeartbeatReply {
        version: "test".to_owned(),
        start_time_ms: 1,
        draining: false,
        http_port,
        worker_port: 2,
        cpu_cores: 4,
        memory_limit_bytes: 1 << 30,
        memory_used_bytes: 0,
        running_fragments: 0,
        running_loads: 0,
        drain_timeout_s: 0,
        protocol: PROTOCOL_VERSION,
        plans: only(PLAN_VERSION),
    }
}

/// Of a node that reads this version alone.
pub(crate) fn only(version: u32) -> PlanVersions {
    PlanVersions {
        oldest: version,
        newest: version,
    }
}

async fn answer(State(script): State<Script>, Json(_): Json<HeartbeatRequest>) -> axum::response::Response {
    match script.lock().unwrap().clone() {
        Some(reply) => Json(reply).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Starts a node; answers its heartbeat port.
pub(crate) async fn start_node(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route(HEARTBEAT, post(answer)).with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

pub(crate) async fn add_node(core: &Core, port: u16, warehouse: &'static str) {
    core.edit(move |catalog| catalog.add_compute_nodes(&[("127.0.0.1".to_owned(), port)], Some(warehouse)))
        .await
        .unwrap();
}

/// The only node, of warehouse `w`: it takes work. Answers what it says next, and its id.
pub(crate) async fn only_node(core: &Core) -> (Script, NodeId) {
    let script: Script = Arc::new(Mutex::new(Some(reply(1))));
    let port = start_node(Arc::clone(&script)).await;
    add_node(core, port, "w").await;
    until(core, "alive", NodeView::is_available).await;
    (script, core.nodes()[0].node.id)
}

/// Waits until the only node looks like this.
pub(crate) async fn until(core: &Core, what: &str, holds: impl Fn(&NodeView) -> bool) {
    for _ in 0..600 {
        if core.nodes().first().is_some_and(&holds) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {what}: {:?}", core.nodes());
}

#[tokio::test]
async fn heartbeats_tell_who_may_get_work() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let script: Script = Arc::new(Mutex::new(Some(reply(1))));
    let port = start_node(Arc::clone(&script)).await;
    add_node(&core, port, "evening").await;
    until(&core, "alive", NodeView::is_available).await;
    assert_eq!(
        (core.workers("evening").len(), core.workers("default_warehouse").len()),
        (1, 0)
    );

    script.lock().unwrap().as_mut().unwrap().draining = true;
    until(&core, "draining", |node| {
        node.alive && node.drain == DrainState::Leaving
    })
    .await;
    assert!(core.workers("evening").is_empty());

    script.lock().unwrap().replace(HeartbeatReply {
        start_time_ms: 2,
        ..reply(1)
    });
    until(&core, "restarted", |node| {
        node.last_start_ms == Some(2) && node.is_available()
    })
    .await;

    script.lock().unwrap().take();
    until(&core, "dead", |node| !node.alive && !node.err_msg.is_empty()).await;
    script.lock().unwrap().replace(reply(1));
    until(&core, "alive again", |node| node.alive && node.err_msg.is_empty()).await;

    core.edit(move |catalog| catalog.drop_compute_nodes(&[("127.0.0.1".to_owned(), port)], None))
        .await
        .unwrap();
    assert!(core.nodes().is_empty());
    core.shutdown().await;
}

#[tokio::test]
async fn a_node_that_a_statement_could_not_reach_gets_no_work_until_it_answers() {
    let mut cluster = Cluster::new();
    cluster.config.frontend.heartbeat_interval_ms = 1500;
    let core = cluster.open().await;
    let port = start_node(Arc::new(Mutex::new(Some(reply(1))))).await;
    add_node(&core, port, "w").await;
    until(&core, "alive", |node| node.alive).await;
    core.report_unreachable(core.nodes()[0].node.id);
    assert!(core.workers("w").is_empty());
    until(&core, "alive again", |node| node.alive).await;
    core.shutdown().await;
}

#[tokio::test]
async fn a_shorter_interval_of_heartbeats_counts_at_once() {
    let mut cluster = Cluster::new();
    cluster.config.frontend.heartbeat_interval_ms = 3_600_000;
    let core = cluster.open().await;
    let script = Arc::new(Mutex::new(Some(reply(1))));
    let port = start_node(Arc::clone(&script)).await;
    add_node(&core, port, "w").await;
    until(&core, "alive", |node| node.alive).await;
    script.lock().unwrap().as_mut().unwrap().draining = true;
    core.change_setting("heartbeatIntervalMs", "50").unwrap();
    until(&core, "its next heartbeat came", |node| {
        node.drain == DrainState::Leaving
    })
    .await;
    core.shutdown().await;
}

#[tokio::test]
async fn an_ordered_drain_ends_when_no_statement_can_reach_the_node_and_can_be_taken_back() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let (script, id) = only_node(&core).await;
    let statement = core.route("w", "statement of connection 7");
    assert_eq!(statement.nodes().len(), 1);

    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    assert!(core.workers("w").is_empty() && core.route("w", "another").nodes().is_empty());
    // The node itself is idle all the while: a statement that is still being planned must hold the drain.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let held = core.nodes().remove(0);
    assert_eq!(held.drain, DrainState::Draining);
    let waited_for: Vec<&str> = held.routes.iter().map(AsRef::as_ref).collect();
    assert_eq!(waited_for, ["statement of connection 7"]);

    script.lock().unwrap().as_mut().unwrap().running_loads = 1;
    drop(statement);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(core.nodes()[0].drain, DrainState::Draining, "a load runs there");
    script.lock().unwrap().as_mut().unwrap().running_loads = 0;
    until(&core, "drained", |node| node.drain == DrainState::Drained).await;

    core.order_drain(&[id], DrainOrder::Cancel).unwrap();
    assert!(core.nodes()[0].is_available(), "taken back, it takes work at once");
    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    assert_eq!(
        core.nodes()[0].drain,
        DrainState::Draining,
        "statements may be on their way again"
    );

    // A process that was started again is not the one that was meant.
    script.lock().unwrap().replace(HeartbeatReply {
        start_time_ms: 2,
        ..reply(1)
    });
    until(&core, "back", NodeView::is_available).await;
    let unknown = core.order_drain(&[id, NodeId(4711)], DrainOrder::Drain).unwrap_err();
    assert!(unknown.to_string().contains("4711"), "{unknown}");
    assert!(core.nodes()[0].is_available(), "nothing was changed");
    core.shutdown().await;
}

#[tokio::test]
async fn a_client_that_was_redirected_to_a_node_is_waited_for_until_its_load_begins_there() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let (script, id) = only_node(&core).await;
    let [comes, never_comes] = {
        let _route = core.route("w", "a Stream Load");
        [core.expect_at(id), core.expect_at(id)]
    };
    let sent = std::time::Instant::now();
    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let held = core.nodes().remove(0);
    let waited_for: Vec<&str> = held.routes.iter().map(AsRef::as_ref).collect();
    assert_eq!(
        (held.drain, waited_for),
        (
            DrainState::Draining,
            vec!["redirected Stream Loads that have not begun: 2"]
        )
    );

    // As the compute node does it: the load counts as running before it is begun.
    script.lock().unwrap().as_mut().unwrap().running_loads = 1;
    core.has_arrived(comes);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = core.nodes().remove(0);
    assert_eq!((held.drain, held.routes.len()), (DrainState::Draining, 1));
    script.lock().unwrap().as_mut().unwrap().running_loads = 0;
    until(&core, "drained", |node| node.drain == DrainState::Drained).await;
    assert!(
        sent.elapsed() >= REDIRECT_LINGER,
        "one of them has not come, and still may"
    );
    core.has_arrived(never_comes);

    // With nobody on the way nothing is waited for.
    core.order_drain(&[id], DrainOrder::Cancel).unwrap();
    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    let ordered = std::time::Instant::now();
    until(&core, "drained at once", |node| node.drain == DrainState::Drained).await;
    assert!(ordered.elapsed() < REDIRECT_LINGER / 2);
    core.shutdown().await;
}

#[tokio::test]
async fn a_load_keeps_all_nodes_from_leaving_until_one_is_chosen_and_that_one_until_it_ends() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    for _ in 0..2 {
        let port = start_node(Arc::new(Mutex::new(Some(reply(1))))).await;
        add_node(&core, port, "w").await;
    }
    until(&core, "both alive", |_| core.workers("w").len() == 2).await;
    let ids: Vec<NodeId> = core.nodes().iter().map(|view| view.node.id).collect();
    let drains = || core.nodes().iter().map(|view| view.drain).collect::<Vec<_>>();
    let mut load = core.route("w", "a Stream Load through the frontend");
    core.order_drain(&ids, DrainOrder::Drain).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(drains(), [DrainState::Draining; 2], "any of them may be chosen");

    load.keep_only(ids[1]);
    until(&core, "the other drained", |node| node.drain == DrainState::Drained).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(drains(), [DrainState::Drained, DrainState::Draining]);
    drop(load);
    until(&core, "both drained", |_| drains() == [DrainState::Drained; 2]).await;
    core.shutdown().await;
}

#[tokio::test]
async fn a_client_that_was_redirected_before_a_frontends_restart_is_waited_for() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let (_script, id) = only_node(&core).await;
    core.shutdown().await;
    let core = cluster.open().await;
    until(&core, "alive", NodeView::is_available).await;
    core.order_drain(&[id], DrainOrder::Drain).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(core.nodes()[0].drain, DrainState::Draining);
    until(&core, "drained", |node| node.drain == DrainState::Drained).await;
    core.shutdown().await;
}

#[tokio::test]
async fn a_node_that_does_not_read_this_frontends_plans_is_alive_and_gets_loads_alone_until_it_does() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let script: Script = Arc::new(Mutex::new(Some(reply(1))));
    add_node(&core, start_node(Arc::clone(&script)).await, "w").await;
    for (plans, why) in [
        (
            only(PLAN_VERSION - 1),
            format!("this frontend writes {PLAN_VERSION}; upgrade the node first"),
        ),
        (
            only(PLAN_VERSION + 1),
            format!("this frontend writes {PLAN_VERSION}; upgrade the frontend"),
        ),
    ] {
        script.lock().unwrap().as_mut().unwrap().plans = plans;
        let told = format!("reads plans of {plans}, {why}");
        until(&core, "told", |node| node.alive && node.err_msg == told).await;
        assert_eq!(core.load_route("w", "a Stream Load").nodes().len(), 1);
        assert!(core.route("w", "a statement").nodes().is_empty() && core.workers("w").is_empty());
        let said = Patience::Exactly(Duration::from_millis(50));
        let waited = core.admit("w", "a statement", said, |_, _| {}).await;
        assert!(matches!(waited, Admission::TimedOut(Wait::AllAway)), "{waited:?}");
        let advice = core.instead_of("w", "SET warehouse to");
        assert!(
            advice.starts_with(&format!("compute node 127.0.0.1 {told}; none of its 1")),
            "{advice}"
        );
    }

    let waiter = core.clone();
    let patience = Patience::Exactly(Duration::from_secs(30));
    let waits = tokio::spawn(async move { waiter.admit("w", "a statement", patience, |_, _| {}).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waits.is_finished(), "it waits as for a node that is away");
    script.lock().unwrap().as_mut().unwrap().plans = PlanVersions {
        oldest: PLAN_VERSION - 1,
        newest: PLAN_VERSION + 1,
    };
    let admission = waits.await.unwrap();
    assert!(matches!(admission, Admission::Admitted(_)), "{admission:?}");
    assert!(core.nodes()[0].err_msg.is_empty());
    core.shutdown().await;
}

#[tokio::test]
async fn a_node_that_speaks_too_old_a_version_of_the_messages_gets_nothing_and_a_newer_one_everything() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let (script, _) = only_node(&core).await;
    script.lock().unwrap().as_mut().unwrap().protocol = OLDEST_PROTOCOL_VERSION - 1;
    until(&core, "told", |node| {
        node.alive && node.err_msg.ends_with("upgrade the node first")
    })
    .await;
    assert!(core.load_route("w", "a Stream Load").nodes().is_empty());
    assert!(core.route("w", "a statement").nodes().is_empty());
    script.lock().unwrap().as_mut().unwrap().protocol = PROTOCOL_VERSION + 1;
    until(&core, "taken", NodeView::is_available).await;
    core.shutdown().await;
}

/// What a node of the first release answers to a heartbeat.
const FIRST_RELEASE: &str = r#"{"version":"0.1.0","start_time_ms":1,"draining":false,"http_port":1,"worker_port":2,
    "cpu_cores":4,"memory_limit_bytes":1024,"memory_used_bytes":0,"running_fragments":0,"running_loads":0}"#;

#[tokio::test]
async fn a_node_of_the_first_release_and_one_of_a_later_one_get_work() {
    let later = FIRST_RELEASE.replacen(
        '{',
        r#"{"invented":{"later":[1]},"plans":{"oldest":1,"newest":9,"hint":0},"#,
        1,
    );
    let cluster = Cluster::new();
    let core = cluster.open().await;
    for (answer, warehouse) in [(FIRST_RELEASE.to_owned(), "first"), (later, "later")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let says = move || std::future::ready(([("content-type", "application/json")], answer.clone()));
        let router = Router::new().route(HEARTBEAT, post(says));
        tokio::spawn(async move { axum::serve(listener, router).await });
        add_node(&core, port, warehouse).await;
    }
    until(&core, "both available", |_| {
        core.nodes().iter().all(NodeView::is_available)
    })
    .await;
    core.shutdown().await;
}
