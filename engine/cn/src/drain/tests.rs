use std::time::Duration;

use springtide_model::{ClusterId, Epoch, NodeId};
use springtide_rpc::message::{HeartbeatRequest, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};
use uuid::Uuid;

use super::{Fenced, Node};

fn cluster(n: u128) -> ClusterId {
    ClusterId(Uuid::from_u128(n))
}

fn heartbeat(cluster_id: ClusterId, epoch: u64) -> HeartbeatRequest {
    HeartbeatRequest {
        cluster_id,
        epoch: Epoch(epoch),
        node_id: NodeId(7),
        frontend_rpc_url: "http://fe:9020".into(),
        known_draining: false,
        settled: false,
        cut_off: false,
        protocol: PROTOCOL_VERSION,
    }
}

/// A heartbeat of a frontend that has read that the node drains, and has nothing on its way to it any more.
fn heartbeat_that_knows(cluster_id: ClusterId) -> HeartbeatRequest {
    HeartbeatRequest {
        known_draining: true,
        settled: true,
        ..heartbeat(cluster_id, 1)
    }
}

#[test]
fn a_drain_is_observed_only_when_the_frontend_says_that_it_knows() {
    let node = Node::new(cluster(1));
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(false));
    node.set_draining(true);
    assert!(!node.status(0).is_drained(), "the frontend may still send work");
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(true));
    assert!(!node.status(0).is_drained(), "the answer may be on its way, or lost");
    assert_eq!(node.heartbeat(&heartbeat_that_knows(cluster(1))), Ok(true));
    assert!(node.status(0).is_drained());
    node.set_draining(true);
    assert!(node.status(0).is_drained(), "draining again is not a new drain");
}

#[test]
fn a_client_that_was_sent_here_a_moment_before_the_drain_is_served() {
    let node = Node::new(cluster(1));
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(false));
    node.set_draining(true);
    assert!(!node.refuses_loads());
    let on_their_way = HeartbeatRequest {
        settled: false,
        ..heartbeat_that_knows(cluster(1))
    };
    assert_eq!(node.heartbeat(&on_their_way), Ok(true));
    assert!(!node.refuses_loads() && !node.status(0).is_drained());
    assert_eq!(node.heartbeat(&heartbeat_that_knows(cluster(1))), Ok(true));
    assert!(node.refuses_loads() && node.status(0).is_drained());
}

#[test]
fn a_node_with_work_is_not_drained() {
    let node = Node::new(cluster(1));
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(false));
    node.set_draining(true);
    assert_eq!(node.heartbeat(&heartbeat_that_knows(cluster(1))), Ok(true));
    assert!(!node.status(1).is_drained());
    let load = node.begin_load();
    assert!(!node.status(0).is_drained());
    drop(load);
    assert!(node.status(0).is_drained());
}

#[test]
fn a_node_that_goes_before_any_frontend_has_heard_of_it_does_not_wait_for_one() {
    let node = Node::new(cluster(1));
    node.set_draining(true);
    assert!(node.status(0).is_drained());
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(true));
    assert!(!node.status(0).is_drained(), "now there is one that has to know");
}

#[test]
fn a_drain_counts_from_its_first_order_until_it_is_cancelled() {
    let (node, a_while) = (Node::new(cluster(1)), Duration::from_millis(20));
    assert_eq!(node.drains_for(), Duration::ZERO);
    node.set_draining(true);
    std::thread::sleep(a_while);
    node.set_draining(true);
    assert!(node.drains_for() >= a_while);
    node.set_draining(false);
    assert_eq!(node.drains_for(), Duration::ZERO);
}

#[test]
fn a_cancelled_drain_takes_work_again() {
    let node = Node::new(cluster(1));
    node.set_draining(true);
    node.set_draining(false);
    assert!(!node.status(0).is_drained());
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 1)), Ok(false));
    assert!(!node.status(0).is_drained());
}

#[test]
fn a_frontend_of_another_cluster_is_refused() {
    let node = Node::new(cluster(1));
    let refused = node.heartbeat(&heartbeat(cluster(2), 1));
    assert_eq!(
        refused,
        Err(Fenced::ForeignCluster {
            ours: cluster(1),
            theirs: cluster(2)
        })
    );
    assert_eq!(node.frontend(), None);
}

#[test]
fn a_frontend_of_an_abandoned_timeline_is_refused() {
    let node = Node::new(cluster(1));
    assert_eq!(node.heartbeat(&heartbeat(cluster(1), 2)), Ok(false));
    let stale = Err(Fenced::StaleEpoch {
        ours: Epoch(2),
        theirs: Epoch(1),
    });
    assert_eq!(node.check_epoch(Epoch(1)), stale);
    assert_eq!(node.check_epoch(Epoch(2)), Ok(()));
}

#[test]
fn a_node_that_is_not_waited_for_says_so_while_its_frontend_does() {
    let node = Node::new(cluster(1));
    node.set_draining(true);
    let forced = HeartbeatRequest {
        cut_off: true,
        ..heartbeat(cluster(1), 1)
    };
    node.heartbeat(&forced).unwrap();
    assert!(node.status(3).cut_off && !node.status(3).is_drained());
    node.heartbeat(&heartbeat(cluster(1), 1)).unwrap();
    assert!(!node.status(3).cut_off);
}

#[test]
fn a_frontend_that_is_too_old_is_told_so_and_a_newer_one_is_answered() {
    let node = Node::new(cluster(1));
    let of_version = |protocol| HeartbeatRequest {
        protocol,
        ..heartbeat(cluster(1), 1)
    };
    let theirs = OLDEST_PROTOCOL_VERSION - 1;
    let refused = node.heartbeat(&of_version(theirs)).unwrap_err();
    assert_eq!(refused, Fenced::FrontendTooOld { theirs });
    assert!(refused.to_string().ends_with("upgrade the frontend"), "{refused}");
    assert_eq!(node.frontend(), None);
    assert_eq!(node.heartbeat(&of_version(PROTOCOL_VERSION + 1)), Ok(false));
}
