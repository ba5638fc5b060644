#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use serde_json::{Value, json};

use super::*;

fn cluster(status: Value) -> LakeCluster {
    let body = json!({
        "metadata": {"namespace": "retail", "name": "lake", "generation": 2},
        "spec": {"engine": {"version": "0.1.0"}, "storage": {"bucket": "retail", "prefix": "lake", "credentials": {}}},
        "status": status,
    });
    serde_json::from_value(body).unwrap()
}

fn group(status: Value) -> ComputeGroup {
    let body = json!({
        "metadata": {"namespace": "retail", "name": "etl", "generation": 5},
        "spec": {"cluster": "lake", "replicas": 2},
        "status": status,
    });
    serde_json::from_value(body).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-23T07:00:00Z"})
}

fn now() -> DateTime<Utc> {
    "2026-11-23T08:30:00Z".parse().unwrap()
}

#[test]
fn a_healthy_cluster_says_how_to_connect_and_when_its_compute_changes() {
    let found = Found {
        departments: Vec::new(),
        clusters: vec![cluster(json!({
            "conditions": [condition("Available", "True", "Serving", "")],
            "observedGeneration": 2, "endpoint": "lake.retail.svc.cluster.local:9030", "adminSecret": "lake-admin",
            "frontendsReady": 1, "engine": {"version": "0.1.0", "image": "springtide.dev/engine:0.1.0"},
        }))],
        groups: vec![group(json!({
            "conditions": [condition("Available", "True", "Serving", "")],
            "observedGeneration": 5, "servingReplicas": 8, "wantedReplicas": 8, "floor": 8,
            "activeWindows": [{"name": "morning", "opensAt": "2026-11-23T08:00:00Z", "raisedAt": "2026-11-23T07:55:00Z",
                "closesAt": "2026-11-23T18:00:00Z", "minReplicas": 8}],
            "leadTimes": [{"window": "morning", "source": "Fixed", "leadTime": "5m"}],
            "nextTransition": {"at": "2026-11-23T18:00:00Z", "wantedReplicas": 2, "windows": ["morning"]},
        }))],
    };
    insta::assert_snapshot!(render(&found, now()), @r"
    LakeCluster retail/lake  available (Serving)
      connect    mysql -h lake.retail.svc.cluster.local -P 9030
      account    Secret lake-admin, keys username and password
      frontends  1 of 1 alive
      engine     0.1.0 (springtide.dev/engine:0.1.0)
      ComputeGroup retail/etl  available (Serving)
        compute  8 of 8 serving (replicas 2, at least 8)
        window   morning is open until Mon 23 Nov 18:00 UTC (in 9 h), lead 5m (fixed)
        next     2 wanted Mon 23 Nov 18:00 UTC (in 9 h) (morning)
    ");
}

#[test]
fn a_cluster_with_a_certificate_says_where_it_is_and_when_it_ends() {
    let found = Found {
        clusters: vec![cluster(json!({
            "conditions": [condition("Available", "True", "Serving", "")],
            "observedGeneration": 2, "frontendsReady": 1,
            "certificate": {"secret": "lake-tls", "notAfter": "2027-02-21T12:00:00Z", "issuedBy": "O=retail, CN=lake certificate authority"},
        }))],
        ..Found::default()
    };
    insta::assert_snapshot!(render(&found, now()), @r"
    LakeCluster retail/lake  available (Serving)
      frontends  1 of 1 alive
      tls        Secret lake-tls, until Sun 21 Feb 12:00 UTC (in 90 days), by O=retail, CN=lake certificate authority
    ");
}

#[test]
fn a_group_in_trouble_says_why_and_what_to_do() {
    let found = Found {
        groups: vec![group(json!({
            "conditions": [
                condition("Accepted", "True", "Valid", ""),
                condition("Available", "False", "PodUnschedulable", "etl-cn-0: 0/3 nodes are available: 3 Insufficient cpu"),
            ],
            "observedGeneration": 4, "wantedReplicas": 2,
        }))],
        ..Found::default()
    };
    insta::assert_snapshot!(render(&found, now()), @r"
    ComputeGroup retail/etl  NOT available (PodUnschedulable)
      compute  0 of 2 serving (replicas 2)
      ! Available is False, PodUnschedulable: etl-cn-0: 0/3 nodes are available: 3 Insufficient cpu
      ! the last change has not been looked at yet: does the operator run?
      next: kubectl -n retail get pods -l springtide.dev/compute-group=etl; kubectl -n retail describe pod POD
    ");
}

#[test]
fn a_window_that_was_late_and_a_calendar_that_is_missing_are_told() {
    let found = Found {
        groups: vec![group(json!({
            "conditions": [
                condition("Accepted", "False", "CalendarInvalid", "schedules[morning].calendars: there is no Calendar holidays"),
                condition("Available", "True", "Serving", ""),
            ],
            "observedGeneration": 5, "servingReplicas": 8, "wantedReplicas": 8, "floor": 8,
            "activeWindows": [{"name": "morning", "opensAt": "2026-11-23T08:00:00Z", "raisedAt": "2026-11-23T07:55:00Z",
                "closesAt": "2026-11-23T18:00:00Z", "minReplicas": 8, "late": true}],
        }))],
        ..Found::default()
    };
    insta::assert_snapshot!(render(&found, now()), @r"
    ComputeGroup retail/etl  available (Serving)
      compute  8 of 8 serving (replicas 2, at least 8)
      window   morning is open until Mon 23 Nov 18:00 UTC (in 9 h), and its nodes came LATE
      ! Accepted is False, CalendarInvalid: schedules[morning].calendars: there is no Calendar holidays
      next: kubectl -n retail get calendars
    ");
}

#[test]
fn an_empty_cluster_says_so() {
    assert!(render(&Found::default(), now()).starts_with("nothing here"));
}

#[test]
fn distances_are_in_the_unit_that_people_use() {
    assert_eq!(
        moment("2026-11-23T08:45:00Z", now()),
        "Mon 23 Nov 08:45 UTC (in 15 min)"
    );
    assert_eq!(moment("2026-11-23T08:00:00Z", now()), "Mon 23 Nov 08:00 UTC (now)");
    assert_eq!(
        moment("2026-11-27T08:45:00Z", now()),
        "Fri 27 Nov 08:45 UTC (in 4 days)"
    );
    assert_eq!(moment("soon", now()), "soon");
}

#[test]
fn windows_say_what_they_do_and_what_decides_how_early() {
    let window = |name: &str, phase: &str, opens: &str, closes: &str| json!({"name": name, "phase": phase, "opensAt": opens, "raisedAt": opens, "closesAt": closes, "minReplicas": 2});
    let lead = |window: &str, starts: i32| json!({"window": window, "source": "Auto", "leadTime": "42s", "observations": starts});
    let group = group(json!({
        "conditions": [condition("Available", "True", "Serving", "")],
        "observedGeneration": 5, "servingReplicas": 2, "wantedReplicas": 2, "floor": 2,
        "activeWindows": [
            window("soon", "Raised", "2026-11-23T09:00:00Z", "2026-11-23T18:00:00Z"),
            window("new", "Open", "2026-11-23T08:00:00Z", "2026-11-23T18:00:00Z"),
            window("night", "RampingDown", "2026-11-22T22:00:00Z", "2026-11-23T08:00:00Z"),
        ],
        "leadTimes": [lead("soon", 1), lead("new", 0)],
    }));
    let found = Found {
        departments: Vec::new(),
        clusters: Vec::new(),
        groups: vec![group],
    };
    insta::assert_snapshot!(render(&found, now()), @r"
    ComputeGroup retail/etl  available (Serving)
      compute  2 of 2 serving (replicas 2, at least 2)
      window   soon is raised and opens Mon 23 Nov 09:00 UTC (in 30 min), lead 42s (auto: by 1 start)
      window   new is open until Mon 23 Nov 18:00 UTC (in 9 h), lead 42s (auto: no start was seen yet)
      window   night is closed, and its floor falls node by node
    ");
}
