//! Partition metadata: a bounded cache of objects that never change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use springtide_catalog::Partition;
use springtide_model::{Epoch, PartitionMetadata, TabletMetadata};

use super::{CoreError, STORE_TIMEOUT};

/// Most partitions whose metadata is kept in memory.
const ENTRIES: usize = 8192;

/// Metadata by name of its object. Names are never written twice, so nothing in here is ever out of date.
#[derive(Debug, Default)]
pub(super) struct PartitionCache {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_name: HashMap<String, (Arc<PartitionMetadata>, u64)>,
    /// Grows with every use; tells which entry was not used for longest.
    uses: u64,
}

impl PartitionCache {
    /// The metadata of the partition's visible version.
    pub(super) async fn visible(
        &self,
        store: &Arc<dyn ObjectStore>,
        epoch: Epoch,
        partition: &Partition,
    ) -> Result<Arc<PartitionMetadata>, CoreError> {
        let Some(name) = &partition.metadata else {
            return Ok(Arc::new(empty(partition, epoch)));
        };
        if let Some(known) = self.get(name) {
            return Ok(known);
        }
        let bytes = get_whole(store.as_ref(), name).await?;
        let metadata = springtide_format::decode_partition_metadata(&bytes).map_err(|source| CoreError::Format {
            object: name.clone(),
            source,
        })?;
        if metadata.partition != partition.id || metadata.version != partition.visible_version {
            return Err(CoreError::store(
                "use",
                name,
                format!(
                    "it is of partition {} version {}, not of {} version {}",
                    metadata.partition, metadata.version, partition.id, partition.visible_version
                ),
            ));
        }
        let metadata = Arc::new(metadata);
        self.insert(name.clone(), Arc::clone(&metadata));
        Ok(metadata)
    }

    fn get(&self, name: &str) -> Option<Arc<PartitionMetadata>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let now = entries.uses;
        let (metadata, used) = entries.by_name.get_mut(name)?;
        *used = now;
        Some(Arc::clone(metadata))
    }

    /// Keeps what was just written or read.
    pub(super) fn insert(&self, name: String, metadata: Arc<PartitionMetadata>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let now = entries.uses;
        entries.by_name.insert(name, (metadata, now));
        if entries.by_name.len() > ENTRIES {
            let mut uses: Vec<u64> = entries.by_name.values().map(|(_, used)| *used).collect();
            // An eighth at a time, so that finding the oldest is paid for by many inserts.
            let (_, oldest, _) = uses.select_nth_unstable(ENTRIES / 8);
            let oldest = *oldest;
            entries.by_name.retain(|_, (_, used)| *used > oldest);
        }
    }
}

fn empty(partition: &Partition, epoch: Epoch) -> PartitionMetadata {
    PartitionMetadata {
        partition: partition.id,
        version: partition.visible_version,
        epoch,
        tablets: partition
            .tablets
            .iter()
            .map(|tablet| TabletMetadata {
                tablet: *tablet,
                segments: Vec::new(),
            })
            .collect(),
    }
}

async fn get_whole(store: &dyn ObjectStore, name: &str) -> Result<Bytes, CoreError> {
    let path = Path::from(name);
    let read = async { store.get(&path).await?.bytes().await };
    match tokio::time::timeout(STORE_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(CoreError::store("read", name, error)),
        Err(_) => Err(CoreError::store("read", name, no_answer())),
    }
}

pub(super) fn no_answer() -> String {
    format!("the object store did not answer within {} s", STORE_TIMEOUT.as_secs())
}
