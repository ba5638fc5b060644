//! HTTP 8030: health, readiness, metrics, and the way to Stream Load.

use std::sync::atomic::AtomicU64;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;

use super::{CoreSlot, stream_load};
use crate::core::{Core, LoadState};

/// The routes of HTTP 8030.
pub fn http_router(slot: CoreSlot) -> Router {
    let proxy = stream_load::Proxy::new();
    Router::new()
        .route("/api/health", get(health))
        .route("/api/ready", get(ready))
        .route("/api/bootstrap", get(bootstrap))
        .route("/metrics", get(metrics))
        .with_state(slot.clone())
        .route(
            "/api/{database}/{table}/_stream_load",
            put(stream_load::stream_load).with_state(stream_load::Door { slot, proxy }),
        )
}

/// StarRocks' answer of `/api/health`.
#[derive(Serialize)]
struct Health {
    online_backend_num: usize,
    total_backend_num: usize,
    status: &'static str,
}

async fn health(State(slot): State<CoreSlot>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    let nodes = core.nodes();
    let health = Health {
        online_backend_num: nodes.iter().filter(|node| node.alive).count(),
        total_backend_num: nodes.len(),
        status: "OK",
    };
    Json(health).into_response()
}

async fn ready(State(slot): State<CoreSlot>) -> Response {
    match slot.ready() {
        Some(_) => Json(serde_json::json!({ "status": "OK" })).into_response(),
        None => not_ready(),
    }
}

/// StarRocks' readiness probe. Ports are left out by StarRocks too, for callers without its token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bootstrap {
    replayed_journal_id: u64,
    fe_start_time: u64,
    status: &'static str,
    code: &'static str,
    msg: &'static str,
    message: &'static str,
}

async fn bootstrap(State(slot): State<CoreSlot>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    let answer = Bootstrap {
        replayed_journal_id: core.journal_id(),
        fe_start_time: core.started_ms(),
        status: "OK",
        code: "0",
        msg: "Success",
        message: "OK",
    };
    Json(answer).into_response()
}

pub(super) fn not_ready() -> Response {
    failed(StatusCode::SERVICE_UNAVAILABLE, "the frontend is not ready")
}

/// An error in StarRocks' shape.
pub(super) fn failed(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "status": "FAILED", "code": "1", "msg": message, "message": message });
    (status, Json(body)).into_response()
}

async fn metrics(State(slot): State<CoreSlot>) -> Response {
    let Some(core) = slot.ready() else {
        return not_ready();
    };
    let mut registry = Registry::default();
    let connections = i64::try_from(core.sessions().count()).unwrap_or(i64::MAX);
    core.metrics().connection_total.set(connections);
    core.metrics().register(&mut registry);
    register_levels(core, &mut registry);
    register_lines(core, &mut registry);
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the metrics");
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

/// What is not counted but looked at when someone asks.
fn register_levels(core: &Core, registry: &mut Registry) {
    let catalog = core.catalog();
    let nodes = core.nodes();
    let loads = core.loads(None);
    let in_state = |state: &LoadState| loads.iter().filter(|load| load.state == *state).count();
    let levels = [
        ("database_num", "Databases", catalog.databases().count()),
        ("table_num", "Tables", catalog.tables().count()),
        ("compute_node_num", "Compute nodes", nodes.len()),
        (
            "compute_node_alive_num",
            "Compute nodes that answer",
            nodes.iter().filter(|node| node.alive).count(),
        ),
        ("txn_running", "Loads that run", in_state(&LoadState::Loading)),
        (
            "txn_committed",
            "Loads that are committed and not yet visible",
            in_state(&LoadState::Committed),
        ),
    ];
    let fe = registry.sub_registry_with_prefix("starrocks_fe");
    for (name, help, value) in levels {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        fe.register(name, help, gauge);
    }
    let journal: Gauge = Gauge::default();
    journal.set(i64::try_from(core.journal_id()).unwrap_or(i64::MAX));
    fe.register("max_journal_id", "Last durable journal record", journal);
}

/// A warehouse, in whose line statements wait for compute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WarehouseLabels {
    warehouse: String,
}

/// Who runs and who waits, as `SHOW WAREHOUSES` has it.
fn register_lines(core: &Core, registry: &mut Registry) {
    let (running, waiting) = (
        Family::<WarehouseLabels, Gauge>::default(),
        Family::<WarehouseLabels, Gauge>::default(),
    );
    let oldest = Family::<WarehouseLabels, Gauge<f64, AtomicU64>>::default();
    for warehouse in core.catalog().warehouses() {
        let demand = core.demand(&warehouse);
        let waited = core.first_waits_for(&warehouse);
        let labels = WarehouseLabels { warehouse };
        running.get_or_create(&labels).set(demand.running.into());
        waiting.get_or_create(&labels).set(demand.waiting.into());
        oldest.get_or_create(&labels).set(waited.as_secs_f64());
    }
    registry.register(
        "springtide_fe_statements_running",
        "Statements that run on compute nodes, by warehouse",
        running,
    );
    registry.register(
        "springtide_fe_statements_waiting",
        "Statements that wait for compute, by warehouse",
        waiting,
    );
    registry.register(
        "springtide_fe_statements_oldest_wait_seconds",
        "How long the first statement in the line of a warehouse has waited for compute",
        oldest,
    );
}
