//! Rows to data objects: route, buffer, sort, encode, bundle, upload.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::{DataType as ArrowType, SchemaRef},
};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use springtide_model::{DataObject, LoadTarget};

use crate::{BucketHasher, PartitionRouter, WriteError, arrow_schema, cast_batch, error::arrow_in};

mod object;
mod run;

use object::ObjectAssembler;
use run::SortedRun;

#[cfg(test)]
mod tests;

/// Bounds of a writer.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Most bytes that rows, their sorted copies and encoded segments may take. At least 1 MiB is used.
    pub memory_limit_bytes: usize,
    /// An object is closed at the first end of a segment past this size, in bytes.
    pub target_object_bytes: u64,
    /// Most rows of a Parquet row group.
    pub row_group_rows: usize,
    /// Segments that are sorted and encoded at the same time.
    pub encoders: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            memory_limit_bytes: 256 << 20,
            target_object_bytes: 64 << 20,
            row_group_rows: 256 << 10,
            encoders: 2,
        }
    }
}

/// Share of the memory limit that buffered rows may take: sorting needs the rows twice more for a moment.
const BUFFER_SHARE: usize = 3;
const LEAST_MEMORY_BYTES: usize = 1 << 20;

/// Rows of one tablet, not yet sorted.
#[derive(Debug, Default)]
struct TabletBuffer {
    batches: Vec<RecordBatch>,
}

/// Writes the rows of one load, or of one task of a load.
///
/// Rows are buffered per tablet under one memory budget. When it is spent, and at the end, each tablet's rows become one
/// [sorted run](run::SortedRun), each run one segment, and the segments of all touched partitions go into one object, or
/// into several of [`WriterOptions::target_object_bytes`]: a small load is one PUT. Nothing that was written is visible
/// before the commit; a writer that is dropped leaves at most unreferenced objects.
#[derive(Debug)]
pub struct TabletWriter {
    target: Arc<LoadTarget>,
    schema: SchemaRef,
    store: Arc<dyn ObjectStore>,
    options: WriterOptions,
    router: PartitionRouter,
    hasher: BucketHasher,
    /// Partition-major: position of the partition times buckets, plus bucket.
    buffers: Vec<TabletBuffer>,
    buffered_bytes: usize,
    rows: u64,
    batches: u64,
    objects: Vec<DataObject>,
}

impl TabletWriter {
    /// Writes to `target` on `store`, which is rooted at the cluster's data prefix.
    ///
    /// # Errors
    /// [`WriteError::Target`] when the target contradicts itself.
    pub fn new(target: &LoadTarget, store: Arc<dyn ObjectStore>, options: WriterOptions) -> Result<Self, WriteError> {
        let router = PartitionRouter::new(target)?;
        let hasher = BucketHasher::new(&target.schema);
        let buckets = hasher.buckets() as usize;
        if let Some(partition) = target
            .partitions
            .iter()
            .find(|partition| partition.tablets.len() != buckets)
        {
            return Err(WriteError::Target {
                table: target.table_name.clone(),
                problem: format!(
                    "partition `{}` has {} tablets for {buckets} buckets",
                    partition.name,
                    partition.tablets.len()
                ),
            });
        }
        let tablets = target.partitions.len() * buckets;
        Ok(Self {
            target: Arc::new(target.clone()),
            schema: arrow_schema(&target.schema),
            store,
            options,
            router,
            hasher,
            buffers: std::iter::repeat_with(TabletBuffer::default).take(tablets).collect(),
            buffered_bytes: 0,
            rows: 0,
            batches: 0,
            objects: Vec::new(),
        })
    }

