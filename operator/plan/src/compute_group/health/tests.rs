use serde_json::json;

use super::*;
use crate::action::Severity;
use crate::fixture::{GroupFixture, condition, group, noon};
use crate::sql::ComputeNodeRow;

/// A group whose only pod is ready, and whose only row is like this.
fn one_node(change: impl FnOnce(&mut ComputeNodeRow)) -> GroupFixture {
    group("etl").pods([0]).nodes([0]).with(|observed| {
        if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
            change(&mut compute_nodes[0]);
        }
    })
}

fn told(fixture: &GroupFixture, type_: &str) -> String {
    condition(&fixture.plan().status.unwrap().conditions, type_)
}

#[test]
fn the_only_node_that_finishes_its_work_is_no_alarm() {
    let drains = one_node(|row| (row.alive, row.draining) = (false, true));
    assert_eq!(
        told(&drains, "Available"),
        "False ComputeStarting: 0 of 1 nodes serve; those that answer finish what they have, and others take their place"
    );
    let plan = drains.plan();
    let warnings = plan.events.iter().filter(|event| event.severity == Severity::Warning);
    assert_eq!(warnings.count(), 0, "{:?}", plan.events);
}

#[test]
fn the_only_node_that_somebody_has_fenced_is_told_with_its_fence() {
    let fenced = one_node(|row| (row.alive, row.draining) = (false, true)).with(|observed| {
        let annotations = [("springtide.dev/fenced".to_owned(), "etl-cn-0".to_owned())];
        observed.group.metadata.annotations = Some(annotations.into());
    });
    let available = told(&fenced, "Available");
    assert!(
        available.starts_with("False Fenced: etl-cn-0 get no work"),
        "{available}"
    );
}

#[test]
fn heartbeats_that_fail_are_an_alarm_when_the_pods_have_had_their_time() {
    let ready_for = |seconds: i64, error: &str| {
        one_node(|row| {
            row.alive = false;
            error.clone_into(&mut row.error);
        })
        .with(|observed| {
            let status = observed.pods[0].status.as_mut().unwrap();
            let since = instant_text(noon() - TimeDelta::seconds(seconds));
            status.conditions.as_mut().unwrap()[0].last_transition_time =
                Some(serde_json::from_value(json!(since)).unwrap());
        })
    };
    let due = "False ComputeStarting: 0 of 1 nodes serve; pods are ready, and the frontend's first heartbeats are due";
    // What the row says is of the pod before.
    assert_eq!(told(&ready_for(9, "connection refused"), "Available"), due);
    // The frontend has just started.
    assert_eq!(told(&ready_for(3600, ""), "Available"), due);
    assert_eq!(
        told(&ready_for(10, "connection refused"), "Available"),
        "False NoComputeAlive: pods are ready, but their heartbeats fail: etl-cn-0: connection refused"
    );
}

#[test]
fn that_no_frontend_answers_is_told_by_the_cluster_and_is_no_alarm_of_each_group() {
    let serves = group("etl").pods([0]).nodes([0]).settled();
    for silent in [
        SqlAnswer::NotAsked,
        SqlAnswer::Unreachable {
            message: "the frontend at 10.0.0.7:9030 cannot be reached".to_owned(),
        },
    ] {
        let away = serves.clone().with(|observed| observed.sql = silent);
        for type_ in ["Available", "Ready"] {
            assert_eq!(
                told(&away, type_),
                "False ClusterNotReady: no frontend of LakeCluster demo says which nodes serve; see its conditions"
            );
        }
        let told: Vec<_> = away
            .plan()
            .events
            .into_iter()
            .map(|event| (event.severity, event.reason))
            .collect();
        assert_eq!(told, [(Severity::Normal, Reason::ClusterNotReady)]);
    }
}
