#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use serde_json::json;

use super::*;
use crate::report::collected::{Listed, Log, Unread};

fn listed(plural: &'static str, objects: Value) -> Listed {
    let Value::Array(objects) = objects else {
        panic!("{objects}");
    };
    Listed {
        folder: Folder::Namespace("retail".to_owned()),
        plural,
        objects,
    }
}

fn of(listed: Vec<Listed>) -> Collected {
    Collected {
        scope: "namespace retail".to_owned(),
        at: "2026-11-23T08:30:00Z".parse().unwrap(),
        listed,
        ..Collected::default()
    }
}

#[track_caller]
fn check(plural: &'static str, object: Value, expected: &[&str]) {
    assert_eq!(troubles(&of(vec![listed(plural, json!([object]))])), expected);
}

#[test]
fn what_is_wrong_comes_first_and_the_custom_resources_before_all() {
    let collected = of(vec![
        listed(
            "pods",
            json!([{"metadata": {"namespace": "retail", "name": "etl-cn-0"}, "status": {"phase": "Failed"}}]),
        ),
        listed(
            "lakeclusters",
            json!([{
                "metadata": {"namespace": "retail", "name": "lake"},
                "status": {"conditions": [
                    {"type": "Accepted", "status": "True", "reason": "Valid"},
                    {"type": "Available", "status": "Unknown", "reason": "NoLeader", "message": "no frontend\nanswers"},
                ]},
            }]),
        ),
    ]);
    let text = render(&collected);
    let (cluster, pod) = (
        text.find("- LakeCluster retail/lake: Available is Unknown, NoLeader: no frontend answers\n")
            .unwrap(),
        text.find("- Pod retail/etl-cn-0: Failed\n").unwrap(),
    );
    assert!(
        text.starts_with("# Springtide report: namespace retail, 2026-11-23 08:30:00 UTC\n"),
        "{text}"
    );
    assert!(
        text.find("## What is wrong").unwrap() < cluster
            && cluster < pod
            && pod < text.find("## What is here").unwrap()
    );
    assert!(!text.contains("Accepted"), "{text}");
}

#[test]
fn where_nothing_is_wrong_it_says_so() {
    let text = render(&of(Vec::new()));
    for says in [
        "Nothing that was read says so.",
        "None.",
        "Everything could.",
        "Kubernetes ?",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
}

#[test]
fn what_was_read_and_what_was_not_is_told() {
    let mut collected = of(vec![listed("pods", json!([{}, {}])), listed("services", json!([]))]);
    collected.logs.push(Log {
        folder: Folder::Namespace("retail".to_owned()),
        pod: "p".to_owned(),
        container: "c".to_owned(),
        is_previous: false,
        text: String::new(),
    });
    collected.unread.push(Unread {
        what: "nodes".to_owned(),
        why: "forbidden".to_owned(),
    });
    assert_eq!(
        contents(&collected),
        [
            "status.txt: what `kubectl springtide status` shows",
            "namespaces/retail: 2 pods, 1 logs"
        ]
    );
    let text = render(&collected);
    assert!(
        text.contains("- nodes\n") && text.contains("`errors.txt` says why."),
        "{text}"
    );
}

#[test]
fn each_kind_says_in_its_own_way_that_something_is_wrong() {
    let meta = |name: &str| json!({"namespace": "retail", "name": name});
    check(
        "computegroups",
        json!({"metadata": {"namespace": "retail", "name": "etl", "generation": 3}, "status": {"observedGeneration": 2}}),
        &["ComputeGroup retail/etl: the last change has not been looked at yet: does the operator run?"],
    );
    check(
        "statefulsets",
        json!({"metadata": meta("etl-cn"), "spec": {"replicas": 3}, "status": {"readyReplicas": 1}}),
        &["StatefulSet retail/etl-cn: 1 of 3 pods are ready"],
    );
    check(
        "persistentvolumeclaims",
        json!({"metadata": meta("meta-lake-fe-0"), "status": {"phase": "Pending"}}),
        &["PersistentVolumeClaim retail/meta-lake-fe-0: Pending"],
    );
    check(
        "horizontalpodautoscalers",
        json!({"metadata": meta("etl-cn"), "status": {"conditions": [
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetMetrics", "message": "no metrics"},
            {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange"},
        ]}}),
        &["HorizontalPodAutoscaler retail/etl-cn: ScalingActive is False, FailedGetMetrics: no metrics"],
    );
    check(
        "nodes",
        json!({"metadata": {"name": "n1"}, "spec": {"unschedulable": true}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"},
            {"type": "MemoryPressure", "status": "False"},
        ]}}),
        &["Node n1: Ready is Unknown, NodeStatusUnknown: ", "Node n1: is cordoned"],
    );
    check(
        "pods",
        json!({"metadata": meta("p"), "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
        ], "containerStatuses": [
            {"name": "new", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
            {"name": "bad", "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}},
        ]}}),
        &[
            "Pod retail/p: PodScheduled is False, Unschedulable: 0/3 nodes",
            "Pod retail/p, container bad: waits, ErrImagePull: no such image",
        ],
    );
    check(
        "pods",
        json!({"metadata": meta("done"), "status": {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}}),
        &[],
    );
}

#[test]
fn the_newest_warnings_are_told_with_how_often() {
    let event = |at: &str, kind: &str, count: i32| {
        json!({
            "type": kind, "reason": "BackOff", "message": "restarting", "lastTimestamp": at, "count": count,
            "involvedObject": {"kind": "Pod", "name": "p"},
        })
    };
    let mut events = vec![
        event("2026-11-23T08:00:00Z", "Warning", 7),
        event("2026-11-23T08:10:00Z", "Normal", 1),
    ];
    events.push(event("2026-11-23T08:20:00Z", "Warning", 1));
    let told = warnings(&of(vec![listed("events", Value::from(events))]));
    assert_eq!(
        told,
        [
            "2026-11-23T08:20:00Z namespaces/retail, Pod p: BackOff: restarting",
            "2026-11-23T08:00:00Z namespaces/retail, Pod p: BackOff (7 times): restarting",
        ]
    );
    let many: Vec<Value> = (0..100).map(|_| event("2026-11-23T08:00:00Z", "Warning", 1)).collect();
    let told = warnings(&of(vec![listed("events", Value::from(many))]));
    assert_eq!(told.len(), MOST_WARNINGS + 1);
    assert_eq!(told[MOST_WARNINGS], "70 more in the files events.yaml");
}

#[test]
fn long_messages_are_cut_between_letters() {
    let long = "ä".repeat(MESSAGE_MAX_CHARACTERS + 5);
    assert_eq!(short(&long), format!("{}…", "ä".repeat(MESSAGE_MAX_CHARACTERS)));
    assert_eq!(short(" two\n lines "), "two lines");
}
