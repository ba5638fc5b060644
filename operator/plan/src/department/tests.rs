#![allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes reads better without a borrow"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::fixture::{applied, apply, condition, noon, settings};
use crate::observed::Live;

fn department(name: &str, created: &str, spec: Value) -> Department {
    serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": "Department",
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": created, "finalizers": [names::FINALIZER],
        },
        "spec": spec,
    }))
    .unwrap()
}

fn observed(spec: Value) -> ObservedDepartment {
    ObservedDepartment {
        department: department("retail", "2026-11-01T00:00:00Z", spec),
        other_departments: Vec::new(),
        namespaces: BTreeMap::new(),
        live: Live::default(),
        settings: settings(),
    }
}

fn retail() -> ObservedDepartment {
    observed(json!({
        "namespaces": [{"name": "retail", "quota": {"cpu": 8, "memory": "16Gi", "storage": "100Gi", "pods": 40}}],
        "admins": {"users": ["anna"], "groups": ["retail-admins"]},
    }))
}

/// What the API server has once plans were carried out until nothing was left to do.
fn settled(mut observed: ObservedDepartment) -> ObservedDepartment {
    for _ in 0..4 {
        let plan = plan_department(&observed, noon());
        for action in &plan.actions {
            let Action::Apply(object) = action else { continue };
            if object.key.kind == ObjectKind::Namespace {
                let entry = observed.namespaces.entry(object.key.name.clone()).or_default();
                entry.body = object.body.clone();
            } else {
                apply(&mut observed.live, object);
            }
        }
        if let Some(status) = plan.status {
            observed.department.status = Some(status);
        }
    }
    observed
}

fn accepted(observed: &ObservedDepartment) -> String {
    condition(
        &plan_department(observed, noon()).status.unwrap().conditions,
        "Accepted",
    )
}

#[test]
fn objects() {
    let first = plan_department(&retail(), noon());
    assert_eq!(applied(&first).keys().collect::<Vec<_>>(), ["Namespace retail"]);
    let mut second = retail();
    second
        .namespaces
        .insert("retail".to_owned(), ObservedNamespace::default());
    insta::assert_yaml_snapshot!("objects", applied(&plan_department(&second, noon())));
}

#[test]
fn an_idle_department_has_an_empty_plan() {
    let plan = plan_department(&settled(retail()), noon());
    assert_eq!((plan.actions, plan.status, plan.wait), (vec![], None, None));
}

#[test]
fn a_department_is_ready_only_with_everything_it_is_to_have() {
    for kind in [
        ObjectKind::RoleBinding,
        ObjectKind::ResourceQuota,
        ObjectKind::LimitRange,
        ObjectKind::NetworkPolicy,
    ] {
        let mut lacks = settled(retail());
        let live = std::mem::take(&mut lacks.live);
        for (key, body) in live.iter().filter(|(key, _)| key.kind != kind) {
            lacks.live.insert(key.kind, body.clone());
        }
        let status = plan_department(&lacks, noon()).status.unwrap();
        assert!(!status.namespaces[0].ready, "{kind:?}");
    }
}

#[test]
fn namespaces_have_no_owner() {
    let plan = plan_department(&retail(), noon());
    assert_eq!(
        applied(&plan)["Namespace retail"]["metadata"].get("ownerReferences"),
        None
    );
}

#[test]
fn nothing_to_limit_and_nobody_to_bind_make_no_objects() {
    let mut bare = observed(json!({"namespaces": [{"name": "retail"}], "networkPolicy": "Disabled"}));
    bare.namespaces
        .insert("retail".to_owned(), ObservedNamespace::default());
    let objects = applied(&plan_department(&bare, noon()));
    assert_eq!(
        objects.keys().collect::<Vec<_>>(),
        ["LimitRange retail/springtide-department", "Namespace retail"]
    );
}

#[test]
fn an_administrator_who_left_loses_the_binding() {
    let mut left = settled(retail());
    left.department.spec.admins = springtide_crds::department::DepartmentAdmins::default();
    let plan = plan_department(&left, noon());
    assert!(matches!(&plan.actions[..], [Action::Delete { object, .. }] if object.kind == ObjectKind::RoleBinding));
}

#[test]
fn of_two_departments_that_claim_a_namespace_the_older_has_it() {
    let spec = json!({"namespaces": [{"name": "retail"}]});
    let mut younger = retail();
    younger.other_departments = vec![department("finance", "2026-10-01T00:00:00Z", spec.clone())];
    let message = accepted(&younger);
    assert!(
        message.starts_with("False NamespaceTaken: namespaces[retail]: retail belongs to Department finance"),
        "{message}"
    );
    assert_eq!(plan_department(&younger, noon()).actions, []);
    let mut older = retail();
    older.other_departments = vec![department("finance", "2026-12-01T00:00:00Z", spec)];
    assert!(accepted(&older).starts_with("True Valid"));
}

