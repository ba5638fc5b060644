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

/// Time that requests have to end once the frontend was told to stop; a load that is carried may take hours.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where the core will be once it is open: doors answer before that, and say that they are not ready.
#[derive(Clone, Debug, Default)]
pub struct CoreSlot(Arc<OnceLock<Core>>);

impl CoreSlot {
    /// Puts the core in. Only the first one counts.
    pub fn fill(&self, core: Core) {
        // A second core in one process would be a defect of the caller; the first one goes on serving.
        let _ = self.0.set(core);
    }

    /// The core, if it is open and may acknowledge.
    #[must_use]
    pub fn ready(&self) -> Option<&Core> {
        self.0.get().filter(|core| !core.has_failed())
    }
}

impl From<Core> for CoreSlot {
    fn from(core: Core) -> Self {
        let slot = Self::default();
        slot.fill(core);
        slot
    }
}

/// Serves HTTP 8030 until `stop` is cancelled; requests that run have a few seconds to end.
///
/// # Errors
/// When the listener fails.
pub async fn serve_http(slot: CoreSlot, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    serve(http_router(slot), listener, stop).await
}

/// Serves RPC 9020 until `stop` is cancelled; requests that run have a few seconds to end.
///
/// # Errors
/// When the listener fails.
pub async fn serve_rpc(
    slot: CoreSlot,
    token: ClusterToken,
    listener: TcpListener,
    stop: CancellationToken,
) -> std::io::Result<()> {
    serve(rpc_router(slot, token), listener, stop).await
}

async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
        tracing::warn!(grace = ?STOP_GRACE, "requests are still open; stopping all the same");
    };
    tokio::select! {
        served = async { serving.await } => served,
        () = cut_off => Ok(()),
    }
}
