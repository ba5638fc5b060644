//! The two pages of the drain sidecar: the hook and the health check.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use tokio::sync::{mpsc, oneshot};

use crate::drain::decide::Report;
use crate::drain::token::Tokens;

/// Where the report of a drain goes; dropping it refuses the call.
pub(crate) type Call = oneshot::Sender<Report>;

#[derive(Clone)]
struct Hook {
    tokens: Tokens,
    calls: mpsc::Sender<Call>,
}

pub(crate) fn router(tokens: Tokens, calls: mpsc::Sender<Call>) -> Router {
    Router::new()
        .route("/drain/{key}", get(drain))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Hook { tokens, calls })
}

/// Answers when the drain has ended, so perhaps many minutes later.
async fn drain(State(hook): State<Hook>, Path(key): Path<String>) -> Response {
    if !hook.tokens.accept(&key).await {
        tracing::warn!("a drain was refused: the key in its path does not belong to the cluster token");
        return (
            StatusCode::FORBIDDEN,
            "the key does not belong to this cluster's token\n",
        )
            .into_response();
    }
    tracing::info!("the preStop hook asks for a drain");
    let (call, report) = oneshot::channel();
    if hook.calls.try_send(call).is_ok()
        && let Ok(report) = report.await
    {
        return Json(report).into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "too many calls wait for this drain already\n",
    )
        .into_response()
}
