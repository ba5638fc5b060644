//! The rules once more, written the slow way: a clock is watched minute by minute, nothing is searched and nothing is computed ahead.
//! It shares no code with the crate; of the time zone database it uses only the offset at an instant.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use springtide_schedule::{Dates, Window, WindowSpec, clamp, evaluate, preview};

/// Floor and ceiling.
type Limits = (Option<u32>, Option<u32>);

/// Minimum and maximum of every window that is compared.
pub(crate) const MIN: u32 = 3;
pub(crate) const MAX: u32 = 5;
/// Length of the previews that are compared, in minutes: an odd one, so that they begin at all times of day.
const PREVIEW_MINUTES: usize = 40 * 1440 + 37;

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Minutes(i64),
    Until(i64),
}

/// A window of the comparison, always with [`MIN`] and [`MAX`].
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) start: Start,
    pub(crate) end: End,
    pub(crate) lead_minutes: i64,
    /// How long the minimum falls after the end: a multiple of [`MIN`] minutes, so that it falls on whole ones.
    pub(crate) ramp_minutes: i64,
}

#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// An expression; days since 1970 that a calendar takes away, and that it adds.
    Cron {
        text: String,
        excluded: Vec<i64>,
        extra: Vec<i64>,
    },
    /// One local minute since 1970-01-01T00:00 local.
    Once(i64),
}

impl Start {
    pub(crate) fn cron(text: &str) -> Self {
        Self::Cron {
            text: text.to_owned(),
            excluded: Vec::new(),
            extra: Vec::new(),
        }
    }
}

fn date(day: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + TimeDelta::days(day)
}

/// What the clock of a zone shows at each minute of a stretch of time.
pub(crate) struct Clock {
    zone: Tz,
    /// Minutes since 1970 in UTC.
    first: i64,
    /// Local minutes since 1970-01-01T00:00 local, one for each minute from `first` on.
    local: Vec<i64>,
}

impl Clock {
    pub(crate) fn watch(zone: Tz, from: NaiveDate, days: i64) -> Self {
        let first = from.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() / 60;
        let local = (first..first + days * 1440).map(|minute| {
            let instant = DateTime::from_timestamp(minute * 60, 0).unwrap().naive_utc();
            minute + i64::from(zone.offset_from_utc_datetime(&instant).fix().local_minus_utc()).div_euclid(60)
        });
        Self {
            zone,
            first,
            local: local.collect(),
        }
    }

    /// Minutes at which the clock does not go on by one.
    pub(crate) fn changes(&self) -> Vec<usize> {
        (1..self.local.len())
            .filter(|index| self.local[*index] != self.local[*index - 1] + 1)
            .collect()
    }

    /// What it shows at first, and at each minute at which it does not go on by one: two clocks with the same are the same.
    pub(crate) fn shown(&self) -> Vec<(usize, i64)> {
        let first = std::iter::once(0);
        first
            .chain(self.changes())
            .map(|index| (index, self.local[index]))
            .collect()
    }

    /// Days since 1970 that the clock shows, without those at both ends.
    pub(crate) fn days(&self) -> std::ops::Range<i64> {
        self.local[0].div_euclid(1440) + 1..self.local[self.local.len() - 1].div_euclid(1440)
    }

    fn instant(&self, index: usize) -> DateTime<Utc> {
        DateTime::from_timestamp((self.first + index as i64) * 60, 0).unwrap()
    }
}

/// A cron expression as one table per field.
struct Tables {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    days_of_month: Vec<bool>,
    months: Vec<bool>,
    days_of_week: Vec<bool>,
    either_day: bool,
    follows_clock: bool,
}

impl Tables {
    fn read(text: &str) -> Self {
        let text = match text {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            other => other,
        };
        let mut text = text.to_uppercase();
        for (number, name) in ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"].iter().enumerate() {
            text = text.replace(name, &number.to_string());
        }
        for (number, name) in "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(' ').enumerate() {
            text = text.replace(name, &(number + 1).to_string());
        }
        let fields: Vec<&str> = text.split(' ').collect();
        assert_eq!(fields.len(), 5, "{text}");
        let table = |field: &str, low: usize, high: usize| -> Vec<bool> {
            let named = |value: usize| {
                field.split(',').any(|item| {
                    let (range, step) = item.split_once('/').unwrap_or((item, "1"));
                    let (first, last) = match range.split_once('-') {
                        _ if range == "*" => (low, high),
                        Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
                        None => (range.parse().unwrap(), range.parse().unwrap()),
                    };
                    first <= value && value <= last && (value - first).is_multiple_of(step.parse::<usize>().unwrap())
                })
            };
            (0..=high).map(|value| value >= low && named(value)).collect()
        };
        let mut days_of_week = table(fields[4], 0, 7);
        days_of_week[0] |= days_of_week[7];
        Self {
            minutes: table(fields[0], 0, 59),
            hours: table(fields[1], 0, 23),
            days_of_month: table(fields[2], 1, 31),
            months: table(fields[3], 1, 12),
            days_of_week,
            either_day: !fields[2].starts_with('*') && !fields[4].starts_with('*'),
            follows_clock: fields[1].starts_with('*'),
        }
    }

    fn names_day(&self, day: i64) -> bool {
        let date = date(day);
        let (by_month, by_week) = (
            self.days_of_month[date.day() as usize],
            self.days_of_week[date.weekday().num_days_from_sunday() as usize],
        );
        self.months[date.month() as usize]
            && if self.either_day {
                by_month || by_week
            } else {
                by_month && by_week
            }
    }
}

