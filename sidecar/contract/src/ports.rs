//! The ports of every process, with StarRocks' numbers where StarRocks has the same port.

/// FE: MySQL protocol.
pub const FE_MYSQL: u16 = 9030;
/// FE: HTTP for people and tools: health, metrics, Stream Load.
pub const FE_HTTP: u16 = 8030;
/// FE: calls of compute nodes; needs the cluster token.
pub const FE_RPC: u16 = 9020;
/// FE: the journal's replication; named in `SHOW FRONTENDS`, reserved until there are followers.
pub const FE_EDIT_LOG: u16 = 9010;

/// CN: HTTP for people and tools: health, metrics, Stream Load.
pub const CN_HTTP: u16 = 8040;
/// CN: heartbeat, ingest and drain; needs the cluster token. This is the port in `ALTER SYSTEM ADD COMPUTE NODE "host:9050"`.
pub const CN_HEARTBEAT: u16 = 9050;
/// CN: gRPC of distributed queries; needs the cluster token.
pub const CN_WORKER: u16 = 9060;

/// The drain sidecar's port in a CN pod, target of the engine container's `preStop` hook.
pub const SIDECAR_DRAIN: u16 = 9180;

/// The operator: Prometheus metrics.
pub const OPERATOR_METRICS: u16 = 8080;
/// The operator: liveness and readiness.
pub const OPERATOR_HEALTH: u16 = 8081;
