//! Windows as they are written, and as they are once they are known to make sense.

use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use thiserror::Error;

use crate::cron::{Cron, CronError};
use crate::starts::{Dates, Starts};
use crate::zone::parse_time_zone;

#[cfg(test)]
mod tests;

/// Longest `duration`: a leap year.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest `leadTime`.
pub const MAX_LEAD_TIME: Duration = Duration::from_secs(24 * 3600);

/// Longest `rampDown`.
pub const MAX_RAMP_DOWN: Duration = Duration::from_secs(24 * 3600);

/// A window as a person wrote it; nothing is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowSpec {
    /// Name, unique within its group.
    pub name: String,
    /// Cron expression of five fields, or `@daily` and its kin, in local time of `time_zone`.
    /// Empty where `at` is written.
    pub start: String,
    /// The one start of a window that does not recur, as local time `YYYY-MM-DDTHH:MM`; or `start`.
    pub at: Option<String>,
    /// Dates that take starts away or add some, by calendar; not with `at`.
    pub calendars: Vec<Dates>,
    /// How long the window stays open, in elapsed time; or `until`.
    pub duration: Option<Duration>,
    /// Local wall time `HH:MM` at which the window closes, on the day of the start or, when not later than the start, on the next; or `duration`.
    pub until: Option<String>,
    /// IANA name, for example `Europe/Prague`.
    pub time_zone: String,
    /// Replicas at least, from `lead_time` before the start until the end.
    pub min_replicas: Option<u32>,
    /// Replicas at most, from the start until the end.
    pub max_replicas: Option<u32>,
    /// How long before the start the minimum is raised, in elapsed time.
    pub lead_time: Duration,
    /// How long after the end the minimum falls evenly to nothing, in elapsed time.
    pub ramp_down: Duration,
    /// The window is kept but has no effect.
    pub suspend: bool,
}

/// A validated [`WindowSpec`]: evaluating it cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub(crate) name: String,
    pub(crate) starts: Starts,
    /// The longest pause between two starts of a day on which clocks do not change; zero when there is only one.
    pub(crate) longest_pause: TimeDelta,
    pub(crate) end: End,
    pub(crate) time_zone: Tz,
    pub(crate) min_replicas: Option<u32>,
    pub(crate) max_replicas: Option<u32>,
    /// How long before the start the window has an effect: zero without a minimum, since a maximum is never lowered early.
    pub(crate) lead_time: TimeDelta,
    /// How long after the end the minimum falls; zero without a minimum.
    pub(crate) ramp_down: TimeDelta,
    pub(crate) suspend: bool,
}

/// When an occurrence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// So much elapsed time after the start.
    After(TimeDelta),
    /// When local clocks show this minute of the day.
    AtMinute(u32),
}

/// Why a window is not accepted: the field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// The window has no name.
    #[error("name: is empty; give the window a name, for example \"morning\"")]
    NameEmpty,
    /// The cron expression is not understood.
    #[error("start: {0}")]
    Start(#[source] CronError),
    /// `at` is not a local time.
    #[error(
        "at: \"{at}\" is not a local time; write YYYY-MM-DDTHH:MM without a zone, for example \"2026-12-24T08:00\", and the zone into timeZone"
    )]
    AtMalformed {
        /// The text as written.
        at: String,
    },
    /// Both kinds of start are given.
    #[error("at: stands beside start; write start for a window that recurs, or at for one that opens once")]
    StartAndAt,
    /// A window that opens once has calendars.
    #[error("calendars: stands beside at; a window that opens once has its date already, so leave calendars out")]
    CalendarsWithAt,
    /// There is no such zone in the compiled-in database.
    #[error("timeZone: \"{time_zone}\" is not known; {}", zone_remedy(.suggestion.as_deref()))]
    TimeZoneUnknown {
        /// The zone as written.
        time_zone: String,
        /// The zone that was probably meant.
        suggestion: Option<String>,
    },
    /// Both ends are given.
    #[error("until: stands beside duration; write only one of them")]
    DurationAndUntil,
    /// No end is given.
    #[error(
        "duration: is missing; write duration (elapsed time, for example 10h) or until (local time, for example \"18:00\")"
    )]
    NeitherDurationNorUntil,
    /// The window would never be open.
    #[error("duration: is zero; write how long the window stays open, for example 10h, or set suspend: true")]
    DurationZero,
    /// The window is longer than any calendar rule.
    #[error("duration: is longer than {} days; write a shorter one", MAX_DURATION.as_secs() / 86_400)]
    DurationTooLong,
    /// `until` is not a time of day.
    #[error("until: \"{until}\" is not a time of day; write HH:MM from 00:00 to 23:59, for example \"18:00\"")]
    UntilMalformed {
        /// The text as written.
        until: String,
    },
    /// The window asks for nothing.
    #[error("minReplicas: is missing, and so is maxReplicas; write at least one of them")]
    NeitherMinNorMax,
    /// The minimum is above the maximum of the same window.
    #[error("minReplicas: {min_replicas} is above maxReplicas {max_replicas}; lower minReplicas or raise maxReplicas")]
    MinAboveMax {
        /// Written minimum.
        min_replicas: u32,
        /// Written maximum.
        max_replicas: u32,
    },
    /// The ramp is longer than a day.
    #[error("rampDown: is longer than {} h; write a shorter one, or a later end", MAX_RAMP_DOWN.as_secs() / 3600)]
    RampDownTooLong,
    /// There is nothing to ramp down.
    #[error("rampDown: is how long a floor takes to fall; write it only with minReplicas")]
    RampDownWithoutMin,
    /// The lead time is longer than any start of a node.
    #[error("leadTime: is longer than {} h; write a shorter one, or an earlier start", MAX_LEAD_TIME.as_secs() / 3600)]
    LeadTimeTooLong,
}

