use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value, json};
use springtide_crds::compute_group::ScaleDecider::{self, Ceiling, Demand, Floor, Limit, Replicas};
use springtide_schedule::{Evaluation, evaluate};

use super::decider;
use crate::fixture::{condition, group, noon};

fn decided(replicas: u32, demand: u32, floor: Option<u32>, ceiling: Option<u32>, limit: u32) -> ScaleDecider {
    let evaluation = Evaluation {
        floor,
        ceiling,
        ..evaluate(&[], noon())
    };
    decider(replicas, demand, &evaluation, limit)
}

#[test]
fn what_decides_is_what_another_value_would_change() {
    assert_eq!(decided(3, 0, None, None, 9), Replicas);
    assert_eq!(decided(3, 3, Some(3), Some(3), 9), Replicas, "all agree");
    assert_eq!(decided(1, 3, None, None, 9), Demand);
    assert_eq!(decided(1, 3, Some(5), None, 9), Floor);
    assert_eq!(decided(6, 0, None, Some(4), 9), Ceiling);
    assert_eq!(
        decided(6, 0, Some(5), Some(4), 9),
        Floor,
        "a floor above a ceiling wins"
    );
    assert_eq!(decided(12, 0, None, None, 9), Limit);
    assert_eq!(decided(1, 0, Some(12), None, 9), Limit);
}

fn note(manager: &str, time: &str, fields: &Value) -> ManagedFieldsEntry {
    let entry =
        json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields});
    serde_json::from_value(entry).unwrap()
}

#[test]
fn the_status_says_who_wrote_replicas_last() {
    let fixture = group("etl").replicas(2).with(|observed| {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        observed.group.metadata.managed_fields = Some(vec![
            note("argocd-controller", "2026-11-23T08:00:00Z", &replicas),
            note("kubectl", "2026-11-23T09:00:00Z", &replicas),
            note(
                "kubectl-edit",
                "2026-11-23T10:00:00Z",
                &json!({"f:spec": {"f:labels": {}}}),
            ),
        ]);
    });
    let scaling = fixture.plan().status.unwrap().scaling.unwrap();
    assert_eq!(scaling.decided_by, Replicas);
    assert_eq!(scaling.replicas_written_by.as_deref(), Some("kubectl"));
}

#[test]
fn a_size_that_is_scaled_counts_while_another_value_is_refused() {
    let good = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let scaled = good.window("w", "nonsense", Some(1), None).scaled(5);
    let status = scaled.plan().status.unwrap();
    assert_eq!(status.wanted_replicas, Some(5));
    assert_eq!(status.accepted_spec.unwrap().replicas, 5);
    assert!(condition(&status.conditions, "Accepted").starts_with("False InvalidSchedule"));

    // The department's limit was lowered below what the autoscaler may ask for.
    let limited = |most: i32| json!({"namespaces": [], "limits": {"maxReplicasPerGroup": most}});
    let by_load = group("etl").replicas(2).pods(0..2).nodes(0..2).with(|observed| {
        observed.group.spec.autoscaling = serde_json::from_value(json!({"maxReplicas": 8})).unwrap();
    });
    let lowered = by_load.department(limited(10)).settled().department(limited(6));
    let wanted = |replicas: i32| {
        lowered
            .clone()
            .scaled(replicas)
            .settled()
            .0
            .group
            .status
            .unwrap()
            .wanted_replicas
    };
    assert_eq!(wanted(5), Some(5));
    assert_eq!(wanted(9), Some(2), "beyond the limit it is refused itself");
}
