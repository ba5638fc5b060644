//! Why rows were not written.

use arrow::error::ArrowError;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The rows or the statement are wrong: repeating does not help.
    Invalid,
    /// The store did not answer in time: the load may be repeated as a whole.
    Retry,
    /// A defect of this program.
    Bug,
}

/// How the text of a [`ReadError`] begins. The text is all that another node sees of it.
pub const UNREADABLE: &str = "cannot read data object ";

/// Why a segment could not be read: the store did not give it. The statement may be repeated.
#[derive(Debug, thiserror::Error)]
#[error("{UNREADABLE}{object}: {}", with_causes(source))]
pub struct ReadError {
    pub(crate) object: String,
    pub(crate) source: object_store::Error,
}

/// An error and what led to it. Those of HTTP say in their causes alone what happened.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Why rows could not be written. Rows are counted from 1 in the order in which they were handed to the writer.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A value does not fit its column.
    #[error("column `{column}`, row {row}: value {value} {problem}")]
    Value {
        /// Name of the column.
        column: String,
        /// Row of the load, from 1.
        row: u64,
        /// The value as text, cut to 64 characters.
        value: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// `NULL` for a column that is `NOT NULL`.
    #[error("column `{column}`, row {row}: NULL for a column that is NOT NULL")]
    Null {
        /// Name of the column.
        column: String,
        /// Row of the load, from 1.
        row: u64,
    },
    /// No partition takes the value.
    #[error(
        "column `{column}`, row {row}: no partition of table `{table}` takes value {value}; add a partition for it first"
    )]
    NoPartition {
        /// Name of the partition column.
        column: String,
        /// Name of the table.
        table: String,
        /// Row of the load, from 1.
        row: u64,
        /// The value as text.
        value: String,
    },
    /// More or fewer columns than the table has.
    #[error("{given} columns given, but the table has {expected}: {names}")]
    ColumnCount {
        /// Columns of the rows.
        given: usize,
        /// Columns of the table.
        expected: usize,
        /// Names of the table's columns.
        names: String,
    },
    /// No value of this type can be stored in the column.
    #[error("column `{column}`: a value of type {from} cannot be stored in {to}; cast it in the statement")]
    Type {
        /// Name of the column.
        column: String,
        /// Type of the values.
        from: String,
        /// Type of the column.
        to: String,
    },
    /// The description of the table contradicts itself.
    #[error("table `{table}`: {problem}")]
    Target {
        /// Name of the table.
        table: String,
        /// What is wrong.
        problem: String,
    },
    /// Rows could not be encoded.
    #[error("cannot encode rows of table `{table}`: {problem}")]
    Encode {
        /// Name of the table.
        table: String,
        /// What the encoder says.
        problem: String,
    },
    /// The store refused an object or did not answer.
    #[error("cannot write object `{object}`: {source}")]
    Store {
        /// Name of the object below the data prefix.
        object: String,
        /// What the store says.
        source: object_store::Error,
    },
}

impl WriteError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            WriteError::Value { .. }
            | WriteError::Null { .. }
            | WriteError::NoPartition { .. }
            | WriteError::ColumnCount { .. }
            | WriteError::Type { .. } => ErrorKind::Invalid,
            WriteError::Store { .. } => ErrorKind::Retry,
            WriteError::Target { .. } | WriteError::Encode { .. } => ErrorKind::Bug,
        }
    }

    /// The same error with its row counted from the start of the load, not of the batch.
    #[must_use]
    pub(crate) fn after_rows(mut self, rows: u64) -> Self {
        if let WriteError::Value { row, .. } | WriteError::Null { row, .. } | WriteError::NoPartition { row, .. } =
            &mut self
        {
            *row += rows;
        }
        self
    }

    pub(crate) fn encode(table: &str, problem: impl std::fmt::Display) -> Self {
        WriteError::Encode {
            table: table.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// For Arrow kernels whose inputs were checked before.
pub(crate) fn arrow_in(table: &str) -> impl Fn(ArrowError) -> WriteError + '_ {
    move |error| WriteError::encode(table, error)
}
