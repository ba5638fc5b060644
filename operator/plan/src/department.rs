//! What is to be done about a Department.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use springtide_crds::department::{DeletionPolicy, DepartmentNamespaceStatus, NetworkPolicyMode};
use springtide_crds::{ConditionType, Department, DepartmentSpec, DepartmentStatus, Reason};

use crate::action::{Action, Plan, Telling, Wait};
use crate::condition::{self, Finding};
use crate::finish::{self, Rejection};
use crate::names::{self, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::{ObservedDepartment, ObservedNamespace};

mod limit_range;
mod namespace;
mod network_policy;
mod resource_quota;
mod role_binding;

#[cfg(test)]
mod tests;

/// What is to be done about the department.
#[must_use]
pub fn plan_department(observed: &ObservedDepartment, now: DateTime<Utc>) -> Plan<DepartmentStatus> {
    let metadata = &observed.department.metadata;
    if metadata.deletion_timestamp.is_some() {
        return plan_deletion(observed, now);
    }
    let mut actions = Vec::new();
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == names::FINALIZER) {
        actions.push(Action::AddFinalizer);
    }
    let rejection = check(observed).err();
    if rejection.is_none() {
        actions.extend(namespaces(observed));
        let objects: Vec<DesiredObject> = observed
            .department
            .spec
            .namespaces
            .iter()
            // Objects follow once their namespace is there.
            .filter(|namespace| observed.namespaces.contains_key(&namespace.name))
            .flat_map(|namespace| desired(observed, &namespace.name))
            .collect();
        actions.extend(finish::writes(
            objects,
            &observed.live,
            metadata.uid.as_deref(),
            &BTreeSet::new(),
        ));
    }
    report(observed, rejection.as_ref(), actions, now)
}

/// What the API server cannot see: another department, and a namespace that is not to be had.
fn check(observed: &ObservedDepartment) -> Result<(), Rejection> {
    let department = &observed.department;
    for namespace in &department.spec.namespaces {
        let name = &namespace.name;
        let field = format!("namespaces[{name}]");
        if RESERVED_NAMESPACES.contains(&name.as_str()) || *name == observed.settings.operator_namespace {
            return Err(Rejection::new(
                Reason::NamespaceTaken,
                format!(
                    "{field}: {name} belongs to Kubernetes or the operator; write a namespace of the department's own"
                ),
            ));
        }
        if let Some(other) = observed
            .other_departments
            .iter()
            .find(|other| claims_before(other, department, name))
        {
            return Err(Rejection::new(
                Reason::NamespaceTaken,
                format!(
                    "{field}: {name} belongs to Department {}; write another namespace, or delete that Department first",
                    other.metadata.name.as_deref().unwrap_or_default()
                ),
            ));
        }
        let holder = observed.namespaces.get(name).and_then(department_of);
        if let Some(holder) = holder
            && Some(holder) != department.metadata.name.as_deref()
            && observed
                .other_departments
                .iter()
                .any(|other| other.metadata.name.as_deref() == Some(holder))
        {
            return Err(Rejection::new(
                Reason::NamespaceTaken,
                format!(
                    "{field}: {name} carries the label of Department {holder}; a namespace keeps its department as long as that exists"
                ),
            ));
        }
        check_quota(&field, namespace)?;
    }
    let limits = department.spec.limits.max_compute_resources.as_ref();
    let defaults = department.spec.defaults.compute_resources.as_ref();
    for (field, resources) in [
        ("limits.maxComputeResources", limits),
        ("defaults.computeResources", defaults),
    ] {
        if let Some(resources) = resources {
            crate::lake_cluster::check_resources(field, resources)?;
        }
    }
    Ok(())
}

/// The values that count for the department's clusters and groups: the last accepted ones, and before the first look those that
/// are written.
pub(crate) fn in_force(department: &Department) -> &DepartmentSpec {
    let accepted = department
        .status
        .as_ref()
        .and_then(|status| status.accepted_spec.as_deref());
    accepted.unwrap_or(&department.spec)
}

/// Namespaces that no department can have.
const RESERVED_NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

fn check_quota(field: &str, namespace: &springtide_crds::department::DepartmentNamespace) -> Result<(), Rejection> {
    let quota = &namespace.quota;
    for (name, amount) in [
        ("cpu", &quota.cpu),
        ("memory", &quota.memory),
        ("storage", &quota.storage),
    ] {
        if let Some(amount) = amount {
            crate::units::bytes(amount).map_err(|error| Rejection::field(&format!("{field}.quota.{name}"), error))?;
        }
    }
    Ok(())
}

