use serde_json::{Value, json};
use springtide_crds::department::DeletionPolicy;

use super::*;
use crate::fixture::{ClusterFixture, applied, cluster, condition, group, ready_pod};
use crate::plan_compute_group;

const PLACE: &str = "s3://lake/retail/demo";
const JOB: &str = "demo-delete-data-0b9b3ff6";

/// A cluster that served and is deleted, with this policy for its data and this annotation.
fn deleted(policy: DeletionPolicy, named: Option<&str>) -> ClusterFixture {
    going(cluster("demo"), policy, named)
}

fn going(fixture: ClusterFixture, policy: DeletionPolicy, named: Option<&str>) -> ClusterFixture {
    fixture
        .with(|observed| {
            observed.cluster.spec.deletion.data = policy;
            observed.cluster.metadata.annotations =
                named.map(|place| [(DELETE_DATA_ANNOTATION.to_owned(), place.to_owned())].into());
        })
        .secrets()
        .serving()
        .settled()
        .with(|observed| {
            observed.cluster.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
        })
}

/// One whose data is to go.
fn asked() -> ClusterFixture {
    deleted(DeletionPolicy::Delete, Some(PLACE))
}

/// The same, with no frontend left.
fn stopped(fixture: ClusterFixture) -> ClusterFixture {
    fixture.with(|observed| {
        observed.pods.clear();
        observed.sql = crate::observed::SqlAnswer::NotAsked;
        let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe");
        let mut set = observed.live.get(&key).cloned().unwrap();
        set["spec"]["replicas"] = json!(0);
        observed.live.insert(ObjectKind::StatefulSet, set);
    })
}

/// The same, with a Job in this state.
fn with_job(fixture: ClusterFixture, status: &Value) -> ClusterFixture {
    stopped(fixture).with(|observed| {
        let job = json!({"metadata": {"name": JOB, "namespace": "retail", "uid": "the-job"}, "status": status});
        observed.live.insert(ObjectKind::Job, job);
    })
}

fn failed_at(time: &str) -> Value {
    json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit", "lastTransitionTime": time}]})
}

/// A pod of the Job that ended with this in its termination log.
fn ended_pod(message: &str) -> k8s_openapi::api::core::v1::Pod {
    let state = json!({"terminated": {"exitCode": 78, "message": message}});
    let mut pod = crate::fixture::failing_pod("demo-delete-data-0b9b3ff6-x", state, json!({}));
    pod.metadata.creation_timestamp = Some(serde_json::from_value(json!("2026-11-23T11:59:00Z")).unwrap());
    pod
}

/// The reason and the message of what it waits for.
fn waits(fixture: &ClusterFixture) -> String {
    let plan = fixture.plan();
    assert!(
        !plan.actions.contains(&Action::RemoveFinalizer),
        "it waits: {:?}",
        plan.actions
    );
    condition(&plan.status.expect("it says so").conditions, "Ready")
}

/// The Event of one that goes.
fn goes(fixture: &ClusterFixture) -> EventNote {
    let plan = fixture.plan();
    assert_eq!(plan.actions, [Action::RemoveFinalizer]);
    assert_eq!((plan.status, plan.wait), (None, None));
    let [event] = &plan.events[..] else {
        panic!("one Event: {:?}", plan.events)
    };
    event.clone()
}

#[test]
fn data_stays_when_nobody_asks_for_anything_and_the_event_says_how_to_take_it_up() {
    let event = goes(&deleted(DeletionPolicy::Retain, None));
    assert_eq!((event.severity, event.reason), (Severity::Normal, Reason::DataKept));
    for words in [PLACE, "bootstrap.adopt 0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11"] {
        assert!(event.note.contains(words), "{}", event.note);
    }
}

#[test]
fn deletion_policy_delete_never_takes_data_along() {
    let fixture = deleted(DeletionPolicy::Retain, None).with(|observed| {
        observed.cluster.spec.deletion_policy = DeletionPolicy::Delete;
        let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe");
        let mut set = observed.live.get(&key).cloned().unwrap();
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = json!("Delete");
        observed.live.insert(ObjectKind::StatefulSet, set);
    });
    let plan = fixture.plan();
    assert_eq!(plan.events[0].reason, Reason::DataKept);
    let is_job = |action: &Action| matches!(action, Action::Apply(object) if object.key.kind == ObjectKind::Job);
    assert!(!plan.actions.iter().any(is_job));
    assert_eq!(plan.actions.last(), Some(&Action::RemoveFinalizer));
}

