use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::fixture::noon;

/// A StatefulSet of three in the middle of a roll, with this partition.
fn live(partition: u32) -> Value {
    json!({
        "metadata": {"name": "etl-cn", "generation": 2},
        "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": partition}}},
        "status": {"observedGeneration": 2, "currentRevision": "old", "updateRevision": "new"},
    })
}

/// A pod of a revision that was made and is ready since these seconds.
fn pod(ordinal: u32, revision: &str, made_s: i64, ready_s: Option<i64>) -> Pod {
    let before = |seconds: i64| (noon() - TimeDelta::seconds(seconds)).to_rfc3339();
    let ready = ready_s.map_or_else(
        || json!({"type": "Ready", "status": "False"}),
        |seconds| json!({"type": "Ready", "status": "True", "lastTransitionTime": before(seconds)}),
    );
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("etl-cn-{ordinal}"),
            "labels": {"controller-revision-hash": revision},
            "creationTimestamp": before(made_s),
        },
        "status": {"conditions": [ready], "containerStatuses": [
            {"name": "engine", "image": "e:2", "imageID": "", "ready": ready_s.is_some(), "restartCount": 0, "state": {}},
        ]},
    }))
    .unwrap()
}

fn with_status(mut pod: Pod, change: impl FnOnce(&mut Value)) -> Pod {
    let mut status = serde_json::to_value(&pod.status).unwrap();
    change(&mut status["containerStatuses"][0]);
    pod.status = serde_json::from_value(status).unwrap();
    pod
}

/// A roll that came to its pod so many seconds ago.
fn since(seconds: i64) -> Begun {
    Begun {
        is_open: true,
        at_pod_since: Some(noon() - TimeDelta::seconds(seconds)),
    }
}

fn look(live: &Value, pods: &[Pod], counted: Option<&[u32]>) -> Progress {
    let counted: Option<BTreeSet<String>> =
        counted.map(|ordinals| ordinals.iter().map(|ordinal| format!("etl-cn-{ordinal}")).collect());
    let pods = Pods {
        pods,
        counted: counted.as_ref(),
        now: noon(),
    };
    progress(live, since(900), 3, pods)
}

/// The partition, and what is waited for.
fn rolling(progress: Progress) -> (u32, String) {
    match progress {
        Progress::Rolling { partition, waits_for } => (partition, waits_for),
        other => panic!("{other:?}"),
    }
}

