//! The frontend's doors beside MySQL: HTTP for people and tools (8030), and RPC for compute nodes (9020). Listeners come in
//! bound, so that whoever starts the frontend knows their ports.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use springtide_rpc::ClusterToken;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::Core;

mod basic;
mod http;
mod rpc;
mod stream_load;

pub use http::http_router;
pub use rpc::rpc_router;

/// Time that requests have to end once what runs on the frontend has ended.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where the core will be once it is open: doors answer before that, and say that they are not ready.
#[derive(Clone, Debug, Default)]
pub struct CoreSlot {
    core: Arc<OnceLock<Core>>,
    stop: CancellationToken,
}

impl CoreSlot {
    /// A slot of a frontend that takes nothing new once `stop` is cancelled.
    #[must_use]
    pub fn until(stop: CancellationToken) -> Self {
        Self {
            core: Arc::default(),
            stop,
        }
    }

    /// Puts the core in. Only the first one counts.
    pub fn fill(&self, core: Core) {
        // A second core in one process would be a defect of the caller; the first one goes on serving.
        let _ = self.core.set(core);
    }

    /// The core, if it is open and may acknowledge.
    #[must_use]
    pub fn ready(&self) -> Option<&Core> {
        self.core.get().filter(|core| !core.has_failed())
    }

    /// Whether nothing new is to begin: the frontend lets what it has come to its end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

impl From<Core> for CoreSlot {
    fn from(core: Core) -> Self {
        let slot = Self::default();
        slot.fill(core);
        slot
    }
}

/// Serves HTTP 8030. Once the slot's frontend is told to stop, no connection is taken any more; requests go on, loads that are carried
/// among them, until a few seconds after `ended` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve_http(slot: CoreSlot, listener: TcpListener, ended: CancellationToken) -> std::io::Result<()> {
    let (stop, last) = (slot.stop.clone(), ended.clone());
    let closing = async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = last.cancelled() => {}
        }
    };
    serve(http_router(slot), listener, closing, ended).await
}

/// Serves RPC 9020 until `ended` is cancelled, so that loads which run when the frontend is told to stop are committed; requests that run
/// then have a few seconds to end.
///
/// # Errors
/// When the listener fails.
pub async fn serve_rpc(
    slot: CoreSlot,
    token: ClusterToken,
    listener: TcpListener,
    ended: CancellationToken,
) -> std::io::Result<()> {
    let closing = ended.clone().cancelled_owned();
    serve(rpc_router(slot, token), listener, closing, ended).await
}

/// Takes connections until `closing` is ready, and cuts those off that are open a while after `ended`.
async fn serve(
    router: Router,
    listener: TcpListener,
    closing: impl Future<Output = ()> + Send + 'static,
    ended: CancellationToken,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(closing);
    let cut_off = async {
        ended.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
        tracing::warn!(grace = ?STOP_GRACE, "requests are still open; stopping all the same");
    };
    tokio::select! {
        served = async { serving.await } => served,
        () = cut_off => Ok(()),
    }
}
