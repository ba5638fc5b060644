use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use super::{counts_compute, promised};
use crate::action::Action;
use crate::fixture::{GroupFixture, accepted, applied, cluster, condition, group, group_of, noon, quantity};

/// At night nobody uses anything, and both would be promised what only one of them can have.
#[test]
fn floors_that_only_together_exceed_the_quota_are_told_to_who_comes_second() {
    let hard = json!({"pods": "6"});
    let first = group("etl")
        .window("w", "0 8 * * *", Some(4), None)
        .quota(hard.clone(), json!({"pods": "2"}))
        .pods(0..1)
        .nodes(0..1)
        .settled();
    let second = group("bi")
        .window("w", "0 8 * * *", Some(3), None)
        .quota(hard, json!({"pods": "2"}))
        .with(|observed| observed.siblings = vec![first.0.group.clone()]);
    let message = accepted(&second);
    assert!(
        message.starts_with(
            "False QuotaExceeded: schedules: minReplicas 3 needs 3 of pods, but the namespace's quota leaves 1"
        ),
        "{message}"
    );
    let fits = second
        .with(|observed| observed.group.spec.schedules[0].min_replicas = Some(1))
        .settled();
    // What was accepted stays accepted, whatever others do; only a smaller quota takes it back.
    let crowded = first.with(|observed| {
        observed.siblings = vec![fits.0.group.clone()];
        observed.quotas[0]
            .status
            .as_mut()
            .unwrap()
            .used
            .as_mut()
            .unwrap()
            .insert("pods".to_owned(), quantity_of_api("6"));
    });
    assert_eq!(crowded.plan().status, None);
    // An autoscaler and kubectl scale write `replicas` alone, and are not refused for it.
    let scaled = crowded.clone().replicas(2).plan();
    assert_eq!(
        condition(&scaled.status.unwrap().conditions, "Accepted"),
        "True Valid: the written values are in force"
    );
    assert!(
        matches!(&scaled.actions[..], [Action::Scale { replicas: 2, .. }]),
        "{:?}",
        scaled.actions
    );
    let smaller = crowded.with(|observed| {
        observed.quotas[0]
            .spec
            .as_mut()
            .unwrap()
            .hard
            .as_mut()
            .unwrap()
            .insert("pods".to_owned(), quantity_of_api("3"));
    });
    assert!(accepted(&smaller).starts_with("False QuotaExceeded"));
}

#[test]
fn who_asks_for_no_more_than_was_accepted_is_not_refused_because_another_group_grew() {
    let accepted_floor_of_6 = group("etl")
        .window("w", "0 8 * * *", Some(6), None)
        .quota(json!({"pods": "10"}), json!({"pods": "1"}))
        .pods(0..1)
        .nodes(0..1)
        .settled();
    let crowded = accepted_floor_of_6.with(|observed| {
        let status = observed.quotas[0].status.as_mut().unwrap();
        status
            .used
            .as_mut()
            .unwrap()
            .insert("pods".to_owned(), quantity_of_api("9"));
    });
    let floor_of = |floor| {
        let fixture = crowded.clone();
        accepted(&fixture.with(|observed| observed.group.spec.schedules[0].min_replicas = Some(floor)))
    };
    assert!(floor_of(4).starts_with("True Valid"), "{}", floor_of(4));
    assert!(floor_of(7).starts_with("False QuotaExceeded"), "{}", floor_of(7));
    let patient = crowded.with(|observed| observed.group.spec.drain.timeout = springtide_crds::Duration::new("20m"));
    assert!(accepted(&patient).starts_with("True Valid"), "{}", accepted(&patient));
    let larger = patient.with(|observed| {
        let resources = springtide_crds::pod::PodResources {
            cpu: quantity("3"),
            memory: quantity("8Gi"),
        };
        observed.group.spec.resources = Some(resources);
        observed.quotas[0] = serde_json::from_value(json!({
            "metadata": {"name": "quota", "namespace": "retail"},
            "spec": {"hard": {"requests.cpu": "20"}}, "status": {"used": {"requests.cpu": "18"}},
        }))
        .unwrap();
    });
    assert!(
        accepted(&larger).starts_with("False QuotaExceeded"),
        "{}",
        accepted(&larger)
    );
}

