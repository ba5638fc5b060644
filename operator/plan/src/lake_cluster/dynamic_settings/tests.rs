use serde_json::{Value, json};

use super::*;
use crate::action::Plan;
use crate::fixture::{ClusterFixture, applied, cluster, condition, statements};
use crate::object::{ObjectKey, ObjectKind};

type PlanOfCluster = Plan<springtide_crds::LakeClusterStatus>;

fn settled() -> ClusterFixture {
    cluster("demo").secrets().serving().settled()
}

/// With these settings of frontends written, and no others.
fn with_config(fixture: ClusterFixture, config: &[(&str, &str)]) -> ClusterFixture {
    fixture.with(|observed| {
        let config = config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        observed.cluster.spec.frontends.config = config.collect();
        let generation = observed.cluster.metadata.generation.unwrap_or_default();
        observed.cluster.metadata.generation = Some(generation + 1);
    })
}

fn row(name: &str, value: &str) -> FrontendConfigRow {
    FrontendConfigRow {
        name: name.to_owned(),
        value: value.to_owned(),
        is_mutable: true,
    }
}

/// Each frontend says that its limit of time is this.
fn saying(fixture: ClusterFixture, limits: &[&str]) -> ClusterFixture {
    let of_one = |limit: &&str| vec![row("max_connections", "1024"), row("query_timeout_s", limit)];
    let frontends = limits.iter().map(of_one).collect();
    fixture.with(|observed| observed.frontend_config = FrontendConfigAnswer::Answered(frontends))
}

fn names_of(plan: &PlanOfCluster) -> Vec<String> {
    applied(plan).into_keys().collect()
}

fn up_to_date(plan: &PlanOfCluster) -> String {
    condition(
        &plan.status.as_ref().expect("the status changes").conditions,
        "UpToDate",
    )
}

fn noted(plan: &PlanOfCluster) -> Value {
    json!(plan.status.as_ref().expect("the status changes").dynamic_settings)
}

/// Name of the frontends' ConfigMap by their template, its file, and whether it can change.
fn files(fixture: &ClusterFixture) -> (String, String, bool) {
    let live = |kind, name: &str| {
        let key = ObjectKey::namespaced(kind, "retail", name);
        fixture.0.live.get(&key).cloned().unwrap()
    };
    let template = &live(ObjectKind::StatefulSet, "demo-fe")["spec"]["template"];
    let name = template["metadata"]["annotations"]["springtide.dev/files"]
        .as_str()
        .unwrap();
    let config_map = live(ObjectKind::ConfigMap, name);
    let file = config_map["data"]["engine.json"].as_str().unwrap().to_owned();
    (name.to_owned(), file, config_map["immutable"] != json!(true))
}

/// As releases made them for which every setting was one that pods are replaced for.
fn of_old(fixture: ClusterFixture) -> ClusterFixture {
    let (name, file, _) = files(&fixture);
    let contents = BTreeMap::from([("engine.json".to_owned(), file)]);
    let old_name = crate::files::name_of("demo-engine", &contents);
    fixture.with(|observed| {
        let key = |kind, name: &str| ObjectKey::namespaced(kind, "retail", name);
        let mut config_map = observed.live.get(&key(ObjectKind::ConfigMap, &name)).cloned().unwrap();
        observed.live.remove(&key(ObjectKind::ConfigMap, &name));
        config_map["metadata"]["name"] = json!(old_name);
        config_map["immutable"] = json!(true);
        observed.live.insert(ObjectKind::ConfigMap, config_map);
        let set = observed
            .live
            .get(&key(ObjectKind::StatefulSet, "demo-fe"))
            .cloned()
            .unwrap();
        let mut set: Value = serde_json::from_str(&set.to_string().replace(&name, &old_name)).unwrap();
        let spec = &observed.cluster.spec;
        let shape = ClusterShape::new(&observed.cluster, spec, &observed.settings).unwrap();
        let inputs = crate::inputs::of_frontends_of_old(spec, &shape, None).unwrap();
        set["metadata"]["annotations"]["springtide.dev/inputs"] = json!(inputs);
        let template = crate::inputs::hash_of(&set["spec"]["template"]);
        set["metadata"]["annotations"]["springtide.dev/template"] = json!(template);
        observed.live.insert(ObjectKind::StatefulSet, set);
    })
}

