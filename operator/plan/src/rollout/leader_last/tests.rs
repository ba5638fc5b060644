use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::fixture::noon;
use crate::rollout::Order;

const RECORDED: &str = include_str!("../../../fixtures/starrocks/frontends-three.json");

/// What three frontends answered in a situation, with the role of the leader given to the one with this ordinal.
fn recorded(situation: &str, leader: Option<u32>) -> Vec<FrontendRow> {
    let file: Value = serde_json::from_str(RECORDED).unwrap();
    let answer = file["answers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|answer| answer["note"].as_str().unwrap().starts_with(situation))
        .unwrap();
    let columns: Vec<String> = serde_json::from_value(answer["columns"].clone()).unwrap();
    let rows: Vec<Vec<Option<String>>> = serde_json::from_value(answer["rows"].clone()).unwrap();
    let mut rows = FrontendRow::parse(&columns, &rows).unwrap();
    assert_eq!(rows.len(), 3);
    if let Some(leader) = leader {
        for row in &mut rows {
            row.is_leader = row.host.starts_with(&format!("fe-{leader}."));
        }
    }
    rows
}

/// The StatefulSet in the middle of a roll.
fn live(strategy: &str) -> Value {
    json!({
        "metadata": {"name": "fe", "generation": 2},
        "spec": {"replicas": 3, "updateStrategy": {"type": strategy}},
        "status": {"observedGeneration": 2, "currentRevision": "old", "updateRevision": "new"},
    })
}

fn pod(ordinal: u32, revision: &str, is_ready: bool) -> Pod {
    let made = "2026-11-23T11:50:00Z";
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("fe-{ordinal}"), "uid": format!("{revision}-{ordinal}"),
            "labels": {"controller-revision-hash": revision}, "creationTimestamp": made,
        },
        "status": {"conditions": [
            {"type": "Ready", "status": if is_ready { "True" } else { "False" }, "lastTransitionTime": made},
        ]},
    }))
    .unwrap()
}

fn look(live: &Value, pods: &[Pod], frontends: &[FrontendRow]) -> Progress {
    let counted: BTreeSet<String> = frontends
        .iter()
        .filter(|row| row.alive)
        .map(|row| row.host.split('.').next().unwrap().to_owned())
        .collect();
    let begun = Begun {
        is_open: true,
        at_pod_since: Some(noon()),
    };
    let pods = Pods {
        pods,
        counted: Some(&counted),
        now: noon(),
    };
    let standings = Standing::of(frontends);
    Order::LeaderLast(&standings).progress(live, begun, 3, pods)
}

/// The pod that is replaced, or what is waited for.
fn next(progress: Progress) -> Result<String, String> {
    match progress {
        Progress::Chosen { next: Some(pod), .. } => Ok(pod.name),
        Progress::Chosen {
            next: None, waits_for, ..
        }
        | Progress::Rolling { waits_for, .. } => Err(waits_for),
        other => panic!("{other:?}"),
    }
}

const ALL_SERVE: &str = "3 followers up";

#[test]
fn the_leader_is_replaced_last_whatever_its_ordinal_is() {
    for (leader, expected) in [
        (0, ["fe-2", "fe-1", "fe-0"]),
        (1, ["fe-2", "fe-0", "fe-1"]),
        (2, ["fe-1", "fe-0", "fe-2"]),
    ] {
        let frontends = recorded(ALL_SERVE, Some(leader));
        let mut revisions = ["old"; 3];
        let mut order = Vec::new();
        while revisions.contains(&"old") {
            let pods: Vec<Pod> = (0..3)
                .map(|ordinal| pod(ordinal, revisions[ordinal as usize], true))
                .collect();
            let progress = look(&live("OnDelete"), &pods, &frontends);
            assert!(
                matches!(&progress, Progress::Chosen { replaced, .. } if *replaced == u32::try_from(order.len()).unwrap()),
                "{progress:?}"
            );
            let name = next(progress).unwrap();
            revisions[name.strip_prefix("fe-").unwrap().parse::<usize>().unwrap()] = "new";
            order.push(name);
        }
        assert_eq!(order, expected, "fe-{leader} leads");
    }
}

#[test]
fn as_it_was_recorded_fe_1_leads_and_is_last() {
    let frontends = recorded(ALL_SERVE, None);
    let pods = [pod(0, "new", true), pod(1, "old", true), pod(2, "new", true)];
    assert_eq!(next(look(&live("OnDelete"), &pods, &frontends)), Ok("fe-1".to_owned()));
    let pods = [pod(0, "old", true), pod(1, "old", true), pod(2, "new", true)];
    assert_eq!(next(look(&live("OnDelete"), &pods, &frontends)), Ok("fe-0".to_owned()));
}

#[test]
fn nobody_goes_before_the_one_before_serves_by_the_leaders_word() {
    // fe-1 has stopped, and fe-2 leads.
    let frontends = recorded("old leader gracefully gone", None);
    let stopped = [pod(0, "old", true), pod(1, "new", false), pod(2, "old", true)];
    assert_eq!(
        next(look(&live("OnDelete"), &stopped, &frontends)),
        Err("pod fe-1 to be ready".to_owned())
    );
    let ready = [pod(0, "old", true), pod(1, "new", true), pod(2, "old", true)];
    let uncounted = look(&live("OnDelete"), &ready, &frontends);
    assert_eq!(next(uncounted), Err("the frontend to count on pod fe-1".to_owned()));
    let missing = [pod(0, "old", true), pod(2, "old", true)];
    assert_eq!(
        next(look(&live("OnDelete"), &missing, &frontends)),
        Err("pod fe-1 to be made".to_owned())
    );
}

