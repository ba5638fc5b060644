#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int8Array,
        Int64Array, ListArray, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, Int32Type, Schema},
};
use springtide_mysql::{ColumnType, Value};

use super::{columns, prepared, value};

fn first(array: ArrayRef) -> String {
    let array = prepared(&array).unwrap();
    match value(&array, 0).unwrap() {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn values_are_mysqls() {
    assert_eq!(first(Arc::new(BooleanArray::from(vec![true]))), "Int(1)");
    assert_eq!(first(Arc::new(Int8Array::from(vec![-8]))), "Int(-8)");
    assert_eq!(
        first(Arc::new(UInt64Array::from(vec![u64::MAX]))),
        format!("UInt({})", u64::MAX)
    );
    assert_eq!(first(Arc::new(Float64Array::from(vec![1.5]))), "Double(1.5)");
    let decimal = Decimal128Array::from(vec![-12_345])
        .with_precision_and_scale(18, 2)
        .unwrap();
    assert_eq!(first(Arc::new(decimal)), "-123.45");
    assert_eq!(first(Arc::new(StringArray::from(vec!["ü"]))), "ü");
    assert_eq!(first(Arc::new(BinaryArray::from(vec![b"x".as_ref()]))), "x");
    assert_eq!(
        first(Arc::new(Date32Array::from(vec![19_724]))),
        "Date { year: 2024, month: 1, day: 2 }"
    );
    let time = TimestampMicrosecondArray::from(vec![1_704_164_645_123_456]);
    assert!(first(Arc::new(time)).contains("second: 5, microsecond: 123456"));
    let zoned = TimestampNanosecondArray::from(vec![1_704_164_645_000_000_000]).with_timezone("+00:00");
    assert!(first(Arc::new(zoned)).contains("hour: 3, minute: 4, second: 5, microsecond: 0"));
    let dictionary: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
    assert_eq!(first(Arc::new(dictionary)), "a");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), Some(2)])]);
    assert_eq!(first(Arc::new(list)), "[1, 2]");
    assert_eq!(first(Arc::new(Int64Array::from(vec![None]))), "Null");
}

#[test]
fn columns_say_their_types() {
    let schema = Schema::new(vec![
        Field::new("b", DataType::Boolean, false),
        Field::new("d", DataType::Decimal128(18, 4), true),
        Field::new("x\u{1}2", DataType::Utf8View, true),
    ]);
    let shown = columns(&schema, None);
    assert_eq!(shown[0].column_type, ColumnType::MYSQL_TYPE_TINY);
    assert_eq!(shown[0].length, 1);
    assert_eq!(
        (shown[1].column_type, shown[1].decimals),
        (ColumnType::MYSQL_TYPE_NEWDECIMAL, 4)
    );
    assert_eq!(shown[2].name, "x");
    assert_eq!(
        columns(&schema, Some(&["p".into(), "q".into(), "r".into()]))[2].name,
        "r"
    );
}
