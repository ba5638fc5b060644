//! The compute node: runs fragments of distributed queries, writes rows to the store, and takes Stream Loads.
//! It keeps nothing that matters: every byte it owns may vanish with it.

mod door;
mod drain;
mod ingest;
mod internal;
mod local;
mod metrics;
mod server;
mod stream_load;

pub use drain::Node;
pub use server::{ComputeNodeError, ComputeNodeOptions, run};
