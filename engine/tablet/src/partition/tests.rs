#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int32Array, StringViewArray, TimestampMicrosecondArray};
use springtide_model::{
    Column, DataType, DatabaseId, Distribution, Epoch, Literal, LoadTarget, PartitionBound, PartitionId,
    PartitionRange, TableId, TableSchema, TabletId, TargetPartition, TxnId,
};

use super::PartitionRouter;
use crate::WriteError;

fn target(data_type: DataType, ranges: Vec<(PartitionBound, PartitionBound)>) -> LoadTarget {
    LoadTarget {
        txn: TxnId(1),
        epoch: Epoch(1),
        database: DatabaseId(1),
        table: TableId(2),
        table_name: "sales".to_owned(),
        schema: Arc::new(TableSchema {
            schema_id: 0,
            columns: vec![Column {
                name: "day".to_owned(),
                data_type,
                nullable: true,
                default: None,
                comment: String::new(),
            }],
            key_columns: 1,
            partition_column: Some(0),
            distribution: Distribution {
                columns: Vec::new(),
                buckets: 1,
            },
        }),
        partitions: ranges
            .into_iter()
            .enumerate()
            .map(|(index, (lower, upper))| TargetPartition {
                id: PartitionId(index as u64),
                name: format!("p{index}"),
                range: Some(PartitionRange { lower, upper }),
                tablets: vec![TabletId(index as u64)],
            })
            .collect(),
    }
}

fn at(text: &str) -> PartitionBound {
    PartitionBound::Value(Literal::Text(text.to_owned()))
}

fn number(value: i128) -> PartitionBound {
    PartitionBound::Value(Literal::Int(value))
}

fn route(
    data_type: DataType,
    ranges: Vec<(PartitionBound, PartitionBound)>,
    values: ArrayRef,
) -> Result<Vec<usize>, String> {
    let router = PartitionRouter::new(&target(data_type, ranges)).map_err(|error| error.to_string())?;
    router.partitions_of(&values).map_err(|error| error.to_string())
}

#[test]
fn the_lower_bound_is_included_and_the_upper_is_not() {
    let ranges = || {
        vec![
            (number(10), number(20)),
            (PartitionBound::MinValue, number(10)),
            (number(30), PartitionBound::MaxValue),
        ]
    };
    let values = |values: &[Option<i32>]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    let routed = route(
        DataType::Int,
        ranges(),
        values(&[
            Some(10),
            Some(19),
            Some(9),
            Some(i32::MIN),
            Some(30),
            Some(i32::MAX),
            None,
        ]),
    );
    assert_eq!(routed, Ok(vec![0, 0, 1, 1, 2, 2, 1]));
    let gap = route(DataType::Int, ranges(), values(&[Some(10), Some(20)]));
    assert_eq!(
        gap,
        Err(
            "column `day`, row 2: no partition of table `sales` takes value 20; add a partition for it first"
                .to_owned()
        )
    );
    let null = route(DataType::Int, vec![(number(0), number(9))], values(&[None]));
    assert!(null.unwrap_err().contains("takes value NULL"));
}

#[test]
fn dates_times_and_text_are_ordered_as_in_sql() {
    let year = vec![(at("2024-01-01"), at("2025-01-01"))];
    let days: ArrayRef = Arc::new(Date32Array::from(vec![19_723, 20_088]));
    assert_eq!(route(DataType::Date, year.clone(), days), Ok(vec![0, 0]));
    let after: ArrayRef = Arc::new(Date32Array::from(vec![20_089]));
    assert!(
        route(DataType::Date, year, after)
            .unwrap_err()
            .contains("takes value '2025-01-01'")
    );
    let noon: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        1_704_067_199_999_999,
        1_704_067_200_000_000,
    ]));
    let times = vec![
        (PartitionBound::MinValue, at("2024-01-01")),
        (at("2024-01-01 00:00:00"), PartitionBound::MaxValue),
    ];
    assert_eq!(route(DataType::DateTime, times, noon), Ok(vec![0, 1]));
    let names: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "mz", "n"]));
    let halves = vec![(PartitionBound::MinValue, at("n")), (at("n"), PartitionBound::MaxValue)];
    assert_eq!(route(DataType::Varchar { length: 9 }, halves, names), Ok(vec![0, 0, 1]));
}

#[test]
fn a_target_that_contradicts_itself_is_refused() {
    let message = |ranges| match PartitionRouter::new(&target(DataType::Int, ranges)) {
        Err(error @ WriteError::Target { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        message(vec![(number(0), number(9)), (number(8), number(12))]),
        "table `sales`: has partitions that overlap"
    );
    assert_eq!(
        message(vec![(at("x"), number(9))]),
        "table `sales`: a bound of partition `p0` is no value of column `day`"
    );
    assert_eq!(
        message(Vec::new()),
        "table `sales`: has no partition; add one before loading"
    );
}
