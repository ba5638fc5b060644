use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::fixture::noon;
use crate::object::{ObjectKey, ObjectKind};

/// A StatefulSet of two whose pods have this image.
fn stateful_set(image: &str) -> Value {
    json!({
        "metadata": {"name": "etl-cn"},
        "spec": {
            "replicas": 2,
            "updateStrategy": {"rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": {"annotations": {"springtide.dev/engine-version": "0.1.0"}},
                "spec": {"containers": [{"name": "engine", "image": image}]},
            },
        },
    })
}

/// What Kubernetes has after a write, rolled out or not.
fn there(settled: &Settled, revisions: [&str; 2]) -> Value {
    let mut body = settled.object.body.clone();
    body["metadata"]["generation"] = json!(1);
    body["status"] = json!({
        "observedGeneration": 1, "currentRevision": revisions[0], "updateRevision": revisions[1],
    });
    body
}

struct Case<'a> {
    image: &'a str,
    inputs: &'a str,
    inputs_of_old: Option<&'a str>,
    live: Option<&'a Value>,
    open: bool,
    turn: Turn,
    pods: &'a [Pod],
    order: Order<'a>,
}

impl<'a> Case<'a> {
    fn new(image: &'a str, inputs: &'a str, live: Option<&'a Value>) -> Self {
        Self {
            image,
            inputs,
            inputs_of_old: None,
            live,
            open: false,
            turn: Ok(()),
            pods: &[],
            order: Order::Ordinals,
        }
    }

    fn settle(self) -> Settled {
        let maintenance = Maintenance {
            is_open: self.open,
            when: "on Sunday".to_owned(),
        };
        settle(Workload {
            desired: DesiredObject {
                key: ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "etl-cn"),
                body: stateful_set(self.image),
            },
            live: self.live,
            inputs: self.inputs.to_owned(),
            inputs_of_old: self.inputs_of_old.map(str::to_owned),
            replicas: 2,
            pods: Pods {
                pods: self.pods,
                counted: None,
                now: noon(),
            },
            maintenance: &maintenance,
            turn: self.turn,
            order: self.order,
            before: None,
        })
    }
}

