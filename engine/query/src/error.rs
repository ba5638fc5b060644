//! Why a statement failed, by what the caller can do about it.

use datafusion::common::{DataFusionError, SchemaError};
use object_store::Error as StoreError;
use springtide_tablet::{ErrorKind, UNREADABLE, WriteError};

#[cfg(test)]
mod tests;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// The statement or its data is wrong: repeating does not help.
    Invalid,
    /// A node was lost, or does not read the plan: a statement that changes nothing may be repeated without that node.
    WorkerLost,
    /// The same statement may succeed later, or with more resources.
    Retry,
    /// A defect of this program.
    Bug,
}

/// Why a statement failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// No table of that name.
    #[error("unknown table '{database}.{table}'")]
    UnknownTable {
        /// Database as written or by default.
        database: String,
        /// Table as written.
        table: String,
    },
    /// No database of that name.
    #[error("unknown database '{database}'")]
    UnknownDatabase {
        /// Database as written.
        database: String,
    },
    /// A table without database, and the session has no default.
    #[error("no database selected; write database.table or USE a database first")]
    NoDatabase,
    /// A column that none of the tables has.
    #[error("unknown column '{column}'{hint}")]
    UnknownColumn {
        /// Column as written.
        column: String,
        /// What there is instead; may be empty.
        hint: String,
    },
    /// The statement makes no sense, or needs something that is not there.
    #[error("{0}")]
    Invalid(String),
    /// `FILES(...)` cannot be read.
    #[error("FILES: {0}")]
    Files(String),
    /// Rows do not fit the table.
    #[error("{0}")]
    Rows(String),
    /// There is no compute node to run it on.
    #[error("no compute node is available{0}; add one, or wait until one is alive")]
    NoWorkers(String),
    /// A compute node died or could not be reached.
    #[error("compute node {url} was lost: {problem}")]
    WorkerLost {
        /// Its URL, as it was given in the session request.
        url: String,
        /// What the connection says.
        problem: String,
    },
    /// A compute node of another release does not read plans of this version.
    #[error("compute node {url} does not read this plan: {problem}")]
    PlanUnread {
        /// Its URL, as it was given in the session request.
        url: String,
        /// Which plans it reads.
        problem: String,
    },
    /// A compute node did not accept the cluster token.
    #[error("compute node {url} refused the cluster token")]
    WorkerRefused {
        /// Its URL.
        url: String,
    },
    /// Memory or spill space is spent.
    #[error("{0}")]
    ResourcesExhausted(String),
    /// The object store refused or did not answer.
    #[error("object store: {0}")]
    Store(String),
    /// It failed while it ran.
    #[error("{0}")]
    Execution(String),
    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl QueryError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> QueryErrorKind {
        match self {
            QueryError::UnknownTable { .. }
            | QueryError::UnknownDatabase { .. }
            | QueryError::NoDatabase
            | QueryError::UnknownColumn { .. }
            | QueryError::Invalid(_)
            | QueryError::Files(_)
            | QueryError::Rows(_)
            | QueryError::Execution(_) => QueryErrorKind::Invalid,
            QueryError::WorkerLost { .. } | QueryError::PlanUnread { .. } => QueryErrorKind::WorkerLost,
            QueryError::NoWorkers(_)
            | QueryError::WorkerRefused { .. }
            | QueryError::ResourcesExhausted(_)
            | QueryError::Store(_) => QueryErrorKind::Retry,
            QueryError::Internal(_) => QueryErrorKind::Bug,
        }
    }

    /// Whether memory was spent, so that a plan which needs less of it may succeed.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, QueryError::ResourcesExhausted(_))
    }

    /// The URL of the node that was lost or does not read the plan, when that is why.
    #[must_use]
    pub fn lost_worker(&self) -> Option<&str> {
        match self {
            QueryError::WorkerLost { url, .. } | QueryError::PlanUnread { url, .. } => Some(url),
            _ => None,
        }
    }
}

/// Marks in the context of a `DataFusionError`. Contexts survive the way over the network as text, types do not; so these
/// tell the coordinator what happened between two workers, too.
const LOST: &str = "springtide/worker-lost ";
const REFUSED: &str = "springtide/worker-refused ";
const UNREAD: &str = "springtide/plan-unread ";
const ROWS: &str = "springtide/rows";
const FILES: &str = "springtide/files";
const STORE: &str = "springtide/store";

pub(crate) fn mark_lost(url: &str, error: DataFusionError) -> DataFusionError {
    DataFusionError::Context(format!("{LOST}{url}"), Box::new(error))
}

pub(crate) fn mark_refused(url: &str, error: DataFusionError) -> DataFusionError {
    DataFusionError::Context(format!("{REFUSED}{url}"), Box::new(error))
}

pub(crate) fn mark_unread(url: &str, why: String) -> DataFusionError {
    DataFusionError::Context(format!("{UNREAD}{url}"), Box::new(DataFusionError::Execution(why)))
}

pub(crate) fn mark_files(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Context(FILES.to_owned(), Box::new(DataFusionError::Execution(message.into())))
}

