//! Which statuses are written at once, and which with a later look.
//!
//! A group that starts changes its status with each pod, address and heartbeat, and each write of it is seen by everybody who watches.
//! What only counts progress is told now and then; what a look has acted on is told by the look that sees what came of it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use springtide_plan::Telling;

/// Between two statuses that tell of progress alone.
const PROGRESS: Duration = Duration::from_secs(2);
/// Between two statuses of which the second says the same in other words. A group that is made with its cluster waits for this first and
/// then for that.
const WORDING: Duration = Duration::from_secs(10);
/// After a look that acted: what follows from it is seen by then.
const AFTER_ACTIONS: Duration = Duration::from_millis(200);
/// An object on which each look acts is told of nevertheless.
const LONGEST: Duration = Duration::from_secs(2);

/// When the status of each object was written last, and since when it has not been.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    by_uid: Mutex<HashMap<String, Told>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    last: Option<Instant>,
    held_since: Option<Instant>,
}

impl HeldBack {
    /// After how long another look is to tell the status; `None` if this one is to.
    pub(crate) fn until(&self, uid: &str, telling: Telling, has_acted: bool, now: Instant) -> Option<Duration> {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let told = by_uid.entry(uid.to_owned()).or_default();
        let held_since = *told.held_since.get_or_insert(now);
        let since_last = told.last.map(|last| now.duration_since(last));
        let least = match telling {
            Telling::Now | Telling::AfterActions => Duration::ZERO,
            Telling::Progress => PROGRESS,
            Telling::Wording => WORDING,
        };
        match since_last {
            Some(since_last) if since_last < least => Some(least - since_last),
            _ if telling != Telling::Now && has_acted && now.duration_since(held_since) < LONGEST => {
                Some(AFTER_ACTIONS)
            }
            _ => None,
        }
    }

    /// The status was written.
    pub(crate) fn told(&self, uid: &str, now: Instant) {
        let told = Told {
            last: Some(now),
            held_since: None,
        };
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        by_uid.insert(uid.to_owned(), told);
    }

    /// The status says what is so.
    pub(crate) fn nothing_to_tell(&self, uid: &str) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = by_uid.get_mut(uid) {
            told.held_since = None;
        }
    }

    /// The object is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests;
