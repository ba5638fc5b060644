//! Whether a group does what it is for, and if not, why.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use springtide_crds::Reason;
use springtide_schedule::{ActiveWindow, Phase};

use super::{Scale, fence, members};
use crate::condition::{Finding, instant_text};
use crate::lake_cluster::is_rolling;
use crate::names;
use crate::object::ObjectKind;
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::trouble::{self, Evidence};

/// How long a pod may be ready before the frontend counts on it: a heartbeat, and one that failed before the pod was there.
const HEARTBEATS_DUE: TimeDelta = TimeDelta::seconds(10);

pub(super) struct Health {
    pub(super) available: Finding,
    pub(super) ready: Finding,
}

pub(super) fn assess(
    observed: &ObservedComputeGroup,
    scale: &Scale,
    obstacle: Option<Finding>,
    now: DateTime<Utc>,
) -> Health {
    let serving = serving(observed);
    if let Some(obstacle) = obstacle {
        let available = if serving > 0 {
            available(observed, scale, serving, None, now)
        } else {
            obstacle.clone()
        };
        return Health {
            available,
            ready: obstacle,
        };
    }
    let trouble = trouble::find(Evidence {
        pods: &observed.pods,
        volume_claims: &[],
        events: &observed.events,
        pods_wanted: scale.wanted,
        now,
    });
    Health {
        available: available(observed, scale, serving, trouble.as_ref(), now),
        ready: ready(observed, scale, serving, trouble),
    }
}

/// Nodes that take queries.
pub(super) fn serving(observed: &ObservedComputeGroup) -> u32 {
    u32::try_from(serving_pods(observed).count()).unwrap_or(u32::MAX)
}

/// Since when so many nodes take queries, as far as their pods tell, which are ready a moment before. `None` where too few do.
pub(super) fn serving_since(observed: &ObservedComputeGroup, nodes: u32) -> Option<DateTime<Utc>> {
    let mut since: Vec<DateTime<Utc>> = serving_pods(observed).filter_map(trouble::ready_since).collect();
    since.sort_unstable();
    let last = usize::try_from(nodes).ok()?.checked_sub(1)?;
    since.get(last).copied()
}

fn serving_pods(observed: &ObservedComputeGroup) -> impl Iterator<Item = &Pod> {
    let serving: BTreeSet<String> = members::members(observed)
        .into_iter()
        .filter(|member| member.row.alive && !member.row.draining)
        .map(|member| member.pod)
        .collect();
    let pods = observed.pods.iter();
    pods.filter(move |pod| serving.contains(trouble::name(pod)))
}

fn available(
    observed: &ObservedComputeGroup,
    scale: &Scale,
    serving: u32,
    trouble: Option<&Finding>,
    now: DateTime<Utc>,
) -> Finding {
    let wanted = scale.wanted;
    if serving > 0 {
        let reason = if serving < wanted {
            Reason::PartlyServing
        } else {
            Reason::Serving
        };
        return Finding::holds(reason, format!("{serving} nodes serve, {wanted} are wanted"));
    }
    if scale.suspended {
        return Finding::fails(
            Reason::Suspended,
            "the LakeCluster is suspended; set its spec.suspend to false to have compute again",
        );
    }
    if let Some(shut) = closing_window(scale).filter(|_| wanted == 0) {
        return Finding::fails(
            Reason::ScaledToZero,
            format!(
                "no nodes are wanted: window {} allows none until {}",
                shut.name,
                instant_text(shut.closes_at)
            ),
        );
    }
    if scale.asleep {
        return Finding::fails(
            Reason::ScaledToZero,
            "the group sleeps: no nodes are wanted, and the next statement on its warehouse wakes it",
        );
    }
    if wanted == 0 {
        return Finding::fails(
            Reason::ScaledToZero,
            "no nodes are wanted; raise spec.replicas, for example by kubectl scale, to have compute again",
        );
    }
    if let Some(trouble) = trouble {
        return trouble.clone();
    }
    match &observed.sql {
        SqlAnswer::Answered { .. } if observed.pods.iter().all(trouble::is_ready) && !observed.pods.is_empty() => {
            none_is_counted_on(observed, wanted, now)
        }
        SqlAnswer::Answered { .. } => Finding::fails(
            Reason::ComputeStarting,
            format!("0 of {wanted} nodes serve; they are starting"),
        ),
        SqlAnswer::NotAsked
        | SqlAnswer::Unreachable { .. }
        | SqlAnswer::LoginRefused { .. }
        | SqlAnswer::CertificateNotTrusted { .. } => not_known(observed),
    }
}

