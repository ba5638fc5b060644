use serde_json::json;
use springtide_contract::drain::FRONTEND_STOP;
use springtide_crds::ComputeGroup;

use super::*;
use crate::fixture::{
    applied, at, bound_claim, cluster, condition, event, facts, failing_pod, file_of, group, noon, ready_pod,
    statements, unbound_claim,
};
use crate::observed::SqlAnswer;

/// Plans `fixture` and returns the condition `type_` of the status.
fn check(fixture: &crate::fixture::ClusterFixture, type_: &str) -> String {
    let plan = fixture.plan();
    condition(&plan.status.expect("the status changes").conditions, type_)
}

#[test]
fn bundled_objects() {
    insta::assert_yaml_snapshot!("bundled", applied(&cluster("demo").secrets().plan()));
}

#[test]
fn starrocks_objects() {
    insta::assert_yaml_snapshot!("starrocks", applied(&cluster("demo").starrocks().secrets().plan()));
}

#[test]
fn everything_that_may_be_written_reaches_the_objects() {
    let full = cluster("demo").with(|observed| {
        let spec = json!({
            "engine": {"version": "0.2.0"},
            "image": "registry.example/engine:x",
            "storage": {
                "bucket": "lake", "prefix": "p", "region": "eu-central-1",
                "credentials": {"serviceAccountName": "lake-reader"},
            },
            "frontends": {
                "resources": {"cpu": 2, "memory": "8Gi"},
                "metadataVolume": {"size": "50Gi", "storageClassName": "fast"},
                "config": {"queryTimeoutS": "900"},
            },
            "computeTemplate": {"config": {"memoryLimitBytes": "1000000"}},
            "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
            "tls": {"secretName": "demo-tls"},
            "bootstrap": {"adopt": "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c99"},
            "imagePullSecrets": ["registry"],
            "deletionPolicy": "Delete",
        });
        observed.cluster.spec = serde_json::from_value(spec).unwrap();
        observed
            .secrets
            .insert("demo-tls".to_owned(), facts(&["tls.crt", "tls.key"]));
    });
    insta::assert_yaml_snapshot!("full", applied(&full.secrets().plan()));
}

#[test]
fn a_frontend_is_not_killed_before_what_runs_there_has_had_its_time() {
    let objects = applied(&cluster("demo").secrets().plan());
    let pod = &objects["StatefulSet retail/demo-fe"]["spec"]["template"]["spec"];
    let grace_s = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert_eq!(grace_s, FRONTEND_STOP.as_secs() + 15);
}

#[test]
fn secrets_are_made_once_and_before_the_pods() {
    let plan = cluster("demo").plan();
    let made: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::CreateSecretOnce(secret) => Some(secret.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(made, ["demo-internal", "demo-admin", "demo-operator"]);
    assert_eq!(
        plan.actions.len(),
        made.len(),
        "pods come after the Secrets that they mount"
    );
    let again = cluster("demo").secrets().plan();
    assert!(
        !again
            .actions
            .iter()
            .any(|action| matches!(action, Action::CreateSecretOnce(_)))
    );
}

#[test]
fn an_idle_cluster_has_an_empty_plan() {
    for fixture in [cluster("demo"), cluster("demo").starrocks()] {
        let plan = fixture.secrets().serving().settled().plan();
        assert_eq!(plan.actions, []);
        assert_eq!(plan.status, None);
        assert_eq!(plan.events, []);
        assert_eq!(plan.wait, None);
        assert_eq!(plan.requeue_after, finish::STEADY);
    }
}

#[test]
fn a_cluster_that_serves_says_where() {
    let plan = cluster("demo").secrets().serving().settled();
    let status = plan.0.cluster.status.clone().unwrap();
    insta::assert_yaml_snapshot!("status", status);
}

#[test]
fn a_frontend_that_was_told_to_stop_is_no_alarm_when_it_no_longer_answers() {
    let mute = |leaves_since: Option<&str>| {
        cluster("demo").secrets().serving().settled().with(|observed| {
            observed.pods[0].metadata.deletion_timestamp =
                leaves_since.map(|at| serde_json::from_value(json!(at)).unwrap());
            observed.sql = SqlAnswer::Unreachable {
                message: "connection refused".to_owned(),
            };
        })
    };
    assert!(check(&mute(None), "Available").starts_with("False FrontendNotAnswering"));
    let leaves = check(&mute(Some("2026-11-23T12:00:00Z")), "Available");
    assert!(leaves.starts_with("False FrontendStarting"), "{leaves}");
}

#[test]
fn foreign_drift_is_repaired() {
    let settled = cluster("demo").secrets().serving().settled();
    let drifted = settled.with(|observed| {
        let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "demo-fe");
        let mut body = observed.live.get(&key).unwrap().clone();
        body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil");
        observed.live.insert(ObjectKind::StatefulSet, body);
    });
    let plan = drifted.plan();
    assert_eq!(plan.actions.len(), 1);
    assert!(matches!(&plan.actions[0], Action::Apply(object) if object.key.name == "demo-fe"));
}

