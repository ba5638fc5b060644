//! From a window as the API has it to a window that can be evaluated.

use std::time::Duration;

use chrono::NaiveDate;
use springtide_crds::calendar::DateRange;
use springtide_crds::compute_group::Schedule;
use springtide_crds::{Calendar, LeadTime, Reason};
use springtide_schedule::{Dates, MAX_LEAD_TIME, Window, WindowError, WindowSpec};
use thiserror::Error;

use crate::finish::Rejection;
use crate::units::{self, UnitError};

/// Why a window is not accepted; the text begins with the field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A span of time cannot be read.
    #[error("{field}: {source}")]
    Duration {
        /// The field of the window.
        field: &'static str,
        /// Why.
        source: UnitError,
    },
    /// A number of replicas is negative.
    #[error("{field}: {value} is negative; write 0 or more")]
    Negative {
        /// The field of the window.
        field: &'static str,
        /// The number.
        value: i32,
    },
    /// A Calendar that is named does not exist.
    #[error("calendars: there is no Calendar {name} in this namespace; make it, or take it off the list")]
    CalendarNotFound {
        /// Its name.
        name: String,
    },
    /// A Calendar that is named has a date that does not exist.
    #[error("calendars: Calendar {name} has the date {date}, which does not exist; correct it there")]
    CalendarDate {
        /// Its name.
        name: String,
        /// The date as written.
        date: String,
    },
    /// The window makes no sense.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// What windows refer to.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The Calendars of the namespace.
    pub calendars: &'a [Calendar],
    /// What a lead time of `auto` is.
    pub auto_lead_time: Duration,
    /// How much longer each lead time is than it says, so that not all groups want nodes in the same moment; see [`super::stagger`].
    pub stagger: Duration,
    /// A Calendar that is not there has no dates, instead of being an error: for windows that were accepted before it went.
    pub forgives_calendars: bool,
}

/// Checks a window and makes it ready to be evaluated.
///
/// # Errors
/// The first field that makes no sense.
pub fn window(schedule: &Schedule, surroundings: Surroundings<'_>) -> Result<Window, ScheduleError> {
    let Schedule {
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
    } = schedule;
    let span = |field: &'static str, text: Option<&springtide_crds::Duration>| {
        text.map(|text| units::duration(text).map_err(|source| ScheduleError::Duration { field, source }))
            .transpose()
    };
    let spec = WindowSpec {
        name: name.clone(),
        start: start.clone().unwrap_or_default(),
        at: at.clone(),
        calendars: calendars
            .iter()
            .map(|name| dates(name, surroundings))
            .collect::<Result<_, _>>()?,
        duration: span("duration", duration.as_ref())?,
        until: until.clone(),
        time_zone: time_zone.clone(),
        min_replicas: replicas("minReplicas", *min_replicas)?,
        max_replicas: replicas("maxReplicas", *max_replicas)?,
        lead_time: match lead_time.as_ref().map(LeadTime::fixed) {
            Some(None) => staggered(surroundings.auto_lead_time, surroundings.stagger),
            Some(Some(fixed)) => {
                let fixed = span("leadTime", Some(&fixed))?.unwrap_or_default();
                staggered(fixed, surroundings.stagger)
            }
            None => Duration::ZERO,
        },
        ramp_down: span("rampDown", ramp_down.as_ref())?.unwrap_or_default(),
        suspend: *suspend,
    };
    Ok(Window::parse(&spec)?)
}

/// The whole lead time. One that is not wanted, is too long or as long as may be stays what it is.
fn staggered(lead_time: Duration, stagger: Duration) -> Duration {
    if lead_time.is_zero() || lead_time > MAX_LEAD_TIME {
        return lead_time;
    }
    (lead_time + stagger).min(MAX_LEAD_TIME)
}

fn dates(name: &str, surroundings: Surroundings<'_>) -> Result<Dates, ScheduleError> {
    let found = surroundings
        .calendars
        .iter()
        .find(|calendar| calendar.metadata.name.as_deref() == Some(name));
    let Some(calendar) = found else {
        return if surroundings.forgives_calendars {
            Ok(Dates::default())
        } else {
            Err(ScheduleError::CalendarNotFound { name: name.to_owned() })
        };
    };
    let date = |text: &str| {
        text.parse::<NaiveDate>().map_err(|_| ScheduleError::CalendarDate {
            name: name.to_owned(),
            date: text.to_owned(),
        })
    };
    let ranges = |ranges: &[DateRange]| -> Result<Vec<_>, ScheduleError> {
        let range = |range: &DateRange| Ok(date(&range.from)?..=date(range.to.as_ref().unwrap_or(&range.from))?);
        let read = ranges.iter().map(range);
        if surroundings.forgives_calendars {
            return Ok(read.filter_map(Result::ok).collect());
        }
        read.collect()
    };
    Ok(Dates {
        excluded: ranges(&calendar.spec.excluded_dates)?,
        extra: ranges(&calendar.spec.extra_dates)?,
    })
}

fn replicas(field: &'static str, value: Option<i32>) -> Result<Option<u32>, ScheduleError> {
    value
        .map(|value| u32::try_from(value).map_err(|_| ScheduleError::Negative { field, value }))
        .transpose()
}

/// All windows of a group, or why one of them is not accepted.
pub(super) fn windows(schedules: &[Schedule], surroundings: Surroundings<'_>) -> Result<Vec<Window>, Rejection> {
    schedules
        .iter()
        .map(|schedule| {
            window(schedule, surroundings).map_err(|error| {
                let reason = match &error {
                    ScheduleError::Window(WindowError::TimeZoneUnknown { .. }) => Reason::UnknownTimeZone,
                    ScheduleError::CalendarNotFound { .. } | ScheduleError::CalendarDate { .. } => {
                        Reason::CalendarInvalid
                    }
                    _ => Reason::InvalidSchedule,
                };
                Rejection::new(reason, format!("schedules[{}].{error}", schedule.name))
            })
        })
        .collect()
}
