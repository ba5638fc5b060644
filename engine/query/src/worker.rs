//! The compute node's side: runs the stages that frontends and other nodes send.

use std::{
    future::Future,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use datafusion::{common::internal_datafusion_err, execution::runtime_env::RuntimeEnv};
use datafusion_distributed::{DistributedExt, Worker, WorkerQueryContext};
use futures::Stream;
use object_store::ObjectStore;
use springtide_tablet::{SegmentReaderOptions, WriterOptions};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tonic::transport::Server;

use crate::{
    channel::{ChannelOptions, Channels, Resolver, WorkerToken},
    codec::{LakeCodec, OLDEST_PLAN_VERSION, PLAN_VERSION},
    delivery::Delivery,
    error::QueryError,
    files::ExternalStores,
    resources::NodeResources,
    session::{SpillSpace, runtime_env},
    worker::layers::{ComputeLayer, PlanLayer, TokenLayer},
};

mod layers;

/// Bounds of a worker.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Asked of every caller, and shown to other workers.
    pub token: WorkerToken,
    /// Bytes that all queries together may use; operators that can, spill.
    pub memory_limit_bytes: usize,
    /// Bytes that one task of an insert may use, apart from the above.
    pub insert_memory_bytes: usize,
    /// Where queries spill; they do not when `None`.
    pub spill: Option<SpillSpace>,
    /// Threads that compute: the processor cores.
    pub compute_threads: usize,
    /// Whether `FILES` may read this machine's disk: only `standalone` may.
    pub local_files: bool,
    /// Bytes of footers that are kept.
    pub footer_cache_bytes: u64,
    /// Connections to other workers.
    pub channels: ChannelOptions,
    /// Time that running fragments have after the shutdown signal.
    pub shutdown_timeout: Duration,
    /// What `get_worker_info` answers: the engine's version.
    pub version: String,
    /// Versions of plans that are read; others are refused before anything of them is.
    pub plan_versions: RangeInclusive<u32>,
}

impl WorkerOptions {
    /// Defaults: 1 GiB for queries, 256 MiB per insert task, 2 threads, no local files, 30 s to shut down, and the plans that this release
    /// reads.
    #[must_use]
    pub fn new(token: WorkerToken) -> Self {
        Self {
            token,
            memory_limit_bytes: 1 << 30,
            insert_memory_bytes: 256 << 20,
            spill: None,
            compute_threads: 2,
            local_files: false,
            footer_cache_bytes: 64 << 20,
            channels: ChannelOptions::default(),
            shutdown_timeout: Duration::from_secs(30),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan_versions: OLDEST_PLAN_VERSION..=PLAN_VERSION,
        }
    }
}

/// Counters of a worker since its process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerMetrics {
    /// Rows that scans gave.
    pub scanned_rows: u64,
    /// Rows that inserts wrote.
    pub written_rows: u64,
    /// Reads of segments: byte ranges.
    pub segment_requests: u64,
    /// Reads of segments: bytes.
    pub segment_bytes: u64,
    /// Fragments that run.
    pub running_fragments: u64,
    /// Bytes that queries hold.
    pub memory_used_bytes: u64,
}

/// Runs stages. Queries compute on threads of their own, so that a busy node still answers pings and cancellations.
#[derive(Debug)]
pub struct WorkerService {
    options: WorkerOptions,
    resources: Arc<NodeResources>,
    runtime_env: Arc<RuntimeEnv>,
    fragments: Arc<AtomicU64>,
    compute: Option<Runtime>,
}

