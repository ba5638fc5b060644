//! Queries: plans statements over the tables of a catalog, runs them on compute nodes, writes what `INSERT … SELECT` gives.

pub mod catalog;
pub mod channel;
pub mod codec;
mod delivery;
pub mod error;
pub mod files;
pub mod limits;
pub mod placement;
pub mod resources;
pub mod scan;
pub mod session;
pub mod sink;
pub mod snapshot;
pub mod statement;
pub mod table;
mod turns;
pub mod worker;

pub use channel::{ChannelOptions, WorkerToken};
pub use codec::{OLDEST_PLAN_VERSION, PLAN_VERSION};
pub use error::{QueryError, QueryErrorKind};
pub use session::{
    Collected, Coordinator, CoordinatorOptions, InsertOutcome, QueryPlan, QuerySession, QueryStream, SessionRequest,
    SessionSettings, SpillSpace,
};
pub use snapshot::{SnapshotPartition, SourceTable, TableSnapshot, TableSource};
pub use worker::{WorkerMetrics, WorkerOptions, WorkerService};
