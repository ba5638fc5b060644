//! What all windows together ask for at one instant, and when that changes next.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::occurrence::{Occurrence, WindowState};
use crate::window::Window;

#[cfg(test)]
mod tests;

/// Edges of windows that could change floor or ceiling, and do not, that [`evaluate`] walks in search of the next change; past them it
/// reports none.
pub const MAX_TRANSITION_STEPS: u32 = 512;
/// How far it walks through edges that change neither, before it reports none.
pub const TRANSITION_HORIZON_DAYS: u32 = 400;

/// What the windows ask for at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// Replicas at least: the largest active minimum.
    pub floor: Option<u32>,
    /// Replicas at most: the smallest active maximum.
    pub ceiling: Option<u32>,
    /// The floor is above the ceiling; the floor wins.
    pub conflict: Option<Conflict>,
    /// Windows that are raised, open or ramping down, in the order in which they were given.
    pub active: Vec<ActiveWindow>,
    /// The next change of floor or ceiling. `None` when there is none within [`crate::NEXT_START_HORIZON_DAYS`], or none within
    /// [`TRANSITION_HORIZON_DAYS`] and [`MAX_TRANSITION_STEPS`] of edges that could change them and do not.
    pub next_transition: Option<Transition>,
    /// The evaluation holds, `active` included, until this instant: evaluate again then. `None` when no window has another edge.
    pub next_edge: Option<DateTime<Utc>>,
}

/// A floor above a ceiling, and the windows that asked for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Window with the largest active minimum.
    pub floor_window: String,
    /// Window with the smallest active maximum.
    pub ceiling_window: String,
}

/// What a window is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// Nothing.
    Closed,
    /// Its lead time runs: the minimum holds, the maximum does not yet.
    Raised,
    /// It is open: minimum and maximum hold.
    Open,
    /// It has closed, and its minimum falls node by node.
    RampingDown,
}

/// A window that has an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveWindow {
    /// Name of the window.
    pub name: String,
    /// Any but [`Phase::Closed`].
    pub phase: Phase,
    /// Start of the occurrence that is active; in the future while raised. Of several that are open, the one that closes last.
    pub opens_at: DateTime<Utc>,
    /// From when the minimum holds: the start less the lead time.
    pub raised_at: DateTime<Utc>,
    /// End of that occurrence.
    pub closes_at: DateTime<Utc>,
    /// The minimum that the window asks for; what is left of it while it ramps down.
    pub min_replicas: Option<u32>,
    /// The maximum that the window allows once it is open.
    pub max_replicas: Option<u32>,
}

/// An instant at which floor or ceiling changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// When.
    pub at: DateTime<Utc>,
    /// The floor from then on.
    pub floor: Option<u32>,
    /// The ceiling from then on.
    pub ceiling: Option<u32>,
    /// The windows whose phase changes then.
    pub edges: Vec<TransitionEdge>,
}

/// A window whose phase changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionEdge {
    /// Name of the window.
    pub window: String,
    /// Its phase from then on.
    pub phase: Phase,
}

/// What the windows ask for at `now`: a function of its two arguments and nothing else.
#[must_use]
pub fn evaluate(windows: &[Window], now: DateTime<Utc>) -> Evaluation {
    let mut timeline = Timeline::at(windows, now);
    let (floor, ceiling) = (timeline.floor(), timeline.ceiling());
    let conflict = match (floor, ceiling) {
        (Some((floor, floor_window)), Some((ceiling, ceiling_window))) if floor > ceiling => Some(Conflict {
            floor_window: floor_window.name.clone(),
            ceiling_window: ceiling_window.name.clone(),
        }),
        _ => None,
    };
    Evaluation {
        floor: floor.map(|(replicas, _)| replicas),
        ceiling: ceiling.map(|(replicas, _)| replicas),
        conflict,
        active: timeline
            .active()
            .map(|(window, occurrence, state)| ActiveWindow::of(window, &occurrence, state))
            .collect(),
        next_edge: timeline.states.iter().filter_map(|state| state.next_edge).min(),
        next_transition: next_transition(&mut timeline, now),
    }
}

/// The replicas that are wanted: at most the ceiling, and at least the floor whatever the ceiling says.
#[must_use]
pub fn clamp(replicas: u32, evaluation: &Evaluation) -> u32 {
    replicas
        .min(evaluation.ceiling.unwrap_or(u32::MAX))
        .max(evaluation.floor.unwrap_or(0))
}

impl ActiveWindow {
    fn of(window: &Window, occurrence: &Occurrence, state: &WindowState) -> Self {
        Self {
            name: window.name.clone(),
            phase: state.phase(),
            opens_at: occurrence.opens_at,
            raised_at: window.raised_at(occurrence),
            closes_at: occurrence.closes_at,
            min_replicas: state.floor,
            max_replicas: window.max_replicas,
        }
    }
}

