//! What may be known of a compute node, as `SHOW COMPUTE NODES` tells it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use springtide_contract::drain::longest_work;
use springtide_model::ComputeNode;
use springtide_query::PLAN_VERSION;
use springtide_rpc::message::{HeartbeatReply, OLDEST_PROTOCOL_VERSION, understands};

/// A compute node and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its record.
    pub node: Arc<ComputeNode>,
    /// Whether it answers.
    pub alive: bool,
    /// Where it answered last.
    pub address: Option<IpAddr>,
    /// How far it is on its way out.
    pub drain: DrainState,
    /// The drain that is ordered, if one is.
    pub order: Option<OrderView>,
    /// How long it has had no new route, whatever the time of day is.
    pub drains_for: Option<Duration>,
    /// The statements that have a route to it, for people.
    pub routes: Vec<Arc<str>>,
    /// Its last good heartbeat, milliseconds since 1970.
    pub last_heartbeat_ms: Option<u64>,
    /// When its process started, milliseconds since 1970.
    pub last_start_ms: Option<u64>,
    /// Why it is not alive, or is of a release that gets no work from this frontend; empty when all is well.
    pub err_msg: String,
    /// What it said last.
    pub reply: Option<HeartbeatReply>,
}

/// How far a node is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainState {
    /// It takes work.
    #[default]
    None,
    /// A drain was ordered: it gets nothing new and finishes what it has.
    Draining,
    /// An ordered drain has ended: nothing runs there, and nothing is on its way there.
    Drained,
    /// It was told to stop, by its own word.
    Leaving,
}

/// An order to drain a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Nobody waits for what runs there when the node is stopped.
    pub forced: bool,
    /// Until it lapses.
    pub lasts: Duration,
}

impl DrainState {
    /// The word in `SHOW COMPUTE NODES`; empty for a node that takes work.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Draining => "DRAINING",
            Self::Drained => "DRAINED",
            Self::Leaving => "LEAVING",
        }
    }
}

impl NodeView {
    /// How long a statement may take here, so that a drain cuts nothing off; `None` for as long as it likes. See [`longest_work`]. What a
    /// node that is away said last does not count: it may come back with another `drain.timeout`, and says so before it takes work.
    #[must_use]
    pub fn longest_statement(&self) -> Option<Duration> {
        let reply = self.reply.as_ref().filter(|_| self.alive)?;
        longest_work(Duration::from_secs(reply.drain_timeout_s))
    }

    pub(super) fn new(node: Arc<ComputeNode>) -> Self {
        Self {
            node,
            alive: false,
            address: None,
            drain: DrainState::None,
            order: None,
            drains_for: None,
            routes: Vec::new(),
            last_heartbeat_ms: None,
            last_start_ms: None,
            err_msg: String::new(),
            reply: None,
        }
    }

    /// One of its ports as URLs have it: at the address where it answered. Its name may lead a resolver for half a minute yet to the pod that
    /// had it before.
    #[must_use]
    pub fn authority(&self, port: u16) -> String {
        let host = &self.node.host;
        match self.address {
            Some(address) => SocketAddr::new(address, port).to_string(),
            None if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
            None => format!("{host}:{port}"),
        }
    }

    /// Whether it may get any work: statements and loads.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.takes_loads() && self.reply.as_ref().is_some_and(|reply| reply.plans.reads(PLAN_VERSION))
    }

    /// Whether it may get loads, which need no plan.
    #[must_use]
    pub fn takes_loads(&self) -> bool {
        let is_understood = self.reply.as_ref().is_some_and(|reply| understands(reply.protocol));
        self.alive && self.drain == DrainState::None && is_understood
    }

    /// Why a node of another release gets no statements, or nothing at all, and what to do; `None` for one that fits.
    pub(super) fn misfit(reply: &HeartbeatReply) -> Option<String> {
        if !understands(reply.protocol) {
            let theirs = reply.protocol;
            return Some(format!(
                "speaks version {theirs} of the internal messages, this frontend understands them from {OLDEST_PROTOCOL_VERSION} on; \
                 upgrade the node first"
            ));
        }
        let plans = reply.plans;
        let advice = if plans.newest < PLAN_VERSION {
            "upgrade the node first"
        } else {
            "upgrade the frontend"
        };
        (!plans.reads(PLAN_VERSION))
            .then(|| format!("reads plans of {plans}, this frontend writes {PLAN_VERSION}; {advice}"))
    }

    /// Processor cores by its last word; 0 before the first.
    #[must_use]
    pub fn cpu_cores(&self) -> u32 {
        self.reply.as_ref().map_or(0, |reply| reply.cpu_cores)
    }
}
