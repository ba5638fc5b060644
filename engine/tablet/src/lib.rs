//! Rows in and out of tablets: the Arrow schema of a table, strict casts, routing to partition and bucket, the writer that
//! turns rows into data objects, and the reader of segments inside them.

pub mod bucket;
pub mod cast;
pub mod error;
pub mod partition;
pub mod reader;
pub mod types;
pub mod writer;

pub use bucket::BucketHasher;
pub use cast::cast_batch;
pub use error::{ErrorKind, ReadError, UNREADABLE, WriteError};
pub use partition::PartitionRouter;
pub use reader::{SegmentLocation, SegmentReaderFactory, SegmentReaderMetrics, SegmentReaderOptions};
pub use types::{arrow_schema, arrow_type, literal_of_scalar, model_type, original_name, scalar_of_literal};
pub use writer::{TabletWriter, WriterOptions};
