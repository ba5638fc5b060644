//! Strict casts of rows to a table's columns: a value that does not fit is an error that names column, row and value; it is
//! never cut, wrapped or turned into `NULL`.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{CastOptions, cast_with_options},
    datatypes::DataType as ArrowType,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde::de::IgnoredAny;
use springtide_model::{Column, DataType, TableSchema};

use crate::{WriteError, arrow_schema, arrow_type, types::original_name};

#[cfg(test)]
mod tests;

/// Characters of a value that are shown in an error.
const SHOWN_VALUE_CHARS: usize = 64;

const DATETIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";

/// Casts `batch`, whose columns are the table's in order, to [`arrow_schema`] of `schema`.
///
/// # Errors
/// [`WriteError::ColumnCount`], [`WriteError::Type`], [`WriteError::Value`], [`WriteError::Null`]; rows count from 1 within
/// the batch.
pub fn cast_batch(batch: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch, WriteError> {
    if batch.num_columns() != schema.columns.len() {
        return Err(WriteError::ColumnCount {
            given: batch.num_columns(),
            expected: schema.columns.len(),
            names: schema
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        });
    }
    let target = arrow_schema(schema);
    let columns = batch
        .columns()
        .iter()
        .zip(&schema.columns)
        .map(|(values, column)| cast_column(values, column))
        .collect::<Result<Vec<_>, _>>()?;
    debug_assert!(
        target
            .fields()
            .iter()
            .zip(&schema.columns)
            .all(|(field, column)| original_name(field) == column.name)
    );
    RecordBatch::try_new(target, columns).map_err(|error| WriteError::encode("", error))
}

fn cast_column(values: &ArrayRef, column: &Column) -> Result<ArrayRef, WriteError> {
    let target = arrow_type(&column.data_type);
    let values = flatten_dictionary(values, column)?;
    let cast = if values.data_type() == &target {
        Arc::clone(&values)
    } else {
        if !is_castable(values.data_type(), &column.data_type) {
            return Err(type_error(values.data_type(), column));
        }
        let options = CastOptions {
            safe: true,
            format_options: FormatOptions::new().with_timestamp_format(Some(DATETIME_FORMAT)),
        };
        cast_with_options(&values, &target, &options).map_err(|_| type_error(values.data_type(), column))?
    };
    check_converted(&values, &cast, column)?;
    check_nulls(&cast, column)?;
    check_content(&cast, column)?;
    Ok(cast)
}

fn flatten_dictionary(values: &ArrayRef, column: &Column) -> Result<ArrayRef, WriteError> {
    let ArrowType::Dictionary(_, value_type) = values.data_type() else {
        return Ok(Arc::clone(values));
    };
    cast_with_options(values, value_type, &CastOptions::default()).map_err(|_| type_error(values.data_type(), column))
}

/// Which conversions have a meaning: Arrow has more (a date as its number of days), which would store nonsense.
fn is_castable(from: &ArrowType, to: &DataType) -> bool {
    let text = matches!(from, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View);
    let time = matches!(from, ArrowType::Date32 | ArrowType::Date64 | ArrowType::Timestamp(_, _));
    let bytes = matches!(
        from,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_)
    );
    let number = from.is_numeric() || matches!(from, ArrowType::Boolean);
    match to {
        _ if matches!(from, ArrowType::Null) => true,
        DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Float
        | DataType::Double
        | DataType::Decimal { .. } => number || text,
        DataType::Char { .. } | DataType::Varchar { .. } => number || text || time || bytes,
        DataType::Date | DataType::DateTime => time || text,
        DataType::Varbinary => bytes || text,
        DataType::Json => text || bytes,
    }
}

fn type_error(from: &ArrowType, column: &Column) -> WriteError {
    WriteError::Type {
        column: column.name.clone(),
        from: from.to_string(),
        to: type_name(&column.data_type),
    }
}