/// Of two departments that claim one namespace, the older one has it; of two of the same age, the one whose name comes first.
fn claims_before(other: &Department, department: &Department, namespace: &str) -> bool {
    let age = |department: &Department| {
        (
            department.metadata.creation_timestamp.as_ref().map(|time| time.0),
            department.metadata.name.clone(),
        )
    };
    let claims = other.spec.namespaces.iter().any(|entry| entry.name == namespace);
    claims && other.metadata.deletion_timestamp.is_none() && age(other) < age(department)
}

/// The department that a namespace says it belongs to.
fn department_of(namespace: &ObservedNamespace) -> Option<&str> {
    namespace
        .body
        .pointer("/metadata/labels")?
        .get(names::DEPARTMENT_LABEL)?
        .as_str()
}

/// The namespaces themselves: they have no owner, so that deleting a Department never takes data along.
fn namespaces(observed: &ObservedDepartment) -> Vec<Action> {
    let department = &observed.department;
    department
        .spec
        .namespaces
        .iter()
        .filter_map(|entry| {
            let live = observed.namespaces.get(&entry.name).map(|namespace| &namespace.body);
            let body = namespace::build(department, &entry.name, live);
            let object = DesiredObject::new(ObjectKind::Namespace, &body);
            let needed = live.is_none_or(|live| crate::compare::needs_apply(&object.body, live));
            needed.then(|| Action::Apply(Box::new(object)))
        })
        .collect()
}

/// What the department has in one of its namespaces.
fn desired(observed: &ObservedDepartment, namespace: &str) -> Vec<DesiredObject> {
    let DepartmentSpec {
        display_name: _,
        namespaces,
        admins,
        limits: _,
        defaults: _,
        network_policy,
        deletion_policy: _,
    } = &observed.department.spec;
    let owner = Owner::of_department(&observed.department, namespace);
    let mut objects = Vec::new();
    if let Some(binding) = role_binding::build(&owner, admins, &observed.settings.department_admin_role) {
        objects.push(DesiredObject::new(ObjectKind::RoleBinding, &binding));
    }
    let quota = namespaces
        .iter()
        .find(|entry| entry.name == namespace)
        .map(|entry| &entry.quota);
    if let Some(quota) = quota.and_then(|quota| resource_quota::build(&owner, quota)) {
        objects.push(DesiredObject::new(ObjectKind::ResourceQuota, &quota));
    }
    objects.push(DesiredObject::new(ObjectKind::LimitRange, &limit_range::build(&owner)));
    if *network_policy == NetworkPolicyMode::Enabled {
        objects.push(DesiredObject::new(
            ObjectKind::NetworkPolicy,
            &network_policy::build(&owner, &observed.settings.operator_namespace),
        ));
    }
    objects
}

/// Roles, quotas and policies go with their owner. Namespaces stay, unless the policy says otherwise and nothing is in them.
fn plan_deletion(observed: &ObservedDepartment, now: DateTime<Utc>) -> Plan<DepartmentStatus> {
    let department = &observed.department;
    let finalizers = department.metadata.finalizers.as_deref().unwrap_or_default();
    let mut plan = Plan {
        actions: Vec::new(),
        status: None,
        telling: Telling::Now,
        wait: None,
        requeue_after: finish::STEADY,
        edge_after: None,
        events: Vec::new(),
    };
    if !finalizers.iter().any(|finalizer| finalizer == names::FINALIZER) {
        return plan;
    }
    if department.spec.deletion_policy == DeletionPolicy::Delete {
        let own: Vec<(&String, &ObservedNamespace)> = observed
            .namespaces
            .iter()
            .filter(|(_, namespace)| department_of(namespace) == department.metadata.name.as_deref())
            .collect();
        let held = own
            .iter()
            .find_map(|(name, namespace)| Some((name, namespace.lake_clusters.first()?)));
        if let Some((name, cluster)) = held {
            let why = format!(
                "namespace {name} still holds LakeCluster {cluster}; delete it first, or set deletionPolicy to Retain"
            );
            return wait_for_clusters(department, why, plan, now);
        }
        for (name, namespace) in own {
            // A volume claim may hold metadata that somebody kept on purpose, and what was there before is not ours to remove.
            if namespace.volume_claims.is_empty()
                && namespace.compute_groups.is_empty()
                && namespace::is_made(&namespace.body)
            {
                plan.actions.push(Action::Delete {
                    object: ObjectKey::cluster_scoped(ObjectKind::Namespace, name),
                    uid: finish::uid(&namespace.body),
                });
            }
        }
    }
    plan.actions.push(Action::RemoveFinalizer);
    plan
}

