//! Five-field cron expressions: which local minutes they name.
//!
//! The grammar is that of Vixie cron, as in `crontab(5)`: lists, ranges, steps, three-letter names, `@daily` and its kin. What other
//! cron dialects add (seconds, years, `?`, `L`, `W`, `#`, wrapped ranges, `5/15`) is refused with the words to write instead, because
//! dialects disagree about what those mean.

use std::ops::Range;

use chrono::{Datelike, NaiveDate};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Longest accepted expression, in bytes.
const MAX_LENGTH: usize = 256;
/// Minutes of a local day.
pub(crate) const MINUTES_PER_DAY: u32 = 24 * 60;

/// Why a cron expression is not accepted, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CronError {
    /// The expression is empty.
    #[error("is empty; write five fields, for example \"0 8 * * MON-FRI\"")]
    Empty,
    /// The expression is longer than any sensible one.
    #[error("is longer than {MAX_LENGTH} bytes; split it into several windows")]
    TooLong,
    /// The number of fields is not five.
    #[error(
        "has {found} field(s) but needs five: minute, hour, day of month, month, day of week, for example \
         \"0 8 * * MON-FRI\"; there is no field for seconds or years"
    )]
    FieldCount {
        /// Fields that were found.
        found: usize,
    },
    /// A time zone stands in front of the fields.
    #[error("names a time zone; write it into timeZone instead")]
    TimeZonePrefix,
    /// A `@` word that is not a calendar rule.
    #[error(
        "\"{word}\" is not known; write one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, or five fields"
    )]
    UnknownMacro {
        /// The word as written.
        word: String,
    },
    /// One item of one field is not understood.
    #[error("{field} \"{item}\": {remedy}")]
    Item {
        /// Which field.
        field: &'static str,
        /// The item as written.
        item: String,
        /// What to write instead.
        remedy: String,
    },
    /// The fields are well formed, but name no day that exists.
    #[error(
        "never fires: no month that it names has such a day of month; write a day that exists, for example \"0 0 28 2 *\""
    )]
    NeverFires,
}

/// One of the five fields: its bounds and its names.
struct FieldKind {
    name: &'static str,
    lowest: u32,
    highest: u32,
    /// Value of the first of `names`.
    first_name: u32,
    names: &'static [&'static str],
}