/// A department that had a larger quota for one day.
#[test]
fn a_window_that_opened_once_and_is_over_keeps_nothing_of_the_quota_and_refuses_nothing() {
    let once = |at: &str| {
        let at = at.to_owned();
        group("etl").window("once", "", Some(6), None).with(move |observed| {
            let window = &mut observed.group.spec.schedules[0];
            window.start = None;
            window.at = Some(at);
        })
    };
    let quota = |fixture: GroupFixture, pods: &str| fixture.quota(json!({"pods": pods}), json!({"pods": "0"}));
    let (over, to_come) = (once("2026-11-22T08:00"), once("2026-11-24T08:00"));
    assert!(accepted(&quota(over.clone(), "4")).starts_with("True Valid"));
    assert!(accepted(&quota(to_come.clone(), "4")).starts_with("False QuotaExceeded"));
    let limits = |fixture: GroupFixture| {
        accepted(&fixture.department(json!({"namespaces": [{"name": "retail"}], "limits": {"maxReplicasPerGroup": 5}})))
    };
    assert!(limits(over.clone()).starts_with("True Valid"));
    assert!(limits(to_come.clone()).starts_with("False DepartmentLimitExceeded"));

    let beside = |other: GroupFixture| {
        let other = other.settled().0.group;
        let bi = quota(group("bi").window("w", "0 8 * * *", Some(3), None), "6");
        accepted(&bi.with(|observed| observed.siblings = vec![other]))
    };
    assert!(beside(over).starts_with("True Valid"));
    assert!(beside(to_come).starts_with("False QuotaExceeded"));
}

fn quantity_of_api(text: &str) -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    k8s_openapi::apimachinery::pkg::api::resource::Quantity(text.to_owned())
}

#[test]
fn the_limits_of_the_department_hold() {
    let limits = json!({
        "namespaces": [{"name": "retail"}],
        "limits": {"maxReplicasPerGroup": 5, "maxComputeResources": {"cpu": "2", "memory": "4Gi"}},
        "defaults": {"computeResources": {"cpu": "500m", "memory": "1Gi"}},
    });
    let fixture = || group("etl").department(limits.clone());
    let objects = applied(&fixture().plan());
    let container = &objects["StatefulSet retail/etl-cn"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "500m", "memory": "1Gi"})
    );
    let message = accepted(&fixture().replicas(6));
    assert!(
        message.starts_with("False DepartmentLimitExceeded: replicas: 6 is more than"),
        "{message}"
    );
    let message = accepted(&fixture().window("w", "0 8 * * *", Some(6), None));
    assert!(message.contains("schedules[w].minReplicas: 6"), "{message}");
    let large = fixture().with(|observed| {
        observed.group.spec.resources = Some(springtide_crds::pod::PodResources {
            cpu: quantity("2"),
            memory: quantity("4097Mi"),
        });
    });
    let message = accepted(&large);
    assert!(message.contains("resources.memory: 4097Mi is more than"), "{message}");
}

#[test]
fn a_floor_above_the_quota_is_told_when_it_is_written() {
    let quota = |used: &str| {
        group("etl")
            .window("w", "0 8 * * *", Some(4), None)
            .with(|observed| {
                observed.group.spec.resources = Some(springtide_crds::pod::PodResources {
                    cpu: quantity("990m"),
                    memory: quantity("1Gi"),
                });
            })
            .quota(
                json!({"requests.cpu": "5", "pods": "100"}),
                json!({"requests.cpu": used, "pods": "1"}),
            )
    };
    assert!(accepted(&quota("1")).starts_with("True Valid"));
    let message = accepted(&quota("2"));
    assert!(
        message.starts_with("False QuotaExceeded: schedules: minReplicas 4 needs 4 of requests.cpu"),
        "{message}"
    );
    assert!(message.contains("write 3 or less"), "{message}");
    let own = quota("2").pods(0..1);
    assert!(
        accepted(&own).starts_with("True Valid"),
        "what the group itself uses is free for it"
    );
}

