//! Where rows are: segments, and the metadata of tablets and partitions that lists them.

use serde::{Deserialize, Serialize};

use crate::{Epoch, Literal, PartitionId, TabletId, Version};

/// A run of rows of one tablet: a whole Parquet file at an offset of an object, sorted by the table's key columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Name of the object below the cluster's data prefix; never written twice.
    pub object: String,
    /// First byte of the Parquet file in the object.
    pub offset: u64,
    /// Bytes of the Parquet file.
    pub length: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of the rows in memory (Arrow), a measure for planning.
    pub uncompressed_bytes: u64,
    /// Least and greatest value of the first key column; `None` when every value is `NULL` or the type has no order here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_range: Option<KeyRange>,
    /// The [`crate::TableSchema::schema_id`] of the rows.
    pub schema_id: u32,
    /// The timeline that wrote it.
    pub epoch: Epoch,
}

/// Least and greatest value, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Least value.
    pub min: Literal,
    /// Greatest value.
    pub max: Literal,
}

/// A tablet at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletMetadata {
    /// Which tablet.
    pub tablet: TabletId,
    /// Its segments, oldest first.
    pub segments: Vec<Segment>,
}

/// All tablets of a partition at one version: the content of one metadata object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMetadata {
    /// Which partition.
    pub partition: PartitionId,
    /// The version that this object makes visible.
    pub version: Version,
    /// The timeline that wrote it.
    pub epoch: Epoch,
    /// In bucket order.
    pub tablets: Vec<TabletMetadata>,
}

impl PartitionMetadata {
    /// Rows of all segments.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tablets
            .iter()
            .flat_map(|tablet| &tablet.segments)
            .map(|segment| segment.rows)
            .sum()
    }

    /// Bytes of all segments as stored.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.tablets
            .iter()
            .flat_map(|tablet| &tablet.segments)
            .map(|segment| segment.length)
            .sum()
    }
}
