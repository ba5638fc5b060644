//! What a drain does next: a pure function of what it has seen so far and what happens now.
//!
//! Times are durations since the process began. A drain is one from the first call until the answer, whoever calls meanwhile; a call
//! after the answer begins another one, because an engine container can be started again in the same pod.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use springtide_contract::drain::{NodeState, NodeStatus};

#[cfg(test)]
mod tests;

/// Looks in a row at which nothing listened on the engine's port, after which there is no engine to wait for.
pub const ENGINE_GONE_AFTER: u32 = 5;

/// What does not change while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the first call until the answer, at most.
    pub timeout: Duration,
    /// Between an answer of the engine and the next question.
    pub poll_interval: Duration,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A hook asks for a drain and waits.
    Called,
    /// The engine answered.
    Status(NodeStatus),
    /// Nothing listens on the engine's port.
    EngineAbsent(String),
    /// The engine listens but gave no useful answer in time.
    EngineUnclear(String),
    /// The time of [`State::wake_at`] has come.
    TimePassed,
    /// The process should end.
    ToldToStop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the engine to drain; its answer comes as an event.
    AskToDrain,
    /// Ask the engine how it is; its answer comes as an event.
    AskStatus,
    /// Forget the question that has no answer yet.
    GiveUpAsking,
    /// Answer every hook that waits.
    Answer(Report),
    /// End the process.
    Exit,
}

/// Why a hook was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The node is drained: nothing is lost by stopping it.
    Idle,
    /// The deadline came first; what still ran is cut off.
    Deadline,
    /// The frontend was told not to wait any longer; what still ran is cut off.
    Forced,
    /// There is no engine any more.
    EngineGone,
}

/// What a hook is told; for people and logs, since the kubelet reads no answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Why the hook was answered.
    pub outcome: Outcome,
    /// From the first call until the answer.
    pub waited_seconds: f64,
    /// What the node last said about itself; absent when it never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<NodeStatus>,
    /// Why the last question had no answer, if it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Idle => "idle",
            Outcome::Deadline => "deadline",
            Outcome::Forced => "forced",
            Outcome::EngineGone => "engine gone",
        };
        write!(formatter, "{outcome} after {:.1} s", self.waited_seconds)?;
        if let (Outcome::Deadline | Outcome::Forced | Outcome::EngineGone, Some(status)) =
            (self.outcome, &self.last_status)
        {
            let NodeStatus {
                state,
                observed_by_frontend,
                running_fragments,
                running_loads,
                cut_off: _,
            } = status;
            write!(
                formatter,
                "; last seen {state:?}, observed by the frontend: {observed_by_frontend}, fragments: {running_fragments}, loads: {running_loads}"
            )?;
        }
        if let Some(error) = &self.last_error {
            write!(formatter, "; {error}")?;
        }
        Ok(())
    }
}

/// Everything that a drain remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    drain: Option<Drain>,
    /// The process ends once nobody waits.
    stopping: bool,
}

/// A drain between its first call and its answer.
#[derive(Clone, Debug, PartialEq)]
struct Drain {
    began: Duration,
    deadline: Duration,
    /// When to ask the engine next; `None` while a question has no answer.
    ask_at: Option<Duration>,
    /// The engine said that it drains.
    cordoned: bool,
    absent_in_a_row: u32,
    last_status: Option<NodeStatus>,
    last_error: Option<String>,
}

impl State {
    /// When [`Event::TimePassed`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let drain = self.drain.as_ref()?;
        Some(drain.ask_at.map_or(drain.deadline, |ask_at| ask_at.min(drain.deadline)))
    }
}

/// The next state, and what to do on the way there.
#[must_use]
pub fn decide(state: State, event: Event, now: Duration, settings: &Settings) -> (State, Vec<Effect>) {
    let State { drain, stopping } = state;
    match (drain, event) {
        (None, Event::Called) => {
            let drain = Drain {
                began: now,
                deadline: now.saturating_add(settings.timeout),
                ask_at: None,
                cordoned: false,
                absent_in_a_row: 0,
                last_status: None,
                last_error: None,
            };
            (
                State {
                    drain: Some(drain),
                    stopping,
                },
                vec![Effect::AskToDrain],
            )
        }
        (None, Event::ToldToStop) => (
            State {
                drain: None,
                stopping: true,
            },
            vec![Effect::Exit],
        ),
        // Answers and alarms of a drain that has ended.
        (None, Event::Status(_) | Event::EngineAbsent(_) | Event::EngineUnclear(_) | Event::TimePassed) => {
            (State { drain: None, stopping }, Vec::new())
        }
        (Some(drain), Event::ToldToStop) => (
            State {
                drain: Some(drain),
                stopping: true,
            },
            Vec::new(),
        ),
        // Later calls share the drain, its deadline and its answer.
        (Some(drain), Event::Called) => (
            State {
                drain: Some(drain),
                stopping,
            },
            Vec::new(),
        ),
        (Some(drain), event) => go_on(drain, event, stopping, now, settings),
    }
}

/// A drain that runs, and an event that concerns the engine or the clock.
fn go_on(mut drain: Drain, event: Event, stopping: bool, now: Duration, settings: &Settings) -> (State, Vec<Effect>) {
    match event {
        Event::Status(status) => {
            drain.absent_in_a_row = 0;
            drain.last_error = None;
            // An engine that was started again has forgotten that it drains, so it is told again.
            drain.cordoned = status.state == NodeState::Draining;
            let (drained, cut_off) = (status.is_drained(), drain.cordoned && status.cut_off);
            drain.last_status = Some(status);
            if drained || cut_off {
                let outcome = if drained { Outcome::Idle } else { Outcome::Forced };
                return end(drain, outcome, stopping, now);
            }
            drain.ask_at = Some(now.saturating_add(settings.poll_interval));
        }
        Event::EngineAbsent(error) => {
            drain.absent_in_a_row += 1;
            drain.last_error = Some(error);
            if drain.absent_in_a_row >= ENGINE_GONE_AFTER {
                return end(drain, Outcome::EngineGone, stopping, now);
            }
            drain.ask_at = Some(now.saturating_add(settings.poll_interval));
        }
        Event::EngineUnclear(error) => {
            // Something runs there and may be busy with the very work that is waited for.
            drain.absent_in_a_row = 0;
            drain.last_error = Some(error);
            drain.ask_at = Some(now.saturating_add(settings.poll_interval));
        }
        Event::TimePassed | Event::Called | Event::ToldToStop => {}
    }
    if now >= drain.deadline {
        return end(drain, Outcome::Deadline, stopping, now);
    }
    let effects = match drain.ask_at {
        Some(ask_at) if ask_at <= now => {
            drain.ask_at = None;
            vec![if drain.cordoned {
                Effect::AskStatus
            } else {
                Effect::AskToDrain
            }]
        }
        _ => Vec::new(),
    };
    (
        State {
            drain: Some(drain),
            stopping,
        },
        effects,
    )
}

fn end(drain: Drain, outcome: Outcome, stopping: bool, now: Duration) -> (State, Vec<Effect>) {
    let Drain {
        began,
        last_status,
        last_error,
        ..
    } = drain;
    let waited_seconds = now.saturating_sub(began).as_secs_f64();
    let mut effects = vec![
        Effect::GiveUpAsking,
        Effect::Answer(Report {
            outcome,
            waited_seconds,
            last_status,
            last_error,
        }),
    ];
    if stopping {
        effects.push(Effect::Exit);
    }
    (State { drain: None, stopping }, effects)
}