#[test]
fn data_stays_where_it_was_not_asked_for_by_its_exact_name() {
    for (policy, named, words) in [
        (DeletionPolicy::Delete, None, "no annotation springtide.dev/delete-data"),
        (DeletionPolicy::Retain, Some(PLACE), "spec.deletion.data is Retain"),
        (
            DeletionPolicy::Delete,
            Some("s3://lake/retail/demo/"),
            "names \"s3://lake/retail/demo/\"",
        ),
        (
            DeletionPolicy::Delete,
            Some("s3://lake/retail"),
            "the data is at s3://lake/retail/demo",
        ),
        (DeletionPolicy::Delete, Some("S3://lake/retail/demo"), "names"),
        (DeletionPolicy::Delete, Some("true"), "names \"true\""),
        (DeletionPolicy::Delete, Some(""), "names \"\""),
    ] {
        let event = goes(&deleted(policy, named));
        assert_eq!((event.severity, event.reason), (Severity::Warning, Reason::DataKept));
        assert!(event.note.contains(words), "{}", event.note);
        assert!(
            event.note.contains(&format!("springtide.dev/delete-data: {PLACE}")),
            "{}",
            event.note
        );
    }
}

#[test]
fn a_cluster_that_lives_says_what_a_deletion_will_do() {
    let accepted = |policy, named: Option<&str>| {
        let lives = deleted(policy, named).with(|observed| observed.cluster.metadata.deletion_timestamp = None);
        let status = lives.0.cluster.status.clone().unwrap();
        (condition(&status.conditions, "Accepted"), lives.plan().actions)
    };
    let plain = "True Valid: the written values are in force";
    assert_eq!(accepted(DeletionPolicy::Retain, None), (plain.to_owned(), vec![]));
    assert_eq!(accepted(DeletionPolicy::Delete, None), (plain.to_owned(), vec![]));
    let told = format!("{plain}; when this LakeCluster is deleted, all its data at {PLACE} is deleted with it");
    assert_eq!(accepted(DeletionPolicy::Delete, Some(PLACE)), (told, vec![]));
    let (wrong, _) = accepted(DeletionPolicy::Delete, Some("s3://lake/other"));
    assert!(
        wrong.contains("a deletion lets the data stay: the annotation"),
        "{wrong}"
    );
}

#[test]
fn compute_ends_first_then_the_frontends_then_a_job_deletes_the_data() {
    let full = asked().with(|observed| observed.removal.compute_pods = ["etl-cn-0".to_owned()].into());
    let told = waits(&full);
    assert!(told.starts_with("False DeletingData: "), "{told}");
    assert!(told.contains("first its compute nodes end: etl-cn-0"), "{told}");
    assert!(
        told.contains("take the annotation springtide.dev/delete-data away"),
        "{told}"
    );
    assert_eq!(full.plan().actions, []);

    // Made none and not deleted: volumes are there as long as the data is.
    let plan = asked().plan();
    assert!(
        matches!(&plan.actions[..], [Action::Scale { object, replicas: 0, .. }] if object.name == "demo-fe"),
        "{:?}",
        plan.actions
    );
    let ending = stopped(asked()).with(|observed| observed.pods = vec![ready_pod("demo-fe-0")]);
    assert!(waits(&ending).contains("first its frontends end: demo-fe-0"));
    assert_eq!(ending.plan().actions, []);

    let objects = applied(&stopped(asked()).plan());
    assert_eq!(objects.keys().collect::<Vec<_>>(), [&format!("Job retail/{JOB}")]);

    let told = waits(&with_job(asked(), &json!({})));
    assert!(told.contains("has no pod yet"), "{told}");
    let runs = with_job(asked(), &json!({"active": 1})).with(|observed| {
        observed.removal.job_pods = vec![ready_pod("demo-delete-data-0b9b3ff6-x")];
    });
    assert_eq!(runs.plan().actions, []);
    assert!(waits(&runs).starts_with("False DeletingData"));

    let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let plan = with_job(asked(), &done).plan();
    assert_eq!(plan.events[0].reason, Reason::DataDeleted);
    assert!(plan.events[0].note.contains(PLACE));
    assert!(
        matches!(&plan.actions[..], [Action::Delete { object, .. }, Action::RemoveFinalizer] if object.name == JOB),
        "{:?}",
        plan.actions
    );
}

