//! The expressions against the `cron` crate, where the two agree about what an expression means: in UTC, with at most one of the day
//! fields restricted, days of the week by name.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use springtide_schedule::{Window, WindowSpec, preview};

#[test]
fn starts_in_utc_are_those_of_the_cron_crate() {
    let from: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let to = from + TimeDelta::days(800);
    let expressions = [
        "0 8 * * MON-FRI",
        "*/17 3 * * *",
        "5-50/15 */5 * * *",
        "0 0 29 2 *",
        "30 12 31 * *",
        "0 6,18 1-7 JAN,JUL *",
        "59 23 * DEC *",
        "0 9 * * SUN,WED",
    ];
    for expression in expressions {
        let peer = cron::Schedule::from_str(&format!("0 {expression}")).unwrap();
        // The crate looks strictly after an instant; every expression pauses for more than a minute, so each segment is one start.
        let theirs: Vec<DateTime<Utc>> = peer
            .after(&(from - TimeDelta::seconds(1)))
            .take_while(|at| *at < to)
            .collect();
        let spec = WindowSpec {
            name: "peer".into(),
            start: expression.into(),
            duration: Some(Duration::from_secs(60)),
            time_zone: "UTC".into(),
            min_replicas: Some(1),
            ..WindowSpec::default()
        };
        let segments = preview(&[Window::parse(&spec).unwrap()], from, to);
        let ours: Vec<DateTime<Utc>> = segments
            .iter()
            .filter(|part| part.floor.is_some())
            .map(|part| part.from)
            .collect();
        assert_eq!(ours, theirs, "{expression}");
    }
}
