//! Bundles segments into data objects and uploads them.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use springtide_format::{encode_trailer, names};
use springtide_model::{DataObject, LoadTarget, PartitionId, Segment, TabletWrite};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::run::EncodedSegment;
use crate::WriteError;

/// Objects up to this size are one PUT; larger ones are uploaded in parts of it.
const PART_BYTES: usize = 16 << 20;
/// Parts of one object that are uploaded at the same time.
const CONCURRENT_PARTS: usize = 4;

/// Puts segments one after another into objects, and closes each with its trailer.
pub(super) struct ObjectAssembler {
    target: Arc<LoadTarget>,
    store: Arc<dyn ObjectStore>,
    partition: Option<PartitionId>,
    target_bytes: u64,
    open: Option<OpenObject>,
    done: Vec<DataObject>,
}

struct OpenObject {
    upload: BufWriter,
    object: DataObject,
}

impl ObjectAssembler {
    /// `partition` is the one that all segments belong to, `None` for several.
    pub(super) fn new(
        target: Arc<LoadTarget>,
        store: Arc<dyn ObjectStore>,
        partition: Option<PartitionId>,
        target_bytes: u64,
    ) -> Self {
        Self {
            target,
            store,
            partition,
            target_bytes,
            open: None,
            done: Vec::new(),
        }
    }

    /// Appends a segment; closes the object when it has reached its size.
    pub(super) async fn push(&mut self, segment: EncodedSegment) -> Result<(), WriteError> {
        let open = self
            .open
            .get_or_insert_with(|| OpenObject::new(&self.target, self.partition, &self.store));
        open.append(&self.target, segment).await?;
        if open.object.size >= self.target_bytes {
            self.close().await?;
        }
        Ok(())
    }

    /// Closes the last object and gives all of them.
    pub(super) async fn finish(mut self) -> Result<Vec<DataObject>, WriteError> {
        self.close().await?;
        Ok(self.done)
    }

    /// Gives up the object that is open; those that are done stay unreferenced.
    pub(super) async fn abort(mut self) {
        if let Some(mut open) = self.open.take()
            && let Err(error) = open.upload.abort().await
        {
            tracing::warn!(object = open.object.name, %error, "parts of an aborted upload stay behind");
        }
    }

    async fn close(&mut self) -> Result<(), WriteError> {
        if let Some(open) = self.open.take() {
            self.done.push(open.close(&self.target).await?);
        }
        Ok(())
    }
}

impl OpenObject {
    fn new(target: &LoadTarget, partition: Option<PartitionId>, store: &Arc<dyn ObjectStore>) -> Self {
        let name = names::data_object(target.table, partition, target.epoch, target.txn, Uuid::new_v4());
        let upload = BufWriter::with_capacity(Arc::clone(store), Path::from(name.as_str()), PART_BYTES)
            .with_max_concurrency(CONCURRENT_PARTS);
        Self {
            upload,
            object: DataObject {
                name,
                size: 0,
                writes: Vec::new(),
            },
        }
    }

    async fn append(&mut self, target: &LoadTarget, segment: EncodedSegment) -> Result<(), WriteError> {
        let length = segment.bytes.len() as u64;
        let write = TabletWrite {
            partition: segment.partition,
            tablet: segment.tablet,
            segment: Segment {
                object: self.object.name.clone(),
                offset: self.object.size,
                length,
                rows: segment.rows,
                uncompressed_bytes: segment.uncompressed_bytes,
                key_range: segment.key_range,
                schema_id: target.schema.schema_id,
                epoch: target.epoch,
            },
        };
        self.put(segment.bytes).await?;
        self.object.writes.push(write);
        Ok(())
    }

    async fn close(mut self, target: &LoadTarget) -> Result<DataObject, WriteError> {
        let trailer =
            encode_trailer(&self.object.writes).map_err(|error| WriteError::encode(&target.table_name, error))?;
        self.put(trailer).await?;
        self.upload.shutdown().await.map_err(|error| self.store_error(error))?;
        Ok(self.object)
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        self.object.size += bytes.len() as u64;
        let written = self.upload.put(bytes).await;
        written.map_err(|source| WriteError::Store {
            object: self.object.name.clone(),
            source,
        })
    }

    fn store_error(&self, error: std::io::Error) -> WriteError {
        WriteError::Store {
            object: self.object.name.clone(),
            source: object_store::Error::Generic {
                store: "upload",
                source: Box::new(error),
            },
        }
    }
}