/// Runs of `(first minute, end minute)` in which each limit holds, as indices into the clock.
struct Expected {
    floor: Vec<Option<u32>>,
    ceiling: Vec<bool>,
}

impl Expected {
    fn of(clock: &Clock, case: &Case) -> Self {
        let tables = match &case.start {
            Start::Cron { text, .. } => Some(Tables::read(text)),
            Start::Once(_) => None,
        };
        let follows_clock = tables.as_ref().is_some_and(|tables| tables.follows_clock);
        let length = clock.local.len();
        let (mut floor, mut ceiling) = (vec![0_i32; length + 1], vec![0_i32; length + 1]);
        // Ends that wait for the clock to show a local minute: (start index, local minute).
        let mut waiting: Vec<(usize, i64)> = Vec::new();
        let mut close = |start: usize, end: usize| {
            if end > start {
                let raised = start.saturating_sub(case.lead_minutes as usize);
                (floor[raised], floor[end.min(length)]) = (floor[raised] + 1, floor[end.min(length)] - 1);
                (ceiling[start], ceiling[end.min(length)]) = (ceiling[start] + 1, ceiling[end.min(length)] - 1);
            }
        };
        let (mut named_day, mut day_is_named) = (i64::MIN, false);
        let mut names = |local: i64| {
            let (day, minute) = (local.div_euclid(1440), local.rem_euclid(1440) as usize);
            match (&case.start, &tables) {
                (Start::Cron { excluded, extra, .. }, Some(tables)) => {
                    if day != named_day {
                        let is_named = tables.names_day(day) || extra.contains(&day);
                        (named_day, day_is_named) = (day, is_named && !excluded.contains(&day));
                    }
                    day_is_named && tables.hours[minute / 60] && tables.minutes[minute % 60]
                }
                (Start::Once(only), _) => *only == local,
                (Start::Cron { .. }, None) => false,
            }
        };
        let mut highest = clock.local[0] - 1;
        for (index, &local) in clock.local.iter().enumerate() {
            // The clock jumped over `highest + 1 .. local`: an empty range unless it went forward.
            let jumped = if index > 0 && local > highest + 1 {
                highest + 1..local
            } else {
                local..local
            };
            waiting.retain(|(start, target)| {
                let reached = local == *target || jumped.contains(target);
                if reached {
                    close(*start, index);
                }
                !reached
            });
            let repeated = local <= highest;
            let mut starts: Vec<i64> = Vec::new();
            if !follows_clock {
                starts.extend(jumped.clone().filter(|skipped| names(*skipped)));
            }
            if (follows_clock || !repeated) && names(local) {
                starts.push(local);
            }
            for start in starts {
                match case.end {
                    End::Minutes(minutes) => close(index, index + minutes as usize),
                    End::Until(minute) => {
                        let today = start.div_euclid(1440) * 1440 + minute;
                        let target = if today > start { today } else { today + 1440 };
                        if !jumped.contains(&target) && target != local {
                            waiting.push((index, target));
                        }
                    }
                }
            }
            highest = highest.max(local);
        }
        for (start, _) in std::mem::take(&mut waiting) {
            close(start, length);
        }
        let held = |steps: Vec<i32>| {
            let mut depth = 0;
            steps[..length]
                .iter()
                .map(|step| {
                    depth += step;
                    depth > 0
                })
                .collect()
        };
        let held_floor: Vec<bool> = held(floor);
        let mut since_end = i64::MAX;
        let floor = held_floor.iter().enumerate().map(|(index, held)| {
            if *held {
                since_end = i64::MAX;
                return Some(MIN);
            }
            since_end = match index > 0 && held_floor[index - 1] {
                true => 0,
                false => since_end.saturating_add(1),
            };
            let left = case.ramp_minutes - since_end;
            // What is left of the minimum, as a share of the time that is left, rounded up.
            (left > 0).then(|| ((i64::from(MIN) * left + case.ramp_minutes - 1) / case.ramp_minutes) as u32)
        });
        Self {
            floor: floor.collect(),
            ceiling: held(ceiling),
        }
    }

