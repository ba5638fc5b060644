use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{Date32Type, Int64Type},
};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::{Rng, SeedableRng, rngs::StdRng};
use springtide_format::{SUFFIX_BYTES, decode_trailer, names::DataObjectName};
use springtide_model::{
    Column, DataObject, DataType, DatabaseId, Distribution, Epoch, KeyRange, Literal, LoadTarget, PartitionBound,
    PartitionId, PartitionRange, TableId, TableSchema, TabletId, TargetPartition, TxnId,
};

use super::{TabletWriter, WriterOptions};
use crate::{BucketHasher, WriteError, cast_batch};

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        data_type,
        nullable: true,
        default: None,
        comment: String::new(),
    }
}

fn target(buckets: u32, hashed: Vec<usize>) -> LoadTarget {
    let day = |text: &str| PartitionBound::Value(Literal::Text(text.to_owned()));
    let range = |lower, upper| Some(PartitionRange { lower, upper });
    let ranges = [
        range(PartitionBound::MinValue, day("2024-01-01")),
        range(day("2024-01-01"), PartitionBound::MaxValue),
    ];
    LoadTarget {
        txn: TxnId(7),
        epoch: Epoch(3),
        database: DatabaseId(1),
        table: TableId(2),
        table_name: "visits".to_owned(),
        schema: Arc::new(TableSchema {
            schema_id: 5,
            columns: vec![
                column("id", DataType::BigInt),
                column("day", DataType::Date),
                column("page", DataType::Varchar { length: 100 }),
            ],
            key_columns: 2,
            partition_column: Some(1),
            distribution: Distribution {
                columns: hashed,
                buckets,
            },
        }),
        partitions: ranges
            .into_iter()
            .enumerate()
            .map(|(index, range)| TargetPartition {
                id: PartitionId(10 + index as u64),
                name: format!("p{index}"),
                range,
                tablets: (0..buckets)
                    .map(|bucket| TabletId(100 * (index as u64 + 1) + u64::from(bucket)))
                    .collect(),
            })
            .collect(),
    }
}

const NEW_YEAR_2024: i32 = 19_723;

