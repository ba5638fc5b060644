//! Bytes on the object store: names, the trailer of data objects, partition metadata objects, the `CLUSTER` object. See
//! `RFC.md`. Pure: nothing here reads or writes a store.

pub mod cluster;
pub mod error;
pub mod metadata;
pub mod names;
pub mod trailer;

pub use cluster::ClusterObject;
pub use error::FormatError;
pub use metadata::{decode_partition_metadata, encode_partition_metadata};
pub use trailer::{SUFFIX_BYTES, decode_trailer, encode_trailer};

/// The newest format version that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;
