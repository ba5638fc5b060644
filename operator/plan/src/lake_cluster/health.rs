//! Whether the cluster does what it is for, and if not, why.

use chrono::{DateTime, Utc};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use springtide_crds::{ComputeGroup, Reason};

use super::hibernation::Hibernation;
use super::members::Staying;
use super::{ClusterShape, accounts, volume_claims};
use crate::condition::Finding;
use crate::names;
use crate::object::ObjectKind;
use crate::observed::{InitialAccount, ObservedLakeCluster, SqlAnswer};
use crate::sql::ComputeNodeRow;
use crate::trouble::{self, Evidence};

/// What is found, one finding for each condition but `Accepted`.
pub(super) struct Health {
    pub(super) storage: Finding,
    pub(super) operator_account: Finding,
    pub(super) available: Finding,
    pub(super) ready: Finding,
}

impl Health {
    /// Nothing was ever accepted, so nothing runs.
    pub(super) fn not_accepted() -> Self {
        let finding = Finding::unknown("nothing is made before the written values are accepted");
        Self {
            storage: finding.clone(),
            operator_account: finding.clone(),
            available: Finding::fails(Reason::InvalidField, "see condition Accepted"),
            ready: Finding::fails(Reason::InvalidField, "see condition Accepted"),
        }
    }
}

pub(super) fn assess(
    observed: &ObservedLakeCluster,
    shape: &ClusterShape,
    hibernation: &Hibernation,
    staying: &Staying,
    recreation: Option<Finding>,
    now: DateTime<Utc>,
) -> Health {
    if *hibernation == Hibernation::Asleep {
        return asleep(observed);
    }
    let trouble = trouble::find(Evidence {
        pods: &observed.pods,
        volume_claims: &observed.volume_claims,
        events: &observed.events,
        pods_wanted: shape.frontends,
        now,
    });
    let available = available(&observed.sql, observed, trouble.as_ref());
    Health {
        storage: storage(observed, &available),
        operator_account: accounts::finding(observed, shape),
        ready: match hibernation {
            Hibernation::FallingAsleep { waits_for, .. } => Finding::fails(
                Reason::Suspended,
                format!("the cluster goes to sleep, and waits for {waits_for}"),
            ),
            _ => ready(observed, shape, &available, trouble.or(recreation), staying),
        },
        available,
    }
}

/// No frontend is wanted, and none answers for long.
fn asleep(observed: &ObservedLakeCluster) -> Health {
    let sleeps = "the cluster sleeps: no frontend and no compute runs, its volumes and its data stay";
    let holds = Finding::holds(Reason::Suspended, sleeps);
    let ready = match observed.pods.len() {
        0 => holds.clone(),
        pods => Finding::fails(
            Reason::Suspended,
            format!("the cluster goes to sleep, and {pods} frontends are about to stop"),
        ),
    };
    Health {
        storage: holds.clone(),
        operator_account: holds,
        available: Finding::fails(
            Reason::Suspended,
            format!("{sleeps}; set spec.suspend to false to wake it"),
        ),
        ready,
    }
}

fn storage(observed: &ObservedLakeCluster, available: &Finding) -> Finding {
    match trouble::refusal(&observed.pods) {
        Some(refusal) => refusal,
        None if available.holds == Some(true) => {
            Finding::holds(Reason::AllReady, "the engine reads its metadata and its place on S3")
        }
        None => Finding::unknown("no frontend has started"),
    }
}

fn available(sql: &SqlAnswer, observed: &ObservedLakeCluster, trouble: Option<&Finding>) -> Finding {
    match sql {
        SqlAnswer::Answered {
            frontends,
            compute_nodes,
            ..
        } => match frontends.iter().find(|row| row.is_leader && row.alive) {
            Some(leader) => answering(&leader.host, observed, compute_nodes),
            None => Finding::fails(
                Reason::NoLeader,
                "frontends answer, but none of them is the leader and alive",
            ),
        },
        SqlAnswer::LoginRefused { .. } if observed.initial_account == InitialAccount::Open => Finding::fails(
            Reason::FrontendStarting,
            "a frontend has started, and its accounts are being made",
        ),
        SqlAnswer::LoginRefused { message } => Finding::fails(
            Reason::LoginRefused,
            format!("a frontend answers, but refuses the operator's account: {message}"),
        ),
        SqlAnswer::CertificateNotTrusted { message } => Finding::fails(
            Reason::CertificateNotTrusted,
            format!("a frontend answers, but the operator does not log in: {message}"),
        ),
        SqlAnswer::NotAsked | SqlAnswer::Unreachable { .. } => {
            if let Some(trouble) = trouble {
                return trouble.clone();
            }
            match sql {
                SqlAnswer::Unreachable { message } if observed.pods.iter().any(should_answer) => Finding::fails(
                    Reason::FrontendNotAnswering,
                    format!("a frontend pod is ready, but does not answer SQL: {message}"),
                ),
                _ => Finding::fails(Reason::FrontendStarting, "the frontend is starting"),
            }
        }
    }
}

