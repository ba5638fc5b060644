//! Which of our objects are to be reconciled when something changes.

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};
use springtide_crds::{Calendar, ComputeGroup, Department, GROUP, LakeCluster};
use springtide_plan::{ObjectKind, names};

use crate::context::Caches;

/// An object that is to be reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Department(String),
    LakeCluster { namespace: String, name: String },
    ComputeGroup { namespace: String, name: String },
}

/// A department's limits count for its clusters and groups, and its namespaces may be claimed by another.
pub(crate) fn by_department(caches: &Caches, department: &Department) -> Vec<Target> {
    let is_its = |namespace: &str| department.spec.namespaces.iter().any(|owned| owned.name == namespace);
    let mut targets = vec![Target::Department(department.name_any())];
    let rivals = caches
        .departments
        .select(|other| other.spec.namespaces.iter().any(|owned| is_its(&owned.name)));
    targets.extend(rivals.iter().map(|other| Target::Department(other.name_any())));
    let clusters = caches
        .clusters
        .select(|cluster| cluster.namespace().is_some_and(|namespace| is_its(&namespace)));
    targets.extend(clusters.iter().map(|cluster| cluster_target(cluster)));
    let groups = caches
        .groups
        .select(|group| group.namespace().is_some_and(|namespace| is_its(&namespace)));
    targets.extend(groups.iter().map(|group| group_target(group)));
    targets.sort();
    targets.dedup();
    targets
}

/// A cluster's template and health count for its groups.
pub(crate) fn by_cluster(caches: &Caches, cluster: &LakeCluster) -> Vec<Target> {
    let mut targets = vec![cluster_target(cluster)];
    let groups = caches
        .groups
        .select(|group| group.namespace() == cluster.namespace() && group.spec.cluster == cluster.name_any());
    targets.extend(groups.iter().map(|group| group_target(group)));
    targets.extend(department_of(caches, cluster.namespace().as_deref()));
    targets
}

/// A group's windows and nodes show in its cluster.
pub(crate) fn by_group(caches: &Caches, group: &ComputeGroup) -> Vec<Target> {
    let mut targets = vec![
        group_target(group),
        Target::LakeCluster {
            namespace: group.namespace().unwrap_or_default(),
            name: group.spec.cluster.clone(),
        },
    ];
    targets.extend(department_of(caches, group.namespace().as_deref()));
    targets
}

/// A calendar's dates count for the windows that name it.
pub(crate) fn by_calendar(caches: &Caches, calendar: &Calendar) -> Vec<Target> {
    let name = calendar.name_any();
    let names_it = |group: &ComputeGroup| {
        let mut schedules = group.spec.schedules.iter();
        group.namespace() == calendar.namespace() && schedules.any(|schedule| schedule.calendars.contains(&name))
    };
    let groups = caches.groups.select(names_it);
    groups.iter().map(|group| group_target(group)).collect()
}

/// A pod belongs to a group or to a cluster's frontends.
pub(crate) fn by_pod(_: &Caches, pod: &Pod) -> Vec<Target> {
    let namespace = pod.namespace().unwrap_or_default();
    let label = |name: &str| pod.labels().get(name).cloned();
    match (label(names::GROUP_LABEL), label(names::CLUSTER_LABEL)) {
        (Some(name), _) => vec![Target::ComputeGroup { namespace, name }],
        (None, Some(name)) => vec![Target::LakeCluster { namespace, name }],
        (None, None) => Vec::new(),
    }
}

/// What we own concerns its owner. A namespace concerns the departments that name it.
pub(crate) fn by_object(caches: &Caches, kind: ObjectKind, object: &DynamicObject) -> Vec<Target> {
    let namespace = object.namespace().unwrap_or_default();
    let owners = object
        .owner_references()
        .iter()
        .filter(|owner| owner.api_version.starts_with(GROUP));
    let mut targets: Vec<Target> = owners
        .filter_map(|owner| {
            let (namespace, name) = (namespace.clone(), owner.name.clone());
            match owner.kind.as_str() {
                "Department" => Some(Target::Department(name)),
                "LakeCluster" => Some(Target::LakeCluster { namespace, name }),
                "ComputeGroup" => Some(Target::ComputeGroup { namespace, name }),
                _ => None,
            }
        })
        .collect();
    match kind {
        ObjectKind::Namespace => {
            let name = object.name_any();
            let claims = caches
                .departments
                .select(|department| department.spec.namespaces.iter().any(|owned| owned.name == name));
            targets.extend(
                claims
                    .iter()
                    .map(|department| Target::Department(department.name_any())),
            );
            targets.extend(
                object
                    .labels()
                    .get(names::DEPARTMENT_LABEL)
                    .cloned()
                    .map(Target::Department),
            );
        }
        // Claims have no owner, so that they outlive the cluster.
        ObjectKind::PersistentVolumeClaim => {
            let cluster = object.labels().get(names::CLUSTER_LABEL).cloned();
            targets.extend(cluster.map(|name| Target::LakeCluster { namespace, name }));
        }
        _ => {}
    }
    targets
}

fn department_of(caches: &Caches, namespace: Option<&str>) -> Option<Target> {
    let department = caches.department_of(namespace?)?;
    Some(Target::Department(department.name_any()))
}

fn cluster_target(cluster: &LakeCluster) -> Target {
    Target::LakeCluster {
        namespace: cluster.namespace().unwrap_or_default(),
        name: cluster.name_any(),
    }
}

fn group_target(group: &ComputeGroup) -> Target {
    Target::ComputeGroup {
        namespace: group.namespace().unwrap_or_default(),
        name: group.name_any(),
    }
}
