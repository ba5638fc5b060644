//! Partition metadata: a bounded cache of objects that never change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use springtide_catalog::Partition;
use springtide_model::{Epoch, PartitionId, PartitionMetadata, TabletMetadata};

use super::{CoreError, STORE_TIMEOUT};

/// Most partitions whose metadata is kept in memory.
const MOST_PARTITIONS: usize = 8192;
/// Most segments that they may have together: some 200 bytes each.
const MOST_SEGMENTS: usize = 500_000;

/// The newest version of each partition that was used lately. A partition that is written often has a new version each second, and
/// every one lists all of its segments: what is older is not kept. Names are never written twice, so nothing in here is wrong.
#[derive(Debug, Default)]
pub(super) struct PartitionCache {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_partition: HashMap<PartitionId, Entry>,
    segments: usize,
    /// Grows with every use; tells which entry was not used for longest.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    name: String,
    metadata: Arc<PartitionMetadata>,
    segments: usize,
    used: u64,
}

impl Entries {
    fn keep(&mut self, name: String, metadata: Arc<PartitionMetadata>) {
        self.uses += 1;
        let before = self.by_partition.get(&metadata.partition);
        if before.is_some_and(|before| before.metadata.version > metadata.version) {
            return;
        }
        let partition = metadata.partition;
        let segments = metadata.tablets.iter().map(|tablet| tablet.segments.len()).sum();
        let entry = Entry {
            name,
            segments,
            used: self.uses,
            metadata,
        };
        if let Some(before) = self.by_partition.insert(partition, entry) {
            self.segments -= before.segments;
        }
        self.segments += segments;
        if self.by_partition.len() > MOST_PARTITIONS || self.segments > MOST_SEGMENTS {
            self.forget(partition);
        }
    }

    /// Forgets the eighth that was not used for longest, so that finding it is paid for by many inserts; but for `newest`.
    fn forget(&mut self, newest: PartitionId) {
        let mut by_use: Vec<(u64, PartitionId)> =
            self.by_partition.iter().map(|(id, entry)| (entry.used, *id)).collect();
        by_use.sort_unstable();
        let (partitions, segments) = (MOST_PARTITIONS / 8 * 7, MOST_SEGMENTS / 8 * 7);
        for (_, id) in by_use {
            if self.by_partition.len() <= partitions && self.segments <= segments {
                return;
            }
            if id != newest
                && let Some(entry) = self.by_partition.remove(&id)
            {
                self.segments -= entry.segments;
            }
        }
    }
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
        if let Some(known) = self.get(partition.id, name) {
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

    fn get(&self, partition: PartitionId, name: &str) -> Option<Arc<PartitionMetadata>> {
        let mut entries = self.lock();
        entries.uses += 1;
        let now = entries.uses;
        let entry = entries.by_partition.get_mut(&partition)?;
        entry.used = now;
        (entry.name == name).then(|| Arc::clone(&entry.metadata))
    }

    /// Keeps what was just written or read.
    pub(super) fn insert(&self, name: String, metadata: Arc<PartitionMetadata>) {
        self.lock().keep(name, metadata);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use springtide_model::{Segment, TabletId, Version};

    use super::*;

    fn segment() -> Segment {
        Segment {
            object: String::new(),
            offset: 0,
            length: 1,
            rows: 1,
            uncompressed_bytes: 1,
            key_range: None,
            schema_id: 0,
            epoch: Epoch(1),
        }
    }

    fn metadata(partition: u64, version: u64, segments: usize) -> Arc<PartitionMetadata> {
        Arc::new(PartitionMetadata {
            partition: PartitionId(partition),
            version: Version(version),
            epoch: Epoch(1),
            tablets: vec![TabletMetadata {
                tablet: TabletId(1),
                segments: vec![segment(); segments],
            }],
        })
    }

    #[test]
    fn a_partition_that_is_written_all_the_time_keeps_one_version_in_memory() {
        let cache = PartitionCache::default();
        for version in 1..=3000 {
            cache.insert(format!("v{version}"), metadata(7, version, 10));
        }
        let entries = cache.lock();
        assert_eq!((entries.by_partition.len(), entries.segments), (1, 10));
        drop(entries);
        assert!(cache.get(PartitionId(7), "v3000").is_some());
        assert!(cache.get(PartitionId(7), "v2999").is_none());
        cache.insert("v1".to_owned(), metadata(7, 1, 10));
        assert!(
            cache.get(PartitionId(7), "v3000").is_some(),
            "a statement on an old snapshot pushes nothing out"
        );
    }

    #[test]
    fn large_partitions_push_out_what_was_not_used_for_longest() {
        let cache = PartitionCache::default();
        for partition in 0..10 {
            cache.insert(format!("p{partition}"), metadata(partition, 1, MOST_SEGMENTS / 10));
        }
        assert!(cache.get(PartitionId(0), "p0").is_some());
        cache.insert("p10".to_owned(), metadata(10, 1, 1));
        assert!(cache.get(PartitionId(0), "p0").is_some(), "it was just used");
        assert!(cache.get(PartitionId(1), "p1").is_none());
        assert!(cache.get(PartitionId(10), "p10").is_some());
        assert!(cache.lock().segments <= MOST_SEGMENTS);
        cache.insert("huge".to_owned(), metadata(11, 1, 2 * MOST_SEGMENTS));
        assert!(
            cache.get(PartitionId(11), "huge").is_some(),
            "what is needed now is kept, however large"
        );
    }
}
