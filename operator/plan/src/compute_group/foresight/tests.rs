use serde_json::json;

use super::*;
use crate::compute_group::stateful_set_key;
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

/// The size that an action writes, and the version that it has as a precondition.
fn size(actions: &[Action]) -> Option<(i64, Option<&str>)> {
    match actions {
        [Action::Scale { replicas, version, .. }] => Some((*replicas, version.as_deref())),
        _ => None,
    }
}

/// As the API server has it.
fn with_a_version(fixture: GroupFixture) -> GroupFixture {
    fixture.with(|observed| {
        let key = stateful_set_key(observed);
        let mut stateful_set = observed.live.get(&key).expect("a StatefulSet").clone();
        stateful_set["metadata"]["resourceVersion"] = json!("4711");
        observed.live.insert(ObjectKind::StatefulSet, stateful_set);
    })
}

#[test]
fn what_is_foreseen_for_an_edge_is_what_is_planned_at_it() {
    for fixture in [group("etl"), group_of("etl", cluster("demo").starrocks())] {
        let fixture = with_a_version(opens_soon(fixture));
        let Foreseen { at, actions, .. } = foreseen(&fixture, noon()).expect("growth");
        assert_eq!(size(&actions), Some((3, Some("4711"))));
        assert_eq!(fixture.plan_at(at).actions, actions);
    }
}

#[test]
fn the_bounds_of_an_hpa_wait_for_the_look_after_the_edge() {
    let fixture = opens_soon(group("etl").with(|observed| {
        observed.group.spec.autoscaling = serde_json::from_value(json!({"maxReplicas": 4})).unwrap();
    }));
    let Foreseen { at, actions, .. } = foreseen(&fixture, noon()).expect("growth");
    assert_eq!(size(&actions), Some((3, None)));
    let planned = fixture.plan_at(at).actions;
    assert!(
        matches!(&planned[..], [Action::Apply(_), Action::Scale { replicas: 3, .. }]),
        "{planned:?}"
    );
}

#[test]
fn nothing_is_foreseen_while_values_are_refused() {
    let refused = opens_soon(group("etl"))
        .with(|observed| observed.group.spec.schedules[0].time_zone = "Europe/Atlantis".to_owned())
        .settled();
    assert!(!refused.plan_at(at("2026-11-23T12:01:01Z")).actions.is_empty());
    assert_eq!(foreseen(&refused, noon()), None);
}

#[test]
fn what_was_foreseen_is_not_done_to_another_spec_nor_at_another_time() {
    let fixture = opens_soon(group("etl")).with(|observed| {
        observed.cluster.as_mut().unwrap().metadata.generation = Some(1);
    });
    let foreseen = foreseen(&fixture, noon()).expect("growth");
    let may_be_done = |fixture: &GroupFixture, seconds: i64| {
        let cluster = fixture.0.cluster.as_ref().map(|cluster| &cluster.metadata);
        let now = foreseen.at + TimeDelta::seconds(seconds);
        foreseen.may_be_done(&fixture.0.group.metadata, cluster, now)
    };
    let due: Vec<bool> = [-1, 0, 59, 60].map(|seconds| may_be_done(&fixture, seconds)).into();
    assert_eq!(due, [false, true, true, false]);
    let deleted = serde_json::from_value::<ObjectMeta>(json!({"deletionTimestamp": "2026-11-23T12:00:30Z"}))
        .unwrap()
        .deletion_timestamp;
    let changes: [fn(&mut ObservedComputeGroup); 5] = [
        |observed| observed.group.metadata.generation = Some(2),
        |observed| observed.group.metadata.uid = Some("another".to_owned()),
        |observed| observed.cluster.as_mut().unwrap().metadata.generation = Some(2),
        |observed| observed.cluster.as_mut().unwrap().metadata.uid = Some("another".to_owned()),
        |observed| observed.cluster = None,
    ];
    for change in changes {
        assert!(!may_be_done(&fixture.clone().with(change), 0));
    }
    let leaving = fixture
        .clone()
        .with(|observed| observed.group.metadata.deletion_timestamp = deleted.clone());
    assert!(!may_be_done(&leaving, 0));
    let leaving = fixture.with(|observed| observed.cluster.as_mut().unwrap().metadata.deletion_timestamp = deleted);
    assert!(!may_be_done(&leaving, 0));
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
fn an_edge_is_foreseen_two_minutes_ahead() {
    let fixture = opens_soon(group("etl"));
    assert_eq!(foreseen(&fixture, at("2026-11-23T11:58:50Z")), None);
    let edge = foreseen(&fixture, at("2026-11-23T11:59:10Z")).expect("growth").at;
    let opening = at("2026-11-23T12:01:00Z");
    assert!(edge >= opening && edge < opening + TimeDelta::seconds(1), "{edge}");
}
