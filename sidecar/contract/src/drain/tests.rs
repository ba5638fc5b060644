use std::time::Duration;

use super::{
    DrainRequest, NodeState, NodeStatus, REDIRECT_LINGER, drain_key, is_drain_key, longest_commit, longest_work,
};

fn drained() -> NodeStatus {
    NodeStatus {
        state: NodeState::Draining,
        observed_by_frontend: true,
        running_fragments: 0,
        running_loads: 0,
        cut_off: false,
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
        r#"{"state":"Draining","observedByFrontend":true,"runningFragments":0,"runningLoads":0,"cutOff":false}"#
    );
}

#[test]
fn what_began_just_before_a_drain_ends_before_it_gives_up() {
    let bound = |seconds| longest_work(Duration::from_secs(seconds)).map(|longest| longest.as_secs());
    assert_eq!(
        [bound(0), bound(20), bound(40), bound(600), bound(86_400)],
        [None, Some(15), Some(30), Some(588), Some(86_388)]
    );
    // A load may begin as late as that, and the frontend and the sidecar must see its end.
    for seconds in 48..86_400 {
        let timeout = Duration::from_secs(seconds);
        assert!(
            timeout - longest_work(timeout).unwrap() >= REDIRECT_LINGER + Duration::from_secs(4),
            "{seconds} s"
        );
    }
}

#[test]
fn a_status_of_an_older_engine_is_read() {
    let old = r#"{"state":"Draining","observedByFrontend":true,"runningFragments":0,"runningLoads":0}"#;
    assert_eq!(serde_json::from_str::<NodeStatus>(old).unwrap(), drained());
}

/// The sidecar and the engine of a pod are of different releases where one of the images is another one.
#[test]
fn what_a_later_release_says_more_is_passed_over() {
    let later = r#"{"state":"Draining","invented":{"later":[1]},"observedByFrontend":true,"runningFragments":0,"runningLoads":0,"cutOff":false}"#;
    assert_eq!(serde_json::from_str::<NodeStatus>(later).unwrap(), drained());
    let request: DrainRequest = serde_json::from_str(r#"{"reason":"preStop","invented":1}"#).unwrap();
    assert_eq!(request.reason, "preStop");
}

#[test]
fn a_commit_that_nobody_answers_ends_before_the_drain_does() {
    for seconds in [1, 8, 20, 60, 600, 86_400] {
        let timeout = Duration::from_secs(seconds);
        let (work, commit) = (longest_work(timeout).unwrap(), longest_commit(timeout).unwrap());
        assert!(work < commit && commit < timeout, "{seconds} s: {work:?}, {commit:?}");
    }
    assert_eq!(longest_commit(Duration::ZERO), None);
}