impl WorkerService {
    /// `store` is rooted at the cluster's data prefix. Starts the compute threads.
    ///
    /// # Errors
    /// When the spill folder cannot be used or threads cannot be started.
    pub fn new(store: Arc<dyn ObjectStore>, options: WorkerOptions) -> Result<Self, QueryError> {
        let runtime_env = runtime_env(&store, options.memory_limit_bytes, options.spill.clone())?;
        let reader = SegmentReaderOptions {
            footer_cache_bytes: options.footer_cache_bytes,
        };
        let writer = WriterOptions {
            memory_limit_bytes: options.insert_memory_bytes,
            encoders: options.compute_threads.max(1),
            ..WriterOptions::default()
        };
        let external = ExternalStores::new(options.local_files);
        let compute = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.compute_threads.max(1))
            .thread_name("compute")
            .enable_all()
            .build()
            .map_err(|error| QueryError::Internal(format!("cannot start compute threads: {error}")))?;
        Ok(Self {
            resources: Arc::new(NodeResources::new(store, &reader, writer, external)),
            runtime_env,
            fragments: Arc::default(),
            compute: Some(compute),
            options,
        })
    }

    /// Fragments that run or whose answers are not yet fetched: zero when the node may leave.
    #[must_use]
    pub fn running_fragments(&self) -> u64 {
        self.fragments.load(Ordering::Relaxed)
    }

    /// Versions of plans that are read here.
    #[must_use]
    pub fn plan_versions(&self) -> &RangeInclusive<u32> {
        &self.options.plan_versions
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> WorkerMetrics {
        let segments = self.resources.segments.metrics();
        WorkerMetrics {
            scanned_rows: self.resources.scanned_rows(),
            written_rows: self.resources.written_rows(),
            segment_requests: segments.requests(),
            segment_bytes: segments.bytes(),
            running_fragments: self.running_fragments(),
            memory_used_bytes: self.runtime_env.memory_pool.reserved() as u64,
        }
    }

    /// Threads for heavy work of this process that is not a query (decoding a load, say).
    ///
    /// # Errors
    /// None while the service lives; the type allows for its end.
    pub fn compute(&self) -> Result<&tokio::runtime::Handle, QueryError> {
        self.compute
            .as_ref()
            .map(Runtime::handle)
            .ok_or_else(|| QueryError::Internal("the compute threads have ended".to_owned()))
    }

    /// Serves until `shutdown` is ready; then takes no new connection and waits for running fragments, at most
    /// [`WorkerOptions::shutdown_timeout`]. Network work is done by the runtime that polls this.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), QueryError> {
        let address = listener.local_addr().ok();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = Server::builder()
            .http2_keepalive_interval(Some(self.options.channels.keep_alive_interval))
            .http2_keepalive_timeout(Some(self.options.channels.keep_alive_timeout))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .layer(TokenLayer::new(self.options.token.clone()))
            .layer(PlanLayer::new(self.options.plan_versions.clone()))
            .layer(ComputeLayer::new(self.compute()?.clone(), Arc::clone(&self.fragments)))
            .add_service(self.worker().into_worker_server())
            .serve_with_incoming_shutdown(connections(listener), async {
                // Whether it is a signal or the sender is gone makes no difference.
                let _ = stopped.await;
            });
        let failed = |error: tonic::transport::Error| {
            QueryError::Internal(format!("cannot serve workers at {}: {error}", shown(address)))
        };
        tokio::pin!(server, shutdown);
        tokio::select! {
            ended = &mut server => return ended.map_err(failed),
            () = &mut shutdown => {}
        }
        let _ = stop.send(());
        match tokio::time::timeout(self.options.shutdown_timeout, server).await {
            Ok(ended) => ended.map_err(failed),
            Err(_) => {
                tracing::warn!(
                    fragments = self.running_fragments(),
                    "fragments are cut off at shutdown"
                );
                Ok(())
            }
        }
    }

    fn worker(&self) -> Worker {
        let resources = Arc::clone(&self.resources);
        let network = tokio::runtime::Handle::try_current().ok();
        // A worker's calls to other workers do not inherit the coordinator's connections: it has its own.
        let channels = Channels::new(self.options.token.clone(), self.options.channels.clone(), network);
        let resolver = Resolver::new(Arc::new(channels), Delivery::default());
        Worker::from_session_builder(move |context: WorkerQueryContext| {
            let (resources, resolver) = (Arc::clone(&resources), resolver.clone());
            async move {
                let mut builder = context.builder;
                let config = builder
                    .config()
                    .take()
                    .ok_or_else(|| internal_datafusion_err!("a worker's session has no config"))?
                    .with_extension(resources);
                Ok(builder
                    .with_config(config)
                    .with_distributed_user_codec(LakeCodec)
                    .with_distributed_channel_resolver(resolver)
                    .build())
            }
        })
        .with_runtime_env(Arc::clone(&self.runtime_env))
        .with_version(self.options.version.clone())
    }
}

impl Drop for WorkerService {
    fn drop(&mut self) {
        if let Some(compute) = self.compute.take() {
            // Waiting for its threads is not allowed inside another runtime.
            compute.shutdown_background();
        }
    }
}

/// The connections that `listener` accepts. After a failure (too many open files, mostly) it waits: tonic would ask again at
/// once, and keep the thread from everything else.
fn connections(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    futures::stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection was gone before it began");
                    }
                    return Some((Ok(stream), listener));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    })
}

/// Wait before accepting again after a failure to accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}