const MINUTE: FieldKind = FieldKind {
    name: "minute",
    lowest: 0,
    highest: 59,
    first_name: 0,
    names: &[],
};
const HOUR: FieldKind = FieldKind {
    name: "hour",
    lowest: 0,
    highest: 23,
    first_name: 0,
    names: &[],
};
const DAY_OF_MONTH: FieldKind = FieldKind {
    name: "day of month",
    lowest: 1,
    highest: 31,
    first_name: 0,
    names: &[],
};
const MONTH: FieldKind = FieldKind {
    name: "month",
    lowest: 1,
    highest: 12,
    first_name: 1,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
/// Sunday is 0, and 7 as well.
const DAY_OF_WEEK: FieldKind = FieldKind {
    name: "day of week",
    lowest: 0,
    highest: 7,
    first_name: 0,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

/// Days of each month in a leap year, January first.
const LONGEST_MONTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A parsed expression; bit `n` of a field is set when the field names the value `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: u64,
    hours: u64,
    days_of_month: u64,
    months: u64,
    /// Sunday is bit 0 only.
    days_of_week: u64,
    /// The field begins with `*`: then both day fields must agree, where otherwise one of them is enough.
    day_field_starred: bool,
    /// The hour field begins with `*`: then the expression follows the clock on the wall through daylight saving changes.
    hour_starred: bool,
}

impl Cron {
    pub(crate) fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CronError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(CronError::TooLong);
        }
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            return Err(CronError::TimeZonePrefix);
        }
        let text = if text.starts_with('@') {
            expand_macro(text)?
        } else {
            text
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
            return Err(CronError::FieldCount { found: fields.len() });
        };
        let days_of_week = parse_field(&DAY_OF_WEEK, day_of_week)?;
        let cron = Self {
            minutes: parse_field(&MINUTE, minute)?,
            hours: parse_field(&HOUR, hour)?,
            days_of_month: parse_field(&DAY_OF_MONTH, day_of_month)?,
            months: parse_field(&MONTH, month)?,
            days_of_week: (days_of_week | days_of_week >> 7) & 0x7f,
            day_field_starred: day_of_month.starts_with('*') || day_of_week.starts_with('*'),
            hour_starred: hour.starts_with('*'),
        };
        if cron.can_fire() {
            Ok(cron)
        } else {
            Err(CronError::NeverFires)
        }
    }

    /// Whether the hour field is `*` or `*/n`.
    pub(crate) fn hour_starred(&self) -> bool {
        self.hour_starred
    }

    /// Whether the expression names this date. With a `*` in one of the day fields both must agree; with neither, either is enough.
    pub(crate) fn matches_date(&self, date: NaiveDate) -> bool {
        if !has(self.months, date.month()) {
            return false;
        }
        let day_of_month = has(self.days_of_month, date.day());
        let day_of_week = has(self.days_of_week, date.weekday().num_days_from_sunday());
        if self.day_field_starred {
            day_of_month && day_of_week
        } else {
            day_of_month || day_of_week
        }
    }

    /// The first minute of the day in `minutes` that the expression names.
    pub(crate) fn first_minute_in(&self, minutes: Range<u32>) -> Option<u32> {
        let end = minutes.end.min(MINUTES_PER_DAY);
        if minutes.start >= end {
            return None;
        }
        (minutes.start / 60..=(end - 1) / 60)
            .filter(|hour| has(self.hours, *hour))
            .find_map(|hour| {
                let from = minutes.start.saturating_sub(hour * 60);
                let named = self.minutes >> from << from;
                let minute = hour * 60 + named.trailing_zeros();
                (named != 0 && minute < end).then_some(minute)
            })
    }

    /// The last minute of the day in `minutes` that the expression names.
    pub(crate) fn last_minute_in(&self, minutes: Range<u32>) -> Option<u32> {
        let end = minutes.end.min(MINUTES_PER_DAY);
        if minutes.start >= end {
            return None;
        }
        (minutes.start / 60..=(end - 1) / 60)
            .rev()
            .filter(|hour| has(self.hours, *hour))
            .find_map(|hour| {
                let until = (end - hour * 60).min(60);
                let named = self.minutes & ((1 << until) - 1);
                let minute = (hour * 60 + 63).checked_sub(named.leading_zeros())?;
                (named != 0 && minute >= minutes.start).then_some(minute)
            })
    }

    /// The longest pause between two minutes of one day that the expression names; 0 when it names only one.
    pub(crate) fn longest_pause_minutes(&self) -> u32 {
        let mut longest = 0;
        let mut previous = self.first_minute_in(0..MINUTES_PER_DAY);
        while let Some(minute) = previous {
            previous = self.first_minute_in(minute + 1..MINUTES_PER_DAY);
            longest = previous.map_or(longest, |next| longest.max(next - minute));
        }
        longest
    }

    /// Whether there is any date that the expression names, in any year.
    fn can_fire(&self) -> bool {
        if !self.day_field_starred && self.days_of_week != 0 {
            return true;
        }
        // Every date falls on every day of the week in some year, 29 February too, so only the length of months can exclude all.
        (1..=12)
            .zip(LONGEST_MONTHS)
            .any(|(month, length)| has(self.months, month) && (1..=length).any(|day| has(self.days_of_month, day)))
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits >> value & 1 == 1
}

fn expand_macro(word: &str) -> Result<&'static str, CronError> {
    match word.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        _ => Err(CronError::UnknownMacro { word: word.to_owned() }),
    }
}

fn parse_field(kind: &FieldKind, text: &str) -> Result<u64, CronError> {
    text.split(',')
        .try_fold(0, |bits, item| Ok(bits | parse_item(kind, item)?))
}

fn parse_item(kind: &FieldKind, item: &str) -> Result<u64, CronError> {
    let refuse = |remedy: String| CronError::Item {
        field: kind.name,
        item: item.to_owned(),
        remedy,
    };
    if item.is_empty() {
        return Err(refuse(
            "an item of the list is empty; remove the extra comma".to_owned(),
        ));
    }
    if item == "?" {
        return Err(refuse("write * instead of ?".to_owned()));
    }
    let (range, step) = match item.split_once('/') {
        None => (item, None),
        Some((range, step)) => match parse_number(step) {
            Some(step) if (1..=kind.highest).contains(&step) => (range, Some(step)),
            _ => {
                return Err(refuse(format!(
                    "the step after / must be a number from 1 to {}",
                    kind.highest
                )));
            }
        },
    };
    let (first, last) = if range == "*" {
        (kind.lowest, kind.highest)
    } else if let Some((first_text, last_text)) = range.split_once('-') {
        let first = parse_value(kind, first_text).map_err(refuse)?;
        let last = match parse_value(kind, last_text).map_err(refuse)? {
            // `FRI-SUN` can only mean the Sunday at the end of the week.
            0 if kind.highest == 7 && first > 0 => 7,
            last => last,
        };
        if first > last {
            return Err(refuse(format!(
                "the range runs backwards; write two, {first_text}-{top},{low}-{last_text}, or a list",
                top = kind.highest,
                low = kind.lowest
            )));
        }
        (first, last)
    } else {
        let value = parse_value(kind, range).map_err(refuse)?;
        if let Some(step) = step {
            return Err(refuse(format!(
                "a step needs a range; write {range}-{}/{step}",
                kind.highest
            )));
        }
        (value, value)
    };
    Ok((first..=last)
        .step_by(step.unwrap_or(1) as usize)
        .fold(0, |bits, value| bits | 1 << value))
}

/// A number within the field's bounds or one of its names; otherwise what to write instead.
fn parse_value(kind: &FieldKind, text: &str) -> Result<u32, String> {
    let upper = text.to_ascii_uppercase();
    if let Some(position) = (0..)
        .zip(kind.names)
        .find_map(|(position, name)| (*name == upper).then_some(position))
    {
        return Ok(kind.first_name + position);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_number(text)
            .filter(|value| (kind.lowest..=kind.highest).contains(value))
            .ok_or_else(|| format!("must be from {} to {}", kind.lowest, kind.highest));
    }
    let by_prefix = kind
        .names
        .iter()
        .find(|name| upper.len() > name.len() && upper.starts_with(**name));
    Err(match by_prefix {
        Some(name) => format!("write the three letters {name}"),
        None if kind.names.is_empty() => format!(
            "must be *, a number from {} to {}, or a list or range of them",
            kind.lowest, kind.highest
        ),
        None => format!(
            "must be *, a number from {} to {}, a name from {} to {}, or a list or range of them",
            kind.lowest,
            kind.highest,
            kind.names[0],
            kind.names[kind.names.len() - 1]
        ),
    })
}

/// Digits only: no sign, as `u32::from_str` would allow.
fn parse_number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
