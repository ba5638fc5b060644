//! `information_schema` as far as clients and BI tools ask for it at connect, and as `SHOW` has it. Names and order of columns
//! are StarRocks'; tables without a builder are empty.

mod builders;

use std::{collections::HashMap, sync::Arc, sync::LazyLock};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    },
    datatypes::SchemaRef,
};
use datafusion::{catalog::TableProvider, datasource::MemTable};
use springtide_catalog::Catalog;
use springtide_model::{Column, DataType, Distribution, TableSchema};
use springtide_mysql::MysqlError;

use super::{errors::Kind, session::Session};
use crate::core::Core;

/// Name of a table, then its columns as `NAME:kind`; kinds are t(ext), i(nteger), d(atetime), f(loat), b(oolean).
const TABLES: &str = include_str!("information_schema/tables.txt");

/// Databases that have no rows in the catalog.
pub(crate) const SYSTEM_DATABASES: [&str; 2] = ["information_schema", "sys"];

static DEFINITIONS: LazyLock<HashMap<&'static str, Arc<TableSchema>>> = LazyLock::new(|| {
    TABLES
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let columns = words
                .filter_map(|word| word.split_once(':'))
                .map(|(name, kind)| Column {
                    name: name.to_owned(),
                    data_type: match kind {
                        "i" => DataType::BigInt,
                        "d" => DataType::DateTime,
                        "f" => DataType::Double,
                        "b" => DataType::Boolean,
                        _ => DataType::Varchar { length: 65_533 },
                    },
                    nullable: true,
                    default: None,
                    comment: String::new(),
                })
                .collect();
            let schema = TableSchema {
                schema_id: 0,
                columns,
                key_columns: 0,
                partition_column: None,
                distribution: Distribution {
                    columns: Vec::new(),
                    buckets: 1,
                },
            };
            Some((name, Arc::new(schema)))
        })
        .collect()
});

pub(crate) fn is_system_database(name: &str) -> bool {
    SYSTEM_DATABASES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Tables of a system database, in order of name.
pub(crate) fn table_names(database: &str) -> Vec<String> {
    if !database.eq_ignore_ascii_case("information_schema") {
        return Vec::new();
    }
    let mut names: Vec<String> = DEFINITIONS.keys().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

/// Columns of a system table; its name does not care about case.
pub(crate) fn definition(database: &str, table: &str) -> Option<Arc<TableSchema>> {
    if !database.eq_ignore_ascii_case("information_schema") {
        return None;
    }
    DEFINITIONS.get(table.to_lowercase().as_str()).cloned()
}

/// One value of a system table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Bool(bool),
    /// Milliseconds since 1970.
    Time(u64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Makes system tables for one statement.
#[derive(Debug)]
pub(crate) struct InformationSchema<'a> {
    pub(crate) core: &'a Core,
    pub(crate) session: &'a Session,
    pub(crate) catalog: Arc<Catalog>,
}

impl<'a> InformationSchema<'a> {
    pub(crate) fn new(core: &'a Core, session: &'a Session) -> Self {
        Self {
            core,
            session,
            catalog: core.catalog(),
        }
    }

    /// The table, or `None` where there is none of this name.
    pub(crate) async fn table(&self, database: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, MysqlError> {
        let Some(definition) = definition(database, name) else {
            return Ok(None);
        };
        let rows = self.rows(&name.to_lowercase()).await?;
        let table = memory_table(&definition, &rows).map_err(|error| Kind::Internal.error(error.to_string()))?;
        Ok(Some(Arc::new(table)))
    }
}

/// `rows` give the first columns of the definition; the others are `NULL`.
fn memory_table(definition: &TableSchema, rows: &[Vec<Cell>]) -> datafusion::common::Result<MemTable> {
    let schema: SchemaRef = springtide_tablet::arrow_schema(definition);
    let arrays: Vec<ArrayRef> = definition
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| column_array(&column.data_type, rows, index))
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

fn column_array(data_type: &DataType, rows: &[Vec<Cell>], index: usize) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(index).unwrap_or(&Cell::Null));
    match data_type {
        DataType::BigInt => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Int(value) => Some(*value),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        DataType::DateTime => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Time(ms) => i64::try_from(*ms).ok().and_then(|ms| ms.checked_mul(1000)),
                    _ => None,
                })
                .collect::<TimestampMicrosecondArray>(),
        ),
        DataType::Double => Arc::new(cells.map(|_| None::<f64>).collect::<Float64Array>()),
        DataType::Boolean => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Bool(value) => Some(*value),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        _ => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringViewArray>(),
        ),
    }
}