#[test]
fn what_is_no_longer_wanted_is_pruned_but_never_data() {
    let settled = cluster("demo").secrets().serving().settled();
    let left_over = settled.with(|observed| {
        for (kind, owner) in [
            (ObjectKind::PodDisruptionBudget, "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11"),
            (
                ObjectKind::PersistentVolumeClaim,
                "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11",
            ),
            (ObjectKind::Secret, "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11"),
            (ObjectKind::ConfigMap, "somebody-else"),
        ] {
            let body = json!({"metadata": {
                "name": "old", "namespace": "retail", "uid": "u", "ownerReferences": [{"uid": owner}],
            }});
            observed.live.insert(kind, body);
        }
    });
    let plan = left_over.plan();
    let expected = Action::Delete {
        object: ObjectKey::namespaced(ObjectKind::PodDisruptionBudget, "retail", "old"),
        uid: Some("u".to_owned()),
    };
    assert_eq!(plan.actions, [expected]);
}

#[test]
fn a_missing_secret_is_named() {
    let missing = cluster("demo").with(|observed| observed.secrets.clear());
    assert_eq!(
        check(&missing, "Accepted"),
        "False SecretNotFound: storage.credentials.secretRef: there is no Secret s3 in namespace retail; create it, or write the name of one that exists"
    );
    assert_eq!(
        missing.plan().actions,
        [],
        "nothing is made before the values are accepted"
    );
    assert_eq!(
        missing.plan().requeue_after,
        finish::SECRET,
        "no watch tells when it comes"
    );
}

#[test]
fn a_missing_key_is_named() {
    let missing = cluster("demo").with(|observed| {
        observed.secrets.insert("s3".to_owned(), facts(&["access-key-id"]));
    });
    let accepted = check(&missing, "Accepted");
    assert!(accepted.contains("SecretKeyMissing"), "{accepted}");
    assert!(accepted.contains("key secret-access-key"), "{accepted}");
}

#[test]
fn the_last_accepted_values_stay_in_force() {
    let settled = cluster("demo").secrets().serving().settled();
    let broken = settled.with(|observed| observed.cluster.spec.frontends.replicas = 3);
    let plan = broken.plan();
    assert_eq!(plan.actions, []);
    let status = plan.status.unwrap();
    let accepted = condition(&status.conditions, "Accepted");
    assert!(
        accepted.starts_with("False NotSupportedByEngine: frontends.replicas: 3"),
        "{accepted}"
    );
    assert!(
        accepted.ends_with("the last accepted values stay in force"),
        "{accepted}"
    );
    assert_eq!(status.accepted_spec.unwrap().frontends.replicas, 1);
}

