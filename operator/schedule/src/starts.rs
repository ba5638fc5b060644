//! When a window may start: the local dates and minutes that its expression and its calendars name, or the one that is written.

use std::ops::{Range, RangeInclusive};

use chrono::{NaiveDate, NaiveDateTime, Timelike};

use crate::cron::Cron;

/// Dates on which windows do not start, or start although their expression does not name the date; in the window's time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// No window starts. These win.
    pub excluded: Vec<RangeInclusive<NaiveDate>>,
    /// A window starts at the times of day of its expression.
    pub extra: Vec<RangeInclusive<NaiveDate>>,
}

impl Dates {
    fn excludes(&self, date: NaiveDate) -> bool {
        self.excluded.iter().any(|range| range.contains(&date))
    }

    fn adds(&self, date: NaiveDate) -> bool {
        self.extra.iter().any(|range| range.contains(&date))
    }
}

/// Local minutes at which a window may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// Those that an expression names, on the dates that are left.
    Recurring { cron: Cron, dates: Vec<Dates> },
    /// One minute of one date.
    Once { date: NaiveDate, minute: u32 },
}

impl Starts {
    /// `2026-12-24T08:00`.
    pub(crate) fn parse_once(text: &str) -> Option<Self> {
        let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok()?;
        let canonical = at.format("%Y-%m-%dT%H:%M").to_string() == text;
        canonical.then(|| Self::Once {
            date: at.date(),
            minute: at.hour() * 60 + at.minute(),
        })
    }

    pub(crate) fn matches_date(&self, date: NaiveDate) -> bool {
        match self {
            Self::Recurring { cron, dates } => {
                !dates.iter().any(|dates| dates.excludes(date))
                    && (cron.matches_date(date) || dates.iter().any(|dates| dates.adds(date)))
            }
            Self::Once { date: only, .. } => *only == date,
        }
    }

    /// Whether starts follow the clock on the wall through its changes, instead of being times of day.
    pub(crate) fn follow_the_clock(&self) -> bool {
        matches!(self, Self::Recurring { cron, .. } if cron.hour_starred())
    }

    pub(crate) fn first_minute_in(&self, minutes: Range<u32>) -> Option<u32> {
        match self {
            Self::Recurring { cron, .. } => cron.first_minute_in(minutes),
            Self::Once { minute, .. } => minutes.contains(minute).then_some(*minute),
        }
    }

    pub(crate) fn last_minute_in(&self, minutes: Range<u32>) -> Option<u32> {
        match self {
            Self::Recurring { cron, .. } => cron.last_minute_in(minutes),
            Self::Once { minute, .. } => minutes.contains(minute).then_some(*minute),
        }
    }

    /// The longest pause between two starts of one day; 0 when there is only one.
    pub(crate) fn longest_pause_minutes(&self) -> u32 {
        match self {
            Self::Recurring { cron, .. } => cron.longest_pause_minutes(),
            Self::Once { .. } => 0,
        }
    }
}