/// Nobody says who serves. Why, the cluster tells, once for all its groups.
fn not_known(observed: &ObservedComputeGroup) -> Finding {
    Finding::fails(
        Reason::ClusterNotReady,
        format!(
            "no frontend of LakeCluster {} says which nodes serve; see its conditions",
            observed.group.spec.cluster
        ),
    )
}

/// Pods run, and the frontend sends nothing to any of them.
fn none_is_counted_on(observed: &ObservedComputeGroup, wanted: u32, now: DateTime<Utc>) -> Finding {
    let members = members::members(observed);
    let starting = |what: &str| Finding::fails(Reason::ComputeStarting, format!("0 of {wanted} nodes serve; {what}"));
    if members.iter().any(|member| member.row.draining) {
        return fence::finding(observed)
            .unwrap_or_else(|| starting("those that answer finish what they have, and others take their place"));
    }
    let is_new = |pod: &Pod| trouble::ready_since(pod).is_some_and(|since| now - since < HEARTBEATS_DUE);
    // A frontend that has just started has not heard of any, nor failed to.
    if observed.pods.iter().any(is_new) || members.iter().all(|member| member.row.error.is_empty()) {
        return starting("pods are ready, and the frontend's first heartbeats are due");
    }
    Finding::fails(Reason::NoComputeAlive, no_heartbeats(observed))
}

/// The window that allows no nodes at present.
fn closing_window(scale: &Scale) -> Option<&ActiveWindow> {
    let is_shut = |window: &&ActiveWindow| window.phase == Phase::Open && window.max_replicas == Some(0);
    scale.evaluation.active.iter().find(is_shut)
}

/// Why the frontend has no heartbeat of any pod.
fn no_heartbeats(observed: &ObservedComputeGroup) -> String {
    let errors: Vec<String> = members::members(observed)
        .iter()
        .filter(|member| !member.row.error.is_empty())
        .map(|member| format!("{}: {}", member.pod, member.row.error))
        .take(3)
        .collect();
    format!("pods are ready, but their heartbeats fail: {}", errors.join("; "))
}

fn ready(observed: &ObservedComputeGroup, scale: &Scale, serving: u32, trouble: Option<Finding>) -> Finding {
    let wanted = scale.wanted;
    let pods = u32::try_from(observed.pods.len()).unwrap_or(u32::MAX);
    let known = members::members(observed).len();
    if serving < wanted {
        if let Some(trouble) = trouble.or_else(|| fence::finding(observed)) {
            return trouble;
        }
        if !matches!(observed.sql, SqlAnswer::Answered { .. }) {
            return not_known(observed);
        }
        return Finding::fails(Reason::ComputeStarting, format!("{serving} of {wanted} nodes serve"));
    }
    // One that sleeps stays known by its first node.
    if pods > wanted || known > wanted as usize + usize::from(scale.asleep) {
        let leaving = pods
            .max(u32::try_from(known).unwrap_or(u32::MAX))
            .saturating_sub(wanted);
        return Finding::fails(
            Reason::ComputeLeaving,
            format!("{leaving} nodes finish what they have and leave; {wanted} stay"),
        );
    }
    let (namespace, name) = super::identity(observed);
    let live = &observed.live;
    let stateful_set: Option<StatefulSet> = live.typed(ObjectKind::StatefulSet, namespace, &names::compute(name));
    if is_rolling(stateful_set.as_ref(), wanted) {
        return Finding::fails(
            Reason::ComputeStarting,
            "nodes are being replaced by those of a new revision",
        );
    }
    if let Some(fenced) = fence::finding(observed) {
        return fenced;
    }
    let (reason, message) = if scale.suspended {
        (
            Reason::Suspended,
            "the LakeCluster is suspended: no nodes are wanted".to_owned(),
        )
    } else if wanted == 0 {
        (Reason::ScaledToZero, "no nodes are wanted".to_owned())
    } else {
        (Reason::AllReady, format!("{serving} of {wanted} nodes serve"))
    };
    Finding::holds(reason, message)
}

#[cfg(test)]
mod tests;
