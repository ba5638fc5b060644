//! The catalog: what databases, tables, users, nodes and transactions there are. A pure value.
//!
//! Nouns:
//! - [`Catalog`]: the state at one moment. Cloning it costs a few pointers; a clone never changes.
//! - [`Edit`]: one change that has been decided, with every id and time in it. Edits are what the journal keeps.
//! - [`Record`]: the edits of one journal record; they take effect together.
//! - *intents*, the methods of [`intent`]: they look at a catalog, refuse what cannot be, and answer with edits.
//!
//! `Catalog::apply` does the same to the same state whenever it runs, so that replaying the journal gives the catalog back.

pub mod catalog;
pub mod edit;
pub mod entity;
pub mod error;
pub mod image;
pub mod intent;

pub use catalog::Catalog;
pub use edit::{Edit, PartitionVersion, Record};
pub use entity::{Database, Identity, Partition, PasswordHash, Role, Table, Transaction, TransactionStatus, User};
pub use error::{CatalogError, ErrorKind};
pub use image::ImageError;
pub use intent::{Commit, NewPartition, NewRange, NewTable};

/// Milliseconds that the label of a visible transaction is remembered: 3 days, as StarRocks' `label_keep_max_second`.
pub const LABEL_KEEP_MS: u64 = 3 * 24 * 3600 * 1000;
/// Visible transactions that are remembered at most; the oldest go first.
pub const LABEL_KEEP_MAX: usize = 100_000;
/// Most transactions that one edit forgets, so that no journal record grows without bound.
pub const FORGET_BATCH: usize = 1_000;
