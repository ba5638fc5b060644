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
