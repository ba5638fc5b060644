//! Counters of the frontend, under StarRocks' names where StarRocks has the same counter.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::sync::watch;

/// A number that only grows, under a name without `_total`, which OpenMetrics would append to a counter's: dashboards for
/// StarRocks look for its names.
pub type PlainCounter = Gauge<u64, AtomicU64>;

/// How long statements took. Clones count together.
#[derive(Clone, Debug)]
pub struct StatementSeconds(Histogram);

impl Default for StatementSeconds {
    fn default() -> Self {
        Self(Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
        ]))
    }
}

impl StatementSeconds {
    /// Counts one statement.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// Counters of one frontend. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Statements.
    pub query_total: Counter,
    /// Statements that failed, whatever the reason.
    pub query_err: PlainCounter,
    /// Statements that failed by a defect or a lost node, not by what the client sent.
    pub query_internal_err: PlainCounter,
    /// Statements that ran out of time.
    pub query_timeout: PlainCounter,
    /// Queries run once more because a compute node was lost before the client got anything.
    pub query_retry: PlainCounter,
    /// From a statement's arrival to its last row or its error, with what it waited for compute.
    pub statement_seconds: StatementSeconds,
    /// Open client connections.
    pub connection_total: Gauge,
    /// Transactions begun.
    pub txn_begin: PlainCounter,
    /// Transactions visible.
    pub txn_success: PlainCounter,
    /// Transactions aborted.
    pub txn_failed: PlainCounter,
    /// Transactions refused: label used before, too many at once.
    pub txn_reject: PlainCounter,
    /// Publishes that failed and were tried again.
    pub publish_retry: Counter,
    /// Groups of edits made durable.
    pub edit_log_write: PlainCounter,
    /// Images of the catalog.
    pub image_write: PlainCounter,
    /// Heartbeats that failed.
    pub heartbeat_failed: Counter,
    /// Compute nodes that were lost on their way out, with statements or loads that had not ended.
    pub nodes_cut_off: Counter,
    /// The certificate of the MySQL port.
    pub certificate_expiry: CertificateExpiry,
}

/// Until when the certificate of the MySQL port is good. Nothing where there is no TLS.
#[derive(Clone, Debug, Default)]
pub struct CertificateExpiry(Arc<OnceLock<watch::Receiver<Option<i64>>>>);

impl CertificateExpiry {
    /// Tells from now on what `not_after` says, in seconds since 1970. Only the first one counts.
    pub fn follow(&self, not_after: watch::Receiver<Option<i64>>) {
        // A frontend has one MySQL port.
        let _ = self.0.set(not_after);
    }

    /// Seconds since 1970.
    fn now(&self) -> Option<i64> {
        *self.0.get()?.borrow()
    }
}

impl Metrics {
    /// Registers everything: under `starrocks_fe_`, but for what StarRocks does not have.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "springtide_fe_statement_seconds",
            "Time from a statement's arrival to its last row or its error",
            self.statement_seconds.0.clone(),
        );
        registry.register(
            "springtide_fe_nodes_cut_off",
            "Compute nodes that were lost on their way out with work that had not ended",
            self.nodes_cut_off.clone(),
        );
        let fe = registry.sub_registry_with_prefix("starrocks_fe");
        fe.register("query", "Statements", self.query_total.clone());
        fe.register("query_err", "Statements that failed", self.query_err.clone());
        fe.register(
            "query_internal_err",
            "Statements that failed by a defect or a lost node",
            self.query_internal_err.clone(),
        );
        fe.register(
            "query_timeout",
            "Statements that ran out of time",
            self.query_timeout.clone(),
        );
        fe.register(
            "query_retry",
            "Queries run once more because a compute node was lost",
            self.query_retry.clone(),
        );
        fe.register(
            "connection_total",
            "Open client connections",
            self.connection_total.clone(),
        );
        fe.register("txn_begin", "Transactions begun", self.txn_begin.clone());
        fe.register("txn_success", "Transactions visible", self.txn_success.clone());
        fe.register("txn_failed", "Transactions aborted", self.txn_failed.clone());
        fe.register("txn_reject", "Transactions refused at begin", self.txn_reject.clone());
        fe.register("publish_retry", "Publishes tried again", self.publish_retry.clone());
        fe.register(
            "edit_log_write",
            "Groups of edits made durable",
            self.edit_log_write.clone(),
        );
        fe.register("image_write", "Images of the catalog", self.image_write.clone());
        fe.register(
            "heartbeat_failed",
            "Heartbeats that failed",
            self.heartbeat_failed.clone(),
        );
        if let Some(not_after) = self.certificate_expiry.now() {
            let gauge: Gauge = Gauge::default();
            gauge.set(not_after);
            fe.register(
                "certificate_expiry_seconds",
                "When the certificate of the MySQL port ends, in seconds since 1970",
                gauge,
            );
        }
    }
}
