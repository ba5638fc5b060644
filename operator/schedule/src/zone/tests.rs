use super::{LocalDay, Reading, nearest_name};

/// One line per piece: reading, local minutes, instant of the first of them.
#[track_caller]
fn check(zone: &str, date: &str, expected: &[&str]) {
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let lines: Vec<String> = LocalDay::of(zone.parse().unwrap(), date.parse().unwrap())
        .pieces
        .iter()
        .map(|piece| {
            let (from, to) = (clock(piece.minutes.start), clock(piece.minutes.end));
            format!("{:?} {from}-{to} {}", piece.reading, piece.at.format("%dT%H:%M:%SZ"))
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn most_days_show_every_minute_once() {
    check("UTC", "2026-03-29", &["Shown 00:00-24:00 29T00:00:00Z"]);
    check("Europe/Prague", "2026-03-28", &["Shown 00:00-24:00 27T23:00:00Z"]);
    check("Asia/Kathmandu", "2026-03-28", &["Shown 00:00-24:00 27T18:15:00Z"]);
    check("Pacific/Kiritimati", "2026-01-01", &["Shown 00:00-24:00 31T10:00:00Z"]);
}

#[test]
fn clocks_that_go_forward_skip_and_clocks_that_go_back_repeat() {
    check(
        "Europe/Prague",
        "2026-03-29",
        &[
            "Shown 00:00-02:00 28T23:00:00Z",
            "Skipped 02:00-03:00 29T01:00:00Z",
            "Shown 03:00-24:00 29T01:00:00Z",
        ],
    );
    check(
        "Europe/Prague",
        "2026-10-25",
        &[
            "Shown 00:00-03:00 24T22:00:00Z",
            "Repeated 02:00-03:00 25T01:00:00Z",
            "Shown 03:00-24:00 25T02:00:00Z",
        ],
    );
    // Lord Howe Island changes by half an hour.
    check(
        "Australia/Lord_Howe",
        "2026-10-04",
        &[
            "Shown 00:00-02:00 03T13:30:00Z",
            "Skipped 02:00-02:30 03T15:30:00Z",
            "Shown 02:30-24:00 03T15:30:00Z",
        ],
    );
}

#[test]
fn changes_at_midnight_belong_to_the_day_that_they_touch() {
    check(
        "America/Santiago",
        "2026-09-06",
        &["Skipped 00:00-01:00 06T04:00:00Z", "Shown 01:00-24:00 06T04:00:00Z"],
    );
    check(
        "America/Santiago",
        "2026-04-04",
        &["Shown 00:00-24:00 04T03:00:00Z", "Repeated 23:00-24:00 05T03:00:00Z"],
    );
    check("America/Santiago", "2026-04-05", &["Shown 00:00-24:00 05T04:00:00Z"]);
    // In Newfoundland clocks once went back at one minute past midnight, into the day before.
    check(
        "America/St_Johns",
        "2010-11-06",
        &["Shown 00:00-24:00 06T02:30:00Z", "Repeated 23:01-24:00 07T02:31:00Z"],
    );
    check(
        "America/St_Johns",
        "2010-11-07",
        &[
            "Shown 00:00-00:01 07T02:30:00Z",
            "Repeated 00:00-00:01 07T03:30:00Z",
            "Shown 00:01-24:00 07T03:31:00Z",
        ],
    );
}

#[test]
fn a_day_that_never_was_is_skipped_whole() {
    check("Pacific/Apia", "2011-12-30", &["Skipped 00:00-24:00 30T10:00:00Z"]);
    check("Pacific/Apia", "2011-12-31", &["Shown 00:00-24:00 30T10:00:00Z"]);
}

#[test]
fn the_ends_of_time_are_empty() {
    assert!(LocalDay::of(chrono_tz::UTC, chrono::NaiveDate::MAX).pieces.is_empty());
    assert!(LocalDay::of(chrono_tz::UTC, chrono::NaiveDate::MIN).pieces.is_empty());
}

#[test]
fn pieces_cover_every_minute_and_split_at_any_instant() {
    for (zone, date) in [
        ("Europe/Prague", "2026-03-29"),
        ("Europe/Prague", "2026-10-25"),
        ("America/St_Johns", "2010-11-07"),
    ] {
        for piece in LocalDay::of(zone.parse().unwrap(), date.parse().unwrap()).pieces {
            for minute in piece.minutes.clone() {
                let instant = piece.instant_of(minute);
                assert!(piece.minutes_until(instant).contains(&minute));
                assert!(!piece.minutes_after(instant).contains(&minute));
                let just_before = instant - chrono::TimeDelta::milliseconds(1);
                assert!(piece.minutes_after(just_before).contains(&minute));
                assert!(piece.reading == Reading::Skipped || piece.minutes_after(just_before).start == minute);
            }
        }
    }
}

#[test]
fn a_misspelt_zone_gets_a_suggestion() {
    assert_eq!(nearest_name("Europe/Pragu"), Some("Europe/Prague"));
    assert_eq!(nearest_name("europe/prague"), Some("Europe/Prague"));
    assert_eq!(nearest_name("Prague"), Some("Europe/Prague"));
    assert_eq!(nearest_name("New York"), Some("America/New_York"));
    assert_eq!(nearest_name("Amercia/New_York"), Some("America/New_York"));
    assert_eq!(nearest_name("utc"), Some("UTC"));
    assert_eq!(nearest_name(""), None);
    assert_eq!(nearest_name("the office in Brno"), None);
    assert_eq!(nearest_name(&"Europe/".repeat(1000)), None);
}