#[test]
fn what_it_waits_for_is_told_once() {
    let fixture = with_job(asked(), &json!({}));
    let first = fixture.plan();
    assert_eq!((first.events.len(), first.events[0].reason), (1, Reason::DeletingData));
    let again = fixture.with(|observed| observed.cluster.status = first.status).plan();
    assert_eq!((again.status, again.events), (None, vec![]));
}

#[test]
fn a_job_that_fails_says_why_and_another_one_follows_it() {
    let left = json!({"reason": "StorageUnreachable", "message": "bucket 'lake' cannot be reached"}).to_string();
    let failed = |time: &str| {
        with_job(asked(), &failed_at(time)).with(|observed| observed.removal.job_pods = vec![ended_pod(&left)])
    };
    let lately = failed("2026-11-23T11:58:00Z");
    let told = waits(&lately);
    assert!(told.starts_with("False DataDeletionFailed: the data at s3://lake/retail/demo cannot be deleted: bucket 'lake' cannot be reached"), "{told}");
    assert!(told.contains("take the annotation"), "{told}");
    assert_eq!(lately.plan().actions, []);
    assert_eq!(lately.plan().events[0].severity, Severity::Warning);

    let plan = failed("2026-11-23T11:55:00Z").plan();
    assert!(
        matches!(&plan.actions[..], [Action::Delete { object, uid: Some(uid) }] if object.name == JOB && uid == "the-job"),
        "{:?}",
        plan.actions
    );
    // Whoever deletes a Job sees it go.
    let leaving = failed("2026-11-23T11:55:00Z").with(|observed| {
        let key = ObjectKey::namespaced(ObjectKind::Job, "retail", JOB);
        let mut job = observed.live.get(&key).cloned().unwrap();
        job["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
        observed.live.insert(ObjectKind::Job, job);
    });
    assert_eq!(leaving.plan().actions, []);

    // Its controller's words, where no pod has left any.
    let silent = with_job(asked(), &failed_at("2026-11-23T11:58:00Z"));
    assert!(waits(&silent).contains("Job has reached the specified backoff limit"));
    let tries =
        with_job(asked(), &json!({"active": 1})).with(|observed| observed.removal.job_pods = vec![ended_pod(&left)]);
    assert!(waits(&tries).starts_with("False DataDeletionFailed"));
}

#[test]
fn whoever_takes_the_annotation_away_lets_the_object_go_whatever_has_failed() {
    for status in [json!({"active": 1}), failed_at("2026-11-23T11:58:00Z")] {
        let fixture = with_job(asked(), &status).with(|observed| observed.cluster.metadata.annotations = None);
        let plan = fixture.plan();
        assert!(
            matches!(&plan.actions[..], [Action::Delete { object, .. }, Action::RemoveFinalizer] if object.name == JOB),
            "{:?}",
            plan.actions
        );
        assert_eq!(plan.events[0].reason, Reason::DataKept);
    }
}

#[test]
fn nothing_is_waited_for_in_a_namespace_that_is_being_deleted() {
    let event = goes(&stopped(asked()).with(|observed| observed.removal.namespace_is_leaving = true));
    assert!(event.note.contains("its namespace is being deleted"), "{}", event.note);
}

#[test]
fn a_cluster_that_was_never_accepted_goes_at_once_and_touches_no_data() {
    let fixture = cluster("demo").with(|observed| {
        observed.cluster.spec.deletion.data = DeletionPolicy::Delete;
        observed.cluster.spec.frontends.replicas = 2;
        observed.cluster.metadata.annotations = Some([(DELETE_DATA_ANNOTATION.to_owned(), PLACE.to_owned())].into());
        observed.cluster.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
    });
    assert!(goes(&fixture).note.contains("never accepted"));
}

#[test]
fn an_engine_that_claims_no_place_must_have_it_for_itself() {
    let starrocks = || stopped(going(cluster("demo").starrocks(), DeletionPolicy::Delete, Some(PLACE)));
    let beside = |bucket: &str, prefix: &str| {
        let mut other = cluster("other").0.cluster;
        (other.spec.storage.bucket, other.spec.storage.prefix) = (bucket.to_owned(), prefix.to_owned());
        starrocks().with(|observed| observed.removal.other_clusters = vec![other])
    };
    for prefix in ["retail/demo", "retail", "retail/demo/inner"] {
        let event = goes(&beside("lake", prefix));
        assert!(
            event.note.contains("LakeCluster retail/other is at s3://lake/"),
            "{}",
            event.note
        );
    }
    for (bucket, prefix) in [("lake", "retail/demo2"), ("lake", "retail/dem"), ("sea", "retail/demo")] {
        assert_eq!(applied(&beside(bucket, prefix).plan()).len(), 1, "{bucket} {prefix}");
    }
    let never_there = starrocks().with(|observed| observed.cluster.status.as_mut().unwrap().cluster_id = None);
    assert!(goes(&never_there).note.contains("never seen to serve"));
}

#[test]
fn the_job_is_restricted_and_reads_what_frontends_read() {
    let bundled = applied(&stopped(asked()).plan());
    insta::assert_yaml_snapshot!("bundled", bundled);
    let starrocks = stopped(going(cluster("demo").starrocks(), DeletionPolicy::Delete, Some(PLACE)));
    let starrocks = applied(&starrocks.plan());
    let of = |objects: &std::collections::BTreeMap<String, Value>, pointer: &str| {
        objects.values().next().unwrap().pointer(pointer).cloned().unwrap()
    };
    let container = "/spec/template/spec/containers/0";
    assert_eq!(
        of(&starrocks, &format!("{container}/args")),
        json!(["delete-data", "--place", PLACE, "--whole-prefix"])
    );
    for pointer in ["image", "volumeMounts", "securityContext"] {
        let pointer = format!("{container}/{pointer}");
        assert_eq!(of(&starrocks, &pointer), of(&bundled, &pointer));
    }
}

#[test]
fn a_job_runs_as_the_identity_that_may_use_the_bucket() {
    let fixture = cluster("demo").with(|observed| {
        let credentials = json!({"serviceAccountName": "bucket-user"});
        observed.cluster.spec.storage.credentials = serde_json::from_value(credentials).unwrap();
    });
    let objects = applied(&stopped(going(fixture, DeletionPolicy::Delete, Some(PLACE))).plan());
    let job = objects.values().next().unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "bucket-user");
}

