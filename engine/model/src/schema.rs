//! Columns and tables as SQL sees them.

use serde::{Deserialize, Serialize};

/// A column's type, in StarRocks' terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// `BOOLEAN`
    Boolean,
    /// `TINYINT`, 8 bits signed
    TinyInt,
    /// `SMALLINT`, 16 bits signed
    SmallInt,
    /// `INT`, 32 bits signed
    Int,
    /// `BIGINT`, 64 bits signed
    BigInt,
    /// `FLOAT`, IEEE 754 single
    Float,
    /// `DOUBLE`, IEEE 754 double
    Double,
    /// `DECIMAL(precision, scale)`, precision 1 to 38
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// `CHAR(length)`, length in bytes
    Char {
        /// Most bytes of a value.
        length: u32,
    },
    /// `VARCHAR(length)`, length in bytes; `STRING` is `VARCHAR(65533)`
    Varchar {
        /// Most bytes of a value.
        length: u32,
    },
    /// `DATE`, days
    Date,
    /// `DATETIME`, microseconds, no zone
    DateTime,
    /// `VARBINARY`
    Varbinary,
    /// `JSON`, kept as text
    Json,
}

/// A constant in DDL: a default value or the bound of a partition. Dates and datetimes are strings here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Literal {
    /// `NULL`
    Null,
    /// `TRUE` or `FALSE`
    Boolean(bool),
    /// An integer.
    Int(i128),
    /// Text, dates, datetimes, and decimals in their SQL spelling.
    Text(String),
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name as written in the DDL; compared without regard to case.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// Whether `NULL` may be stored.
    pub nullable: bool,
    /// Value of rows that do not name the column; `None` means there is no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Literal>,
    /// `COMMENT`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What a table's rows look like and how they are spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Grows with each change of `columns`; segments name the one they were written with.
    pub schema_id: u32,
    /// In order of declaration; key columns first.
    pub columns: Vec<Column>,
    /// How many leading columns are the `DUPLICATE KEY`: the sort order within a segment.
    pub key_columns: usize,
    /// Index of the column of `PARTITION BY RANGE(...)`; `None` for one partition that takes all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_column: Option<usize>,
    /// How the rows of a partition are spread over tablets.
    pub distribution: Distribution,
}

impl TableSchema {
    /// Index of the column called `name`, compared without regard to case.
    #[must_use]
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// `DISTRIBUTED BY HASH(columns) BUCKETS n`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Indices of the hashed columns; empty for `DISTRIBUTED BY RANDOM`.
    pub columns: Vec<usize>,
    /// Tablets per partition, 1 to 1024.
    pub buckets: u32,
}

/// One end of a range partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBound {
    /// Below every value, `NULL` too.
    MinValue,
    /// A value of the partition column's type.
    Value(Literal),
    /// Above every value.
    MaxValue,
}

/// `VALUES [lower, upper)`: includes `lower`, excludes `upper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRange {
    /// Least value of the partition.
    pub lower: PartitionBound,
    /// First value past the partition.
    pub upper: PartitionBound,
}
