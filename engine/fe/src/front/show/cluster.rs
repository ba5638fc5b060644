//! Nodes, warehouses and connections.

use std::sync::Arc;

use springtide_contract::ports;

use super::{Context, bytes_text, time_text};
use crate::{
    core::{DrainState, NodeView},
    front::{rows::Rows, variables::VERSION_COMMENT},
};

const FRONTENDS: &[&str] = &[
    "Id",
    "Name",
    "IP",
    "EditLogPort",
    "HttpPort",
    "QueryPort",
    "RpcPort",
    "Role",
    "ClusterId",
    "Join",
    "Alive",
    "ReplayedJournalId",
    "LastHeartbeat",
    "IsHelper",
    "ErrMsg",
    "StartTime",
    "Version",
    // StarRocks does not say what is in its newest image.
    "ImageJournalId",
];
const COMPUTE_NODES: &[&str] = &[
    "ComputeNodeId",
    "IP",
    "HeartbeatPort",
    "BePort",
    "HttpPort",
    "BrpcPort",
    "LastStartTime",
    "LastHeartbeat",
    "Alive",
    "SystemDecommissioned",
    "ClusterDecommissioned",
    "ErrMsg",
    "Version",
    "CpuCores",
    "MemLimit",
    "NumRunningQueries",
    "MemUsedPct",
    "CpuUsedPct",
    "DataCacheMetrics",
    "HasStoragePath",
    "StatusCode",
    "StarletPort",
    "WorkerId",
    "WarehouseName",
    "TabletNum",
    // StarRocks has no drain of a compute node, and so no columns about it.
    "DrainState",
    "DrainWaitingFor",
    "DrainOrder",
    "DrainOrderLastsSeconds",
    "DrainSeconds",
];
/// Loads, and statements, that `DrainWaitingFor` names; more are counted. Whoever cuts them off is to know whom.
const WAITED_FOR: usize = 200;
/// A bundled cluster has compute nodes only; the statement is there for tools that list both.
pub(super) const BACKENDS: &[&str] = &[
    "BackendId",
    "IP",
    "HeartbeatPort",
    "BePort",
    "HttpPort",
    "BrpcPort",
    "LastStartTime",
    "LastHeartbeat",
    "Alive",
    "SystemDecommissioned",
    "ClusterDecommissioned",
    "TabletNum",
    "DataUsedCapacity",
    "AvailCapacity",
    "TotalCapacity",
    "UsedPct",
    "MaxDiskUsedPct",
    "ErrMsg",
    "Version",
    "Status",
    "DataTotalCapacity",
    "DataUsedPct",
    "CpuCores",
    "MemLimit",
    "NumRunningQueries",
    "MemUsedPct",
    "CpuUsedPct",
    "DataCacheMetrics",
    "Location",
    "StatusCode",
    "StarletPort",
    "WorkerId",
    "WarehouseName",
];
const WAREHOUSES: &[&str] = &[
    "Id",
    "Name",
    "State",
    "NodeCount",
    "CurrentClusterCount",
    "MaxClusterCount",
    "StartedClusters",
    "RunningSql",
    "QueuedSql",
    "CreatedOn",
    "ResumedOn",
    "UpdatedOn",
    "Property",
    "Comment",
    // StarRocks does not say how many nodes its queue would need.
    "RequiredNodes",
];
const PROCESSLIST: &[&str] = &[
    "ServerName",
    "Id",
    "User",
    "Host",
    "Db",
    "Command",
    "ConnectionStartTime",
    "Time",
    "State",
    "Info",
    "IsPending",
    "Warehouse",
];
/// Characters of a statement that `SHOW PROCESSLIST` shows without `FULL`.
const SHORT_STATEMENT_CHARS: usize = 100;

