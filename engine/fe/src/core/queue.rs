//! Who waits for compute: statements of a warehouse whose nodes are all away, or all busy.
//!
//! A node has so many *slots*, one for each statement that runs on its warehouse. Where all are taken, or no node takes work at
//! present, a statement waits in line instead of failing: a node that is being replaced, a group that is being woken, a peak that
//! more nodes are on their way for. `SHOW WAREHOUSES` tells how many wait and how many nodes would let them all run; the operator
//! reads that.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{Core, Patience, Route};

/// Statements that run at once on one core of a node.
const SLOTS_PER_CORE: u32 = 4;

/// The lines of all warehouses.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: Mutex<BTreeMap<String, Line>>,
    /// Something has changed that a waiting statement may go on for.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Line {
    running: u32,
    /// In the order in which they came, with when they did.
    waiting: BTreeMap<u64, Instant>,
    next_ticket: u64,
}

/// What became of a statement that wants compute.
#[derive(Debug)]
pub enum Admission {
    /// It may use these nodes.
    Admitted(Route),
    /// No node of the warehouse is known, so that waiting would be in vain.
    NoNodes,
    /// It waited as long as it may.
    TimedOut(Wait),
}

/// What a statement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// No node of the warehouse takes work at present.
    AllAway,
    /// All slots are taken.
    AllBusy,
}

impl Wait {
    /// In the words of `SHOW PROCESSLIST`, with the longest that it may take.
    #[must_use]
    pub fn told(self, longest: Duration) -> String {
        let why = match self {
            Self::AllAway => "no node of the warehouse takes work",
            Self::AllBusy => "all slots of the warehouse are taken",
        };
        format!("waiting for compute, {} s at most: {why}", longest.as_secs())
    }
}

/// What the statements of a warehouse ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Statements that run on its nodes.
    pub running: u32,
    /// Statements that wait.
    pub waiting: u32,
    /// Nodes with which all of them would run.
    pub required_nodes: u32,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next change that a waiting statement may go on for.
    pub(super) fn changes(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Wakes those who wait, to look again.
    pub(super) fn has_changed(&self) {
        self.changed.notify_waiters();
    }

    /// A statement has ended.
    fn leave(&self, warehouse: &str) {
        if let Some(line) = self.lock().get_mut(warehouse) {
            line.running = line.running.saturating_sub(1);
        }
        self.has_changed();
    }
}

/// A place in a line, given up when dropped.
struct Ticket<'a> {
    core: &'a Core,
    warehouse: &'a str,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let queue = &self.core.inner.queue;
        if let Some(line) = queue.lock().get_mut(self.warehouse) {
            line.waiting.remove(&self.number);
        }
        queue.has_changed();
    }
}

/// A slot of a warehouse, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    core: Core,
    warehouse: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.core.inner.queue.leave(&self.warehouse);
    }
}

impl Core {
    /// Nodes and a slot for one statement, as soon as there are any; `waits` is told what it waits for, whenever that changes, and for
    /// how long at most, as the nodes are then.
    pub async fn admit(
        &self,
        warehouse: &str,
        what: &str,
        patience: Patience,
        mut waits: impl FnMut(Wait, Duration),
    ) -> Admission {
        let (began, mut longest) = (Instant::now(), Duration::ZERO);
        // One that goes on at once has not waited: nobody may see it in the line, and bring nodes for it.
        let mut ticket = None;
        let mut told = None;
        loop {
            // Registered before the look, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.inner.queue.changes());
            changed.as_mut().enable();
            let wait = match self.try_admit(warehouse, ticket.as_ref(), what) {
                Ok(route) => return Admission::Admitted(route),
                Err(wait) => wait,
            };
            if !self.catalog().compute_nodes().any(|node| node.warehouse == warehouse) {
                return Admission::NoNodes;
            }
            ticket.get_or_insert_with(|| self.ticket(warehouse));
            longest = self.longest_wait(warehouse, patience).max(longest);
            if told != Some((wait, longest)) {
                told = Some((wait, longest));
                waits(wait, longest);
            }
            let goes_on = self.has_changed_in_time(warehouse, patience, &mut longest, began, changed);
            if !goes_on.await {
                return Admission::TimedOut(wait);
            }
        }
    }

    /// The same for a statement that does not wait.
    #[must_use]
    pub fn admit_now(&self, warehouse: &str, what: &str) -> Option<Route> {
        self.try_admit(warehouse, None, what).ok()
    }

    /// The last place in the line.
    fn ticket<'a>(&'a self, warehouse: &'a str) -> Ticket<'a> {
        let mut lines = self.inner.queue.lock();
        let line = lines.entry(warehouse.to_owned()).or_default();
        line.next_ticket += 1;
        line.waiting.insert(line.next_ticket, Instant::now());
        Ticket {
            core: self,
            warehouse,
            number: line.next_ticket,
        }
    }

    /// For the first in the line; without a ticket, where nobody waits.
    fn try_admit(&self, warehouse: &str, ticket: Option<&Ticket<'_>>, what: &str) -> Result<Route, Wait> {
        let mut lines = self.inner.queue.lock();
        let route = self.route(warehouse, what);
        if route.nodes().is_empty() {
            return Err(Wait::AllAway);
        }
        let slots: u32 = route.nodes().iter().map(|view| slots(view.cpu_cores())).sum();
        let line = lines.entry(warehouse.to_owned()).or_default();
        let number = ticket.map(|ticket| ticket.number);
        let is_next = line
            .waiting
            .first_key_value()
            .is_none_or(|(first, _)| Some(*first) == number);
        if !is_next || line.running >= slots {
            return Err(Wait::AllBusy);
        }
        line.running += 1;
        if let Some(number) = number {
            line.waiting.remove(&number);
        }
        Ok(route.with_slot(Slot {
            core: self.clone(),
            warehouse: warehouse.to_owned(),
        }))
    }

    /// How long the first in the line of a warehouse has waited; zero where nobody waits.
    #[must_use]
    pub fn first_waits_for(&self, warehouse: &str) -> Duration {
        let lines = self.inner.queue.lock();
        let first = lines.get(warehouse).and_then(|line| line.waiting.first_key_value());
        first.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// What the statements of a warehouse ask for.
    #[must_use]
    pub fn demand(&self, warehouse: &str) -> Demand {
        let (running, waiting) = {
            let lines = self.inner.queue.lock();
            lines.get(warehouse).map_or((0, 0), |line| {
                (line.running, u32::try_from(line.waiting.len()).unwrap_or(u32::MAX))
            })
        };
        // A node that is away said how large it is when it was there.
        let nodes = self.nodes();
        let of_warehouse = nodes.iter().filter(|view| view.node.warehouse == warehouse);
        let per_node = of_warehouse.map(|view| slots(view.cpu_cores())).max();
        let required_nodes = running
            .saturating_add(waiting)
            .div_ceil(per_node.unwrap_or(SLOTS_PER_CORE));
        Demand {
            running,
            waiting,
            required_nodes,
        }
    }
}

fn slots(cpu_cores: u32) -> u32 {
    cpu_cores.max(1).saturating_mul(SLOTS_PER_CORE)
}
