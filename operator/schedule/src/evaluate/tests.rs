use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Phase, Window, WindowSpec, clamp, evaluate, preview};

const MINUTE: Duration = Duration::from_secs(60);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// `window("a", "0 8 * * *", "18:00").min(3).lead(10)`: a chain that ends in a [`Window`].
struct Draft(WindowSpec);

fn window(name: &str, start: &str, until: &str) -> Draft {
    Draft(WindowSpec {
        name: name.into(),
        start: start.into(),
        until: Some(until.into()),
        time_zone: "UTC".into(),
        ..WindowSpec::default()
    })
}

impl Draft {
    fn min(mut self, replicas: u32) -> Self {
        self.0.min_replicas = Some(replicas);
        self
    }

    fn max(mut self, replicas: u32) -> Self {
        self.0.max_replicas = Some(replicas);
        self
    }

    fn lead_minutes(mut self, minutes: u32) -> Self {
        self.0.lead_time = MINUTE * minutes;
        self
    }

    fn suspended(mut self) -> Self {
        self.0.suspend = true;
        self
    }

    fn done(&self) -> Window {
        Window::parse(&self.0).unwrap()
    }
}

/// Floor and ceiling at a time of 2026-01-05, a Monday.
#[track_caller]
fn check(windows: &[Window], time: &str, floor: Option<u32>, ceiling: Option<u32>) {
    let evaluation = evaluate(windows, at(&format!("2026-01-05T{time}Z")));
    assert_eq!((evaluation.floor, evaluation.ceiling), (floor, ceiling), "at {time}");
}

#[test]
fn without_windows_nothing_is_asked_for() {
    let evaluation = evaluate(&[], at("2026-01-05T08:00:00Z"));
    assert_eq!(
        (evaluation.floor, evaluation.ceiling, evaluation.conflict),
        (None, None, None)
    );
    assert!(evaluation.active.is_empty() && evaluation.next_transition.is_none() && evaluation.next_edge.is_none());
}

#[test]
fn the_floor_rises_a_lead_time_early_and_holds_until_the_end() {
    let windows = [window("peak", "0 8 * * *", "18:00").min(6).lead_minutes(10).done()];
    check(&windows, "07:49:59.999", None, None);
    check(&windows, "07:50:00", Some(6), None);
    check(&windows, "08:00:00", Some(6), None);
    check(&windows, "17:59:59.999", Some(6), None);
    check(&windows, "18:00:00", None, None);
}

#[test]
fn a_lead_time_does_not_lower_the_ceiling_early() {
    let windows = [window("quiet", "0 8 * * *", "18:00")
        .min(1)
        .max(2)
        .lead_minutes(30)
        .done()];
    check(&windows, "07:29:59", None, None);
    check(&windows, "07:30:00", Some(1), None);
    check(&windows, "07:59:59", Some(1), None);
    check(&windows, "08:00:00", Some(1), Some(2));
    check(&windows, "18:00:00", None, None);
    let only_maximum = [window("quiet", "0 8 * * *", "18:00").max(2).lead_minutes(30).done()];
    assert!(
        evaluate(&only_maximum, at("2026-01-05T07:45:00Z")).active.is_empty(),
        "without a minimum there is no lead"
    );
}

#[test]
fn overlapping_windows_give_the_largest_minimum_and_the_smallest_maximum() {
    let windows = [
        window("day", "0 8 * * *", "18:00").min(4).max(9).done(),
        window("close", "0 12 * * *", "14:00").min(6).max(12).done(),
        window("cap", "0 13 * * *", "20:00").max(8).done(),
    ];
    check(&windows, "08:00:00", Some(4), Some(9));
    check(&windows, "12:00:00", Some(6), Some(9));
    check(&windows, "13:00:00", Some(6), Some(8));
    check(&windows, "14:00:00", Some(4), Some(8));
    check(&windows, "18:00:00", None, Some(8));
    check(&windows, "20:00:00", None, None);
}

#[test]
fn a_floor_above_a_ceiling_wins_and_says_so() {
    let windows = [
        window("budget", "0 0 * * *", "00:00").max(3).done(),
        window("peak", "0 8 * * *", "18:00").min(6).done(),
        window("other peak", "0 8 * * *", "18:00").min(6).done(),
    ];
    let evaluation = evaluate(&windows, at("2026-01-05T09:00:00Z"));
    assert_eq!((evaluation.floor, evaluation.ceiling), (Some(6), Some(3)));
    let conflict = evaluation.conflict.clone().expect("the floor is above the ceiling");
    assert_eq!(
        (conflict.floor_window.as_str(), conflict.ceiling_window.as_str()),
        ("peak", "budget")
    );
    for replicas in [0, 3, 4, 6, 7, 100] {
        assert_eq!(clamp(replicas, &evaluation), 6);
    }
    assert_eq!(evaluate(&windows, at("2026-01-05T18:00:00Z")).conflict, None);
}

