//! The heartbeat port: what frontends and the drain sidecar ask of this node. Everything here needs the cluster token.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use springtide_contract::drain::{DRAIN_PATH, DrainRequest, NodeStatus, STATUS_PATH, UNDRAIN_PATH};
use springtide_query::WorkerService;
use springtide_rpc::{
    ClusterToken,
    message::{HEARTBEAT, HeartbeatReply, HeartbeatRequest, INGEST, PROTOCOL_VERSION, PlanVersions},
    token::require_token,
};

use crate::{drain::Node, stream_load::Loader};

/// Bytes of a JSON body; rows are not JSON and have no limit.
const JSON_LIMIT_BYTES: usize = 64 << 10;

/// What this node tells of itself at each heartbeat, but for what changes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) version: String,
    pub(crate) start_time_ms: u64,
    pub(crate) http_port: u16,
    pub(crate) worker_port: u16,
    pub(crate) cpu_cores: u32,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) drain_timeout_s: u64,
}

impl Identity {
    /// Milliseconds since 1970, for [`Self::start_time_ms`].
    pub(crate) fn now_ms() -> u64 {
        SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |elapsed| elapsed.as_millis() as u64)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Internal {
    pub(crate) node: Node,
    pub(crate) identity: Arc<Identity>,
    pub(crate) worker: Arc<WorkerService>,
    pub(crate) loader: Loader,
}

pub(crate) fn router(internal: Internal, token: ClusterToken) -> Router {
    let json = Router::new()
        .route(HEARTBEAT, post(heartbeat))
        .route(DRAIN_PATH, post(drain))
        .route(UNDRAIN_PATH, post(undrain))
        .route(STATUS_PATH, get(status))
        .layer(DefaultBodyLimit::max(JSON_LIMIT_BYTES));
    let rows = Router::new()
        .route(INGEST, post(ingest))
        .layer(DefaultBodyLimit::disable());
    json.merge(rows)
        .with_state(internal)
        .layer(middleware::from_fn_with_state(token, require_token))
}

async fn heartbeat(State(internal): State<Internal>, Json(request): Json<HeartbeatRequest>) -> Response {
    match internal.node.heartbeat(&request) {
        Ok(draining) => Json(internal.heartbeat_reply(draining)).into_response(),
        Err(fenced) => {
            tracing::warn!(%fenced, "refused a heartbeat");
            (StatusCode::CONFLICT, fenced.to_string()).into_response()
        }
    }
}

async fn drain(State(internal): State<Internal>, Json(request): Json<DrainRequest>) -> Json<NodeStatus> {
    if !internal.node.is_draining() {
        tracing::info!(reason = request.reason, "draining");
    }
    internal.node.set_draining(true);
    Json(internal.status())
}

async fn undrain(State(internal): State<Internal>) -> Json<NodeStatus> {
    if internal.node.is_draining() {
        tracing::info!("the drain is cancelled");
    }
    internal.node.set_draining(false);
    Json(internal.status())
}

async fn status(State(internal): State<Internal>) -> Json<NodeStatus> {
    Json(internal.status())
}

async fn ingest(State(internal): State<Internal>, body: Body) -> Response {
    match internal.loader.ingest(body).await {
        Ok(reply) => Json(reply).into_response(),
        Err(error) => {
            let status = if error.is_invalid() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            tracing::info!(%error, "ingest failed");
            (status, error.to_string()).into_response()
        }
    }
}

impl Internal {
    fn status(&self) -> NodeStatus {
        self.node.status(self.worker.running_fragments())
    }

    fn heartbeat_reply(&self, draining: bool) -> HeartbeatReply {
        let Identity {
            version,
            start_time_ms,
            http_port,
            worker_port,
            cpu_cores,
            memory_limit_bytes,
            drain_timeout_s,
        } = &*self.identity;
        let plans = self.worker.plan_versions();
        HeartbeatReply {
            version: version.clone(),
            start_time_ms: *start_time_ms,
            draining,
            http_port: *http_port,
            worker_port: *worker_port,
            cpu_cores: *cpu_cores,
            memory_limit_bytes: *memory_limit_bytes,
            memory_used_bytes: self.worker.metrics().memory_used_bytes,
            running_fragments: self.worker.running_fragments(),
            running_loads: self.node.running_loads(),
            drain_timeout_s: *drain_timeout_s,
            protocol: PROTOCOL_VERSION,
            plans: PlanVersions {
                oldest: *plans.start(),
                newest: *plans.end(),
            },
        }
    }
}
