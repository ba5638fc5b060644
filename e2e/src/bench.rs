//! Measurements: each prints a table for people and, as its last line, one JSON object, so that figures can be kept and
//! compared.
//!
//! What is timed against a peer is timed side by side in one run, as a ratio of ours to theirs.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{Result, places::Places, process::run, timeline::Timeline};

mod query;
mod start;

pub use query::query;
pub use start::start;

/// Reading the checkout's commit.
const GIT_LIMIT: Duration = Duration::from_secs(10);

/// What one benchmark measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    bench: &'static str,
    commit: String,
    cores: usize,
    metrics: BTreeMap<&'static str, f64>,
}

impl Figures {
    /// Prints the figures as the last line.
    pub(crate) async fn print(
        timeline: &Timeline,
        places: &Places,
        bench: &'static str,
        metrics: BTreeMap<&'static str, f64>,
    ) -> Result<()> {
        let commit = run("git", GIT_LIMIT)
            .arg("-C")
            .arg(&places.checkout)
            .args(["rev-parse", "--short", "HEAD"])
            .output()
            .await
            .unwrap_or_default();
        let figures = Self {
            bench,
            commit: commit.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            metrics,
        };
        timeline.line(&serde_json::json!(figures).to_string());
        Ok(())
    }
}

/// The middle of some seconds; of none, zero.
fn median(seconds: &[f64]) -> f64 {
    quantile(seconds, 0.5)
}

/// The smallest value that at least this part of all values does not exceed; of none, zero.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Two digits after the point, as figures are kept.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
