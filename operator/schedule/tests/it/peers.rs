//! What went wrong elsewhere, one test for each failure, named after what it did to the user. An image without time zones: [`crate::tzdata`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use springtide_schedule::{Dates, Window, WindowSpec, clamp, evaluate, preview};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn prague(start: &str) -> WindowSpec {
    WindowSpec {
        name: "peak".into(),
        start: start.into(),
        time_zone: "Europe/Prague".into(),
        min_replicas: Some(10),
        ..WindowSpec::default()
    }
}

fn until(spec: WindowSpec, until: &str) -> Window {
    Window::parse(&WindowSpec {
        until: Some(until.into()),
        ..spec
    })
    .unwrap()
}

fn lasting(spec: WindowSpec, duration: Duration) -> Window {
    Window::parse(&WindowSpec {
        duration: Some(duration),
        ..spec
    })
    .unwrap()
}

fn floor(window: &Window, now: &str) -> Option<u32> {
    evaluate(std::slice::from_ref(window), at(now)).floor
}

/// Minutes with a floor between two instants.
fn floor_minutes(window: &Window, from: &str, to: &str) -> i64 {
    preview(std::slice::from_ref(window), at(from), at(to))
        .iter()
        .filter(|segment| segment.floor.is_some())
        .map(|segment| (segment.to - segment.from).num_minutes())
        .sum()
}

#[test]
fn keda_4677_a_weekday_window_paid_for_compute_from_friday_to_sunday() {
    let window = until(prague("30 6 * * 1-5"), "22:10");
    assert_eq!(floor(&window, "2026-01-09T22:09:59+01:00"), Some(10), "Friday evening");
    assert_eq!(floor(&window, "2026-01-09T22:10:00+01:00"), None);
    assert_eq!(
        floor_minutes(&window, "2026-01-09T22:10:00+01:00", "2026-01-12T06:30:00+01:00"),
        0,
        "the weekend"
    );
    assert_eq!(floor(&window, "2026-01-12T06:30:00+01:00"), Some(10), "Monday morning");
}

