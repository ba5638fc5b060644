//! What a person may get wrong and only a real cluster can show: each has a condition that names the field and the remedy.

use std::time::Duration;

use serde_json::{Value, json};
use springtide_e2e::storage;

use crate::{
    department::{Department, with_department},
    scenario::Scenario,
};

/// From an object that cannot work to a condition that says why; a volume claim gets 20 s before it is called trouble.
const LIMIT: Duration = Duration::from_secs(100);

/// A LakeCluster that cannot run: its name, what is wrong with it, and what its condition says.
struct Lake {
    name: &'static str,
    spec: Value,
    condition: &'static str,
    says: &'static [&'static str],
}

/// A ComputeGroup that cannot be accepted.
struct Group {
    name: &'static str,
    spec: Value,
    says: &'static [&'static str],
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_says_why_and_what_to_do() {
    let scenario = Scenario::begin("what cannot work says why, and what to do");
    with_department(&scenario, "bad", async |department| {
        scenario
            .given("a department with a small quota, and wrong keys", async || {
                department
                    .apply(json!({"namespaces": [{"name": department.name, "quota": {"cpu": "2", "memory": "8Gi"}}]}))
                    .await;
                let wrong = storage::Keys {
                    secret: "not-the-key-of-this-account".into(),
                    ..department.keys.clone()
                };
                storage::write_secret(
                    &department.cluster.client,
                    &department.name,
                    "wrong",
                    "Opaque",
                    wrong.data(),
                )
                .await
                .expect("write the wrong keys");
            })
            .await;
        scenario
            .and("some of it is refused at once", async || {
                refused_at_once(department).await
            })
            .await;
        let (lakes, groups) = (lakes(), groups());
        scenario
            .when("clusters and groups are written that cannot work", async || {
                for Lake { name, spec, .. } in &lakes {
                    department.lake(name, spec.clone()).await;
                }
                for Group { name, spec, .. } in &groups {
                    department.group(name, "none", spec.clone()).await;
                }
            })
            .await;
        scenario
            .then("every condition says what is wrong", LIMIT, async || {
                let mut missing = Vec::new();
                for lake in &lakes {
                    let told = department.lake_says(lake.name, lake.condition).await;
                    missing.extend(unsaid(lake.name, &told, lake.says));
                }
                for group in &groups {
                    let told = department.group_says(group.name, "Accepted").await;
                    missing.extend(unsaid(group.name, &told, group.says));
                }
                if missing.is_empty() {
                    Ok(())
                } else {
                    Err(missing.join("\n"))
                }
            })
            .await;
    })
    .await;
}

fn unsaid(name: &str, condition: &str, says: &[&str]) -> Option<String> {
    let is_said = says.iter().all(|part| condition.contains(part));
    (!is_said).then(|| format!("{name} should say {says:?}, says: {condition}"))
}

fn lakes() -> Vec<Lake> {
    let lake = |name, condition, says, spec| Lake {
        name,
        spec,
        condition,
        says,
    };
    vec![
        lake(
            "no-bucket",
            "Available",
            &["False BucketNotFound", "it-nowhere"],
            json!({"storage": {"bucket": "it-nowhere"}}),
        ),
        lake(
            "wrong-key",
            "Available",
            &["False StorageAccessDenied"],
            json!({"storage": {"credentials": {"secretRef": {"name": "wrong"}}}}),
        ),
        lake(
            "no-secret",
            "Accepted",
            &["False SecretNotFound: storage.credentials.secretRef", "create it"],
            json!({"storage": {"credentials": {"secretRef": {"name": "nosuch"}}}}),
        ),
        lake(
            "no-volume",
            "Available",
            &[
                "False VolumeNotBound",
                "meta-no-volume-fe-0",
                "frontends.metadataVolume.storageClassName",
            ],
            json!({"frontends": {"metadataVolume": {"storageClassName": "nosuch"}}}),
        ),
        lake(
            "no-image",
            "Available",
            &[
                "False ImagePullFailed",
                "127.0.0.1:1/nosuch:1",
                "check the image's name",
            ],
            json!({"image": "127.0.0.1:1/nosuch:1"}),
        ),
        lake(
            "too-large",
            "Available",
            &[
                "False PodOverQuota",
                "exceeded quota",
                "have the department's quota raised",
            ],
            json!({"frontends": {"resources": {"cpu": "3", "memory": "768Mi"}}}),
        ),
    ]
}

fn groups() -> Vec<Group> {
    let group = |name, says, window: Value| Group {
        name,
        says,
        spec: json!({"replicas": 0, "schedules": [window]}),
    };
    let start = "0 8 * * MON-FRI";
    vec![
        group(
            "floor-above-quota",
            &[
                "False QuotaExceeded: schedules: minReplicas 9 needs",
                "have the quota raised",
            ],
            json!({"name": "w", "start": start, "duration": "8h", "minReplicas": 9}),
        ),
        group(
            "floor-above-limit",
            &["False DepartmentLimitExceeded: schedules[w].minReplicas: 101"],
            json!({"name": "w", "start": start, "duration": "8h", "minReplicas": 101}),
        ),
        group(
            "wrong-cron",
            &["False InvalidSchedule: schedules[w].start", "61"],
            json!({"name": "w", "start": "61 8 * * *", "duration": "8h", "minReplicas": 1}),
        ),
        group(
            "unknown-zone",
            &["False UnknownTimeZone: schedules[w].timeZone", "Europe/Berlin"],
            json!({"name": "w", "start": start, "duration": "8h", "timeZone": "Europe/Berln", "minReplicas": 1}),
        ),
    ]
}

/// What the API server itself refuses, with the rule's message.
async fn refused_at_once(department: &Department) {
    let window = |over: Value| {
        let mut window = json!({"name": "w", "start": "0 8 * * *", "minReplicas": 2});
        let fields = window.as_object_mut().expect("an object");
        fields.extend(over.as_object().cloned().expect("an object"));
        json!({"schedules": [window]})
    };
    for (spec, says) in [
        (
            window(json!({"duration": "8h", "maxReplicas": 1})),
            "minReplicas is above maxReplicas",
        ),
        (
            window(json!({"duration": "8h", "until": "18:00"})),
            "write either duration",
        ),
        (window(json!({})), "write either duration"),
        (json!({"drain": {"timeout": "48h"}}), "write between 1s and 24h"),
        (json!({"replicas": -1}), "write a whole number from 0 to 1000"),
        (
            json!({"autoscaling": {"maxReplicas": 4, "cpu": 0}}),
            "write a whole number from 1 to 1000",
        ),
        (
            json!({"placement": {"tolerations": [{"key": "not a key", "operator": "Exists"}]}}),
            "write the key of the taint",
        ),
        // What is not one of an enumeration the API server refuses before it looks at rules, and says what is.
        (
            json!({"drain": {"onTimeout": "Stop"}}),
            "spec.drain.onTimeout: Unsupported value: \"Stop\": supported values: \"Force\", \"Wait\"",
        ),
    ] {
        let refused = department.try_group("refused", "none", spec.clone()).await;
        let message = refused.map(|_| spec).expect_err("it is refused").to_string();
        assert!(message.contains(says), "{message}");
    }
}
