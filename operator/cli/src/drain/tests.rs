use serde_json::json;
use springtide_crds::ComputeGroup;
use springtide_plan::{ComputeNodeRow, sql::DrainState};

use super::render;

fn group(drain: &serde_json::Value) -> ComputeGroup {
    serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "etl", "namespace": "retail"},
        "spec": {"cluster": "lake", "replicas": 11, "drain": drain},
    }))
    .unwrap()
}

fn node(pod: &str, drain: DrainState, waiting_for: &str) -> ComputeNodeRow {
    ComputeNodeRow {
        host: format!("{pod}.etl-cn.retail.svc"),
        alive: drain == DrainState::None,
        drain,
        waiting_for: waiting_for.to_owned(),
        ..ComputeNodeRow::default()
    }
}

#[test]
fn the_highest_numbers_go_first_and_each_says_what_it_would_wait_for() {
    let rows = [
        node("etl-cn-10", DrainState::None, "2 fragments, statement of connection 17"),
        node("etl-cn-2", DrainState::Draining, "1 load"),
        node("etl-cn-9", DrainState::None, ""),
        node("etl-cn-0", DrainState::None, "1 fragment"),
        node("other-cn-3", DrainState::None, "1 fragment"),
        node("etl-cn-1", DrainState::Drained, ""),
    ];
    insta::assert_snapshot!(render(&group(&json!({"timeout": "5m"})), 1, &rows, true));
}

#[test]
fn nodes_that_are_waited_for_without_end_say_so_and_so_do_those_that_are_not() {
    let rows = [node("etl-cn-0", DrainState::None, "1 load")];
    insta::assert_snapshot!("wait", render(&group(&json!({"onTimeout": "Wait"})), 0, &rows, true));
    insta::assert_snapshot!("off", render(&group(&json!({"enabled": false})), 0, &rows, true));
    insta::assert_snapshot!("unknown", render(&group(&json!({})), 0, &rows, false));
    insta::assert_snapshot!("none", render(&group(&json!({})), 3, &rows, true));
}

#[test]
fn a_group_that_sleeps_has_no_node_that_would_go_although_its_first_one_stays_known() {
    let mut asleep = group(&json!({}));
    asleep.status = Some(serde_json::from_value(json!({"replicas": 0, "wantedReplicas": 0})).unwrap());
    let mut first = node("etl-cn-0", DrainState::None, "");
    first.alive = false;
    assert_eq!(
        render(&asleep, 0, &[first], true),
        "etl has 0 nodes: none would go to have 0.\n"
    );
}

/// A group with what the operator found, and nodes of it that run nothing.
fn found(status: &serde_json::Value, nodes: u32) -> (ComputeGroup, Vec<ComputeNodeRow>) {
    let mut group = group(&json!({}));
    group.status = Some(serde_json::from_value(status.clone()).unwrap());
    let rows = (0..nodes).map(|ordinal| node(&format!("etl-cn-{ordinal}"), DrainState::None, ""));
    (group, rows.collect())
}

fn window(name: &str, phase: &str, least: Option<i32>, most: Option<i32>) -> serde_json::Value {
    json!({"name": name, "phase": phase, "minReplicas": least, "maxReplicas": most, "raisedAt": "2026-11-23T07:55:00Z",
        "opensAt": "2026-11-23T08:00:00Z", "closesAt": "2026-11-23T17:00:00Z"})
}

#[test]
fn a_window_that_keeps_nodes_is_named_and_only_nodes_that_would_go_are_listed() {
    let windows = [
        window("budget", "Open", None, Some(9)),
        window("morning", "Open", Some(3), None),
        window("close", "RampingDown", Some(3), None),
        window("small", "Open", Some(1), None),
    ];
    let status = json!({"floor": 3, "ceiling": 9, "wantedReplicas": 3, "activeWindows": windows});
    let kept = "Wanted all the same: 3 nodes, for window morning (until 2026-11-23T17:00:00Z), \
                window close (closed, its floor falls node by node).\n";
    let (group, mut rows) = found(&status, 3);
    assert_eq!(
        render(&group, 1, &rows, true),
        format!("etl has 3 nodes: none would go to have 1.\n{kept}")
    );
    rows.push(node("etl-cn-3", DrainState::Draining, "1 load"));
    assert_eq!(
        render(&group, 1, &rows, true),
        format!(
            "1 node of etl would go, 3 would stay:\n\
             \x20 etl-cn-3  drains already, and waits for 1 load\n\
             They are waited for 10m (drain.timeout), then what still runs is cut off (drain.onTimeout: Force).\n\
             {kept}They go anyway: writing 1 to replicas changes nothing.\n"
        )
    );
    let (group, rows) = found(
        &json!({"floor": 3, "wantedReplicas": 5, "activeWindows": [window("morning", "Raised", Some(3), None)]}),
        5,
    );
    let text = render(&group, 1, &rows, true);
    assert!(text.starts_with("2 nodes of etl would go, 3 would stay:\n"), "{text}");
    assert!(
        text.contains("3 nodes, for window morning (raised ahead of its start, until 2026-11-23T17:00:00Z)."),
        "{text}"
    );
    assert!(text.ends_with("scale computegroup/etl --replicas=1\n"), "{text}");
}