#[test]
fn keda_a_skipped_hour_opened_the_window_a_day_early_and_for_1290_minutes() {
    for window in [
        until(prague("30 2 * * *"), "08:00"),
        lasting(prague("30 2 * * *"), minutes(330)),
    ] {
        assert_eq!(
            floor_minutes(&window, "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"),
            330,
            "the day before"
        );
    }
    let by_clock = until(prague("30 2 * * *"), "08:00");
    assert_eq!(
        floor_minutes(&by_clock, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        300,
        "from 03:00 to 08:00"
    );
    assert_eq!(floor(&by_clock, "2026-03-29T01:59:59+01:00"), None);
    assert_eq!(
        floor(&by_clock, "2026-03-29T03:00:00+02:00"),
        Some(10),
        "the first instant after the skipped hour"
    );
    assert_eq!(floor(&by_clock, "2026-03-29T08:00:00+02:00"), None);
    let by_duration = lasting(prague("30 2 * * *"), minutes(330));
    assert_eq!(
        floor(&by_duration, "2026-03-29T08:29:59+02:00"),
        Some(10),
        "elapsed time from 03:00"
    );
    assert_eq!(floor(&by_duration, "2026-03-29T08:30:00+02:00"), None);
}

#[test]
fn keda_5688_compute_was_still_there_minutes_after_the_end() {
    let window = until(prague("0 8 * * *"), "18:00");
    let evaluation = evaluate(std::slice::from_ref(&window), at("2026-01-09T18:00:00+01:00"));
    assert_eq!((evaluation.floor, clamp(2, &evaluation)), (None, 2));
}

#[test]
fn keda_6665_compute_flapped_when_one_window_handed_over_to_the_next() {
    let morning = until(prague("0 8 * * *"), "12:00");
    let afternoon = until(
        WindowSpec {
            name: "noon".into(),
            min_replicas: Some(12),
            lead_time: minutes(10),
            ..prague("0 12 * * *")
        },
        "18:00",
    );
    let floors: Vec<Option<u32>> = preview(
        &[morning, afternoon],
        at("2026-01-09T07:00:00+01:00"),
        at("2026-01-09T19:00:00+01:00"),
    )
    .iter()
    .map(|segment| segment.floor)
    .fold(Vec::new(), |mut floors, floor| {
        if floors.last() != Some(&floor) {
            floors.push(floor);
        }
        floors
    });
    assert_eq!(floors, [None, Some(10), Some(12), None]);
}

#[test]
fn cron_hpa_87_a_minimum_was_not_raised_because_there_was_enough_at_the_tick() {
    let window = until(prague("0 8 * * *"), "18:00");
    // Twenty replicas at the start are enough; the floor is there all the same, so what shrinks them later stops at ten.
    let evaluation = evaluate(std::slice::from_ref(&window), at("2026-01-09T08:00:00+01:00"));
    assert_eq!((evaluation.floor, clamp(20, &evaluation)), (Some(10), 20));
    let later = evaluate(std::slice::from_ref(&window), at("2026-01-09T11:00:00+01:00"));
    assert_eq!(clamp(3, &later), 10);
}

#[test]
fn cron_hpa_a_maximum_was_never_restored() {
    let spec = WindowSpec {
        min_replicas: None,
        max_replicas: Some(4),
        ..prague("0 8 * * *")
    };
    let window = until(spec, "18:00");
    let ceiling = |now: &str| evaluate(std::slice::from_ref(&window), at(now)).ceiling;
    assert_eq!(ceiling("2026-01-09T17:59:59+01:00"), Some(4));
    assert_eq!(ceiling("2026-01-09T18:00:00+01:00"), None);
}

#[test]
fn cron_hpa_83_windows_drifted_by_an_hour_with_the_zone_of_the_controller() {
    let office = until(prague("0 8 * * *"), "18:00");
    assert_eq!(floor(&office, "2026-01-09T07:00:00Z"), Some(10), "08:00 in winter");
    assert_eq!(floor(&office, "2026-01-09T06:59:59Z"), None);
    assert_eq!(floor(&office, "2026-07-09T06:00:00Z"), Some(10), "08:00 in summer");
    assert_eq!(floor(&office, "2026-07-09T05:59:59Z"), None);
    // Each window has a zone of its own.
    let new_york = until(
        WindowSpec {
            time_zone: "America/New_York".into(),
            ..prague("0 8 * * *")
        },
        "18:00",
    );
    assert_eq!(floor(&new_york, "2026-01-09T13:00:00Z"), Some(10));
    assert_eq!(floor(&new_york, "2026-01-09T12:59:59Z"), None);
}

#[test]
fn cron_hpa_an_edge_that_was_missed_was_missed_for_good() {
    let window = lasting(
        WindowSpec {
            lead_time: minutes(15),
            ..prague("0 8 * * MON-FRI")
        },
        minutes(600),
    );
    // Nobody looked when it was raised, opened or closed: each of these is the first look, far from every edge.
    assert_eq!(
        floor(&window, "2026-03-30T07:52:30+02:00"),
        Some(10),
        "its lead time runs"
    );
    assert_eq!(
        floor(&window, "2026-03-30T11:11:00+02:00"),
        Some(10),
        "it is open since hours"
    );
    assert_eq!(
        floor(&window, "2026-03-30T23:11:00+02:00"),
        None,
        "it is closed since hours"
    );
    let first_look = evaluate(std::slice::from_ref(&window), at("2026-03-30T11:11:00+02:00"));
    assert_eq!(first_look.active[0].opens_at, at("2026-03-30T08:00:00+02:00"));
    assert_eq!(first_look.next_edge, Some(at("2026-03-30T18:00:00+02:00")));
}

#[test]
fn cronjob_too_many_missed_starts_stopped_the_schedule() {
    // A CronJob gives up after 100 missed starts; here a year of them is nothing.
    let window = lasting(prague("*/5 * * * *"), minutes(2));
    let _ = evaluate(std::slice::from_ref(&window), at("2025-01-01T00:00:00Z"));
    assert_eq!(floor(&window, "2026-01-01T00:01:00Z"), Some(10));
    assert_eq!(floor(&window, "2026-01-01T00:02:00Z"), None);
}

#[test]
fn cronjob_a_start_that_was_seen_after_its_deadline_was_left_out() {
    // A CronJob whose controller comes back later than startingDeadlineSeconds leaves the run out until the next day.
    let windows = [until(
        WindowSpec {
            lead_time: minutes(15),
            ..prague("0 8 * * MON-FRI")
        },
        "18:00",
    )];
    let before_sleep = evaluate(&windows, at("2026-01-09T07:44:59+01:00"));
    assert_eq!(before_sleep.floor, None);
    for woken in ["07:45:00", "08:00:00", "08:00:01", "08:01:40", "11:11:11", "17:59:59"] {
        let evaluation = evaluate(&windows, at(&format!("2026-01-09T{woken}+01:00")));
        assert_eq!(evaluation.floor, Some(10), "awake again at {woken}");
        assert_eq!(evaluation.active[0].opens_at, at("2026-01-09T08:00:00+01:00"));
    }
    assert_eq!(
        floor(&windows[0], "2026-01-09T18:00:00+01:00"),
        None,
        "nor is it made up for after its end"
    );
}

#[test]
fn cron_hpa_an_excluded_date_took_another_day_away() {
    // Its dates were parsed as month, month, hour.
    let holiday = |day: &str| day.parse::<chrono::NaiveDate>().unwrap();
    let window = until(
        WindowSpec {
            calendars: vec![Dates {
                excluded: vec![holiday("2026-11-12")..=holiday("2026-11-12")],
                extra: Vec::new(),
            }],
            ..prague("0 8 * * *")
        },
        "18:00",
    );
    let days = ["2026-11-11", "2026-11-12", "2026-11-13", "2026-12-11"];
    let open = days.map(|day| floor(&window, &format!("{day}T12:00:00+01:00")).is_some());
    assert_eq!(open, [true, false, true, true]);
}

#[test]
fn cronjob_121594_a_start_in_the_repeated_hour_ran_twice() {
    let window = lasting(prague("30 2 * * *"), minutes(20));
    assert_eq!(floor(&window, "2026-10-25T02:30:00+02:00"), Some(10), "the first 02:30");
    assert_eq!(floor(&window, "2026-10-25T02:30:00+01:00"), None, "the second 02:30");
    assert_eq!(
        floor_minutes(&window, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        20
    );
}

#[test]
fn a_window_of_every_hour_follows_the_clock_through_both_passes_and_over_the_gap() {
    for start in ["30 * * * *", "30 */1 * * *"] {
        let window = lasting(prague(start), minutes(20));
        assert_eq!(
            floor_minutes(&window, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
            25 * 20
        );
        assert_eq!(
            floor_minutes(&window, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
            23 * 20
        );
        assert_eq!(floor(&window, "2026-03-29T03:00:00+02:00"), None, "no shift");
    }
}

#[test]
fn zalando_765_a_tolerance_of_ten_percent_left_compute_short() {
    let window = until(
        WindowSpec {
            min_replicas: Some(20),
            ..prague("0 8 * * *")
        },
        "18:00",
    );
    let evaluation = evaluate(std::slice::from_ref(&window), at("2026-01-09T09:00:00+01:00"));
    assert_eq!(clamp(19, &evaluation), 20, "nineteen are not twenty");
}

#[test]
fn karmada_3664_a_night_that_spans_midnight_and_a_month_stays_one_window() {
    let window = until(prague("0 22 * * *"), "06:00");
    assert_eq!(
        floor_minutes(&window, "2026-01-31T12:00:00+01:00", "2026-02-01T12:00:00+01:00"),
        480
    );
    let lead = WindowSpec {
        lead_time: minutes(30),
        ..prague("0 0 * * *")
    };
    assert_eq!(
        floor(&lasting(lead, minutes(60)), "2026-01-31T23:30:00+01:00"),
        Some(10),
        "the lead time begins the day before"
    );
}

#[test]
fn a_window_inside_the_skipped_hour_does_not_last_until_the_next_day() {
    let window = until(prague("10 2 * * *"), "02:50");
    assert_eq!(
        floor_minutes(&window, "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"),
        40
    );
    assert_eq!(
        floor_minutes(&window, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        0,
        "there was no such time"
    );
    assert_eq!(
        floor_minutes(&window, "2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00"),
        40
    );
}

#[test]
fn a_window_that_ends_in_the_repeated_hour_ends_the_first_time() {
    let window = until(prague("0 22 * * *"), "02:30");
    assert_eq!(floor(&window, "2026-10-25T02:29:59+02:00"), Some(10));
    assert_eq!(floor(&window, "2026-10-25T02:30:00+02:00"), None);
    assert_eq!(
        floor(&window, "2026-10-25T02:15:00+01:00"),
        None,
        "clocks show 02:15 again"
    );
}

#[test]
fn a_window_around_the_clock_has_no_hole_on_the_day_of_25_hours() {
    let window = until(prague("30 2 * * *"), "02:15");
    // Closed for fifteen minutes a day, and for the second 02:15 to 02:30 not at all.
    assert_eq!(
        floor_minutes(&window, "2026-10-25T02:30:00+02:00", "2026-10-26T02:15:00+01:00"),
        24 * 60 + 45
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a bound on the time that it takes")]
fn five_hundred_windows_are_evaluated_in_a_moment() {
    // The cost must not depend on how far the next edge is: this takes a tenth of a second, and minutes when every edge is walked.
    let starts = [
        "0 8 * * MON-FRI",
        "*/5 * * * *",
        "0 0 1 1 *",
        "0 0 29 2 *",
        "30 2 * * *",
    ];
    let windows: Vec<Window> = (0..500)
        .map(|index| lasting(prague(starts[index % starts.len()]), minutes(60 * 24 * 30)))
        .collect();
    let started = std::time::Instant::now();
    for now in [
        "2026-03-29T02:59:59+02:00",
        "2026-07-01T12:00:00Z",
        "2097-03-01T00:00:00Z",
    ] {
        let _ = evaluate(&windows, at(now));
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}
