//! Puts the doors together and runs them until it is told to stop.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use object_store::ObjectStore;
use springtide_cache::{CacheOptions, CachingStore};
use springtide_contract::{
    config::ComputeConfig,
    drain::{longest_commit, longest_work},
};
use springtide_model::ClusterId;
use springtide_query::{WorkerOptions, WorkerService, WorkerToken, limits};
use springtide_rpc::{ClusterToken, RpcClient};
use springtide_tablet::WriterOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    door::{self, Door},
    drain::Node,
    internal::{self, Identity, Internal},
    local::LocalVolume,
    metrics::Metrics,
    stream_load::Loader,
};

/// Parts of the memory limit, of which queries together take half,
const MEMORY_PARTS: u64 = 8;
const QUERY_PARTS: u64 = 4;
/// blocks of objects that were read take one,
const CACHE_PARTS: u64 = 1;
/// and one load, or one task of an insert, takes one: so that loads leave room for queries and for each other.
const LOAD_PARTS: u64 = 1;
/// Time for open connections to end once the process was told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a compute node needs. Listeners come bound, so that a port that is taken fails before anything runs.
#[derive(Debug)]
pub struct ComputeNodeOptions {
    /// The cluster that this node belongs to.
    pub cluster_id: ClusterId,
    /// Settings.
    pub config: ComputeConfig,
    /// The cluster's data prefix.
    pub store: Arc<dyn ObjectStore>,
    /// The cluster token.
    pub token: ClusterToken,
    /// Directory for spill and for bodies that must be whole before they are read. Made when missing.
    pub local_directory: PathBuf,
    /// HTTP: Stream Load, health, metrics.
    pub http: TcpListener,
    /// Heartbeat, ingest, drain.
    pub heartbeat: TcpListener,
    /// gRPC of distributed queries.
    pub worker: TcpListener,
    /// Engine version, for `SHOW COMPUTE NODES`.
    pub version: String,
    /// Ends [`run`].
    pub shutdown: CancellationToken,
    /// Whether `FILES` may read this machine's disk: only `standalone` may.
    pub local_files: bool,
}

/// Why a compute node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ComputeNodeError {
    /// The local directory cannot be made or written.
    #[error("cannot use the local directory {path}: {source}")]
    Local {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A port failed.
    #[error("cannot serve {what}: {source}")]
    Serve {
        /// Which port.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The client for calls to the frontend cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// The query service failed.
    #[error("query service: {0}")]
    Worker(String),
}

/// Runs a compute node until `shutdown`.
///
/// # Errors
/// See [`ComputeNodeError`].
pub async fn run(options: ComputeNodeOptions) -> Result<(), ComputeNodeError> {
    let ComputeNodeOptions {
        cluster_id,
        config,
        store,
        token,
        local_directory,
        http,
        heartbeat,
        worker: worker_listener,
        version,
        shutdown,
        local_files,
    } = options;
    let local = |source| ComputeNodeError::Local {
        path: local_directory.clone(),
        source,
    };
    let volume = LocalVolume::open(&local_directory, config.local_limit_bytes).map_err(local)?;
    let memory_limit_bytes = limits::worker_memory_bytes(config.memory_limit_bytes);
    let port = |listener: &TcpListener, what| {
        listener
            .local_addr()
            .map(|address| address.port())
            .map_err(|source| ComputeNodeError::Serve { what, source })
    };
    let identity = Identity {
        version,
        start_time_ms: Identity::now_ms(),
        http_port: port(&http, "http")?,
        worker_port: port(&worker_listener, "worker")?,
        cpu_cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_limit_bytes,
        drain_timeout_s: config.drain_timeout_s,
    };
    tracing::info!(
        %cluster_id, http = identity.http_port, worker = identity.worker_port, memory_limit_bytes, "compute node starts"
    );
    let node = Node::new(cluster_id);
    let parts = |parts| usize::try_from(memory_limit_bytes / MEMORY_PARTS * parts).unwrap_or(usize::MAX);
    let cache = CacheOptions {
        memory_bytes: parts(CACHE_PARTS) as u64,
        ..CacheOptions::default()
    };
    let cached: Arc<dyn ObjectStore> = Arc::new(CachingStore::new(Arc::clone(&store), &cache));
    let (shown, accepted) = (token.clone(), token.clone());
    let worker_token = WorkerToken::following(move || shown.header(), move |header| accepted.accepts(header))
        .ok_or_else(|| ComputeNodeError::Worker("the cluster token cannot stand in a header".to_owned()))?;
    let worker_options = WorkerOptions {
        memory_limit_bytes: parts(QUERY_PARTS),
        insert_memory_bytes: parts(LOAD_PARTS),
        spill: Some(volume.spill()),
        compute_threads: identity.cpu_cores as usize,
        local_files,
        shutdown_timeout: STOP_TIMEOUT,
        version: identity.version.clone(),
        ..WorkerOptions::new(worker_token)
    };
    let worker =
        WorkerService::new(cached, worker_options).map_err(|error| ComputeNodeError::Worker(error.to_string()))?;
    let worker = Arc::new(worker);
    let drain_timeout = Duration::from_secs(config.drain_timeout_s);
    let loader = Loader {
        node: node.clone(),
        start_time_ms: identity.start_time_ms,
        rpc: RpcClient::new(token.clone()).map_err(|error| ComputeNodeError::Client(error.to_string()))?,
        store,
        writer: WriterOptions {
            memory_limit_bytes: parts(LOAD_PARTS),
            ..WriterOptions::default()
        },
        volume,
        longest: longest_work(drain_timeout).unwrap_or(Duration::MAX),
        longest_commit: longest_commit(drain_timeout).unwrap_or(Duration::MAX),
        metrics: Metrics::new(),
    };
    let internal = Internal {
        node,
        identity: Arc::new(identity),
        worker: Arc::clone(&worker),
        loader: loader.clone(),
    };
    let internal = internal::router(internal, token).into_make_service();
    let door = door::router(Door {
        loader,
        worker: Arc::clone(&worker),
    });
    let door = door.into_make_service_with_connect_info::<SocketAddr>();

    let stop = || shutdown.clone().cancelled_owned();
    let serve_internal = axum::serve(heartbeat, internal).with_graceful_shutdown(stop());
    let serve_door = axum::serve(http, door).with_graceful_shutdown(stop());
    let serving = async {
        tokio::try_join!(
            async {
                serve_internal.await.map_err(|source| ComputeNodeError::Serve {
                    what: "heartbeat",
                    source,
                })
            },
            async {
                serve_door
                    .await
                    .map_err(|source| ComputeNodeError::Serve { what: "http", source })
            },
            async {
                worker
                    .serve(worker_listener, stop())
                    .await
                    .map_err(|e| ComputeNodeError::Worker(e.to_string()))
            },
        )
    };
    let stopped = async {
        shutdown.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => served.map(|_| ()),
        () = stopped => {
            tracing::warn!(?STOP_TIMEOUT, "connections are still open; stopping all the same");
            Ok(())
        }
    }
}
