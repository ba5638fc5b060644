//! Identifiers. Each is its own type, so that a table's id is never taken for a tablet's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

id!(
    /// A database. One sequence of the catalog hands out the ids of databases, tables, partitions, tablets and nodes.
    DatabaseId
);
id!(
    /// A table.
    TableId
);
id!(
    /// A partition of a table; an unpartitioned table has one.
    PartitionId
);
id!(
    /// A hash bucket of a partition.
    TabletId
);
id!(
    /// A transaction; has a sequence of its own.
    TxnId
);
id!(
    /// A compute node, as `SHOW COMPUTE NODES` names it. Adding the same host again gives a new id.
    NodeId
);
id!(
    /// The visible version of a partition; 1 is the empty partition.
    Version
);
id!(
    /// The timeline of the metadata: 1 at bootstrap, one more after each restore.
    Epoch
);

impl Version {
    /// The version of a partition that was just made.
    pub const INITIAL: Version = Version(1);

    /// The version that follows.
    #[must_use]
    pub fn next(self) -> Version {
        Version(self.0 + 1)
    }
}

/// Identity of a cluster, made once and kept in the data prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub uuid::Uuid);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}
