//! The time of day as a parameter: windows open by it, so that tests move it instead of waiting.

use std::{fmt::Debug, sync::Mutex};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time of day.
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The machine's clock, set ahead or back: it keeps running.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    shift: Mutex<TimeDelta>,
}

impl ShiftedClock {
    /// Sets the clock so that it shows `moment` now.
    pub fn set(&self, moment: DateTime<Utc>) {
        *self.shift.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = moment - Utc::now();
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + *self.shift.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
