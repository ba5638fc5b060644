//! What a process that runs plans, frontend or compute node, gives to their scans and sinks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use datafusion::{
    common::{Result, internal_datafusion_err},
    execution::TaskContext,
    prelude::SessionConfig,
};
use object_store::ObjectStore;
use springtide_tablet::{SegmentReaderFactory, SegmentReaderOptions, WriterOptions};

use crate::files::ExternalStores;

/// One per process; travels as an extension of each session's config.
#[derive(Debug)]
pub struct NodeResources {
    /// The cluster's store, rooted at its data prefix.
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) segments: SegmentReaderFactory,
    pub(crate) external: ExternalStores,
    pub(crate) writer: WriterOptions,
    scanned_rows: AtomicU64,
    written_rows: AtomicU64,
}

impl NodeResources {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        reader: &SegmentReaderOptions,
        writer: WriterOptions,
        external: ExternalStores,
    ) -> Self {
        Self {
            segments: SegmentReaderFactory::new(Arc::clone(&store), reader),
            store,
            external,
            writer,
            scanned_rows: AtomicU64::new(0),
            written_rows: AtomicU64::new(0),
        }
    }

    pub(crate) fn of(config: &SessionConfig) -> Result<Arc<Self>> {
        config
            .get_extension::<Self>()
            .ok_or_else(|| internal_datafusion_err!("the session has no node resources"))
    }

    pub(crate) fn of_task(context: &TaskContext) -> Result<Arc<Self>> {
        Self::of(context.session_config())
    }

    pub(crate) fn add_scanned(&self, rows: usize) {
        self.scanned_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_written(&self, rows: u64) {
        self.written_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows that scans of this process gave since it started.
    #[must_use]
    pub fn scanned_rows(&self) -> u64 {
        self.scanned_rows.load(Ordering::Relaxed)
    }

    /// Rows that sinks of this process wrote since it started.
    #[must_use]
    pub fn written_rows(&self) -> u64 {
        self.written_rows.load(Ordering::Relaxed)
    }
}
