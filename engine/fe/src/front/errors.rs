//! The one table from what went wrong to MySQL error numbers and SQLSTATEs, which are StarRocks' where StarRocks has the case.

use springtide_catalog::CatalogError;
use springtide_mysql::MysqlError;
use springtide_query::QueryError;
use springtide_sql::SqlError;

use crate::core::CoreError;

/// What went wrong, as far as a client can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything wrong with the statement that has no number of its own; StarRocks' catch-all.
    Invalid,
    NoDatabaseSelected,
    DatabaseExists,
    DropUnknownDatabase,
    TableExists,
    DuplicateColumn,
    UnknownThread,
    /// `KILL` of another user's connection.
    NotOwner,
    UnknownCharset,
    UnknownVariable,
    ReadOnlyVariable,
    UnknownPartition,
    DuplicatePartition,
    UnknownStatement,
    UnknownDatabase,
    UnknownTable,
    UnknownCatalog,
    AccessDenied,
    Timeout,
    UnknownWarehouse,
    /// There are nodes and none of them is alive.
    WarehouseNotAvailable,
    /// There is no node.
    NoComputeNode,
    /// Nothing was changed, or nothing that a repetition would do twice: the client may repeat the statement.
    Retryable,
    LabelExists,
    Internal,
}

impl Kind {
    /// Error number and SQLSTATE.
    pub(crate) fn code(self) -> (u16, &'static [u8; 5]) {
        match self {
            Kind::Invalid => (1064, b"HY000"),
            Kind::DatabaseExists => (1007, b"HY000"),
            Kind::DropUnknownDatabase => (1008, b"HY000"),
            Kind::NoDatabaseSelected => (1046, b"3D000"),
            Kind::TableExists => (1050, b"42S01"),
            Kind::DuplicateColumn => (1060, b"42S21"),
            Kind::UnknownThread => (1094, b"HY000"),
            Kind::NotOwner => (1095, b"HY000"),
            Kind::UnknownCharset => (1115, b"42000"),
            Kind::UnknownVariable => (1193, b"HY000"),
            Kind::ReadOnlyVariable => (1238, b"HY000"),
            Kind::UnknownStatement => (1243, b"HY000"),
            Kind::UnknownPartition => (1507, b"HY000"),
            Kind::DuplicatePartition => (1517, b"HY000"),
            Kind::Internal => (1815, b"HY000"),
            // MySQL's. StarRocks says 5024, which MariaDB's client library keeps for errors of its own: it tells of a malformed packet.
            Kind::Timeout => (3024, b"HY000"),
            Kind::UnknownCatalog => (5078, b"42000"),
            Kind::AccessDenied => (5203, b"42000"),
            Kind::UnknownDatabase => (5501, b"3F000"),
            Kind::UnknownTable => (5502, b"42602"),
            Kind::LabelExists => (5602, b"HY000"),
            Kind::UnknownWarehouse => (5901, b"42000"),
            Kind::WarehouseNotAvailable => (5904, b"42000"),
            Kind::NoComputeNode => (5905, b"42000"),
            // The class 40 tells drivers that the statement may be repeated.
            Kind::Retryable => (5990, b"40001"),
        }
    }

    pub(crate) fn error(self, message: impl Into<String>) -> MysqlError {
        let (code, state) = self.code();
        MysqlError::new(code, state, message)
    }

    /// In the words that StarRocks puts before what its analyzer finds.
    pub(crate) fn analyzing(self, detail: &str) -> MysqlError {
        let detail = detail.trim_end_matches('.');
        self.error(format!("Getting analyzing error. Detail message: {detail}."))
    }
}

pub(crate) fn no_database() -> MysqlError {
    Kind::NoDatabaseSelected.analyzing("No database selected")
}

pub(crate) fn unknown_database(name: &str) -> MysqlError {
    Kind::UnknownDatabase.analyzing(&format!("Unknown database '{name}'"))
}

pub(crate) fn unknown_table(database: &str, table: &str) -> MysqlError {
    Kind::UnknownTable.analyzing(&format!("Unknown table '{database}.{table}'"))
}