#[test]
fn replicas_are_clamped_between_floor_and_ceiling() {
    let windows = [window("day", "0 8 * * *", "18:00").min(4).max(9).done()];
    let open = evaluate(&windows, at("2026-01-05T09:00:00Z"));
    let closed = evaluate(&windows, at("2026-01-05T19:00:00Z"));
    for (replicas, wanted) in [(0, 4), (4, 4), (5, 5), (9, 9), (10, 9), (u32::MAX, 9)] {
        assert_eq!(clamp(replicas, &open), wanted);
        assert_eq!(clamp(replicas, &closed), replicas);
    }
}

#[test]
fn a_ceiling_of_zero_puts_compute_to_sleep() {
    let windows = [window("night", "0 22 * * *", "06:00").max(0).done()];
    assert_eq!(clamp(5, &evaluate(&windows, at("2026-01-05T23:00:00Z"))), 0);
    assert_eq!(clamp(5, &evaluate(&windows, at("2026-01-05T05:59:59Z"))), 0);
    assert_eq!(clamp(5, &evaluate(&windows, at("2026-01-05T06:00:00Z"))), 5);
}

#[test]
fn a_suspended_window_has_no_effect() {
    let windows = [window("peak", "0 8 * * *", "18:00").min(6).suspended().done()];
    let evaluation = evaluate(&windows, at("2026-01-05T09:00:00Z"));
    assert_eq!(evaluation, evaluate(&[], at("2026-01-05T09:00:00Z")));
}

#[test]
fn active_windows_say_since_when_and_until_when() {
    let windows = [window("peak", "0 8 * * *", "18:00").min(6).lead_minutes(10).done()];
    for (now, phase) in [
        ("2026-01-05T07:55:00Z", Phase::Raised),
        ("2026-01-05T08:00:00Z", Phase::Open),
    ] {
        let evaluation = evaluate(&windows, at(now));
        let [active] = &evaluation.active[..] else {
            panic!("one window is active: {evaluation:?}")
        };
        assert_eq!((active.name.as_str(), active.phase), ("peak", phase));
        assert_eq!(active.raised_at, at("2026-01-05T07:50:00Z"));
        assert_eq!(active.opens_at, at("2026-01-05T08:00:00Z"));
        assert_eq!(active.closes_at, at("2026-01-05T18:00:00Z"));
        assert_eq!((active.min_replicas, active.max_replicas), (Some(6), None));
    }
}

#[test]
fn the_next_transition_says_what_changes() {
    let windows = [window("peak", "0 8 * * MON", "18:00")
        .min(6)
        .max(9)
        .lead_minutes(10)
        .done()];
    let steps = [
        (
            "2026-01-04T12:00:00Z",
            "2026-01-05T07:50:00Z",
            Some(6),
            None,
            Phase::Raised,
        ),
        (
            "2026-01-05T07:50:00Z",
            "2026-01-05T08:00:00Z",
            Some(6),
            Some(9),
            Phase::Open,
        ),
        (
            "2026-01-05T08:00:00Z",
            "2026-01-05T18:00:00Z",
            None,
            None,
            Phase::Closed,
        ),
        (
            "2026-01-05T18:00:00Z",
            "2026-01-12T07:50:00Z",
            Some(6),
            None,
            Phase::Raised,
        ),
    ];
    for (now, then, floor, ceiling, phase) in steps {
        let transition = evaluate(&windows, at(now))
            .next_transition
            .expect("there is always a next Monday");
        assert_eq!(
            (transition.at, transition.floor, transition.ceiling),
            (at(then), floor, ceiling)
        );
        let [edge] = &transition.edges[..] else {
            panic!("one window: {transition:?}")
        };
        assert_eq!((edge.window.as_str(), edge.phase), ("peak", phase));
    }
}