/// Arrow's safe cast answers `NULL` where a value does not fit: find the first of these.
fn check_converted(values: &ArrayRef, cast: &ArrayRef, column: &Column) -> Result<(), WriteError> {
    if cast.logical_null_count() == values.logical_null_count() {
        return Ok(());
    }
    let before = values.logical_nulls();
    let row = (0..cast.len())
        .find(|row| cast.is_null(*row) && before.as_ref().is_none_or(|nulls| nulls.is_valid(*row)))
        .unwrap_or(0);
    let problem = match (&column.data_type, values.data_type()) {
        (DataType::Date, _) => "is not a date; write YYYY-MM-DD".to_owned(),
        (DataType::DateTime, _) => "is not a datetime; write YYYY-MM-DD hh:mm:ss".to_owned(),
        (DataType::Varchar { .. } | DataType::Char { .. } | DataType::Json, _) => "is not UTF-8 text".to_owned(),
        (to, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View) if !looks_numeric(values, row) => {
            format!("is not a {}", type_name(to))
        }
        (to, _) => format!("is out of range of {}", type_name(to)),
    };
    Err(value_error(values, row, column, problem))
}

fn looks_numeric(values: &ArrayRef, row: usize) -> bool {
    shown(values, row)
        .trim_matches(|c: char| c == '\'' || c.is_whitespace())
        .parse::<f64>()
        .is_ok()
}

fn check_nulls(values: &ArrayRef, column: &Column) -> Result<(), WriteError> {
    if column.nullable || values.null_count() == 0 {
        return Ok(());
    }
    let row = (0..values.len()).find(|row| values.is_null(*row)).unwrap_or(0);
    Err(WriteError::Null {
        column: column.name.clone(),
        row: row as u64 + 1,
    })
}

fn check_content(values: &ArrayRef, column: &Column) -> Result<(), WriteError> {
    match &column.data_type {
        DataType::Varchar { length } | DataType::Char { length } => {
            let limit = *length as usize;
            let text = values.as_string_view();
            // The length is in the low half of a view, so that no text is touched here.
            let too_long =
                (0..text.len()).find(|row| text.is_valid(*row) && text.views()[*row] as u32 as usize > limit);
            too_long.map_or(Ok(()), |row| {
                let bytes = text.value(row).len();
                let name = type_name(&column.data_type);
                Err(value_error(
                    values,
                    row,
                    column,
                    format!("has {bytes} bytes, too long for {name}"),
                ))
            })
        }
        DataType::Json => {
            let text = values.as_string_view();
            let bad = (0..text.len())
                .find(|row| text.is_valid(*row) && serde_json::from_str::<IgnoredAny>(text.value(*row)).is_err());
            bad.map_or(Ok(()), |row| {
                Err(value_error(values, row, column, "is not JSON".to_owned()))
            })
        }
        _ => Ok(()),
    }
}

fn value_error(values: &ArrayRef, row: usize, column: &Column, problem: String) -> WriteError {
    WriteError::Value {
        column: column.name.clone(),
        row: row as u64 + 1,
        value: shown(values, row),
        problem,
    }
}

/// A value for an error message: quoted when it is text, cut to [`SHOWN_VALUE_CHARS`].
pub(crate) fn shown(values: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::new()
        .with_null("NULL")
        .with_timestamp_format(Some(DATETIME_FORMAT));
    let text = ArrayFormatter::try_new(values.as_ref(), &options)
        .and_then(|formatter| formatter.value(row).try_to_string())
        .unwrap_or_else(|_| "of unknown form".to_owned());
    let cut = match text.char_indices().nth(SHOWN_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    match values.data_type() {
        _ if values.is_null(row) => cut,
        ArrowType::Utf8
        | ArrowType::LargeUtf8
        | ArrowType::Utf8View
        | ArrowType::Date32
        | ArrowType::Timestamp(_, _) => format!("'{cut}'"),
        _ => cut,
    }
}

/// The type in SQL.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::TinyInt => "TINYINT".to_owned(),
        DataType::SmallInt => "SMALLINT".to_owned(),
        DataType::Int => "INT".to_owned(),
        DataType::BigInt => "BIGINT".to_owned(),
        DataType::Float => "FLOAT".to_owned(),
        DataType::Double => "DOUBLE".to_owned(),
        DataType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        DataType::Char { length } => format!("CHAR({length})"),
        DataType::Varchar { length } => format!("VARCHAR({length})"),
        DataType::Date => "DATE".to_owned(),
        DataType::DateTime => "DATETIME".to_owned(),
        DataType::Varbinary => "VARBINARY".to_owned(),
        DataType::Json => "JSON".to_owned(),
    }
}
