//! RPC 9020: compute nodes begin, commit and abort loads. Every call carries the cluster token.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use springtide_mysql::Proof;
use springtide_rpc::{
    ClusterToken,
    message::{
        ABORT_LOAD, AbortLoadRequest, BEGIN_LOAD, BeginLoadReply, BeginLoadRequest, COMMIT_LOAD, CommitLoadReply,
        CommitLoadRequest,
    },
    token::require_token,
};

use super::CoreSlot;
use crate::{
    core::{BeginTransaction, Begun, CoreError},
    front::AUDIT_DATABASE,
};

/// Most bytes of a call: a commit lists every segment.
const BODY_BYTES: usize = 64 << 20;
/// Most time that a commit waits for its version to be visible.
const LONGEST_PUBLISH_WAIT: Duration = Duration::from_secs(3600);

/// The routes of RPC 9020.
pub fn rpc_router(slot: CoreSlot, token: ClusterToken) -> Router {
    Router::new()
        .route(BEGIN_LOAD, post(begin))
        .route(COMMIT_LOAD, post(commit))
        .route(ABORT_LOAD, post(abort))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(token, require_token))
        .with_state(slot)
}

fn not_ready() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the frontend is not ready").into_response()
}

async fn begin(State(slot): State<CoreSlot>, Json(request): Json<BeginLoadRequest>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    if let Some(redirect) = request.redirect {
        core.has_arrived(redirect);
    }
    // A load that begins now would end with this process, and its client would hear so much later.
    if slot.is_stopping() {
        let why = "the frontend is being stopped; load again in a moment";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    }
    let proof = Proof::ClearPassword(request.password.0.as_bytes());
    let Some(account) = core.authenticate(&request.user, &proof) else {
        let message = format!("Access denied for {}@{}", request.user, request.client_ip);
        return Json(BeginLoadReply::AccessDenied { message }).into_response();
    };
    if request.database == AUDIT_DATABASE && !account.is_admin() {
        let message = format!(
            "Access denied for {}: only an administrator changes {AUDIT_DATABASE}",
            request.user
        );
        return Json(BeginLoadReply::AccessDenied { message }).into_response();
    }
    let asked = BeginTransaction {
        database: request.database,
        table: request.table,
        label: request.label,
        timeout: Duration::from_secs(request.timeout_s),
        process: request.process,
    };
    let reply = match core.begin(asked).await {
        Ok(Begun::Target(target)) => {
            tracing::info!(txn = %target.txn, user = account.name, client = request.client_ip, "began a stream load");
            BeginLoadReply::Begun { target }
        }
        Ok(Begun::LabelAlreadyExists { txn, status }) => BeginLoadReply::LabelAlreadyExists {
            txn,
            existing_job_status: status.as_str().to_owned(),
        },
        Err(error) => BeginLoadReply::Refused {
            message: error.to_string(),
        },
    };
    Json(reply).into_response()
}

async fn commit(State(slot): State<CoreSlot>, Json(request): Json<CommitLoadRequest>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    match core.commit(request.txn, request.objects).await {
        Ok(()) => {}
        // Not a refusal: it may be committed, or be about to.
        Err(error @ (CoreError::JournalFailed(_) | CoreError::Stopping | CoreError::Committing(_))) => {
            return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response();
        }
        Err(error) => {
            let message = error.to_string();
            return Json(CommitLoadReply::Refused { message }).into_response();
        }
    }
    let wait = Duration::from_secs(request.publish_timeout_s).min(LONGEST_PUBLISH_WAIT);
    let reply = match core.wait_visible(request.txn, wait).await {
        Ok(true) => CommitLoadReply::Visible,
        // It is committed, whatever ended the wait.
        Ok(false) | Err(_) => CommitLoadReply::PublishTimeout,
    };
    Json(reply).into_response()
}

async fn abort(State(slot): State<CoreSlot>, Json(request): Json<AbortLoadRequest>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    core.abort(request.txn, &request.reason);
    Json(serde_json::json!({})).into_response()
}
