//! Makes committed transactions visible: per table in order of commit, several at a time, until it succeeds.
//!
//! ```text
//! commit ─► queue of the table ─► next metadata of every touched partition ─► PUT each ─► one edit: all visible
//! ```
//! A crash or a failed store leaves metadata objects that nothing refers to; the next try uses new names.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectStore, PutMode, PutPayload, path::Path};
use springtide_catalog::{Partition, PartitionVersion};
use springtide_format::{FormatError, SUFFIX_BYTES, decode_trailer, encode_partition_metadata, names};
use springtide_model::{Epoch, PartitionId, PartitionMetadata, Segment, TableId, TabletId, TabletWrite, TxnId};
use uuid::Uuid;

use super::{Core, CoreError, STORE_TIMEOUT, partitions::no_answer};

/// Most transactions of a table that become visible in one version.
const BATCH: usize = 16;
/// Metadata objects that are written at the same time.
const PUTS: usize = 16;
/// Trailers that are read at the same time.
const GETS: usize = 8;
/// Pause after the first failure; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A committed transaction that waits to be visible.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) txn: TxnId,
    pub(super) objects: Vec<String>,
    /// What the objects hold, if it is known; after a restart it is read from their trailers.
    pub(super) writes: Option<Arc<Vec<TabletWrite>>>,
}

/// Queues of committed transactions; a table with a queue has a task.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    queues: Mutex<HashMap<TableId, VecDeque<Pending>>>,
}

impl Publisher {
    /// Adds to the table's queue; answers whether the table needs a task.
    fn push(&self, table: TableId, pending: Pending) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !queues.contains_key(&table);
        queues.entry(table).or_default().push_back(pending);
        is_new
    }

    /// The next transactions of a table; with none left the table's task is to end.
    fn front(&self, table: TableId) -> Vec<Pending> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let batch: Vec<Pending> = queues
            .get(&table)
            .map(|queue| queue.iter().take(BATCH).cloned().collect())
            .unwrap_or_default();
        if batch.is_empty() {
            queues.remove(&table);
        }
        batch
    }

    fn pop(&self, table: TableId, count: usize) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&table) {
            queue.drain(..count.min(queue.len()));
        }
    }
}

impl Core {
    /// Takes up what the catalog has as committed and not visible.
    pub(super) fn resume_publishing(&self) {
        let catalog = self.catalog();
        for txn in catalog.unpublished() {
            tracing::info!(txn = %txn.id, label = txn.label, "publishing a transaction that was committed before the start");
            let pending = Pending {
                txn: txn.id,
                objects: txn.objects.clone(),
                writes: None,
            };
            self.publish_later(txn.table, pending);
        }
    }

    pub(super) fn publish_later(&self, table: TableId, pending: Pending) {
        if self.inner.publisher.push(table, pending) {
            self.spawn(publish_table(self.clone(), table));
        }
    }

    async fn publish(&self, table_id: TableId, batch: &[Pending]) -> Result<(), CoreError> {
        let mut added: BTreeMap<PartitionId, Vec<(TabletId, Segment)>> = BTreeMap::new();
        for pending in batch {
            for write in self.writes_of(pending).await?.iter() {
                let segments = added.entry(write.partition).or_default();
                segments.push((write.tablet, write.segment.clone()));
            }
        }
        let catalog = self.catalog();
        let touched: Vec<_> = added
            .into_iter()
            .filter_map(|(id, segments)| {
                // A partition or table that was dropped since the commit has nothing left to see.
                Some((Arc::clone(catalog.table_by_id(table_id)?.partition(id)?), segments))
            })
            .collect();
        let versions: Vec<(PartitionVersion, Arc<PartitionMetadata>)> = stream::iter(touched)
            .map(|(partition, segments)| self.write_version(partition, segments))
            .buffer_unordered(PUTS)
            .try_collect()
            .await?;
        for (version, metadata) in &versions {
            self.inner
                .partitions
                .insert(version.metadata.clone(), Arc::clone(metadata));
        }
        let txns: Vec<TxnId> = batch.iter().map(|pending| pending.txn).collect();
        let versions = versions.into_iter().map(|(version, _)| version).collect();
        let now_ms = self.now_ms();
        self.edit(move |catalog| Ok(catalog.publish(table_id, txns, versions, now_ms)))
            .await
            .map(drop)
    }

