//! How long those who need compute wait for it.

use std::{pin::Pin, time::Duration};

use tokio::{sync::futures::Notified, time::Instant};

use super::{Core, DrainState, NodeView};

/// From the end of a node's drain until the node in its place takes work.
const REPLACED_WITHIN: Duration = Duration::from_secs(60);

/// How long a statement or a load waits for compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For so long, whatever the nodes do: somebody has said so.
    Exactly(Duration),
    /// For so long, and longer where a node of the warehouse is on its way out: until the node in its place can be there.
    AtLeast(Duration),
}

impl Patience {
    /// That of a Stream Load, whose client cannot say any.
    pub const STREAM_LOAD: Self = Self::AtLeast(Duration::from_secs(60));

    /// How long it is while the nodes of the warehouse are these. A node that is on its way out may finish its work for as long as its
    /// drain lasts, and takes nothing new meanwhile: where it is the only one, there is no compute before it is replaced.
    #[must_use]
    pub fn amid<'a>(self, nodes: impl IntoIterator<Item = &'a NodeView>) -> Duration {
        let usual = match self {
            Self::Exactly(longest) => return longest,
            Self::AtLeast(usual) => usual,
        };
        nodes
            .into_iter()
            .filter(|view| view.drain != DrainState::None)
            .filter_map(|view| view.reply.as_ref())
            .map(|reply| Duration::from_secs(reply.drain_timeout_s).saturating_add(REPLACED_WITHIN))
            .fold(usual, Duration::max)
    }
}

impl Core {
    /// How long somebody with this patience may wait for compute of a warehouse, as its nodes are now.
    #[must_use]
    pub fn longest_wait(&self, warehouse: &str, patience: Patience) -> Duration {
        if let Patience::Exactly(longest) = patience {
            return longest;
        }
        let nodes = self.nodes();
        patience.amid(nodes.iter().filter(|view| view.node.warehouse == warehouse))
    }

    /// Waits for a change that one who waits since `began` may go on for; `false` where none came in time. `longest` is how long it may wait
    /// in all, and grows where a node has begun to leave: that it has left, and another one serves, ends nobody's wait who is still in line.
    pub(super) async fn has_changed_in_time(
        &self,
        warehouse: &str,
        patience: Patience,
        longest: &mut Duration,
        began: Instant,
        change: Pin<&mut Notified<'_>>,
    ) -> bool {
        *longest = self.longest_wait(warehouse, patience).max(*longest);
        let left = longest.saturating_sub(began.elapsed());
        if tokio::time::timeout(left, change).await.is_ok() {
            return true;
        }
        *longest = self.longest_wait(warehouse, patience).max(*longest);
        began.elapsed() < *longest
    }
}

#[cfg(test)]
mod tests;
