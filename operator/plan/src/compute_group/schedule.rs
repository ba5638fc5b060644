//! From a window as the API has it to a window that can be evaluated.

use springtide_crds::Reason;
use springtide_crds::compute_group::Schedule;
use springtide_schedule::{Window, WindowError, WindowSpec};
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
    /// The window makes no sense.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// Checks a window and makes it ready to be evaluated.
///
/// # Errors
/// The first field that makes no sense.
pub fn window(schedule: &Schedule) -> Result<Window, ScheduleError> {
    let Schedule {
        name,
        start,
        duration,
        until,
        time_zone,
        min_replicas,
        max_replicas,
        lead_time,
        suspend,
    } = schedule;
    let span = |field: &'static str, text: Option<&springtide_crds::Duration>| {
        text.map(|text| units::duration(text).map_err(|source| ScheduleError::Duration { field, source }))
            .transpose()
    };
    let spec = WindowSpec {
        name: name.clone(),
        start: start.clone(),
        duration: span("duration", duration.as_ref())?,
        until: until.clone(),
        time_zone: time_zone.clone(),
        min_replicas: replicas("minReplicas", *min_replicas)?,
        max_replicas: replicas("maxReplicas", *max_replicas)?,
        lead_time: span("leadTime", lead_time.as_ref())?.unwrap_or_default(),
        suspend: *suspend,
    };
    Ok(Window::parse(&spec)?)
}

fn replicas(field: &'static str, value: Option<i32>) -> Result<Option<u32>, ScheduleError> {
    value
        .map(|value| u32::try_from(value).map_err(|_| ScheduleError::Negative { field, value }))
        .transpose()
}

/// All windows of a group, or why one of them is not accepted.
pub(super) fn windows(schedules: &[Schedule]) -> Result<Vec<Window>, Rejection> {
    schedules
        .iter()
        .map(|schedule| {
            window(schedule).map_err(|error| {
                let reason = match &error {
                    ScheduleError::Window(WindowError::TimeZoneUnknown { .. }) => Reason::UnknownTimeZone,
                    _ => Reason::InvalidSchedule,
                };
                Rejection::new(reason, format!("schedules[{}].{error}", schedule.name))
            })
        })
        .collect()
}
