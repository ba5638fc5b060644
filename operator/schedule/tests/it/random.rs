//! Random expressions against the minute-by-minute watch: around the days on which clocks change, and over whole years.

use chrono::NaiveDate;
use chrono_tz::TZ_VARIANTS;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::oracle::{Case, Clock, End, Start};
use crate::size;

/// Of so many random expressions one is compared over a whole year.
const CASES_PER_YEAR: u32 = 16;
/// Days watched before and after the change: the longest window and lead time below, and some days to compare.
const MARGIN_DAYS: i64 = 4;
const COMPARED_DAYS: i64 = 6;

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    let item = prop_oneof![
        value.clone().prop_map(|value| value.to_string()),
        (value.clone(), value).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        (low..=high, low..=high, 1..=high.max(2)).prop_map(move |(one, other, step)| {
            format!("{}-{}/{}", one.min(other), one.max(other), step.min(high))
        }),
        (1..=high.max(1)).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![2 => Just("*".to_owned()), 3 => proptest::collection::vec(item, 1..3).prop_map(|items| items.join(","))]
}

/// Days are seldom restricted, or little would start in the compared days.
fn day_field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("*".to_owned()), 1 => field(low, high)]
}

/// Hours in which clocks change, mostly.
fn hour_field() -> impl Strategy<Value = String> {
    prop_oneof![field(0, 23), field(0, 3), Just("*".to_owned())]
}

/// An expression, an end and a lead time in minutes.
type Shape = (String, End, i64);

fn any_shape() -> impl Strategy<Value = Shape> {
    let cron = (field(0, 59), hour_field(), day_field(1, 28), day_field(0, 7)).prop_map(
        |(minute, hour, day_of_month, day_of_week)| format!("{minute} {hour} {day_of_month} * {day_of_week}"),
    );
    let end = prop_oneof![
        (1..300_i64).prop_map(End::Minutes),
        (1..2_880_i64).prop_map(End::Minutes),
        (0..240_i64).prop_map(End::Until),
        (0..1_440_i64).prop_map(End::Until),
    ];
    let lead_minutes = prop_oneof![Just(0_i64), 1..120_i64, 1..=1_440_i64];
    (cron, end, lead_minutes)
}

/// Occurrences that just touch the next, or just do not.
fn touching_shape() -> impl Strategy<Value = Shape> {
    let by_minute = (2..=30_i64).prop_map(|step| (format!("*/{step} *"), step));
    let by_hour = (0..60, 1..=12_i64).prop_map(|(minute, step)| (format!("{minute} */{step}"), 60 * step));
    let times = prop_oneof![by_minute, by_hour];
    (times, day_field(0, 7), -2..=2_i64, 0..=2_i64).prop_map(|((times, pause), day_of_week, more, lead_minutes)| {
        (
            format!("{times} * * {day_of_week}"),
            End::Minutes((pause + more).max(1)),
            lead_minutes,
        )
    })
}

fn case() -> impl Strategy<Value = Case> {
    let ramp_minutes = prop_oneof![2 => Just(0_i64), 1 => (1..480_i64).prop_map(|steps| 3 * steps)];
    let shape = prop_oneof![4 => any_shape().boxed(), 1 => touching_shape().boxed()];
    (shape, ramp_minutes).prop_map(|((cron, end, lead_minutes), ramp_minutes)| Case {
        start: Start::cron(&cron),
        end,
        lead_minutes,
        ramp_minutes,
    })
}

/// The days around one of the year's changes of the clock, or around its middle where there is none.
fn days_of_change(zone: chrono_tz::Tz, year: i32, which: usize) -> NaiveDate {
    let new_year = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
    let days: Vec<NaiveDate> = new_year.iter_days().take(365).collect();
    let offset = |date: NaiveDate| {
        use chrono::{Offset, TimeZone};
        zone.offset_from_utc_datetime(&date.and_time(chrono::NaiveTime::MIN))
            .fix()
    };
    let changes: Vec<NaiveDate> = days
        .windows(2)
        .filter(|pair| offset(pair[0]) != offset(pair[1]))
        .map(|pair| pair[0])
        .collect();
    if changes.is_empty() {
        days[180]
    } else {
        changes[which % changes.len()]
    }
}

/// Runs `check` on as many inputs as a run compares, and on smaller ones once it fails.
fn compare<Input: Strategy>(cases: u32, input: &Input, check: impl Fn(Input::Value) -> Result<(), String>)
where
    Input::Value: std::fmt::Debug,
{
    let seed = size::seed();
    println!("seed {seed}, {cases} cases");
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = *b"springtide: a tide by the clock.";
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    match runner.run(input, |input| check(input).map_err(TestCaseError::fail)) {
        Ok(()) => println!("verified: random_cases {cases}"),
        Err(TestError::Fail(reason, input)) => panic!("seed {seed}: {reason}; smallest input {input:?}"),
        Err(TestError::Abort(reason)) => panic!("gave up: {reason}"),
    }
}

/// The case with days that a calendar takes away and that it adds, counted from the first of the watch.
fn with_calendar(mut case: Case, clock: &Clock, away: &[i64], more: &[i64]) -> Case {
    if let Start::Cron { excluded, extra, .. } = &mut case.start {
        let first = clock.days().start - 1;
        excluded.extend(away.iter().map(|day| first + day));
        extra.extend(more.iter().map(|day| first + day));
    }
    case
}

#[test]
fn random_expressions_equal_a_minute_by_minute_watch() {
    let input = (
        case(),
        0..TZ_VARIANTS.len(),
        2000..2037_i32,
        0..8_usize,
        proptest::collection::vec(0..14 * 1440_usize, 6),
        proptest::collection::vec(0..COMPARED_DAYS + 2 * MARGIN_DAYS, 0..3),
        proptest::collection::vec(0..COMPARED_DAYS + 2 * MARGIN_DAYS, 0..3),
    );
    compare(
        size::cases(),
        &input,
        |(case, zone, year, which, instants, away, more)| {
            let zone = TZ_VARIANTS[zone];
            let around = days_of_change(zone, year, which);
            let first = around - chrono::TimeDelta::days(MARGIN_DAYS + COMPARED_DAYS / 2);
            let clock = Clock::watch(zone, first, COMPARED_DAYS + 2 * MARGIN_DAYS);
            with_calendar(case, &clock, &away, &more)
                .check(&clock, MARGIN_DAYS as usize, &instants)
                .map_err(|difference| format!("{first}: {difference}"))
        },
    );
}

#[test]
fn random_expressions_equal_a_watch_of_a_whole_year() {
    let days = 365 + 2 * MARGIN_DAYS;
    let input = (
        case(),
        0..TZ_VARIANTS.len(),
        2000..2037_i32,
        proptest::collection::vec(0..365 * 1440_usize, 6),
        proptest::collection::vec(0..days, 0..30),
        proptest::collection::vec(0..days, 0..30),
    );
    let cases = (size::cases() / CASES_PER_YEAR).max(1);
    compare(cases, &input, |(case, zone, year, instants, away, more)| {
        let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap() - chrono::TimeDelta::days(MARGIN_DAYS);
        let clock = Clock::watch(TZ_VARIANTS[zone], first, days);
        with_calendar(case, &clock, &away, &more)
            .check(&clock, MARGIN_DAYS as usize, &instants)
            .map_err(|difference| format!("{year}: {difference}"))
    });
}
