//! The processes of a cluster: a frontend, or a compute node, on the ports of the contract.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

use object_store::{ObjectStore, prefix::PrefixStore};
use springtide_cn::{ComputeNodeError, ComputeNodeOptions};
use springtide_contract::{
    config::{EngineConfig, Refusal, RefusalReason},
    drain::{FRONTEND_LAME_DUCK, FRONTEND_STOP},
    paths, ports,
};
use springtide_fe::{
    FrontendError, FrontendOptions,
    core::{
        Dirs,
        removal::{Deleted, RemovalError},
    },
};
use springtide_model::ClusterId;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use crate::{place::Place, store, tls, token::follow_token};

/// Version of this engine, as `SHOW FRONTENDS` and `SHOW COMPUTE NODES` give it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a process ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It refuses to start, for a reason that the operator shows.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// A port is taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The frontend ended.
    #[error(transparent)]
    Frontend(FrontendError),
    /// The compute node ended.
    #[error(transparent)]
    ComputeNode(#[from] ComputeNodeError),
    /// A deletion of data was told to end; another one goes on with it.
    #[error("ended before all data was deleted: {objects} objects and {bytes} bytes were")]
    DeletionStopped {
        /// Objects that were deleted.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A file or folder that `standalone` needs.
    #[error("{what}: {source}")]
    Folder {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl From<Refusal> for ProcessError {
    fn from(refusal: Refusal) -> Self {
        ProcessError::Refused(refusal)
    }
}

impl From<RemovalError> for ProcessError {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::Refused(refusal) => ProcessError::Refused(refusal),
            RemovalError::Stopped(Deleted { objects, bytes }) => ProcessError::DeletionStopped { objects, bytes },
        }
    }
}

impl From<FrontendError> for ProcessError {
    fn from(error: FrontendError) -> Self {
        match error {
            FrontendError::Refused(refusal) => ProcessError::Refused(refusal),
            error => ProcessError::Frontend(error),
        }
    }
}

/// Listens on `port` of `host`.
///
/// # Errors
/// When the port is taken.
pub async fn listen(host: &str, port: u16) -> Result<TcpListener, ProcessError> {
    TcpListener::bind((host, port))
        .await
        .map_err(|source| ProcessError::Listen {
            address: format!("{host}:{port}"),
            source,
        })
}

/// Listens on `port` of one address, or of all addresses of the pod, of either family.
async fn listen_at(address: Option<IpAddr>, port: u16) -> Result<TcpListener, ProcessError> {
    if let Some(address) = address {
        return listen(&address.to_string(), port).await;
    }
    match listen(&Ipv6Addr::UNSPECIFIED.to_string(), port).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6.
        Err(_) => listen("0.0.0.0", port).await,
    }
}

/// The identity in the configuration.
///
/// # Errors
/// [`RefusalReason::ConfigInvalid`] when it is not a UUID.
pub fn cluster_id(config: &EngineConfig) -> Result<ClusterId, Refusal> {
    config.cluster_id.parse().map(ClusterId).map_err(|error| Refusal {
        reason: RefusalReason::ConfigInvalid,
        message: format!("clusterId `{}` is not a UUID: {error}", config.cluster_id),
    })
}

/// The part of the configured prefix where table data is: below the cluster's id.
#[must_use]
pub fn data_store(store: Arc<dyn ObjectStore>, cluster_id: ClusterId) -> Arc<dyn ObjectStore> {
    Arc::new(PrefixStore::new(store, cluster_id.to_string()))
}

/// Runs a frontend until `shutdown`. `host` is what clients and compute nodes call it; it listens on all addresses, or on
/// one.
///
/// # Errors
/// See [`ProcessError`].
pub async fn frontend(
    place: &Place,
    host: String,
    address: Option<IpAddr>,
    shutdown: CancellationToken,
) -> Result<(), ProcessError> {
    let config = place.config()?;
    let options = FrontendOptions {
        dirs: Dirs {
            meta: place.path(paths::FE_META),
            admin_account: place.path(paths::ADMIN_ACCOUNT),
            operator_account: place.path(paths::OPERATOR_ACCOUNT),
        },
        store: store::open(&config.storage, place, Handle::current())?,
        token: follow_token(place, shutdown.clone())?,
        advertised_host: host,
        mysql: listen_at(address, ports::FE_MYSQL).await?,
        http: listen_at(address, ports::FE_HTTP).await?,
        rpc: listen_at(address, ports::FE_RPC).await?,
        tls: if config.tls {
            Some(tls::watch_certificate(place)?)
        } else {
            None
        },
        local_files: false,
        audit: true,
        sole_compute_node: None,
        stop_grace: FRONTEND_STOP,
        lame_duck: FRONTEND_LAME_DUCK,
        shutdown,
        config,
    };
    Ok(springtide_fe::run(options).await?)
}

/// Runs a compute node until `shutdown`. It listens on all addresses, or on one.
///
/// # Errors
/// See [`ProcessError`].
pub async fn compute_node(
    place: &Place,
    address: Option<IpAddr>,
    shutdown: CancellationToken,
) -> Result<(), ProcessError> {
    let config = place.config()?;
    let cluster_id = cluster_id(&config)?;
    let options = ComputeNodeOptions {
        cluster_id,
        store: data_store(store::open(&config.storage, place, Handle::current())?, cluster_id),
        token: follow_token(place, shutdown.clone())?,
        local_directory: place.path(paths::CN_LOCAL),
        http: listen_at(address, ports::CN_HTTP).await?,
        heartbeat: listen_at(address, ports::CN_HEARTBEAT).await?,
        worker: listen_at(address, ports::CN_WORKER).await?,
        version: VERSION.to_owned(),
        local_files: false,
        shutdown,
        config: config.compute,
    };
    Ok(springtide_cn::run(options).await?)
}

/// Where a process that refuses to start leaves the reason.
#[must_use]
pub fn termination_log(place: &Place) -> impl AsRef<Path> {
    place.path(paths::TERMINATION_LOG)
}
