use std::time::Duration;

use springtide_contract::drain::NodeState::{self, Draining, Ready};
use springtide_contract::drain::NodeStatus;

use super::{ENGINE_GONE_AFTER, Effect, Event, Outcome, Report, Settings, State, decide};

const SETTINGS: Settings = Settings {
    timeout: Duration::from_secs(60),
    poll_interval: Duration::from_secs(1),
};

/// A drain driven by hand, `script().on(Event::Called).does(…)`, checked by what each step makes the process do.
struct Script {
    state: State,
    now: Duration,
    effects: Vec<Effect>,
}

fn script() -> Script {
    Script {
        state: State::default(),
        now: Duration::from_secs(100),
        effects: Vec::new(),
    }
}

impl Script {
    fn on(mut self, event: Event) -> Self {
        let (state, effects) = decide(self.state, event, self.now, &SETTINGS);
        (self.state, self.effects) = (state, effects);
        self
    }

    fn after(mut self, seconds: u64) -> Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// To the instant for which the state asked.
    fn until_alarm(mut self) -> Self {
        self.now = self.state.wake_at().expect("a drain runs");
        self.on(Event::TimePassed)
    }

    #[track_caller]
    fn does(self, effects: &[Effect]) -> Self {
        assert_eq!(self.effects, effects);
        self
    }

    #[track_caller]
    fn answers(&self) -> &Report {
        match &self.effects[..] {
            [Effect::GiveUpAsking, Effect::Answer(report), ..] => report,
            other => panic!("no answer but {other:?}"),
        }
    }
}

fn status(state: NodeState, observed_by_frontend: bool, running_fragments: u64) -> Event {
    Event::Status(NodeStatus {
        state,
        observed_by_frontend,
        running_fragments,
        running_loads: 0,
        cut_off: false,
    })
}

fn absent() -> Event {
    Event::EngineAbsent("connection refused".into())
}

fn unclear() -> Event {
    Event::EngineUnclear("no answer within 5 s".into())
}

#[test]
fn a_call_cordons_then_waits_until_the_frontend_knows_and_nothing_runs() {
    let idle = script()
        .on(Event::Called)
        .does(&[Effect::AskToDrain])
        .on(status(Draining, false, 2))
        .does(&[])
        .until_alarm()
        .does(&[Effect::AskStatus])
        .on(status(Draining, true, 1))
        .does(&[])
        .until_alarm()
        .does(&[Effect::AskStatus])
        .on(status(Draining, true, 0));
    let report = idle.answers();
    assert_eq!((report.outcome, report.waited_seconds), (Outcome::Idle, 2.0));
    assert_eq!(idle.effects.len(), 2, "the process goes on");
    assert_eq!(idle.state, State::default());
}

#[test]
fn an_idle_node_that_the_frontend_has_not_seen_draining_is_not_done() {
    script()
        .on(Event::Called)
        .on(status(Draining, false, 0))
        .does(&[])
        .until_alarm()
        .does(&[Effect::AskStatus]);
}

#[test]
fn a_drain_that_the_frontend_was_told_to_force_is_not_waited_for_a_second_time() {
    let cut_off = |state| {
        Event::Status(NodeStatus {
            state,
            observed_by_frontend: false,
            running_fragments: 3,
            running_loads: 0,
            cut_off: true,
        })
    };
    // Before it drains, nobody has sent away what comes next.
    let forced = script()
        .on(Event::Called)
        .on(cut_off(NodeState::Ready))
        .does(&[])
        .until_alarm()
        .does(&[Effect::AskToDrain])
        .on(cut_off(Draining));
    let report = forced.answers();
    assert_eq!(report.outcome, Outcome::Forced);
    assert!(
        report.to_string().contains("forced after") && report.to_string().contains("fragments: 3"),
        "{report}"
    );
}

#[test]
fn the_deadline_answers_with_what_still_runs() {
    let late = script()
        .on(Event::Called)
        .on(status(Draining, true, 3))
        .after(60)
        .on(Event::TimePassed);
    let report = late.answers();
    assert_eq!(report.outcome, Outcome::Deadline);
    assert_eq!(
        report.last_status.as_ref().map(|status| status.running_fragments),
        Some(3)
    );
    assert_eq!(
        report.to_string(),
        "deadline after 60.0 s; last seen Draining, observed by the frontend: true, fragments: 3, loads: 0"
    );
}