fn image(settled: &Settled) -> &str {
    settled.object.body["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
}

fn partition(settled: &Settled) -> &Value {
    &settled.object.body["spec"]["updateStrategy"]["rollingUpdate"]["partition"]
}

fn mark(settled: &Settled, name: &str) -> Option<String> {
    Some(
        settled.object.body["metadata"]["annotations"]
            .get(name)?
            .as_str()?
            .to_owned(),
    )
}

fn says(settled: &Settled) -> String {
    format!("{:?}: {}", settled.finding.reason, settled.finding.message)
}

fn made() -> Value {
    there(&Case::new("e:1", "1:a", None).settle(), ["r1", "r1"])
}

#[test]
fn what_is_made_anew_is_up_to_date() {
    let settled = Case::new("e:1", "1:a", None).settle();
    assert_eq!(says(&settled), "UpToDate: all pods are made by the present template");
    assert_eq!(partition(&settled), 0);
    let engine = settled.engine.unwrap();
    assert_eq!((engine.version.as_str(), engine.image.as_str()), ("0.1.0", "e:1"));
}

#[test]
fn another_release_of_the_operator_restarts_nothing() {
    let live = made();
    let settled = Case::new("e:2", "1:a", Some(&live)).settle();
    assert_eq!(image(&settled), "e:1");
    assert_eq!(
        says(&settled),
        "UpdatePending: this release of the operator would make the pods differently and leaves them as they are; it replaces them on Sunday. The differences: spec.containers[engine].image: e:1 → e:2"
    );
    let written = there(&settled, ["r1", "r1"]);
    assert_eq!(written, live, "there is nothing to write");
}

#[test]
fn in_a_maintenance_window_it_replaces_them() {
    let live = made();
    let case = Case {
        open: true,
        ..Case::new("e:2", "1:a", Some(&live))
    };
    let settled = case.settle();
    assert_eq!((image(&settled), partition(&settled)), ("e:2", &json!(1)));
    assert_eq!(settled.finding.reason, Reason::Rolling);
}

#[test]
fn what_somebody_has_written_is_carried_out_at_once() {
    let live = made();
    let settled = Case::new("e:2", "1:b", Some(&live)).settle();
    assert_eq!((image(&settled), partition(&settled)), ("e:2", &json!(1)));
    assert_eq!(
        says(&settled),
        "Rolling: pods are replaced one after the other, etl-cn-1 first"
    );
    assert_eq!(mark(&settled, INPUTS_ANNOTATION).as_deref(), Some("1:b"));
    assert_eq!(settled.engine, None, "what was known before stays");
}

/// A release that counts less as a wish knows the hash of the same wishes by which the pods were made.
#[test]
fn wishes_that_an_older_release_hashed_otherwise_are_no_new_ones() {
    let live = made();
    let case = |image| Case {
        inputs_of_old: Some("1:a"),
        ..Case::new(image, "1:b", Some(&live))
    };
    let held = case("e:2").settle();
    assert_eq!((held.finding.reason, image(&held)), (Reason::UpdatePending, "e:1"));
    assert_eq!(mark(&held, INPUTS_ANNOTATION).as_deref(), Some("1:b"));
    let same = case("e:1").settle();
    assert_eq!((same.finding.reason, image(&same)), (Reason::UpToDate, "e:1"));
    assert_eq!(mark(&same, INPUTS_ANNOTATION).as_deref(), Some("1:b"));
    let wished = Case {
        inputs_of_old: Some("1:c"),
        ..Case::new("e:2", "1:b", Some(&live))
    };
    assert_eq!(wished.settle().finding.reason, Reason::Rolling);
}

#[test]
fn pods_of_which_it_is_not_known_why_they_are_so_are_left_alone() {
    for inputs in [None, Some("7:other")] {
        let mut live = made();
        let annotations = live["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.clear();
        annotations.extend(inputs.map(|inputs| (INPUTS_ANNOTATION.to_owned(), json!(inputs))));
        let settled = Case::new("e:2", "1:a", Some(&live)).settle();
        assert_eq!(
            (settled.finding.reason, image(&settled)),
            (Reason::UpdatePending, "e:1")
        );
        // From now on it is known what a wish would be.
        assert_eq!(mark(&settled, INPUTS_ANNOTATION).as_deref(), Some("1:a"));
        let live = there(&settled, ["r1", "r1"]);
        let again = Case::new("e:2", "1:a", Some(&live)).settle();
        assert_eq!(again.finding.reason, Reason::UpdatePending);
        let wished = Case::new("e:2", "1:b", Some(&live)).settle();
        assert_eq!(wished.finding.reason, Reason::Rolling);
    }
}

#[test]
fn what_another_hand_has_changed_is_repaired_at_once() {
    let mut live = made();
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil");
    let settled = Case::new("e:1", "1:a", Some(&live)).settle();
    assert_eq!(image(&settled), "e:1");
    assert_eq!(
        mark(&settled, PREVIOUS_TEMPLATE_ANNOTATION),
        None,
        "nobody goes back to that"
    );
}

#[test]
fn a_change_whose_turn_has_not_come_waits() {
    let live = made();
    let case = Case {
        turn: Err("the frontends go first".to_owned()),
        ..Case::new("e:2", "1:b", Some(&live))
    };
    let settled = case.settle();
    assert_eq!(
        (image(&settled), says(&settled).as_str()),
        ("e:1", "WaitingForTurn: the frontends go first")
    );
    assert_eq!(
        mark(&settled, INPUTS_ANNOTATION).as_deref(),
        Some("1:a"),
        "it is somebody's wish still"
    );
}

/// A pod of the new revision that ends again and again.
fn crashing() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "etl-cn-1", "labels": {"controller-revision-hash": "r2"}},
        "status": {"containerStatuses": [{
            "name": "engine", "image": "e:2", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "no"}},
        }]},
    }))
    .unwrap()
}

