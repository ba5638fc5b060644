//! Compute nodes: who is there, who is alive, who may get work.
//!
//! A node's record is in the catalog; what its heartbeats say is only here. Nothing is routed to a node before its first good
//! heartbeat, nor while it drains.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use springtide_model::{ComputeNode, NodeId};
use springtide_rpc::message::{HeartbeatReply, HeartbeatRequest};
use tokio_util::sync::CancellationToken;

use super::Core;

/// Least time between two heartbeats to a node, whatever the configuration says.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

/// A compute node and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its record.
    pub node: Arc<ComputeNode>,
    /// Whether it answers.
    pub alive: bool,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Its last good heartbeat, milliseconds since 1970.
    pub last_heartbeat_ms: Option<u64>,
    /// When its process started, milliseconds since 1970.
    pub last_start_ms: Option<u64>,
    /// Why it is not alive; empty when it is.
    pub err_msg: String,
    /// What it said last.
    pub reply: Option<HeartbeatReply>,
}

impl NodeView {
    fn new(node: Arc<ComputeNode>) -> Self {
        Self {
            node,
            alive: false,
            draining: false,
            last_heartbeat_ms: None,
            last_start_ms: None,
            err_msg: String::new(),
            reply: None,
        }
    }

    /// Whether it may get work.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.alive && !self.draining
    }
}

#[derive(Debug, Default)]
pub(super) struct Nodes {
    states: Mutex<BTreeMap<NodeId, State>>,
}

#[derive(Debug)]
struct State {
    view: NodeView,
    failures: u32,
    /// Ends the heartbeats of a node that was dropped.
    dropped: CancellationToken,
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// All compute nodes, by id. Ones that were added a moment ago are there, not alive yet.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        let catalog = self.catalog();
        let states = self.inner.nodes.lock();
        let view = |node: &Arc<ComputeNode>| match states.get(&node.id) {
            Some(state) => state.view.clone(),
            None => NodeView::new(Arc::clone(node)),
        };
        catalog.compute_nodes().map(view).collect()
    }

    /// The nodes of a warehouse that may get work, by id.
    #[must_use]
    pub fn workers(&self, warehouse: &str) -> Vec<NodeView> {
        let mut nodes = self.nodes();
        nodes.retain(|view| view.is_available() && view.node.warehouse == warehouse);
        nodes
    }

    /// What to do about a warehouse without a node that takes work: use one that has some, with `choose` as the words for
    /// it, or wait for the compute.
    #[must_use]
    pub fn instead_of(&self, warehouse: &str, choose: &str) -> String {
        let nodes = self.nodes();
        let others: BTreeSet<&str> = nodes
            .iter()
            .filter(|view| view.is_available())
            .map(|view| view.node.warehouse.as_str())
            .collect();
        if !others.is_empty() {
            let others: Vec<&str> = others.into_iter().collect();
            return format!("{choose} one that has compute now: {}", others.join(", "));
        }
        match nodes.iter().filter(|view| view.node.warehouse == warehouse).count() {
            0 => "no warehouse has compute now: scale up a ComputeGroup, or wait for its next window".to_owned(),
            registered => format!(
                "none of its {registered} compute nodes takes work now: see SHOW COMPUTE NODES, or repeat in a moment"
            ),
        }
    }

    /// Someone could not reach a node: it gets no work until its next good heartbeat.
    pub fn report_unreachable(&self, node: NodeId) {
        if let Some(state) = self.inner.nodes.lock().get_mut(&node)
            && state.view.alive
        {
            tracing::warn!(%node, host = state.view.node.host, "a statement could not reach a compute node");
            state.view.alive = false;
            "a statement could not reach it".clone_into(&mut state.view.err_msg);
        }
    }

    fn knows_draining(&self, node: NodeId) -> bool {
        let states = self.inner.nodes.lock();
        states.get(&node).is_some_and(|state| state.view.draining)
    }

    async fn heartbeat(&self, node: &ComputeNode) {
        let request = HeartbeatRequest {
            cluster_id: self.inner.cluster_id,
            epoch: self.inner.epoch,
            node_id: node.id,
            frontend_rpc_url: self.inner.rpc_url.clone(),
            known_draining: self.knows_draining(node.id),
        };
        let answer = self
            .inner
            .rpc
            .heartbeat(&node.host, node.heartbeat_port, &request)
            .await;
        let now_ms = self.now_ms();
        let allowed = self.inner.config.frontend.heartbeat_retry_times;
        let mut states = self.inner.nodes.lock();
        let Some(state) = states.get_mut(&node.id) else {
            return;
        };
        match answer {
            Ok(reply) => state.answered(reply, now_ms),
            Err(error) => {
                self.inner.metrics.heartbeat_failed.inc();
                let address = format!("{}:{}", node.host, node.heartbeat_port);
                state.failed(&format!("heartbeat to {address} failed: {error}"), allowed);
            }
        }
    }
}

impl State {
    fn answered(&mut self, reply: HeartbeatReply, now_ms: u64) {
        let view = &mut self.view;
        let (id, host) = (view.node.id, &view.node.host);
        if view.last_start_ms.is_some_and(|before| before != reply.start_time_ms) {
            tracing::info!(node = %id, host, "a compute node was restarted");
        }
        if !view.alive || view.draining != reply.draining {
            tracing::info!(node = %id, host, draining = reply.draining, "a compute node is alive");
        }
        self.failures = 0;
        view.alive = true;
        view.draining = reply.draining;
        view.last_heartbeat_ms = Some(now_ms);
        view.last_start_ms = Some(reply.start_time_ms);
        view.err_msg.clear();
        view.reply = Some(reply);
    }

    fn failed(&mut self, why: &str, allowed: u32) {
        self.failures = self.failures.saturating_add(1);
        let view = &mut self.view;
        why.clone_into(&mut view.err_msg);
        if view.alive && self.failures > allowed {
            tracing::warn!(node = %view.node.id, host = view.node.host, why, "a compute node is not alive any more");
            view.alive = false;
        }
    }
}

/// Keeps one heartbeat task for each node of the catalog.
pub(super) async fn watch_nodes(core: Core) {
    let mut catalogs = core.inner.writer.watch();
    loop {
        let catalog = Arc::clone(&catalogs.borrow_and_update());
        let added: Vec<(Arc<ComputeNode>, CancellationToken)> = {
            let mut states = core.inner.nodes.lock();
            states.retain(|id, state| {
                let stays = catalog.compute_node(*id).is_some();
                if !stays {
                    state.dropped.cancel();
                }
                stays
            });
            let unknown = catalog.compute_nodes().filter(|node| !states.contains_key(&node.id));
            let unknown: Vec<Arc<ComputeNode>> = unknown.cloned().collect();
            unknown
                .into_iter()
                .map(|node| {
                    let dropped = CancellationToken::new();
                    let state = State {
                        view: NodeView::new(Arc::clone(&node)),
                        failures: 0,
                        dropped: dropped.clone(),
                    };
                    states.insert(node.id, state);
                    (node, dropped)
                })
                .collect()
        };
        for (node, dropped) in added {
            core.spawn(beat(core.clone(), node, dropped));
        }
        if catalogs.changed().await.is_err() {
            return;
        }
    }
}

async fn beat(core: Core, node: Arc<ComputeNode>, dropped: CancellationToken) {
    let interval = Duration::from_millis(core.inner.config.frontend.heartbeat_interval_ms).max(SHORTEST_INTERVAL);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let beats = async {
        loop {
            ticks.tick().await;
            core.heartbeat(&node).await;
        }
    };
    tokio::select! {
        () = dropped.cancelled() => {}
        () = beats => {}
    }
}
