//! Compute nodes, played by a server of this test.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use springtide_fe::core::{Core, NodeView};
use springtide_rpc::message::{HEARTBEAT, HeartbeatReply, HeartbeatRequest};
use tokio::net::TcpListener;

use super::fixture::Cluster;

/// What the node says next; `None` is an error.
type Script = Arc<Mutex<Option<HeartbeatReply>>>;

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
    until(&core, "draining", |node| node.alive && node.draining).await;
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