    /// Writes the next version of one partition.
    async fn write_version(
        &self,
        partition: Arc<Partition>,
        segments: Vec<(TabletId, Segment)>,
    ) -> Result<(PartitionVersion, Arc<PartitionMetadata>), CoreError> {
        let visible = self.partition_metadata(&partition).await?;
        let epoch = self.inner.epoch;
        let next = next_version(&visible, epoch, segments)?;
        let name = names::partition_metadata(partition.id, next.version, epoch, Uuid::new_v4());
        let bytes = encode_partition_metadata(&next).map_err(|source| CoreError::Format {
            object: name.clone(),
            source,
        })?;
        let path = Path::from(name.as_str());
        let put = self
            .inner
            .data_store
            .put_opts(&path, PutPayload::from(bytes), PutMode::Create.into());
        match tokio::time::timeout(STORE_TIMEOUT, put).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(CoreError::store("write", &name, error)),
            Err(_) => return Err(CoreError::store("write", &name, no_answer())),
        }
        let version = PartitionVersion {
            partition: partition.id,
            version: next.version,
            metadata: name,
        };
        Ok((version, Arc::new(next)))
    }

    async fn writes_of(&self, pending: &Pending) -> Result<Arc<Vec<TabletWrite>>, CoreError> {
        if let Some(writes) = &pending.writes {
            return Ok(Arc::clone(writes));
        }
        let store = &self.inner.data_store;
        let trailers: Vec<Vec<TabletWrite>> = stream::iter(pending.objects.iter().cloned())
            .map(|name| async move { read_trailer(store.as_ref(), &name).await })
            .buffered(GETS)
            .try_collect()
            .await?;
        Ok(Arc::new(trailers.into_iter().flatten().collect()))
    }
}

/// Publishes what a table's queue has, until it is empty. A failure is tried again for as long as it takes: what is committed
/// was acknowledged.
async fn publish_table(core: Core, table: TableId) {
    let mut pause = FIRST_PAUSE;
    loop {
        let batch = core.inner.publisher.front(table);
        if batch.is_empty() {
            return;
        }
        match core.publish(table, &batch).await {
            Ok(()) => {
                core.inner.publisher.pop(table, batch.len());
                core.inner.metrics.txn_success.inc_by(batch.len() as u64);
                pause = FIRST_PAUSE;
            }
            Err(error @ (CoreError::Stopping | CoreError::JournalFailed(_))) => {
                tracing::info!(%table, %error, "publishing ends; the next start takes it up");
                return;
            }
            Err(error) => {
                let first = batch.first().map(|pending| pending.txn.0);
                tracing::warn!(%table, first_txn = first, %error, retry_in_ms = pause.as_millis(), "cannot publish; trying again");
                core.inner.metrics.publish_retry.inc();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn next_version(
    visible: &PartitionMetadata,
    epoch: Epoch,
    segments: Vec<(TabletId, Segment)>,
) -> Result<PartitionMetadata, CoreError> {
    let mut next = visible.clone();
    next.version = visible.version.next();
    next.epoch = epoch;
    for (id, segment) in segments {
        let tablet = next.tablets.iter_mut().find(|tablet| tablet.tablet == id);
        let tablet = tablet.ok_or_else(|| {
            CoreError::store(
                "publish",
                &segment.object,
                format!("partition {} has no tablet {id}", visible.partition),
            )
        })?;
        tablet.segments.push(segment);
    }
    Ok(next)
}

/// What a data object holds, from its last bytes; a second GET where they were too few.
async fn read_trailer(store: &dyn ObjectStore, name: &str) -> Result<Vec<TabletWrite>, CoreError> {
    let mut suffix = SUFFIX_BYTES;
    loop {
        let bytes = get_suffix(store, name, suffix).await?;
        match decode_trailer(&bytes) {
            Ok(writes) => return Ok(writes),
            Err(FormatError::Short { needed }) if needed > suffix => suffix = needed,
            Err(source) => {
                return Err(CoreError::Format {
                    object: name.to_owned(),
                    source,
                });
            }
        }
    }
}

async fn get_suffix(store: &dyn ObjectStore, name: &str, bytes: u64) -> Result<bytes::Bytes, CoreError> {
    let path = Path::from(name);
    let options = GetOptions {
        range: Some(GetRange::Suffix(bytes)),
        ..GetOptions::default()
    };
    let read = async { store.get_opts(&path, options).await?.bytes().await };
    match tokio::time::timeout(STORE_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(CoreError::store("read the end of", name, error)),
        Err(_) => Err(CoreError::store("read the end of", name, no_answer())),
    }
}
