//! The timeline that a person reads: one line for each step, with the time since the start, and progress while it runs.
//!
//! On a terminal the running step's line is repainted in place, with colours; elsewhere progress is a line of its own, every
//! [`QUIET_INTERVAL`] at most, so that a log of a long run stays short.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::Result;

#[cfg(test)]
mod tests;

/// Time between two repaints of the running step on a terminal.
const LIVE_INTERVAL: Duration = Duration::from_millis(250);
/// Least time between two progress lines where there is no terminal.
const QUIET_INTERVAL: Duration = Duration::from_secs(15);
/// Columns of the step's name; longer ones push the rest of the line to the right.
const NAME_WIDTH: usize = 38;
/// Characters of progress text that are shown: more would wrap the line and break the repainting.
const PROGRESS_WIDTH: usize = 90;

/// Prints steps as they run.
pub struct Timeline {
    started: Instant,
    live: bool,
    interval: Duration,
    out: Mutex<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline")
            .field("started", &self.started)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// What a running step says about itself: handed to the step's work, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    /// Replaces the text beside the running step. When the step succeeds, the last text stays as its result.
    pub fn say(&self, text: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// The text said last.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Timeline {
    /// A timeline on standard output whose clock began `before` ago: at the start of the command that led here.
    pub fn on_stdout(before: Duration) -> Self {
        let stdout = std::io::stdout();
        let live = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self::new(Box::new(stdout), live, before)
    }

    /// A timeline that begins now, in lines for a log.
    pub fn on(out: Box<dyn Write + Send>) -> Self {
        Self::new(out, false, Duration::ZERO)
    }

    fn new(out: Box<dyn Write + Send>, live: bool, before: Duration) -> Self {
        let now = Instant::now();
        let interval = if live { LIVE_INTERVAL } else { QUIET_INTERVAL };
        let started = now.checked_sub(before).unwrap_or(now);
        Self {
            started,
            live,
            interval,
            out: Mutex::new(out),
        }
    }

    /// Time since the timeline's start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A title above a group of steps.
    pub fn heading(&self, text: &str) {
        let line = if self.live {
            format!("\n\x1b[1m{text}\x1b[0m\n")
        } else {
            format!("\n{text}\n")
        };
        self.write(&line);
    }

    /// A line of its own, below the last step.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            self.write(&format!("{:9}{line}\n", ""));
        }
    }

    /// A line as it is, from the first column: for tables, and for programs that read along.
    pub fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Runs `work` as one step: prints its name, its progress, and whether it succeeded and how long it took.
    pub async fn step<T>(&self, name: &str, work: impl AsyncFnOnce(Progress) -> Result<T>) -> Result<T> {
        let progress = Progress::default();
        let began = Instant::now();
        let result = {
            let work = work(progress.clone());
            tokio::pin!(work);
            let mut shown = Shown::default();
            loop {
                tokio::select! {
                    result = &mut work => break result,
                    () = tokio::time::sleep(self.interval) => self.running(name, began, &progress, &mut shown),
                }
            }
        };
        let text = match &result {
            Ok(_) => progress.text(),
            Err(_) => String::new(),
        };
        self.finished(name, began.elapsed(), result.is_ok(), &text);
        result
    }

    fn running(&self, name: &str, began: Instant, progress: &Progress, shown: &mut Shown) {
        let text: String = progress.text().chars().take(PROGRESS_WIDTH).collect();
        let seconds = began.elapsed().as_secs();
        if self.live {
            let since = clock(self.elapsed());
            self.write(&format!(
                "\r\x1b[2K{since}  \x1b[33m…\x1b[0m {name:NAME_WIDTH$} \x1b[2m{seconds:5} s  {text}\x1b[0m"
            ));
        } else if *shown.0 != text {
            self.write(&format!(
                "{}  … {name:NAME_WIDTH$} {seconds:5} s  {text}\n",
                clock(self.elapsed())
            ));
            shown.0 = text.into();
        }
    }

    fn finished(&self, name: &str, took: Duration, ok: bool, text: &str) {
        let since = clock(self.elapsed());
        let took = format!("{:7.1} s", took.as_secs_f64());
        let line = match (self.live, ok) {
            (true, true) => {
                format!("\r\x1b[2K{since}  \x1b[32m✓\x1b[0m {name:NAME_WIDTH$}{took}  \x1b[2m{text}\x1b[0m\n")
            }
            (true, false) => format!("\r\x1b[2K{since}  \x1b[31m✗ {name:NAME_WIDTH$}{took}  failed\x1b[0m\n"),
            (false, true) => format!("{since}  ✓ {name:NAME_WIDTH$}{took}  {text}\n"),
            (false, false) => format!("{since}  ✗ {name:NAME_WIDTH$}{took}  failed\n"),
        };
        self.write(&line);
    }

    /// A timeline is an aid: where its output is closed, the work goes on without it.
    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// The progress text printed last, where every text is a line.
#[derive(Default)]
struct Shown(Box<str>);

/// `mm:ss`, or `h:mm:ss` from an hour on.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds / 3600 {
        0 => format!("  {:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}