#[test]
fn a_template_that_does_not_serve_is_taken_back_and_not_tried_again() {
    let first = made();
    let rolling = there(&Case::new("e:2", "1:b", Some(&first)).settle(), ["r1", "r2"]);
    let pods = [crashing()];
    let case = Case {
        pods: &pods,
        ..Case::new("e:2", "1:b", Some(&rolling))
    };
    let back = case.settle();
    assert_eq!((image(&back), partition(&back)), ("e:1", &json!(0)));
    let told = "Degraded: the change of the pods of etl-cn was taken back: container engine of pod etl-cn-1 ended with exit code 2 (Error): no. Write other values, or remove the cause and have the same tried again: kubectl annotate statefulset etl-cn springtide.dev/failed-update-";
    assert_eq!(says(&back), told);
    assert_eq!(mark(&back, PREVIOUS_TEMPLATE_ANNOTATION), None);

    let live = there(&back, ["r1", "r1"]);
    let again = Case::new("e:2", "1:b", Some(&live)).settle();
    assert_eq!((image(&again), says(&again).as_str()), ("e:1", told));
    assert_eq!(there(&again, ["r1", "r1"]), live, "nothing is written any more");
    // Other values are another try, and so is the same without the mark.
    assert_eq!(image(&Case::new("e:3", "1:c", Some(&live)).settle()), "e:3");
    let mut forgotten = live.clone();
    forgotten["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove(FAILED_UPDATE_ANNOTATION);
    assert_eq!(image(&Case::new("e:2", "1:b", Some(&forgotten)).settle()), "e:2");
    assert_eq!(
        mark(&again, INPUTS_ANNOTATION).as_deref(),
        Some("1:a"),
        "it is not fulfilled"
    );
    // The values from before are no change.
    let as_before = Case::new("e:1", "1:a", Some(&live)).settle();
    assert_eq!(as_before.finding.reason, Reason::UpToDate);
    assert_eq!(mark(&as_before, FAILED_UPDATE_ANNOTATION), None);
}

#[test]
fn a_change_in_the_middle_of_another_one_goes_back_to_what_served() {
    let first = made();
    let rolling = there(&Case::new("e:2", "1:b", Some(&first)).settle(), ["r1", "r2"]);
    let next = Case::new("e:3", "1:c", Some(&rolling)).settle();
    let previous: Value = serde_json::from_str(&mark(&next, PREVIOUS_TEMPLATE_ANNOTATION).unwrap()).unwrap();
    assert_eq!(previous["spec"]["containers"][0]["image"], "e:1");
}

#[test]
fn another_release_carries_a_change_on_that_it_finds_half_done() {
    let first = made();
    let rolling = there(&Case::new("e:2", "1:b", Some(&first)).settle(), ["r1", "r2"]);
    let settled = Case::new("e:2-with-more", "1:b", Some(&rolling)).settle();
    assert_eq!((image(&settled), partition(&settled)), ("e:2", &json!(1)));
    assert!(says(&settled).starts_with("Rolling: pods are replaced one after the other, 1 of 2 so far; waits for pod etl-cn-1 to be made. Beside that: this release"));
}

#[test]
fn the_end_of_a_change_leaves_no_mark_of_it() {
    let first = made();
    let begun = Case::new("e:2", "1:b", Some(&first)).settle();
    assert!(mark(&begun, PREVIOUS_TEMPLATE_ANNOTATION).is_some());
    let done = there(&begun, ["r2", "r2"]);
    let settled = Case::new("e:2", "1:b", Some(&done)).settle();
    assert_eq!(settled.finding.reason, Reason::UpToDate);
    assert_eq!(mark(&settled, AT_POD_SINCE_ANNOTATION), None);
    assert_eq!(
        (mark(&settled, PREVIOUS_TEMPLATE_ANNOTATION), partition(&settled)),
        (None, &json!(0))
    );
    assert_eq!(settled.engine.unwrap().image, "e:2");
}

#[test]
fn many_differences_are_counted() {
    let mut live = made();
    for number in 0..12 {
        live["spec"]["template"]["spec"][format!("field{number:02}")] = json!(number);
    }
    let settled = Case::new("e:2", "1:a", Some(&live)).settle();
    assert!(says(&settled).ends_with("and 5 more"), "{}", says(&settled));
}

/// Where the leader is to be last, the operator chooses, and Kubernetes replaces no pod by itself.
#[test]
fn where_the_leader_is_last_no_pod_is_replaced_by_its_ordinal() {
    let strategy = |settled: &Settled| settled.object.body["spec"]["updateStrategy"].clone();
    let on_delete = json!({"type": "OnDelete"});
    let standings = BTreeMap::new();
    let first = made();
    let case = Case {
        order: Order::LeaderLast(&standings),
        ..Case::new("e:2", "1:b", Some(&first))
    };
    let begun = case.settle();
    assert_eq!((image(&begun), strategy(&begun)), ("e:2", on_delete.clone()));
    assert_eq!(
        says(&begun),
        "Rolling: pods are replaced one after the other, the one that leads last"
    );

    let rolling = there(&begun, ["r1", "r2"]);
    let pods = [crashing()];
    let case = Case {
        order: Order::LeaderLast(&standings),
        pods: &pods,
        ..Case::new("e:2", "1:b", Some(&rolling))
    };
    let back = case.settle();
    assert_eq!((image(&back), strategy(&back)), ("e:1", on_delete.clone()));
    assert_eq!(back.finding.reason, Reason::Degraded);

    // The pod of the new template is still there.
    let live = there(&back, ["r1", "r1"]);
    let case = Case {
        order: Order::LeaderLast(&standings),
        pods: &pods,
        ..Case::new("e:2", "1:b", Some(&live))
    };
    let choosing = case.settle();
    assert_eq!(strategy(&choosing), on_delete);
    assert_eq!(choosing.replaces.unwrap().name, "etl-cn-1");
    let case = Case {
        order: Order::LeaderLast(&standings),
        ..Case::new("e:2", "1:b", Some(&live))
    };
    let done = case.settle();
    assert_eq!(strategy(&done), json!({"rollingUpdate": {"partition": 0}}));
    assert_eq!(done.replaces, None);
}