    /// The schema that rows are cast to.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows taken so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes rows whose columns are the table's, in order; casts them strictly. May write objects before it returns.
    ///
    /// # Errors
    /// See [`WriteError`]; rows are counted from the start of the load. After an error the writer is only good for
    /// [`Self::abort`].
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), WriteError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = batch.num_rows() as u64;
        self.route(&batch).map_err(|error| error.after_rows(self.rows))?;
        self.rows += rows;
        self.batches += 1;
        let limit = self.options.memory_limit_bytes.max(LEAST_MEMORY_BYTES) / BUFFER_SHARE;
        if self.buffered_bytes > limit {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what is buffered, and gives all objects of the writer; none when there were no rows.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn finish(mut self) -> Result<Vec<DataObject>, WriteError> {
        self.flush().await?;
        Ok(std::mem::take(&mut self.objects))
    }

    /// Forgets the rows and deletes the objects that were written, as far as the store lets: what stays is unreferenced.
    pub async fn abort(mut self) {
        self.buffers.clear();
        for object in self.objects {
            if let Err(error) = self.store.delete(&Path::from(object.name.as_str())).await {
                tracing::warn!(object = object.name, %error, "an object of an aborted load stays behind");
            }
        }
    }

    fn route(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let batch = cast_batch(batch, &self.target.schema)?;
        let tablets = self.tablets_of(&batch)?;
        let first = tablets[0];
        if tablets.iter().all(|tablet| *tablet == first) {
            self.buffer(first as usize, compact(&batch)?);
            return Ok(());
        }
        let (order, counts) = group(&tablets, self.buffers.len());
        let table = &self.target.table_name;
        let sorted = take_record_batch(&batch, &UInt32Array::from(order)).map_err(arrow_in(table))?;
        let sorted = compact(&sorted)?;
        let mut offset = 0;
        for (tablet, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            // A slice holds on to the whole batch, which lives as long as any of its slices: all are flushed together.
            let rows = sorted.slice(offset, count);
            offset += count;
            self.buffers[tablet].batches.push(rows);
        }
        self.buffered_bytes += sorted.get_array_memory_size();
        Ok(())
    }

    fn buffer(&mut self, tablet: usize, batch: RecordBatch) {
        self.buffered_bytes += batch.get_array_memory_size();
        self.buffers[tablet].batches.push(batch);
    }

    fn tablets_of(&self, batch: &RecordBatch) -> Result<Vec<u32>, WriteError> {
        let buckets = self.hasher.buckets();
        let mut tablets = self.hasher.buckets_of(batch)?;
        if self.hasher.is_random() {
            // Whole batches take turns, so that a small load touches few tablets; loads start at different ones.
            let bucket = ((self.target.txn.0 + self.batches) % u64::from(buckets)) as u32;
            tablets.fill(bucket);
        }
        if let Some(column) = self.router.column() {
            let partitions = self.router.partitions_of(batch.column(column))?;
            for (tablet, partition) in tablets.iter_mut().zip(partitions) {
                *tablet += partition as u32 * buckets;
            }
        }
        Ok(tablets)
    }

    /// Sorts, encodes and uploads all that is buffered.
    async fn flush(&mut self) -> Result<(), WriteError> {
        if self.buffered_bytes == 0 && self.buffers.iter().all(|buffer| buffer.batches.is_empty()) {
            return Ok(());
        }
        let buckets = self.hasher.buckets() as usize;
        let filled: Vec<(usize, Vec<RecordBatch>)> = self
            .buffers
            .iter_mut()
            .enumerate()
            .filter(|(_, buffer)| !buffer.batches.is_empty())
            .map(|(tablet, buffer)| (tablet, std::mem::take(&mut buffer.batches)))
            .collect();
        self.buffered_bytes = 0;
        let first_partition = filled[0].0 / buckets;
        let one_partition = filled.iter().all(|(tablet, _)| tablet / buckets == first_partition);
        let partition = one_partition.then(|| self.target.partitions[first_partition].id);
        let mut segments = futures::stream::iter(filled)
            .map(|(position, batches)| {
                let target = Arc::clone(&self.target);
                let row_group_rows = self.options.row_group_rows;
                async move {
                    let table = target.table_name.clone();
                    tokio::task::spawn_blocking(move || {
                        let partition = &target.partitions[position / buckets];
                        let tablet = partition.tablets[position % buckets];
                        SortedRun::sort(&target, partition.id, tablet, &batches)?.encode(&target, row_group_rows)
                    })
                    .await
                    .map_err(|error| WriteError::encode(&table, error))?
                }
            })
            .buffered(self.options.encoders.max(1));
        let mut assembler = ObjectAssembler::new(
            Arc::clone(&self.target),
            Arc::clone(&self.store),
            partition,
            self.options.target_object_bytes,
        );
        while let Some(segment) = segments.try_next().await.transpose() {
            match segment {
                Ok(segment) => assembler.push(segment).await?,
                Err(error) => {
                    assembler.abort().await;
                    return Err(error);
                }
            }
        }
        drop(segments);
        self.objects.extend(assembler.finish().await?);
        Ok(())
    }
}

/// Indices of the rows in order of tablet, and how many rows each tablet has.
fn group(tablets: &[u32], count: usize) -> (Vec<u32>, Vec<usize>) {
    let mut counts = vec![0_usize; count];
    for tablet in tablets {
        counts[*tablet as usize] += 1;
    }
    let mut next: Vec<usize> = counts
        .iter()
        .scan(0, |sum, count| {
            let start = *sum;
            *sum += count;
            Some(start)
        })
        .collect();
    let mut order = vec![0_u32; tablets.len()];
    for (row, tablet) in tablets.iter().enumerate() {
        let slot = &mut next[*tablet as usize];
        order[*slot] = row as u32;
        *slot += 1;
    }
    (order, counts)
}

/// Views hold on to the buffers of the batch they came from, which may be much larger than what they show.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, WriteError> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            ArrowType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
            ArrowType::BinaryView => Arc::new(column.as_binary_view().gc()),
            _ => Arc::clone(column),
        })
        .collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(|error| WriteError::encode("", error))
}
