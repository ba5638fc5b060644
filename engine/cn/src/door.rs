//! HTTP for people and tools: health, metrics, and Stream Load, whose users are checked by the frontend.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;
use springtide_query::WorkerService;
use springtide_rpc::message::{REDIRECT_PARAMETER, Secret};

use crate::stream_load::{LoadRequest, Loader};

#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) loader: Loader,
    pub(crate) worker: Arc<WorkerService>,
}

pub(crate) fn router(door: Door) -> Router {
    Router::new()
        .route("/api/health", get(health))
        .route("/metrics", get(metrics))
        .route("/api/{database}/{table}/_stream_load", put(stream_load))
        .layer(DefaultBodyLimit::disable())
        .with_state(door)
}

/// Alive; StarRocks' words. Whether the node takes work is said in heartbeats, so that a draining node is not killed.
async fn health() -> Json<serde_json::Value> {
    Json(json!({"status": "OK", "msg": "To Be Added"}))
}

async fn metrics(State(door): State<Door>) -> Response {
    let metrics = &door.loader.metrics;
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.running_fragments.set(count(door.worker.running_fragments()));
    metrics.running_loads.set(count(door.loader.node.running_loads()));
    metrics.draining.set(i64::from(door.loader.node.is_draining()));
    metrics
        .draining_seconds
        .set(door.loader.node.drains_for().as_secs_f64());
    let worker = door.worker.metrics();
    metrics.query_memory_bytes.set(count(worker.memory_used_bytes));
    metrics.query_scan_rows.set(count(worker.scanned_rows));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], metrics.encode()).into_response()
}

async fn stream_load(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((database, table)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((user, password)) = basic_credentials(&headers) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"\"")];
        return (
            StatusCode::UNAUTHORIZED,
            challenge,
            "give a user and a password (HTTP basic authentication)",
        )
            .into_response();
    };
    let client_ip = peer.ip().to_string();
    let request = LoadRequest {
        database,
        table,
        user,
        password,
        client_ip,
        redirect: redirect(query.as_deref()),
        headers,
        body,
    };
    let reply = door.loader.stream_load(request).await;
    let status = if reply.access_denied {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    (status, Json(reply)).into_response()
}

/// The frontend's number of the redirect that led the client here. What is no number is not of a frontend.
fn redirect(query: Option<&str>) -> Option<u64> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    // Its own is the last.
    pairs.rfind(|(name, _)| *name == REDIRECT_PARAMETER)?.1.parse().ok()
}

/// User and password of an `authorization: Basic` header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), Secret(password.to_owned())))
}

#[cfg(test)]
mod tests;
