//! Which nodes the engine should know, and which it should forget.
//!
//! A node is made known as soon as its pod exists, so that it serves with its first heartbeat. It is forgotten only when the StatefulSet
//! is no longer to have its ordinal *and* its pod is gone: a pod that is rolled or evicted returns under the same name, and its node
//! stays known all the while.

use std::collections::BTreeSet;

use springtide_crds::lake_cluster::EngineKind;

use crate::action::Action;
use crate::flavour::flavour;
use crate::lake_cluster::ClusterShape;
use crate::names;
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::sql::ComputeNodeRow;
use crate::trouble;

/// A node of the group that the engine knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'a> {
    /// Name of its pod.
    pub pod: String,
    /// Ordinal of its pod.
    pub ordinal: u32,
    /// What the engine says about it.
    pub row: &'a ComputeNodeRow,
}

/// The nodes of the group that the engine knows, by ordinal.
#[must_use]
pub fn members(observed: &ObservedComputeGroup) -> Vec<Member<'_>> {
    let SqlAnswer::Answered { compute_nodes, .. } = &observed.sql else {
        return Vec::new();
    };
    let (namespace, group) = super::identity(observed);
    let service = names::compute(group);
    let mut members: Vec<Member<'_>> = compute_nodes
        .iter()
        .filter_map(|row| {
            let pod = row.host.split('.').next()?.to_owned();
            let ordinal = names::ordinal(&pod, &service)?;
            let host = names::pod_host(&pod, &service, namespace);
            names::same_host(&row.host, &host).then_some(Member { pod, ordinal, row })
        })
        .collect();
    members.sort_by(|left, right| (left.ordinal, &left.row.id).cmp(&(right.ordinal, &right.row.id)));
    members
}

/// How many nodes the engine is to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Those that are to take work.
    pub(super) wanted: u32,
    /// Those that the StatefulSet has beside them: what ends its work is not forgotten.
    pub(super) kept: u32,
    /// The first one is known also where none is wanted, so that statements which wake the group know whom they wait for.
    pub(super) always_one: bool,
}

/// Adds for pods that the engine does not know, drops for nodes that left for good.
pub(super) fn statements(
    observed: &ObservedComputeGroup,
    cluster: &ClusterShape,
    warehouse: &str,
    to_be: Known,
) -> Vec<Action> {
    let Known {
        wanted,
        kept,
        always_one,
    } = to_be;
    let SqlAnswer::Answered { compute_nodes, .. } = &observed.sql else {
        return Vec::new();
    };
    let (namespace, group) = super::identity(observed);
    let service = names::compute(group);
    let known = members(observed);
    let flavour = flavour(cluster.engine);
    let mut warehouse_exists = compute_nodes.iter().any(|row| row.warehouse == warehouse);
    let mut actions = Vec::new();
    let mut pods: Vec<String> = pods_by_ordinal(observed, &service, wanted);
    if pods.is_empty() && always_one {
        pods.push(format!("{service}-0"));
    }
    for pod in pods {
        if known.iter().any(|member| member.pod == pod) {
            continue;
        }
        let host = names::pod_host(&pod, &service, namespace);
        let statements = flavour.add_compute_node(&host, warehouse, warehouse_exists);
        actions.extend(statements.into_iter().map(Action::Sql));
        warehouse_exists = true;
    }
    let pods = existing_pods(observed);
    actions.extend(
        known
            .iter()
            .filter(|member| {
                member.ordinal >= wanted.max(kept).max(u32::from(always_one)) && !pods.contains(member.pod.as_str())
            })
            .map(|member| Action::Sql(flavour.drop_compute_node(member.row))),
    );
    actions
}

/// Drops for every node of a group that is being deleted and has no pods any more.
pub(super) fn drop_all(observed: &ObservedComputeGroup, engine: EngineKind) -> Vec<Action> {
    let flavour = flavour(engine);
    members(observed)
        .iter()
        .map(|member| Action::Sql(flavour.drop_compute_node(member.row)))
        .collect()
}

/// Pods that stay, in the order of their numbers.
fn pods_by_ordinal(observed: &ObservedComputeGroup, stateful_set: &str, wanted: u32) -> Vec<String> {
    let mut pods: Vec<(u32, String)> = observed
        .pods
        .iter()
        .filter(|pod| !trouble::is_leaving(pod))
        .map(trouble::name)
        .filter_map(|pod| Some((names::ordinal(pod, stateful_set)?, pod.to_owned())))
        .filter(|(ordinal, _)| *ordinal < wanted)
        .collect();
    pods.sort();
    pods.into_iter().map(|(_, pod)| pod).collect()
}

/// Names of all pods, those that are draining or stopping included.
pub(super) fn existing_pods(observed: &ObservedComputeGroup) -> BTreeSet<&str> {
    observed.pods.iter().map(trouble::name).collect()
}