#[test]
fn edges_that_change_nothing_are_no_transitions() {
    // Open without a pause, in 672 pieces a week: only the weekly window changes anything.
    let windows = [
        window("always", "*/15 * * * *", "00:00").min(2).done(),
        window("weekly", "0 8 * * SUN", "18:00").min(6).done(),
    ];
    let evaluation = evaluate(&windows, at("2026-01-05T08:07:00Z"));
    assert_eq!(evaluation.next_edge, Some(at("2026-01-05T08:15:00Z")));
    assert_eq!(
        evaluation.next_transition.expect("Sunday comes").at,
        at("2026-01-11T08:00:00Z")
    );
    let alone = evaluate(&windows[..1], at("2026-01-05T08:07:00Z"));
    assert_eq!((alone.floor, alone.next_transition), (Some(2), None));
}

#[test]
fn the_end_of_a_long_floor_is_told_however_often_a_smaller_window_opens_meanwhile() {
    let lasting = |mut draft: Draft, minutes: u32| {
        (draft.0.until, draft.0.duration) = (None, Some(MINUTE * minutes));
        draft
    };
    let week = lasting(window("week", "0 8 * * MON", "00:00").min(10), 120 * 60).done();
    let often = lasting(window("often", "*/10 * * * *", "00:00").min(3), 5).done();
    let caps = lasting(window("caps", "*/10 * * * *", "00:00").max(20), 5).done();
    let narrow = lasting(window("narrow", "0 8 * * MON", "00:00").max(12), 120 * 60).done();
    let monday = at("2026-01-05T08:00:00Z");
    let transition = evaluate(&[week.clone(), often.clone()], monday)
        .next_transition
        .unwrap();
    assert_eq!((transition.at, transition.floor), (at("2026-01-10T08:00:00Z"), Some(3)));
    let transition = evaluate(&[often, narrow, week, caps], monday).next_transition.unwrap();
    assert_eq!(
        (transition.at, transition.floor, transition.ceiling),
        (at("2026-01-10T08:00:00Z"), Some(3), Some(20))
    );
}

#[test]
fn a_lead_time_longer_than_the_pause_keeps_the_floor_up() {
    let windows = [window("peak", "0 8 * * *", "18:00").min(6).lead_minutes(24 * 60).done()];
    let segments = preview(&windows, at("2026-01-05T00:00:00Z"), at("2026-02-05T00:00:00Z"));
    assert_eq!(segments.len(), 1, "{segments:?}");
    assert_eq!(segments[0].floor, Some(6));
}

#[test]
fn a_window_can_be_longer_than_the_time_between_its_starts() {
    let mut draft = window("rolling", "0 8 * * MON", "00:00").min(3);
    (draft.0.until, draft.0.duration) = (None, Some(MINUTE * 60 * 24 * 8));
    let evaluation = evaluate(&[draft.done()], at("2026-01-05T09:00:00Z"));
    assert_eq!(
        evaluation.active[0].closes_at,
        at("2026-01-13T08:00:00Z"),
        "the occurrence that closes last"
    );
    assert_eq!(evaluation.next_transition, None);
}

#[test]
fn leap_days_are_found_years_ahead() {
    let windows = [window("leap", "0 8 29 2 *", "18:00").min(6).done()];
    let transition = evaluate(&windows, at("2096-03-01T00:00:00Z"))
        .next_transition
        .expect("2104 is a leap year");
    assert_eq!(transition.at, at("2104-02-29T08:00:00Z"));
}