#[test]
fn another_value_of_a_dynamic_setting_rolls_nothing_and_is_told_by_sql() {
    let before = settled();
    let (name, _, _) = files(&before);
    let changed = saying(with_config(before, &[("queryTimeoutS", "60")]), &["300"]);
    let plan = changed.plan();
    assert_eq!(names_of(&plan), [format!("ConfigMap retail/{name}")]);
    assert_eq!(
        statements(&plan),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='60')"]
    );
    assert_eq!(
        up_to_date(&plan),
        "False SettingPending: queryTimeoutS is 300 on a frontend, which is told that it is to be 60"
    );
    assert_eq!(plan.requeue_after, finish::CONVERGING);

    let told = saying(changed.settled(), &["60"]);
    let plan = told.plan();
    assert_eq!((statements(&plan), names_of(&plan)), (vec![], vec![]));
    assert_eq!(
        up_to_date(&plan),
        "True UpToDate: all pods are made by the present template"
    );
    assert_eq!(noted(&plan), json!([{"name": "queryTimeoutS", "value": "60"}]));
    let (still, file, can_change) = files(&told);
    assert_eq!((&still, can_change), (&name, true));
    assert!(
        file.contains("\"queryTimeoutS\": 60"),
        "a frontend that comes back starts with it: {file}"
    );

    let rests = told.settled().plan();
    assert_eq!((rests.actions, rests.status), (vec![], None));
    assert_eq!(rests.requeue_after, finish::STEADY);
}

#[test]
fn a_setting_of_the_start_rolls_and_takes_dynamic_ones_along() {
    let before = cluster("demo").starrocks().secrets().serving().settled();
    let told = FrontendConfigAnswer::Answered(vec![vec![row("qe_slow_log_ms", "5000")]]);
    let of = |config: &[(&str, &str)]| {
        let fixture = with_config(before.clone(), config);
        fixture.with(|observed| observed.frontend_config = told.clone()).plan()
    };
    let rolls = |plan: &PlanOfCluster| names_of(plan).iter().any(|name| name == "StatefulSet retail/demo-fe");
    let fixed = of(&[("qe_max_connection", "100")]);
    assert!(rolls(&fixed));
    assert_eq!(statements(&fixed), [""; 0]);
    let dynamic = of(&[("qe_slow_log_ms", "1000")]);
    assert!(!rolls(&dynamic));
    assert_eq!(
        statements(&dynamic),
        ["ADMIN SET FRONTEND CONFIG ('qe_slow_log_ms'='1000')"]
    );
    let both = of(&[("qe_max_connection", "100"), ("qe_slow_log_ms", "1000")]);
    assert!(rolls(&both));
    assert_eq!(statements(&both), statements(&dynamic));
    let told = up_to_date(&both);
    assert!(told.starts_with("False Rolling: "), "{told}");
    assert!(
        told.contains(". Beside that: qe_slow_log_ms is 5000 on a frontend"),
        "{told}"
    );
    let files: Vec<String> = applied(&both)
        .into_iter()
        .filter(|(name, _)| name.starts_with("ConfigMap"))
        .map(|(_, body)| body["data"]["fe.conf"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        files
            .iter()
            .any(|file| file.contains("qe_max_connection = 100\n") && file.contains("qe_slow_log_ms = 1000\n")),
        "{files:#?}"
    );
    assert!(
        files.iter().all(|file| file.contains("qe_slow_log_ms = 1000\n")),
        "a frontend may start from the old files as well, and after a roll that was taken back: {files:#?}"
    );
    assert_eq!(files.len(), 2);
}

#[test]
fn a_value_that_stays_another_one_needs_somebody() {
    let first = saying(with_config(settled(), &[("queryTimeoutS", "60")]), &["300"]);
    // The statement was run, and changed nothing.
    let again = first.clone().settled().plan();
    assert_eq!(
        statements(&again),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='60')"]
    );
    assert_eq!(again.requeue_after, finish::SECRET);
    let told = first.clone().settled().0.cluster.status.unwrap();
    let told = condition(&told.conditions, "UpToDate");
    assert!(
        told.starts_with("False SettingNotInForce: queryTimeoutS is still 300 on a frontend that was told 60"),
        "{told}"
    );
    // Another value is another try.
    let other = with_config(first.settled(), &[("queryTimeoutS", "90")]).plan();
    assert!(up_to_date(&other).starts_with("False SettingPending: "));
}

