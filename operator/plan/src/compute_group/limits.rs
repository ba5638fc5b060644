//! Whether a group fits into what its department may use. Said when it is written, not when the window opens.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{ResourceQuota, ScopedResourceSelectorRequirement};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use springtide_crds::compute_group::{ScaleDecider, Schedule};
use springtide_crds::pod::PodResources;
use springtide_crds::{Calendar, ComputeGroup, ComputeGroupSpec, ComputeGroupStatus, Quantity, Reason};

use super::GroupShape;
use super::schedule::{Surroundings, window};
use super::shape::{flavour_of, max_replicas, resolve_resources};
use crate::department;
use crate::finish::Rejection;
use crate::flavour::Cordon;
use crate::observed::ObservedComputeGroup;
use crate::units;

/// What a compute pod reserves beside the engine: CPU in thousandths of a core, memory in bytes.
const SIDECAR_CPU_MILLI: u64 = 10;
const SIDECAR_MEMORY_BYTES: u64 = 32 << 20;
/// The memory that a compute pod may use beside the engine, in bytes.
const SIDECAR_MEMORY_LIMIT_BYTES: u64 = 64 << 20;

/// Checks the written values, of which `group` is made.
pub(super) fn check(observed: &ObservedComputeGroup, group: &GroupShape, now: DateTime<Utc>) -> Result<(), Rejection> {
    check_replicas(observed, group, now)?;
    check_resources(observed, group)?;
    check_quota(observed, group, now)
}

fn check_replicas(observed: &ObservedComputeGroup, group: &GroupShape, now: DateTime<Utc>) -> Result<(), Rejection> {
    let limit = group.max_replicas;
    let beyond = |field: String, value: u32| {
        Rejection::new(
            Reason::DepartmentLimitExceeded,
            format!(
                "{field}: {value} is more than the department's limits.maxReplicasPerGroup {limit}; write {limit} or less, or have the limit raised"
            ),
        )
    };
    if group.replicas > limit {
        return Err(beyond("replicas".to_owned(), group.replicas));
    }
    if let Some(autoscaling) = &group.autoscaling {
        let most = u32::try_from(autoscaling.max_replicas).unwrap_or_default();
        if most > limit {
            return Err(beyond("autoscaling.maxReplicas".to_owned(), most));
        }
    }
    for (window, floor) in floors(&observed.group.spec, &observed.calendars, now) {
        if floor > limit {
            return Err(beyond(format!("schedules[{window}].minReplicas"), floor));
        }
    }
    Ok(())
}

fn check_resources(observed: &ObservedComputeGroup, group: &GroupShape) -> Result<(), Rejection> {
    let Some(limit) = observed
        .department
        .as_ref()
        .and_then(|department| department::in_force(department).limits.max_compute_resources.as_ref())
    else {
        return Ok(());
    };
    for (field, asked, most) in [
        ("cpu", &group.resources.cpu, &limit.cpu),
        ("memory", &group.resources.memory, &limit.memory),
    ] {
        // Both were read before they were accepted; a limit of a department that nobody has looked at yet may be unreadable.
        let milli = |amount: &Quantity| units::amount_milli(&amount.0).ok();
        if milli(most).is_none() || milli(asked) > milli(most) {
            return Err(Rejection::new(
                Reason::DepartmentLimitExceeded,
                format!(
                    "resources.{field}: {asked} is more than the department's limits.maxComputeResources.{field} {most}; write {most} or less, or have the limit raised"
                ),
            ));
        }
    }
    Ok(())
}

/// The values that were accepted last.
fn accepted_spec(group: &ComputeGroup) -> Option<&ComputeGroupSpec> {
    group.status.as_ref()?.accepted_spec.as_deref()
}

