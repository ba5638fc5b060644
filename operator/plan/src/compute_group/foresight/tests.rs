use serde_json::json;

use super::*;
use crate::fixture::{GroupFixture, at, cluster, group, group_of, noon};
use crate::observed::SqlAnswer;

/// A group of one node in which a window for three opens at 12:01; all is as it should be.
fn opens_soon(fixture: GroupFixture) -> GroupFixture {
    fixture
        .pods([0])
        .nodes([0])
        .window("soon", "1 12 * * *", Some(3), None)
        .settled()
}

fn foreseen(fixture: &GroupFixture, now: DateTime<Utc>) -> Option<Foreseen> {
    foresee(&fixture.0, &fixture.plan_at(now), now)
}

#[test]
fn what_is_foreseen_for_an_edge_is_what_is_planned_at_it() {
    for fixture in [group("etl"), group_of("etl", cluster("demo").starrocks())] {
        let fixture = opens_soon(fixture);
        let Foreseen { at, actions } = foreseen(&fixture, noon()).expect("growth");
        assert!(
            matches!(&actions[..], [Action::Scale { replicas: 3, .. }]),
            "{actions:?}"
        );
        assert_eq!(actions, fixture.plan_at(at).actions);
    }
}

#[test]
fn the_bounds_of_an_hpa_grow_with_the_window() {
    let fixture = opens_soon(group("etl").with(|observed| {
        observed.group.spec.autoscaling = serde_json::from_value(json!({"maxReplicas": 4})).unwrap();
    }));
    let actions = foreseen(&fixture, noon()).expect("growth").actions;
    let [Action::Apply(hpa), Action::Scale { replicas: 3, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(hpa.body["spec"]["minReplicas"], 3);
}

#[test]
fn only_growth_is_foreseen() {
    let closes = group("etl")
        .replicas(1)
        .pods([0, 1, 2])
        .nodes([0, 1, 2])
        .window("ends", "1 10 * * *", Some(3), None)
        .settled();
    assert!(closes.plan().edge_after.is_some());
    assert_eq!(foreseen(&closes, noon()), None);
    let nothing_to_do = opens_soon(group("etl").replicas(5)).pods(0..5).nodes(0..5).settled();
    assert_eq!(foreseen(&nothing_to_do, noon()), None);
}

#[test]
fn nothing_is_foreseen_while_something_is_to_be_done() {
    let fixture = opens_soon(group("etl")).replicas(2);
    assert!(!fixture.plan().actions.is_empty());
    assert_eq!(foreseen(&fixture, noon()), None);
    assert!(foreseen(&fixture.pods([0, 1]).nodes([0, 1]).settled(), noon()).is_some());
}

#[test]
fn a_frontend_that_does_not_answer_keeps_no_window_from_opening() {
    let fixture = opens_soon(group("etl")).with(|observed| {
        observed.sql = SqlAnswer::Unreachable {
            message: "no answer".to_owned(),
        };
    });
    assert!(foreseen(&fixture.settled(), noon()).is_some());
}

#[test]
fn an_edge_is_foreseen_two_minutes_ahead_and_is_due_for_one() {
    let fixture = opens_soon(group("etl"));
    assert_eq!(foreseen(&fixture, at("2026-11-23T11:58:50Z")), None);
    let Foreseen { at: edge, actions } = foreseen(&fixture, at("2026-11-23T11:59:10Z")).expect("growth");
    let opening = at("2026-11-23T12:01:00Z");
    assert!(edge >= opening && edge < opening + TimeDelta::seconds(1), "{edge}");
    let foreseen = Foreseen { at: edge, actions };
    let due: Vec<bool> = [-1, 0, 59, 60]
        .map(|seconds| foreseen.is_due(edge + TimeDelta::seconds(seconds)))
        .into();
    assert_eq!(due, [false, true, true, false]);
}
