//! The language of scenarios: what is given, what happens, and what comes of it.
//!
//! A scenario waits for conditions and never for a time. Its run prints a timeline: each step with what was seen last while it ran, and how
//! long it took; `cargo test` shows it where the scenario fails, `make scenario NAME=` always.

use std::{
    io::{self, Write},
    panic::AssertUnwindSafe,
    time::Duration,
};

use futures::FutureExt;
use springtide_e2e::{
    Error,
    cluster::{Look, wait_until},
    timeline::{Progress, Timeline},
};

/// One scenario that is told.
pub(crate) struct Scenario {
    timeline: Timeline,
}

/// Standard output as `println!` has it: the harness keeps it until the test has ended.
struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        print!("{}", String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Scenario {
    /// Begins to tell.
    pub(crate) fn begin(what: &str) -> Self {
        let timeline = Timeline::on(Box::new(Kept));
        timeline.heading(what);
        Self { timeline }
    }

    /// Makes what the scenario begins with.
    pub(crate) async fn given<T>(&self, what: &str, make: impl AsyncFnOnce() -> T) -> T {
        self.step(&format!("given {what}"), async |_| make().await).await
    }

    /// Does what the scenario is about.
    pub(crate) async fn when<T>(&self, what: &str, happens: impl AsyncFnOnce() -> T) -> T {
        self.step(&format!("when {what}"), async |_| happens().await).await
    }

    /// Waits until it is so, at most `limit`. The text of `Err` is what is seen meanwhile.
    pub(crate) async fn then<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        self.step(&format!("then {what}"), async |progress| {
            let found = wait_until(what, limit, &progress, async || {
                Ok(match look().await {
                    Ok(value) => Look::Done(value),
                    Err(seen) => Look::NotYet(seen),
                })
            });
            found.await.unwrap_or_else(|error| panic!("{error}"))
        })
        .await
    }

    /// Holds that it is so already, without waiting.
    pub(crate) async fn and(&self, what: &str, holds: impl AsyncFnOnce()) {
        self.step(&format!("and {what}"), async |_| holds().await).await;
    }

    /// A figure of the run, for people.
    pub(crate) fn measured(&self, what: &str, took: Duration) {
        self.timeline.note(&format!("{what}: {:.1} s", took.as_secs_f64()));
    }

    /// One line of the timeline, whether it succeeds or panics.
    async fn step<T>(&self, name: &str, work: impl AsyncFnOnce(Progress) -> T) -> T {
        let mut outcome = None;
        let told = self
            .timeline
            .step(name, async |progress| {
                let ended = AssertUnwindSafe(work(progress)).catch_unwind().await;
                let failed = ended.is_err();
                outcome = Some(ended);
                if failed {
                    Err(Error::Missing(name.to_owned()))
                } else {
                    Ok(())
                }
            })
            .await;
        match (told, outcome) {
            (_, Some(Ok(value))) => value,
            (_, Some(Err(panic))) => std::panic::resume_unwind(panic),
            (told, None) => panic!("{name} was not done: {told:?}"),
        }
    }
}
