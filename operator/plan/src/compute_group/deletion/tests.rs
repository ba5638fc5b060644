use serde_json::json;
use springtide_crds::compute_group::DrainPhase;

use crate::action::{Action, Telling};
use crate::fixture::{GroupFixture, at, condition, group, statements};
use crate::observed::SqlAnswer;

/// A group that is being deleted since `deleted`; noon is now.
fn deleted(fixture: GroupFixture, deleted: &str) -> GroupFixture {
    let time = serde_json::from_value(json!(deleted)).unwrap();
    fixture.with(|observed| {
        observed.group.metadata.deletion_timestamp = Some(time);
        observed.group.metadata.generation = Some(7);
    })
}

#[test]
fn a_deleted_group_drains_then_is_forgotten_then_goes() {
    let full = deleted(
        group("etl").replicas(2).pods(0..2).nodes(0..2).settled(),
        "2026-11-23T11:59:00Z",
    );
    let plan = full.plan();
    assert!(matches!(&plan.actions[..], [Action::Delete { object, .. }] if object.name == "etl-cn"));
    let draining = full
        .clone()
        .with(|observed| observed.live = crate::observed::Live::default());
    let plan = draining.plan();
    assert_eq!(plan.actions, []);
    // It may take as long as a drain may, and whoever looks sees why.
    let status = plan.status.unwrap();
    for type_ in ["Available", "Ready"] {
        assert_eq!(
            condition(&status.conditions, type_),
            "False ComputeLeaving: the group is being deleted: 2 pods are draining and stopping"
        );
    }
    assert!(condition(&status.conditions, "Accepted").starts_with("True"));
    // The API server counts a deletion as a change, and this is what was seen of it.
    assert_eq!((status.observed_generation, status.scaling.clone()), (Some(7), None));
    let leaving: Vec<(&str, DrainPhase)> = status
        .draining
        .iter()
        .map(|node| (node.node.as_str(), node.phase))
        .collect();
    assert_eq!(
        leaving,
        [("etl-cn-0", DrainPhase::Leaving), ("etl-cn-1", DrainPhase::Leaving)]
    );
    let told = draining.with(|observed| observed.group.status = Some(status));
    assert_eq!(told.plan().status, None, "it is told once");
    let one_is_gone = told.clone().with(|observed| drop(observed.pods.pop())).plan();
    assert_eq!(
        (one_is_gone.status.unwrap().draining.len(), one_is_gone.telling),
        (1, Telling::Progress)
    );
    let gone = told.pods([]);
    let plan = gone.plan();
    assert_eq!((statements(&plan).len(), plan.status), (2, None));
    assert_eq!(plan.actions.last(), Some(&Action::RemoveFinalizer));
    // So it is after a drain that took an hour.
    let plan = deleted(gone, "2026-11-23T11:00:00Z").plan();
    assert_eq!(statements(&plan).len(), 2);
}

#[test]
fn a_group_of_a_sleeping_cluster_is_deleted_at_once_and_not_after_ten_minutes() {
    let asleep = |suspend: bool, sql: SqlAnswer| {
        let fixture = group("etl").settled().with(|observed| {
            observed.live = crate::observed::Live::default();
            observed.pods.clear();
            observed.cluster.as_mut().unwrap().spec.suspend = suspend;
            observed.sql = sql;
        });
        deleted(fixture, "2026-11-23T11:59:00Z").plan().actions
    };
    assert_eq!(asleep(true, SqlAnswer::NotAsked), [Action::RemoveFinalizer]);
    // Its frontends start, or have not stopped yet: somebody will answer.
    assert_eq!(asleep(false, SqlAnswer::NotAsked), []);
    let message = "refused".to_owned();
    assert_eq!(asleep(true, SqlAnswer::Unreachable { message }), []);
}

#[test]
fn a_deleted_group_waits_for_its_frontend_but_not_for_ever() {
    let silent = group("etl").settled().with(|observed| {
        observed.live = crate::observed::Live::default();
        observed.pods.clear();
        observed.sql = SqlAnswer::Unreachable {
            message: "refused".to_owned(),
        };
    });
    let plan = deleted(silent.clone(), "2026-11-23T11:59:00Z").plan();
    assert_eq!(plan.actions, []);
    assert_eq!(plan.wait.unwrap().until, Some(at("2026-11-23T12:09:00Z")));
    let ready = condition(&plan.status.unwrap().conditions, "Ready");
    assert_eq!(
        ready,
        "False ComputeLeaving: the group is being deleted: the engine must forget the group's nodes, and no frontend answers, until 2026-11-23T12:09:00Z at the latest"
    );
    let plan = deleted(silent, "2026-11-23T11:49:00Z").plan();
    assert_eq!(plan.actions, [Action::RemoveFinalizer]);
}

#[test]
fn a_deleted_group_of_a_cluster_that_never_was_does_not_wait_for_its_frontend() {
    let never_accepted = group("etl").with(|observed| {
        observed.sql = SqlAnswer::NotAsked;
        observed.cluster.as_mut().unwrap().status = None;
    });
    let plan = deleted(never_accepted.clone(), "2026-11-23T11:59:00Z").plan();
    assert_eq!(plan.actions, [Action::RemoveFinalizer]);
    // One whose status was lost has nodes that somebody must forget.
    let lost = never_accepted.with(|observed| {
        let node = json!({"name": "etl-cn-0", "nodeId": "1", "alive": true, "draining": false});
        let status = observed.group.status.get_or_insert_default();
        status.nodes = vec![serde_json::from_value(node).unwrap()];
    });
    assert_eq!(deleted(lost, "2026-11-23T11:59:00Z").plan().actions, []);
}
