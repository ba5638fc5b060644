//! The Arrow types of SQL columns, in both directions, and of literals.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    compute::kernels::cast_utils::{Parser, parse_decimal},
    datatypes::{
        DataType as ArrowType, Date32Type, Decimal128Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    },
};
use datafusion::common::ScalarValue;
use springtide_model::{Column, DataType, Literal, TableSchema};

/// Key of the field metadata that keeps a column's name as it was declared, where that is not the lower-case name.
const DECLARED_NAME: &str = "springtide.name";

/// Strings longer than this make no key range: it would be larger than what it saves.
const KEY_TEXT_LIMIT: usize = 256;

/// The Arrow schema of a table's rows: what queries see, what segments hold, what the writer takes.
///
/// Field names are lower-case, since SQL compares names of columns without regard to case; [`original_name`] gives the
/// declared spelling. Text is `Utf8View` and bytes are `BinaryView`, which scans and joins handle without copying.
#[must_use]
pub fn arrow_schema(schema: &TableSchema) -> SchemaRef {
    Arc::new(Schema::new(schema.columns.iter().map(arrow_field).collect::<Vec<_>>()))
}

fn arrow_field(column: &Column) -> Field {
    let name = column.name.to_lowercase();
    let field = Field::new(name.clone(), arrow_type(&column.data_type), column.nullable);
    if name == column.name {
        field
    } else {
        field.with_metadata(HashMap::from([(DECLARED_NAME.to_owned(), column.name.clone())]))
    }
}

/// The name of a column as it was declared.
#[must_use]
pub fn original_name(field: &Field) -> &str {
    field.metadata().get(DECLARED_NAME).map_or(field.name(), String::as_str)
}

/// The Arrow type of a column's values.
#[must_use]
pub fn arrow_type(data_type: &DataType) -> ArrowType {
    match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::TinyInt => ArrowType::Int8,
        DataType::SmallInt => ArrowType::Int16,
        DataType::Int => ArrowType::Int32,
        DataType::BigInt => ArrowType::Int64,
        DataType::Float => ArrowType::Float32,
        DataType::Double => ArrowType::Float64,
        DataType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale),
        DataType::Char { .. } | DataType::Varchar { .. } | DataType::Json => ArrowType::Utf8View,
        DataType::Date => ArrowType::Date32,
        DataType::DateTime => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Varbinary => ArrowType::BinaryView,
    }
}

/// The column type that holds every value of an Arrow type, for `CREATE TABLE … AS SELECT` and for describing results.
/// `None` for nested types and the like.
#[must_use]
pub fn model_type(arrow_type: &ArrowType) -> Option<DataType> {
    Some(match arrow_type {
        ArrowType::Boolean | ArrowType::Null => DataType::Boolean,
        ArrowType::Int8 => DataType::TinyInt,
        ArrowType::Int16 | ArrowType::UInt8 => DataType::SmallInt,
        ArrowType::Int32 | ArrowType::UInt16 => DataType::Int,
        ArrowType::Int64 | ArrowType::UInt32 => DataType::BigInt,
        ArrowType::UInt64 => DataType::Decimal {
            precision: 20,
            scale: 0,
        },
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float,
        ArrowType::Float64 => DataType::Double,
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale) => DataType::Decimal {
            precision: *precision,
            scale: *scale,
        },
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::Varchar { length: 65_533 },
        ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
        ArrowType::Timestamp(_, _) => DataType::DateTime,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => {
            DataType::Varbinary
        }
        ArrowType::Dictionary(_, value) => return model_type(value),
        _ => return None,
    })
}

/// A literal as a value of the column's type; `None` when it is not one. `NULL` is a typed null.
#[must_use]
pub fn scalar_of_literal(literal: &Literal, data_type: &DataType) -> Option<ScalarValue> {
    let arrow = arrow_type(data_type);
    let text = match literal {
        Literal::Null => return ScalarValue::try_from(&arrow).ok(),
        Literal::Boolean(value) => match data_type {
            DataType::Boolean => return Some(ScalarValue::Boolean(Some(*value))),
            _ => i32::from(*value).to_string(),
        },
        Literal::Int(value) => value.to_string(),
        Literal::Text(text) => text.clone(),
    };
    let text = text.trim();
    Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(match text {
            "1" | "true" | "TRUE" => true,
            "0" | "false" | "FALSE" => false,
            _ => return None,
        })),
        DataType::TinyInt => ScalarValue::Int8(Some(text.parse().ok()?)),
        DataType::SmallInt => ScalarValue::Int16(Some(text.parse().ok()?)),
        DataType::Int => ScalarValue::Int32(Some(text.parse().ok()?)),
        DataType::BigInt => ScalarValue::Int64(Some(text.parse().ok()?)),
        DataType::Float => ScalarValue::Float32(Some(text.parse().ok()?)),
        DataType::Double => ScalarValue::Float64(Some(text.parse().ok()?)),
        DataType::Decimal { precision, scale } => {
            let value = parse_decimal::<Decimal128Type>(text, *precision, *scale).ok()?;
            ScalarValue::Decimal128(Some(value), *precision, *scale)
        }
        DataType::Char { .. } | DataType::Varchar { .. } | DataType::Json => match literal {
            Literal::Text(text) => ScalarValue::Utf8View(Some(text.clone())),
            _ => ScalarValue::Utf8View(Some(text.to_owned())),
        },
        DataType::Date => ScalarValue::Date32(Some(Date32Type::parse(text)?)),
        DataType::DateTime => ScalarValue::TimestampMicrosecond(Some(TimestampMicrosecondType::parse(text)?), None),
        DataType::Varbinary => return None,
    })
}

/// A value as a literal, for key ranges; `None` for types without an order here (floats, bytes), for `NULL`, and for
/// text too long to be kept.
#[must_use]
pub fn literal_of_scalar(value: &ScalarValue) -> Option<Literal> {
    if value.is_null() {
        return None;
    }
    Some(match value {
        ScalarValue::Boolean(Some(value)) => Literal::Boolean(*value),
        ScalarValue::Int8(Some(value)) => Literal::Int(i128::from(*value)),
        ScalarValue::Int16(Some(value)) => Literal::Int(i128::from(*value)),
        ScalarValue::Int32(Some(value)) => Literal::Int(i128::from(*value)),
        ScalarValue::Int64(Some(value)) => Literal::Int(i128::from(*value)),
        ScalarValue::Utf8View(Some(text)) if text.len() <= KEY_TEXT_LIMIT => Literal::Text(text.clone()),
        ScalarValue::Decimal128(..) | ScalarValue::Date32(_) => Literal::Text(value.to_string()),
        ScalarValue::TimestampMicrosecond(..) => {
            let text = value.cast_to(&ArrowType::Utf8).ok()?.to_string();
            Literal::Text(text.replace('T', " "))
        }
        _ => return None,
    })
}
