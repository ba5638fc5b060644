//! The status of a group.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use springtide_contract::ports;
use springtide_crds::ComputeGroupStatus;
use springtide_crds::compute_group::{ActiveWindow, DrainingNode, NextTransition, NodeStatus, StartUp, WindowLeadTime};
use springtide_crds::lake_cluster::EngineStatus;

use super::{GroupShape, InForce, Scale, decision, health, members, stateful_set, wanted};
use crate::condition::{self, instant_text};
use crate::names;
use crate::observed::ObservedComputeGroup;
use crate::trouble;

/// What other parts of the plan found.
pub(super) struct Found {
    pub(super) draining: Vec<DrainingNode>,
    pub(super) windows: Vec<ActiveWindow>,
    pub(super) start_up: Option<StartUp>,
    pub(super) lead_times: Vec<WindowLeadTime>,
    pub(super) engine: Option<EngineStatus>,
}

pub(super) fn build(
    observed: &ObservedComputeGroup,
    in_force: InForce,
    scale: &Scale,
    found: Found,
    conditions: Vec<Condition>,
) -> ComputeGroupStatus {
    let (namespace, name) = super::identity(observed);
    let selector = stateful_set::selector(&observed.group.spec.cluster, name);
    let selector: Vec<String> = selector
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let cluster_exists = observed.cluster.is_some();
    let endpoint = cluster_exists.then(|| {
        let service = names::client_service(&observed.group.spec.cluster);
        let domain = &observed.settings.cluster_domain;
        format!("{service}.{namespace}.svc.{domain}:{}", ports::FE_MYSQL)
    });
    ComputeGroupStatus {
        conditions,
        observed_generation: observed.group.metadata.generation,
        replicas: number(observed.pods.iter().filter(|pod| !trouble::is_leaving(pod)).count()),
        selector: Some(selector.join(",")),
        ready_replicas: number(observed.pods.iter().filter(|pod| trouble::is_ready(pod)).count()),
        serving_replicas: replicas(health::serving(observed)),
        wanted_replicas: in_force.group.as_ref().map(|_| replicas(scale.wanted)),
        scaling: in_force
            .group
            .as_ref()
            .map(|group| decision::status(&observed.group, group, scale)),
        floor: scale.evaluation.floor.map(replicas),
        ceiling: scale.evaluation.ceiling.map(replicas),
        endpoint,
        warehouse: in_force.group.as_ref().map(|group| group.warehouse.clone()),
        active_windows: found.windows,
        start_up: found.start_up,
        lead_times: found.lead_times,
        next_transition: next_transition(scale, in_force.group.as_ref()),
        engine: found.engine,
        nodes: nodes(observed),
        draining: found.draining,
        demand: scale.demand.status.clone(),
        accepted_spec: in_force.spec,
    }
}

/// Whether `after` says no more than how many pods and nodes there are, and how far those that leave have come.
pub(super) fn only_counts(before: &ComputeGroupStatus, after: &ComputeGroupStatus) -> bool {
    let leaving = |status: &ComputeGroupStatus| -> Vec<(String, String)> {
        let nodes = status.draining.iter();
        nodes.map(|node| (node.node.clone(), node.since.clone())).collect()
    };
    let mut counted = before.clone();
    counted.replicas = after.replicas;
    counted.ready_replicas = after.ready_replicas;
    counted.serving_replicas = after.serving_replicas;
    counted.nodes.clone_from(&after.nodes);
    counted.draining.clone_from(&after.draining);
    counted.conditions.clone_from(&after.conditions);
    counted == *after
        && leaving(before) == leaving(after)
        && condition::are_the_same(&before.conditions, &after.conditions)
}

/// Whether nothing but messages of conditions differs.
pub(super) fn only_words(before: &ComputeGroupStatus, after: &ComputeGroupStatus) -> bool {
    let mut worded = before.clone();
    worded.conditions.clone_from(&after.conditions);
    worded == *after && condition::are_the_same(&before.conditions, &after.conditions)
}

fn next_transition(scale: &Scale, group: Option<&GroupShape>) -> Option<NextTransition> {
    let transition = scale.evaluation.next_transition.as_ref()?;
    let mut then = scale.evaluation.clone();
    then.floor = transition.floor;
    then.ceiling = transition.ceiling;
    let wanted_then = match group {
        Some(group) if !scale.suspended => wanted(group.replicas, &then, group.max_replicas),
        _ => 0,
    };
    let mut windows: Vec<String> = transition.edges.iter().map(|edge| edge.window.clone()).collect();
    // The list is a set, and a window that closes and opens at one instant has two edges.
    windows.sort();
    windows.dedup();
    Some(NextTransition {
        at: instant_text(transition.at),
        floor: transition.floor.map(replicas),
        ceiling: transition.ceiling.map(replicas),
        wanted_replicas: replicas(wanted_then),
        windows,
    })
}

pub(super) fn nodes(observed: &ObservedComputeGroup) -> Vec<NodeStatus> {
    let mut nodes: Vec<NodeStatus> = members::members(observed)
        .iter()
        .map(|member| NodeStatus {
            name: member.pod.clone(),
            node_id: member.row.id.clone(),
            alive: member.row.alive,
            draining: member.row.draining,
        })
        .collect();
    // The list is keyed by name; the engine could know one host by two ports.
    nodes.dedup_by(|right, left| right.name == left.name);
    nodes
}

pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn replicas(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
