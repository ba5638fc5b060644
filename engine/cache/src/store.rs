//! The caching store.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use moka::future::Cache;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};

#[cfg(test)]
mod tests;

/// Bounds of a [`CachingStore`].
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Bytes of blocks that are kept.
    pub memory_bytes: u64,
    /// Bytes of a block; reads of the store are multiples of it, but for the end of an object.
    pub block_bytes: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            block_bytes: 256 << 10,
        }
    }
}

/// Reads of this many times the block size in one request go past the cache: one scan of a large object must not push
/// out all others.
const BYPASS_BLOCKS: u64 = 256;
/// Requests to the store that one call makes at the same time.
const CONCURRENT_REQUESTS: usize = 8;

/// What the cache answered since the process started.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    hits: AtomicU64,
    misses: AtomicU64,
    store_requests: AtomicU64,
    store_bytes: AtomicU64,
}

impl CacheMetrics {
    /// Blocks found in memory.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Blocks that were read from the store.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// GET requests to the store for byte ranges.
    #[must_use]
    pub fn store_requests(&self) -> u64 {
        self.store_requests.load(Ordering::Relaxed)
    }

    /// Bytes that the store sent for them.
    #[must_use]
    pub fn store_bytes(&self) -> u64 {
        self.store_bytes.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BlockKey {
    object: Path,
    block: u64,
}

/// An [`ObjectStore`] that keeps blocks of what is read by range, keyed by full name and block.
///
/// It is right only for objects that never change under a name, which is what the engine writes. What is read by
/// `get_ranges` is kept; other reads, listings and writes go to the store. All of it may be lost at any moment.
#[derive(Clone, Debug)]
pub struct CachingStore {
    inner: Arc<dyn ObjectStore>,
    blocks: Cache<BlockKey, Bytes>,
    block_bytes: u64,
    metrics: Arc<CacheMetrics>,
}

impl CachingStore {
    /// Caches reads of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, options: &CacheOptions) -> Self {
        let blocks = Cache::builder()
            .max_capacity(options.memory_bytes)
            .weigher(|key: &BlockKey, block: &Bytes| {
                u32::try_from(block.len() + key.object.as_ref().len()).unwrap_or(u32::MAX)
            })
            .build();
        Self {
            inner,
            blocks,
            block_bytes: options.block_bytes.max(4096),
            metrics: Arc::default(),
        }
    }

    /// Counters of this cache.
    #[must_use]
    pub fn metrics(&self) -> &Arc<CacheMetrics> {
        &self.metrics
    }

    /// Bytes that are kept now, about.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.blocks.weighted_size()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.blocks.invalidate_all();
    }

    fn is_cacheable(&self, range: &Range<u64>) -> bool {
        range.start < range.end && range.end - range.start <= self.block_bytes * BYPASS_BLOCKS
    }

    async fn cached_range(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let first = range.start / self.block_bytes;
        let last = (range.end - 1) / self.block_bytes;
        let mut found: Vec<Option<Bytes>> = Vec::with_capacity((last - first + 1) as usize);
        for block in first..=last {
            found.push(self.blocks.get(&self.key(location, block)).await);
        }
        let hits = found.iter().flatten().count() as u64;
        self.metrics.hits.fetch_add(hits, Ordering::Relaxed);
        self.metrics
            .misses
            .fetch_add(found.len() as u64 - hits, Ordering::Relaxed);
        let missing = runs_of_missing(&found);
        let read: Vec<(usize, Vec<Bytes>)> = futures::stream::iter(missing)
            .map(|run| async move {
                let blocks = first + run.start as u64..first + run.end as u64;
                Ok::<_, object_store::Error>((run.start, self.read_blocks(location, blocks, range.end).await?))
            })
            .buffer_unordered(CONCURRENT_REQUESTS)
            .try_collect()
            .await?;
        for (start, blocks) in read {
            for (offset, block) in blocks.into_iter().enumerate() {
                found[start + offset] = Some(block);
            }
        }
        Ok(self.assemble(&found, first, &range))
    }

    fn key(&self, object: &Path, block: u64) -> BlockKey {
        BlockKey {
            object: object.clone(),
            block,
        }
    }

    /// Reads neighbouring blocks with one request and keeps them. A block that ends before `wanted_end` and is not full is
    /// the last of its object.
    async fn read_blocks(&self, location: &Path, blocks: Range<u64>, wanted_end: u64) -> Result<Vec<Bytes>> {
        let start = blocks.start * self.block_bytes;
        let end = blocks.end * self.block_bytes;
        let options = GetOptions {
            range: Some((start..end).into()),
            ..GetOptions::default()
        };
        let result = self.inner.get_opts(location, options).await?;
        let size = result.meta.size;
        let bytes = result.bytes().await?;
        self.metrics.store_requests.fetch_add(1, Ordering::Relaxed);
        self.metrics
            .store_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if start + (bytes.len() as u64) < wanted_end.min(end) {
            return Err(object_store::Error::Generic {
                store: "cache",
                source: format!("object {location} has {size} bytes, but is read up to {wanted_end}").into(),
            });
        }
        let mut pieces = Vec::with_capacity((blocks.end - blocks.start) as usize);
        for block in blocks.clone() {
            let from = ((block - blocks.start) * self.block_bytes).min(bytes.len() as u64) as usize;
            let to = (from + self.block_bytes as usize).min(bytes.len());
            // A copy: a slice would hold on to the whole answer for as long as one of its blocks is kept.
            let piece = Bytes::copy_from_slice(&bytes[from..to]);
            self.blocks.insert(self.key(location, block), piece.clone()).await;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn assemble(&self, found: &[Option<Bytes>], first: u64, range: &Range<u64>) -> Bytes {
        let cut = |index: usize, block: &Bytes| {
            let base = (first + index as u64) * self.block_bytes;
            let from = range.start.saturating_sub(base).min(block.len() as u64) as usize;
            let to = (range.end - base).min(block.len() as u64) as usize;
            block.slice(from..to.max(from))
        };
        if let [Some(block)] = found {
            return cut(0, block);
        }
        let mut all = BytesMut::with_capacity((range.end - range.start) as usize);
        for (index, block) in found.iter().enumerate() {
            if let Some(block) = block {
                all.extend_from_slice(&cut(index, block));
            }
        }
        all.freeze()
    }
}

/// Ranges of neighbouring positions that hold nothing.
fn runs_of_missing(found: &[Option<Bytes>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in (0..found.len()).filter(|index| found[*index].is_none()) {
        match runs.last_mut() {
            Some(run) if run.end == index => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

impl fmt::Display for CachingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caching({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for CachingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if !ranges.iter().all(|range| self.is_cacheable(range)) {
            return self.inner.get_ranges(location, ranges).await;
        }
        futures::stream::iter(ranges.iter().cloned())
            .map(|range| self.cached_range(location, range))
            .buffered(CONCURRENT_REQUESTS)
            .try_collect()
            .await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
