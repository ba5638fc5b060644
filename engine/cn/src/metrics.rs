//! Metrics in the Prometheus text format, under StarRocks' names where StarRocks has the metric.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The metrics of a compute node.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    pub(crate) load_rows: Counter,
    pub(crate) load_bytes: Counter,
    pub(crate) loads_failed: Counter,
    pub(crate) running_fragments: Gauge,
    pub(crate) running_loads: Gauge,
    pub(crate) draining: Gauge,
    pub(crate) draining_seconds: Gauge<f64, AtomicU64>,
    pub(crate) query_memory_bytes: Gauge,
    pub(crate) query_scan_rows: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let (load_rows, load_bytes, loads_failed) = (Counter::default(), Counter::default(), Counter::default());
        let (running_fragments, running_loads) = (Gauge::default(), Gauge::default());
        let (draining, query_memory_bytes) = (Gauge::default(), Gauge::default());
        let query_scan_rows = Gauge::default();
        let draining_seconds: Gauge<f64, AtomicU64> = Gauge::default();
        registry.register("starrocks_be_load_rows", "Rows written by loads", load_rows.clone());
        registry.register("starrocks_be_load_bytes", "Bytes received by loads", load_bytes.clone());
        registry.register("springtide_cn_loads_failed", "Loads that failed", loads_failed.clone());
        registry.register(
            "springtide_cn_running_fragments",
            "Query fragments that run",
            running_fragments.clone(),
        );
        registry.register("springtide_cn_running_loads", "Loads that run", running_loads.clone());
        registry.register("springtide_cn_draining", "1 while the node drains", draining.clone());
        registry.register(
            "springtide_cn_draining_seconds",
            "How long the node has drained",
            draining_seconds.clone(),
        );
        registry.register(
            "starrocks_be_query_mem_bytes",
            "Bytes that queries hold",
            query_memory_bytes.clone(),
        );
        registry.register(
            "starrocks_be_query_scan_rows",
            "Rows that scans of queries gave, under StarRocks' name for it",
            query_scan_rows.clone(),
        );
        let registry = Arc::new(registry);
        Self {
            registry,
            load_rows,
            load_bytes,
            loads_failed,
            running_fragments,
            running_loads,
            draining,
            draining_seconds,
            query_memory_bytes,
            query_scan_rows,
        }
    }

    /// The text that a Prometheus server reads.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}
