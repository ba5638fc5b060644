//! Compute nodes as the catalog keeps them.

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// The warehouse of nodes that were added without one, and of sessions that chose none.
pub const DEFAULT_WAREHOUSE: &str = "default_warehouse";

/// A compute node that was added by `ALTER SYSTEM ADD COMPUTE NODE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeNode {
    /// Given when it was added; a node that is dropped and added again has a new one.
    pub id: NodeId,
    /// Host name or address, as it was added.
    pub host: String,
    /// Port of the heartbeat service, as it was added.
    pub heartbeat_port: u16,
    /// The warehouse whose statements it serves.
    pub warehouse: String,
}
