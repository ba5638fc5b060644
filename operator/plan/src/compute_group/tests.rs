use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::{accepted, applied, at, cluster, condition, event, file_of, group, group_of, statements};
use crate::observed::SqlAnswer;

mod wrong_clock;

fn replicas(plan: &Plan<ComputeGroupStatus>) -> Option<i64> {
    applied(plan)
        .iter()
        .find(|(key, _)| key.starts_with("StatefulSet"))
        .and_then(|(_, body)| body["spec"]["replicas"].as_i64())
}

#[test]
fn bundled_objects() {
    insta::assert_yaml_snapshot!("bundled", applied(&group("etl").replicas(3).plan()));
}

#[test]
fn starrocks_objects() {
    let fixture = group_of("etl", cluster("demo").starrocks()).replicas(3);
    insta::assert_yaml_snapshot!("starrocks", applied(&fixture.plan()));
}

#[test]
fn placement_and_labels_reach_the_pods_and_the_central_team_wins() {
    let mut template = cluster("demo");
    template.0.cluster.spec.compute_template.pod_template = serde_json::from_value(json!({
        "labels": {"team": "central"},
        "annotations": {"example.com/a": "1"},
        "nodeSelector": {"pool": "compute"},
        "tolerations": [{"key": "compute", "operator": "Exists"}],
        "priorityClassName": "batch",
    }))
    .unwrap();
    let fixture = group_of("etl", template).with(|observed| {
        observed.group.spec.labels = [("team", "retail"), ("cost", "42")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        observed.group.spec.placement = serde_json::from_value(json!({
            "nodeSelector": {"pool": "mine", "disk": "ssd"},
            "tolerations": [{"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        }))
        .unwrap();
    });
    let objects = applied(&fixture.plan());
    let pod = &objects["StatefulSet retail/etl-cn"]["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"]["team"], "central");
    assert_eq!(pod["metadata"]["labels"]["cost"], "42");
    assert_eq!(pod["spec"]["nodeSelector"], json!({"pool": "compute", "disk": "ssd"}));
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(pod["spec"]["priorityClassName"], "batch");
}

#[test]
fn a_window_changes_the_size_and_nothing_else() {
    let asleep = group("etl")
        .replicas(0)
        .window("peak", "0 13 * * *", Some(4), None)
        .settled();
    let actions = asleep.plan_at(at("2026-11-23T13:00:00Z")).actions;
    assert!(
        matches!(&actions[..], [Action::Scale { replicas: 4, .. }]),
        "{actions:?}"
    );
    let budget = &asleep
        .0
        .live
        .iter()
        .find(|(key, _)| key.kind == ObjectKind::PodDisruptionBudget)
        .unwrap()
        .1;
    assert_eq!(budget["spec"]["maxUnavailable"], 1, "a single node may be evicted, too");
}

#[test]
fn the_grace_period_follows_from_the_drain() {
    let fixture =
        group("etl").with(|observed| observed.group.spec.drain.timeout = springtide_crds::Duration::new("1h"));
    let objects = applied(&fixture.plan());
    let spec = &objects["StatefulSet retail/etl-cn"]["spec"]["template"]["spec"];
    assert_eq!(spec["terminationGracePeriodSeconds"], 3600 + 30 + 15);
    let config = file_of(&objects, "etl-cn", "engine.json");
    assert!(config.contains("\"drainTimeoutS\": 3600"), "{config}");
    // 85 % of the ten gibibytes that the volume may take.
    assert!(config.contains("\"localLimitBytes\": 9126805470"), "{config}");
}

#[test]
fn an_idle_group_has_an_empty_plan() {
    let fixture = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let plan = fixture.plan();
    assert_eq!((plan.actions, plan.status, plan.events), (vec![], None, vec![]));
    assert_eq!(plan.wait, None);
}

#[test]
fn a_rotated_key_rolls_no_node_that_reads_it_anew() {
    let settled = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let rotated = settled.with(|observed| observed.secrets.get_mut("s3").unwrap().hash = "other".to_owned());
    assert_eq!(rotated.plan().actions, []);
}

#[test]
fn a_group_that_serves_says_how_much_and_until_when() {
    let fixture = group("etl")
        .window("morning", "0 8 * * *", Some(2), None)
        .window("noon", "0 11 * * *", Some(3), Some(4))
        .with(|observed| {
            observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("auto".to_owned()));
            observed.group.spec.schedules[1].lead_time = Some(springtide_crds::LeadTime("5m".to_owned()));
        })
        .pods(0..3)
        .nodes(0..3)
        .settled();
    insta::assert_yaml_snapshot!("status", fixture.0.group.status.clone().unwrap());
}

#[test]
fn compute_starts_after_the_frontend() {
    let waits = group("etl").with(|observed| observed.sql = SqlAnswer::NotAsked).plan();
    assert_eq!(waits.actions, []);
    assert!(waits.wait.unwrap().why.contains("compute starts after it"));
    let exists = group("etl").pods(0..1).nodes(0..1).settled().replicas(2);
    let plan = exists.with(|observed| observed.sql = SqlAnswer::NotAsked).plan();
    assert_eq!(
        replicas(&plan),
        Some(2),
        "what exists is scaled even while the frontend is away"
    );
}

#[test]
fn a_node_is_added_as_soon_as_its_pod_exists() {
    let fixture = group("etl").replicas(3).pods([0, 1]).nodes([0]);
    assert_eq!(
        statements(&fixture.plan()),
        ["ALTER SYSTEM ADD COMPUTE NODE 'etl-cn-1.etl-cn.retail.svc:9050' INTO WAREHOUSE etl"]
    );
}

#[test]
fn the_first_node_of_a_warehouse_makes_it() {
    let fixture = group("etl").replicas(2).pods([0, 1]);
    assert_eq!(
        statements(&fixture.plan()),
        [
            "CREATE WAREHOUSE IF NOT EXISTS etl",
            "ALTER SYSTEM ADD COMPUTE NODE 'etl-cn-0.etl-cn.retail.svc:9050' INTO WAREHOUSE etl",
            "ALTER SYSTEM ADD COMPUTE NODE 'etl-cn-1.etl-cn.retail.svc:9050' INTO WAREHOUSE etl",
        ]
    );
}

#[test]
fn fourteen_is_more_than_nine() {
    // By text, etl-cn-9 would come after etl-cn-14, and the wrong node would be dropped.
    let fixture = group("etl").replicas(10).pods(0..10).nodes(0..15);
    let by_id = |ordinal| format!("ALTER SYSTEM DROP COMPUTE NODE {} FROM WAREHOUSE etl", 10_000 + ordinal);
    let expected: Vec<String> = (10..15).map(by_id).collect();
    assert_eq!(statements(&fixture.plan()), expected);
    let added = statements(&group("etl").replicas(15).pods(0..15).nodes(0..9).plan());
    assert!(
        added[0].contains("etl-cn-9.") && added[5].contains("etl-cn-14."),
        "{added:?}"
    );
}

#[test]
fn a_node_that_drains_is_not_dropped_before_its_pod_is_gone() {
    let drains = group("etl").replicas(1).pods(0..2).nodes(0..2);
    assert_eq!(statements(&drains.plan()), [] as [&str; 0]);
    let gone = group("etl").replicas(1).pods(0..1).nodes(0..2);
    assert_eq!(statements(&gone.plan()).len(), 1);
}

#[test]
fn a_roll_drops_nothing() {
    // While a pod is replaced it is away for a moment; its node stays known and nobody else's is touched.
    let rolling = group("etl").replicas(3).pods([0, 1]).nodes(0..3);
    assert_eq!(statements(&rolling.plan()), [] as [&str; 0]);
}

#[test]
fn nodes_of_other_groups_and_strangers_are_left_alone() {
    let fixture = group("etl").replicas(1).pods([0]).nodes([0]).with(|observed| {
        let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql else {
            return;
        };
        for host in [
            "bi-cn-5.bi-cn.retail.svc",
            "etl-cn-5.etl-cn.finance.svc",
            "etl-cn-5.other.retail.svc",
            "10.0.0.7",
        ] {
            let mut row = compute_nodes[0].clone();
            row.host = host.to_owned();
            compute_nodes.push(row);
        }
    });
    assert_eq!(statements(&fixture.plan()), [] as [&str; 0]);
}

#[test]
fn a_suspended_cluster_has_no_compute_whatever_the_windows_say() {
    let fixture = group("etl")
        .replicas(2)
        .window("always", "0 11 * * *", Some(5), None)
        .with(|observed| {
            observed.cluster.as_mut().unwrap().spec.suspend = true;
        });
    let plan = fixture.plan();
    assert_eq!(replicas(&plan), Some(0));
    let status = plan.status.unwrap();
    assert!(condition(&status.conditions, "Available").starts_with("False Suspended"));
    assert_eq!(status.floor, Some(5));
}

#[test]
fn a_window_raises_compute_and_lets_it_go() {
    let fixture = group("etl").replicas(1).window("morning", "0 8 * * *", Some(4), None);
    assert_eq!(replicas(&fixture.plan_at(at("2026-11-23T07:59:59Z"))), Some(1));
    assert_eq!(replicas(&fixture.plan_at(at("2026-11-23T08:00:00Z"))), Some(4));
    assert_eq!(replicas(&fixture.plan_at(at("2026-11-23T10:00:00Z"))), Some(1));
}

#[test]
fn a_floor_above_a_ceiling_wins_and_is_told() {
    let fixture = group("etl")
        .window("month-end", "0 11 * * *", Some(4), None)
        .window("thrift", "0 11 * * *", None, Some(2))
        .pods(0..4)
        .nodes(0..4)
        .settled();
    let status = fixture.0.group.status.clone().unwrap();
    assert_eq!(
        (status.floor, status.ceiling, status.wanted_replicas),
        (Some(4), Some(2), Some(4))
    );
    let ready = condition(&status.conditions, "Ready");
    assert!(
        ready.ends_with(
            "the minReplicas of window month-end are above the maxReplicas of window thrift, and the minimum counts"
        ),
        "{ready}"
    );
    assert_eq!(fixture.plan().status, None);
}

#[test]
fn every_word_for_a_start_that_the_api_takes_is_understood() {
    for word in [
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
    ] {
        let message = accepted(&group("etl").window("w", word, Some(1), None));
        assert!(message.starts_with("True Valid"), "{word}: {message}");
    }
}

#[test]
fn labels_that_kubernetes_refuses_are_named() {
    let fixture = group("etl").with(|observed| {
        observed.group.spec.placement.node_selector = [("a/b/c".to_owned(), "x".to_owned())].into();
    });
    let message = accepted(&fixture);
    assert!(
        message.starts_with("False InvalidField: placement.nodeSelector: \"a/b/c\" is not a key"),
        "{message}"
    );
}

#[test]
fn a_pod_that_goes_in_the_middle_of_a_roll_is_not_made_anew_at_the_old_revision_for_ever() {
    let objects = applied(&group("etl").plan());
    let strategy = &objects["StatefulSet retail/etl-cn"]["spec"]["updateStrategy"];
    assert_eq!(
        *strategy,
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    );
}

#[test]
fn a_size_alone_is_scaled_and_anything_else_applied() {
    let settled = group("etl").replicas(2).settled();
    let actions = settled.clone().replicas(3).plan().actions;
    let [
        Action::Scale {
            object, uid, replicas, ..
        },
    ] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(
        (object.name.as_str(), uid.as_deref(), *replicas),
        ("etl-cn", Some("uid-of-etl-cn"), 3)
    );
    let roll = settled.replicas(3).with(|observed| {
        observed.group.spec.labels = [("team".to_owned(), "retail".to_owned())].into();
    });
    let actions = roll.plan().actions;
    assert!(
        matches!(&actions[..], [Action::Apply(object)] if object.body["spec"]["replicas"] == 3),
        "{actions:?}"
    );
}

#[test]
fn the_next_look_is_at_the_next_edge() {
    let fixture = group("etl")
        .pods([0])
        .nodes([0])
        .window("soon", "1 12 * * *", Some(2), None)
        .settled();
    let plan = fixture.plan_at(at("2026-11-23T12:00:30Z"));
    let after = plan.edge_after.expect("it goes before other looks");
    assert!(
        after >= Duration::from_secs(30) && after < Duration::from_secs(31),
        "{after:?}"
    );
    // A look once a minute may be late: without this one of a thousand groups would be looked at when its turn comes.
    let plan = fixture.plan_at(at("2026-11-23T11:58:00Z"));
    assert!(
        plan.edge_after > Some(Duration::from_secs(180)),
        "{:?}",
        plan.edge_after
    );
    assert!(
        plan.requeue_after <= Duration::from_secs(60),
        "{:?}",
        plan.requeue_after
    );
    let plan = fixture.plan_at(at("2026-11-23T13:00:30Z"));
    assert_eq!(plan.edge_after, None, "the edge is a day away");
}

#[test]
fn what_only_counts_progress_may_be_told_later_and_what_is_decided_is_told_soon() {
    let starting = group("etl").replicas(3).pods([0]).nodes([0]).settled();
    let one_more = starting.clone().pods([0, 1]).nodes([0, 1]).plan();
    assert!(one_more.status.is_some());
    assert_eq!(one_more.telling, Telling::Progress);
    let all = starting.clone().pods([0, 1, 2]).nodes([0, 1, 2]).plan();
    assert_eq!(all.telling, Telling::AfterActions, "it is ready");
    let other = starting.replicas(4).plan();
    assert_eq!(other.telling, Telling::AfterActions, "another size is wanted");
    // First the cluster is not accepted, then it has no frontend.
    let unaccepted = group_of("etl", cluster("demo")).with(|observed| {
        observed.cluster.as_mut().unwrap().status = None;
    });
    let accepted = group_of("etl", cluster("demo")).with(|observed| {
        observed.sql = SqlAnswer::NotAsked;
        observed.group.status = unaccepted.plan().status;
    });
    let plan = accepted.plan();
    assert!(plan.status.is_some(), "another message");
    assert_eq!(plan.telling, Telling::Wording);
}

#[test]
fn wrong_schedules_are_named_with_their_field() {
    let zone = group("etl").window("w", "0 8 * * *", Some(1), None).with(|observed| {
        observed.group.spec.schedules[0].time_zone = "Europe/Berlinn".to_owned();
    });
    let message = accepted(&zone);
    assert!(
        message.starts_with("False UnknownTimeZone: schedules[w].timeZone: "),
        "{message}"
    );
    let message = accepted(&group("etl").window("w", "0 25 * * *", Some(1), None));
    assert!(
        message.starts_with("False InvalidSchedule: schedules[w].start: "),
        "{message}"
    );
    let message = accepted(&group("etl").window("w", "0 8 * * *", Some(3), Some(2)));
    assert!(
        message.starts_with("False InvalidSchedule: schedules[w].minReplicas: 3 is above"),
        "{message}"
    );
}

#[test]
fn a_bad_change_leaves_what_was_accepted_in_force() {
    let good = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let bad = good.replicas(7).window("w", "nonsense", Some(1), None);
    let plan = bad.plan();
    assert_eq!(plan.actions, []);
    let status = plan.status.unwrap();
    assert_eq!(status.wanted_replicas, Some(2));
    assert!(condition(&status.conditions, "Accepted").ends_with("the last accepted values stay in force"));
    assert!(condition(&status.conditions, "Available").starts_with("True Serving"));
}

#[test]
fn a_warehouse_on_starrocks_is_refused() {
    let fixture = group_of("etl", cluster("demo").starrocks()).with(|observed| {
        observed.group.spec.warehouse = Some("month_end".to_owned());
    });
    let message = accepted(&fixture);
    assert!(
        message.starts_with("False NotSupportedByEngine: warehouse: StarRocks knows only default_warehouse"),
        "{message}"
    );
}

#[test]
fn a_group_without_its_cluster_is_taken_down() {
    let fixture = group("etl")
        .pods(0..1)
        .nodes(0..1)
        .settled()
        .with(|observed| observed.cluster = None);
    let plan = fixture.plan();
    assert!(
        plan.actions
            .iter()
            .all(|action| matches!(action, Action::Delete { .. }))
    );
    assert_eq!(plan.actions.len(), 4);
    assert!(condition(&plan.status.unwrap().conditions, "Ready").starts_with("False ClusterNotFound"));
}

#[test]
fn a_quota_that_refuses_a_pod_is_told() {
    let fixture = group("etl").replicas(2).pods([0]).nodes([0]).with(|observed| {
        observed.events = vec![event(
            "StatefulSet",
            "etl-cn",
            "FailedCreate",
            "exceeded quota: q, requested: cpu=1",
        )];
    });
    let status = fixture.plan().status.unwrap();
    assert!(condition(&status.conditions, "Ready").starts_with("False PodOverQuota"));
    assert!(condition(&status.conditions, "Available").starts_with("True PartlyServing"));
}

#[test]
fn a_size_that_somebody_has_changed_since_is_not_overwritten() {
    let settled = group("etl").replicas(3).settled().with(|observed| {
        let key = super::stateful_set_key(observed);
        let mut stateful_set = observed.live.get(&key).unwrap().clone();
        stateful_set["metadata"]["resourceVersion"] = json!("4711");
        stateful_set["metadata"]["uid"] = json!("uid-of-set");
        observed.live.insert(ObjectKind::StatefulSet, stateful_set);
    });
    let precondition = |replicas: i32| match &settled.clone().replicas(replicas).plan().actions[..] {
        [Action::Scale { version, .. }] => version.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(precondition(1).as_deref(), Some("4711"));
    // More than were seen may be fewer than there are by now.
    assert_eq!(precondition(4).as_deref(), Some("4711"));
    // Nor is it where something else about it changes, too, or nothing else.
    let with_a_label = |replicas: i32| {
        let labelled = settled.clone().replicas(replicas).with(|observed| {
            observed.group.spec.labels.insert("team".to_owned(), "bi".to_owned());
        });
        let metadata = applied(&labelled.plan())["StatefulSet retail/etl-cn"]["metadata"].clone();
        (metadata["resourceVersion"].clone(), metadata["uid"].clone())
    };
    for replicas in [1, 3, 4] {
        assert_eq!(
            with_a_label(replicas),
            (json!("4711"), json!("uid-of-set")),
            "{replicas}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever pods exist and whatever the engine knows, no node whose ordinal is wanted is dropped, none whose pod exists, and
    /// none is added that is known.
    #[test]
    fn no_wanted_node_is_ever_dropped(
        replicas in 0..20i32,
        pods in proptest::collection::btree_set(0..25u32, 0..25),
        nodes in proptest::collection::btree_set(0..25u32, 0..25),
    ) {
        let fixture = group("etl").replicas(replicas).pods(pods.clone()).nodes(nodes.clone());
        let plan = fixture.plan();
        for action in &plan.actions {
            let Action::Sql(statement) = action else { continue };
            match statement {
                crate::sql::AdminStatement::DropComputeNode { host, node_id, .. } => {
                    let ordinal = names::ordinal(host.split('.').next().unwrap(), "etl-cn").unwrap();
                    prop_assert!(ordinal >= u32::try_from(replicas).unwrap());
                    prop_assert!(!pods.contains(&ordinal));
                    prop_assert_eq!(node_id.clone(), (10_000 + ordinal).to_string());
                }
                crate::sql::AdminStatement::AddComputeNode { host, .. } => {
                    let ordinal = names::ordinal(host.split('.').next().unwrap(), "etl-cn").unwrap();
                    prop_assert!(ordinal < u32::try_from(replicas).unwrap());
                    prop_assert!(pods.contains(&ordinal) && !nodes.contains(&ordinal));
                }
                _ => {}
            }
        }
        prop_assert_eq!(fixture.plan(), plan);
    }

    /// What is wanted lies within floor and ceiling, with the floor winning, and never beyond the limit.
    #[test]
    fn wanted_is_within_its_bounds(
        replicas in 0..50u32,
        floor in proptest::option::of(0..50u32),
        ceiling in proptest::option::of(0..50u32),
        limit in 0..60u32,
    ) {
        let evaluation = Evaluation { floor, ceiling, ..evaluate(&[], crate::fixture::noon()) };
        let wanted = wanted(replicas, &evaluation, limit);
        prop_assert!(wanted <= limit);
        prop_assert!(wanted >= floor.unwrap_or_default().min(limit));
        if floor.unwrap_or_default() <= ceiling.unwrap_or(u32::MAX) {
            prop_assert!(wanted <= ceiling.unwrap_or(u32::MAX));
        }
        if floor.is_none() && ceiling.is_none() {
            prop_assert_eq!(wanted, replicas.min(limit));
        }
    }
}

/// It is told to leave by a drain that lasts, while its pod was just replaced.
#[test]
fn a_new_pod_that_drains_does_not_have_its_template_taken_back() {
    let rolling = group("etl")
        .replicas(2)
        .pods(0..2)
        .nodes(0..2)
        .settled()
        .with(|observed| {
            observed.group.spec.labels.insert("team".to_owned(), "a".to_owned());
            let label = |pod: &mut k8s_openapi::api::core::v1::Pod, revision: &str| {
                let labels = [("controller-revision-hash".to_owned(), revision.to_owned())];
                pod.metadata.labels = Some(labels.into());
                let status = pod.status.as_mut().unwrap();
                status.conditions.as_mut().unwrap()[0].last_transition_time =
                    Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
            };
            label(&mut observed.pods[0], "r1");
            label(&mut observed.pods[1], "r2");
        })
        .settled()
        .with(|observed| {
            let key = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "etl-cn");
            let mut body = observed.live.get(&key).unwrap().clone();
            body["status"]["updateRevision"] = json!("r2");
            body["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(1);
            body["metadata"]["annotations"]["springtide.dev/at-pod-since"] = json!("2026-11-23T11:00:00Z");
            observed.live.insert(ObjectKind::StatefulSet, body);
        });
    let told =
        |fixture: &crate::fixture::GroupFixture| condition(&fixture.plan().status.unwrap().conditions, "UpToDate");
    let with_row = |change: fn(&mut crate::sql::ComputeNodeRow)| {
        rolling.clone().with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                change(&mut compute_nodes[1]);
            }
        })
    };
    let drains = with_row(|row| (row.alive, row.draining) = (false, true));
    assert!(
        told(&drains).contains("waits for pod etl-cn-0 to be replaced"),
        "{}",
        told(&drains)
    );
    let dead = with_row(|row| row.alive = false);
    let dead = dead.with(|observed| {
        observed.pods[1].metadata.creation_timestamp =
            Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
    });
    assert!(
        told(&dead).contains("the frontend does not count on it"),
        "{}",
        told(&dead)
    );
}
