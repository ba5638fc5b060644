//! The nouns of the engine: ids, column types, schemas, segments, tablets, transactions.
//! Pure values; every other engine crate speaks in them.

pub mod ids;
pub mod node;
pub mod schema;
pub mod segment;
pub mod transaction;

pub use ids::{ClusterId, DatabaseId, Epoch, NodeId, PartitionId, TableId, TabletId, TxnId, Version};
pub use node::{ComputeNode, DEFAULT_WAREHOUSE};
pub use schema::{Column, DataType, Distribution, Literal, PartitionBound, PartitionRange, TableSchema};
pub use segment::{KeyRange, PartitionMetadata, Segment, TabletMetadata};
pub use transaction::{DataObject, LoadTarget, TabletWrite, TargetPartition};