#[test]
fn a_namespace_keeps_its_department_as_long_as_that_exists() {
    let mut taken = retail();
    let body = json!({"metadata": {"name": "retail", "labels": {names::DEPARTMENT_LABEL: "finance"}}});
    taken.namespaces.insert(
        "retail".to_owned(),
        ObservedNamespace {
            body,
            ..ObservedNamespace::default()
        },
    );
    assert!(
        accepted(&taken).starts_with("True Valid"),
        "a label of a department that is gone binds nobody"
    );
    let elsewhere = json!({"namespaces": [{"name": "finance"}]});
    taken.other_departments = vec![department("finance", "2026-12-01T00:00:00Z", elsewhere)];
    assert!(accepted(&taken).starts_with("False NamespaceTaken"));
}

#[test]
fn namespaces_of_kubernetes_and_of_the_operator_are_refused() {
    for name in ["kube-system", "default", "springtide-system"] {
        let message = accepted(&observed(json!({"namespaces": [{"name": name}]})));
        assert!(message.starts_with("False NamespaceTaken"), "{message}");
    }
}

#[test]
fn a_namespace_that_never_was_the_departments_may_be_taken_off_the_list() {
    let mut has_one = settled(retail());
    let written = json!({"namespaces": [{"name": "retail"}, {"name": "kube-system"}, {"name": "retail-bi"}]});
    has_one.department.spec = serde_json::from_value(written).unwrap();
    let removable = |observed: &ObservedDepartment| -> Vec<bool> {
        let status = plan_department(observed, noon()).status.unwrap();
        status.namespaces.iter().map(|namespace| namespace.removable).collect()
    };
    assert_eq!(removable(&has_one), [false, true, true]);
    let accepted = json!({"namespaces": [{"name": "retail"}, {"name": "retail-bi"}]});
    has_one.department.spec = serde_json::from_value(accepted).unwrap();
    assert_eq!(
        removable(&has_one),
        [false, false],
        "the second one is about to be made"
    );
}

/// A deleted department with this policy, whose namespace holds what `change` says.
fn deletion(policy: &str, change: impl FnOnce(&mut ObservedNamespace)) -> Plan<DepartmentStatus> {
    let mut observed = settled(retail());
    observed.department.spec.deletion_policy = serde_json::from_value(json!(policy)).unwrap();
    observed.department.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
    change(observed.namespaces.get_mut("retail").unwrap());
    plan_department(&observed, noon())
}

#[test]
fn a_namespace_that_holds_a_cluster_is_never_deleted() {
    let with_cluster = |namespace: &mut ObservedNamespace| {
        namespace.lake_clusters.insert("demo".to_owned());
    };
    let plan = deletion("Delete", with_cluster);
    assert_eq!(plan.actions, []);
    assert!(plan.wait.unwrap().why.contains("still holds LakeCluster demo"));
    let available = condition(&plan.status.unwrap().conditions, "Available");
    assert!(available.starts_with("False ClustersRemain"), "{available}");
    assert_eq!(deletion("Retain", with_cluster).actions, [Action::RemoveFinalizer]);
}

#[test]
fn a_namespace_that_holds_a_volume_is_never_deleted() {
    let plan = deletion("Delete", |namespace| {
        namespace.volume_claims.insert("meta-demo-fe-0".to_owned());
    });
    assert_eq!(plan.actions, [Action::RemoveFinalizer]);
}

#[test]
fn a_namespace_that_was_there_before_is_never_deleted() {
    let mut found = retail();
    let body = json!({"metadata": {"name": "retail", "labels": {"team": "x"}}});
    found.namespaces.insert(
        "retail".to_owned(),
        ObservedNamespace {
            body,
            ..ObservedNamespace::default()
        },
    );
    let mut found = settled(found);
    let labels = &found.namespaces["retail"].body["metadata"]["labels"];
    assert_eq!(
        labels[names::DEPARTMENT_LABEL],
        "retail",
        "it is the department's all the same"
    );
    found.department.spec.deletion_policy = DeletionPolicy::Delete;
    found.department.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-23T11:00:00Z")).unwrap());
    assert_eq!(plan_department(&found, noon()).actions, [Action::RemoveFinalizer]);
}

#[test]
fn an_empty_namespace_goes_only_when_that_is_asked_for() {
    assert_eq!(deletion("Retain", |_| {}).actions, [Action::RemoveFinalizer]);
    let actions = deletion("Delete", |_| {}).actions;
    assert!(matches!(&actions[0], Action::Delete { object, .. } if object.kind == ObjectKind::Namespace));
    assert_eq!(actions[1], Action::RemoveFinalizer);
}