#[test]
fn running_pods_are_not_rolled_when_their_secret_vanishes() {
    for fixture in [cluster("demo"), cluster("demo").starrocks()] {
        let settled = fixture.secrets().serving().settled();
        let plan = settled.with(|observed| drop(observed.secrets.remove("s3"))).plan();
        assert_eq!(applied(&plan).keys().collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn a_rotated_key_rolls_the_frontends_only_where_they_do_not_read_it_anew() {
    for (fixture, rolled) in [
        (cluster("demo").starrocks(), &["StatefulSet retail/demo-fe"][..]),
        (cluster("demo"), &[]),
    ] {
        let settled = fixture.secrets().serving().settled();
        let rotated = settled.with(|observed| observed.secrets.get_mut("s3").unwrap().hash = "other".to_owned());
        assert_eq!(applied(&rotated.plan()).keys().collect::<Vec<_>>(), rolled);
    }
}

/// Another Secret, and another key of it, are mounted otherwise: no file of a running pod changes by that.
#[test]
fn another_secret_rolls_the_frontends() {
    let settled = cluster("demo").secrets().serving().settled();
    let other_name = settled.clone().with(|observed| {
        let secret = &mut observed.cluster.spec.storage.credentials.secret_ref;
        secret.as_mut().unwrap().name = "other".to_owned();
        let facts = observed.secrets["s3"].clone();
        observed.secrets.insert("other".to_owned(), facts);
    });
    let other_key = settled.with(|observed| {
        let secret = &mut observed.cluster.spec.storage.credentials.secret_ref;
        secret.as_mut().unwrap().secret_access_key_key = "password".to_owned();
        observed
            .secrets
            .insert("s3".to_owned(), facts(&["access-key-id", "password"]));
    });
    for changed in [other_name, other_key] {
        assert_eq!(
            applied(&changed.plan()).keys().collect::<Vec<_>>(),
            ["StatefulSet retail/demo-fe"]
        );
    }
}

#[test]
fn unknown_settings_are_refused_with_those_that_exist() {
    let fixture = cluster("demo").with(|observed| {
        observed
            .cluster
            .spec
            .frontends
            .config
            .insert("qe_max_connection".to_owned(), "1".to_owned());
    });
    let accepted = check(&fixture, "Accepted");
    assert!(accepted.contains("no setting \"qe_max_connection\""), "{accepted}");
    assert!(accepted.contains("queryTimeoutS"), "{accepted}");
}

#[test]
fn settings_of_starrocks_that_follow_from_the_api_are_refused() {
    let fixture = cluster("demo").starrocks().with(|observed| {
        observed
            .cluster
            .spec
            .frontends
            .config
            .insert("aws_s3_secret_key".to_owned(), "k".to_owned());
    });
    let accepted = check(&fixture, "Accepted");
    assert!(accepted.contains("write storage.credentials"), "{accepted}");
    let fixture = cluster("demo").starrocks().with(|observed| {
        observed
            .cluster
            .spec
            .frontends
            .config
            .insert("a".to_owned(), "1\nrun_mode = x".to_owned());
    });
    assert!(check(&fixture, "Accepted").contains("a value of one line"));
}

#[test]
fn an_even_number_of_frontends_is_refused() {
    let fixture = cluster("demo")
        .starrocks()
        .with(|observed| observed.cluster.spec.frontends.replicas = 2);
    assert!(check(&fixture, "Accepted").contains("write an odd number"));
}

#[test]
fn a_frontend_of_starrocks_that_is_not_known_is_added() {
    let fixture = cluster("demo").starrocks().secrets().serving().with(|observed| {
        observed.cluster.spec.frontends.replicas = 3;
        observed.pods.push(ready_pod("demo-fe-1"));
    });
    assert_eq!(
        statements(&fixture.plan()),
        ["ALTER SYSTEM ADD FOLLOWER 'demo-fe-1.demo-fe-pods.retail.svc:9010'"]
    );
}

/// A cluster whose frontend never came up, with this evidence.
fn trouble(change: impl FnOnce(&mut ObservedLakeCluster)) -> String {
    check(&cluster("demo").secrets().with(change), "Available")
}

#[test]
fn what_the_engine_says_becomes_the_condition() {
    for reason in [
        "BucketNotFound",
        "StorageAccessDenied",
        "ForeignCluster",
        "MetadataCorrupt",
        "SecretMissing",
    ] {
        let refusal = json!({"reason": reason, "message": "do this"}).to_string();
        let fixture = cluster("demo").secrets().with(|observed| {
            let ended = json!({"terminated": {"exitCode": 2, "message": format!("log line\n{refusal}\n")}});
            let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
            observed.pods = vec![failing_pod("demo-fe-0", waiting, ended)];
        });
        let expected = format!("False {reason}: pod demo-fe-0 does not start: do this");
        assert_eq!(check(&fixture, "Available"), expected);
        assert_eq!(check(&fixture, "StorageReady"), expected);
    }
}

#[test]
fn an_image_that_does_not_exist_is_named() {
    let found = trouble(|observed| {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        observed.pods = vec![failing_pod("demo-fe-0", waiting, json!({}))];
    });
    assert!(
        found.starts_with("False ImagePullFailed: pod demo-fe-0: image springtide.dev/engine:0.1.0"),
        "{found}"
    );
}

#[test]
fn a_volume_that_cannot_bind_is_named_after_a_while() {
    let pending = |created| {
        move |observed: &mut ObservedLakeCluster| {
            observed.pods = vec![ready_pod("demo-fe-0")];
            observed.volume_claims = vec![unbound_claim("meta-demo-fe-0", created, Some("nosuch"))];
            observed.events = vec![event(
                "PersistentVolumeClaim",
                "meta-demo-fe-0",
                "ProvisioningFailed",
                "no class nosuch",
            )];
        }
    };
    let found = trouble(pending("2026-11-23T11:59:00Z"));
    assert!(
        found.starts_with("False VolumeNotBound: volume claim meta-demo-fe-0 is not bound: no class nosuch"),
        "{found}"
    );
    let found = trouble(pending("2026-11-23T11:59:55Z"));
    assert!(found.starts_with("False FrontendStarting"), "{found}");
}

#[test]
fn a_volume_grows_with_what_is_written_and_never_shrinks() {
    let of_size = |written: &str, requested: &str, capacity: &str| {
        cluster("demo").secrets().serving().settled().with(|observed| {
            observed.cluster.spec.frontends.metadata_volume.size = springtide_crds::Quantity::new(written);
            observed.volume_claims = vec![
                bound_claim("meta-demo-fe-0", requested, capacity),
                bound_claim("meta-demo-fe-keep", "1Gi", "1Gi"),
            ];
        })
    };
    let grows = of_size("20Gi", "10Gi", "10Gi").plan();
    let objects = applied(&grows);
    let claim = &objects["PersistentVolumeClaim retail/meta-demo-fe-0"];
    assert_eq!(objects.len(), 1, "{objects:#?}");
    assert_eq!(claim["spec"], json!({"resources": {"requests": {"storage": "20Gi"}}}));
    let asked = of_size("20Gi", "20Gi", "10Gi").plan();
    assert_eq!(asked.actions, []);
    let ready = condition(&asked.status.unwrap().conditions, "Ready");
    assert!(
        ready.starts_with("False VolumeGrowing: the volume of claim meta-demo-fe-0 has 10Gi and is to have 20Gi"),
        "{ready}"
    );
    let grown = of_size("20480Mi", "20Gi", "20Gi").settled().plan();
    assert_eq!((grown.actions, grown.status), (vec![], None));
    let shrinks = of_size("5Gi", "10Gi", "10Gi");
    assert_eq!(shrinks.plan().actions, []);
    let accepted = check(&shrinks, "Accepted");
    assert!(
        accepted.starts_with("False InvalidField: frontends.metadataVolume.size: 5Gi is less than the 10Gi of volume"),
        "{accepted}"
    );
    assert!(
        accepted.contains("write 10Gi or more. For a smaller one make another LakeCluster"),
        "{accepted}"
    );
}

#[test]
fn a_size_that_was_mistyped_and_that_no_storage_has_can_be_taken_back() {
    let written = |size: &str| {
        cluster("demo").secrets().serving().settled().with(|observed| {
            observed.cluster.spec.frontends.metadata_volume.size = springtide_crds::Quantity::new(size);
            observed.volume_claims = vec![
                bound_claim("meta-demo-fe-0", "400Ti", "40Gi"),
                bound_claim("meta-demo-fe-1", "50Gi", "50Gi"),
            ];
        })
    };
    let objects = applied(&written("60Gi").plan());
    assert_eq!(objects.len(), 2, "{objects:#?}");
    for claim in objects.values() {
        assert_eq!(claim["spec"], json!({"resources": {"requests": {"storage": "60Gi"}}}));
    }
    // Kubernetes takes no size that the volume has already.
    let accepted = check(&written("40Gi"), "Accepted");
    assert!(
        accepted.contains("40Gi is less than the 400Ti of volume claim meta-demo-fe-0")
            && accepted.contains("write more than 40Gi."),
        "{accepted}"
    );
    let accepted = check(&written("45Gi"), "Accepted");
    assert!(
        accepted.contains("45Gi is less than the 50Gi of volume claim meta-demo-fe-1")
            && accepted.contains("write 50Gi or more."),
        "{accepted}"
    );
    assert_eq!(written("45Gi").plan().actions, []);
}

#[test]
fn a_volume_on_which_the_engine_does_not_start_is_refused() {
    let small = |fixture: crate::fixture::ClusterFixture| {
        fixture.with(|observed| {
            observed.cluster.spec.frontends.metadata_volume.size = springtide_crds::Quantity::new("2Gi");
        })
    };
    let accepted = check(&small(cluster("demo").starrocks()), "Accepted");
    assert!(accepted.contains("2Gi is too little for StarRocks"), "{accepted}");
    assert!(check(&small(cluster("demo")), "Accepted").starts_with("True Valid"));
}

#[test]
fn keys_that_kubernetes_refuses_are_named() {
    let fixture = cluster("demo").with(|observed| {
        let labels = &mut observed.cluster.spec.compute_template.pod_template.labels;
        labels.insert("no key".to_owned(), "x".to_owned());
    });
    let accepted = check(&fixture, "Accepted");
    assert!(
        accepted.starts_with("False InvalidField: computeTemplate.podTemplate.labels: \"no key\" is not a key"),
        "{accepted}"
    );
}

#[test]
fn a_crash_is_told_with_its_exit_code() {
    let found = trouble(|observed| {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        observed.pods = vec![failing_pod("demo-fe-0", waiting, ended)];
    });
    assert!(
        found.starts_with("False PodCrashing: container engine of pod demo-fe-0 ended with exit code 137 (OOMKilled)"),
        "{found}"
    );
}

#[test]
fn a_pod_over_quota_is_told() {
    let found = trouble(|observed| {
        observed.events = vec![event(
            "StatefulSet",
            "demo-fe",
            "FailedCreate",
            "pods \"demo-fe-0\" is forbidden: exceeded quota",
        )];
    });
    assert!(
        found.starts_with("False PodOverQuota: the quota of the namespace refuses a pod"),
        "{found}"
    );
}

#[test]
fn an_account_that_is_refused_is_told() {
    let fixture = cluster("demo").secrets().with(|observed| {
        observed.pods = vec![ready_pod("demo-fe-0")];
        observed.sql = SqlAnswer::LoginRefused {
            message: "Access denied".to_owned(),
        };
    });
    assert_eq!(
        check(&fixture, "OperatorAccountReady"),
        "False LoginRefused: the engine refuses the operator's account: Access denied"
    );
}

#[test]
fn secrets_go_with_the_cluster_only_when_data_goes() {
    let deleted = |policy| {
        cluster("demo").secrets().with(|observed| {
            observed.cluster.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
            observed.cluster.spec.deletion_policy = policy;
        })
    };
    use springtide_crds::department::DeletionPolicy;
    assert_eq!(
        deleted(DeletionPolicy::Retain).plan().actions,
        [Action::RemoveFinalizer]
    );
    let actions = deleted(DeletionPolicy::Delete).plan().actions;
    assert_eq!(actions.len(), 4);
    assert_eq!(actions.last(), Some(&Action::RemoveFinalizer));
}

#[test]
fn a_cluster_whose_compute_sleeps_names_the_group_that_a_statement_wakes() {
    let beside = |wakes: bool, ceiling: Option<i32>| {
        let fixture = cluster("demo").secrets().serving().with(|observed| {
            let group = group("etl").replicas(0).nodes(0..1).with(|observed| {
                observed.group.spec.wake_on_query = wakes;
            });
            observed.groups = vec![group.settled().0.group];
            observed.groups[0].status.as_mut().unwrap().ceiling = ceiling;
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                compute_nodes.clear();
            }
        });
        check(&fixture, "Available")
    };
    assert!(
        beside(true, None).contains("wakes ComputeGroup etl and waits for it"),
        "{}",
        beside(true, None)
    );
    assert!(
        beside(false, None).contains("tables fail; scale up a ComputeGroup"),
        "{}",
        beside(false, None)
    );
    let shut = beside(true, Some(0));
    assert!(shut.contains("tables fail; scale up a ComputeGroup"), "{shut}");
}

#[test]
fn the_cluster_shows_the_next_change_of_its_compute() {
    let group = |name: &str, cluster: &str, next: &str| -> ComputeGroup {
        serde_json::from_value(json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
            "metadata": {"name": name, "namespace": "retail"},
            "spec": {"cluster": cluster},
            "status": {"nextTransition": {"at": next, "wantedReplicas": 1}},
        }))
        .unwrap()
    };
    let fixture = cluster("demo").with(|observed| {
        observed.groups = vec![
            group("a", "demo", "2026-11-23T20:00:00Z"),
            group("b", "demo", "2026-11-23T18:00:00Z"),
            group("c", "other", "2026-11-23T13:00:00Z"),
        ];
    });
    assert_eq!(
        fixture.plan().status.unwrap().compute_until.as_deref(),
        Some("2026-11-23T18:00:00Z")
    );
}

