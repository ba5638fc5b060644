//! A sample of zones, years and expressions against the minute-by-minute watch. The full product of all zones, ten years and all
//! expressions is the same function with other numbers, see [`crate::size`].

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::oracle::{Case, Clock, End, Start};
use crate::size;

/// Windows with many edges that a small run compares over each of its years: one of them takes as long as all others together.
const DENSE_SAMPLE: usize = 3;
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
        ("*/20 * * * *", End::Minutes(19)),
        ("0 */2 * * *", End::Minutes(90)),
        ("0 */2 * * *", hours(2)),
        ("7 */3 * * *", End::Minutes(179)),
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

/// A whole year, in which all windows with few edges and some with many are compared, and then all of them around each change of the clock.
fn check_year(zone: Tz, year: i32, dense: usize, random: &mut StdRng) {
    let from = NaiveDate::from_ymd_opt(year, 1, 1).unwrap() - MARGIN;
    let clock = Clock::watch(zone, from, 365 + 2 * MARGIN.num_days());
    let instants: Vec<usize> = (0..6).map(|_| random.random_range(0..365 * 1440)).collect();
    check_cases(&clock, &fixed_cases(), &instants, random);
    let dense: Vec<_> = dense_cases().choose_multiple(random, dense).copied().collect();
    check_cases(&clock, &dense, &instants, random);
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
            panic!("seed {}: {difference}", size::seed());
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
            panic!("seed {}: {difference}", size::seed());
        }
    }
}

/// What is drawn for a zone and a year: the same in a run of all and in one of this zone alone.
fn random_of(zone: Tz, year: i32) -> StdRng {
    let name = zone.name().bytes().fold(size::seed(), |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
    });
    StdRng::seed_from_u64(name.wrapping_add(year.unsigned_abs().into()))
}

#[test]
fn hard_changes_of_the_clock_equal_a_minute_by_minute_watch() {
    for (zone, year) in HARD {
        let zone = zone.parse().unwrap();
        check_changes(zone, year, &mut random_of(zone, year));
    }
}

#[test]
fn sampled_zones_equal_a_minute_by_minute_watch() {
    let wanted = size::zones().min(TZ_VARIANTS.len());
    let is_small = size::years().is_none();
    println!("seed {}, {wanted} zones", size::seed());
    let mut random = StdRng::seed_from_u64(size::seed());
    let zones: Vec<Tz> = TZ_VARIANTS.choose_multiple(&mut random, wanted).copied().collect();
    let work: Vec<(Tz, Range<i32>)> = match size::years() {
        Some(years) => in_full(zones, 2026..2026 + years, &mut random),
        None => zones
            .into_iter()
            .map(|zone| (zone, one_of(2020..2037, &mut random)))
            .collect(),
    };
    let dense = if is_small { DENSE_SAMPLE } else { usize::MAX };
    let record = Record::open();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((zone, years)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if record.has(*zone) {
                        continue;
                    }
                    for year in years.clone() {
                        check_year(*zone, year, dense, &mut random_of(*zone, year));
                    }
                    println!("{zone}, {years:?}: equal");
                    record.add(*zone);
                }
            });
        }
    });
    let zone_years: usize = work.iter().map(|(_, years)| years.len()).sum();
    let in_full = work.iter().filter(|(_, years)| years.len() > 1).count();
    println!("verified: zones {wanted}\nverified: zones_of_their_own {in_full}\nverified: zone_years {zone_years}");
}

fn one_of(years: Range<i32>, random: &mut StdRng) -> Range<i32> {
    let year = random.random_range(years);
    year..year + 1
}

/// All years of each zone whose clock is like that of none before, and one year of each other zone: most names of the database stand
/// for a clock that another one has, too, as far as these years go, and a zone is read by its clock alone.
fn in_full(zones: Vec<Tz>, years: Range<i32>, random: &mut StdRng) -> Vec<(Tz, Range<i32>)> {
    let day = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
    let (from, to) = (day(years.start) - MARGIN, day(years.end) + MARGIN);
    let mut clocks = HashSet::new();
    zones
        .into_iter()
        .map(|zone| {
            let clock = Clock::watch(zone, from, (to - from).num_days());
            let years = if clocks.insert(clock.shown()) {
                years.clone()
            } else {
                one_of(years.clone(), random)
            };
            (zone, years)
        })
        .collect()
}

/// The zones that an interrupted run has compared.
struct Record {
    before: HashSet<String>,
    file: Option<Mutex<File>>,
}

impl Record {
    fn open() -> Self {
        let path = size::record();
        let before = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        Self {
            before: before.unwrap_or_default().lines().map(str::to_owned).collect(),
            file: path.map(|path| Mutex::new(File::options().create(true).append(true).open(path).unwrap())),
        }
    }

    fn has(&self, zone: Tz) -> bool {
        self.before.contains(zone.name())
    }

    fn add(&self, zone: Tz) {
        if let Some(file) = &self.file {
            writeln!(file.lock().unwrap(), "{zone}").unwrap();
        }
    }
}