#[test]
fn one_frontend_that_differs_is_enough() {
    let fixture = saying(with_config(settled(), &[("queryTimeoutS", "60")]), &["60", "300", "60"]);
    let plan = fixture.plan();
    assert_eq!(
        statements(&plan),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='60')"]
    );
    assert_eq!(noted(&plan), json!([{"name": "queryTimeoutS", "value": "300"}]));
}

#[test]
fn a_setting_that_is_taken_out_gets_its_default() {
    let set = saying(with_config(settled(), &[("queryTimeoutS", "60")]), &["60"]).settled();
    let removed = with_config(set, &[]);
    let plan = removed.plan();
    assert_eq!(
        statements(&plan),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='300')"]
    );
    assert_eq!(
        noted(&plan),
        json!([{"name": "queryTimeoutS", "value": "60"}]),
        "until it has it"
    );
    assert!(reads_settings_back(&removed.0.cluster));
    let done = saying(removed.settled(), &["300"]).settled();
    let plan = done.plan();
    assert_eq!((statements(&plan), plan.status), (vec![], None));
    assert!(!reads_settings_back(&done.0.cluster), "from now on nobody is asked");
    assert!(!files(&done).1.contains("queryTimeoutS"), "{:?}", files(&done));
}

#[test]
fn nobody_is_asked_where_nothing_is_set() {
    assert!(!reads_settings_back(&settled().0.cluster));
    let fixed = with_config(cluster("demo").starrocks(), &[("qe_max_connection", "7")]);
    assert!(!reads_settings_back(&fixed.0.cluster));
    let dynamic = with_config(settled(), &[("queryTimeoutS", "60")]);
    assert!(reads_settings_back(&dynamic.0.cluster));
    // What is refused is not in force; what was accepted is.
    let refused = with_config(dynamic.settled(), &[("nosuch", "1")]);
    assert!(reads_settings_back(&refused.0.cluster));
}

#[test]
fn while_no_frontend_answers_it_is_noted_what_is_to_be_read() {
    let silent = with_config(settled(), &[("queryTimeoutS", "60")]);
    let plan = silent.plan();
    assert_eq!(statements(&plan), [""; 0]);
    assert_eq!(noted(&plan), json!([{"name": "queryTimeoutS"}]));
    // Taken out before anybody was asked: a frontend may have started with it.
    let removed = saying(with_config(silent.settled(), &[]), &["60"]);
    assert_eq!(
        statements(&removed.plan()),
        ["ADMIN SET FRONTEND CONFIG ('query_timeout_s'='300')"]
    );
}

#[test]
fn what_a_version_of_the_engine_cannot_do_is_told_and_not_tried() {
    let with = |answer: FrontendConfigAnswer| {
        let fixture = with_config(settled(), &[("queryTimeoutS", "60")]);
        fixture.with(|observed| observed.frontend_config = answer).plan()
    };
    let fixed = FrontendConfigRow {
        is_mutable: false,
        ..row("query_timeout_s", "300")
    };
    for (answer, expected) in [
        (
            FrontendConfigAnswer::Answered(vec![vec![fixed]]),
            "queryTimeoutS is 300 and is to be 60, which a frontend of this version does not take while it runs: delete its pod",
        ),
        (
            FrontendConfigAnswer::Answered(vec![vec![row("max_connections", "1024")]]),
            "a frontend of this version has no setting queryTimeoutS: take it out",
        ),
        (
            FrontendConfigAnswer::Unreadable {
                message: "you need the OPERATE privilege".to_owned(),
            },
            "whether queryTimeoutS is in force is not known: you need the OPERATE privilege. Frontends start with what is written",
        ),
    ] {
        let plan = with(answer);
        assert_eq!(statements(&plan), [""; 0], "{expected}");
        let told = up_to_date(&plan);
        assert!(
            told.starts_with(&format!("False SettingNotInForce: {expected}")),
            "{told}"
        );
    }
}