    fn at(&self, index: usize) -> Limits {
        (self.floor[index], self.ceiling[index].then_some(MAX))
    }
}

impl Case {
    pub(crate) fn window(&self, zone: Tz) -> Window {
        let (duration, until) = match self.end {
            End::Minutes(minutes) => (Some(Duration::from_secs(60 * minutes as u64)), None),
            End::Until(minute) => (None, Some(format!("{:02}:{:02}", minute / 60, minute % 60))),
        };
        let dates = |days: &[i64]| days.iter().map(|day| date(*day)..=date(*day)).collect();
        let (start, at, calendars) = match &self.start {
            Start::Cron { text, excluded, extra } => {
                // As two calendars, of which one alone would be as good.
                let calendars = vec![
                    Dates {
                        excluded: dates(excluded),
                        extra: Vec::new(),
                    },
                    Dates {
                        excluded: Vec::new(),
                        extra: dates(extra),
                    },
                ];
                (text.clone(), None, calendars)
            }
            Start::Once(local) => {
                let (day, minute) = (local.div_euclid(1440), local.rem_euclid(1440));
                let at = format!("{}T{:02}:{:02}", date(day), minute / 60, minute % 60);
                (String::new(), Some(at), Vec::new())
            }
        };
        let spec = WindowSpec {
            name: "compared".into(),
            start,
            at,
            calendars,
            duration,
            until,
            time_zone: zone.name().into(),
            min_replicas: Some(MIN),
            max_replicas: Some(MAX),
            lead_time: Duration::from_secs(60 * self.lead_minutes as u64),
            ramp_down: Duration::from_secs(60 * self.ramp_minutes as u64),
            suspend: false,
        };
        Window::parse(&spec).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// Compares the preview of the inner part of a watched stretch (`margin_days` at both ends are left out: what began before the
    /// watch is unknown), and single evaluations at `instants`, given as minutes of the stretch.
    pub(crate) fn check(&self, clock: &Clock, margin_days: usize, instants: &[usize]) -> Result<(), String> {
        let windows = [self.window(clock.zone)];
        let expected = Expected::of(clock, self);
        let (from, to) = (margin_days * 1440, clock.local.len() - margin_days * 1440);
        let fail = |what: String| Err(format!("{self:?} in {}: {what}", clock.zone));

        let mut runs: Vec<(usize, Limits)> = Vec::new();
        for index in from..to {
            if runs.last().is_none_or(|(_, limits)| *limits != expected.at(index)) {
                runs.push((index, expected.at(index)));
            }
        }
        let mut segments: Vec<(DateTime<Utc>, Limits)> = Vec::new();
        // Piece by piece: a preview ends early after many edges, and it must not matter where one begins.
        for piece in (from..to).step_by(PREVIEW_MINUTES) {
            let end = to.min(piece + PREVIEW_MINUTES);
            for segment in preview(&windows, clock.instant(piece), clock.instant(end)) {
                if segments
                    .last()
                    .is_none_or(|(_, limits)| *limits != (segment.floor, segment.ceiling))
                {
                    segments.push((segment.from, (segment.floor, segment.ceiling)));
                }
            }
        }
        for position in 0..runs.len().max(segments.len()) {
            let wanted = runs
                .get(position)
                .map(|(index, limits)| (clock.instant(*index), *limits));
            let got = segments.get(position).copied();
            if wanted != got {
                return fail(format!(
                    "segment {position} is {got:?}, a minute-by-minute watch says {wanted:?}"
                ));
            }
        }

        for &index in instants.iter().filter(|index| (from..to).contains(index)) {
            let limits = expected.at(index);
            for second in [0, 59] {
                let now = clock.instant(index) + TimeDelta::seconds(second);
                let evaluation = evaluate(&windows, now);
                if (evaluation.floor, evaluation.ceiling) != limits || clamp(0, &evaluation) != limits.0.unwrap_or(0) {
                    return fail(format!(
                        "at {now} {evaluation:?}, a minute-by-minute watch says {limits:?}"
                    ));
                }
                let later = runs.partition_point(|(begin, _)| *begin <= index);
                let change = runs.get(later).map(|(begin, _)| clock.instant(*begin));
                let transition = evaluation.next_transition.map(|transition| transition.at);
                let agree =
                    transition == change || change.is_none() && transition.is_none_or(|at| at >= clock.instant(to));
                if !agree {
                    return fail(format!(
                        "at {now} the next transition is {transition:?}, a watch says {change:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
