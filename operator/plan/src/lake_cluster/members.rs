//! Who the engine says belongs to the cluster.

use springtide_contract::ports;

use super::ClusterShape;
use crate::action::Action;
use crate::flavour::flavour;
use crate::names;
use crate::observed::{ObservedLakeCluster, SqlAnswer};
use crate::sql::AdminStatement;
use crate::trouble;

/// Makes frontends known that run and are not known yet, where the engine has followers.
pub(super) fn statements(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    let SqlAnswer::Answered { frontends, .. } = &observed.sql else {
        return Vec::new();
    };
    if !flavour(shape.engine).capabilities().followers || !frontends.iter().any(|row| row.is_leader && row.alive) {
        return Vec::new();
    }
    let stateful_set = names::frontends(&shape.name);
    let service = names::frontends_headless(&shape.name);
    observed
        .pods
        .iter()
        .filter(|pod| !trouble::is_leaving(pod))
        .map(trouble::name)
        .filter(|pod| names::ordinal(pod, &stateful_set).is_some_and(|ordinal| ordinal < shape.frontends))
        .map(|pod| names::pod_host(pod, &service, &shape.namespace))
        .filter(|host| !frontends.iter().any(|row| names::same_host(&row.host, host)))
        .map(|host| {
            Action::Sql(AdminStatement::AddFollower {
                host,
                port: ports::FE_EDIT_LOG,
            })
        })
        .collect()
}

/// Host of the leader, frontends that are alive, compute nodes that are alive.
pub(super) fn counts(sql: &SqlAnswer) -> (Option<String>, i32, i32) {
    let SqlAnswer::Answered {
        frontends,
        compute_nodes,
        ..
    } = sql
    else {
        return (None, 0, 0);
    };
    let leader = frontends
        .iter()
        .find(|row| row.is_leader && row.alive)
        .map(|row| row.host.clone());
    let alive = frontends.iter().filter(|row| row.alive).count();
    let compute = compute_nodes.iter().filter(|row| row.alive).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    (leader, number(alive), number(compute))
}
