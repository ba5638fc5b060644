use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampNanosecondArray,
    },
    datatypes::{Field, Schema},
    util::display::array_value_to_string,
};
use springtide_model::{Column, DataType, Distribution, TableSchema};

use super::cast_batch;

fn schema(data_type: DataType, nullable: bool) -> TableSchema {
    TableSchema {
        schema_id: 0,
        columns: vec![Column {
            name: "Amount".to_owned(),
            data_type,
            nullable,
            default: None,
            comment: String::new(),
        }],
        key_columns: 0,
        partition_column: None,
        distribution: Distribution {
            columns: Vec::new(),
            buckets: 1,
        },
    }
}

fn batch(values: ArrayRef) -> RecordBatch {
    let field = Field::new("given", values.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values]).unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Casts, and gives the values as text or the error.
fn check(data_type: DataType, values: ArrayRef) -> String {
    match cast_batch(&batch(values), &schema(data_type, true)) {
        Ok(batch) => {
            assert_eq!(batch.schema().field(0).name(), "amount");
            let column = batch.column(0);
            let cells = (0..column.len()).map(|row| array_value_to_string(column, row).unwrap());
            cells.collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.to_string(),
    }
}

const VARCHAR_3: DataType = DataType::Varchar { length: 3 };
const PRICE: DataType = DataType::Decimal { precision: 5, scale: 2 };

#[test]
fn values_that_fit_are_converted() {
    assert_eq!(check(DataType::Int, text(&["1", " -2 "])), "1 -2");
    assert_eq!(check(DataType::TinyInt, Arc::new(Int64Array::from(vec![127]))), "127");
    assert_eq!(check(PRICE, text(&["1.5", "-999.99"])), "1.50 -999.99");
    assert_eq!(check(PRICE, Arc::new(Int64Array::from(vec![12]))), "12.00");
    assert_eq!(check(DataType::Boolean, text(&["true", "0"])), "true false");
    assert_eq!(check(DataType::Date, text(&["2024-02-29"])), "2024-02-29");
    assert_eq!(
        check(DataType::DateTime, text(&["2024-02-29 12:30:00.5"])),
        "2024-02-29T12:30:00.500"
    );
    assert_eq!(check(DataType::DateTime, text(&["2024-02-29"])), "2024-02-29T00:00:00");
    assert_eq!(
        check(DataType::DateTime, Arc::new(Date32Array::from(vec![0]))),
        "1970-01-01T00:00:00"
    );
    assert_eq!(check(VARCHAR_3, Arc::new(Int64Array::from(vec![123]))), "123");
    assert_eq!(
        check(VARCHAR_3, Arc::new(BooleanArray::from(vec![Some(true)]))),
        "column `Amount`, row 1: value 'true' has 4 bytes, too long for VARCHAR(3)"
    );
    let time = Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000]));
    assert_eq!(check(DataType::Varchar { length: 30 }, time), "1970-01-01 00:00:01.500");
    assert_eq!(check(DataType::Json, text(&["{\"a\": [1]}"])), "{\"a\": [1]}");
}

#[test]
fn values_that_do_not_fit_are_named() {
    let cases = [
        (check(DataType::Int, text(&["1", "x"])), "row 2: value 'x' is not a INT"),
        (
            check(DataType::Int, text(&["99999999999"])),
            "row 1: value '99999999999' is out of range of INT",
        ),
        (
            check(DataType::TinyInt, Arc::new(Int64Array::from(vec![1, 128]))),
            "row 2: value 128 is out of range of TINYINT",
        ),
        (
            check(DataType::BigInt, Arc::new(Float64Array::from(vec![1e30]))),
            "is out of range of BIGINT",
        ),
        (
            check(PRICE, text(&["1000"])),
            "row 1: value '1000' is out of range of DECIMAL(5, 2)",
        ),
        (
            check(DataType::Date, text(&["2023-02-29"])),
            "value '2023-02-29' is not a date; write YYYY-MM-DD",
        ),
        (
            check(DataType::DateTime, text(&["noon"])),
            "value 'noon' is not a datetime; write YYYY-MM-DD hh:mm:ss",
        ),
        (
            check(VARCHAR_3, text(&["abc", "äöü"])),
            "row 2: value 'äöü' has 6 bytes, too long for VARCHAR(3)",
        ),
        (
            check(VARCHAR_3, Arc::new(BinaryArray::from(vec![&[0xff_u8][..]]))),
            "is not UTF-8 text",
        ),
        (check(DataType::Json, text(&["{"])), "value '{' is not JSON"),
        (
            check(DataType::Date, Arc::new(Int64Array::from(vec![1]))),
            "a value of type Int64 cannot be stored in DATE; cast it",
        ),
    ];
    for (given, expected) in cases {
        assert!(given.contains("column `Amount`") && given.contains(expected), "{given}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let long = "ü".repeat(1000);
    let message = check(VARCHAR_3, text(&[&long]));
    assert!(message.contains(&format!("'{}…'", "ü".repeat(64))), "{message}");
    assert!(message.contains("has 2000 bytes"), "{message}");
}

#[test]
fn null_goes_only_where_it_may() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let nullable = cast_batch(&batch(Arc::clone(&values)), &schema(DataType::Int, true)).unwrap();
    assert_eq!(nullable.column(0).null_count(), 1);
    let error = cast_batch(&batch(values), &schema(DataType::Int, false)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `Amount`, row 2: NULL for a column that is NOT NULL"
    );
    let nothing: ArrayRef = Arc::new(arrow::array::NullArray::new(2));
    let cast = cast_batch(&batch(nothing), &schema(VARCHAR_3, true)).unwrap();
    assert_eq!(cast.column(0).len(), 2);
}

#[test]
fn the_number_of_columns_must_be_the_tables() {
    let two = RecordBatch::try_from_iter([("a", text(&["1"])), ("b", text(&["2"]))]).unwrap();
    let error = cast_batch(&two, &schema(DataType::Int, true)).unwrap_err();
    assert_eq!(error.to_string(), "2 columns given, but the table has 1: Amount");
}