#[test]
fn each_kind_of_what_is_left_has_its_own_policy_and_an_old_object_means_what_it_meant() {
    use DeletionPolicy::{Delete, Retain};
    for (whole, volumes, accounts, expected) in [
        (Retain, None, None, ("Retain", 0)),
        (Delete, None, None, ("Delete", 3)),
        (Delete, Some(Retain), None, ("Retain", 3)),
        (Delete, None, Some(Retain), ("Delete", 0)),
        (Retain, Some(Delete), None, ("Delete", 0)),
        (Retain, None, Some(Delete), ("Retain", 3)),
    ] {
        let lives = cluster("demo")
            .with(|observed| {
                observed.cluster.spec.deletion_policy = whole;
                observed.cluster.spec.deletion.metadata_volumes = volumes;
                observed.cluster.spec.deletion.accounts = accounts;
            })
            .secrets()
            .serving()
            .settled();
        let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe");
        let set = lives.0.live.get(&key).cloned().unwrap();
        let when_deleted = set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].clone();
        let deleted = lives.with(|observed| {
            observed.cluster.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
        });
        let secrets = deleted.plan().actions.len() - 1;
        assert_eq!(
            (when_deleted, secrets),
            (json!(expected.0), expected.1),
            "{whole:?} {volumes:?} {accounts:?}"
        );
    }
}

#[test]
fn nodes_of_a_group_go_before_data_is_deleted_and_stay_otherwise() {
    let of = |cluster: ClusterFixture| {
        let group = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
        let group = group.with(|observed| observed.cluster = Some(cluster.0.cluster));
        plan_compute_group(&group.0, crate::fixture::noon()).actions
    };
    assert_eq!(of(deleted(DeletionPolicy::Retain, None)), []);
    assert_eq!(of(deleted(DeletionPolicy::Delete, Some("s3://lake/retail"))), []);
    let actions = of(asked());
    assert!(
        matches!(&actions[..], [Action::Scale { object, replicas: 0, .. }] if object.name == "etl-cn"),
        "{actions:?}"
    );
    let lives = asked().with(|observed| observed.cluster.metadata.deletion_timestamp = None);
    assert_eq!(of(lives), []);
}
