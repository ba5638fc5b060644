//! A sample of zones, years and expressions against the minute-by-minute watch. The full product of all zones and ten years is the
//! same function with other numbers: `SPRINGTIDE_SCHEDULE_ZONES` and `SPRINGTIDE_SCHEDULE_YEARS` set them.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::oracle::{Case, Clock, End, Start};

const SEED: u64 = 20_260_329;
/// Zones and years in which clocks do something that a program might not expect.
const HARD: [(&str, i32); 10] = [
    ("Europe/Prague", 2026),
    ("America/New_York", 2027),
    ("Australia/Lord_Howe", 2026), // half an hour
    ("America/Santiago", 2026),    // at midnight
    ("America/St_Johns", 2010),    // at one minute past midnight
    ("Pacific/Apia", 2011),        // a day that never was
    ("Antarctica/Troll", 2026),    // two hours
    ("Africa/Casablanca", 2027),   // summer time stops for Ramadan
    ("Asia/Pyongyang", 2015),      // half an hour, once
    ("Asia/Kathmandu", 2026),      // +05:45
];
/// Days watched on either side of the compared year: the longest window and the longest lead time of a case.
const MARGIN: TimeDelta = TimeDelta::days(8);

/// Windows with few edges.
fn fixed_cases() -> Vec<(&'static str, End)> {
    vec![
        ("30 2 * * *", End::Minutes(330)),
        ("30 2 * * *", until(8, 0)),
        ("30 2 * * *", until(2, 15)),
        ("30 2 * * *", until(2, 45)),
        ("15,45 2 * * *", until(2, 30)),
        ("30 6 * * 1-5", until(22, 10)),
        ("0 8 * * MON-FRI", until(18, 0)),
        ("45 23 * * SUN", until(1, 0)),
        ("0 0 * * *", until(0, 0)),
        ("@daily", hours(26)),
        ("0 0 1 * *", hours(7 * 24)),
        ("0 12 13 * FRI", hours(1)),
        ("0 2 */2 * MON", until(3, 0)),
        ("59 23 31 12 *", End::Minutes(3)),
    ]
}

/// Windows with many edges a day.
fn dense_cases() -> Vec<(&'static str, End)> {
    vec![
        ("0,30 0-3 * * *", End::Minutes(20)),
        ("* 1,2 * * *", End::Minutes(1)),
        ("* * * * *", End::Minutes(1)),
        ("*/20 * * * *", End::Minutes(10)),
        ("0 */2 * * *", End::Minutes(90)),
        ("0 */2 * * *", hours(2)),
        ("15 */3 * * *", until(2, 30)),
        ("*/30 * * * *", until(2, 15)),
        ("0 */12 * * *", until(23, 30)),
        ("@hourly", hours(1)),
        ("40 * * * 0,6", End::Minutes(45)),
    ]
}

fn hours(hours: i64) -> End {
    End::Minutes(hours * 60)
}

fn until(hour: i64, minute: i64) -> End {
    End::Until(hour * 60 + minute)
}

#[expect(clippy::disallowed_methods, reason = "sizes of a longer run")]
fn number_from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// A whole year, in which windows with few edges are compared, and then all kinds around each change of the clock.
fn check_year(zone: Tz, year: i32, random: &mut StdRng) {
    let from = NaiveDate::from_ymd_opt(year, 1, 1).unwrap() - MARGIN;
    let clock = Clock::watch(zone, from, 365 + 2 * MARGIN.num_days());
    let instants: Vec<usize> = (0..6).map(|_| random.random_range(0..365 * 1440)).collect();
    check_cases(&clock, &fixed_cases(), &instants, random);
    check_single_starts(&clock, &instants, random);
    check_changes(zone, year, random);
}

/// Two days on either side of each change of the clock in a year.
fn check_changes(zone: Tz, year: i32, random: &mut StdRng) {
    let new_year = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
    for change in Clock::watch(zone, new_year, 365).changes() {
        let first = new_year + TimeDelta::minutes(change as i64) - MARGIN - TimeDelta::days(2);
        let clock = Clock::watch(zone, first, 4 + 2 * MARGIN.num_days());
        let margin_minutes = MARGIN.num_minutes() as usize;
        let instants: Vec<usize> = (0..4)
            .map(|_| margin_minutes + random.random_range(1440..3 * 1440))
            .collect();
        check_cases(&clock, &[fixed_cases(), dense_cases()].concat(), &instants, random);
        check_single_starts(&clock, &instants, random);
    }
}

/// Windows that open once, mostly in the hours in which clocks change.
fn check_single_starts(clock: &Clock, instants: &[usize], random: &mut StdRng) {
    for end in [End::Minutes(90), hours(30), until(2, 30), until(18, 0)] {
        let minute = if random.random_bool(0.7) {
            random.random_range(0..240)
        } else {
            random.random_range(0..1440)
        };
        let case = Case {
            start: Start::Once(random.random_range(clock.days()) * 1440 + minute),
            end,
            lead_minutes: random.random_range(0..120),
            ramp_minutes: 3 * random.random_range(0..60),
        };
        if let Err(difference) = case.check(clock, MARGIN.num_days() as usize, instants) {
            panic!("seed {SEED}: {difference}");
        }
    }
}

fn check_cases(clock: &Clock, cases: &[(&str, End)], instants: &[usize], random: &mut StdRng) {
    for &(cron, end) in cases {
        let lead_minutes = *[0, 10, 45, 90, 1_440].choose(random).expect("the list is not empty");
        let ramp_minutes = *[0, 0, 3, 60, 1_440].choose(random).expect("the list is not empty");
        let mut some_days =
            |count: usize| -> Vec<i64> { (0..count).map(|_| random.random_range(clock.days())).collect() };
        let start = Start::Cron {
            text: cron.to_owned(),
            excluded: some_days(6),
            extra: some_days(6),
        };
        let case = Case {
            start,
            end,
            lead_minutes,
            ramp_minutes,
        };
        if let Err(difference) = case.check(clock, MARGIN.num_days() as usize, instants) {
            panic!("seed {SEED}: {difference}");
        }
    }
}

#[test]
fn hard_changes_of_the_clock_equal_a_minute_by_minute_watch() {
    let mut random = StdRng::seed_from_u64(SEED);
    for (zone, year) in HARD {
        check_changes(zone.parse().unwrap(), year, &mut random);
    }
}

#[test]
fn sampled_zones_equal_a_minute_by_minute_watch() {
    println!("seed {SEED}");
    let zones = number_from_environment("SPRINGTIDE_SCHEDULE_ZONES", 3).min(TZ_VARIANTS.len());
    let years = number_from_environment("SPRINGTIDE_SCHEDULE_YEARS", 1);
    let mut random = StdRng::seed_from_u64(SEED);
    for zone in TZ_VARIANTS.choose_multiple(&mut random.clone(), zones) {
        let first_year = if years == 1 {
            random.random_range(2020..2037)
        } else {
            2026
        };
        for year in first_year..first_year + years as i32 {
            check_year(*zone, year, &mut random);
        }
    }
}