fn failed(progress: Progress) -> String {
    match progress {
        Progress::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

const ALL: Option<&[u32]> = Some(&[0, 1, 2]);

#[test]
fn the_next_pod_is_replaced_when_the_last_one_has_served_for_a_while_and_not_when_kubernetes_calls_it_ready() {
    let look = |ready_s: i64, counted: Option<&[u32]>| {
        let pods = [
            pod(0, "old", 900, Some(900)),
            pod(1, "old", 900, Some(900)),
            pod(2, "new", 30, Some(ready_s)),
        ];
        rolling(look(&live(2), &pods, counted))
    };
    assert_eq!(look(9, ALL), (2, "pod etl-cn-2 to have served for 10 s".to_owned()));
    assert_eq!(look(10, ALL), (1, "pod etl-cn-1 to be replaced".to_owned()));
    assert_eq!(
        look(10, Some(&[0, 1])),
        (2, "the frontend to count on pod etl-cn-2".to_owned())
    );
    assert_eq!(look(10, None), (2, "the frontend to count on pod etl-cn-2".to_owned()));
}

#[test]
fn a_pod_that_has_come_before_has_to_serve_still() {
    let pods = [
        pod(0, "old", 900, Some(900)),
        pod(1, "new", 60, Some(50)),
        pod(2, "new", 90, None),
    ];
    assert_eq!(
        rolling(look(&live(1), &pods, ALL)),
        (1, "pod etl-cn-2 to be ready".to_owned())
    );
}

#[test]
fn pods_of_the_old_template_that_leave_or_are_not_made_yet_are_waited_for() {
    let mut leaving = pod(2, "old", 900, Some(900));
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    let of = |pods: &[Pod]| rolling(look(&live(2), pods, ALL)).1;
    assert_eq!(of(&[leaving]), "pod etl-cn-2 to finish what it has");
    assert_eq!(of(&[pod(2, "old", 900, Some(900))]), "pod etl-cn-2 to be replaced");
    assert_eq!(of(&[]), "pod etl-cn-2 to be made");
}

#[test]
fn fewer_pods_have_a_smaller_partition() {
    let pods = [pod(0, "new", 900, Some(900))];
    let looked = progress(
        &live(2),
        since(900),
        1,
        Pods {
            pods: &pods,
            counted: None,
            now: noon(),
        },
    );
    assert_eq!(rolling(looked).0, 0);
    let pods = Pods {
        pods: &[],
        counted: None,
        now: noon(),
    };
    assert_eq!(
        rolling(progress(&live(2), since(900), 0, pods)),
        (0, "Kubernetes to count all pods".to_owned())
    );
}

#[test]
fn it_is_done_when_kubernetes_has_seen_it_and_says_so() {
    let mut live = live(0);
    live["status"]["currentRevision"] = json!("new");
    let nobody = Pods {
        pods: &[],
        counted: None,
        now: noon(),
    };
    assert_eq!(progress(&live, since(900), 3, nobody), Progress::Done);
    live["metadata"]["generation"] = json!(3);
    assert_eq!(
        rolling(progress(&live, since(900), 3, nobody)).1,
        "Kubernetes to take it up"
    );
    assert_eq!(
        progress(&live, Begun::default(), 3, nobody),
        Progress::Done,
        "a size that is not seen yet is no new template"
    );
}

#[test]
fn an_image_that_is_missing_for_a_minute_fails() {
    let missing = |made_s: i64| {
        let pod = with_status(pod(2, "new", made_s, None), |engine| {
            engine["state"] = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        });
        look(&live(2), &[pod], ALL)
    };
    assert_eq!(rolling(missing(59)).1, "pod etl-cn-2 to be ready");
    assert!(failed(missing(60)).starts_with("pod etl-cn-2: image e:2 cannot be pulled: not found"));
}

#[test]
fn a_container_that_ends_three_times_fails() {
    let ends = |times: i32| {
        let pod = with_status(pod(2, "new", 40, None), |engine| {
            engine["restartCount"] = json!(times);
            engine["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
            engine["lastState"] =
                json!({"terminated": {"exitCode": 2, "reason": "Error", "message": "no such setting"}});
        });
        look(&live(2), &[pod], ALL)
    };
    assert_eq!(rolling(ends(2)).1, "pod etl-cn-2 to be ready");
    assert_eq!(
        failed(ends(3)),
        "container engine of pod etl-cn-2 ended with exit code 2 (Error): no such setting"
    );
}

#[test]
fn a_pod_that_is_ready_and_that_nobody_counts_on_fails_after_two_minutes() {
    let ready = |ready_s: i64, counted: Option<&[u32]>| look(&live(2), &[pod(2, "new", 300, Some(ready_s))], counted);
    assert_eq!(
        rolling(ready(119, Some(&[]))).1,
        "the frontend to count on pod etl-cn-2"
    );
    assert_eq!(
        failed(ready(120, Some(&[]))),
        "pod etl-cn-2 has been ready for 120 s, and the frontend does not count on it"
    );
    // While no frontend can be asked it is not known.
    assert_eq!(rolling(ready(120, None)).1, "the frontend to count on pod etl-cn-2");
}

#[test]
fn a_pod_that_is_not_ready_within_ten_minutes_fails() {
    let starts = |made_s: i64| look(&live(2), &[pod(2, "new", made_s, None)], ALL);
    assert_eq!(rolling(starts(599)).1, "pod etl-cn-2 to be ready");
    assert_eq!(failed(starts(600)), "pod etl-cn-2 was not ready within 600 s");
}

#[test]
fn what_is_wrong_with_a_pod_of_the_old_template_takes_nothing_back() {
    let broken = with_status(pod(1, "old", 900, None), |engine| engine["restartCount"] = json!(9));
    let pods = [broken, pod(2, "new", 90, Some(60))];
    assert_eq!(rolling(look(&live(2), &pods, ALL)).0, 1);
}

/// The clock of a kubelet, or the operator's own, may be years off.
#[test]
fn a_pod_fails_for_its_time_only_when_two_clocks_say_so() {
    let ages = 4 * 365 * 86_400;
    let just_made = [pod(2, "new", ages, None)];
    let pods = |pods| Pods {
        pods,
        counted: None,
        now: noon(),
    };
    let waits = "pod etl-cn-2 to be ready";
    let looked = progress(&live(2), since(5), 3, pods(&just_made));
    assert_eq!(rolling(looked).1, waits, "its age is that of a wrong clock");
    let made_now = [pod(2, "new", 5, None)];
    let looked = progress(&live(2), since(ages), 3, pods(&made_now));
    assert_eq!(rolling(looked).1, waits, "the pod was made a moment ago");
    let by_hand = progress(&live(2), Begun::default(), 3, pods(&just_made));
    assert_eq!(rolling(by_hand).1, waits, "nobody has begun it who could take it back");
}