/// Walks to the first instant at which floor or ceiling differ from what they are now.
fn next_transition(timeline: &mut Timeline<'_>, now: DateTime<Utc>) -> Option<Transition> {
    let replicas = |limit: Option<(u32, &Window)>| limit.map(|(replicas, _)| replicas);
    let before = (replicas(timeline.floor()), replicas(timeline.ceiling()));
    for _ in 0..MAX_TRANSITION_STEPS {
        let at = timeline.advance_past(before.0, before.1)?;
        let (floor, ceiling) = (replicas(timeline.floor()), replicas(timeline.ceiling()));
        if (floor, ceiling) == before {
            if at - now > TimeDelta::days(TRANSITION_HORIZON_DAYS.into()) {
                return None;
            }
            continue;
        }
        let edges = timeline
            .windows
            .iter()
            .filter_map(|window| edge_at(window, at))
            .collect();
        return Some(Transition {
            at,
            floor,
            ceiling,
            edges,
        });
    }
    None
}

/// The phase that a window takes up at an instant, if it had another one just before.
fn edge_at(window: &Window, at: DateTime<Utc>) -> Option<TransitionEdge> {
    let of = |state: WindowState| (state.phase(), state.floor);
    let just_before = of(window.state_at(at.checked_sub_signed(TimeDelta::nanoseconds(1))?));
    let then = of(window.state_at(at));
    (then != just_before).then(|| TransitionEdge {
        window: window.name.clone(),
        phase: then.0,
    })
}

impl WindowState {
    pub(crate) fn phase(&self) -> Phase {
        match (self.open, self.raised, self.ramping) {
            (Some(_), ..) => Phase::Open,
            (None, Some(_), _) => Phase::Raised,
            (None, None, Some(_)) => Phase::RampingDown,
            (None, None, None) => Phase::Closed,
        }
    }
}

/// Whether the next edge of a window may change floor or ceiling: it would raise the one or lower the other, or it is one of those that
/// hold them.
fn may_change(window: &Window, state: &WindowState, floor: Option<u32>, ceiling: Option<u32>) -> bool {
    let raises = window.min_replicas > floor;
    let holds_floor = state.floor.is_some() && state.floor >= floor;
    let bounds = window
        .max_replicas
        .is_some_and(|max| ceiling.is_none_or(|ceiling| max < ceiling || (max == ceiling && state.open.is_some())));
    raises || holds_floor || bounds
}

/// The states of all windows, moved from edge to edge.
pub(crate) struct Timeline<'windows> {
    windows: &'windows [Window],
    states: Vec<WindowState>,
}

impl<'windows> Timeline<'windows> {
    pub(crate) fn at(windows: &'windows [Window], instant: DateTime<Utc>) -> Self {
        Self {
            windows,
            states: windows.iter().map(|window| window.state_at(instant)).collect(),
        }
    }

    /// The first instant at which a window may ask for something else.
    pub(crate) fn steady_until(&self) -> Option<DateTime<Utc>> {
        self.states.iter().filter_map(|state| state.steady_until).min()
    }

    /// Moves to [`Self::steady_until`]; only windows that may change there are looked at again.
    pub(crate) fn advance(&mut self) -> Option<DateTime<Utc>> {
        let edge = self.steady_until()?;
        for (window, state) in self.windows.iter().zip(&mut self.states) {
            if state.steady_until == Some(edge) {
                *state = window.state_at(edge);
            }
        }
        Some(edge)
    }

    /// Moves to the first instant at which a window may change floor or ceiling while they are these. The edges of a window that is below
    /// the floor all the while, and above the ceiling, lead nowhere, however many there are.
    fn advance_past(&mut self, floor: Option<u32>, ceiling: Option<u32>) -> Option<DateTime<Utc>> {
        let windows = self.windows.iter().zip(&self.states);
        let edge = windows
            .filter(|(window, state)| may_change(window, state, floor, ceiling))
            .filter_map(|(_, state)| state.steady_until)
            .min()?;
        for (window, state) in self.windows.iter().zip(&mut self.states) {
            if state.steady_until.is_some_and(|until| until <= edge) {
                *state = window.state_at(edge);
            }
        }
        Some(edge)
    }

    /// The largest minimum that counts; of equal ones, the first.
    pub(crate) fn floor(&self) -> Option<(u32, &'windows Window)> {
        let minimums = self.windows.iter().zip(&self.states);
        minimums
            .filter_map(|(window, state)| Some((state.floor?, window)))
            .reduce(|one, other| if other.0 > one.0 { other } else { one })
    }

    /// The smallest maximum of the windows that are open; of equal ones, the first.
    pub(crate) fn ceiling(&self) -> Option<(u32, &'windows Window)> {
        let maximums = self
            .windows
            .iter()
            .zip(&self.states)
            .filter(|(_, state)| state.phase() == Phase::Open);
        maximums
            .filter_map(|(window, _)| Some((window.max_replicas?, window)))
            .reduce(|one, other| if other.0 < one.0 { other } else { one })
    }

    /// Windows that are not closed, with the occurrence that makes them so.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&'windows Window, Occurrence, &WindowState)> {
        self.windows.iter().zip(&self.states).filter_map(|(window, state)| {
            let occurrence = state.open.or(state.raised).or(state.ramping)?;
            Some((window, occurrence, state))
        })
    }
}
