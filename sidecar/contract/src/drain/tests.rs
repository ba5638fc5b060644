use super::{NodeState, NodeStatus, drain_key, is_drain_key};

fn drained() -> NodeStatus {
    NodeStatus {
        state: NodeState::Draining,
        observed_by_frontend: true,
        running_fragments: 0,
        running_loads: 0,
    }
}

#[test]
fn the_key_is_fixed_because_it_stands_in_pod_templates() {
    assert_eq!(
        drain_key("secret"),
        "5656e00ffa1e495c1efffc2235c7dfe1a905edc82545301fb03c9ada01b2bca3"
    );
    assert!(is_drain_key(&drain_key("secret"), "secret"));
    for wrong in [
        "",
        "secret",
        &drain_key("Secret"),
        &drain_key("secret").to_uppercase(),
        &drain_key("secret")[..63],
    ] {
        assert!(!is_drain_key(wrong, "secret"), "{wrong}");
    }
}

#[test]
fn a_node_is_drained_when_it_is_draining_seen_and_idle() {
    assert!(drained().is_drained());
    assert!(
        !NodeStatus {
            state: NodeState::Ready,
            ..drained()
        }
        .is_drained()
    );
    assert!(
        !NodeStatus {
            observed_by_frontend: false,
            ..drained()
        }
        .is_drained()
    );
    assert!(
        !NodeStatus {
            running_fragments: 1,
            ..drained()
        }
        .is_drained()
    );
    assert!(
        !NodeStatus {
            running_loads: 1,
            ..drained()
        }
        .is_drained()
    );
}

#[test]
fn the_status_keeps_its_spelling() {
    let json = serde_json::to_string(&drained()).unwrap();
    assert_eq!(
        json,
        r#"{"state":"Draining","observedByFrontend":true,"runningFragments":0,"runningLoads":0}"#
    );
}
