//! Puts the frontend together and runs it until it is told to stop.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use object_store::ObjectStore;
use springtide_catalog::Edit;
use springtide_contract::config::{EngineConfig, Refusal};
use springtide_mysql::{ConnectionLimit, ConnectionRegistry, ServerOptions, TlsConfigSource};
use springtide_query::{Coordinator, CoordinatorOptions, QueryError, WorkerToken, limits};
use springtide_rpc::{ClusterToken, RpcClient};
use tokio::{net::TcpListener, sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    core::{Core, CoreParts, Dirs, SystemClock, local_journal},
    doors::{CoreSlot, serve_http, serve_rpc},
    front::{Front, FrontOptions, Ports, SERVER_VERSION},
};

mod underway;

use underway::Underway;

/// Time that statements have to end by themselves once nothing more may be acknowledged: the next process is to serve soon.
const FAILURE_GRACE: Duration = Duration::from_secs(5);
/// Time between two looks at what runs while the frontend stops.
const LOOK: Duration = Duration::from_millis(100);

/// The certificate of the MySQL port, which may be renewed while the frontend runs.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What the next connection is shown. One that is open goes on with what it was shown.
    pub current: TlsConfigSource,
    /// Until when that is good, in seconds since 1970; `None` where it is not known.
    pub not_after: watch::Receiver<Option<i64>>,
}

/// What a frontend needs. Listeners come bound, so that a port that is taken fails before anything runs.
pub struct FrontendOptions {
    /// Settings of the cluster and of frontends.
    pub config: EngineConfig,
    /// Where its files are.
    pub dirs: Dirs,
    /// The object store at the configured prefix, where the `CLUSTER` object is.
    pub store: Arc<dyn ObjectStore>,
    /// The cluster token.
    pub token: ClusterToken,
    /// Host name or address under which clients and compute nodes reach this frontend.
    pub advertised_host: String,
    /// MySQL protocol.
    pub mysql: TcpListener,
    /// HTTP: health, metrics, Stream Load.
    pub http: TcpListener,
    /// Calls of compute nodes.
    pub rpc: TcpListener,
    /// Certificate of the MySQL port; none offers no TLS.
    pub tls: Option<Tls>,
    /// Whether `FILES` may read this machine's disk: only `standalone` may.
    pub local_files: bool,
    /// Whether statements are kept in the audit table.
    pub audit: bool,
    /// The one compute node there is, by its heartbeat address: `standalone` takes a new port at each start, so that every
    /// other node of the catalog is dropped. `None` leaves nodes to `ALTER SYSTEM`.
    pub sole_compute_node: Option<SocketAddr>,
    /// Time that statements and loads have to end by themselves after `shutdown`; they are ended then.
    pub stop_grace: Duration,
    /// How much of [`Self::stop_grace`] may go by before nothing new is taken, while something runs that ran at `shutdown`: clients of the
    /// only frontend would be kept out for longer, and nothing would end earlier. Zero where somebody waits for the process to end.
    pub lame_duck: Duration,
    /// Ends [`run`]: what runs has [`Self::stop_grace`].
    pub shutdown: CancellationToken,
}

impl fmt::Debug for FrontendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontendOptions")
            .field("advertised_host", &self.advertised_host)
            .field("dirs", &self.dirs)
            .finish_non_exhaustive()
    }
}

