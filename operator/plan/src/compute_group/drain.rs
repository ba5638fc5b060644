//! Which nodes leave, and when their pods may.
//!
//! A StatefulSet takes away its highest pods first. So the nodes from `wanted` upwards are drained, all at once, and the
//! StatefulSet shrinks past each one, from the top, as soon as nothing runs there:
//!
//! ```text
//!             ALTER SYSTEM DRAIN        the engine says DRAINED,      StatefulSet shrinks:
//!             COMPUTE NODE              or there is nothing to lose   the pod's hook, then SIGTERM
//!  Cordoning ────────────────► Draining ──────────────────► Drained ──────────────────► Leaving ─► dropped by id
//!      └────────────┬──────────────┴────────────┬──────────────┘
//!                   └── wanted again: ALTER SYSTEM CANCEL DRAIN COMPUTE NODE ──► serves
//! ```
//!
//! Remembered is since when (in the status, and believed as far as the engine's own count allows), and whether the node had its time: an
//! order that a frontend forgot with its restart, or would soon let lapse, is given again, and a shrink that was decided is seen in the
//! StatefulSet. A node that does not finish in time is let go by `DRAIN COMPUTE NODE … FORCE`, where the group says so: then its pod's hook
//! does not wait a second time. Pods that go for other reasons (evictions, rolls, node drains) have their hook alone, and nobody shortens
//! it. Pods of an engine that knows no drain go at once: what their engine does at SIGTERM is all that they have.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::Pod;
use springtide_contract::drain::ORDER_LASTS;
use springtide_crds::Reason;
use springtide_crds::compute_group::{DrainPhase, DrainTimeoutPolicy, DrainingNode};

use super::fence;
use super::members::{self, Member};
use super::shape::flavour_of;
use super::{GroupShape, current_replicas};
use crate::action::{Action, EventNote, Severity};
use crate::condition::instant_text;
use crate::flavour::{Cordon, Flavour};
use crate::names;
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::sql::DrainState;
use crate::trouble;

/// An order that lasts no longer than this is given again.
const GIVEN_AGAIN_SECONDS: u64 = ORDER_LASTS.as_secs() / 2;
/// While nodes drain, a look is made in this time whatever else is to be looked at: orders must not lapse.
pub(super) const RENEWAL: Duration = Duration::from_secs(GIVEN_AGAIN_SECONDS / 2);
/// Between a drain that is decided and one that the frontend counts lies no more than this, or the first was noted by a wrong clock.
const TOLD_AFTER: TimeDelta = TimeDelta::seconds(10);
/// Bytes of a list of work in one Event, whose note has 1,024 with what stands around it.
const LONGEST_PART: usize = 720;
/// Characters of such a list in the status, which has 2,048.
const LONGEST_STATUS: usize = 1_900;
/// How the nodes leave that are not wanted any more.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Departure {
    /// `spec.replicas` of the StatefulSet: what is wanted, and the nodes that have not ended their work.
    pub(super) replicas: u32,
    /// Drains and their cancellation.
    pub(super) statements: Vec<Action>,
    /// For the status.
    pub(super) draining: Vec<DrainingNode>,
    /// Some of them were ordered to, and stay until they have.
    pub(super) has_orders: bool,
    /// Nodes that were not waited for.
    pub(super) events: Vec<EventNote>,
}

/// A node that is not wanted any more.
struct Leaver {
    ordinal: u32,
    may_go: bool,
    /// It has had its time, and goes with what it has.
    cut: Option<Cut>,
}

/// What a node has that is not waited for any longer.
#[derive(Clone, Debug)]
enum Cut {
    /// What the engine waited for.
    Told(String),
    /// No frontend answers, so none told the node to go: its pod's hook waits as long again.
    Untold,
}