#[test]
fn a_preview_has_no_gaps_and_joins_what_is_equal() {
    let windows = [
        window("day", "0 8 * * MON-FRI", "18:00").min(4).lead_minutes(15).done(),
        window("night", "0 22 * * *", "06:00").max(1).done(),
    ];
    let (from, to) = (at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    let lines: Vec<String> = preview(&windows, from, to)
        .iter()
        .map(|part| {
            let limits = format!("{:?}..{:?}", part.floor.unwrap_or(0), part.ceiling.unwrap_or(99));
            format!(
                "{}-{} {limits} {}",
                part.from.format("%H:%M"),
                part.to.format("%H:%M"),
                part.active.join("+")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "00:00-06:00 0..1 night",
            "06:00-07:45 0..99 ",
            "07:45-18:00 4..99 day",
            "18:00-22:00 0..99 ",
            "22:00-00:00 0..1 night"
        ]
    );
    assert!(preview(&windows, to, from).is_empty());
    assert!(preview(&windows, from, from).is_empty());
}

#[test]
fn the_ends_of_representable_time_do_not_panic() {
    let windows = [
        window("day", "0 8 * * *", "18:00")
            .min(4)
            .max(9)
            .lead_minutes(15)
            .done(),
        window("hours", "*/7 * * * *", "06:00").max(1).done(),
    ];
    for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let _ = evaluate(&windows, now);
    }
    assert!(
        preview(
            &windows,
            DateTime::<Utc>::MAX_UTC - TimeDelta::days(3),
            DateTime::<Utc>::MAX_UTC
        )
        .len()
            < 100
    );
}

#[test]
fn a_minimum_ramps_down_node_by_node_after_the_end() {
    let mut draft = window("peak", "0 8 * * *", "18:00").min(4);
    draft.0.ramp_down = MINUTE * 60;
    let windows = [draft.done()];
    for (time, floor) in [
        ("17:59:59", Some(4)),
        ("18:14:59", Some(4)),
        ("18:15:00", Some(3)),
        ("18:30:00", Some(2)),
        ("18:59:59", Some(1)),
        ("19:00:00", None),
    ] {
        check(&windows, time, floor, None);
    }
    let evaluation = evaluate(&windows, at("2026-01-05T18:20:00Z"));
    assert_eq!(evaluation.active[0].phase, Phase::RampingDown);
    assert_eq!(evaluation.active[0].min_replicas, Some(3));
    assert_eq!(evaluation.next_edge, Some(at("2026-01-05T18:30:00Z")));
    let transition = evaluation.next_transition.unwrap();
    assert_eq!((transition.at, transition.floor), (at("2026-01-05T18:30:00Z"), Some(2)));
    assert_eq!(
        transition.edges.len(),
        1,
        "the window is named, although its phase stays"
    );
    let floors: Vec<Option<u32>> = preview(&windows, at("2026-01-05T17:00:00Z"), at("2026-01-05T20:00:00Z"))
        .iter()
        .map(|segment| segment.floor)
        .collect();
    assert_eq!(floors, [Some(4), Some(3), Some(2), Some(1), None]);
}

#[test]
fn a_ramp_ends_when_the_next_lead_begins() {
    let mut draft = window("twice", "0 8,9 * * *", "08:30").min(4).lead_minutes(20);
    draft.0.until = None;
    draft.0.duration = Some(MINUTE * 30);
    draft.0.ramp_down = MINUTE * 40;
    let windows = [draft.done()];
    check(&windows, "08:39:59", Some(4), None);
    check(&windows, "08:40:00", Some(4), None);
    check(&windows, "09:45:00", Some(3), None);
    assert_eq!(
        evaluate(&windows, at("2026-01-05T08:45:00Z")).active[0].phase,
        Phase::Raised
    );
}

#[test]
fn calendars_take_days_away_and_add_some_and_taking_away_wins() {
    let date = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    let mut draft = window("weekdays", "0 8 * * MON-FRI", "18:00").min(3);
    draft.0.calendars = vec![
        crate::Dates {
            excluded: vec![date("2026-01-06")..=date("2026-01-07")],
            extra: vec![],
        },
        crate::Dates {
            excluded: vec![],
            extra: vec![
                date("2026-01-07")..=date("2026-01-07"),
                date("2026-01-10")..=date("2026-01-10"),
            ],
        },
    ];
    let windows = [draft.done()];
    let opens = |day: u32| {
        evaluate(&windows, at(&format!("2026-01-{day:02}T12:00:00Z")))
            .floor
            .is_some()
    };
    let open: Vec<u32> = (5..=12).filter(|day| opens(*day)).collect();
    assert_eq!(
        open,
        [5, 8, 9, 10, 12],
        "the 6th and 7th are holidays, the 10th is a working Saturday"
    );
}

#[test]
fn a_window_that_opens_once_opens_once() {
    let once = |zone: &str, at: &str| {
        let mut draft = window("fair", "", "18:00").min(8);
        (draft.0.time_zone, draft.0.at) = (zone.to_owned(), Some(at.to_owned()));
        draft.done()
    };
    let windows = [once("Europe/Prague", "2026-03-27T08:00")];
    let evaluation = evaluate(&windows, at("2026-01-05T00:00:00Z"));
    assert_eq!(evaluation.next_transition.unwrap().at, at("2026-03-27T07:00:00Z"));
    let after = evaluate(&windows, at("2026-03-27T17:00:00Z"));
    assert_eq!((after.floor, after.next_transition), (None, None));
    // 02:30 is skipped: it opens when clocks resume.
    let skipped = [once("Europe/Prague", "2026-03-29T02:30")];
    assert_eq!(evaluate(&skipped, at("2026-03-29T00:59:59Z")).floor, None);
    assert_eq!(evaluate(&skipped, at("2026-03-29T01:00:00Z")).floor, Some(8));
}
