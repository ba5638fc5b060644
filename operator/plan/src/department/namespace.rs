//! A namespace of a department.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use springtide_crds::Department;

use crate::names;

/// Pods in it are restricted: no root, no privileges, no host. It has no owner reference, because deleting a Department must not
/// delete what the department has. `live` is the namespace as it is, if it exists: one that was there before is not marked as made.
pub(super) fn build(department: &Department, name: &str, live: Option<&Value>) -> Namespace {
    let is_made = live.is_none_or(is_made);
    let department = department.metadata.name.as_deref().unwrap_or_default();
    let labels = [
        ("app.kubernetes.io/managed-by", names::MANAGED_BY),
        (names::DEPARTMENT_LABEL, department),
        ("pod-security.kubernetes.io/enforce", "restricted"),
        ("pod-security.kubernetes.io/enforce-version", "latest"),
        ("pod-security.kubernetes.io/audit", "restricted"),
        ("pod-security.kubernetes.io/warn", "restricted"),
    ];
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: is_made
                .then(|| BTreeMap::from([(names::MADE_FOR_ANNOTATION.to_owned(), department.to_owned())])),
            labels: Some(
                labels
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect::<BTreeMap<_, _>>(),
            ),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// Whether the operator made the namespace, and did not find it.
pub(super) fn is_made(body: &Value) -> bool {
    body.pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(names::MADE_FOR_ANNOTATION))
        .is_some()
}
