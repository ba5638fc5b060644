//! How a group goes that was deleted: first its pods, each after its drain; then the engine forgets the nodes; then the group may go.
//!
//! It may take as long as a drain may, and the status says all the while what it waits for.

use chrono::{DateTime, TimeDelta, Utc};
use springtide_crds::{ComputeGroup, ComputeGroupStatus, ConditionType, LakeCluster, Reason};

use super::{drain, has_finalizer, health, members, stateful_set_key, status};
use crate::action::{Action, EventNote, Plan, Telling, Wait};
use crate::condition::{self, Finding};
use crate::finish;
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::trouble;

/// A group that is deleted waits so long for an engine that does not answer; what it still knows then is dropped with the cluster.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

pub(super) fn plan(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Plan<ComputeGroupStatus> {
    let mut plan = Plan {
        actions: Vec::new(),
        status: None,
        telling: Telling::Now,
        wait: None,
        requeue_after: finish::CONVERGING,
        edge_after: None,
        events: Vec::new(),
    };
    if !has_finalizer(observed) {
        return plan;
    }
    (plan.actions, plan.wait) = next(observed, now);
    if let Some(wait) = &plan.wait
        && let Some(before) = &observed.group.status
    {
        let status;
        (status, plan.events) = told(observed, before, wait, now);
        // Each node that has gone is one less, and many of them go.
        let as_many_leave = ComputeGroupStatus {
            draining: status.draining.clone(),
            ..before.clone()
        };
        plan.telling = if status::only_words(before, &status) {
            Telling::Wording
        } else if status::only_counts(&as_many_leave, &status) {
            Telling::Progress
        } else {
            Telling::AfterActions
        };
        plan.status = (*before != status).then_some(status);
    }
    plan
}

/// The step that it is at, and what comes before the next one.
fn next(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> (Vec<Action>, Option<Wait>) {
    let key = stateful_set_key(observed);
    if let Some(live) = observed.live.get(&key) {
        let is_leaving = live
            .pointer("/metadata/deletionTimestamp")
            .is_some_and(|time| !time.is_null());
        let delete = (!is_leaving).then(|| Action::Delete {
            uid: finish::uid(live),
            object: key,
        });
        return (
            delete.into_iter().collect(),
            Some(super::waiting("the StatefulSet is being deleted")),
        );
    }
    if !observed.pods.is_empty() {
        let why = format!("{} pods are draining and stopping", observed.pods.len());
        return (Vec::new(), Some(super::waiting(&why)));
    }
    let staying = observed
        .cluster
        .as_ref()
        .filter(|cluster| cluster.metadata.deletion_timestamp.is_none() && may_know_nodes(cluster, &observed.group));
    let mut actions = Vec::new();
    // One that sleeps has nobody to ask; when it wakes, it drops the nodes of groups that there are no more.
    let staying = staying.filter(|cluster| !(cluster.spec.suspend && observed.sql == SqlAnswer::NotAsked));
    if let Some(cluster) = staying {
        let gave_up_at = observed
            .group
            .metadata
            .deletion_timestamp
            .as_ref()
            .and_then(|time| DateTime::from_timestamp(time.0.as_second(), 0).map(|deleted| deleted + PATIENCE));
        let gave_up = gave_up_at.is_some_and(|until| now >= until);
        if !matches!(observed.sql, SqlAnswer::Answered { .. }) && !gave_up {
            let wait = Wait {
                why: "the engine must forget the group's nodes, and no frontend answers".to_owned(),
                until: gave_up_at,
            };
            return (actions, Some(wait));
        }
        actions = members::drop_all(observed, cluster.spec.engine.kind);
    }
    actions.push(Action::RemoveFinalizer);
    (actions, None)
}

/// A cluster that was never accepted has no frontends that could.
fn may_know_nodes(cluster: &LakeCluster, group: &ComputeGroup) -> bool {
    let was_accepted = cluster
        .status
        .as_ref()
        .is_some_and(|status| status.accepted_spec.is_some());
    let had_nodes = group.status.as_ref().is_some_and(|status| !status.nodes.is_empty());
    was_accepted || had_nodes
}

/// The status as it was before, but for what leaves and what is waited for.
fn told(
    observed: &ObservedComputeGroup,
    before: &ComputeGroupStatus,
    wait: &Wait,
    now: DateTime<Utc>,
) -> (ComputeGroupStatus, Vec<EventNote>) {
    let until = wait
        .until
        .map(|until| format!(", until {} at the latest", condition::instant_text(until)))
        .unwrap_or_default();
    let leaves = Finding::fails(
        Reason::ComputeLeaving,
        format!("the group is being deleted: {}{until}", wait.why),
    );
    let findings = vec![
        (ConditionType::Available, leaves.clone()),
        (ConditionType::Ready, leaves),
    ];
    let generation = observed.group.metadata.generation;
    let (told, events) = condition::update(&before.conditions, generation, now, findings);
    let kept = before
        .conditions
        .iter()
        .filter(|condition| told.iter().all(|told| told.type_ != condition.type_));
    let conditions = kept.cloned().chain(told.iter().cloned()).collect();
    // Only an engine that answers can say that it knows none any more.
    let nodes = match observed.sql {
        SqlAnswer::Answered { .. } => status::nodes(observed),
        _ => before.nodes.clone(),
    };
    let pods = observed.pods.iter();
    let status = ComputeGroupStatus {
        conditions,
        observed_generation: generation,
        scaling: None,
        replicas: status::number(pods.clone().filter(|pod| !trouble::is_leaving(pod)).count()),
        ready_replicas: status::number(pods.filter(|pod| trouble::is_ready(pod)).count()),
        serving_replicas: status::replicas(health::serving(observed)),
        wanted_replicas: Some(0),
        floor: None,
        ceiling: None,
        active_windows: Vec::new(),
        next_transition: None,
        lead_times: Vec::new(),
        demand: None,
        nodes,
        draining: drain::of_deleted(observed, now),
        ..before.clone()
    };
    (status, events)
}

#[cfg(test)]
mod tests;
