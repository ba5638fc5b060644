//! What a node knows of itself: whether it drains, who its frontend is, and what runs on it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use springtide_contract::drain::{NodeState, NodeStatus};
use springtide_model::{ClusterId, Epoch, NodeId};
use springtide_rpc::message::{HeartbeatRequest, OLDEST_PROTOCOL_VERSION, understands};

/// The state of this compute node, shared by all its doors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cluster_id: ClusterId,
    standing: Mutex<Standing>,
    running_loads: AtomicU64,
    loads_total: AtomicU64,
}

/// What heartbeats and drains change, all under one lock.
#[derive(Clone, Debug, Default)]
struct Standing {
    draining: bool,
    /// When it began to drain, while it does.
    draining_since: Option<Instant>,
    observed: bool,
    cut_off: bool,
    epoch: Epoch,
    frontend: Option<Frontend>,
}

/// The frontend that this node answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Base URL of its RPC port.
    pub rpc_url: String,
    /// This node's id in its catalog.
    pub node_id: NodeId,
}

/// Why a heartbeat or a write is refused: the caller is not, or no longer, this node's frontend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// A frontend of another cluster has the address of this node in its catalog.
    #[error("this compute node belongs to cluster {ours}, not to {theirs}; drop it from the other cluster")]
    ForeignCluster {
        /// This node's cluster.
        ours: ClusterId,
        /// The caller's.
        theirs: ClusterId,
    },
    /// The caller speaks a version of the messages that this node no longer understands.
    #[error(
        "this frontend speaks version {theirs} of the internal messages, this compute node understands them from {OLDEST_PROTOCOL_VERSION} \
         on; upgrade the frontend"
    )]
    FrontendTooOld {
        /// The caller's version.
        theirs: u32,
    },
    /// The metadata was restored meanwhile: the caller works on an abandoned timeline.
    #[error("epoch {theirs} is over: this compute node has seen epoch {ours}")]
    StaleEpoch {
        /// The highest epoch seen.
        ours: Epoch,
        /// The caller's.
        theirs: Epoch,
    },
}

impl Node {
    /// A node that is ready and has not heard of a frontend.
    #[must_use]
    pub fn new(cluster_id: ClusterId) -> Self {
        let shared = Shared {
            cluster_id,
            standing: Mutex::default(),
            running_loads: AtomicU64::new(0),
            loads_total: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes note of a heartbeat and returns whether the node drains. That is observed once a later heartbeat says that the
    /// frontend knows: an answer that is on its way has changed nothing yet; and that nothing which it sent before is on its way
    /// any more.
    ///
    /// # Errors
    /// When the caller is not this node's frontend.
    pub fn heartbeat(&self, request: &HeartbeatRequest) -> Result<bool, Fenced> {
        let ours = self.shared.cluster_id;
        if request.cluster_id != ours {
            return Err(Fenced::ForeignCluster {
                ours,
                theirs: request.cluster_id,
            });
        }
        if !understands(request.protocol) {
            return Err(Fenced::FrontendTooOld {
                theirs: request.protocol,
            });
        }
        let mut standing = self.standing();
        raise_epoch(&mut standing, request.epoch)?;
        standing.frontend = Some(Frontend {
            rpc_url: request.frontend_rpc_url.clone(),
            node_id: request.node_id,
        });
        standing.cut_off = request.cut_off;
        standing.observed = request.known_draining == standing.draining && (request.settled || !standing.draining);
        Ok(standing.draining)
    }

    /// Checks that a write comes from the current timeline.
    ///
    /// # Errors
    /// When a higher epoch was seen.
    pub fn check_epoch(&self, epoch: Epoch) -> Result<(), Fenced> {
        raise_epoch(&mut self.standing(), epoch)
    }

    /// The frontend of the last heartbeat.
    #[must_use]
    pub fn frontend(&self) -> Option<Frontend> {
        self.standing().frontend.clone()
    }

    /// Starts or cancels a drain. Doing so twice changes nothing.
    pub fn set_draining(&self, draining: bool) {
        let mut standing = self.standing();
        if standing.draining != draining {
            standing.draining = draining;
            standing.draining_since = draining.then(Instant::now);
            standing.observed = false;
        }
    }

    /// Whether new loads are refused. A drain alone is no reason: until the frontend has nothing more on its way, clients that it
    /// sent here a moment ago still come.
    #[must_use]
    pub fn refuses_loads(&self) -> bool {
        let standing = self.standing();
        standing.draining && standing.observed
    }

    /// Whether the node finishes what it has, to stop then.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.standing().draining
    }

    /// How long the node has drained; zero while it does not.
    #[must_use]
    pub fn drains_for(&self) -> Duration {
        let since = self.standing().draining_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The node's own words, for the drain protocol.
    #[must_use]
    pub fn status(&self, running_fragments: u64) -> NodeStatus {
        let standing = self.standing();
        NodeStatus {
            state: if standing.draining {
                NodeState::Draining
            } else {
                NodeState::Ready
            },
            // Nothing was ever sent to a node that no frontend has heard of, and to its first heartbeat it says that it drains.
            observed_by_frontend: standing.observed || standing.frontend.is_none(),
            running_fragments,
            running_loads: self.running_loads(),
            cut_off: standing.cut_off,
        }
    }

    /// Counts a load as running until the guard is dropped.
    #[must_use]
    pub fn begin_load(&self) -> LoadGuard {
        self.shared.running_loads.fetch_add(1, SeqCst);
        self.shared.loads_total.fetch_add(1, SeqCst);
        LoadGuard {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Loads that run now.
    #[must_use]
    pub fn running_loads(&self) -> u64 {
        self.shared.running_loads.load(SeqCst)
    }

    /// Loads since the process started.
    #[must_use]
    pub fn loads_total(&self) -> u64 {
        self.shared.loads_total.load(SeqCst)
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        // Every critical section here leaves the value whole, so a poisoned lock still guards a valid one.
        self.shared.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise_epoch(standing: &mut Standing, theirs: Epoch) -> Result<(), Fenced> {
    if theirs < standing.epoch {
        return Err(Fenced::StaleEpoch {
            ours: standing.epoch,
            theirs,
        });
    }
    standing.epoch = theirs;
    Ok(())
}

/// A load that runs; see [`Node::begin_load`].
#[derive(Debug)]
pub struct LoadGuard {
    shared: Arc<Shared>,
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.shared.running_loads.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests;
