//! Arrow batches as MySQL columns and values.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, Schema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
    temporal_conversions::{as_date, as_datetime},
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{Datelike, Timelike};
use springtide_mysql::{Column, ColumnType, MysqlError, ResultWriter, Value};

use super::errors::Kind;

/// The columns of a result. `names` are what the client asked for; without them the fields' own are shown.
pub(crate) fn columns(schema: &Schema, names: Option<&[String]>) -> Vec<Column> {
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let name = match names.and_then(|names| names.get(index)) {
                Some(name) => name.clone(),
                None => shown_name(field),
            };
            column(name, field)
        })
        .collect()
}

fn shown_name(field: &Field) -> String {
    let name = springtide_tablet::original_name(field);
    let end = name.find(springtide_sql::OUTPUT_SUFFIX).unwrap_or(name.len());
    name[..end].to_owned()
}

fn column(name: String, field: &Field) -> Column {
    let (column_type, length, decimals) = match wire_type(field.data_type()) {
        DataType::Boolean => (ColumnType::MYSQL_TYPE_TINY, Some(1), None),
        DataType::Int8 | DataType::UInt8 => (ColumnType::MYSQL_TYPE_TINY, None, None),
        DataType::Int16 | DataType::UInt16 => (ColumnType::MYSQL_TYPE_SHORT, None, None),
        DataType::Int32 | DataType::UInt32 => (ColumnType::MYSQL_TYPE_LONG, None, None),
        DataType::Int64 | DataType::UInt64 => (ColumnType::MYSQL_TYPE_LONGLONG, None, None),
        DataType::Float32 => (ColumnType::MYSQL_TYPE_FLOAT, None, None),
        DataType::Float64 => (ColumnType::MYSQL_TYPE_DOUBLE, None, None),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => (
            ColumnType::MYSQL_TYPE_NEWDECIMAL,
            Some(u32::from(precision) + 2),
            u8::try_from(scale).ok(),
        ),
        DataType::Date32 => (ColumnType::MYSQL_TYPE_DATE, None, None),
        DataType::Timestamp(..) => (ColumnType::MYSQL_TYPE_DATETIME, None, None),
        DataType::Time64(_) => (ColumnType::MYSQL_TYPE_TIME, None, None),
        DataType::Null => (ColumnType::MYSQL_TYPE_NULL, None, None),
        _ => (ColumnType::MYSQL_TYPE_VAR_STRING, None, None),
    };
    let mut column = Column::new(name, column_type);
    if let Some(length) = length {
        column.length = length;
    }
    if let Some(decimals) = decimals {
        column.decimals = decimals;
    }
    match field.data_type() {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => column = column.unsigned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            column = column.binary();
        }
        _ => {}
    }
    if field.is_nullable() { column } else { column.not_null() }
}

/// The type that values are brought to before they are written: few, so that the writer is small.
fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => wire_type(value),
        DataType::RunEndEncoded(_, value) => wire_type(value.data_type()),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::BinaryView,
        other => other.clone(),
    }
}

/// Writes all rows of `batch`.
pub(crate) async fn write_batch(batch: &RecordBatch, out: &mut ResultWriter) -> Result<(), MysqlError> {
    let arrays = batch
        .columns()
        .iter()
        .map(prepared)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Kind::Internal.error(format!("cannot encode a result: {error}")))?;
    for row in 0..batch.num_rows() {
        let values = arrays
            .iter()
            .map(|array| value(array, row))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Kind::Internal.error(format!("cannot encode a result: {error}")))?;
        out.row(&values).await?;
    }
    Ok(())
}

fn prepared(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // Times with a zone are shown in UTC, which is every session's zone: drop the zone and keep the instant.
    let target = wire_type(array.data_type());
    let array = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(array, &DataType::Timestamp(*unit, Some("UTC".into())))?,
        _ => array.clone(),
    };
    if *array.data_type() == target {
        return Ok(array);
    }
    cast(&array, &target)
}

fn value(array: &ArrayRef, row: usize) -> Result<Value<'_>, ArrowError> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Int(i64::from(array.as_boolean().value(row))),
        DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::UInt(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Value::UInt(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Value::UInt(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Value::UInt(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => Value::Float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => text(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => text(array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Utf8View => Value::bytes(array.as_string_view().value(row)),
        DataType::BinaryView => Value::bytes(array.as_binary_view().value(row)),
        DataType::Date32 => match as_date::<Date32Type>(array.as_primitive::<Date32Type>().value(row).into()) {
            Some(date) => date_value(date)?,
            None => return Err(out_of_range("DATE")),
        },
        DataType::Date64 => match as_date::<Date64Type>(array.as_primitive::<Date64Type>().value(row)) {
            Some(date) => date_value(date)?,
            None => return Err(out_of_range("DATE")),
        },
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match as_datetime::<TimestampMicrosecondType>(micros) {
                Some(time) => datetime_value(time)?,
                None => return Err(out_of_range("DATETIME")),
            }
        }
        DataType::Time64(TimeUnit::Microsecond) => time_value(array.as_primitive::<Time64MicrosecondType>().value(row)),
        _ => {
            let options = FormatOptions::new();
            text(
                ArrayFormatter::try_new(array.as_ref(), &options)?
                    .value(row)
                    .try_to_string()?,
            )
        }
    })
}

fn text(text: String) -> Value<'static> {
    Value::Bytes(text.into_bytes().into())
}

fn out_of_range(name: &str) -> ArrowError {
    ArrowError::ComputeError(format!("a {name} is not between the years 0 and 9999"))
}

fn year(year: i32, name: &str) -> Result<u16, ArrowError> {
    u16::try_from(year)
        .ok()
        .filter(|year| *year <= 9999)
        .ok_or_else(|| out_of_range(name))
}

fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn date_value(date: chrono::NaiveDate) -> Result<Value<'static>, ArrowError> {
    Ok(Value::Date {
        year: year(date.year(), "DATE")?,
        month: small(date.month()),
        day: small(date.day()),
    })
}

fn datetime_value(time: chrono::NaiveDateTime) -> Result<Value<'static>, ArrowError> {
    Ok(Value::DateTime {
        year: year(time.year(), "DATETIME")?,
        month: small(time.month()),
        day: small(time.day()),
        hour: small(time.hour()),
        minute: small(time.minute()),
        second: small(time.second()),
        microsecond: time.nanosecond() % 1_000_000_000 / 1000,
    })
}

fn time_value(micros: i64) -> Value<'static> {
    let negative = micros < 0;
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    let part = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    Value::Time {
        negative,
        days: u32::try_from(seconds / 86_400).unwrap_or(u32::MAX),
        hours: part(seconds / 3600 % 24),
        minutes: part(seconds / 60 % 60),
        seconds: part(seconds % 60),
        microseconds: u32::try_from(micros % 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
