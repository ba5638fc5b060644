//! Compute nodes: who is there, who is alive, who may get work.
//!
//! A node's record is in the catalog; what its heartbeats say is only here. Nothing is routed to a node before its first good
//! heartbeat, nor while it drains. One of another release that does not read this frontend's plans gets loads and no statements.
//!
//! A drain begins in one of two ways: it is *ordered* by `ALTER SYSTEM DRAIN COMPUTE NODE`, which can be taken back, or the node
//! says in its heartbeats that it was told to stop. From then on the node gets no new *route*. Routes that statements hold already
//! are counted by node, so that a drain ends only when no statement here can reach the node any more. A client of a Stream Load that
//! was redirected to a node is on its way without a route: it is *expected* there until the node begins its load, or for
//! [`REDIRECT_LINGER`]. Orders are in memory alone: after a restart of the frontend, whoever ordered asks for it again. And an order
//! lapses after [`ORDER_LASTS`] unless it is given again, so that nodes of somebody who is gone for good take work again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use springtide_catalog::{CatalogError, ErrorKind};
use springtide_contract::{
    config::FrontendConfig,
    drain::{ORDER_LASTS, REDIRECT_LINGER},
};
use springtide_model::{ComputeNode, NodeId};
use springtide_rpc::message::{HeartbeatReply, HeartbeatRequest, PROTOCOL_VERSION};
use springtide_sql::DrainOrder;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Core, Patience, queue::Slot};

mod view;
pub use view::{DrainState, NodeView, OrderView};

/// Least time between two heartbeats to a node, whatever the configuration says.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);
/// Longest time between two heartbeats to a node, whatever the configuration says.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// The nodes that one statement may use, fixed for its time. Their drains do not end while it is held.
#[derive(Debug)]
pub struct Route {
    core: Core,
    id: u64,
    nodes: Vec<NodeView>,
    _slot: Option<Slot>,
}

impl Route {
    /// The nodes, by id.
    #[must_use]
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// One of them was chosen: the drains of the others no longer wait for it.
    pub fn keep_only(&mut self, chosen: NodeId) {
        let mut states = self.core.inner.nodes.lock();
        let id = self.id;
        self.nodes.retain(|view| {
            let stays = view.node.id == chosen;
            if !stays && let Some(state) = states.get_mut(&view.node.id) {
                state.routes.remove(&id);
            }
            stays
        });
    }