/// The minimums of the windows that may still open or are open, with their names: neither of those that are suspended nor of those that
/// opened once and are over.
fn floors<'a>(
    spec: &'a ComputeGroupSpec,
    calendars: &'a [Calendar],
    now: DateTime<Utc>,
) -> impl Iterator<Item = (&'a str, u32)> {
    let surroundings = Surroundings {
        calendars,
        auto_lead_time: std::time::Duration::ZERO,
        stagger: std::time::Duration::ZERO,
        forgives_calendars: true,
    };
    let is_over = move |schedule: &Schedule| {
        schedule.at.is_some()
            && window(schedule, surroundings).is_ok_and(|window| {
                let evaluation = springtide_schedule::evaluate(&[window], now);
                evaluation.active.is_empty() && evaluation.next_edge.is_none()
            })
    };
    let schedules = spec.schedules.iter();
    schedules
        .filter(move |schedule| !schedule.suspend && !is_over(schedule))
        .filter_map(|schedule| Some((schedule.name.as_str(), u32::try_from(schedule.min_replicas?).ok()?)))
}

fn highest_floor(spec: &ComputeGroupSpec, calendars: &[Calendar], now: DateTime<Utc>) -> u32 {
    let floors = floors(spec, calendars, now);
    floors.map(|(_, floor)| floor).max().unwrap_or_default()
}

/// The nodes that a group does not have at present and will want: by its windows, of which only the largest minimum counts, or by what is
/// written; no more than a department allows, as far as the group's status tells.
#[must_use]
pub fn promised(group: &ComputeGroup, calendars: &[Calendar], now: DateTime<Utc>) -> u32 {
    let is_limited = |status: &&ComputeGroupStatus| {
        let scaling = status.scaling.as_ref();
        scaling.is_some_and(|scaling| scaling.decided_by == ScaleDecider::Limit)
    };
    let limited = group.status.as_ref().filter(is_limited);
    let limit = limited.and_then(|status| u32::try_from(status.wanted_replicas?).ok());
    accepted_spec(group).map_or(0, |spec| {
        missing(group, spec, limit.unwrap_or(u32::MAX), calendars, now)
    })
}

/// The nodes of `spec` that the group does not have and may have.
fn missing(
    group: &ComputeGroup,
    spec: &ComputeGroupSpec,
    limit: u32,
    calendars: &[Calendar],
    now: DateTime<Utc>,
) -> u32 {
    let has = group.status.as_ref().map_or(0, |status| status.replicas);
    let written = u32::try_from(spec.replicas).unwrap_or_default();
    let wanted = highest_floor(spec, calendars, now).max(written).min(limit);
    wanted.saturating_sub(u32::try_from(has).unwrap_or_default())
}

/// Whether `other` was made before `group`: of two that are written together, one has to be looked at first.
fn is_older(other: &ComputeGroup, group: &ComputeGroup) -> bool {
    let age = |group: &ComputeGroup| {
        let metadata = &group.metadata;
        (
            metadata.creation_timestamp.clone().map(|time| time.0),
            metadata.name.clone(),
        )
    };
    age(other) < age(group)
}

/// Nobody has looked at what is written yet.
fn is_unseen(group: &ComputeGroup) -> bool {
    let seen = group.status.as_ref().and_then(|status| status.observed_generation);
    seen != group.metadata.generation
}

/// Whether the written values were accepted before, whatever `replicas` is: an autoscaler, `kubectl scale` and a wake write that alone,
/// and are not refused because something else has changed since.
#[must_use]
pub fn is_accepted(group: &ComputeGroup) -> bool {
    accepted_spec(group).is_some_and(|accepted| {
        let of_this_size = ComputeGroupSpec {
            replicas: group.spec.replicas,
            ..accepted.clone()
        };
        of_this_size == group.spec
    })
}