#[test]
fn a_floor_whose_pods_may_use_more_memory_than_the_quota_allows_is_told_when_it_is_written() {
    let quota = |limit: &str| {
        group("etl")
            .window("w", "0 8 * * *", Some(4), None)
            .with(|observed| {
                observed.group.spec.resources = Some(springtide_crds::pod::PodResources {
                    cpu: quantity("1"),
                    memory: quantity("1Gi"),
                });
            })
            .quota(json!({"limits.memory": limit}), json!({}))
    };
    // Each pod may use 1 Gi for the engine and 64 Mi beside it.
    assert!(accepted(&quota("4352Mi")).starts_with("True Valid"));
    let message = accepted(&quota("4351Mi"));
    assert!(
        message.starts_with(
            "False QuotaExceeded: schedules: minReplicas 4 needs 4352Mi of limits.memory, but the namespace's quota leaves 4351Mi"
        ),
        "{message}"
    );
    assert!(message.contains("write 3 or less"), "{message}");
}

#[test]
fn a_quota_for_other_pods_refuses_no_floor() {
    let scoped = |scopes: &[&str]| {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        group("etl")
            .window("w", "0 8 * * *", Some(4), None)
            .quota(json!({"pods": "1"}), json!({}))
            .with(|observed| observed.quotas[0].spec.as_mut().unwrap().scopes = Some(scopes))
    };
    let for_others: [&[&str]; 4] = [
        &["Terminating"],
        &["NotTerminating", "BestEffort"],
        &["PriorityClass"],
        &["CrossNamespacePodAffinity"],
    ];
    for scopes in for_others {
        assert!(accepted(&scoped(scopes)).starts_with("True Valid"), "{scopes:?}");
    }
    let for_compute: [&[&str]; 2] = [&["NotTerminating"], &["NotBestEffort", "NotTerminating"]];
    for scopes in for_compute {
        assert!(
            accepted(&scoped(scopes)).starts_with("False QuotaExceeded"),
            "{scopes:?}"
        );
    }
    let with_class = scoped(&["PriorityClass"]).with(|observed| {
        let cluster = observed.cluster.as_mut().unwrap();
        let accepted = cluster.status.as_mut().unwrap().accepted_spec.as_mut().unwrap();
        accepted.compute_template.pod_template.priority_class_name = Some("batch".to_owned());
    });
    assert!(accepted(&with_class).starts_with("False QuotaExceeded"));
}

#[test]
fn a_quota_for_a_priority_class_counts_pods_of_that_class() {
    let selects = |operator: &str, values: Value, class: Option<&str>| {
        let requirement = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
        let quota: ResourceQuota = serde_json::from_value(
            json!({"metadata": {}, "spec": {"scopeSelector": {"matchExpressions": [requirement]}}}),
        )
        .unwrap();
        counts_compute(&quota, class)
    };
    assert!(selects("In", json!(["high", "batch"]), Some("batch")));
    assert!(!selects("In", json!(["high"]), Some("batch")));
    assert!(selects("NotIn", json!(["high"]), Some("batch")));
    assert!(!selects("NotIn", json!(["batch"]), Some("batch")));
    assert!(selects("Exists", Value::Null, Some("batch")));
    assert!(!selects("DoesNotExist", Value::Null, Some("batch")));
    assert!(
        !selects("NotIn", json!(["high"]), None),
        "the cluster may have a class for all"
    );
}

