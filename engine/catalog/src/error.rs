//! Why an intent is refused or an edit does not fit.

/// What the caller can make of a [`CatalogError`]; the frontend maps each kind to a MySQL error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No database of this name.
    UnknownDatabase,
    /// `DROP DATABASE` of a database that is not there, which MySQL numbers apart.
    DropUnknownDatabase,
    /// A database of this name is there.
    DatabaseExists,
    /// No table of this name.
    UnknownTable,
    /// A table of this name is there.
    TableExists,
    /// No partition of this name.
    UnknownPartition,
    /// A partition of this name is there.
    PartitionExists,
    /// The range overlaps that of another partition.
    PartitionOverlap,
    /// Two columns of the same name.
    DuplicateColumn,
    /// No user of this name.
    UnknownUser,
    /// A user of this name is there.
    UserExists,
    /// No such compute node.
    UnknownComputeNode,
    /// A compute node with this host and port is there.
    ComputeNodeExists,
    /// The label was used before.
    LabelExists,
    /// No such transaction: it never was, was aborted, or is forgotten.
    UnknownTransaction,
    /// The name, the schema or another part of the statement breaks a rule.
    Invalid,
    /// The edit does not fit the state: the journal is damaged or this is a defect.
    DoesNotApply,
}

/// A refusal with a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CatalogError {
    kind: ErrorKind,
    message: String,
}

impl CatalogError {
    /// A refusal of this kind, in these words.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A statement that breaks a rule.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// What it is, for the error number.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn unknown_database(name: &str) -> Self {
        Self::new(ErrorKind::UnknownDatabase, format!("Unknown database '{name}'"))
    }

    pub(crate) fn unknown_table(database: &str, name: &str) -> Self {
        Self::new(ErrorKind::UnknownTable, format!("Unknown table '{database}.{name}'"))
    }

    pub(crate) fn does_not_apply(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::DoesNotApply, why)
    }
}