#[test]
fn numbers_are_compared_as_numbers() {
    for (one, other, same) in [
        ("60", "60", true),
        ("060", "60", true),
        ("10.0", "10", true),
        ("0.80", "0.8", true),
        ("TRUE", "true", true),
        ("9223372036854775807", "9223372036854775806", false),
        ("true", "1", false),
        ("60", "600", false),
    ] {
        assert_eq!(is_same(one, other), same, "{one} {other}");
    }
}

/// Their ConfigMaps were named by all settings and cannot change, and their marks count all settings as wishes.
#[test]
fn an_upgrade_of_the_operator_rolls_no_frontend_that_was_made_with_dynamic_settings() {
    let made = saying(with_config(settled(), &[("queryTimeoutS", "60")]), &["60"]).settled();
    let of_old = of_old(made);
    let (old_name, _, can_change) = files(&of_old);
    assert!(!can_change);
    let plan = of_old.plan();
    for action in &plan.actions {
        let Action::Apply(object) = action else {
            panic!("{action:?}")
        };
        let live = of_old.0.live.get(&object.key).unwrap();
        assert_eq!(
            object.body["spec"]["template"], live["spec"]["template"],
            "marks alone are written"
        );
    }
    assert_eq!(plan.actions.len(), 1);
    let upgraded = of_old.settled();
    assert_eq!(upgraded.plan().actions, []);

    // And from then on another value rolls nothing either: the ConfigMap, which cannot change, makes way for one that can.
    let changed = saying(with_config(upgraded, &[("queryTimeoutS", "90")]), &["90"]);
    let plan = changed.plan();
    let key = ObjectKey::namespaced(ObjectKind::ConfigMap, "retail", &old_name);
    assert_eq!(
        plan.actions[0],
        Action::Delete {
            object: key.clone(),
            uid: changed.0.live.get(&key).and_then(crate::finish::uid),
        }
    );
    assert_eq!(names_of(&plan), [format!("ConfigMap retail/{old_name}")]);
    let (name, file, can_change) = files(&changed.settled());
    assert_eq!((name, can_change), (old_name, true));
    assert!(file.contains("\"queryTimeoutS\": 90"), "{file}");
}

/// Somebody's `kubectl delete`: pods name the ConfigMap and cannot start without it.
#[test]
fn a_configmap_of_an_older_release_that_was_deleted_is_made_anew_under_its_name() {
    let of_old = of_old(saying(with_config(settled(), &[("queryTimeoutS", "60")]), &["60"]).settled());
    let (name, _, _) = files(&of_old);
    let deleted = of_old.settled().with(|observed| {
        let key = ObjectKey::namespaced(ObjectKind::ConfigMap, "retail", &name);
        observed.live.remove(&key);
    });
    assert_eq!(names_of(&deleted.plan()), [format!("ConfigMap retail/{name}")]);
}

#[test]
fn what_was_accepted_stays_in_force_though_this_release_would_refuse_it() {
    let fixture = settled().with(|observed| {
        let config = &mut observed.cluster.spec.frontends.config;
        config.insert("maxConnections".to_owned(), "5".to_owned());
        let accepted = observed.cluster.spec.clone();
        observed.cluster.status.as_mut().unwrap().accepted_spec = Some(Box::new(accepted));
    });
    let status = fixture.plan().status.unwrap();
    let accepted = condition(&status.conditions, "Accepted");
    assert!(
        accepted.starts_with("False InvalidField: frontends.config.maxConnections: \"5\" is no value of it; write a number of connections from 10"),
        "{accepted}"
    );
    assert!(condition(&status.conditions, "Available").starts_with("True "));
}