    pub(super) fn with_slot(mut self, slot: Slot) -> Self {
        self._slot = Some(slot);
        self
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut states = self.core.inner.nodes.lock();
        for view in &self.nodes {
            if let Some(state) = states.get_mut(&view.node.id) {
                state.routes.remove(&self.id);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Nodes {
    states: Mutex<BTreeMap<NodeId, State>>,
    next_route: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// But for `drain` and `routes`, which follow from what is below.
    view: NodeView,
    failures: u32,
    /// The drain that is ordered.
    order: Option<Order>,
    /// The node said that it was told to stop.
    leaving: bool,
    /// Something was lost with it while it left, and that is counted.
    cut_off: bool,
    /// When it got its last new route, while it gets none.
    unrouted_since: Option<Instant>,
    /// It was idle in a heartbeat that was sent when nothing was on its way there any more.
    found_idle: bool,
    /// Statements that may use it.
    routes: BTreeMap<u64, Arc<str>>,
    /// Redirects whose loads have not begun, and until when they may.
    expected: BTreeMap<u64, Instant>,
    /// Ends the heartbeats of a node that was dropped.
    dropped: CancellationToken,
}

/// See [`OrderView`].
#[derive(Clone, Copy, Debug)]
struct Order {
    forced: bool,
    lapses: Instant,
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
            Some(state) => state.view(),
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

    /// The nodes of a warehouse that may get work, for one statement; `what` says which, for people who wait for a drain.
    #[must_use]
    pub fn route(&self, warehouse: &str, what: &str) -> Route {
        self.route_to(warehouse, what, NodeView::is_available)
    }

    /// The nodes of a warehouse that may get loads, for one load.
    #[must_use]
    pub fn load_route(&self, warehouse: &str, what: &str) -> Route {
        self.route_to(warehouse, what, NodeView::takes_loads)
    }

    fn route_to(&self, warehouse: &str, what: &str, fits: impl Fn(&NodeView) -> bool) -> Route {
        let catalog = self.catalog();
        let id = self.inner.nodes.next_route.fetch_add(1, Relaxed);
        let what: Arc<str> = what.into();
        let mut nodes = Vec::new();
        for state in self.inner.nodes.lock().values_mut() {
            let view = state.view();
            let is_known = catalog.compute_node(view.node.id).is_some();
            if is_known && fits(&view) && view.node.warehouse == warehouse {
                state.routes.insert(id, Arc::clone(&what));
                nodes.push(view);
            }
        }
        Route {
            core: self.clone(),
            id,
            nodes,
            _slot: None,
        }
    }

    /// Orders nodes to be drained, or takes that back. All may be repeated; an order lasts anew from then on.
    ///
    /// # Errors
    /// One of them is not known; then nothing is changed.
    pub fn order_drain(&self, nodes: &[NodeId], order: DrainOrder) -> Result<(), CatalogError> {
        let mut states = self.inner.nodes.lock();
        if let Some(unknown) = nodes.iter().find(|id| !states.contains_key(id)) {
            return Err(CatalogError::new(
                ErrorKind::UnknownComputeNode,
                format!("compute node does not exists[{unknown}]"),
            ));
        }
        for id in nodes {
            if let Some(state) = states.get_mut(id) {
                state.take_order(order, Instant::now());
            }
        }
        drop(states);
        self.inner.queue.has_changed();
        Ok(())
    }

    /// The nodes of a warehouse that may get loads, as soon as there are any. None where no node of it is known, or none came
    /// in time.
    pub async fn load_route_when_available(&self, warehouse: &str, what: &str, patience: Patience) -> Route {
        let (began, mut longest) = (Instant::now(), Duration::ZERO);
        loop {
            let mut changed = std::pin::pin!(self.inner.queue.changes());
            changed.as_mut().enable();
            let route = self.load_route(warehouse, what);
            let is_known = || self.catalog().compute_nodes().any(|node| node.warehouse == warehouse);
            if !route.nodes().is_empty() || !is_known() {
                return route;
            }
            if !(self.has_changed_in_time(warehouse, patience, &mut longest, began, changed)).await {
                return route;
            }
        }
    }

    /// A client is sent to a node of a route that is still held. Returns the number that [`Core::has_arrived`] wants with the load.
    #[must_use]
    pub fn expect_at(&self, node: NodeId) -> u64 {
        // By chance, so that a client that a frontend sent before its restart is not taken for another one.
        let redirect = rand::random();
        if let Some(state) = self.inner.nodes.lock().get_mut(&node) {
            state.expect(redirect, Instant::now());
        }
        redirect
    }

    /// A node begins the load of a client that was sent there. From now on its heartbeats tell of the load.
    pub fn has_arrived(&self, redirect: u64) {
        for state in self.inner.nodes.lock().values_mut() {
            state.expected.remove(&redirect);
        }
    }

    /// How long a statement on a warehouse may take, so that a drain of its nodes cuts nothing off; `None` for as long as it likes.
    /// See [`NodeView::longest_statement`].
    #[must_use]
    pub fn longest_statement(&self, warehouse: &str) -> Option<Duration> {
        let nodes = self.nodes();
        let of_warehouse = nodes.iter().filter(|view| view.node.warehouse == warehouse);
        of_warehouse.filter_map(NodeView::longest_statement).min()
    }

    /// What to do about a warehouse without a node that takes work: upgrade what does not fit, use a warehouse that has some, with
    /// `choose` as the words for it, or wait for the compute.
    #[must_use]
    pub fn instead_of(&self, warehouse: &str, choose: &str) -> String {
        let nodes = self.nodes();
        let advice = Self::without(&nodes, warehouse, choose);
        let misfit = nodes
            .iter()
            .filter(|view| view.node.warehouse == warehouse && view.alive)
            .find_map(|view| Some((&view.node.host, NodeView::misfit(view.reply.as_ref()?)?)));
        match misfit {
            Some((host, why)) => format!("compute node {host} {why}; {advice}"),
            None => advice,
        }
    }

    fn without(nodes: &[NodeView], warehouse: &str, choose: &str) -> String {
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
        let mut states = self.inner.nodes.lock();
        let Some(state) = states.get_mut(&node) else { return };
        // No drain ends while a statement has a route to the node.
        if state.is_cut_off() {
            self.inner.metrics.nodes_cut_off.inc();
        }
        if state.view.alive {
            tracing::warn!(%node, host = state.view.node.host, "a statement could not reach a compute node");
            state.view.alive = false;
            "a statement could not reach it".clone_into(&mut state.view.err_msg);
        }
    }

    async fn heartbeat(&self, node: &ComputeNode) {
        let (known_draining, settled_since, cut_off) = {
            let mut states = self.inner.nodes.lock();
            let Some(state) = states.get_mut(&node.id) else { return };
            if state.lapse(Instant::now()) {
                self.inner.queue.has_changed();
            }
            let cut_off = state.order.is_some_and(|order| order.forced);
            (state.leaving, state.settled_since(Instant::now()), cut_off)
        };
        let request = HeartbeatRequest {
            cluster_id: self.inner.cluster_id,
            epoch: self.inner.epoch,
            node_id: node.id,
            frontend_rpc_url: self.inner.rpc_url.clone(),
            known_draining,
            settled: settled_since.is_some(),
            cut_off,
            protocol: PROTOCOL_VERSION,
        };
        let answer = self
            .inner
            .rpc
            .heartbeat(&node.host, node.heartbeat_port, &request)
            .await;
        let now_ms = self.now_ms();
        let allowed = self.inner.settings.borrow().heartbeat_retry_times;
        let mut states = self.inner.nodes.lock();
        let Some(state) = states.get_mut(&node.id) else {
            return;
        };
        match answer {
            Ok((reply, address)) => {
                let before = state.takes();
                let runs_since_ms = reply.start_time_ms;
                let is_news = state.leaving && !state.cut_off;
                let is_another = state.answered(reply, address, settled_since, now_ms);
                if before < state.takes() {
                    self.inner.queue.has_changed();
                }
                drop(states);
                if is_another && self.abort_loads_of(node.id, Some(runs_since_ms)) > 0 && is_news {
                    self.inner.metrics.nodes_cut_off.inc();
                }
            }
            Err(error) => {
                self.inner.metrics.heartbeat_failed.inc();
                let address = format!("{}:{}", node.host, node.heartbeat_port);
                state.failed(&format!("heartbeat to {address} failed: {error}"), allowed);
            }
        }
    }
}

impl State {
    fn new(node: Arc<ComputeNode>) -> Self {
        Self {
            view: NodeView::new(node),
            failures: 0,
            order: None,
            leaving: false,
            cut_off: false,
            unrouted_since: None,
            found_idle: false,
            routes: BTreeMap::new(),
            expected: BTreeMap::new(),
            dropped: CancellationToken::new(),
        }
    }

    fn view(&self) -> NodeView {
        NodeView {
            drain: match (self.leaving, self.order.is_some()) {
                (true, _) => DrainState::Leaving,
                (false, true) if self.found_idle && self.routes.is_empty() => DrainState::Drained,
                (false, true) => DrainState::Draining,
                (false, false) => DrainState::None,
            },
            order: self.order.map(|order| OrderView {
                forced: order.forced,
                lasts: order.lapses.saturating_duration_since(Instant::now()),
            }),
            drains_for: self.unrouted_since.map(|since| since.elapsed()),
            routes: self.routes.values().cloned().chain(self.expected_clients()).collect(),
            ..self.view.clone()
        }
    }

    /// Whether it is lost on its way out with work, and nobody knew yet.
    fn is_cut_off(&mut self) -> bool {
        let is_news = self.leaving && !self.cut_off;
        self.cut_off |= is_news;
        is_news
    }

    /// Whether it takes loads, and statements too: more than before is what those may go on for who wait.
    fn takes(&self) -> (bool, bool) {
        let view = self.view();
        (view.takes_loads(), view.is_available())
    }

    fn take_order(&mut self, order: DrainOrder, now: Instant) {
        let given = |forced| Order {
            forced,
            lapses: now + ORDER_LASTS,
        };
        let before = self.order.map(|order| order.forced);
        self.order = match order {
            DrainOrder::Cancel => None,
            DrainOrder::Drain => Some(given(false)),
            DrainOrder::Force => Some(given(true)),
        };
        if before != self.order.map(|order| order.forced) {
            let (node, host) = (self.view.node.id, &self.view.node.host);
            tracing::info!(%node, host, ?order, "the drain of a compute node is ordered or taken back");
        }
        self.unrouted();
    }

    /// Forgets an order that was not given again in time; answers whether there was one.
    fn lapse(&mut self, now: Instant) -> bool {
        let lapsed = self.order.is_some_and(|order| order.lapses <= now);
        if lapsed {
            let (node, host) = (self.view.node.id, &self.view.node.host);
            tracing::warn!(%node, host, "nobody gave the order to drain a compute node again; it takes work again");
            self.order = None;
            self.unrouted();
        }
        lapsed
    }

    /// Takes note of whether new routes may lead here.
    fn unrouted(&mut self) {
        if self.order.is_none() && !self.leaving {
            self.unrouted_since = None;
            self.found_idle = false;
        } else if self.unrouted_since.is_none() {
            self.unrouted_since = Some(Instant::now());
        }
    }

    fn expect(&mut self, redirect: u64, now: Instant) {
        self.expected.insert(redirect, now + REDIRECT_LINGER);
    }

    /// For people.
    fn expected_clients(&self) -> Option<Arc<str>> {
        let clients = self.expected.len();
        (clients > 0).then(|| format!("redirected Stream Loads that have not begun: {clients}").into())
    }

    /// Since when it gets no new route, if nothing that has one, or was sent there, is on its way any more.
    fn settled_since(&mut self, now: Instant) -> Option<Instant> {
        self.expected.retain(|_, until| *until > now);
        let nothing_comes = self.routes.is_empty() && self.expected.is_empty();
        self.unrouted_since.filter(|_| nothing_comes)
    }

    /// `settled_since` is from when the heartbeat was sent. What was routed anew meanwhile the answer does not tell of. Says whether
    /// another process answers than before, or the first one.
    fn answered(
        &mut self,
        reply: HeartbeatReply,
        address: Option<IpAddr>,
        settled_since: Option<Instant>,
        now_ms: u64,
    ) -> bool {
        let (id, host) = (self.view.node.id, self.view.node.host.clone());
        let last_start_ms = self.view.last_start_ms;
        let is_another = last_start_ms != Some(reply.start_time_ms);
        if is_another && last_start_ms.is_some() {
            tracing::info!(node = %id, host, "a compute node was restarted");
            // Whoever ordered the drain meant the process that has ended.
            self.order = None;
            self.cut_off = false;
        }
        if !self.view.alive || self.leaving != reply.draining {
            tracing::info!(node = %id, host, draining = reply.draining, "a compute node is alive");
        }
        let misfit = NodeView::misfit(&reply).unwrap_or_default();
        if !misfit.is_empty() && self.view.err_msg != misfit {
            tracing::warn!(node = %id, host, misfit, "a compute node is of a release that does not fit this one");
        }
        self.failures = 0;
        self.leaving = reply.draining;
        let nothing_came = settled_since.is_some() && settled_since == self.unrouted_since;
        self.found_idle = nothing_came && reply.running_fragments == 0 && reply.running_loads == 0;
        self.unrouted();
        let view = &mut self.view;
        view.alive = true;
        view.address = address;
        view.last_heartbeat_ms = Some(now_ms);
        view.last_start_ms = Some(reply.start_time_ms);
        view.err_msg = misfit;
        view.reply = Some(reply);
        is_another
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
    // Those that are there at the start may have been sent clients by the process before this one.
    let mut is_start = true;
    loop {
        let catalog = Arc::clone(&catalogs.borrow_and_update());
        let mut gone = Vec::new();
        let added: Vec<(Arc<ComputeNode>, CancellationToken)> = {
            let mut states = core.inner.nodes.lock();
            states.retain(|id, state| {
                let stays = catalog.compute_node(*id).is_some();
                if !stays {
                    state.dropped.cancel();
                    gone.push((*id, state.is_cut_off()));
                }
                stays
            });
            let unknown = catalog.compute_nodes().filter(|node| !states.contains_key(&node.id));
            let unknown: Vec<Arc<ComputeNode>> = unknown.cloned().collect();
            unknown
                .into_iter()
                .map(|node| {
                    let mut state = State::new(Arc::clone(&node));
                    if is_start {
                        state.expect(rand::random(), Instant::now());
                    }
                    let dropped = state.dropped.clone();
                    states.insert(node.id, state);
                    (node, dropped)
                })
                .collect()
        };
        is_start = false;
        for (id, is_news) in gone {
            if core.abort_loads_of(id, None) > 0 && is_news {
                core.inner.metrics.nodes_cut_off.inc();
            }
        }
        // The last node of a warehouse may be gone.
        core.inner.queue.has_changed();
        for (node, dropped) in added {
            core.spawn(beat(core.clone(), node, dropped));
        }
        if catalogs.changed().await.is_err() {
            return;
        }
    }
}

async fn beat(core: Core, node: Arc<ComputeNode>, dropped: CancellationToken) {
    let mut settings = core.watch_settings();
    let beats = async {
        loop {
            let begun = Instant::now();
            core.heartbeat(&node).await;
            until_next_beat(begun, &mut settings).await;
        }
    };
    tokio::select! {
        () = dropped.cancelled() => {}
        () = beats => {}
    }
}

/// Waits until the interval since `begun` is over, however often it changes meanwhile.
async fn until_next_beat(begun: Instant, settings: &mut watch::Receiver<FrontendConfig>) {
    loop {
        let interval_ms = settings.borrow_and_update().heartbeat_interval_ms;
        let due = begun + Duration::from_millis(interval_ms).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let changed = async {
            // Nobody changes them any more: the interval stays.
            if settings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(due) => return,
            () = changed => {}
        }
    }
}

#[cfg(test)]
mod tests;
