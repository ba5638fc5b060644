//! How long a failed reconcile waits for its next attempt: doubling, capped, and with jitter so that objects that failed
//! together do not come back together.

use std::{collections::HashMap, hash::Hash, sync::Mutex, time::Duration};

use rand::Rng;

/// First wait after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// Longest wait, however often the object has failed.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures per object.
#[derive(Debug)]
pub(crate) struct Backoff<K> {
    failures: Mutex<HashMap<K, u32>>,
}

impl<K: Eq + Hash> Backoff<K> {
    pub(crate) fn new() -> Self {
        Self {
            failures: Mutex::new(HashMap::new()),
        }
    }

    /// Forgets the failures of an object that has succeeded or is gone, so that the map holds failing objects only.
    pub(crate) fn succeeded(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Notes one more failure and says how long to wait.
    pub(crate) fn failed(&self, key: K) -> Duration {
        let failures = {
            let mut map = self.lock();
            let failures = map.entry(key).or_insert(0);
            *failures = failures.saturating_add(1);
            *failures
        };
        wait_after(failures, rand::rng().random_range(0.0..1.0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, u32>> {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The wait after `failures` failures in a row: half of it fixed, half of it times `jitter` in `0..1`.
fn wait_after(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (FIRST * 2u32.pow(doublings)).min(LONGEST);
    full / 2 + (full / 2).mul_f64(jitter)
}

#[cfg(test)]
mod tests;