impl WindowError {
    /// The field of the window that the message begins with, as it is spelt in the API.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::NameEmpty => "name",
            Self::Start(_) => "start",
            Self::AtMalformed { .. } | Self::StartAndAt => "at",
            Self::CalendarsWithAt => "calendars",
            Self::RampDownTooLong | Self::RampDownWithoutMin => "rampDown",
            Self::TimeZoneUnknown { .. } => "timeZone",
            Self::DurationAndUntil | Self::UntilMalformed { .. } => "until",
            Self::NeitherDurationNorUntil | Self::DurationZero | Self::DurationTooLong => "duration",
            Self::NeitherMinNorMax | Self::MinAboveMax { .. } => "minReplicas",
            Self::LeadTimeTooLong => "leadTime",
        }
    }
}

impl Window {
    /// Checks every field of a window.
    ///
    /// # Errors
    /// The first field that makes no sense, in the order of [`WindowSpec`].
    pub fn parse(spec: &WindowSpec) -> Result<Self, WindowError> {
        // Without `..`, so that a new field cannot be forgotten here.
        let WindowSpec {
            name,
            start,
            at,
            calendars,
            duration,
            until,
            time_zone,
            min_replicas,
            max_replicas,
            lead_time,
            ramp_down,
            suspend,
        } = spec;
        if name.is_empty() {
            return Err(WindowError::NameEmpty);
        }
        let starts = match at {
            Some(_) if !start.is_empty() => return Err(WindowError::StartAndAt),
            Some(_) if !calendars.is_empty() => return Err(WindowError::CalendarsWithAt),
            Some(at) => Starts::parse_once(at).ok_or_else(|| WindowError::AtMalformed { at: at.clone() })?,
            None => Starts::Recurring {
                cron: Cron::parse(start).map_err(WindowError::Start)?,
                dates: calendars.clone(),
            },
        };
        let end = match (duration, until) {
            (Some(_), Some(_)) => return Err(WindowError::DurationAndUntil),
            (None, None) => return Err(WindowError::NeitherDurationNorUntil),
            (Some(duration), None) => End::After(parse_duration(*duration)?),
            (None, Some(until)) => {
                End::AtMinute(parse_until(until).ok_or_else(|| WindowError::UntilMalformed { until: until.clone() })?)
            }
        };
        let time_zone = parse_time_zone(time_zone).map_err(|suggestion| WindowError::TimeZoneUnknown {
            time_zone: time_zone.clone(),
            suggestion: suggestion.map(str::to_owned),
        })?;
        match (*min_replicas, *max_replicas) {
            (None, None) => return Err(WindowError::NeitherMinNorMax),
            (Some(min_replicas), Some(max_replicas)) if min_replicas > max_replicas => {
                return Err(WindowError::MinAboveMax {
                    min_replicas,
                    max_replicas,
                });
            }
            _ => {}
        }
        if *lead_time > MAX_LEAD_TIME {
            return Err(WindowError::LeadTimeTooLong);
        }
        if *ramp_down > MAX_RAMP_DOWN {
            return Err(WindowError::RampDownTooLong);
        }
        if !ramp_down.is_zero() && min_replicas.is_none() {
            return Err(WindowError::RampDownWithoutMin);
        }
        let lead_time = if min_replicas.is_some() {
            *lead_time
        } else {
            Duration::ZERO
        };
        Ok(Self {
            name: name.clone(),
            longest_pause: TimeDelta::minutes(starts.longest_pause_minutes().into()),
            starts,
            end,
            time_zone,
            min_replicas: *min_replicas,
            max_replicas: *max_replicas,
            lead_time: TimeDelta::from_std(lead_time).map_err(|_| WindowError::LeadTimeTooLong)?,
            ramp_down: TimeDelta::from_std(*ramp_down).map_err(|_| WindowError::RampDownTooLong)?,
            suspend: *suspend,
        })
    }

    /// The window's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The IANA name of the window's time zone.
    #[must_use]
    pub fn time_zone(&self) -> &'static str {
        self.time_zone.name()
    }

    /// The minimum that the window asks for while it is active.
    #[must_use]
    pub fn min_replicas(&self) -> Option<u32> {
        self.min_replicas
    }

    /// The maximum that the window allows while it is open.
    #[must_use]
    pub fn max_replicas(&self) -> Option<u32> {
        self.max_replicas
    }

    /// Whether the window has no effect for now.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspend
    }
}

fn parse_duration(duration: Duration) -> Result<TimeDelta, WindowError> {
    if duration.is_zero() {
        return Err(WindowError::DurationZero);
    }
    if duration > MAX_DURATION {
        return Err(WindowError::DurationTooLong);
    }
    TimeDelta::from_std(duration).map_err(|_| WindowError::DurationTooLong)
}

/// Minute of the day of a text like `18:00`.
fn parse_until(text: &str) -> Option<u32> {
    let [hour_tens, hour_ones, b':', minute_tens, minute_ones] = *text.as_bytes() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(10);
    let hour = digit(hour_tens)? * 10 + digit(hour_ones)?;
    let minute = digit(minute_tens)? * 10 + digit(minute_ones)?;
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn zone_remedy(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => "write an IANA name, for example \"Europe/Prague\" or \"UTC\"".to_owned(),
    }
}
