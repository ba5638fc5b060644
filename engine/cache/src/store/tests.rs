use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use super::{CacheOptions, CachingStore};

const BLOCK: u64 = 4096;

async fn cache(size: usize, memory_bytes: u64) -> (CachingStore, Vec<u8>, Path) {
    let inner = Arc::new(InMemory::new());
    let object: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
    let path = Path::from("data/o");
    inner.put(&path, object.clone().into()).await.unwrap();
    let options = CacheOptions {
        memory_bytes,
        block_bytes: BLOCK,
    };
    (CachingStore::new(inner, &options), object, path)
}

async fn read(cache: &CachingStore, path: &Path, range: std::ops::Range<u64>) -> Bytes {
    cache.get_ranges(path, &[range]).await.unwrap().remove(0)
}

#[tokio::test]
async fn every_range_is_right_and_read_once() {
    let (cache, object, path) = cache(50_000, 1 << 20).await;
    let ranges = [
        0..1,
        4095..4097,
        0..4096,
        4096..8192,
        10_000..30_000,
        49_999..50_000,
        0..50_000,
    ];
    for round in 0..2 {
        for range in ranges.clone() {
            let bytes = read(&cache, &path, range.clone()).await;
            assert_eq!(
                bytes,
                object[range.start as usize..range.end as usize],
                "round {round}, {range:?}"
            );
        }
    }
    let all = cache.get_ranges(&path, &ranges).await.unwrap();
    assert!(
        all.iter()
            .zip(&ranges)
            .all(|(bytes, range)| *bytes == object[range.start as usize..range.end as usize])
    );
    assert_eq!(
        cache.metrics().store_bytes(),
        50_000,
        "each byte came from the store once"
    );
    assert!(cache.metrics().hits() > cache.metrics().misses());
}

#[tokio::test]
async fn neighbouring_blocks_are_one_request() {
    let (cache, _, path) = cache(50_000, 1 << 20).await;
    read(&cache, &path, 5_000..6_000).await;
    read(&cache, &path, 0..50_000).await;
    // Before and behind the block that was there.
    assert_eq!(cache.metrics().store_requests(), 3);
}

#[tokio::test]
async fn memory_is_bounded() {
    let (cache, object, path) = cache(400_000, 10 * BLOCK).await;
    for start in (0..400_000).step_by(1000) {
        let bytes = read(&cache, &path, start..start + 1000).await;
        assert_eq!(bytes, object[start as usize..start as usize + 1000]);
    }
    cache.blocks.run_pending_tasks().await;
    assert!(cache.used_bytes() <= 10 * BLOCK, "{} bytes", cache.used_bytes());
    cache.clear();
    cache.blocks.run_pending_tasks().await;
    assert_eq!(cache.used_bytes(), 0);
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let (cache, object, path) = cache(5_000, 1 << 20).await;
    let none = Path::from("data/none");
    assert!(cache.get_ranges(&none, std::slice::from_ref(&(0..10))).await.is_err());
    let behind_the_end = 4_000..6_000;
    let error = cache
        .get_ranges(&path, std::slice::from_ref(&behind_the_end))
        .await
        .unwrap_err();
    let beyond = error.to_string();
    assert!(beyond.contains("data/o") && beyond.contains("5000 bytes"), "{beyond}");
    let whole: Bytes = cache.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(whole, object);
}
