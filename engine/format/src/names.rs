//! Names of objects. Each has an epoch and a UUID in it, so that no name is ever written twice.

use springtide_model::{ClusterId, Epoch, PartitionId, TableId, TxnId, Version};
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// Name of the `CLUSTER` object below the storage prefix.
pub const CLUSTER: &str = "CLUSTER";

/// The cluster's data prefix, relative to the storage prefix; every other name here is relative to it. Without slashes.
#[must_use]
pub fn data_prefix(cluster: ClusterId) -> String {
    cluster.to_string()
}

/// Name of a data object. `partition` is the one whose rows it holds, `None` for rows of several.
#[must_use]
pub fn data_object(table: TableId, partition: Option<PartitionId>, epoch: Epoch, txn: TxnId, unique: Uuid) -> String {
    let partition = partition.map_or_else(|| "mixed".to_owned(), |partition| partition.to_string());
    format!(
        "data/{table}/{partition}/{:08x}-{:016x}-{}.seg",
        epoch.0,
        txn.0,
        unique.as_simple()
    )
}

/// Name of a partition metadata object.
#[must_use]
pub fn partition_metadata(partition: PartitionId, version: Version, epoch: Epoch, unique: Uuid) -> String {
    format!(
        "meta/{partition}/{:016x}-{:08x}-{}.meta",
        version.0,
        epoch.0,
        unique.as_simple()
    )
}

/// What the name of a data object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataObjectName {
    /// Whose rows it holds.
    pub table: TableId,
    /// `None` for rows of several partitions.
    pub partition: Option<PartitionId>,
    /// The timeline that wrote it.
    pub epoch: Epoch,
    /// The transaction that wrote it.
    pub txn: TxnId,
    /// What makes it unique.
    pub unique: Uuid,
}

impl DataObjectName {
    /// Reads a name; `None` for anything that [`data_object`] does not write.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("data/")?.strip_suffix(".seg")?.split('/');
        let (table, partition, file) = (parts.next()?, parts.next()?, parts.next()?);
        let mut fields = file.split('-');
        let (epoch, txn, unique) = (fields.next()?, fields.next()?, fields.next()?);
        let parsed = Self {
            table: TableId(table.parse().ok()?),
            partition: match partition {
                "mixed" => None,
                id => Some(PartitionId(id.parse().ok()?)),
            },
            epoch: Epoch(u64::from_str_radix(epoch, 16).ok()?),
            txn: TxnId(u64::from_str_radix(txn, 16).ok()?),
            unique: Uuid::try_parse(unique).ok()?,
        };
        // Writing it again refuses every other spelling: signs, upper case, missing zeros, further parts.
        (data_object(parsed.table, parsed.partition, parsed.epoch, parsed.txn, parsed.unique) == name).then_some(parsed)
    }
}