pub(super) fn plan(observed: &ObservedComputeGroup, group: &GroupShape, wanted: u32, now: DateTime<Utc>) -> Departure {
    let current = current_replicas(observed).unwrap_or(wanted);
    let flavour = flavour_of(observed);
    let drains = flavour.capabilities().cordon == Cordon::EngineState && !group.drain_timeout.is_zero();
    let mut departure = Departure {
        replicas: wanted,
        ..Departure::default()
    };
    let nodes = Nodes::of(observed);
    let fenced = fence::fenced(observed);
    let mut leavers = Vec::new();
    for (ordinal, node) in &nodes.by_ordinal {
        let remembered = nodes.since(&node.name, now);
        let told = node.told_since(remembered, now);
        let is_leaving = node.pod.is_some_and(trouble::is_leaving);
        let state = node.member.as_ref().map_or(DrainState::None, |member| member.row.drain);
        if *ordinal < wanted {
            if is_leaving || state == DrainState::Leaving {
                departure.draining.push(node.status(DrainPhase::Leaving, told, &nodes));
            } else if fenced.contains(node.name.as_str()) {
                let phase = match state {
                    DrainState::Drained => DrainPhase::Drained,
                    DrainState::Draining => DrainPhase::Draining,
                    DrainState::None | DrainState::Leaving => DrainPhase::Cordoning,
                };
                departure.statements.extend(node.order(flavour, false));
                departure.has_orders = true;
                let since = if node.takes_work() { now } else { told };
                departure.draining.push(node.status(phase, since, &nodes));
            } else if matches!(state, DrainState::Draining | DrainState::Drained)
                && let Some(member) = &node.member
            {
                departure.statements.push(Action::Sql(flavour.cancel_drain(member.row)));
            }
            continue;
        }
        // A node that the engine reaches has a pod, whatever the watch of pods has told so far; beyond the StatefulSet's size it ends.
        let is_reached = node.is_reached();
        if node.pod.is_none() && (!is_reached || *ordinal >= current) {
            continue;
        }
        let is_overdue = |since: DateTime<Utc>| {
            group.on_drain_timeout == DrainTimeoutPolicy::Force
                && (now - since).to_std().is_ok_and(|waited| waited >= group.drain_timeout)
        };
        if is_leaving || state == DrainState::Leaving || !drains || *ordinal >= current {
            // Where the order has lapsed, the hook would wait anew. A hook that began for another reason keeps all its time: what runs there may
            // have begun a moment before it, although the node was on its way out, and was even let go, at some time before.
            let is_same_drain = told == remembered;
            let was_forced = is_same_drain && nodes.was_forced(&node.name);
            let is_forced = drains && state == DrainState::Leaving && (node.is_forced() || was_forced);
            if is_forced && group.on_drain_timeout == DrainTimeoutPolicy::Force {
                departure.statements.extend(node.order(flavour, true));
            }
            let status = node.status(DrainPhase::Leaving, told, &nodes);
            departure.draining.push(DrainingNode {
                forced: is_forced,
                ..status
            });
            leavers.push(Leaver::free(*ordinal));
            continue;
        }
        // A node that takes work begins anew.
        let since = if node.takes_work() { now } else { told };
        let phase = match (&node.member, state) {
            // A node that the engine does not know or does not reach has nothing that could fail.
            (None, _) if nodes.answered => DrainPhase::Drained,
            (Some(_), _) if !node.is_reached() => DrainPhase::Drained,
            (_, DrainState::Drained) => DrainPhase::Drained,
            (_, DrainState::Draining) => DrainPhase::Draining,
            (None, _) | (Some(_), DrainState::None | DrainState::Leaving) => DrainPhase::Cordoning,
        };
        let overdue = is_overdue(since) && phase != DrainPhase::Drained;
        departure.statements.extend(node.order(flavour, overdue));
        departure.has_orders = true;
        let is_forced = node.member.is_none() || node.is_forced();
        let status = DrainingNode {
            // With the order: by the time that it stands, the pod may be on its way out.
            forced: node.member.is_some() && (overdue || node.is_forced()),
            ..node.status(phase, since, &nodes)
        };
        let cut = overdue.then(|| match (&node.member, node.works_at()) {
            (None, _) => Cut::Untold,
            (Some(_), Some(work)) => Cut::Told(work.to_owned()),
            (Some(_), None) => Cut::Told("what may be on its way there".to_owned()),
        });
        // With the order, too: an operator that dies after the shrink would leave nobody who knows.
        if let Some(cut) = cut.as_ref().filter(|_| !is_forced) {
            departure.events.extend(forced(observed, group, *ordinal, cut));
        }
        leavers.push(Leaver {
            ordinal: *ordinal,
            may_go: phase == DrainPhase::Drained || (overdue && is_forced),
            cut,
        });
        departure.draining.push(status);
    }
    if !drains {
        return departure;
    }
    departure.replicas = current.max(wanted);
    while departure.replicas > wanted {
        let top = departure.replicas - 1;
        // A pod that is not there has nothing to end.
        let leaver = leavers.iter().find(|leaver| leaver.ordinal == top);
        if leaver.is_some_and(|leaver| !leaver.may_go) {
            break;
        }
        if let Some(cut) = leaver.and_then(|leaver| leaver.cut.as_ref()) {
            departure.events.extend(forced(observed, group, top, cut));
        }
        departure.replicas = top;
    }
    departure
}