/// The deletion is held up: nothing is done, and the status says why.
fn wait_for_clusters(
    department: &Department,
    why: String,
    mut plan: Plan<DepartmentStatus>,
    now: DateTime<Utc>,
) -> Plan<DepartmentStatus> {
    let before = department.status.clone().unwrap_or_default();
    let finding = Finding::fails(Reason::ClustersRemain, why.clone());
    let findings = vec![(ConditionType::Available, finding)];
    let (available, events) = condition::update(&before.conditions, department.metadata.generation, now, findings);
    let mut status = before;
    status
        .conditions
        .retain(|condition| condition.type_ != ConditionType::Available.as_str());
    status.conditions.extend(available);
    plan.status = (department.status.as_ref() != Some(&status)).then_some(status);
    plan.events = events;
    plan.wait = Some(Wait { why, until: None });
    plan
}

fn report(
    observed: &ObservedDepartment,
    rejection: Option<&Rejection>,
    actions: Vec<Action>,
    now: DateTime<Utc>,
) -> Plan<DepartmentStatus> {
    let department = &observed.department;
    let before = department.status.clone().unwrap_or_default();
    let statuses: Vec<DepartmentNamespaceStatus> = department
        .spec
        .namespaces
        .iter()
        .map(|entry| namespace_status(observed, &entry.name, rejection.is_some()))
        .collect();
    let accepted = match rejection {
        None => Finding::holds(Reason::Valid, "the written values are in force"),
        Some(rejection) => Finding::fails(rejection.reason, rejection.message.clone()),
    };
    let missing: Vec<&str> = statuses
        .iter()
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    let available = match rejection {
        Some(rejection) => Finding::fails(rejection.reason, "see condition Accepted"),
        None if missing.is_empty() => Finding::holds(Reason::AllReady, "namespaces, roles and limits exist"),
        None => Finding::fails(
            Reason::NamespaceNotReady,
            format!("being set up: {}", missing.join(", ")),
        ),
    };
    let waits = available.holds != Some(true);
    let (conditions, events) = condition::update(
        &before.conditions,
        department.metadata.generation,
        now,
        vec![
            (ConditionType::Accepted, accepted),
            (ConditionType::Available, available.clone()),
        ],
    );
    let status = DepartmentStatus {
        conditions,
        observed_generation: department.metadata.generation,
        lake_clusters: Some(statuses.iter().map(|status| status.lake_clusters).sum()),
        compute_groups: Some(statuses.iter().map(|status| status.compute_groups).sum()),
        namespaces: statuses,
        accepted_spec: match rejection {
            None => Some(Box::new(department.spec.clone())),
            Some(_) => before.accepted_spec.clone(),
        },
    };
    Plan {
        wait: (waits && actions.is_empty()).then(|| Wait {
            why: available.message.clone(),
            until: None,
        }),
        requeue_after: if waits && rejection.is_none() {
            finish::CONVERGING
        } else {
            finish::STEADY
        },
        edge_after: None,
        telling: Telling::Now,
        status: (department.status.as_ref() != Some(&status)).then_some(status),
        actions,
        events,
    }
}

fn namespace_status(observed: &ObservedDepartment, name: &str, is_rejected: bool) -> DepartmentNamespaceStatus {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let namespace = observed.namespaces.get(name);
    let is_own = namespace.and_then(department_of) == observed.department.metadata.name.as_deref();
    let has_all = desired(observed, name)
        .iter()
        .all(|object| observed.live.get(&object.key).is_some());
    DepartmentNamespaceStatus {
        name: name.to_owned(),
        ready: namespace.is_some() && is_own && has_all,
        removable: is_rejected && !is_own,
        lake_clusters: number(namespace.map_or(0, |namespace| namespace.lake_clusters.len())),
        compute_groups: number(namespace.map_or(0, |namespace| namespace.compute_groups.len())),
    }
}
