//! Who the engine says belongs to the cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use springtide_contract::ports;

use super::ClusterShape;
use crate::action::Action;
use crate::finish::Rejection;
use crate::flavour::flavour;
use crate::names;
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::{ObservedLakeCluster, SqlAnswer};
use crate::rollout::Standing;
use crate::sql::{AdminStatement, FrontendRow};
use crate::trouble;

/// Makes a frontend known that runs and is not known yet, where the engine has followers: one after the other, each when the one before
/// has come.
pub(super) fn statements(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    let SqlAnswer::Answered { frontends, .. } = &observed.sql else {
        return Vec::new();
    };
    if !flavour(shape.engine).capabilities().followers
        || !frontends.iter().any(|row| row.is_leader && row.alive)
        || frontends.iter().any(|row| row.never_joined)
    {
        return Vec::new();
    }
    let stateful_set = names::frontends(&shape.name);
    let mut unknown: Vec<(u32, String)> = observed
        .pods
        .iter()
        .filter(|pod| !trouble::is_leaving(pod))
        .filter_map(|pod| names::ordinal(trouble::name(pod), &stateful_set))
        .filter(|ordinal| *ordinal < shape.frontends)
        .map(|ordinal| (ordinal, host(shape, ordinal)))
        .filter(|(_, host)| !is_known(frontends, host))
        .collect();
    unknown.sort();
    unknown
        .into_iter()
        .take(1)
        .map(|(_, host)| {
            Action::Sql(AdminStatement::AddFollower {
                host,
                port: ports::FE_EDIT_LOG,
            })
        })
        .collect()
}

/// How many frontends run while fewer are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staying {
    /// What the StatefulSet is to have.
    pub(super) frontends: u32,
    /// What is to be asked of the engine.
    pub(super) statement: Option<AdminStatement>,
    /// What is waited for before `frontends` is what is wanted, for people.
    pub(super) waits_for: Option<String>,
}

/// Keeps the pods of frontends until the engine has dropped those that are to go. One that is gone and still has a vote is missed at each
/// election, and the changes that it has not seen are kept for it for ever.
pub(super) fn staying(observed: &ObservedLakeCluster, shape: &ClusterShape, wanted: u32) -> Staying {
    let as_wanted = Staying {
        frontends: wanted,
        statement: None,
        waits_for: None,
    };
    let there = running(observed, shape);
    // A cluster that goes to sleep keeps its members and wakes with all of them.
    if wanted == 0 || there <= wanted || !flavour(shape.engine).capabilities().followers {
        return as_wanted;
    }
    let wait = |statement: Option<AdminStatement>, waits_for: String| Staying {
        frontends: there,
        statement,
        waits_for: Some(waits_for),
    };
    let SqlAnswer::Answered { frontends, .. } = &observed.sql else {
        return wait(None, "a frontend to answer, which is to drop those that go".to_owned());
    };
    let Some(leader) = frontends.iter().find(|row| row.is_leader && row.alive) else {
        return wait(None, "a frontend that leads, which is to drop those that go".to_owned());
    };
    let leaving: Vec<(u32, &FrontendRow)> = (wanted..there)
        .filter_map(|ordinal| {
            let host = host(shape, ordinal);
            let row = frontends.iter().find(|row| names::same_host(&row.host, &host))?;
            Some((ordinal, row))
        })
        .collect();
    if let Some((ordinal, _)) = leaving.iter().find(|(_, row)| row.host == leader.host) {
        let pod = format!("{}-{ordinal}", names::frontends(&shape.name));
        return wait(
            None,
            format!(
                "another leader than {pod}, which is to go: the engine cannot hand over by a statement. Have another one elected, again if need be: kubectl -n {} delete pod {pod}",
                shape.namespace
            ),
        );
    }
    // One that is not there first: it has a vote and does not use it.
    let next = leaving.iter().max_by_key(|(ordinal, row)| (!row.alive, *ordinal));
    let Some((_, next)) = next else {
        return as_wanted;
    };
    let voters = frontends
        .iter()
        .filter(|row| !row.is_observer && !row.never_joined && row.host != next.host);
    let (alive, all) = voters.fold((0_usize, 0_usize), |(alive, all), row| {
        (alive + usize::from(row.alive), all + 1)
    });
    if alive < all / 2 + 1 {
        return wait(
            None,
            format!(
                "more frontends to be alive: without {} only {alive} of {all} would be",
                next.host
            ),
        );
    }
    wait(
        Some(AdminStatement::DropFollower {
            host: next.host.clone(),
            port: ports::FE_EDIT_LOG,
        }),
        format!("the engine to drop {}", next.host),
    )
}

/// Refuses more frontends where one of them would find the metadata that it had when it was dropped: it would wait with that for ever.
pub(super) fn check_growth(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Result<(), Rejection> {
    let there = running(observed, shape);
    if there == 0 || !flavour(shape.engine).capabilities().followers {
        return Ok(());
    }
    let known: &[FrontendRow] = match &observed.sql {
        SqlAnswer::Answered { frontends, .. } => frontends,
        _ => &[],
    };
    let former = (there..shape.frontends).find_map(|ordinal| {
        let claim = format!("{}-{}-{ordinal}", names::METADATA_VOLUME, names::frontends(&shape.name));
        let exists = observed.volume_claims.iter().any(|found| is_claim(found, &claim));
        (exists && !is_known(known, &host(shape, ordinal))).then_some(claim)
    });
    match former {
        None => Ok(()),
        Some(claim) => Err(Rejection::field(
            "frontends.replicas",
            format!(
                "volume claim {claim} has the metadata of a frontend that the engine does not know any more, and that would never serve with it; if SHOW FRONTENDS does not name it, delete the claim: kubectl -n {} delete persistentvolumeclaim {claim}",
                shape.namespace
            ),
        )),
    }
}

fn is_claim(found: &PersistentVolumeClaim, name: &str) -> bool {
    found.metadata.deletion_timestamp.is_none() && found.metadata.name.as_deref() == Some(name)
}

/// `spec.replicas` of the frontends' StatefulSet as it is; 0 where there is none.
fn running(observed: &ObservedLakeCluster, shape: &ClusterShape) -> u32 {
    let key = ObjectKey::namespaced(
        ObjectKind::StatefulSet,
        &shape.namespace,
        &names::frontends(&shape.name),
    );
    let live = observed.live.get(&key);
    let replicas = live.and_then(|live| live.pointer("/spec/replicas")?.as_u64());
    replicas
        .and_then(|replicas| u32::try_from(replicas).ok())
        .unwrap_or_default()
}

/// Host name of a frontend.
fn host(shape: &ClusterShape, ordinal: u32) -> String {
    let pod = format!("{}-{ordinal}", names::frontends(&shape.name));
    names::pod_host(&pod, &names::frontends_headless(&shape.name), &shape.namespace)
}

fn is_known(frontends: &[FrontendRow], host: &str) -> bool {
    frontends.iter().any(|row| names::same_host(&row.host, host))
}

/// How the leader sees each frontend, by pod; empty where none leads or nobody answers.
pub(super) fn standings(sql: &SqlAnswer) -> BTreeMap<String, Standing> {
    match sql {
        SqlAnswer::Answered { frontends, .. } => Standing::of(frontends),
        SqlAnswer::NotAsked
        | SqlAnswer::Unreachable { .. }
        | SqlAnswer::LoginRefused { .. }
        | SqlAnswer::CertificateNotTrusted { .. } => BTreeMap::new(),
    }
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
mod tests;
