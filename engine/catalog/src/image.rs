//! The whole catalog as bytes: the payload of a journal image. An on-disk format, as [`crate::edit`] is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use springtide_model::{ComputeNode, TxnId};

use crate::{
    catalog::Catalog,
    edit::unknown_word,
    entity::{Database, Identity, Table, Transaction, User},
};

#[cfg(test)]
mod tests;

/// The newest version that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Everything of a catalog but what follows from the rest.
#[derive(Serialize, Deserialize)]
struct Image {
    format: u32,
    identity: Option<Identity>,
    next_id: u64,
    next_txn: TxnId,
    databases: Vec<Arc<Database>>,
    tables: Vec<Arc<Table>>,
    users: Vec<Arc<User>>,
    nodes: Vec<Arc<ComputeNode>>,
    globals: Vec<(String, String)>,
    transactions: Vec<Arc<Transaction>>,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A newer engine wrote it.
    #[error(
        "it was written by a newer engine (version {found}; this one reads up to {FORMAT_VERSION}); run at least that engine version"
    )]
    TooNew {
        /// Its format.
        found: u32,
    },
    /// It says something that only a newer engine knows.
    #[error(
        "it says `{word}`, which this engine does not know: it was written by a newer engine; run at least that engine version"
    )]
    UnknownWord {
        /// What.
        word: String,
    },
    /// It is not the JSON of an image.
    #[error("the image is not valid: {0}")]
    Malformed(#[source] serde_json::Error),
}

impl From<serde_json::Error> for ImageError {
    fn from(error: serde_json::Error) -> Self {
        match unknown_word(&error) {
            Some(word) => Self::UnknownWord { word },
            None => Self::Malformed(error),
        }
    }
}

impl Catalog {
    /// The catalog as bytes.
    #[must_use]
    pub fn to_image(&self) -> Vec<u8> {
        let Catalog {
            identity,
            next_id,
            next_txn,
            databases,
            database_names: _,
            tables,
            table_names: _,
            users,
            nodes,
            globals,
            transactions,
            labels: _,
        } = self;
        let image = Image {
            format: FORMAT_VERSION,
            identity: identity.clone(),
            next_id: *next_id,
            next_txn: *next_txn,
            databases: databases.values().cloned().collect(),
            tables: tables.values().cloned().collect(),
            users: users.values().cloned().collect(),
            nodes: nodes.values().cloned().collect(),
            globals: globals.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            transactions: transactions.values().cloned().collect(),
        };
        serde_json::to_vec(&image).expect("an image has string keys and no floats, so JSON can say it")
    }

    /// The catalog of such bytes.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn from_image(bytes: &[u8]) -> Result<Self, ImageError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format > FORMAT_VERSION {
            return Err(ImageError::TooNew { found: head.format });
        }
        let Image {
            format: _,
            identity,
            next_id,
            next_txn,
            databases,
            tables,
            users,
            nodes,
            globals,
            transactions,
        } = serde_json::from_slice(bytes)?;
        Ok(Self {
            identity,
            next_id,
            next_txn,
            database_names: databases.iter().map(|d| (d.name.clone(), d.id)).collect(),
            databases: databases.into_iter().map(|d| (d.id, d)).collect(),
            table_names: tables.iter().map(|t| ((t.database, t.name.clone()), t.id)).collect(),
            tables: tables.into_iter().map(|t| (t.id, t)).collect(),
            users: users.into_iter().map(|u| (u.name.clone(), u)).collect(),
            nodes: nodes.into_iter().map(|n| (n.id, n)).collect(),
            globals: globals.into_iter().collect(),
            labels: transactions
                .iter()
                .map(|t| ((t.database, t.label.clone()), t.id))
                .collect(),
            transactions: transactions.into_iter().map(|t| (t.id, t)).collect(),
        })
    }
}
