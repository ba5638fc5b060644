//! The messages, all JSON but for rows, which travel as an Arrow IPC stream.
//!
//! The two sides are of different releases while a cluster is upgraded. A field may be added at any time: it has a default for those who
//! do not send it, and who does not know it passes over it. Everything else needs a new [`PROTOCOL_VERSION`].

use std::fmt;

use serde::{Deserialize, Serialize};
use springtide_model::{ClusterId, DataObject, Epoch, LoadTarget, NodeId, TxnId};

#[cfg(test)]
mod tests;

/// Version of these messages that this code speaks. The newer side knows both versions, and speaks the older one's.
pub const PROTOCOL_VERSION: u32 = 1;
/// The oldest version that this code understands.
pub const OLDEST_PROTOCOL_VERSION: u32 = 1;
/// What those speak who do not say it: the releases that did not had no other version.
const UNSAID_VERSION: u32 = 1;

/// CN heartbeat port, `POST`: body [`HeartbeatRequest`], answer [`HeartbeatReply`].
pub const HEARTBEAT: &str = "/internal/v1/heartbeat";
/// CN heartbeat port, `POST`: write rows. The body is one line of JSON ([`IngestRequest`]), a newline, then an Arrow IPC stream whose columns
/// are the target's, in order. Answer [`IngestReply`].
pub const INGEST: &str = "/internal/v1/ingest";
/// FE RPC port, `POST`: body [`BeginLoadRequest`], answer [`BeginLoadReply`].
pub const BEGIN_LOAD: &str = "/internal/v1/load/begin";
/// FE RPC port, `POST`: body [`CommitLoadRequest`], answer [`CommitLoadReply`].
pub const COMMIT_LOAD: &str = "/internal/v1/load/commit";
/// FE RPC port, `POST`: body [`AbortLoadRequest`], answer `{}`; idempotent.
pub const ABORT_LOAD: &str = "/internal/v1/load/abort";

/// Name in the query of a Stream Load's URL: by its value, a number, a frontend knows the clients again that it redirected to a node.
pub const REDIRECT_PARAMETER: &str = "redirect";

/// Who asks, and under which timeline. A node refuses a lower epoch than it has seen, and another cluster's id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// The frontend's cluster.
    pub cluster_id: ClusterId,
    /// The frontend's timeline.
    pub epoch: Epoch,
    /// The node's id in the catalog.
    pub node_id: NodeId,
    /// Base URL of the frontend's RPC port, for loads that this node begins.
    pub frontend_rpc_url: String,
    /// Whether the frontend knows by the node's own word that it drains, and so sends it nothing new.
    #[serde(default)]
    pub known_draining: bool,
    /// Whether the frontend sends it nothing new, and nothing that was sent there or may be is on its way any more.
    #[serde(default)]
    pub settled: bool,
    /// Whether nobody waits any more for what runs there.
    #[serde(default)]
    pub cut_off: bool,
    /// [`PROTOCOL_VERSION`] of the frontend.
    #[serde(default = "unsaid_version")]
    pub protocol: u32,
}

/// What a compute node says about itself at each heartbeat. Ports are on the host that the heartbeat was sent to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Engine version.
    pub version: String,
    /// When the process started, milliseconds since 1970.
    pub start_time_ms: u64,
    /// `true` while the node drains: it takes nothing new.
    pub draining: bool,
    /// Port of HTTP (Stream Load, metrics).
    pub http_port: u16,
    /// Port of gRPC (distributed queries).
    pub worker_port: u16,
    /// Processor cores that the node may use.
    pub cpu_cores: u32,
    /// Bytes of memory that queries and loads may use.
    pub memory_limit_bytes: u64,
    /// Bytes in use.
    pub memory_used_bytes: u64,
    /// Query fragments that run.
    pub running_fragments: u64,
    /// Loads that run.
    pub running_loads: u64,
    /// Seconds after which a drain of this node cuts off what still runs; nothing may be begun here that takes longer. 0 bounds nothing.
    #[serde(default)]
    pub drain_timeout_s: u64,
    /// [`PROTOCOL_VERSION`] of the node.
    #[serde(default = "unsaid_version")]
    pub protocol: u32,
    /// Which plans the node reads.
    #[serde(default)]
    pub plans: PlanVersions,
}

