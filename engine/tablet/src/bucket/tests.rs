#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};

use super::{BucketHasher, finish, hash_column};

/// The hash of one value of one column, before it is scaled to buckets.
fn hash(values: ArrayRef) -> Vec<u32> {
    let mut states = vec![0; values.len()];
    hash_column(&values, &mut states).unwrap();
    states.into_iter().map(finish).collect()
}

#[test]
fn the_hash_never_changes() {
    let golden: [(&str, ArrayRef); 14] = [
        ("null", Arc::new(Int64Array::from(vec![None::<i64>]))),
        ("boolean", Arc::new(BooleanArray::from(vec![false, true]))),
        ("tinyint", Arc::new(Int8Array::from(vec![-1]))),
        ("smallint", Arc::new(Int16Array::from(vec![-1]))),
        ("int", Arc::new(Int32Array::from(vec![0, 1, 2]))),
        ("bigint", Arc::new(Int64Array::from(vec![0, 1, i64::MAX]))),
        ("float", Arc::new(Float32Array::from(vec![1.5]))),
        ("double", Arc::new(Float64Array::from(vec![1.5, -0.0, 0.0]))),
        (
            "decimal",
            Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap()),
        ),
        ("date", Arc::new(Date32Array::from(vec![19_782]))),
        (
            "datetime",
            Arc::new(TimestampMicrosecondArray::from(vec![1_709_209_800_000_000])),
        ),
        ("varchar", Arc::new(StringViewArray::from(vec!["", "springtide"]))),
        ("varbinary", Arc::new(BinaryViewArray::from(vec![&b"springtide"[..]]))),
        (
            "long varchar",
            Arc::new(StringViewArray::from(vec!["the quick brown fox jumps"])),
        ),
    ];
    let mut lines = String::new();
    for (name, values) in golden {
        let hashes: Vec<String> = hash(values).iter().map(|hash| format!("{hash:08x}")).collect();
        lines.push_str(&format!("{name}: {}\n", hashes.join(" ")));
    }
    assert_eq!(lines, include_str!("golden.txt"));
}

#[test]
fn equal_numbers_have_equal_hashes() {
    let zeros = hash(Arc::new(Float64Array::from(vec![0.0, -0.0])));
    assert_eq!(zeros[0], zeros[1]);
    let nans = hash(Arc::new(Float64Array::from(vec![f64::NAN, -f64::NAN])));
    assert_eq!(nans[0], nans[1]);
    assert_eq!(
        hash(Arc::new(Float32Array::from(vec![1.5]))),
        hash(Arc::new(Float64Array::from(vec![1.5])))
    );
}

#[test]
fn neighbours_spread_evenly() {
    let hasher = BucketHasher {
        columns: vec![0],
        buckets: 7,
    };
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..70_000));
    let batch = arrow::array::RecordBatch::try_from_iter([("k", values)]).unwrap();
    let mut counts = [0_u32; 7];
    for bucket in hasher.buckets_of(&batch).unwrap() {
        counts[bucket as usize] += 1;
    }
    assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
}

#[test]
fn columns_do_not_run_into_each_other() {
    let pair = |a: &str, b: &str| {
        let columns: [(&str, ArrayRef); 2] = [
            ("a", Arc::new(StringViewArray::from(vec![a]))),
            ("b", Arc::new(StringViewArray::from(vec![b]))),
        ];
        let mut states = vec![0];
        for (_, column) in &columns {
            hash_column(column, &mut states).unwrap();
        }
        states[0]
    };
    assert_ne!(pair("a", "bc"), pair("ab", "c"));
}
