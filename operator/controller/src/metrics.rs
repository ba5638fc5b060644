//! What the operator tells Prometheus. Counts of writes are by kind and verb, so that "an idle operator writes nothing" can be
//! seen; Leases, Events and status have verbs of their own.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use springtide_crds::compute_group::{DrainPhase, DrainingNode};

/// Labels of a reconcile: which kind, and `ok`, `retry` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: String,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    statement: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementErrorLabels {
    statement: &'static str,
    error: &'static str,
}

/// A window of a ComputeGroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct WindowLabels {
    namespace: String,
    group: String,
    window: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    namespace: String,
    group: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DrainLabels {
    namespace: String,
    group: String,
    phase: &'static str,
}

/// Why an Event is not written: `full`, where too many wait; `refused` by the API server; `timeout`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DropLabels {
    pub(crate) cause: &'static str,
}

/// A condition of one of our objects. A Department has no namespace, and is reported with an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct ConditionLabels {
    kind: &'static str,
    namespace: String,
    name: String,
    r#type: String,
    reason: String,
}

/// An Event; `type` is `Normal` or `Warning`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    kind: &'static str,
    namespace: String,
    reason: String,
    r#type: &'static str,
}

const REPLICA_STATES: [&str; 3] = ["wanted", "pods", "serving"];
/// Under the names that they have in the status.
const DRAIN_PHASES: [(DrainPhase, &str); 4] = [
    (DrainPhase::Cordoning, "Cordoning"),
    (DrainPhase::Draining, "Draining"),
    (DrainPhase::Drained, "Drained"),
    (DrainPhase::Leaving, "Leaving"),
];

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// 1 while this replica leads.
    pub leader: Gauge,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<KindLabels, Histogram>,
    last_success: Family<KindLabels, Gauge>,
    writes: Family<WriteLabels, Counter>,
    statements: Family<StatementLabels, Histogram>,
    statement_errors: Family<StatementErrorLabels, Counter>,
    replicas: Family<ReplicaLabels, Gauge>,
    draining: Family<DrainLabels, Gauge>,
    window_lateness: Family<WindowLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    /// Those that `window_lateness` has.
    windows: Mutex<BTreeSet<WindowLabels>>,
    conditions: Family<ConditionLabels, Gauge>,
    not_true_since: Family<ConditionLabels, Gauge>,
    /// Those that `conditions` has.
    shown_conditions: Mutex<BTreeSet<ConditionLabels>>,
    events: Family<EventLabels, Counter>,
    /// Events that nobody will read. Clones count together.
    pub(crate) events_dropped: Family<DropLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || {
            Histogram::new([
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ])
        };
        let mut metrics = Self {
            registry: Registry::with_prefix("springtide"),
            leader: Gauge::default(),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(histogram),
            last_success: Family::default(),
            writes: Family::default(),
            statements: Family::new_with_constructor(histogram),
            statement_errors: Family::default(),
            replicas: Family::default(),
            draining: Family::default(),
            window_lateness: Family::default(),
            windows: Mutex::default(),
            conditions: Family::default(),
            not_true_since: Family::default(),
            shown_conditions: Mutex::default(),
            events: Family::default(),
            events_dropped: Family::default(),
        };
        let Self {
            registry,
            leader,
            reconciles,
            reconcile_seconds,
            last_success,
            writes,
            statements,
            statement_errors,
            replicas,
            draining,
            window_lateness,
            windows: _,
            conditions,
            not_true_since,
            shown_conditions: _,
            events,
            events_dropped,
        } = &mut metrics;
        registry.register("operator_leader", "1 while this replica leads", leader.clone());
        registry.register("reconciles", "Reconciles by kind and outcome", reconciles.clone());
        registry.register("reconcile_seconds", "Time a reconcile took", reconcile_seconds.clone());
        registry.register(
            "reconcile_last_success_timestamp_seconds",
            "When a reconcile of the kind ended well last, in seconds since 1970",
            last_success.clone(),
        );
        registry.register(
            "kubernetes_writes",
            "Requests that change something in Kubernetes, by kind and verb",
            writes.clone(),
        );
        registry.register(
            "sql_seconds",
            "Time an administrative statement took",
            statements.clone(),
        );
        registry.register(
            "sql_errors",
            "Administrative statements that failed",
            statement_errors.clone(),
        );
        registry.register(
            "group_replicas",
            "Compute nodes of a group: wanted, with a pod, and serving",
            replicas.clone(),
        );
        registry.register(
            "group_draining_nodes",
            "Compute nodes of a group that are on their way out, by how far they have come",
            draining.clone(),
        );
        registry.register(
            "window_lateness_seconds",
            "From the last start of a window until its compute served; negative is early",
            window_lateness.clone(),
        );
        registry.register(
            "condition",
            "Conditions of Departments, LakeClusters and ComputeGroups: 1 while True, 0 while False or Unknown",
            conditions.clone(),
        );
        registry.register(
            "condition_since_timestamp_seconds",
            "Since when a condition is False, or Unknown, in seconds since 1970",
            not_true_since.clone(),
        );
        registry.register("events", "Events that were told, by reason", events.clone());
        registry.register(
            "events_dropped",
            "Events that were not written, by why",
            events_dropped.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Counts one reconcile that finished now.
    pub(crate) fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration, now: DateTime<Utc>) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
        self.reconcile_seconds
            .get_or_create(&KindLabels { kind })
            .observe(took.as_secs_f64());
        if outcome == "ok" {
            self.last_success
                .get_or_create(&KindLabels { kind })
                .set(now.timestamp());
        }
    }

    /// Counts one request that may change something in Kubernetes.
    pub(crate) fn count_write(&self, kind: &str, verb: &'static str) {
        let kind = kind.to_owned();
        self.writes.get_or_create(&WriteLabels { kind, verb }).inc();
    }

    /// Notes one statement that was answered.
    pub(crate) fn statement(&self, statement: &'static str, took: Duration) {
        self.statements
            .get_or_create(&StatementLabels { statement })
            .observe(took.as_secs_f64());
    }

    /// Counts one statement that failed; `error` is a kind, not a text.
    pub(crate) fn statement_failed(&self, statement: &'static str, error: &'static str) {
        self.statement_errors
            .get_or_create(&StatementErrorLabels { statement, error })
            .inc();
    }

    /// Shows a group's compute nodes.
    pub(crate) fn group_replicas(&self, namespace: &str, group: &str, counts: [i32; 3]) {
        for (state, count) in REPLICA_STATES.into_iter().zip(counts) {
            self.replicas
                .get_or_create(&replica_labels(namespace, group, state))
                .set(count.into());
        }
    }

    /// Shows how far the nodes of a group that are on their way out have come.
    pub(crate) fn group_draining(&self, namespace: &str, group: &str, nodes: &[DrainingNode]) {
        for (phase, label) in DRAIN_PHASES {
            let count = nodes.iter().filter(|node| node.phase == phase).count();
            self.draining
                .get_or_create(&drain_labels(namespace, group, label))
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Shows by how much the compute of a window was late.
    pub(crate) fn window_ready(&self, namespace: &str, group: &str, window: &str, lateness_seconds: f64) {
        let labels = WindowLabels {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            window: window.to_owned(),
        };
        self.window_lateness.get_or_create(&labels).set(lateness_seconds);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.insert(labels);
    }

    /// Forgets a group that is gone, so that its last values are not reported for ever.
    pub(crate) fn forget_group(&self, namespace: &str, group: &str) {
        for state in REPLICA_STATES {
            self.replicas.remove(&replica_labels(namespace, group, state));
        }
        for (_, phase) in DRAIN_PHASES {
            self.draining.remove(&drain_labels(namespace, group, phase));
        }
        self.forget_windows(namespace, group, |_| false);
    }

    /// Forgets those windows of a group that are not to stay.
    pub(crate) fn forget_windows(&self, namespace: &str, group: &str, stays: impl Fn(&str) -> bool) {
        let first = WindowLabels {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            window: String::new(),
        };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let of_group = windows.range(first..);
        let of_group = of_group.take_while(|labels| labels.namespace == namespace && labels.group == group);
        let gone: Vec<WindowLabels> = of_group.filter(|labels| !stays(&labels.window)).cloned().collect();
        for labels in gone {
            self.window_lateness.remove(&labels);
            windows.remove(&labels);
        }
    }

    /// Shows the conditions of an object as they are now; none, of one that is gone. The new ones are there before the old ones
    /// go, so that no scrape finds nothing.
    pub(crate) fn conditions(&self, kind: &'static str, namespace: &str, name: &str, conditions: &[Condition]) {
        let labels = |r#type: &str, reason: &str| ConditionLabels {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            reason: reason.to_owned(),
        };
        let mut current = BTreeSet::new();
        for condition in conditions {
            let labels = labels(&condition.type_, &condition.reason);
            let is_true = condition.status == "True";
            self.conditions.get_or_create(&labels).set(i64::from(is_true));
            if is_true {
                self.not_true_since.remove(&labels);
            } else {
                let since = condition.last_transition_time.0.as_second();
                self.not_true_since.get_or_create(&labels).set(since);
            }
            current.insert(labels);
        }
        let mut shown = self.shown_conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let of_object = shown
            .range(labels("", "")..)
            .take_while(|labels| labels.kind == kind && labels.namespace == namespace && labels.name == name);
        let gone: Vec<ConditionLabels> = of_object.filter(|labels| !current.contains(*labels)).cloned().collect();
        for labels in gone {
            self.conditions.remove(&labels);
            self.not_true_since.remove(&labels);
            shown.remove(&labels);
        }
        shown.extend(current);
    }

    /// Counts one Event that was told.
    pub(crate) fn told(&self, kind: &'static str, namespace: &str, reason: &str, is_warning: bool) {
        let labels = EventLabels {
            kind,
            namespace: namespace.to_owned(),
            reason: reason.to_owned(),
            r#type: if is_warning { "Warning" } else { "Normal" },
        };
        self.events.get_or_create(&labels).inc();
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

fn replica_labels(namespace: &str, group: &str, state: &'static str) -> ReplicaLabels {
    ReplicaLabels {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        state,
    }
}

fn drain_labels(namespace: &str, group: &str, phase: &'static str) -> DrainLabels {
    DrainLabels {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        phase,
    }
}

#[cfg(test)]
mod tests;
