//! From the columns of a body to the columns of the table: by name, with defaults for those that the body lacks.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array},
    compute::nullif,
    datatypes::{DataType as ArrowType, Field, Schema},
};
use springtide_model::{Column, DataType, TableSchema};
use springtide_tablet::{arrow_type, scalar_of_literal};

/// Where the values of one column of the table come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// This column of the body.
    Body(usize),
    /// The column's default, or `NULL`.
    Default,
}

/// The mapping for one load; made before the first row, so that a name that does not exist fails at once.
#[derive(Clone, Debug)]
pub(super) struct RowMapping {
    schema: Arc<TableSchema>,
    from: Vec<From>,
    trim: bool,
}

/// A mapping that cannot be made, or a batch that it does not fit; the message is for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum MappingError {
    #[error("column `{column}` is not in table `{table}`, whose columns are {known}")]
    Unknown {
        column: String,
        table: String,
        known: String,
    },
    #[error("column `{column}` is NOT NULL, has no default, and is not among the columns of the body")]
    Missing { column: String },
    #[error("the default of column `{column}` does not fit its type; change the table")]
    Default { column: String },
    #[error("cannot put the rows together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl RowMapping {
    /// Maps the body's columns `body` (names, in order) to those of the table.
    pub(super) fn new(
        table: &str,
        schema: &Arc<TableSchema>,
        body: &[String],
        trim: bool,
    ) -> Result<Self, MappingError> {
        let known = |column: &str| schema.column_index(column).is_some();
        if let Some(column) = body.iter().find(|column| !known(column)) {
            let known = schema
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(MappingError::Unknown {
                column: column.clone(),
                table: table.to_owned(),
                known,
            });
        }
        let from = schema
            .columns
            .iter()
            .map(
                |column| match body.iter().position(|name| name.eq_ignore_ascii_case(&column.name)) {
                    Some(index) => Ok(From::Body(index)),
                    None if column.default.is_some() || column.nullable => Ok(From::Default),
                    None => Err(MappingError::Missing {
                        column: column.name.clone(),
                    }),
                },
            )
            .collect::<Result<_, _>>()?;
        Ok(Self {
            schema: Arc::clone(schema),
            from,
            trim,
        })
    }

    /// The rows of `body` in the table's columns; types are still the body's.
    pub(super) fn map(&self, body: &RecordBatch) -> Result<RecordBatch, MappingError> {
        let rows = body.num_rows();
        let mut columns = Vec::with_capacity(self.from.len());
        for (from, column) in self.from.iter().zip(&self.schema.columns) {
            columns.push(match from {
                From::Body(index) => self.prepare(body.column(*index), column)?,
                From::Default => default_values(column, rows)?,
            });
        }
        let fields: Vec<Field> = columns
            .iter()
            .zip(&self.schema.columns)
            .map(|(values, column)| Field::new(&column.name, values.data_type().clone(), true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::new(Schema::new(fields)),
            columns,
            &options,
        )?)
    }

    /// Text for a column that is not text: white space does not count, and nothing at all is `NULL`.
    fn prepare(&self, values: &ArrayRef, column: &Column) -> Result<ArrayRef, MappingError> {
        let is_text = matches!(
            column.data_type,
            DataType::Char { .. } | DataType::Varchar { .. } | DataType::Varbinary | DataType::Json
        );
        if values.data_type() != &ArrowType::Utf8 || (is_text && !self.trim) {
            return Ok(Arc::clone(values));
        }
        let trimmed: StringArray = values
            .as_string::<i32>()
            .iter()
            .map(|value| value.map(str::trim))
            .collect();
        if is_text {
            return Ok(Arc::new(trimmed));
        }
        let empty = trimmed.iter().map(|value| value.map(str::is_empty)).collect();
        Ok(nullif(&trimmed, &empty)?)
    }
}

fn default_values(column: &Column, rows: usize) -> Result<ArrayRef, MappingError> {
    let Some(default) = &column.default else {
        return Ok(new_null_array(&arrow_type(&column.data_type), rows));
    };
    scalar_of_literal(default, &column.data_type)
        .and_then(|value| value.to_array_of_size(rows).ok())
        .ok_or_else(|| MappingError::Default {
            column: column.name.clone(),
        })
}

#[cfg(test)]
mod tests;