/// There is one frontend, and it leads.
pub(super) fn frontends(context: Context<'_>) -> Rows {
    let core = &context.shared.core;
    let host = &context.shared.options.advertised_host;
    let ports = &context.shared.options.ports;
    let mut rows = Rows::new(FRONTENDS);
    rows.push(vec![
        Some("1".to_owned()),
        Some(server_name(context)),
        Some(host.clone()),
        Some(ports::FE_EDIT_LOG.to_string()),
        Some(ports.http.to_string()),
        Some(ports.mysql.to_string()),
        Some(ports.rpc.to_string()),
        Some("LEADER".to_owned()),
        Some(core.cluster_id().to_string()),
        Some("true".to_owned()),
        Some("true".to_owned()),
        Some(core.journal_id().to_string()),
        time_text(Some(core.now_ms())),
        Some("true".to_owned()),
        Some(String::new()),
        time_text(Some(core.started_ms())),
        Some(VERSION_COMMENT.to_owned()),
        Some(core.image_id().to_string()),
    ]);
    rows
}

fn server_name(context: Context<'_>) -> String {
    let host = &context.shared.options.advertised_host;
    format!("{host}_{}_{}", ports::FE_EDIT_LOG, context.shared.core.started_ms())
}

/// `CONNECTING` until the first heartbeat is answered; `SHUTDOWN` while it drains, when `Alive` is false, as in StarRocks:
/// nothing new is sent there.
fn status(node: &NodeView) -> (bool, &'static str) {
    let drains = node.drain != DrainState::None;
    match (node.alive, drains, node.last_heartbeat_ms) {
        (true, true, _) => (false, "SHUTDOWN"),
        (true, false, _) => (true, "OK"),
        (false, _, None) => (false, "CONNECTING"),
        (false, _, Some(_)) => (false, "DISCONNECTED"),
    }
}

/// What a drain waits for, or would wait for if it began now, for people: `2 fragments, load orders_7, query of connection 17`. `labels` are
/// those of loads that the node has begun.
fn waiting_for(node: &NodeView, labels: &[String]) -> String {
    if node.drain == DrainState::Drained {
        return String::new();
    }
    let (fragments, loads) = node
        .reply
        .as_ref()
        .map_or((0, 0), |reply| (reply.running_fragments, reply.running_loads));
    let mut parts = work(fragments, loads, labels, &node.routes);
    if parts.is_empty() && node.drain != DrainState::None {
        parts.push("clients that may be on their way".to_owned());
    }
    parts.join(", ")
}

/// Each piece of work in a few words. `loads` counts those with a label, too, or is behind.
pub(super) fn work(fragments: u64, loads: u64, labels: &[String], routes: &[Arc<str>]) -> Vec<String> {
    let counted = |count: u64, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {one}s")),
    };
    let named = &labels[..labels.len().min(WAITED_FOR)];
    let unnamed = loads.max(labels.len() as u64) - named.len() as u64;
    let mut parts: Vec<String> = counted(fragments, "fragment").into_iter().collect();
    parts.extend(named.iter().map(|label| format!("load {label}")));
    parts.extend(counted(unnamed, if named.is_empty() { "load" } else { "more load" }));
    parts.extend(routes.iter().take(WAITED_FOR).map(ToString::to_string));
    if let Some(more) = routes.len().checked_sub(WAITED_FOR).filter(|more| *more > 0) {
        parts.push(format!("{more} more statements"));
    }
    parts
}

