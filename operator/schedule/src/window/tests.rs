use std::time::Duration;

use super::{MAX_DURATION, MAX_LEAD_TIME, Window, WindowSpec};

const HOUR: Duration = Duration::from_secs(3600);

fn spec() -> WindowSpec {
    WindowSpec {
        name: "morning".into(),
        start: "0 8 * * MON-FRI".into(),
        duration: Some(10 * HOUR),
        time_zone: "Europe/Prague".into(),
        min_replicas: Some(6),
        ..WindowSpec::default()
    }
}

/// The message begins with the field and contains each of the words.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut WindowSpec), field: &str, words: &[&str]) {
    let mut spec = spec();
    change(&mut spec);
    let error = Window::parse(&spec).expect_err("the window is wrong");
    let message = error.to_string();
    assert_eq!(error.field(), field, "{message}");
    assert!(message.starts_with(&format!("{field}: ")), "{message}");
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
}

#[test]
fn a_window_that_makes_sense_is_accepted() {
    let window = Window::parse(&spec()).unwrap();
    assert_eq!(window.name(), "morning");
    assert_eq!(window.time_zone(), "Europe/Prague");
    assert_eq!((window.min_replicas(), window.max_replicas()), (Some(6), None));
    assert!(!window.is_suspended());
    let at_the_bounds = WindowSpec {
        duration: Some(MAX_DURATION),
        lead_time: MAX_LEAD_TIME,
        max_replicas: Some(6),
        ..spec()
    };
    assert!(Window::parse(&at_the_bounds).is_ok());
    for until in ["00:00", "09:05", "23:59"] {
        assert!(
            Window::parse(&WindowSpec {
                duration: None,
                until: Some(until.into()),
                ..spec()
            })
            .is_ok()
        );
    }
}

#[test]
fn every_refusal_names_the_field_and_the_remedy() {
    let once = |spec: &mut WindowSpec, at: &str| {
        spec.start.clear();
        spec.at = Some(at.to_owned());
    };
    for at in [
        "tomorrow",
        "2026-12-24",
        "2026-12-24T08:00Z",
        "2026-12-24 08:00",
        "2026-02-30T08:00",
        "2026-12-24T8:00",
    ] {
        check_refused(|spec| once(spec, at), "at", &["YYYY-MM-DDTHH:MM", at]);
    }
    check_refused(
        |spec| spec.at = Some("2026-12-24T08:00".into()),
        "at",
        &["beside start"],
    );
    check_refused(
        |spec| {
            once(spec, "2026-12-24T08:00");
            spec.calendars.push(crate::Dates::default());
        },
        "calendars",
        &["leave calendars out"],
    );
    check_refused(|spec| spec.ramp_down = 25 * HOUR, "rampDown", &["24 h"]);
    check_refused(
        |spec| {
            (spec.min_replicas, spec.max_replicas, spec.ramp_down) = (None, Some(3), HOUR);
        },
        "rampDown",
        &["only with minReplicas"],
    );
    check_refused(|spec| spec.name.clear(), "name", &["is empty"]);
    check_refused(
        |spec| spec.start = "0 8 * *".into(),
        "start",
        &["needs five", "0 8 * * MON-FRI"],
    );
    check_refused(|spec| spec.start = "0 0 30 2 *".into(), "start", &["never fires"]);
    check_refused(
        |spec| spec.time_zone = "Europe/Pragu".into(),
        "timeZone",
        &["Europe/Pragu\" is not known", "did you mean \"Europe/Prague\"?"],
    );
    check_refused(
        |spec| spec.time_zone = "Prague".into(),
        "timeZone",
        &["did you mean \"Europe/Prague\"?"],
    );
    check_refused(|spec| spec.time_zone.clear(), "timeZone", &["IANA name"]);
    check_refused(|spec| spec.time_zone = "+02:00".into(), "timeZone", &["IANA name"]);
    check_refused(
        |spec| spec.until = Some("18:00".into()),
        "until",
        &["beside duration", "only one"],
    );
    check_refused(|spec| spec.duration = None, "duration", &["is missing", "until"]);
    check_refused(|spec| spec.duration = Some(Duration::ZERO), "duration", &["is zero"]);
    check_refused(
        |spec| spec.duration = Some(MAX_DURATION + HOUR),
        "duration",
        &["366 days"],
    );
    check_refused(|spec| spec.duration = Some(Duration::MAX), "duration", &["366 days"]);
    check_refused(|spec| spec.lead_time = MAX_LEAD_TIME + HOUR, "leadTime", &["24 h"]);
    check_refused(|spec| spec.lead_time = Duration::MAX, "leadTime", &["24 h"]);
    check_refused(
        |spec| spec.min_replicas = None,
        "minReplicas",
        &["maxReplicas", "at least one"],
    );
    check_refused(
        |spec| spec.max_replicas = Some(5),
        "minReplicas",
        &["6 is above maxReplicas 5"],
    );
    for until in [
        "", "24:00", "18", "18:60", "8:00", "18:00:00", "6 pm", "+8:00", "1８:00",
    ] {
        let change = |spec: &mut WindowSpec| (spec.duration, spec.until) = (None, Some(until.into()));
        check_refused(change, "until", &["HH:MM"]);
    }
}

#[test]
fn a_suspended_window_must_make_sense_too() {
    check_refused(
        |spec| (spec.suspend, spec.start) = (true, "nonsense".into()),
        "start",
        &[],
    );
}