#[test]
fn a_suspended_window_wants_nothing_and_is_held_to_no_limit() {
    let suspended = |fixture: crate::fixture::GroupFixture| {
        fixture.with(|observed| observed.group.spec.schedules[0].suspend = true)
    };
    let limits = json!({"namespaces": [], "limits": {"maxReplicasPerGroup": 6}});
    let beyond = || {
        let beyond = group("etl").window("w", "0 11 * * *", Some(8), None);
        beyond
            .department(limits.clone())
            .quota(json!({"pods": "4"}), json!({"pods": "0"}))
    };
    let message = accepted(&beyond());
    assert!(
        message.contains("schedules[w].minReplicas: 8 is more than"),
        "{message}"
    );
    let status = suspended(beyond()).plan().status.unwrap();
    assert_eq!(
        condition(&status.conditions, "Accepted"),
        "True Valid: the written values are in force"
    );
    assert_eq!(
        (status.floor, status.wanted_replicas, status.active_windows.len()),
        (None, Some(1), 0)
    );
    assert_eq!(status.next_transition, None);
    // Nor is anything kept for it that another group could have.
    let first = suspended(group("etl").window("w", "0 8 * * *", Some(4), None))
        .replicas(0)
        .settled();
    let second = group("bi")
        .window("w", "0 8 * * *", Some(4), None)
        .quota(json!({"pods": "4"}), json!({"pods": "0"}));
    let second = second.with(|observed| observed.siblings = vec![first.0.group.clone()]);
    assert!(accepted(&second).starts_with("True"), "{}", accepted(&second));
}

/// Both are made by one file, and each would be accepted for want of the other.
#[test]
fn of_two_groups_that_are_written_together_the_younger_one_is_told_that_both_do_not_fit() {
    let made = |name: &str, minute: &str| {
        group(name)
            .window("w", "0 8 * * *", Some(6), None)
            .quota(json!({"pods": "10"}), json!({"pods": "0"}))
            .with(|observed| {
                let metadata = &mut observed.group.metadata;
                metadata.creation_timestamp =
                    serde_json::from_value(json!(format!("2026-11-23T11:{minute}:00Z"))).unwrap();
                metadata.generation = Some(1);
                observed.group.status = None;
            })
    };
    let (older, younger) = (made("zeta", "00"), made("alpha", "01"));
    let beside = |own: &GroupFixture, other: &GroupFixture| {
        accepted(
            &own.clone()
                .with(|observed| observed.siblings = vec![other.0.group.clone()]),
        )
    };
    assert!(beside(&older, &younger).starts_with("True"));
    assert!(
        beside(&younger, &older).contains("leaves 4 beside"),
        "{}",
        beside(&younger, &older)
    );
    // One that was looked at and refused keeps nobody out.
    let refused = older.with(|observed| {
        observed.group.status = Some(serde_json::from_value(json!({"observedGeneration": 1})).unwrap());
    });
    assert!(beside(&younger, &refused).starts_with("True"));
}

#[test]
fn nodes_that_another_group_wants_by_its_replicas_and_does_not_have_yet_are_no_room_for_a_floor() {
    let etl = group("etl").replicas(4).settled();
    let has = |replicas: i32| {
        let bi = group("bi")
            .window("w", "0 8 * * *", Some(3), None)
            .quota(json!({"pods": "6"}), json!({"pods": replicas.to_string()}))
            .with(|observed| {
                observed.siblings = vec![etl.0.group.clone()];
                observed.siblings[0].status.as_mut().unwrap().replicas = replicas;
            });
        accepted(&bi)
    };
    for replicas in [0, 2, 4] {
        assert!(
            has(replicas).contains("leaves 2 beside"),
            "{replicas}: {}",
            has(replicas)
        );
    }
}

