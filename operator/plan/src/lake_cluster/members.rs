//! Who the engine says belongs to the cluster.

use std::collections::BTreeSet;

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

/// Drops compute nodes of groups that there are no more: such a group was deleted while no operator was there to see it. Nodes that people
/// have added by another name are theirs.
pub(super) fn orphans(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    let SqlAnswer::Answered { compute_nodes, .. } = &observed.sql else {
        return Vec::new();
    };
    let flavour = flavour(shape.engine);
    let has_group = |service: &str| {
        let mut groups = observed
            .groups
            .iter()
            .filter_map(|group| group.metadata.name.as_deref());
        groups.any(|group| names::compute(group) == service)
    };
    compute_nodes
        .iter()
        .filter(|row| !row.alive)
        .filter(|row| {
            let mut parts = row.host.split('.');
            let (Some(pod), Some(service)) = (parts.next(), parts.next()) else {
                return false;
            };
            let is_ours = service.ends_with(names::COMPUTE_SUFFIX)
                && names::ordinal(pod, service).is_some()
                && names::same_host(&row.host, &names::pod_host(pod, service, &shape.namespace));
            is_ours && !has_group(service) && !observed.compute_pods.contains(pod)
        })
        .map(|row| Action::Sql(flavour.drop_compute_node(row)))
        .collect()
}

/// Pods of the frontends that say of each other that they are alive.
pub(super) fn counted(sql: &SqlAnswer) -> BTreeSet<String> {
    let SqlAnswer::Answered { frontends, .. } = sql else {
        return BTreeSet::new();
    };
    let alive = frontends.iter().filter(|row| row.alive);
    alive
        .filter_map(|row| Some(row.host.split('.').next()?.to_owned()))
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

#[cfg(test)]
mod tests {
    use crate::fixture::{cluster, group, statements};
    use crate::observed::SqlAnswer;
    use crate::sql::ComputeNodeRow;

    #[test]
    fn nodes_of_a_group_that_was_deleted_while_no_operator_was_there_are_forgotten() {
        let row = |id: &str, host: &str, alive: bool| ComputeNodeRow {
            id: id.to_owned(),
            host: host.to_owned(),
            heartbeat_port: 9050,
            alive,
            warehouse: "w".to_owned(),
            ..ComputeNodeRow::default()
        };
        let fixture = cluster("demo").secrets().serving().with(|observed| {
            observed.groups = vec![group("etl").0.group];
            observed.compute_pods.insert("old-cn-1".to_owned());
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                *compute_nodes = vec![
                    row("1", "old-cn-0.old-cn.retail.svc", false),
                    row("2", "old-cn-1.old-cn.retail.svc", false),
                    row("3", "old-cn-2.old-cn.retail.svc", true),
                    row("4", "etl-cn-7.etl-cn.retail.svc", false),
                    row("5", "old-cn-0.old-cn.finance.svc", false),
                    row("6", "by-hand.example.com", false),
                    row("7", "10.0.0.7", false),
                ];
            }
        });
        assert_eq!(
            statements(&fixture.plan()),
            ["ALTER SYSTEM DROP COMPUTE NODE 1 FROM WAREHOUSE w"],
            "the others have a pod, live, have a group, or are somebody else's"
        );
    }
}
