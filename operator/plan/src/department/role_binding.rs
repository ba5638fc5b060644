//! What the administrators of a department may do: a ClusterRole of the chart, bound in the department's namespaces alone.

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use springtide_crds::department::DepartmentAdmins;

use crate::names::Owner;

const API_GROUP: &str = "rbac.authorization.k8s.io";
const NAME: &str = "springtide-department-admins";

/// `None` without administrators.
pub(super) fn build(owner: &Owner, admins: &DepartmentAdmins, role: &str) -> Option<RoleBinding> {
    let subject = |kind: &str, name: &String| Subject {
        api_group: Some(API_GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.clone(),
        namespace: None,
    };
    let subjects: Vec<Subject> = admins
        .users
        .iter()
        .map(|name| subject("User", name))
        .chain(admins.groups.iter().map(|name| subject("Group", name)))
        .collect();
    (!subjects.is_empty()).then(|| RoleBinding {
        metadata: owner.metadata(NAME),
        role_ref: RoleRef {
            api_group: API_GROUP.to_owned(),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(subjects),
    })
}