/// Why a frontend cannot run, or has ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// It refuses to start, for a reason that the operator shows.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// A port failed.
    #[error("cannot serve {what}: {source}")]
    Serve {
        /// Which port.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The client for calls to compute nodes cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// The query engine cannot be made.
    #[error("cannot start the query engine: {0}")]
    Query(#[from] QueryError),
    /// Nothing more may be acknowledged: the journal failed. A restart reads what is on disk.
    #[error("the frontend must restart: {0}")]
    Failed(String),
}

/// Runs a frontend until `shutdown` or a failure of the journal. HTTP and RPC answer from the beginning, that they are not
/// ready yet; MySQL is opened when the catalog is there.
///
/// ```text
/// shutdown ──► what runs now ends, for `lame_duck` at most                 everything is taken as before
///         ──► MySQL and HTTP take no connection, RPC begins no load
///              statements and loads end, or are ended after the grace     heartbeats, commits and publishes go on
///         ──► audit written ──► journal closed ──► RPC closed
/// ```
///
/// # Errors
/// See [`FrontendError`].
pub async fn run(options: FrontendOptions) -> Result<(), FrontendError> {
    let FrontendOptions {
        config,
        dirs,
        store,
        token,
        advertised_host,
        mysql,
        http,
        rpc,
        tls,
        local_files,
        audit,
        sole_compute_node,
        stop_grace,
        lame_duck,
        shutdown,
    } = options;
    let ports = Ports {
        mysql: port(&mysql, "MySQL")?,
        http: port(&http, "HTTP")?,
        rpc: port(&rpc, "RPC")?,
    };
    let client = RpcClient::new(token.clone()).map_err(|error| FrontendError::Client(error.to_string()))?;
    // From here on nothing new is taken. Ends everything when one part fails, too.
    let stop = CancellationToken::new();
    // What was taken before has come to its end.
    let ended = CancellationToken::new();
    let slot = CoreSlot::until(stop.clone());
    let doors = async {
        let served = tokio::try_join!(
            serve_http(slot.clone(), http, ended.clone()),
            serve_rpc(slot.clone(), token.clone(), rpc, ended.clone()),
        );
        stop.cancel();
        served.map(|_| ()).map_err(|source| FrontendError::Serve {
            what: "HTTP and RPC",
            source,
        })
    };
    let statements = async {
        let parts = CoreParts {
            config,
            dirs,
            store,
            rpc: client.clone(),
            rpc_url: rpc_url(&advertised_host, ports.rpc),
            clock: Arc::new(SystemClock),
            journal: local_journal(),
        };
        let served = match Core::open(parts).await {
            Ok(core) => {
                let served = async {
                    if let Some(node) = sole_compute_node {
                        keep_only(&core, node).await?;
                    }
                    let tls = tls.map(|tls| {
                        core.metrics().certificate_expiry.follow(tls.not_after);
                        tls.current
                    });
                    slot.fill(core.clone());
                    let options = FrontOptions {
                        advertised_host,
                        ports,
                        audit,
                    };
                    serve_mysql(
                        &core,
                        client,
                        &token,
                        mysql,
                        tls,
                        local_files,
                        options,
                        &Stopping {
                            shutdown,
                            lame_duck,
                            grace: stop_grace,
                            stop: stop.clone(),
                            cut_off: CancellationToken::new(),
                        },
                    )
                    .await
                };
                let served = served.await;
                core.shutdown().await;
                served
            }
            Err(refusal) => Err(FrontendError::Refused(refusal)),
        };
        stop.cancel();
        ended.cancel();
        served
    };
    let (doors, statements) = tokio::join!(doors, statements);
    statements.and(doors)
}

fn rpc_url(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

/// Makes `node` the only compute node of the catalog.
async fn keep_only(core: &Core, node: SocketAddr) -> Result<(), FrontendError> {
    let address = (node.ip().to_string(), node.port());
    let edited = core
        .edit(move |catalog| {
            let mut edits: Vec<Edit> = catalog
                .compute_nodes()
                .filter(|known| (known.host.as_str(), known.heartbeat_port) != (address.0.as_str(), address.1))
                .map(|known| Edit::DropComputeNode { id: known.id })
                .collect();
            if catalog.compute_node_at(&address.0, address.1).is_none() {
                edits.extend(catalog.add_compute_nodes(std::slice::from_ref(&address), None)?);
            }
            Ok(edits)
        })
        .await;
    edited
        .map(|_| ())
        .map_err(|error| FrontendError::Failed(error.to_string()))
}

fn port(listener: &TcpListener, what: &'static str) -> Result<u16, FrontendError> {
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|source| FrontendError::Serve { what, source })
}

#[allow(
    clippy::too_many_arguments,
    reason = "called once, to keep the order of starting and stopping in one place"
)]
async fn serve_mysql(
    core: &Core,
    client: RpcClient,
    token: &ClusterToken,
    listener: TcpListener,
    tls: Option<TlsConfigSource>,
    local_files: bool,
    options: FrontOptions,
    stopping: &Stopping,
) -> Result<(), FrontendError> {
    let (shown, accepted) = (token.clone(), token.clone());
    let worker_token = WorkerToken::following(move || shown.header(), move |header| accepted.accepts(header));
    let worker_token = worker_token.ok_or_else(|| {
        FrontendError::Client("the cluster token has characters that no HTTP header may have".to_owned())
    })?;
    let coordinator = Coordinator::new(
        core.data_store(),
        CoordinatorOptions {
            local_files,
            memory_limit_bytes: usize::try_from(limits::coordinator_memory_bytes()).unwrap_or(usize::MAX),
            ..CoordinatorOptions::new(worker_token)
        },
    )?;
    let statements_ended = CancellationToken::new();
    let front = Front::new(core.clone(), coordinator, client, options, statements_ended.clone());
    let registry = ConnectionRegistry::starting_at(1);
    let settings = core.watch_settings();
    let most_connections = move || usize::try_from(settings.borrow().max_connections).unwrap_or(usize::MAX);
    let server = ServerOptions {
        server_version: SERVER_VERSION.to_owned(),
        max_connections: ConnectionLimit::from_fn(most_connections),
        shutdown_grace: stopping.grace,
        cut_off: stopping.cut_off.clone(),
        tls,
        registry: registry.clone(),
        ..ServerOptions::default()
    };
    let serving = async {
        tokio::join!(
            springtide_mysql::serve(listener, server, front.clone(), stopping.stop.clone()),
            stopping.loads_end(core),
        );
    };
    let mut failure = None;
    let failing = async {
        failure = tokio::select! {
            reason = core.failed() => Some(reason),
            () = stopping.stop.cancelled() => None,
        };
        stopping.stop.cancel();
        if failure.is_some() {
            tokio::time::sleep(FAILURE_GRACE).await;
            registry.kill_all();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => {}
        () = failing => {}
        () = stopping.run(core) => {}
    }
    statements_ended.cancel();
    front.finish().await;
    match failure {
        Some(reason) => Err(FrontendError::Failed(reason)),
        None => Ok(()),
    }
}

/// How a frontend comes to its end.
struct Stopping {
    /// It is told to stop.
    shutdown: CancellationToken,
    /// See [`FrontendOptions::lame_duck`].
    lame_duck: Duration,
    /// See [`FrontendOptions::stop_grace`].
    grace: Duration,
    /// It takes nothing new. Cancelled by others too, where a part has failed.
    stop: CancellationToken,
    /// What still runs is ended.
    cut_off: CancellationToken,
}

impl Stopping {
    /// Cancels [`Self::stop`] and [`Self::cut_off`] when it is time to. Never returns.
    async fn run(&self, core: &Core) {
        let told = tokio::select! {
            () = self.shutdown.cancelled() => {
                let told = Instant::now();
                tokio::select! {
                    () = self.serve_on(core) => {}
                    () = self.stop.cancelled() => {}
                }
                self.stop.cancel();
                told
            }
            () = self.stop.cancelled() => Instant::now(),
        };
        tokio::time::sleep_until(told + self.grace).await;
        self.cut_off.cancel();
        std::future::pending::<()>().await;
    }

    /// Waits until what runs now has ended, within reason.
    async fn serve_on(&self, core: &Core) {
        let underway = Underway::of(core);
        tracing::info!(?underway, longest = ?self.lame_duck, "taking statements and loads until those that run have ended");
        let ending = async {
            while underway.has_left(core) && !core.has_failed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(self.lame_duck, ending).await.is_ok();
        tracing::info!(in_time, "taking nothing new");
    }

    /// Waits, once nothing new is taken, for the loads that compute nodes have begun: their transactions end with this process, and their
    /// clients wait to hear that the rows are visible. None begins any more, but for those of statements, which are waited for themselves.
    async fn loads_end(&self, core: &Core) {
        self.stop.cancelled().await;
        let ending = async {
            while !core.open_loads().is_empty() && !core.has_failed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            () = ending => {}
            () = self.cut_off.cancelled() => tracing::warn!("loads outlasted the shutdown's grace"),
        }
    }
}