#[test]
fn the_deadline_comes_even_while_a_question_has_no_answer() {
    let asked = script().on(Event::Called).does(&[Effect::AskToDrain]);
    assert_eq!(asked.state.wake_at(), Some(Duration::from_secs(160)));
    let report = asked.until_alarm().answers().clone();
    assert_eq!(
        (report.outcome, report.waited_seconds, report.last_status),
        (Outcome::Deadline, 60.0, None)
    );
}

#[test]
fn later_calls_share_the_drain_and_do_not_move_its_deadline() {
    let shared = script()
        .on(Event::Called)
        .on(status(Draining, true, 1))
        .after(30)
        .on(Event::Called)
        .does(&[]);
    assert_eq!(shared.state.wake_at(), Some(Duration::from_secs(101)));
    let late = shared.after(30).on(Event::TimePassed);
    assert_eq!(
        (late.answers().outcome, late.answers().waited_seconds),
        (Outcome::Deadline, 60.0)
    );
}

#[test]
fn a_call_after_the_answer_begins_another_drain() {
    script()
        .on(Event::Called)
        .on(status(Draining, true, 0))
        .after(5)
        .on(Event::Called)
        .does(&[Effect::AskToDrain]);
}

#[test]
fn an_engine_that_was_started_again_is_told_again() {
    script()
        .on(Event::Called)
        .on(status(Draining, true, 1))
        .until_alarm()
        .does(&[Effect::AskStatus])
        .on(status(Ready, true, 0))
        .does(&[])
        .until_alarm()
        .does(&[Effect::AskToDrain]);
}

#[test]
fn an_engine_that_is_gone_is_not_waited_for() {
    let mut gone = script().on(Event::Called).on(status(Draining, true, 1));
    for _ in 1..ENGINE_GONE_AFTER {
        gone = gone.until_alarm().does(&[Effect::AskStatus]).on(absent()).does(&[]);
    }
    gone = gone.until_alarm().on(absent());
    assert_eq!(gone.answers().outcome, Outcome::EngineGone);
    assert_eq!(gone.answers().last_error.as_deref(), Some("connection refused"));
}

#[test]
fn an_engine_that_is_silent_is_waited_for_until_the_deadline() {
    let mut silent = script().on(Event::Called);
    while silent.now < Duration::from_secs(158) {
        silent = silent.on(unclear()).does(&[]).until_alarm().does(&[Effect::AskToDrain]);
    }
    assert_eq!(silent.after(2).on(unclear()).answers().outcome, Outcome::Deadline);
}

#[test]
fn absences_count_only_in_a_row() {
    let mut flickering = script().on(Event::Called);
    for _ in 0..5 {
        for _ in 1..ENGINE_GONE_AFTER {
            flickering = flickering
                .on(absent())
                .does(&[])
                .until_alarm()
                .does(&[Effect::AskToDrain]);
        }
        flickering = flickering
            .on(unclear())
            .does(&[])
            .until_alarm()
            .does(&[Effect::AskToDrain]);
    }
}

#[test]
fn told_to_stop_at_rest_it_stops() {
    script().on(Event::ToldToStop).does(&[Effect::Exit]);
}

#[test]
fn told_to_stop_in_a_drain_it_answers_first() {
    let stopping = script()
        .on(Event::Called)
        .on(status(Draining, true, 1))
        .on(Event::ToldToStop)
        .does(&[]);
    let shared = stopping.on(Event::Called).does(&[]);
    let answered = shared
        .until_alarm()
        .does(&[Effect::AskStatus])
        .on(status(Draining, true, 0));
    assert_eq!(answered.answers().outcome, Outcome::Idle);
    assert_eq!(answered.effects.last(), Some(&Effect::Exit));
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    for event in [status(Draining, true, 0), absent(), unclear(), Event::TimePassed] {
        let quiet = script()
            .on(Event::Called)
            .on(status(Draining, true, 0))
            .on(event)
            .does(&[]);
        assert_eq!(quiet.state, State::default());
    }
}

#[test]
fn the_report_keeps_its_spelling() {
    let report = Report {
        outcome: Outcome::EngineGone,
        waited_seconds: 2.5,
        last_status: Some(NodeStatus {
            state: Draining,
            observed_by_frontend: false,
            running_fragments: 1,
            running_loads: 2,
            cut_off: false,
        }),
        last_error: Some("connection refused".into()),
    };
    let status =
        r#"{"state":"Draining","observedByFrontend":false,"runningFragments":1,"runningLoads":2,"cutOff":false}"#;
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        format!(
            r#"{{"outcome":"engineGone","waitedSeconds":2.5,"lastStatus":{status},"lastError":"connection refused"}}"#
        )
    );
}
