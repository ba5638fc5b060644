//! Why the core refuses.

use springtide_catalog::{CatalogError, ErrorKind};
use springtide_format::FormatError;
use springtide_model::TxnId;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The catalog refuses; [`CatalogError::kind`] has the kind for the error number.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The journal failed: nothing is acknowledged any more. Whether the change took effect shows after the restart.
    #[error(
        "the frontend's journal failed and the frontend is about to restart; whether this change took effect is not known yet: {0}"
    )]
    JournalFailed(String),
    /// An image of the catalog was asked for, and could not be written. The journal has everything.
    #[error("cannot write an image of the catalog: {0}; the journal has everything, so nothing is lost")]
    ImageFailed(String),
    /// The frontend is being stopped.
    #[error("the frontend is being stopped; try again in a moment")]
    Stopping,
    /// The transaction never was, or is forgotten.
    #[error(
        "transaction {0} is not known: it was never begun here, the frontend was restarted while it ran, or it is forgotten"
    )]
    UnknownTransaction(TxnId),
    /// The transaction was aborted before.
    #[error("transaction {txn} was aborted: {reason}")]
    Aborted {
        /// Which.
        txn: TxnId,
        /// Why.
        reason: String,
    },
    /// Another call commits the transaction at this moment.
    #[error("transaction {0} is being committed by another call")]
    Committing(TxnId),
    /// More loads at once than a frontend takes.
    #[error("{limit} loads are running, no more are taken; try again when some have ended")]
    TooManyTransactions {
        /// The limit.
        limit: usize,
    },
    /// What a writer reported does not fit the transaction.
    #[error("the objects of transaction {txn} do not fit it: {why}")]
    ObjectsRefused {
        /// Which.
        txn: TxnId,
        /// What does not fit.
        why: String,
    },
    /// The object store failed.
    #[error("cannot {action} {object}: {why}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// On which object.
        object: String,
        /// What the store says.
        why: String,
    },
    /// An object is damaged or of a newer engine.
    #[error("cannot use {object}: {source}")]
    Format {
        /// Which object.
        object: String,
        /// What is wrong with it.
        source: FormatError,
    },
}

impl CoreError {
    /// The kind of a catalog's refusal; `None` for every other error.
    #[must_use]
    pub fn catalog_kind(&self) -> Option<ErrorKind> {
        match self {
            CoreError::Catalog(error) => Some(error.kind()),
            _ => None,
        }
    }

    pub(crate) fn store(action: &'static str, object: &str, why: impl std::fmt::Display) -> Self {
        Self::Store {
            action,
            object: object.to_owned(),
            why: why.to_string(),
        }
    }
}
