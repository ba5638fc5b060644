//! What is due at the next edge of a window, planned before it comes.
//!
//! A plan is a function of what was observed and the time, so the plan of an edge can be made ahead of it. It holds as long as nothing
//! has changed that was observed. When a thousand windows open at eight, each then costs one write, and neither observing nor planning
//! stands between the opening of the others.
//!
//! Only the growth of a StatefulSet is foreseen. Nodes that leave, and statements of SQL, need what the engine says at that moment; the
//! bounds of an autoscaler are written by the look that follows, as they hold nobody up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use springtide_crds::{ComputeGroupStatus, ConditionType};

use super::{current_replicas, plan_compute_group};
use crate::action::{Action, Plan};
use crate::finish::STEADY;
use crate::object::ObjectKind;
use crate::observed::ObservedComputeGroup;

/// How far ahead: a group of which nothing is told is looked at within this time, however late that look is.
const HORIZON: Duration = Duration::from_secs(2 * STEADY.as_secs());

/// How long after the edge what was foreseen for it may still be done. Later, the time of day has jumped or somebody was away.
const GOOD_FOR: TimeDelta = TimeDelta::minutes(1);

/// What is to be done at an edge, if nothing changes before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foreseen {
    /// When.
    pub at: DateTime<Utc>,
    /// Name of the group's cluster.
    pub cluster: String,
    /// What, in this order. Each has the version of its object as a precondition.
    pub actions: Vec<Action>,
    basis: [Option<Identity>; 2],
}

/// Of what was planned from: another generation is another spec, and what is being deleted has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Identity {
    uid: Option<String>,
    generation: Option<i64>,
}

impl Identity {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        metadata.deletion_timestamp.is_none().then(|| Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
        })
    }
}

impl Foreseen {
    /// Whether it is time for it, and the group and its cluster are what they were.
    #[must_use]
    pub fn may_be_done(&self, group: &ObjectMeta, cluster: Option<&ObjectMeta>, now: DateTime<Utc>) -> bool {
        let is_due = now >= self.at && now < self.at + GOOD_FOR;
        is_due && self.basis == [Identity::of(group), cluster.and_then(Identity::of)]
    }
}

/// The growth that the edge which `plan` names will need. `None` if it needs something else, and while something else is to be done: the
/// look after that foresees the edge.
#[must_use]
pub fn foresee(
    observed: &ObservedComputeGroup,
    plan: &Plan<ComputeGroupStatus>,
    now: DateTime<Utc>,
) -> Option<Foreseen> {
    let after = plan.edge_after.filter(|after| *after <= HORIZON)?;
    // Values that were refused may be accepted without anybody being told, as when a quota has room again.
    if !plan.actions.is_empty() || !is_accepted(observed, plan) {
        return None;
    }
    let at = now + TimeDelta::from_std(after).ok()?;
    let actions = plan_compute_group(observed, at).actions;
    if !actions.iter().all(|action| is_growth(action, observed)) {
        return None;
    }
    let sizes: Vec<Action> = actions
        .into_iter()
        .filter(|action| matches!(action, Action::Scale { .. }))
        .collect();
    let cluster = observed.cluster.as_ref().map(|cluster| &cluster.metadata);
    (!sizes.is_empty()).then(|| Foreseen {
        at,
        cluster: observed.group.spec.cluster.clone(),
        actions: sizes,
        basis: [Identity::of(&observed.group.metadata), cluster.and_then(Identity::of)],
    })
}

fn is_accepted(observed: &ObservedComputeGroup, plan: &Plan<ComputeGroupStatus>) -> bool {
    let status = plan.status.as_ref().or(observed.group.status.as_ref());
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == ConditionType::Accepted.as_str() && condition.status == "True")
}

/// More nodes, or other bounds for the HPA.
fn is_growth(action: &Action, observed: &ObservedComputeGroup) -> bool {
    match action {
        Action::Scale { replicas, .. } => {
            current_replicas(observed).is_some_and(|current| *replicas > i64::from(current))
        }
        Action::Apply(object) => object.key.kind == ObjectKind::HorizontalPodAutoscaler,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
