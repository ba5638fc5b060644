//! What the journal keeps. The JSON of these types is an on-disk format: it grows by addition only, and the golden texts
//! in the tests hold it still.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Serialize,
    de::{IgnoredAny, value::StrDeserializer},
};
use springtide_model::{ComputeNode, DatabaseId, Epoch, NodeId, PartitionId, TableId, TxnId, Version};

use crate::entity::{Database, Identity, Partition, PasswordHash, Table, User};

/// The payload of one journal record: edits that take effect together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`Record::FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// In order.
    pub edits: Vec<Edit>,
}

impl Record {
    /// The newest version that this code writes and reads.
    pub const FORMAT_VERSION: u32 = 1;

    /// A record of these edits in the current format.
    #[must_use]
    pub fn new(edits: Vec<Edit>) -> Self {
        Self {
            format: Self::FORMAT_VERSION,
            edits,
        }
    }

    /// The bytes for the journal.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("edits have string keys and no floats, so JSON can say them")
    }

    /// Reads a record. What this engine does not know is never passed over: without it the catalog would be another one.
    ///
    /// # Errors
    /// [`RecordError::TooNew`], [`RecordError::UnknownEdit`] or [`RecordError::UnknownWord`] when a newer engine wrote it,
    /// [`RecordError::Malformed`] otherwise.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format > Self::FORMAT_VERSION {
            return Err(RecordError::TooNew { found: head.format });
        }
        serde_json::from_slice(bytes).map_err(|error| match unknown_kind(bytes) {
            Some(kind) => RecordError::UnknownEdit { kind },
            None => error.into(),
        })
    }
}

/// Why a journal record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer engine wrote it.
    #[error(
        "it was written by a newer engine (version {found}; this one reads up to {}); run at least that engine version",
        Record::FORMAT_VERSION
    )]
    TooNew {
        /// Its format.
        found: u32,
    },
    /// It has an edit of a kind that only a newer engine knows.
    #[error(
        "its edit `{kind}` is none that this engine knows: it was written by a newer engine; run at least that engine version"
    )]
    UnknownEdit {
        /// Which kind.
        kind: String,
    },
    /// Within an edit it says something that only a newer engine knows: a type of columns, as it may be.
    #[error(
        "it says `{word}`, which this engine does not know: it was written by a newer engine; run at least that engine version"
    )]
    UnknownWord {
        /// What.
        word: String,
    },
    /// It is not the JSON of a record.
    #[error("the record is not valid: {0}")]
    Malformed(#[source] serde_json::Error),
}

impl From<serde_json::Error> for RecordError {
    fn from(error: serde_json::Error) -> Self {
        match unknown_word(&error) {
            Some(word) => Self::UnknownWord { word },
            None => Self::Malformed(error),
        }
    }
}

/// The first edit of a record whose kind this engine does not know.
fn unknown_kind(record: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kinds {
        edits: Vec<Kind>,
    }
    /// An edit is `"claim"` or `{"drop_table": {…}}`.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Alone(String),
        WithFields(BTreeMap<String, IgnoredAny>),
    }
    let kinds: Kinds = serde_json::from_slice(record).ok()?;
    let mut names = kinds.edits.into_iter().filter_map(|kind| match kind {
        Kind::Alone(name) => Some(name),
        Kind::WithFields(mut fields) => fields.pop_first().map(|(name, _)| name),
    });
    names.find(|name| !is_known(name))
}

/// Whether there are edits of this kind; asked of the code that reads them.
fn is_known(kind: &str) -> bool {
    /// What came of reading an edit that is only its kind.
    #[derive(Debug, thiserror::Error)]
    enum Verdict {
        #[error("no such edit")]
        UnknownKind,
        #[error("an edit without its fields")]
        NoFields,
    }
    impl serde::de::Error for Verdict {
        fn custom<T: std::fmt::Display>(_: T) -> Self {
            Self::NoFields
        }

        fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
            Self::UnknownKind
        }
    }
    let only_its_kind: StrDeserializer<'_, Verdict> = StrDeserializer::new(kind);
    !matches!(Edit::deserialize(only_its_kind), Err(Verdict::UnknownKind))
}