/// Every minimum must fit into what the quotas of the namespace leave beside what others use and what the floors of other groups will
/// want. That is asked when more is written than was accepted; what was accepted is not taken back because another group grew since, only
/// because the quota shrank below it.
fn check_quota(observed: &ObservedComputeGroup, group: &GroupShape, now: DateTime<Utc>) -> Result<(), Rejection> {
    let floor = highest_floor(&observed.group.spec, &observed.calendars, now);
    if floor == 0 {
        return Ok(());
    }
    let accepted = accepted_spec(&observed.group);
    let accepted_floor = accepted.map_or(0, |spec| highest_floor(spec, &observed.calendars, now));
    let own_pods = observed.pods.len() as u64;
    let sidecar = has_sidecar(observed, !group.drain_timeout.is_zero());
    let own = of_own_pods(observed, group);
    for ((resource, per_pod_milli), (_, own_milli)) in per_pod(&group.resources, sidecar).into_iter().zip(own) {
        let needed = per_pod_milli.saturating_mul(floor.into());
        let wants_more = accepted.is_none() || needed > own_milli.saturating_mul(accepted_floor.into());
        let others = wants_more.then(|| Others {
            own_milli: own_milli * own_pods,
            reserved_milli: reserved_milli(observed, resource, now),
        });
        let Some(room) = room_milli(observed, resource, others.as_ref()) else {
            continue;
        };
        if needed > room {
            let fits = room / per_pod_milli.max(1);
            return Err(Rejection::new(
                Reason::QuotaExceeded,
                format!(
                    "schedules: minReplicas {} needs {} of {resource}, but the namespace's quota leaves {} beside what others use and will use, enough for {fits}; write {fits} or less, choose smaller resources, or have the quota raised",
                    floor,
                    text(resource, needed),
                    text(resource, room),
                ),
            ));
        }
    }
    Ok(())
}