/// The nodes of a group that is being deleted: all of them leave, each by its pod's hook.
pub(super) fn of_deleted(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Vec<DrainingNode> {
    let nodes = Nodes::of(observed);
    let leaving = nodes.by_ordinal.values().filter(|node| node.pod.is_some());
    leaving
        .map(|node| node.status(DrainPhase::Leaving, nodes.since(&node.name, now), &nodes))
        .collect()
}

impl Leaver {
    fn free(ordinal: u32) -> Self {
        Self {
            ordinal,
            may_go: true,
            cut: None,
        }
    }
}

fn forced(observed: &ObservedComputeGroup, group: &GroupShape, ordinal: u32, cut: &Cut) -> Vec<EventNote> {
    let (_, name) = super::identity(observed);
    let told = match cut {
        Cut::Told(work) => {
            let parts = parts(work);
            let of = |number: usize| match parts.len() {
                1 => String::new(),
                all => format!(" ({} of {all})", number + 1),
            };
            let told = parts.iter().enumerate();
            told.map(|(number, part)| format!("what runs there of this is cut off{}: {part}", of(number)))
                .collect()
        }
        Cut::Untold => vec![
            "no frontend says what it does: its pod ends when that is done, after as long again at the latest"
                .to_owned(),
        ],
    };
    let note = |what: String| EventNote {
        severity: Severity::Warning,
        reason: Reason::DrainForced,
        action: "Drain".to_owned(),
        note: format!(
            "node {} is let go after drain.timeout {} s, and {what}; raise drain.timeout, or set drain.onTimeout to Wait",
            format_args!("{}-{ordinal}", names::compute(name)),
            group.drain_timeout.as_secs(),
        ),
    };
    told.into_iter().map(note).collect()
}

/// A list of work in pieces that the note of an Event has room for, each item whole.
fn parts(work: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for item in work.split(", ") {
        match parts.last_mut() {
            Some(part) if part.len() + item.len() < LONGEST_PART => {
                part.push_str(", ");
                part.push_str(item);
            }
            _ => parts.push(item.to_owned()),
        }
    }
    parts
}

/// As much of it as the status has room for; an Event says all of what is cut off.
fn shortened(work: &str) -> String {
    match work.char_indices().nth(LONGEST_STATUS) {
        None => work.to_owned(),
        Some((end, _)) => {
            let whole = work[..end].rsplit_once(", ").map_or(&work[..end], |(whole, _)| whole);
            format!("{whole}, and more")
        }
    }
}

/// All nodes that have a pod or a row of the engine.
struct Nodes<'a> {
    by_ordinal: BTreeMap<u32, Node<'a>>,
    /// The engine told its nodes.
    answered: bool,
    before: &'a [DrainingNode],
}

struct Node<'a> {
    name: String,
    pod: Option<&'a Pod>,
    member: Option<Member<'a>>,
}

