//! What the catalog holds.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use springtide_model::{
    ClusterId, DatabaseId, Epoch, PartitionId, PartitionRange, TableId, TableSchema, TabletId, TxnId, Version,
};

/// Which cluster this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the cluster; the same after a restore.
    pub cluster_id: ClusterId,
    /// Of this line of metadata: made with an empty catalog, and kept in the `CLUSTER` object too. It tells apart two
    /// frontends that were both told to be the same cluster.
    pub metadata_id: uuid::Uuid,
    /// The timeline.
    pub epoch: Epoch,
    /// When the catalog was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Whether the `CLUSTER` object was written; from then on its absence means that the data is gone.
    pub claimed: bool,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its id.
    pub id: DatabaseId,
    /// Its name; case matters.
    pub name: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its id.
    pub id: TableId,
    /// Its database.
    pub database: DatabaseId,
    /// Its name; case matters.
    pub name: String,
    /// Columns, keys, distribution.
    pub schema: Arc<TableSchema>,
    /// In order of range.
    pub partitions: Vec<Arc<Partition>>,
    /// `COMMENT`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// `PROPERTIES`, as given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
}

impl Table {
    /// The partition with this id.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions.iter().find(|partition| partition.id == id)
    }

    /// The partition of this name, compared without regard to case.
    #[must_use]
    pub fn partition_by_name(&self, name: &str) -> Option<&Arc<Partition>> {
        self.partitions
            .iter()
            .find(|partition| partition.name.eq_ignore_ascii_case(name))
    }
}

/// A partition of a table, and which of its versions queries see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its id.
    pub id: PartitionId,
    /// Its name; an unpartitioned table has one, with the table's name.
    pub name: String,
    /// Its range; `None` takes every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<PartitionRange>,
    /// In bucket order.
    pub tablets: Vec<TabletId>,
    /// What queries see; [`Version::INITIAL`] is empty and has no metadata object.
    pub visible_version: Version,
    /// Name of the metadata object of the visible version, below the cluster's data prefix; `None` at the initial version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// When the visible version became visible, milliseconds since 1970.
    pub visible_ms: u64,
}

/// `sha1(sha1(password))`, as `mysql_native_password` needs it. Text form: 40 lower-case hex digits. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub [u8; 20]);

impl PasswordHash {
    /// The hash of this password.
    #[must_use]
    pub fn of_password(password: &[u8]) -> Self {
        Self(Sha1::digest(Sha1::digest(password)).into())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 20];
        hex::decode_to_slice(text, &mut hash)
            .map_err(|error| serde::de::Error::custom(format!("a password hash has 40 hex digits: {error}")))?;
        Ok(Self(hash))
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads and writes all tables, makes and drops databases and tables; no users, no nodes, no global variables.
    ReadWrite,
}

/// A user that logs in with a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name; case matters.
    pub name: String,
    /// Against which logins are checked.
    pub password: PasswordHash,
    /// What it may do.
    pub role: Role,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// The password of the mounted Secret as it was last taken over; of the administrator alone. It need not be [`Self::password`],
    /// which SQL changes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounted: Option<PasswordHash>,
}

/// A transaction that was committed. One that only was begun is not in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its id.
    pub id: TxnId,
    /// Whose label it has.
    pub database: DatabaseId,
    /// What it wrote to.
    pub table: TableId,
    /// Unique in the database while it is remembered.
    pub label: String,
    /// The data objects that it wrote; their trailers list the segments. Emptied when the transaction is visible.
    pub objects: Vec<String>,
    /// Rows that it wrote.
    pub rows: u64,
    /// When it was committed, milliseconds since 1970.
    pub committed_ms: u64,
    /// How far it is.
    pub status: TransactionStatus,
}

/// How far a committed transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum TransactionStatus {
    /// Acknowledged, not yet in any visible version.
    Committed,
    /// Queries see it.
    Visible {
        /// Since when, milliseconds since 1970.
        at_ms: u64,
    },
}

impl Transaction {
    /// Whether queries see it.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        matches!(self.status, TransactionStatus::Visible { .. })
    }
}
