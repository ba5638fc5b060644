//! Which of our objects are to be reconciled when something changes.
//!
//! An object that changes concerns itself. Others it concerns only where something has changed that their plans read: most writes are
//! of a status, and a cluster that looked at each of its groups for each of theirs, and they at it again, would keep the frontends
//! busy with answering. `before` is what the cache had of the object; `None` where it is new, gone, or listed anew.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};
use springtide_crds::{
    Calendar, ComputeGroup, Department, GROUP, LakeCluster,
    department::DepartmentSpec,
    lake_cluster::{EngineStatus, LakeClusterSpec},
};
use springtide_plan::{ObjectKind, lake_cluster::is_woken_by_statements, names};

use crate::context::Caches;

/// An object that is to be reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Department(String),
    LakeCluster { namespace: String, name: String },
    ComputeGroup { namespace: String, name: String },
}

/// What is read of a department by the plans of others.
#[derive(PartialEq)]
struct DepartmentForOthers<'a> {
    generation: Option<i64>,
    is_leaving: bool,
    accepted_spec: Option<&'a DepartmentSpec>,
}

/// What is read of a cluster by the plans of its groups.
#[derive(PartialEq)]
struct ClusterForGroups<'a> {
    generation: Option<i64>,
    is_leaving: bool,
    /// Its groups wait for a frontend that leads, and are made by the spec that was accepted.
    leader: Option<&'a str>,
    accepted_spec: Option<&'a LakeClusterSpec>,
    /// Nodes go back to an older version after the frontends.
    engine: Option<&'a EngineStatus>,
    /// Their nodes may be replaced until then.
    maintenance_until: Option<&'a str>,
}

/// What is read of a group by the plan of its cluster.
#[derive(PartialEq)]
struct GroupForCluster<'a> {
    cluster: &'a str,
    is_leaving: bool,
    serving_replicas: i32,
    wants_compute: bool,
    is_woken: bool,
    next_transition: Option<&'a str>,
    /// Frontends go to a newer version after all nodes.
    engine: Option<&'a EngineStatus>,
}

/// A department's limits count for its clusters and groups, and its namespaces may be claimed by another.
pub(crate) fn by_department(caches: &Caches, before: Option<&Department>, department: &Department) -> Vec<Target> {
    fn seen(department: &Department) -> DepartmentForOthers<'_> {
        DepartmentForOthers {
            generation: department.metadata.generation,
            is_leaving: department.metadata.deletion_timestamp.is_some(),
            accepted_spec: department
                .status
                .as_ref()
                .and_then(|status| status.accepted_spec.as_deref()),
        }
    }
    let mut targets = vec![Target::Department(department.name_any())];
    if before.map(seen) == Some(seen(department)) {
        return targets;
    }
    // A namespace that was given up may be claimed by another, and its clusters have other limits now.
    let both = [before, Some(department)].into_iter().flatten();
    let owned: BTreeSet<&str> = both
        .flat_map(|department| department.spec.namespaces.iter().map(|owned| owned.name.as_str()))
        .collect();
    let is_its = |namespace: &str| owned.contains(namespace);
    let rivals = caches
        .departments
        .select(|other| other.spec.namespaces.iter().any(|owned| is_its(&owned.name)));
    targets.extend(rivals.iter().map(|other| Target::Department(other.name_any())));
    for namespace in &owned {
        let clusters = caches.clusters.select_in(namespace, |_| true);
        targets.extend(clusters.iter().map(|cluster| cluster_target(cluster)));
        let groups = caches.groups.select_in(namespace, |_| true);
        targets.extend(groups.iter().map(|group| group_target(group)));
    }
    targets.sort();
    targets.dedup();
    targets
}

/// A cluster's template and leader count for its groups, and a department counts its clusters.
pub(crate) fn by_cluster(caches: &Caches, before: Option<&LakeCluster>, cluster: &LakeCluster) -> Vec<Target> {
    fn seen(cluster: &LakeCluster) -> ClusterForGroups<'_> {
        let status = cluster.status.as_ref();
        ClusterForGroups {
            generation: cluster.metadata.generation,
            is_leaving: cluster.metadata.deletion_timestamp.is_some(),
            leader: status.and_then(|status| status.leader.as_deref()),
            accepted_spec: status.and_then(|status| status.accepted_spec.as_deref()),
            engine: status.and_then(|status| status.engine.as_ref()),
            maintenance_until: cluster
                .annotations()
                .get(names::MAINTENANCE_UNTIL_ANNOTATION)
                .map(String::as_str),
        }
    }
    let mut targets = vec![cluster_target(cluster)];
    if before.map(seen) != Some(seen(cluster)) {
        let namespace = cluster.namespace().unwrap_or_default();
        let groups = caches.groups.select_in(&namespace, |group| is_of(group, cluster));
        targets.extend(groups.iter().map(|group| group_target(group)));
    }
    if before.is_none() {
        targets.extend(department_of(caches, cluster.namespace().as_deref()));
    }
    targets
}

/// A group's windows and nodes show in its cluster, and a department counts its groups.
pub(crate) fn by_group(caches: &Caches, before: Option<&ComputeGroup>, group: &ComputeGroup) -> Vec<Target> {
    fn seen(group: &ComputeGroup) -> GroupForCluster<'_> {
        let status = group.status.as_ref();
        GroupForCluster {
            cluster: &group.spec.cluster,
            is_leaving: group.metadata.deletion_timestamp.is_some(),
            serving_replicas: status.map_or(0, |status| status.serving_replicas),
            wants_compute: status.and_then(|status| status.wanted_replicas) != Some(0),
            is_woken: is_woken_by_statements(group),
            next_transition: status.and_then(|status| Some(status.next_transition.as_ref()?.at.as_str())),
            engine: status.and_then(|status| status.engine.as_ref()),
        }
    }
    let mut targets = vec![group_target(group)];
    if before.map(seen) != Some(seen(group)) {
        targets.push(Target::LakeCluster {
            namespace: group.namespace().unwrap_or_default(),
            name: group.spec.cluster.clone(),
        });
    }
    if before.is_none() {
        targets.extend(department_of(caches, group.namespace().as_deref()));
    }
    targets
}

/// A calendar's dates count for the windows that name it.
pub(crate) fn by_calendar(caches: &Caches, _: Option<&Calendar>, calendar: &Calendar) -> Vec<Target> {
    let name = calendar.name_any();
    // Those that were accepted count while what is written is refused.
    let names_it = |group: &ComputeGroup| {
        let accepted = group.status.as_ref().and_then(|status| status.accepted_spec.as_deref());
        let in_force = accepted.iter().flat_map(|spec| &spec.schedules);
        let mut schedules = group.spec.schedules.iter().chain(in_force);
        schedules.any(|schedule| schedule.calendars.contains(&name))
    };
    let groups = caches
        .groups
        .select_in(&calendar.namespace().unwrap_or_default(), names_it);
    groups.iter().map(|group| group_target(group)).collect()
}

/// A pod belongs to a group or to a cluster's frontends.
pub(crate) fn by_pod(_: &Caches, _: Option<&Pod>, pod: &Pod) -> Vec<Target> {
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

fn is_of(group: &ComputeGroup, cluster: &LakeCluster) -> bool {
    Some(group.spec.cluster.as_str()) == cluster.metadata.name.as_deref()
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

#[cfg(test)]
mod tests;