impl<'a> Nodes<'a> {
    fn of(observed: &'a ObservedComputeGroup) -> Self {
        let (_, group) = super::identity(observed);
        let stateful_set = names::compute(group);
        let mut by_ordinal: BTreeMap<u32, Node<'a>> = BTreeMap::new();
        let entry = |name: &str| Node {
            name: name.to_owned(),
            pod: None,
            member: None,
        };
        for pod in &observed.pods {
            let name = trouble::name(pod);
            if let Some(ordinal) = names::ordinal(name, &stateful_set) {
                by_ordinal.entry(ordinal).or_insert_with(|| entry(name)).pod = Some(pod);
            }
        }
        for member in members::members(observed) {
            let node = by_ordinal.entry(member.ordinal).or_insert_with(|| entry(&member.pod));
            node.member = Some(member);
        }
        Self {
            by_ordinal,
            answered: matches!(observed.sql, SqlAnswer::Answered { .. }),
            before: observed
                .group
                .status
                .as_ref()
                .map_or(&[], |status| status.draining.as_slice()),
        }
    }

    fn since(&self, node: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        let before = self.before.iter().find(|before| before.node == node);
        before
            .and_then(|before| before.since.parse().ok())
            .filter(|since| *since <= now)
            .unwrap_or(now)
    }

    fn was_forced(&self, node: &str) -> bool {
        self.before.iter().any(|before| before.node == node && before.forced)
    }
}

impl Node<'_> {
    /// The order to drain, unless it stands. A node that the engine does not know or does not reach needs none.
    fn order(&self, flavour: &dyn Flavour, forced: bool) -> Option<Action> {
        let row = self.member.as_ref()?.row;
        let stands = row
            .order
            .is_some_and(|order| order.forced == forced && u64::from(order.lasts_seconds) > GIVEN_AGAIN_SECONDS);
        if stands || !self.is_reached() {
            return None;
        }
        Some(Action::Sql(if forced {
            flavour.force_drain(row)
        } else {
            flavour.drain(row)
        }))
    }

    /// It answers the frontend. One that drains is not alive to those who look for compute.
    fn is_reached(&self) -> bool {
        let row = self.member.as_ref().map(|member| member.row);
        row.is_some_and(|row| row.alive || row.draining)
    }

    /// Since when it drains. What is remembered counts as long as the engine does not know better: it tells for how long, whatever a
    /// clock showed that was wrong when it began.
    fn told_since(&self, remembered: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let seconds = self.member.as_ref().and_then(|member| member.row.drains_for_seconds);
        let told = seconds.map(|seconds| now - TimeDelta::seconds(seconds.into()));
        told.filter(|told| *told - remembered > TOLD_AFTER)
            .unwrap_or(remembered)
    }

    /// It serves as if nobody had ordered anything: the frontend forgot the order with a restart, or it lapsed while no operator gave it
    /// again. What runs there now may have begun a moment ago, so the time that it has counts anew.
    fn takes_work(&self) -> bool {
        self.member.as_ref().is_some_and(|member| {
            member.row.alive && member.row.drain == DrainState::None && member.row.order.is_none()
        })
    }

    /// The order stands to let it go with what it has.
    fn is_forced(&self) -> bool {
        self.member
            .as_ref()
            .is_some_and(|member| member.row.order.is_some_and(|order| order.forced))
    }

    /// What the engine says that it still has to end.
    fn works_at(&self) -> Option<&str> {
        let said = self.member.as_ref().map(|member| member.row.waiting_for.as_str());
        said.filter(|said| !said.is_empty())
    }

    fn status(&self, phase: DrainPhase, since: DateTime<Utc>, nodes: &Nodes<'_>) -> DrainingNode {
        let waiting_for = match (phase, self.works_at()) {
            (DrainPhase::Drained, _) => None,
            (_, Some(said)) => Some(shortened(said)),
            (DrainPhase::Leaving, _) => Some("the pod's end".to_owned()),
            (_, _) if !nodes.answered => Some("a frontend that answers".to_owned()),
            (_, _) => Some("the frontend to send nothing new there".to_owned()),
        };
        DrainingNode {
            node: self.name.clone(),
            since: instant_text(since),
            phase,
            waiting_for,
            forced: false,
        }
    }
}

#[cfg(test)]
mod tests;
