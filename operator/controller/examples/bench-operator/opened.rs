//! What happened when a window opened in all groups at once.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{audit::Requests, programs::Computed};

/// A window that all groups have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) name: &'static str,
    /// Nodes that each group wants in it.
    pub(crate) nodes: i32,
    /// How long before its start nodes are wanted. Zero: not at all, and no group before its start.
    pub(crate) lead_time: Duration,
    /// What else goes on.
    pub(crate) beside: &'static str,
    /// How its figures begin.
    pub(crate) metric: &'static str,
}

impl Opening {
    /// How long before the edge the StatefulSet `namespace/name` is to be changed.
    fn stagger(&self, stateful_set: &str) -> Duration {
        let (namespace, name) = stateful_set.split_once('/').expect("a namespace and a name");
        let group = name.strip_suffix("-cn").expect("compute nodes of a group");
        if self.lead_time.is_zero() {
            Duration::ZERO
        } else {
            springtide_plan::stagger(namespace, group)
        }
    }
}

/// What was seen of it.
pub(crate) struct Opened {
    /// Seconds from the edge until each group's StatefulSet had changed, in order.
    lags: Vec<f64>,
    /// The same from the group's own moment on, which is up to [`springtide_plan::SPREAD`] before.
    own_lags: Vec<f64>,
    /// What the operator asked of the API server until the last had.
    requests: Requests,
    /// What all programs computed until then.
    computed: Computed,
}

impl Opened {
    /// The edge is the start of the window less its lead time; `changed` when each StatefulSet was, as `namespace/name`.
    pub(crate) fn of(
        opening: &Opening,
        edge: DateTime<Utc>,
        changed: &BTreeMap<String, DateTime<Utc>>,
        requests: Requests,
        computed: Computed,
    ) -> Self {
        let in_order = |mut lags: Vec<f64>| {
            lags.sort_by(f64::total_cmp);
            lags
        };
        let lag = |at: &DateTime<Utc>| (*at - edge).num_milliseconds() as f64 / 1000.0;
        Self {
            lags: in_order(changed.values().map(lag).collect()),
            own_lags: in_order(
                changed
                    .iter()
                    .map(|(name, at)| lag(at) + opening.stagger(name).as_secs_f64())
                    .collect(),
            ),
            requests,
            computed,
        }
    }

    pub(crate) fn report(&self, opening: &Opening, measured: &mut BTreeMap<String, Value>) {
        let Self {
            lags,
            own_lags,
            requests,
            computed,
        } = self;
        let lead_time = opening.lead_time.as_secs();
        println!(
            "{} windows open at once, {lead_time} s of lead time, {}: StatefulSets changed",
            lags.len(),
            opening.beside
        );
        for (from, name, lags) in [("the edge", "", lags), ("its own moment", "_own", own_lags)] {
            let at = |share: f64| lags[((lags.len() - 1) as f64 * share).round() as usize];
            let [p50, p99, last] = [at(0.5), at(0.99), at(1.0)];
            println!("        after {from}: p50 {p50:.2} s, p99 {p99:.2} s, the last {last:.2} s");
            for (share, value) in [("p50", p50), ("p99", p99), ("max", last)] {
                let key = format!("{}{name}_{share}_s", opening.metric);
                measured.insert(key, json!((value * 100.0).round() / 100.0));
            }
        }
        println!(
            "        meanwhile: writes {}, statuses {:?}, reads {:?}, Events {}",
            requests.writes, requests.status_writes, requests.reads, requests.event_writes
        );
        println!("        computed for each window: {}", computed.of_each(lags.len()));
    }
}
