use std::{sync::Arc, time::Duration};

use springtide_model::{ComputeNode, NodeId};
use springtide_rpc::message::{HeartbeatReply, PROTOCOL_VERSION, PlanVersions};

use super::{DrainState, NodeView, Patience};

/// A node whose drain lasts so many seconds.
fn node(drain: DrainState, drain_timeout_s: u64) -> NodeView {
    NodeView {
        address: None,
        node: Arc::new(ComputeNode {
            id: NodeId(7),
            host: "cn-0.cn".into(),
            heartbeat_port: 9050,
            warehouse: "w".into(),
        }),
        alive: true,
        drain,
        order: None,
        drains_for: None,
        routes: Vec::new(),
        last_heartbeat_ms: Some(1),
        last_start_ms: Some(1),
        err_msg: String::new(),
        reply: Some(HeartbeatReply {
            version: "test".to_owned(),
            start_time_ms: 1,
            draining: drain == DrainState::Leaving,
            http_port: 1,
            worker_port: 2,
            cpu_cores: 4,
            memory_limit_bytes: 1 << 30,
            memory_used_bytes: 0,
            running_fragments: 1,
            running_loads: 0,
            drain_timeout_s,
            protocol: PROTOCOL_VERSION,
            plans: PlanVersions::default(),
        }),
    }
}

const TEN_MINUTES_S: u64 = 600;

fn seconds(patience: Patience, nodes: &[NodeView]) -> u64 {
    patience.amid(nodes).as_secs()
}

#[test]
fn statements_and_loads_outlast_the_drain_of_the_only_node() {
    let statement = Patience::AtLeast(Duration::from_secs(300));
    for patience in [statement, Patience::STREAM_LOAD] {
        for drain in [DrainState::Leaving, DrainState::Draining, DrainState::Drained] {
            assert_eq!(
                seconds(patience, &[node(drain, TEN_MINUTES_S)]),
                TEN_MINUTES_S + 60,
                "{patience:?} {drain:?}"
            );
        }
    }
    // The pod that is gone, and whose successor has not come: its last word counts.
    let gone = NodeView {
        alive: false,
        err_msg: "heartbeat failed".to_owned(),
        ..node(DrainState::Leaving, TEN_MINUTES_S)
    };
    assert_eq!(seconds(statement, &[gone]), TEN_MINUTES_S + 60);
}

#[test]
fn the_longest_drain_counts_and_none_makes_a_wait_shorter() {
    let statement = Patience::AtLeast(Duration::from_secs(300));
    assert_eq!(
        seconds(
            statement,
            &[
                node(DrainState::Leaving, 400),
                node(DrainState::Draining, TEN_MINUTES_S),
                node(DrainState::None, 10 * TEN_MINUTES_S)
            ]
        ),
        TEN_MINUTES_S + 60
    );
    assert_eq!(seconds(statement, &[node(DrainState::Leaving, 8)]), 300);
    assert_eq!(seconds(Patience::STREAM_LOAD, &[node(DrainState::Leaving, 0)]), 60);
    assert_eq!(seconds(statement, &[node(DrainState::None, TEN_MINUTES_S)]), 300);
    assert_eq!(seconds(Patience::STREAM_LOAD, &[]), 60);
    let silent = NodeView {
        reply: None,
        ..node(DrainState::Draining, TEN_MINUTES_S)
    };
    assert_eq!(seconds(statement, &[silent]), 300);
}

#[test]
fn who_has_said_how_long_to_wait_waits_no_longer() {
    let said = Patience::Exactly(Duration::from_secs(5));
    assert_eq!(seconds(said, &[node(DrainState::Leaving, TEN_MINUTES_S)]), 5);
}

#[test]
fn a_drain_without_an_end_is_no_overflow() {
    assert_eq!(
        Patience::STREAM_LOAD.amid(&[node(DrainState::Leaving, u64::MAX)]),
        Duration::from_secs(u64::MAX).saturating_add(Duration::from_secs(60))
    );
}

/// A group that slept through a change of its `drain.timeout` still had the old one count for the statement that woke it.
#[test]
fn a_node_that_is_away_bounds_no_statement() {
    let there = node(DrainState::None, 40);
    assert_eq!(there.longest_statement(), Some(Duration::from_secs(30)));
    let away = NodeView { alive: false, ..there };
    assert_eq!(away.longest_statement(), None);
    assert_eq!(node(DrainState::None, 0).longest_statement(), None);
}