#[test]
fn a_follower_that_is_far_behind_the_leader_does_not_count_yet() {
    let mut frontends = recorded(ALL_SERVE, None);
    let far = |rows: &mut Vec<FrontendRow>, changes: u64| {
        for row in rows.iter_mut().filter(|row| row.is_leader) {
            row.journal_id = row.journal_id.map(|id| id + changes);
        }
    };
    let pods = [pod(0, "old", true), pod(1, "old", true), pod(2, "new", true)];
    far(&mut frontends, NEAR - 2);
    assert_eq!(next(look(&live("OnDelete"), &pods, &frontends)), Ok("fe-0".to_owned()));
    far(&mut frontends, 1);
    assert_eq!(
        next(look(&live("OnDelete"), &pods, &frontends)),
        Err(format!("pod fe-2 to have {} changes that the leader has", NEAR + 1))
    );
}

#[test]
fn a_follower_of_the_old_template_that_does_not_serve_goes_first() {
    // fe-1 does not serve, and fe-2 leads: by ordinals it would be fe-0's turn after that of fe-2.
    let frontends = recorded("old leader gracefully gone", None);
    let pods = [pod(0, "old", true), pod(1, "old", false), pod(2, "old", true)];
    assert_eq!(next(look(&live("OnDelete"), &pods, &frontends)), Ok("fe-1".to_owned()));
}

#[test]
fn without_a_leader_nothing_that_is_ready_is_taken_away() {
    let ready = [pod(0, "old", true), pod(1, "old", true), pod(2, "new", true)];
    assert_eq!(
        next(look(&live("OnDelete"), &ready, &[])),
        Err("a frontend to lead".to_owned())
    );
    // Pods that do not even start cannot get worse by another template.
    let broken = [pod(0, "old", false), pod(1, "old", false), pod(2, "new", false)];
    assert_eq!(next(look(&live("OnDelete"), &broken, &[])), Ok("fe-1".to_owned()));
}

#[test]
fn no_pod_is_chosen_while_kubernetes_replaces_them_itself() {
    let frontends = recorded(ALL_SERVE, None);
    let pods = [pod(0, "old", true), pod(1, "old", true), pod(2, "old", true)];
    let progress = look(&live("RollingUpdate"), &pods, &frontends);
    assert!(matches!(progress, Progress::Chosen { next: None, .. }), "{progress:?}");
    let mut behind = live("OnDelete");
    behind["metadata"]["generation"] = json!(3);
    assert_eq!(
        next(look(&behind, &pods, &frontends)),
        Err("Kubernetes to take it up".to_owned())
    );
}

#[test]
fn kubernetes_has_the_stateful_set_back_when_all_serve() {
    let frontends = recorded(ALL_SERVE, None);
    let pods = [pod(0, "new", true), pod(1, "new", true), pod(2, "new", true)];
    let back = Progress::Rolling {
        partition: 0,
        waits_for: "Kubernetes to count all pods".to_owned(),
    };
    assert_eq!(look(&live("OnDelete"), &pods, &frontends), back);
    let mut settled = live("RollingUpdate");
    assert_eq!(look(&settled, &pods, &frontends), back);
    settled["status"]["currentRevision"] = json!("new");
    assert_eq!(look(&settled, &pods, &frontends), Progress::Done);
}

/// The template from before is a revision that Kubernetes has, so it calls the StatefulSet settled at once.
#[test]
fn a_template_that_was_taken_back_leaves_the_leader_last_too() {
    let mut back = live("OnDelete");
    back["status"]["updateRevision"] = json!("old");
    let pods = [pod(0, "new", true), pod(1, "new", true), pod(2, "new", false)];
    let mut frontends = recorded(ALL_SERVE, Some(1));
    for row in frontends.iter_mut().filter(|row| row.host.starts_with("fe-2.")) {
        row.alive = false;
    }
    assert_eq!(
        next(look(&back, &pods, &frontends)),
        Ok("fe-2".to_owned()),
        "it is broken"
    );
    let frontends = recorded(ALL_SERVE, Some(1));
    let pods = [pod(0, "new", true), pod(1, "new", true), pod(2, "old", true)];
    assert_eq!(next(look(&back, &pods, &frontends)), Ok("fe-0".to_owned()));
}

#[test]
fn a_pod_that_does_not_come_to_serve_is_told() {
    let frontends = recorded("old leader gracefully gone", None);
    let mut broken = pod(1, "new", false);
    broken.status = serde_json::from_value(json!({"containerStatuses": [{
        "name": "engine", "image": "e", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 255, "reason": "Error", "message": "unknown operation code"}},
    }]}))
    .unwrap();
    let pods = [pod(0, "old", true), broken, pod(2, "old", true)];
    assert_eq!(
        look(&live("OnDelete"), &pods, &frontends),
        Progress::Failed {
            why: "container engine of pod fe-1 ended with exit code 255 (Error): unknown operation code".to_owned()
        }
    );
}
