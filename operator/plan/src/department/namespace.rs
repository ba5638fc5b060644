//! A namespace of a department.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use springtide_crds::Department;

use crate::names;

/// Pods in it are restricted: no root, no privileges, no host. It has no owner reference, because deleting a Department must not
/// delete what the department has.
pub(super) fn build(department: &Department, name: &str) -> Namespace {
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