/// A limit that was lowered holds what was accepted before down to it: no room is kept for what can never run.
#[test]
fn nodes_that_another_group_may_not_have_keep_no_room() {
    let etl = group("etl").replicas(10).settled();
    let bi = group("bi")
        .window("w", "0 8 * * *", Some(4), None)
        .quota(json!({"pods": "10"}), json!({"pods": "4"}))
        .department(json!({
            "namespaces": [{"name": "retail"}],
            "limits": {"maxReplicasPerGroup": 4},
        }))
        .with(|observed| {
            observed.siblings = vec![etl.0.group.clone()];
            observed.siblings[0].status.as_mut().unwrap().replicas = 4;
        });
    assert!(accepted(&bi).starts_with("True"), "{}", accepted(&bi));
    let limited = etl.with(|observed| {
        let status = observed.group.status.as_mut().unwrap();
        (status.replicas, status.wanted_replicas) = (3, Some(4));
        status.scaling.as_mut().unwrap().decided_by = springtide_crds::compute_group::ScaleDecider::Limit;
    });
    assert_eq!(promised(&limited.0.group, &[], noon()), 1);
}

/// The pods that run have the resources of before, and what others use does not change by what is written.
#[test]
fn a_floor_written_with_other_resources_is_held_to_what_others_really_use() {
    let of_cpu = |cpu: &str, floor: i32, used: &str| {
        let before = group("etl")
            .with(|observed| observed.group.spec.resources = Some(resources("990m")))
            .pods(0..4)
            .nodes(0..4)
            .replicas(4)
            .settled();
        before
            .window("w", "0 8 * * *", Some(floor), None)
            .with(|observed| observed.group.spec.resources = Some(resources(cpu)))
            .quota(json!({"requests.cpu": "10"}), json!({"requests.cpu": used}))
    };
    // Four pods of 1 CPU, and others use 5.
    let larger = accepted(&of_cpu("1990m", 4, "9"));
    assert!(larger.contains("leaves 5 beside"), "{larger}");
    assert!(larger.contains("write 2 or less"), "{larger}");
    let smaller = accepted(&of_cpu("490m", 10, "9"));
    assert!(smaller.starts_with("True Valid"), "{smaller}");
}

/// StarRocks' nodes have no sidecar, nor have those that are stopped at once.
#[test]
fn a_floor_that_fits_exactly_is_accepted_where_no_sidecar_runs() {
    let exact = |fixture: GroupFixture| {
        let fixture = fixture
            .window("w", "0 8 * * *", Some(5), None)
            .with(|observed| observed.group.spec.resources = Some(resources("1")))
            .quota(json!({"requests.cpu": "5"}), json!({"requests.cpu": "0"}));
        accepted(&fixture)
    };
    let undrained = group("etl").with(|observed| observed.group.spec.drain.enabled = false);
    for fixture in [group_of("etl", cluster("demo").starrocks()), undrained] {
        let message = exact(fixture);
        assert!(message.starts_with("True Valid"), "{message}");
    }
    let message = exact(group("etl"));
    assert!(message.contains("write 4 or less"), "{message}");
}

fn resources(cpu: &str) -> springtide_crds::pod::PodResources {
    springtide_crds::pod::PodResources {
        cpu: quantity(cpu),
        memory: quantity("1Gi"),
    }
}

#[test]
fn the_floors_of_another_engines_groups_are_reserved_with_their_sidecars() {
    let other = group("other")
        .window("w", "0 8 * * *", Some(5), None)
        .with(|observed| {
            observed.group.spec.resources = Some(resources("1"));
            observed.group.spec.cluster = "elsewhere".to_owned();
        })
        .settled();
    let of_quota = |cpu: &str| {
        let own = group_of("etl", cluster("demo").starrocks())
            .window("w", "0 8 * * *", Some(1), None)
            .with(|observed| {
                observed.group.spec.resources = Some(resources("1"));
                observed.siblings = vec![other.0.group.clone()];
                observed.siblings[0].status.as_mut().unwrap().replicas = 0;
            })
            .quota(json!({"requests.cpu": cpu}), json!({"requests.cpu": "0"}));
        accepted(&own)
    };
    assert!(of_quota("6").starts_with("False QuotaExceeded"), "{}", of_quota("6"));
    assert!(of_quota("6050m").starts_with("True Valid"), "{}", of_quota("6050m"));
}