#[test]
fn the_plan_is_the_same_for_the_same_observation() {
    let fixture = cluster("demo").secrets().serving();
    assert_eq!(fixture.plan(), fixture.plan());
    assert_ne!(noon(), at("2026-11-23T12:00:01Z"));
}

const ANOTHER: &str = "11111111-2222-4333-8444-555555555555";

fn cluster_id_of(plan: &crate::Plan<springtide_crds::LakeClusterStatus>) -> Option<String> {
    plan.status.clone().expect("a status").cluster_id
}

#[test]
fn a_cluster_goes_on_as_another_one_until_it_has_claimed_its_prefix() {
    let adopts = |fixture: crate::fixture::ClusterFixture| {
        fixture.with(|observed| observed.cluster.spec.bootstrap.adopt = Some(ANOTHER.to_owned()))
    };
    let config =
        |fixture: &crate::fixture::ClusterFixture| file_of(&applied(&fixture.plan()), "demo-engine", "engine.json");
    let refused = cluster("demo").secrets();
    assert_eq!(cluster_id_of(&refused.plan()), None, "nothing is claimed yet");
    assert!(!config(&refused).contains(ANOTHER));
    assert!(config(&adopts(refused)).contains(ANOTHER));
    let goes_on = adopts(cluster("demo").secrets().serving());
    assert_eq!(cluster_id_of(&goes_on.plan()).as_deref(), Some(ANOTHER));
    // Once it has answered, it is who it is.
    let own = cluster("demo").secrets().serving().settled();
    let claimed = own.0.cluster.status.clone().and_then(|status| status.cluster_id);
    assert_eq!(claimed.as_deref(), own.0.cluster.metadata.uid.as_deref());
    let late = adopts(own);
    let accepted = check(&late, "Accepted");
    assert!(
        accepted.starts_with("False InvalidField: bootstrap.adopt: the cluster runs as 0b9b3ff6"),
        "{accepted}"
    );
    assert_eq!((late.plan().actions, cluster_id_of(&late.plan())), (vec![], claimed));
}