/// Whether a frontend that does not answer is one to look at. One that was told to stop is ready for a moment longer than it answers.
fn should_answer(pod: &Pod) -> bool {
    trouble::is_ready(pod) && !trouble::is_leaving(pod)
}

/// A statement has the group wake from 0. One that a window shuts is woken by nobody.
#[must_use]
pub fn is_woken_by_statements(group: &ComputeGroup) -> bool {
    let status = group.status.as_ref().filter(|status| status.ceiling != Some(0));
    let in_force = status.and_then(|status| status.accepted_spec.as_deref());
    in_force.is_some_and(|spec| spec.replicas == 0 && spec.wake_on_query)
}

/// A leader answers; statements on tables need compute besides.
fn answering(leader: &str, observed: &ObservedLakeCluster, compute_nodes: &[ComputeNodeRow]) -> Finding {
    let leads = format!("frontend {leader} leads and answers");
    if compute_nodes.iter().any(|row| row.alive && !row.draining) {
        return Finding::holds(Reason::Serving, leads);
    }
    let name = observed.cluster.metadata.name.as_deref();
    let wants_compute = |group: &ComputeGroup| {
        Some(group.spec.cluster.as_str()) == name
            && group.status.as_ref().and_then(|status| status.wanted_replicas) != Some(0)
    };
    let sleeps = |group: &ComputeGroup| Some(group.spec.cluster.as_str()) == name && is_woken_by_statements(group);
    let (reason, what) = if observed.cluster.spec.suspend {
        (
            Reason::Suspended,
            "statements that read or write tables fail; set spec.suspend to false to have compute again".to_owned(),
        )
    } else if observed.groups.iter().any(wants_compute) {
        (
            Reason::NoComputeAlive,
            "statements that read or write tables wait for one that starts, or fail; see the ComputeGroups for why none serves"
                .to_owned(),
        )
    } else if let Some(group) = observed.groups.iter().find(|group| sleeps(group)) {
        let name = group.metadata.name.as_deref().unwrap_or_default();
        (
            Reason::ScaledToZero,
            format!(
                "a statement that reads or writes tables wakes ComputeGroup {name} and waits for it, if it is of its warehouse"
            ),
        )
    } else {
        (
            Reason::ScaledToZero,
            "statements that read or write tables fail; scale up a ComputeGroup of the cluster, or make one".to_owned(),
        )
    };
    Finding::holds(reason, format!("{leads}, and no compute node serves: {what}"))
}

fn ready(
    observed: &ObservedLakeCluster,
    shape: &ClusterShape,
    available: &Finding,
    trouble: Option<Finding>,
    staying: &Staying,
) -> Finding {
    if available.holds != Some(true) {
        return available.clone();
    }
    if let Some(trouble) = trouble {
        return trouble;
    }
    if let Some(waits_for) = &staying.waits_for {
        let message = format!(
            "{} frontends are to become {}: waits for {waits_for}",
            staying.frontends, shape.frontends
        );
        return Finding::fails(Reason::FrontendLeaving, message);
    }
    let alive = match &observed.sql {
        SqlAnswer::Answered { frontends, .. } => frontends.iter().filter(|row| row.alive).count(),
        _ => 0,
    };
    if alive < shape.frontends as usize {
        let message = format!("{alive} of {} frontends are alive", shape.frontends);
        return Finding::fails(Reason::FrontendStarting, message);
    }
    let live: Option<StatefulSet> = observed.live.typed(
        ObjectKind::StatefulSet,
        &shape.namespace,
        &names::frontends(&shape.name),
    );
    if is_rolling(live.as_ref(), shape.frontends) {
        return Finding::fails(
            Reason::FrontendStarting,
            "frontends are being replaced by those of a new revision",
        );
    }
    if let Some(growing) = volume_claims::growing(observed, shape) {
        return growing;
    }
    Finding::holds(
        Reason::AllReady,
        format!("{alive} of {} frontends are alive", shape.frontends),
    )
}

/// Whether pods of an old revision remain.
pub(crate) fn is_rolling(live: Option<&StatefulSet>, wanted: u32) -> bool {
    let Some(live) = live else { return true };
    let status = live.status.clone().unwrap_or_default();
    let observed_generation = status.observed_generation.unwrap_or_default();
    let settled = status.update_revision == status.current_revision
        || i64::from(status.updated_replicas.unwrap_or_default()) >= i64::from(wanted);
    live.metadata
        .generation
        .is_some_and(|generation| generation > observed_generation)
        || !settled
}
