//! How long a statement has run, without the time in which it waited for compute.

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
}

impl StatementClock {
    pub(crate) fn start() -> Self {
        let reading = Reading {
            ran: Duration::ZERO,
            since: Some(Instant::now()),
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

    /// Ends once it has run for so long.
    pub(crate) async fn reaches(&self, limit: Duration) {
        let mut readings = self.reading.subscribe();
        loop {
            let Reading { ran, since } = *readings.borrow_and_update();
            let at = since.map(|since| since + limit.saturating_sub(ran));
            let reached = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = reached => return,
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
