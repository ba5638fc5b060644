//! The engine's configuration: written by the operator as one JSON file, read by FE, CN and `standalone`.

use serde::{Deserialize, Serialize};

/// Everything an engine process is told by file. Secrets are never in it: they are mounted beside it (see [`crate::paths`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineConfig {
    /// Version of this document; an engine refuses a newer one.
    pub format_version: u32,
    /// Name of the cluster, for people; `namespace/name` on Kubernetes.
    pub cluster_name: String,
    /// Identity of the cluster: a lower-case UUID, made once.
    pub cluster_id: String,
    /// Where all table data lives.
    pub storage: StorageConfig,
    /// Settings of frontends.
    #[serde(default)]
    pub frontend: FrontendConfig,
    /// Settings of compute nodes.
    #[serde(default)]
    pub compute: ComputeConfig,
    /// Whether the MySQL port offers TLS from the files in [`crate::paths::TLS`].
    #[serde(default)]
    pub tls: bool,
}

/// The newest [`EngineConfig::format_version`] that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// An S3 bucket and prefix, or a local directory (`standalone` only).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type", deny_unknown_fields)]
pub enum StorageConfig {
    /// An S3-compatible store.
    #[serde(rename_all = "camelCase")]
    S3 {
        /// Bucket name.
        bucket: String,
        /// Key prefix without leading or trailing slash; may be empty.
        #[serde(default)]
        prefix: String,
        /// URL of an S3-compatible server; `None` is AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Region, `us-east-1` where the server has none.
        region: String,
        /// Bucket in the path instead of in the host name.
        #[serde(default)]
        path_style: bool,
    },
    /// A directory of this machine.
    #[serde(rename_all = "camelCase")]
    Directory {
        /// Absolute path.
        path: String,
    },
}

/// Settings of frontends; each has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FrontendConfig {
    /// Milliseconds between two heartbeats to a compute node.
    pub heartbeat_interval_ms: u64,
    /// Heartbeats that may fail in a row before a node counts as not alive.
    pub heartbeat_retry_times: u32,
    /// Seconds a statement may run; 0 is no limit.
    pub query_timeout_s: u64,
    /// Bytes of a result that are held back so that a lost compute node can be hidden by one retry.
    pub result_hold_bytes: u64,
    /// Client connections at once; one more is refused with error 1040.
    pub max_connections: u32,
    /// Journal records after which a new image is written.
    pub image_every_records: u64,
}

impl Default for FrontendConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 500,
            heartbeat_retry_times: 3,
            query_timeout_s: 300,
            result_hold_bytes: 4 << 20,
            max_connections: 1024,
            image_every_records: 50_000,
        }
    }
}

/// Settings of compute nodes; each has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ComputeConfig {
    /// Bytes that queries and loads may use together; 0 takes 75 % of the container's limit.
    pub memory_limit_bytes: u64,
    /// Bytes of the local volume that the engine may use; 0 takes 85 % of the volume.
    pub local_limit_bytes: u64,
    /// Seconds that a draining node waits for what runs on it. No statement and no load may take longer; 0 bounds nothing.
    pub drain_timeout_s: u64,
}

/// Why an engine process refused to start: one JSON line in [`crate::paths::TERMINATION_LOG`], which the operator turns into
/// a condition of the LakeCluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Which rule refused.
    pub reason: RefusalReason,
    /// What a person should know and do.
    pub message: String,
}

/// The rules by which an engine refuses to start. Names are condition reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The configuration file is missing, malformed or of a newer version.
    ConfigInvalid,
    /// The bucket does not exist.
    BucketNotFound,
    /// The store refused the credentials.
    StorageAccessDenied,
    /// The store cannot be reached.
    StorageUnreachable,
    /// The store does not honour conditional writes, so two writers could not be told apart.
    StoreUnsafe,
    /// The prefix belongs to another cluster.
    ForeignCluster,
    /// The journal or image is damaged in a place that cannot be cut off.
    MetadataCorrupt,
    /// The metadata was written by a newer engine.
    MetadataTooNew,
    /// A mounted secret is missing or empty.
    SecretMissing,
    /// The data prefix is this cluster's, and there is no local metadata, or metadata of an older timeline.
    MetadataLost,
    /// Another process holds the metadata volume.
    MetadataInUse,
    /// The metadata volume cannot be read or written.
    MetadataUnavailable,
    /// The metadata says that the data prefix was claimed, and the `CLUSTER` object is not there.
    DataLost,
}