fn rows(seed: u64, count: usize) -> RecordBatch {
    let mut random = StdRng::seed_from_u64(seed);
    let ids: Vec<Option<i64>> = (0..count)
        .map(|_| random.random_bool(0.95).then(|| random.random_range(0..1_000)))
        .collect();
    let days: Vec<i32> = (0..count)
        .map(|_| NEW_YEAR_2024 + random.random_range(-10..10))
        .collect();
    let pages: Vec<String> = (0..count)
        .map(|_| format!("/page/{}", random.random_range(0..50)))
        .collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from(ids))),
        ("day", Arc::new(Date32Array::from(days))),
        ("page", Arc::new(StringArray::from(pages))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn write(
    target: &LoadTarget,
    store: &Arc<InMemory>,
    options: WriterOptions,
    batches: &[RecordBatch],
) -> Vec<DataObject> {
    let store: Arc<dyn ObjectStore> = Arc::clone(store) as Arc<dyn ObjectStore>;
    let mut writer = TabletWriter::new(target, store, options).unwrap();
    for batch in batches {
        writer.write(batch.clone()).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn bytes_of(store: &InMemory, name: &str) -> Bytes {
    store.get(&Path::from(name)).await.unwrap().bytes().await.unwrap()
}

fn read(file: Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    let text = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
        .unwrap()
        .to_string();
    text.lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| line.replace(' ', ""))
        .collect()
}

/// Every row is in the tablet that it belongs to, in order, exactly once; objects hold what they say.
async fn check(target: &LoadTarget, store: &InMemory, objects: &[DataObject], batches: &[RecordBatch]) {
    let hasher = BucketHasher::new(&target.schema);
    let mut found = Vec::new();
    for object in objects {
        let bytes = bytes_of(store, &object.name).await;
        assert_eq!(bytes.len() as u64, object.size);
        let suffix = &bytes[bytes.len().saturating_sub(SUFFIX_BYTES as usize)..];
        assert_eq!(decode_trailer(suffix).unwrap(), object.writes);
        for write in &object.writes {
            let segment = &write.segment;
            assert_eq!(
                (segment.schema_id, segment.epoch, segment.object.as_str()),
                (5, Epoch(3), object.name.as_str())
            );
            let file = bytes.slice(segment.offset as usize..(segment.offset + segment.length) as usize);
            let rows = read(file);
            assert_eq!(rows.num_rows() as u64, segment.rows);
            let partition = target
                .partitions
                .iter()
                .position(|partition| partition.id == write.partition)
                .unwrap();
            let bucket = target.partitions[partition]
                .tablets
                .iter()
                .position(|tablet| *tablet == write.tablet)
                .unwrap();
            let days = rows.column(1).as_primitive::<Date32Type>();
            assert!(
                days.values()
                    .iter()
                    .all(|day| (*day >= NEW_YEAR_2024) == (partition == 1))
            );
            if !hasher.is_random() {
                let typed = cast_batch(&rows, &target.schema).unwrap();
                assert!(
                    hasher
                        .buckets_of(&typed)
                        .unwrap()
                        .iter()
                        .all(|hashed| *hashed as usize == bucket)
                );
            }
            let ids = rows.column(0).as_primitive::<Int64Type>();
            let keys: Vec<(Option<i64>, i32)> = ids.iter().zip(days.values().iter().copied()).collect();
            assert!(keys.is_sorted(), "rows are in order of the key, NULL first");
            let known: Vec<i64> = ids.iter().flatten().collect();
            let range = known.first().zip(known.last()).map(|(min, max)| KeyRange {
                min: Literal::Int(i128::from(*min)),
                max: Literal::Int(i128::from(*max)),
            });
            assert_eq!(segment.key_range, range);
            found.extend(lines(&rows));
        }
    }
    let mut expected: Vec<String> = batches.iter().flat_map(lines).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_small_load_is_one_object_with_a_segment_per_tablet() {
    let store = Arc::new(InMemory::new());
    let target = target(4, vec![0]);
    let batches: Vec<RecordBatch> = (0..5).map(|seed| rows(seed, 500)).collect();
    let objects = write(&target, &store, WriterOptions::default(), &batches).await;
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].writes.len(), 8);
    let name = DataObjectName::parse(&objects[0].name).unwrap();
    assert_eq!(
        (name.table, name.partition, name.epoch, name.txn),
        (TableId(2), None, Epoch(3), TxnId(7))
    );
    check(&target, &store, &objects, &batches).await;
}

#[tokio::test]
async fn rows_of_one_partition_are_named_after_it() {
    let store = Arc::new(InMemory::new());
    let target = target(1, vec![0]);
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from(vec![1]))),
        ("day", Arc::new(Date32Array::from(vec![0]))),
        ("page", Arc::new(StringArray::from(vec![None::<&str>]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let objects = write(&target, &store, WriterOptions::default(), &[batch]).await;
    assert_eq!(
        DataObjectName::parse(&objects[0].name).unwrap().partition,
        Some(PartitionId(10))
    );
}

#[tokio::test]
async fn a_spent_budget_makes_more_objects_and_loses_no_row() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let store = Arc::new(InMemory::new());
        let target = target(3, vec![0, 2]);
        let batches: Vec<RecordBatch> = (0..40).map(|batch| rows(seed * 100 + batch, 1_000)).collect();
        let options = WriterOptions {
            memory_limit_bytes: 1 << 20,
            target_object_bytes: 16 << 10,
            row_group_rows: 100,
            encoders: 3,
        };
        let objects = write(&target, &store, options, &batches).await;
        assert!(objects.len() > 3, "{} objects", objects.len());
        check(&target, &store, &objects, &batches).await;
    }
}

#[tokio::test]
async fn a_random_distribution_keeps_batches_together() {
    let store = Arc::new(InMemory::new());
    let target = target(4, Vec::new());
    let batches = [rows(1, 100)];
    let objects = write(&target, &store, WriterOptions::default(), &batches).await;
    assert!(objects[0].writes.len() <= 2, "one bucket of each partition");
    check(&target, &store, &objects, &batches).await;
}

#[tokio::test]
async fn no_rows_make_no_object() {
    let store = Arc::new(InMemory::new());
    let objects = write(&target(2, vec![0]), &store, WriterOptions::default(), &[rows(1, 0)]).await;
    assert!(objects.is_empty());
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
}

#[tokio::test]
async fn errors_count_rows_from_the_start_and_an_abort_leaves_nothing() {
    let store = Arc::new(InMemory::new());
    let options = WriterOptions {
        memory_limit_bytes: 1 << 20,
        ..WriterOptions::default()
    };
    let mut writer =
        TabletWriter::new(&target(2, vec![0]), Arc::clone(&store) as Arc<dyn ObjectStore>, options).unwrap();
    for seed in 0..20 {
        writer.write(rows(seed, 1_000)).await.unwrap();
    }
    assert!(
        !store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty(),
        "something was written"
    );
    let long = "x".repeat(101);
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("day", Arc::new(Date32Array::from(vec![0, 0]))),
        ("page", Arc::new(StringArray::from(vec!["", long.as_str()]))),
    ];
    let error = writer
        .write(RecordBatch::try_from_iter(columns).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, WriteError::Value { row: 20_002, .. }), "{error}");
    writer.abort().await;
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
}
