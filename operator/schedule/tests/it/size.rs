//! How much a run compares. What is set here makes the runs of `make verify`; without it a run takes seconds.

use std::path::PathBuf;

/// Zones of the IANA database; 600 are all.
pub(crate) fn zones() -> usize {
    number("SPRINGTIDE_SCHEDULE_ZONES").unwrap_or(3)
}

/// Years of each zone, from 2026 on; one that is drawn where it is not set.
pub(crate) fn years() -> Option<i32> {
    number("SPRINGTIDE_SCHEDULE_YEARS")
}

/// Random expressions.
pub(crate) fn cases() -> u32 {
    number("SPRINGTIDE_SCHEDULE_CASES").unwrap_or(160)
}

/// Where each zone is written down that was compared in full, so that a run which was interrupted goes on.
#[expect(clippy::disallowed_methods, reason = "sizes of a longer run")]
pub(crate) fn record() -> Option<PathBuf> {
    std::env::var("SPRINGTIDE_SCHEDULE_RECORD").ok().map(PathBuf::from)
}

/// What all that is drawn follows from. A failure prints it.
pub(crate) fn seed() -> u64 {
    number("SPRINGTIDE_SCHEDULE_SEED").unwrap_or(20_260_329)
}

#[expect(clippy::disallowed_methods, reason = "sizes of a longer run")]
fn number<Number: std::str::FromStr>(name: &str) -> Option<Number> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