/// What each pod of the group takes as it runs, by the values that were in force so far: a roll that has not come to all pods is not
/// told apart.
fn of_own_pods(observed: &ObservedComputeGroup, group: &GroupShape) -> [(&'static str, u64); 7] {
    match accepted_spec(&observed.group) {
        Some(spec) => per_pod(
            &resolve_resources(observed, spec.resources.as_ref()),
            spec_has_sidecar(observed, spec),
        ),
        None => per_pod(&group.resources, has_sidecar(observed, !group.drain_timeout.is_zero())),
    }
}

fn spec_has_sidecar(observed: &ObservedComputeGroup, spec: &ComputeGroupSpec) -> bool {
    has_sidecar(observed, spec.drain.enabled)
}

/// Whether a sidecar waits beside the engine for its drain.
fn has_sidecar(observed: &ObservedComputeGroup, drains: bool) -> bool {
    drains && flavour_of(observed).capabilities().cordon == Cordon::EngineState
}

/// What others have of a quota: what is used but for `own_milli`, and what they are promised.
struct Others {
    own_milli: u64,
    reserved_milli: u64,
}

/// What other groups will want of a resource beyond the pods that they have.
fn reserved_milli(observed: &ObservedComputeGroup, resource: &str, now: DateTime<Utc>) -> u64 {
    // Of one department, as it is one namespace. What was accepted under a higher limit runs up to the one of now.
    let limit = max_replicas(observed);
    let of_spec = |other: &ComputeGroup, spec: &ComputeGroupSpec| {
        let missing = missing(other, spec, limit, &observed.calendars, now);
        let resources = resolve_resources(observed, spec.resources.as_ref());
        // Groups of another cluster may be of another engine: rather too much than too little.
        let is_of_this_cluster = other.spec.cluster == observed.group.spec.cluster;
        let sidecar = if is_of_this_cluster {
            spec_has_sidecar(observed, spec)
        } else {
            spec.drain.enabled
        };
        let of_pod = per_pod(&resources, sidecar);
        let milli = of_pod.into_iter().find(|(name, _)| *name == resource);
        milli.map_or(0, |(_, milli)| milli.saturating_mul(missing.into()))
    };
    // What nobody has looked at yet counts as if it were accepted, where it was there first.
    let of_group = |other: &ComputeGroup| {
        let accepted = accepted_spec(other).map_or(0, |spec| of_spec(other, spec));
        let is_first = is_unseen(other) && is_older(other, &observed.group);
        accepted.max(if is_first { of_spec(other, &other.spec) } else { 0 })
    };
    let stays = |other: &&ComputeGroup| other.metadata.deletion_timestamp.is_none();
    observed.siblings.iter().filter(stays).map(of_group).sum()
}

/// What one pod takes of each resource that a quota may limit, in thousandths. Compute has no CPU limit.
fn per_pod(resources: &PodResources, has_sidecar: bool) -> [(&'static str, u64); 7] {
    let of_sidecar = |amount: u64| if has_sidecar { amount } else { 0 };
    let cpu = units::cpu_milli(&resources.cpu).unwrap_or_default() + of_sidecar(SIDECAR_CPU_MILLI);
    let engine_memory = units::bytes(&resources.memory).unwrap_or_default();
    let memory_beside = |sidecar: u64| engine_memory.saturating_add(of_sidecar(sidecar)).saturating_mul(1000);
    let memory = memory_beside(SIDECAR_MEMORY_BYTES);
    [
        ("requests.cpu", cpu),
        ("cpu", cpu),
        ("requests.memory", memory),
        ("memory", memory),
        ("limits.memory", memory_beside(SIDECAR_MEMORY_LIMIT_BYTES)),
        ("pods", 1000),
        ("count/pods", 1000),
    ]
}

/// The least that the quotas leave of a resource beside what others have. `None`: no quota limits it.
fn room_milli(observed: &ObservedComputeGroup, resource: &str, others: Option<&Others>) -> Option<u64> {
    let priority_class = priority_class(observed);
    observed
        .quotas
        .iter()
        .filter(|quota| counts_compute(quota, priority_class))
        .filter_map(|quota| {
            let amount = |amounts: Option<&std::collections::BTreeMap<String, ApiQuantity>>| {
                units::amount_milli(&amounts?.get(resource)?.0).ok()
            };
            let hard = amount(quota.spec.as_ref().and_then(|spec| spec.hard.as_ref()))?;
            let used = amount(quota.status.as_ref().and_then(|status| status.used.as_ref())).unwrap_or_default();
            let of_others = others.map_or(0, |others| {
                used.saturating_sub(others.own_milli) + others.reserved_milli
            });
            Some(hard.saturating_sub(of_others))
        })
        .min()
}

/// Whether a quota counts compute pods of this priority class. By their scopes quotas count some pods only; compute runs until it is
/// stopped (`NotTerminating`), reserves what it needs (`NotBestEffort`) and has no affinity to pods of other namespaces. Pods that name
/// no priority class may get one from the cluster: a quota for classes does not certainly count them.
#[must_use]
pub fn counts_compute(quota: &ResourceQuota, priority_class: Option<&str>) -> bool {
    let spec = quota.spec.as_ref();
    let mut scopes = spec.and_then(|spec| spec.scopes.as_ref()).into_iter().flatten();
    let mut selected = spec
        .and_then(|spec| spec.scope_selector.as_ref()?.match_expressions.as_ref())
        .into_iter()
        .flatten();
    let is_of_compute = |scope: &str| match scope {
        "NotTerminating" | "NotBestEffort" => true,
        "PriorityClass" => priority_class.is_some(),
        _ => false,
    };
    let selects_compute = |requirement: &ScopedResourceSelectorRequirement| {
        let names_class = || {
            let values = requirement.values.as_deref().unwrap_or_default();
            values.iter().any(|value| Some(value.as_str()) == priority_class)
        };
        is_of_compute(&requirement.scope_name)
            && match requirement.operator.as_str() {
                "Exists" => true,
                "In" => names_class(),
                "NotIn" => !names_class(),
                _ => false,
            }
    };
    scopes.all(|scope| is_of_compute(scope)) && selected.all(selects_compute)
}

/// The priority class that the group's pods name.
fn priority_class(observed: &ObservedComputeGroup) -> Option<&str> {
    let cluster = observed.cluster.as_ref()?;
    let accepted = cluster
        .status
        .as_ref()
        .and_then(|status| status.accepted_spec.as_deref());
    let pods = &accepted.unwrap_or(&cluster.spec).compute_template.pod_template;
    pods.priority_class_name.as_deref()
}

/// An amount for people.
fn text(resource: &str, milli: u64) -> String {
    if resource.contains("memory") {
        format!("{}Mi", (milli / 1000) >> 20)
    } else if milli.is_multiple_of(1000) {
        (milli / 1000).to_string()
    } else {
        Quantity::new(format!("{milli}m")).to_string()
    }
}

#[cfg(test)]
mod tests;
