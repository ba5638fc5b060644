//! Reading segments: Parquet files at an offset of an object.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use datafusion::{
    common::{DataFusionError, exec_datafusion_err},
    datasource::{listing::PartitionedFile, physical_plan::ParquetFileReaderFactory},
    physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder},
};
use futures::{FutureExt, future::BoxFuture};
use moka::future::Cache;
use object_store::{ObjectStore, path::Path};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};
use springtide_model::Segment;

use crate::error::ReadError;

#[cfg(test)]
mod tests;

/// Segments up to this size are read whole, with one GET.
const WHOLE_SEGMENT_BYTES: u64 = 1 << 20;
/// Bytes of the end of a larger segment that are read at first: footer and page index mostly fit.
const FOOTER_BYTES: usize = 64 << 10;

/// Where a segment is. Set it as extension of each `PartitionedFile` that is given to [`SegmentReaderFactory`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SegmentLocation {
    /// Name of the object below the data prefix.
    pub object: String,
    /// First byte of the Parquet file.
    pub offset: u64,
    /// Bytes of the Parquet file.
    pub length: u64,
}

impl From<&Segment> for SegmentLocation {
    fn from(segment: &Segment) -> Self {
        Self {
            object: segment.object.clone(),
            offset: segment.offset,
            length: segment.length,
        }
    }
}

/// Bounds of a [`SegmentReaderFactory`].
#[derive(Clone, Debug)]
pub struct SegmentReaderOptions {
    /// Bytes of decoded footers that are kept.
    pub footer_cache_bytes: u64,
}

impl Default for SegmentReaderOptions {
    fn default() -> Self {
        Self {
            footer_cache_bytes: 64 << 20,
        }
    }
}

/// What readers asked of the store since the process started.
#[derive(Debug, Default)]
pub struct SegmentReaderMetrics {
    requests: AtomicU64,
    bytes: AtomicU64,
    footer_hits: AtomicU64,
    footer_misses: AtomicU64,
}

impl SegmentReaderMetrics {
    /// Reads of byte ranges, after those next to each other were joined.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes that were asked for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Footers found in memory.
    #[must_use]
    pub fn footer_hits(&self) -> u64 {
        self.footer_hits.load(Ordering::Relaxed)
    }

    /// Footers that were read from the store.
    #[must_use]
    pub fn footer_misses(&self) -> u64 {
        self.footer_misses.load(Ordering::Relaxed)
    }
}

/// Makes readers of segments; keeps footers in memory, since objects never change.
#[derive(Clone, Debug)]
pub struct SegmentReaderFactory {
    store: Arc<dyn ObjectStore>,
    footers: Cache<SegmentLocation, Arc<ParquetMetaData>>,
    metrics: Arc<SegmentReaderMetrics>,
}

impl SegmentReaderFactory {
    /// Reads from `store`, which is rooted at the cluster's data prefix.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, options: &SegmentReaderOptions) -> Self {
        let footers = Cache::builder()
            .max_capacity(options.footer_cache_bytes)
            .weigher(|location: &SegmentLocation, footer: &Arc<ParquetMetaData>| {
                u32::try_from(footer.memory_size() + location.object.len()).unwrap_or(u32::MAX)
            })
            .build();
        Self {
            store,
            footers,
            metrics: Arc::default(),
        }
    }

    fn open(&self, location: SegmentLocation, scanned_bytes: Count, requests: Count) -> SegmentReader {
        SegmentReader {
            path: Path::from(location.object.as_str()),
            whole: None,
            scanned_bytes,
            requests,
            factory: self.clone(),
            location,
        }
    }

    /// Counters of all readers of this factory.
    #[must_use]
    pub fn metrics(&self) -> &Arc<SegmentReaderMetrics> {
        &self.metrics
    }
}

impl ParquetFileReaderFactory for SegmentReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>, DataFusionError> {
        let location = partitioned_file
            .extension::<SegmentLocation>()
            .ok_or_else(|| {
                exec_datafusion_err!("file {} has no segment location", partitioned_file.object_meta.location)
            })?
            .clone();
        let scanned_bytes = MetricBuilder::new(metrics).counter("store_bytes", partition_index);
        let requests = MetricBuilder::new(metrics).counter("store_requests", partition_index);
        Ok(Box::new(self.open(location, scanned_bytes, requests)))
    }
}

struct SegmentReader {
    factory: SegmentReaderFactory,
    location: SegmentLocation,
    path: Path,
    /// All bytes of a small segment, once they were read.
    whole: Option<Bytes>,
    scanned_bytes: Count,
    requests: Count,
}

impl SegmentReader {
    async fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ParquetError> {
        for range in ranges {
            if range.start > range.end || range.end > self.location.length {
                return Err(ParquetError::General(format!(
                    "segment {} at {} has {} bytes, but bytes {}..{} are asked for: it is damaged",
                    self.location.object, self.location.offset, self.location.length, range.start, range.end
                )));
            }
        }
        if self.whole.is_none() && self.location.length <= WHOLE_SEGMENT_BYTES {
            let all = self.fetch(std::slice::from_ref(&(0..self.location.length))).await?;
            self.whole = all.into_iter().next();
        }
        if let Some(whole) = &self.whole {
            return Ok(ranges
                .iter()
                .map(|range| whole.slice(range.start as usize..range.end as usize))
                .collect());
        }
        self.fetch(ranges).await
    }

    /// Asks the store, which joins ranges that are close to each other.
    async fn fetch(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ParquetError> {
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.factory
            .metrics
            .requests
            .fetch_add(ranges.len() as u64, Ordering::Relaxed);
        self.factory.metrics.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.requests.add(ranges.len());
        self.scanned_bytes.add(bytes as usize);
        let offset = self.location.offset;
        let shifted: Vec<Range<u64>> = ranges
            .iter()
            .map(|range| range.start + offset..range.end + offset)
            .collect();
        let pieces = self
            .factory
            .store
            .get_ranges(&self.path, &shifted)
            .await
            .map_err(|source| {
                let object = self.location.object.clone();
                ParquetError::External(Box::new(ReadError { object, source }))
            })?;
        let complete = pieces.len() == ranges.len()
            && pieces
                .iter()
                .zip(ranges)
                .all(|(piece, range)| piece.len() as u64 == range.end - range.start);
        if complete {
            Ok(pieces)
        } else {
            Err(ParquetError::EOF(format!(
                "object {} is shorter than its metadata says",
                self.location.object
            )))
        }
    }
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let mut pieces = self.read(&[range]).await?;
            Ok(pieces.swap_remove(0))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.read(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            if let Some(footer) = self.factory.footers.get(&self.location).await {
                self.factory.metrics.footer_hits.fetch_add(1, Ordering::Relaxed);
                return Ok(footer);
            }
            self.factory.metrics.footer_misses.fetch_add(1, Ordering::Relaxed);
            let length = self.location.length;
            let footer = ParquetMetaDataReader::new()
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(FOOTER_BYTES))
                .load_and_finish(&mut *self, length)
                .await?;
            let footer = Arc::new(footer);
            self.factory
                .footers
                .insert(self.location.clone(), Arc::clone(&footer))
                .await;
            Ok(footer)
        }
        .boxed()
    }
}
