//! The language of scenarios: what is given, what happens, and what comes of it.
//!
//! A scenario waits for conditions and never for a time. Its run prints a timeline: each step with what was seen last while it ran, and how
//! long it took; `cargo test` shows it where the scenario fails, `make scenario NAME=` always. Its last line is the time in all.

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

/// What a scenario takes at most where it runs alone on a cluster that is up. A longer one is told so, and fails nothing: how fast a
/// machine is says nothing about the product.
const LIMIT: Duration = Duration::from_secs(60);

/// One scenario that is told.
pub(crate) struct Scenario {
    what: String,
    timeline: Timeline,
    limit: Duration,
    /// Why it may take longer than [`LIMIT`].
    reason: Option<&'static str>,
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
    /// Begins to tell. It is what each test does first, so that the time in all is that of all it needs.
    pub(crate) fn begin(what: &str) -> Self {
        let timeline = Timeline::on(Box::new(Kept));
        timeline.heading(what);
        Self {
            what: what.to_owned(),
            timeline,
            limit: LIMIT,
            reason: None,
        }
    }

    /// It may take longer than a minute, and why.
    pub(crate) fn may_take(mut self, limit: Duration, reason: &'static str) -> Self {
        self.limit = limit;
        self.reason = Some(reason);
        self
    }

    /// Makes what the scenario begins with.
    pub(crate) async fn given<T>(&self, what: &str, make: impl AsyncFnOnce() -> T) -> T {
        self.step(&format!("given {what}"), async |_| make().await).await
    }

    /// Does what the scenario is about.
    pub(crate) async fn when<T>(&self, what: &str, happens: impl AsyncFnOnce() -> T) -> T {
        self.step(&format!("when {what}"), async |_| happens().await).await
    }

    /// Does something in whose course other steps are told, such as a load under which nodes go. Its own line comes when it is over.
    pub(crate) async fn meanwhile<T>(&self, what: &str, goes_on: impl AsyncFnOnce(Progress) -> T) -> T {
        self.step(&format!("meanwhile {what}"), goes_on).await
    }

    /// Waits until it is so, at most `limit`. The text of `Err` is what is seen meanwhile.
    pub(crate) async fn then<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        self.step(&format!("then {what}"), async |progress| {
            let found = wait_until(what, limit, &progress, async || Ok(looked(look().await)));
            found.await.unwrap_or_else(|error| panic!("{error}"))
        })
        .await
    }

    /// Holds that it is so at every look, until something has come about, at most `limit`, and once more then: what must never happen
    /// meanwhile. `holds` panics where it is not so.
    pub(crate) async fn always<T>(
        &self,
        what: &str,
        limit: Duration,
        mut until: impl AsyncFnMut() -> Result<T, String>,
        mut holds: impl AsyncFnMut(),
    ) -> T {
        self.step(&format!("always {what}"), async |progress| {
            let found = wait_until(what, limit, &progress, async || {
                let seen = until().await;
                holds().await;
                Ok(looked(seen))
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
        self.note(&format!("{what}: {:.1} s", took.as_secs_f64()));
    }

    /// What came of a step, for people.
    pub(crate) fn note(&self, text: &str) {
        self.timeline.note(text);
    }

    /// One line of the timeline, whether it succeeds or panics.
    async fn step<T>(&self, name: &str, work: impl AsyncFnOnce(Progress) -> T) -> T {
        let mut outcome = None;
        let told = self
            .timeline
            .step(name, async |progress| {
                // Steps may be told within steps: futures within futures grow large, and their types deep.
                let ended = AssertUnwindSafe(Box::pin(work(progress))).catch_unwind().await;
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

/// The last line: `e2e/scenario` reads it.
impl Drop for Scenario {
    fn drop(&mut self) {
        let (took, limit) = (self.timeline.elapsed(), self.limit.as_secs());
        let mut line = format!("in all {:.1} s: {}", took.as_secs_f64(), self.what);
        if let Some(reason) = self.reason {
            line += &format!("; may take {limit} s: {reason}");
        }
        if took > self.limit {
            line += &format!("; LONGER than the {limit} s that it may take alone on a cluster that is up");
        }
        self.timeline.line(&line);
    }
}

fn looked<T>(seen: Result<T, String>) -> Look<T> {
    match seen {
        Ok(value) => Look::Done(value),
        Err(seen) => Look::NotYet(seen),
    }
}