#[test]
fn with_autoscaling_what_it_and_waiting_statements_keep_is_told_and_who_writes_the_size() {
    let demand = json!({"nodes": 4, "until": "2026-11-23T12:02:00Z"});
    let (mut group, rows) = found(&json!({"wantedReplicas": 5, "demand": demand}), 5);
    group.spec.autoscaling = serde_json::from_value(json!({"minReplicas": 2, "maxReplicas": 8})).unwrap();
    let text = render(&group, 1, &rows, true);
    assert!(
        text.starts_with("1 node of etl would go, 4 would stay:\n  etl-cn-4  "),
        "{text}"
    );
    assert!(
        text.contains(
            "Wanted all the same: 4 nodes, for statements that wait (counted until 2026-11-23T12:02:00Z).\n\
             autoscaling writes replicas"
        ),
        "{text}"
    );
    assert!(!text.contains("Do it"), "it would not last: {text}");
    group.status.as_mut().unwrap().demand = None;
    let text = render(&group, 1, &rows, true);
    assert!(text.starts_with("3 nodes of etl would go, 2 would stay:\n"), "{text}");
    assert!(
        text.contains("Wanted all the same: 2 nodes, by autoscaling.minReplicas.\n"),
        "{text}"
    );
    let text = render(&group, 0, &rows, true);
    assert!(text.starts_with("5 nodes of etl would go, 0 would stay:\n"), "{text}");
    assert!(
        text.ends_with("scale computegroup/etl --replicas=0\n"),
        "an autoscaler is off at 0: {text}"
    );
}

#[test]
fn what_allows_fewer_nodes_than_are_asked_for_is_told() {
    let told = |status: &serde_json::Value| {
        let (group, rows) = found(status, 4);
        render(&group, 3, &rows, true)
    };
    let text =
        told(&json!({"ceiling": 2, "wantedReplicas": 2, "activeWindows": [window("budget", "Open", None, Some(2))]}));
    assert!(text.starts_with("2 nodes of etl would go, 2 would stay:\n"), "{text}");
    assert!(
        text.contains("Wanted at most: 2 nodes, by window budget (until 2026-11-23T17:00:00Z).\nThey go anyway"),
        "{text}"
    );
    let text = told(&json!({"wantedReplicas": 2, "scaling": {"decidedBy": "Limit"}}));
    assert!(
        text.contains("Wanted at most: 2 nodes, by the department's limit.\nThey go anyway"),
        "{text}"
    );
    let text = told(&json!({"floor": 4, "wantedReplicas": 0, "scaling": {"decidedBy": "Suspension"}}));
    assert!(text.starts_with("4 nodes of etl would go, 0 would stay:\n"), "{text}");
    assert!(
        text.contains("No node is wanted, whatever replicas is: the cluster is suspended.\nThey go anyway"),
        "{text}"
    );
}

#[test]
fn without_drains_nothing_is_said_to_be_waited_for() {
    let group = group(&json!({"enabled": false}));
    let rows = [
        node("etl-cn-0", DrainState::None, ""),
        node("etl-cn-1", DrainState::Draining, "1 load"),
        node("etl-cn-2", DrainState::Leaving, "1 fragment"),
    ];
    assert_eq!(
        render(&group, 0, &rows, true),
        "3 nodes of etl would go, 0 would stay:\n\
         \x20 etl-cn-2  leaves already\n\
         \x20 etl-cn-1  would cut off 1 load\n\
         \x20 etl-cn-0  runs nothing, and goes at once\n\
         drain.enabled is false: nothing is waited for.\n\
         Do it: kubectl -n retail scale computegroup/etl --replicas=0\n"
    );
    let text = render(&group, 2, &rows[2..], false);
    assert!(text.contains("etl-cn-2  leaves already\n"), "{text}");
    let text = render(&group, 0, &rows[..1], false);
    assert!(
        text.contains("goes at once; this engine does not say what that cuts off"),
        "{text}"
    );
}
