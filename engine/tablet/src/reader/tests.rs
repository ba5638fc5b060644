use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::metrics::Count;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use parquet::arrow::{ArrowWriter, ParquetRecordBatchStreamBuilder, async_reader::AsyncFileReader};

use super::{SegmentLocation, SegmentReader, SegmentReaderFactory, SegmentReaderOptions};
use crate::error::ReadError;

/// A Parquet file of `rows` random-looking numbers between two stretches of other bytes.
async fn stored(rows: i64) -> (Arc<InMemory>, SegmentLocation) {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..rows).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)),
    ));
    let batch = RecordBatch::try_from_iter([("n", values)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();
    let mut object = vec![0xAA; 1000];
    object.extend_from_slice(&file);
    object.extend_from_slice(&[0xBB; 500]);
    let store = Arc::new(InMemory::new());
    store.put(&Path::from("data/o"), object.into()).await.unwrap();
    let location = SegmentLocation {
        object: "data/o".to_owned(),
        offset: 1000,
        length: file.len() as u64,
    };
    (store, location)
}

fn reader(factory: &SegmentReaderFactory, location: &SegmentLocation) -> SegmentReader {
    factory.open(location.clone(), Count::new(), Count::new())
}

async fn count(factory: &SegmentReaderFactory, location: &SegmentLocation) -> usize {
    let builder = ParquetRecordBatchStreamBuilder::new(reader(factory, location))
        .await
        .unwrap();
    let batches: Vec<RecordBatch> = builder.build().unwrap().try_collect().await.unwrap();
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn a_small_segment_is_one_request_and_its_footer_is_kept() {
    let (store, location) = stored(1_000).await;
    let factory = SegmentReaderFactory::new(store, &SegmentReaderOptions::default());
    assert_eq!(count(&factory, &location).await, 1_000);
    assert_eq!(
        (factory.metrics().requests(), factory.metrics().bytes()),
        (1, location.length)
    );
    assert_eq!(count(&factory, &location).await, 1_000);
    assert_eq!(factory.metrics().requests(), 2);
    assert_eq!(
        (factory.metrics().footer_misses(), factory.metrics().footer_hits()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_large_segment_is_read_in_ranges() {
    let (store, location) = stored(500_000).await;
    assert!(location.length > super::WHOLE_SEGMENT_BYTES);
    let factory = SegmentReaderFactory::new(store, &SegmentReaderOptions::default());
    assert_eq!(count(&factory, &location).await, 500_000);
    assert!(factory.metrics().requests() > 1);
}

#[tokio::test]
async fn a_segment_that_is_not_what_its_metadata_says_is_an_error() {
    let (store, location) = stored(1_000).await;
    let factory = SegmentReaderFactory::new(store, &SegmentReaderOptions::default());
    for wrong in [
        SegmentLocation {
            offset: 0,
            ..location.clone()
        },
        SegmentLocation {
            length: location.length + 10_000,
            ..location.clone()
        },
        SegmentLocation {
            length: location.length - 1,
            ..location.clone()
        },
        SegmentLocation {
            length: 3,
            ..location.clone()
        },
        SegmentLocation {
            object: "data/none".to_owned(),
            ..location.clone()
        },
    ] {
        let built = ParquetRecordBatchStreamBuilder::new(reader(&factory, &wrong)).await;
        assert!(built.is_err(), "{wrong:?}");
    }
    let mut reader = reader(&factory, &location);
    let beyond = reader.get_bytes(0..location.length + 1).await.unwrap_err().to_string();
    assert!(beyond.contains("data/o") && beyond.contains("damaged"), "{beyond}");
}

/// What a client of HTTP says: nothing, and its cause everything.
#[derive(Debug, thiserror::Error)]
#[error("HTTP error")]
struct Opaque(#[source] std::io::Error);

#[tokio::test]
async fn a_segment_that_the_store_does_not_give_is_named_with_the_cause() {
    let (store, location) = stored(1_000).await;
    let factory = SegmentReaderFactory::new(store, &SegmentReaderOptions::default());
    let gone = SegmentLocation {
        object: "data/gone".to_owned(),
        ..location
    };
    let error = reader(&factory, &gone).get_bytes(0..10).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot read data object data/gone: Object at location data/gone not found"),
        "{error}"
    );

    let timed_out = ReadError {
        object: "data/o".to_owned(),
        source: object_store::Error::Generic {
            store: "S3",
            source: Opaque(std::io::Error::other("operation timed out")).into(),
        },
    };
    assert_eq!(
        timed_out.to_string(),
        "cannot read data object data/o: Generic S3 error: HTTP error: operation timed out"
    );
}