/// Versions of the physical plans that a compute node reads, from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanVersions {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl PlanVersions {
    /// Whether plans of this version are read.
    #[must_use]
    pub fn reads(self, version: u32) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }
}

/// Of a node that does not say it: the releases that did not read the first version alone.
impl Default for PlanVersions {
    fn default() -> Self {
        Self {
            oldest: UNSAID_VERSION,
            newest: UNSAID_VERSION,
        }
    }
}

impl fmt::Display for PlanVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "versions {} to {}", self.oldest, self.newest)
    }
}

fn unsaid_version() -> u32 {
    UNSAID_VERSION
}

/// Whether this code understands one that speaks `version` of these messages. One that is newer has to understand this code.
#[must_use]
pub fn understands(version: u32) -> bool {
    version >= OLDEST_PROTOCOL_VERSION
}

/// Head of an [`INGEST`] body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IngestRequest {
    /// Where the rows go.
    pub target: LoadTarget,
}

/// Answer of [`INGEST`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IngestReply {
    /// What was written; nothing of it is visible before the commit.
    pub objects: Vec<DataObject>,
    /// Rows written.
    pub rows: u64,
}

/// A compute node begins a Stream Load in a client's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BeginLoadRequest {
    /// Database by name.
    pub database: String,
    /// Table by name.
    pub table: String,
    /// The client's label: the same label is loaded at most once per database.
    pub label: String,
    /// The client's user name.
    pub user: String,
    /// The client's password; never logged.
    pub password: Secret,
    /// The client's address, for the audit.
    pub client_ip: String,
    /// Seconds until the transaction is aborted.
    pub timeout_s: u64,
    /// The [`REDIRECT_PARAMETER`] of the client's request, if a frontend sent it here.
    #[serde(default)]
    pub redirect: Option<u64>,
    /// Who begins it: with this process the load ends. A node of an earlier version does not say.
    #[serde(default)]
    pub process: Option<NodeProcess>,
}

/// One process of a compute node, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProcess {
    /// The node's id in the frontend's catalog.
    pub node: NodeId,
    /// [`HeartbeatReply::start_time_ms`] of the process.
    pub start_time_ms: u64,
}

/// What to tell, behind the status, a client whose label was used before: a load that has not ended may fail yet.
#[must_use]
pub fn label_advice(existing_job_status: &str) -> &'static str {
    match existing_job_status {
        "RUNNING" => "; repeat in a moment: it counts once",
        _ => "",
    }
}

/// Answer of [`BEGIN_LOAD`]. Tagged from outside: serde reads 128-bit integers (bounds of partitions) only there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeginLoadReply {
    /// Write to `target`, then commit or abort.
    Begun {
        /// Where the rows go.
        target: LoadTarget,
    },
    /// The label was used before; nothing is to be written.
    LabelAlreadyExists {
        /// The transaction that has it.
        txn: TxnId,
        /// `RUNNING`, or `FINISHED` when it is visible.
        existing_job_status: String,
    },
    /// The user or the password is wrong, or the user may not load.
    AccessDenied {
        /// For the client.
        message: String,
    },
    /// Unknown database or table and the like.
    Refused {
        /// For the client.
        message: String,
    },
}

/// A load is complete: all its objects are on the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommitLoadRequest {
    /// Which transaction.
    pub txn: TxnId,
    /// All that it wrote; empty commits nothing but the label.
    pub objects: Vec<DataObject>,
    /// Seconds to wait for the new version to be visible.
    pub publish_timeout_s: u64,
}

/// Answer of [`COMMIT_LOAD`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum CommitLoadReply {
    /// Committed and visible.
    Visible,
    /// Committed: will be visible, but was not within the time.
    PublishTimeout,
    /// The transaction is gone or was aborted; nothing of it will be visible.
    Refused {
        /// For the client.
        message: String,
    },
}

/// A load failed: nothing of it is to be visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AbortLoadRequest {
    /// Which transaction.
    pub txn: TxnId,
    /// Why, for `SHOW LOAD` and the audit.
    pub reason: String,
}

/// A password on its way: `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
