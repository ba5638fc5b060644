//! What is due at the next edge of a window, planned before it comes.
//!
//! A plan is a function of what was observed and the time, so the plan of an edge can be made ahead of it. It holds as long as nothing
//! has changed that was observed, which whoever keeps it has to know. When a thousand windows open at eight, each then costs one write,
//! and neither observing nor planning stands between the opening of the others.
//!
//! Only growth is foreseen. Nodes that leave, and statements of SQL, need what the engine says at that moment.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use springtide_crds::ComputeGroupStatus;

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
    /// What, in this order.
    pub actions: Vec<Action>,
}

impl Foreseen {
    /// Whether it is time for it.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        now >= self.at && now < self.at + GOOD_FOR
    }
}

/// What the edge that `plan` names will need, if that is nothing but growth. `None` also while something else is to be done: the look
/// after that foresees the edge.
#[must_use]
pub fn foresee(
    observed: &ObservedComputeGroup,
    plan: &Plan<ComputeGroupStatus>,
    now: DateTime<Utc>,
) -> Option<Foreseen> {
    let after = plan.edge_after.filter(|after| *after <= HORIZON)?;
    if !plan.actions.is_empty() {
        return None;
    }
    let at = now + TimeDelta::from_std(after).ok()?;
    let actions = plan_compute_group(observed, at).actions;
    let grows = actions.iter().any(|action| matches!(action, Action::Scale { .. }));
    (grows && actions.iter().all(|action| is_growth(action, observed))).then_some(Foreseen { at, actions })
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
