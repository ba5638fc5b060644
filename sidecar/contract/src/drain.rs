//! The drain protocol: how a compute node leaves without a failed statement.
//!
//! ```text
//! kubelet --preStop GET /drain/<key>--> sidecar --POST /internal/v1/drain--> CN  (cordon: heartbeats now say Draining)
//!                                       sidecar --GET  /internal/v1/status-> CN  (until observed by the FE and idle)
//! kubelet <-------- 200, idle or deadline -------- sidecar
//! ```
//!
//! The kubelet sends SIGTERM when the hook answers, whatever it answers: so the answer itself is what is withheld.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// CN, `POST`: start draining; idempotent. Body [`DrainRequest`], answer [`NodeStatus`].
pub const DRAIN_PATH: &str = "/internal/v1/drain";
/// CN, `POST`: cancel a drain; idempotent. Answer [`NodeStatus`].
pub const UNDRAIN_PATH: &str = "/internal/v1/undrain";
/// CN, `GET`: answer [`NodeStatus`].
pub const STATUS_PATH: &str = "/internal/v1/status";

/// A client of a Stream Load that a frontend has sent to a node, and that has not begun there after this time, does not come any more. A
/// lost packet costs it a second, a lost answer of a name server five.
pub const REDIRECT_LINGER: Duration = Duration::from_secs(8);

/// A drain that was ordered at a frontend and not ordered again lapses after this time: whoever ordered it may be gone for good,
/// and its nodes would never take work again.
pub const ORDER_LASTS: Duration = Duration::from_secs(60);

/// How long a frontend that is told to stop (SIGTERM) lets the statements and loads go on that run: it ends as soon as they have ended, and
/// takes nothing new from the end of [`FRONTEND_LAME_DUCK`] on. What is not over by then is ended. A pod has a little more, to end that and
/// to close the journal.
pub const FRONTEND_STOP: Duration = Duration::from_secs(45);

/// How long a frontend that is told to stop still takes connections, statements and loads while something runs that ran when it was told:
/// where it is the only one, its clients have nowhere else to go, and would wait for the longest statement of somebody else. What begins
/// in this time has the rest of [`FRONTEND_STOP`] at least.
pub const FRONTEND_LAME_DUCK: Duration = Duration::from_secs(25);
const _: () = assert!(FRONTEND_LAME_DUCK.as_secs() < FRONTEND_STOP.as_secs());

/// From the end of the longest work until a drain has seen it: how late it begins after its redirect, heartbeats, the sidecar's looks.
const LONGEST_WORK_MARGIN: Duration = Duration::from_secs(12);
/// A margin is this part of `drain.timeout` at most.
const LONGEST_WORK_MARGIN_PART: u32 = 4;

/// How long a statement or a load may take on a node whose drain lasts `drain_timeout` at most, so that a drain that begins just
/// after it cuts nothing off. `None` where there is no drain, and so no bound.
#[must_use]
pub fn longest_work(drain_timeout: Duration) -> Option<Duration> {
    if drain_timeout.is_zero() {
        return None;
    }
    let margin = LONGEST_WORK_MARGIN.min(drain_timeout / LONGEST_WORK_MARGIN_PART);
    Some(drain_timeout.saturating_sub(margin))
}

/// How long after its begin a load may still wait for the answer to its commit, where it wrote for as long as it may: a frontend that starts
/// anew meanwhile does not keep it until the drain cuts it off. `None` where there is no drain.
#[must_use]
pub fn longest_commit(drain_timeout: Duration) -> Option<Duration> {
    let longest = longest_work(drain_timeout)?;
    Some(longest + drain_timeout.saturating_sub(longest) / 2)
}

/// Why a node is asked to drain; shown in its log and status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainRequest {
    /// Free text for people, for example `preStop`.
    pub reason: String,
}

/// Whether a node takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Takes new work.
    Ready,
    /// Finishes what it has; the frontend stops routing to it once a heartbeat has told it.
    Draining,
}

/// What a compute node says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Whether the node takes new work.
    pub state: NodeState,
    /// Whether the frontend has read `state` by a heartbeat since it last changed, and, while draining, whether no statement of
    /// its can reach the node any more.
    pub observed_by_frontend: bool,
    /// Query fragments that run here.
    pub running_fragments: u64,
    /// Loads that run here, Stream Loads and ingest tasks alike.
    pub running_loads: u64,
    /// Whether nobody waits any more for what runs here: the frontend was told so by `ALTER SYSTEM DRAIN COMPUTE NODE … FORCE`.
    #[serde(default)]
    pub cut_off: bool,
}

impl NodeStatus {
    /// Whether the node may be stopped: it is draining, the frontend knows, and nothing runs.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.state == NodeState::Draining
            && self.observed_by_frontend
            && self.running_fragments == 0
            && self.running_loads == 0
    }
}

/// The last path segment of the hook's URL: 64 lower-case hexadecimal digits.
///
/// A `preStop` hook cannot read a Secret, and whoever may read a pod may read the hook's path. So the path carries a digest, which
/// opens the drain sidecar and nothing else: the cluster token cannot be had from it.
#[must_use]
pub fn drain_key(token: &str) -> String {
    hex::encode(Sha256::digest(format!("drain:{token}")))
}

/// Whether `key` is the [`drain_key`] of `token`, in a time that does not depend on where they differ.
#[must_use]
pub fn is_drain_key(key: &str, token: &str) -> bool {
    Sha256::digest(key) == Sha256::digest(drain_key(token))
}

#[cfg(test)]
mod tests;
