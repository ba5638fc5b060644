//! Where a write goes, and what it leaves behind for the commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{DatabaseId, Epoch, PartitionId, PartitionRange, Segment, TableId, TableSchema, TabletId, TxnId};

/// The table that a load writes to, as it was when the load began: all a writer needs, so that it never asks the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadTarget {
    /// Whose transaction.
    pub txn: TxnId,
    /// Epoch that goes into object names and segments.
    pub epoch: Epoch,
    /// Database of the table.
    pub database: DatabaseId,
    /// The table.
    pub table: TableId,
    /// Its name, for messages.
    pub table_name: String,
    /// Its columns and distribution.
    pub schema: Arc<TableSchema>,
    /// Its partitions in order of range.
    pub partitions: Vec<TargetPartition>,
}

/// A partition that rows may go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPartition {
    /// Which partition.
    pub id: PartitionId,
    /// Its name, for messages.
    pub name: String,
    /// Its range; `None` takes every row.
    pub range: Option<PartitionRange>,
    /// Tablets in bucket order; as many as the schema's buckets.
    pub tablets: Vec<TabletId>,
}

/// One object that a load wrote: segments of many tablets of one table, and the same list again in the object's trailer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataObject {
    /// Name of the object below the cluster's data prefix.
    pub name: String,
    /// Bytes of the whole object, trailer included.
    pub size: u64,
    /// What it holds, in order of offset.
    pub writes: Vec<TabletWrite>,
}

impl DataObject {
    /// Rows of all segments.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.writes.iter().map(|write| write.segment.rows).sum()
    }
}

/// A segment and the tablet that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletWrite {
    /// Which partition.
    pub partition: PartitionId,
    /// Which tablet.
    pub tablet: TabletId,
    /// The rows.
    pub segment: Segment,
}
