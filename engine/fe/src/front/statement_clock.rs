//! How long a statement has run, without the time in which it waited for compute, and how long it may.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// Runs from its start; stands still while a [`Pause`] lives.
#[derive(Debug)]
pub(crate) struct StatementClock {
    reading: watch::Sender<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Until it last stood still.
    ran: Duration,
    /// When it last went on; none while it stands still.
    since: Option<Instant>,
    limit: Duration,
}

impl StatementClock {
    /// For a statement that may run for so long.
    pub(crate) fn start(limit: Duration) -> Self {
        let reading = Reading {
            ran: Duration::ZERO,
            since: Some(Instant::now()),
            limit,
        };
        Self {
            reading: watch::Sender::new(reading),
        }
    }

    /// Stands still until the answer is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.reading.send_modify(|reading| {
            if let Some(since) = reading.since.take() {
                reading.ran += since.elapsed();
            }
        });
        Pause(self)
    }

    /// The statement may run no longer than this, if it was allowed more.
    pub(crate) fn at_most(&self, limit: Duration) {
        self.reading.send_if_modified(|reading| {
            let is_less = limit < reading.limit;
            reading.limit = reading.limit.min(limit);
            is_less
        });
    }

    /// How much longer it may run.
    pub(crate) fn left(&self) -> Duration {
        let Reading { ran, since, limit } = *self.reading.borrow();
        let running = since.map_or(Duration::ZERO, |since| since.elapsed());
        limit.saturating_sub(ran + running)
    }

    /// Ends once it has run for as long as it may; answers how long that was.
    pub(crate) async fn runs_out(&self) -> Duration {
        let mut readings = self.reading.subscribe();
        loop {
            let Reading { ran, since, limit } = *readings.borrow_and_update();
            let at = since.map(|since| since + limit.saturating_sub(ran));
            let reached = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = reached => return limit,
                // The sender is this clock: it outlives the wait.
                _ = readings.changed() => {}
            }
        }
    }
}

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Pause<'a>(&'a StatementClock);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0
            .reading
            .send_modify(|reading| reading.since = Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests;