pub(super) fn compute_nodes(context: Context<'_>) -> Rows {
    let mut rows = Rows::new(COMPUTE_NODES);
    for node in context.shared.core.nodes() {
        let (alive, status) = status(&node);
        let reply = node.reply.as_ref();
        let port = |port: Option<u16>| port.map_or("-1".to_owned(), |port| port.to_string());
        let worker = port(reply.map(|reply| reply.worker_port));
        let used_percent = reply.filter(|reply| reply.memory_limit_bytes > 0).map_or(0.0, |reply| {
            #[allow(clippy::cast_precision_loss, reason = "shown with two digits after the point")]
            let share = reply.memory_used_bytes as f64 / reply.memory_limit_bytes as f64;
            share * 100.0
        });
        rows.push(vec![
            Some(node.node.id.to_string()),
            Some(node.node.host.clone()),
            Some(node.node.heartbeat_port.to_string()),
            Some(worker.clone()),
            Some(port(reply.map(|reply| reply.http_port))),
            Some(worker),
            time_text(node.last_start_ms),
            time_text(node.last_heartbeat_ms),
            Some(alive.to_string()),
            Some("false".to_owned()),
            Some("false".to_owned()),
            Some(node.err_msg.clone()),
            Some(reply.map(|reply| reply.version.clone()).unwrap_or_default()),
            Some(reply.map_or(0, |reply| reply.cpu_cores).to_string()),
            Some(bytes_text(reply.map_or(0, |reply| reply.memory_limit_bytes))),
            Some(
                reply
                    .map_or(0, |reply| reply.running_fragments + reply.running_loads)
                    .to_string(),
            ),
            Some(format!("{used_percent:.2} %")),
            Some("0.0 %".to_owned()),
            Some("N/A".to_owned()),
            Some(reply.is_some().to_string()),
            Some(status.to_owned()),
            Some("0".to_owned()),
            Some(node.node.id.to_string()),
            Some(node.node.warehouse.clone()),
            Some("0".to_owned()),
            Some(node.drain.as_str().to_owned()),
            Some(waiting_for(&node, &context.shared.core.labels_at(node.node.id))),
            Some(
                node.order
                    .map_or("", |order| if order.forced { "FORCE" } else { "DRAIN" })
                    .to_owned(),
            ),
            Some(
                node.order
                    .map_or_else(String::new, |order| order.lasts.as_secs().to_string()),
            ),
            Some(
                node.drains_for
                    .map_or_else(String::new, |drains_for| drains_for.as_secs().to_string()),
            ),
        ]);
    }
    rows
}

pub(super) fn warehouses(context: Context<'_>) -> Rows {
    let mut rows = Rows::new(WAREHOUSES);
    let nodes = context.shared.core.nodes();
    for (id, name) in context.shared.core.catalog().warehouses().into_iter().enumerate() {
        let count = nodes.iter().filter(|node| node.node.warehouse == name).count();
        let demand = context.shared.core.demand(&name);
        let serves = nodes
            .iter()
            .any(|view| view.node.warehouse == name && view.is_available());
        let state = if count > 0 && !serves { "SUSPENDED" } else { "AVAILABLE" };
        let comment = if name == springtide_model::DEFAULT_WAREHOUSE {
            "An internal warehouse init after FE is ready"
        } else {
            ""
        };
        let mut row = vec![Some(String::new()); WAREHOUSES.len()];
        for (index, value) in [
            (0, id.to_string()),
            (1, name),
            (2, state.to_owned()),
            (3, count.to_string()),
            (4, "1".to_owned()),
            (5, "1".to_owned()),
            (6, "1".to_owned()),
            (7, demand.running.to_string()),
            (8, demand.waiting.to_string()),
            (13, comment.to_owned()),
            (14, demand.required_nodes.to_string()),
        ] {
            row[index] = Some(value);
        }
        rows.push(row);
    }
    rows
}

/// Everyone sees their own connections, administrators see all.
pub(super) fn processlist(context: Context<'_>, full: bool) -> Rows {
    let mut rows = Rows::new(PROCESSLIST);
    for session in context.shared.core.sessions().list() {
        if !context.session.is_admin() && session.user != context.session.account.name {
            continue;
        }
        let statement = session.statement.as_ref();
        let info = statement.map(|statement| {
            if full {
                statement.sql.clone()
            } else {
                statement.sql.chars().take(SHORT_STATEMENT_CHARS).collect()
            }
        });
        rows.push(vec![
            Some(server_name(context)),
            Some(session.id.to_string()),
            Some(session.user.clone()),
            Some(session.client.to_string()),
            Some(session.database.clone().unwrap_or_default()),
            Some(if statement.is_some() { "Query" } else { "Sleep" }.to_owned()),
            time_text(Some(session.opened_ms)),
            Some(session.seconds.to_string()),
            Some(statement.map_or_else(String::new, |statement| statement.state.clone())),
            Some(info.unwrap_or_default()),
            Some(
                statement
                    .is_some_and(|statement| statement.state.starts_with("waiting for compute"))
                    .to_string(),
            ),
            Some(session.warehouse.clone()),
        ]);
    }
    rows
}