/// An error of the tablet writer on its way to the coordinator.
pub(crate) fn mark_write(error: &WriteError) -> DataFusionError {
    let inner = Box::new(DataFusionError::Execution(error.to_string()));
    match error.kind() {
        ErrorKind::Invalid => DataFusionError::Context(ROWS.to_owned(), inner),
        ErrorKind::Retry => DataFusionError::Context(STORE.to_owned(), inner),
        ErrorKind::Bug => DataFusionError::Internal(error.to_string()),
    }
}

impl From<WriteError> for QueryError {
    fn from(error: WriteError) -> Self {
        match error.kind() {
            ErrorKind::Invalid => QueryError::Rows(error.to_string()),
            ErrorKind::Retry => QueryError::Store(error.to_string()),
            ErrorKind::Bug => QueryError::Internal(error.to_string()),
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        marked(&error).unwrap_or_else(|| classify(&error))
    }
}

/// Looks for our marks anywhere in the error: the innermost says who was lost.
fn marked(error: &DataFusionError) -> Option<QueryError> {
    match error {
        DataFusionError::Context(context, inner) => {
            if let Some(found) = marked(inner) {
                return Some(found);
            }
            let problem = || plain(inner);
            if let Some(url) = context.strip_prefix(LOST) {
                return Some(QueryError::WorkerLost {
                    url: url.to_owned(),
                    problem: problem(),
                });
            }
            if let Some(url) = context.strip_prefix(UNREAD) {
                return Some(QueryError::PlanUnread {
                    url: url.to_owned(),
                    problem: problem(),
                });
            }
            if let Some(url) = context.strip_prefix(REFUSED) {
                return Some(QueryError::WorkerRefused { url: url.to_owned() });
            }
            match context.as_str() {
                ROWS => Some(QueryError::Rows(problem())),
                FILES => Some(QueryError::Files(problem())),
                STORE => Some(QueryError::Store(problem())),
                _ => None,
            }
        }
        DataFusionError::Shared(inner) => marked(inner),
        DataFusionError::Diagnostic(_, inner) => marked(inner),
        DataFusionError::Collection(all) => all.iter().find_map(marked),
        DataFusionError::External(inner) => inner.downcast_ref::<DataFusionError>().and_then(marked),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => inner.downcast_ref::<DataFusionError>().and_then(marked),
            _ => None,
        },
        _ => None,
    }
}

fn classify(error: &DataFusionError) -> QueryError {
    match error {
        DataFusionError::Context(_, inner) => classify(inner),
        DataFusionError::Shared(inner) => classify(inner),
        DataFusionError::Diagnostic(_, inner) => classify(inner),
        DataFusionError::Collection(all) if !all.is_empty() => classify(&all[0]),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => QueryError::UnknownColumn {
                column: field.flat_name(),
                hint: hint(valid_fields),
            },
            other => QueryError::Invalid(other.to_string()),
        },
        DataFusionError::ResourcesExhausted(message) => QueryError::ResourcesExhausted(exhausted(message)),
        DataFusionError::ObjectStore(inner) => QueryError::Store(store_message(inner)),
        DataFusionError::Internal(message) => QueryError::Internal(message.clone()),
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => QueryError::Invalid(plain(error)),
        // What a spill writer says reaches here as an error of input and output.
        other => {
            let message = plain(other);
            if message.contains(SPILL_LIMIT) {
                return QueryError::ResourcesExhausted(exhausted(&message));
            }
            // A segment is read below Parquet, on a node of which the text alone is left.
            match message.find(UNREADABLE) {
                Some(at) => QueryError::Store(message[at..].to_owned()),
                None => QueryError::Execution(message),
            }
        }
    }
}

/// The setting that DataFusion names when the space for spilled rows is spent.
const SPILL_LIMIT: &str = "max_temp_directory_size";

const HINTED_COLUMNS: usize = 10;

fn hint(valid: &[datafusion::common::Column]) -> String {
    if valid.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = valid
        .iter()
        .take(HINTED_COLUMNS)
        .map(|column| column.name.as_str())
        .collect();
    let more = if valid.len() > HINTED_COLUMNS { ", …" } else { "" };
    format!("; there are {}{more}", names.join(", "))
}

/// Says what to do in words of the cluster, not of DataFusion's configuration.
fn exhausted(message: &str) -> String {
    if message.contains(SPILL_LIMIT) {
        "rows that do not fit in memory outgrew the local disk of a compute node: give the ComputeGroup a larger cacheSize, \
         more memory or more replicas, or read fewer rows"
            .to_owned()
    } else {
        format!(
            "{message}; give the ComputeGroup more memory or more replicas (the frontend, where it merges a large result), or read \
             fewer rows"
        )
    }
}

fn store_message(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { path, .. } => format!("{path} does not exist"),
        other => other.to_string(),
    }
}

/// The message without the words that DataFusion puts before it.
fn plain(error: &DataFusionError) -> String {
    error
        .strip_backtrace()
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Execution error: ")
        .trim_start_matches("External error: ")
        .trim_start_matches("This feature is not implemented: ")
        .to_owned()
}