/// The word that is none of those which this engine knows in its place, if that is why a text could not be read. A newer engine wrote it:
/// the checksum of what is read here is right. serde says it in words alone.
pub(crate) fn unknown_word(error: &serde_json::Error) -> Option<String> {
    let said = error.to_string();
    let (word, _) = said.strip_prefix("unknown variant `")?.split_once('`')?;
    Some(word.to_owned())
}

/// One change. Tagged from outside, `{"drop_table": {…}}`: serde reads 128-bit integers (bounds of partitions) only there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// First edit of every journal: which cluster this is.
    Bootstrap {
        /// See [`Identity`].
        identity: Identity,
    },
    /// The `CLUSTER` object was written.
    Claim,
    /// A restore began a new timeline.
    BeginEpoch {
        /// Greater than the one before.
        epoch: Epoch,
    },
    /// Transaction ids below this one may have been given out; after a restart the next is this one.
    ReserveTransactions {
        /// First id that was not reserved.
        below: TxnId,
    },
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// The database.
        database: Database,
    },
    /// `DROP DATABASE`, with all its tables.
    DropDatabase {
        /// Which.
        id: DatabaseId,
    },
    /// `CREATE TABLE`.
    CreateTable {
        /// The table, its partitions at their initial version.
        table: Table,
    },
    /// `DROP TABLE`.
    DropTable {
        /// Which.
        id: TableId,
    },
    /// `ALTER TABLE … RENAME`.
    RenameTable {
        /// Which.
        id: TableId,
        /// New name.
        name: String,
    },
    /// `ALTER TABLE … ADD PARTITION`.
    AddPartition {
        /// Of which table.
        table: TableId,
        /// The partition at its initial version.
        partition: Partition,
    },
    /// `ALTER TABLE … DROP PARTITION`.
    DropPartition {
        /// Of which table.
        table: TableId,
        /// Which.
        partition: PartitionId,
    },
    /// `CREATE USER`.
    CreateUser {
        /// The user.
        user: User,
    },
    /// `ALTER USER … IDENTIFIED BY`, `SET PASSWORD`, and another password in the administrator's mounted Secret.
    SetPassword {
        /// Whose.
        user: String,
        /// New hash.
        password: PasswordHash,
        /// New [`User::mounted`]; `None` leaves it. An engine that does not know it changes the password all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mounted: Option<PasswordHash>,
    },
    /// `DROP USER`.
    DropUser {
        /// Who.
        user: String,
    },
    /// `ALTER SYSTEM ADD COMPUTE NODE`.
    AddComputeNode {
        /// The node.
        node: ComputeNode,
    },
    /// `ALTER SYSTEM DROP COMPUTE NODE`.
    DropComputeNode {
        /// Which.
        id: NodeId,
    },
    /// `SET GLOBAL`.
    SetGlobal {
        /// Variable, lower case.
        name: String,
        /// Its new value; `None` goes back to the default.
        value: Option<String>,
    },
    /// A transaction is complete: from here on it is acknowledged and will be visible.
    Commit {
        /// Which.
        txn: TxnId,
        /// Whose label.
        database: DatabaseId,
        /// What it wrote to.
        table: TableId,
        /// Its label.
        label: String,
        /// The data objects that it wrote.
        objects: Vec<String>,
        /// Rows that it wrote.
        rows: u64,
        /// When, milliseconds since 1970.
        committed_ms: u64,
    },
    /// Committed transactions of one table become visible, all together.
    Publish {
        /// Of which table.
        table: TableId,
        /// Which, in order of commit.
        txns: Vec<TxnId>,
        /// New versions; partitions that were dropped in the meantime are left out.
        partitions: Vec<PartitionVersion>,
        /// When, milliseconds since 1970.
        visible_ms: u64,
    },
    /// Visible transactions whose labels may be used again.
    ForgetTransactions {
        /// Which.
        txns: Vec<TxnId>,
    },
}

/// The next version of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionVersion {
    /// Which partition.
    pub partition: PartitionId,
    /// The visible version plus one.
    pub version: Version,
    /// Name of its metadata object, below the cluster's data prefix.
    pub metadata: String,
}