pub(crate) fn access_denied(privilege: &str, object: &str) -> MysqlError {
    Kind::AccessDenied.error(format!(
        "Access denied; you need (at least one of) the {privilege} privilege(s) on {object} for this operation. Please ask the \
         admin to grant permission(s)."
    ))
}

pub(crate) fn from_sql(error: &SqlError) -> MysqlError {
    let kind = match error {
        SqlError::Syntax { .. } | SqlError::Invalid(_) | SqlError::Unsupported { .. } | SqlError::TooComplex(_) => {
            Kind::Invalid
        }
        SqlError::DuplicateColumn(_) => Kind::DuplicateColumn,
        SqlError::DuplicatePartition(_) => Kind::DuplicatePartition,
        SqlError::UnknownVariable(_) => Kind::UnknownVariable,
    };
    kind.error(error.to_string())
}

pub(crate) fn from_catalog(error: &CatalogError) -> MysqlError {
    use springtide_catalog::ErrorKind;
    let message = error.to_string();
    match error.kind() {
        ErrorKind::UnknownDatabase => Kind::UnknownDatabase.analyzing(&message),
        ErrorKind::DropUnknownDatabase => Kind::DropUnknownDatabase.error(message),
        ErrorKind::DatabaseExists => Kind::DatabaseExists.error(message),
        ErrorKind::UnknownTable => Kind::UnknownTable.analyzing(&message),
        ErrorKind::TableExists => Kind::TableExists.analyzing(&message),
        ErrorKind::UnknownPartition => Kind::UnknownPartition.error(message),
        ErrorKind::PartitionExists => Kind::DuplicatePartition.analyzing(&message),
        ErrorKind::DuplicateColumn => Kind::DuplicateColumn.analyzing(&message),
        ErrorKind::LabelExists => Kind::LabelExists.error(message),
        ErrorKind::UnknownComputeNode | ErrorKind::ComputeNodeExists => Kind::Invalid.error(message),
        ErrorKind::PartitionOverlap
        | ErrorKind::UnknownUser
        | ErrorKind::UserExists
        | ErrorKind::UnknownTransaction
        | ErrorKind::Invalid => Kind::Invalid.analyzing(&message),
        ErrorKind::DoesNotApply => Kind::Internal.error(message),
    }
}

pub(crate) fn from_query(error: &QueryError) -> MysqlError {
    let message = error.to_string();
    match error {
        QueryError::UnknownTable { database, table } => unknown_table(database, table),
        QueryError::UnknownDatabase { database } => unknown_database(database),
        QueryError::NoDatabase => no_database(),
        QueryError::UnknownColumn { column, hint } => {
            let column = column.rsplit('.').next().unwrap_or(column).trim_matches(['`', '"']);
            Kind::Invalid.analyzing(&format!("Column '{column}' cannot be resolved{hint}"))
        }
        QueryError::Invalid(_) | QueryError::Files(_) => Kind::Invalid.analyzing(&message),
        QueryError::Rows(_) | QueryError::Execution(_) => Kind::Invalid.error(message),
        QueryError::NoWorkers(_) => Kind::WarehouseNotAvailable.error(message),
        QueryError::WorkerLost { .. }
        | QueryError::PlanUnread { .. }
        | QueryError::WorkerRefused { .. }
        | QueryError::ResourcesExhausted(_)
        | QueryError::Store(_) => Kind::Retryable.error(format!("{message}; the statement may be repeated")),
        QueryError::Internal(_) => Kind::Internal.error(message),
    }
}

pub(crate) fn from_core(error: &CoreError) -> MysqlError {
    match error {
        CoreError::Catalog(refusal) => from_catalog(refusal),
        CoreError::UnknownTransaction(_) | CoreError::Aborted { .. } | CoreError::ObjectsRefused { .. } => {
            Kind::Invalid.error(error.to_string())
        }
        CoreError::Format { .. } => Kind::Internal.error(error.to_string()),
        CoreError::JournalFailed(_)
        | CoreError::ImageFailed(_)
        | CoreError::Stopping
        | CoreError::Committing(_)
        | CoreError::TooManyTransactions { .. }
        | CoreError::Store { .. } => Kind::Retryable.error(error.to_string()),
    }
}
