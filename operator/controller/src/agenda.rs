//! Which object is looked at next.
//!
//! Each object is on it once, however much is told of it: what is made in a step comes as a burst, a StatefulSet, its pods, their
//! addresses, their readiness, and one look at the end of it sees all. Looks at the edge of a window go before all others. When a
//! thousand windows open at eight, what follows from the first ones, and the looks at what is starting, would otherwise come between
//! the opening of the others. Edges of one moment are in the order of their names: the groups of a cluster are looked at one after
//! the other, and what the engine answers to the first of them serves them all.
//!
//! An object that is being looked at is not taken a second time; what is asked meanwhile waits for the end of that look.
//!
//! What an edge will need may be foreseen by a look before it. Then it is done at the edge instead of a look, unless anything was told of
//! the object since; and beside a look that is under way, which may wait for a frontend that hangs.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
    time::{Duration, Instant},
};

/// How long a change waits for others of the same object. Those do not prolong it: an object to which something happens all the time
/// is looked at nevertheless.
const GATHERING: Duration = Duration::from_millis(150);

/// How much longer an object waits for its next look for each other that is to be looked at before: what a look costs this process, the
/// API server and a frontend. While a thousand groups start, each is not looked at each second.
const FOR_EACH: Duration = Duration::from_millis(20);
/// But no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Edges that are no further apart are of one moment. The time of day at which a window opens comes out a little different whenever it is
/// counted in time that passes.
const ONE_MOMENT: Duration = Duration::from_millis(50);

/// An object that is to be looked at now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look<Key> {
    pub(crate) key: Key,
    /// The change that led to the look, if one did.
    pub(crate) cause: Option<String>,
    /// The edge for which it was planned has come. Where the look fails, the next try goes before others, too.
    pub(crate) at_edge: bool,
}

/// The objects of one kind that are to be looked at, and those that are being looked at.
#[derive(Debug)]
pub(crate) struct Agenda<Key, Foreseen> {
    /// Edges that are looked at in full.
    edges: Line<Key>,
    /// Edges at which what was foreseen is done.
    acts: Line<Key>,
    foreseen: HashMap<Key, Foreseen>,
    /// Objects of which what was foreseen is being done.
    acting: HashSet<Key>,
    /// Edges are whole moments from here.
    begun: Instant,
    looks: Line<Key>,
    /// What the first change was that the next look at an object sees.
    causes: HashMap<Key, String>,
    under_way: HashSet<Key>,
}

impl<Key: Clone + Ord + Hash, Foreseen> Agenda<Key, Foreseen> {
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            edges: Line::new(),
            acts: Line::new(),
            foreseen: HashMap::new(),
            acting: HashSet::new(),
            begun,
            looks: Line::new(),
            causes: HashMap::new(),
            under_way: HashSet::new(),
        }
    }

    /// Something about the object has changed, by `cause`. What was foreseen of it may be wrong: its edge is looked at in full.
    pub(crate) fn changed(&mut self, key: Key, cause: String, now: Instant) {
        if let Some(edge) = self.acts.remove(&key) {
            self.foreseen.remove(&key);
            self.edges.put(key.clone(), edge);
        }
        self.causes.entry(key.clone()).or_insert(cause);
        self.looks.put(key, now + GATHERING);
    }

    /// The object is to be looked at after `wait`, if nothing changes before; the later the more others are, see [`FOR_EACH`].
    pub(crate) fn look_after(&mut self, key: Key, wait: Duration, now: Instant) {
        let others = u32::try_from(self.looks.until(now + wait)).unwrap_or(u32::MAX);
        let wait = wait.max(LONGEST_WAIT.min(wait + FOR_EACH.saturating_mul(others)));
        self.looks.put(key, now + wait);
    }

    /// Then or up to [`ONE_MOMENT`] later the object is to be looked at, before all others, or what is foreseen is to be done; or there
    /// is no such moment. What was planned and foreseen before is forgotten.
    pub(crate) fn plan_edge(&mut self, key: Key, then: Option<Instant>, foreseen: Option<Foreseen>) {
        self.edges.remove(&key);
        self.acts.remove(&key);
        self.foreseen.remove(&key);
        if let Some(then) = then {
            let after = then.saturating_duration_since(self.begun);
            let moments = after.as_nanos().div_ceil(ONE_MOMENT.as_nanos());
            let moments = u32::try_from(moments).unwrap_or(u32::MAX);
            let moment = self.begun + ONE_MOMENT.saturating_mul(moments);
            // What was told during the look that foresaw it, that look may not have seen.
            match foreseen.filter(|_| !self.causes.contains_key(&key)) {
                Some(foreseen) => {
                    self.foreseen.insert(key.clone(), foreseen);
                    self.acts.put(key, moment);
                }
                None => self.edges.put(key, moment),
            }
        }
    }

    /// The next object at whose edge something was foreseen, and what, if it is time for one. [`Agenda::acted`] ends it.
    pub(crate) fn take_foreseen(&mut self, now: Instant) -> Option<(Key, Foreseen)> {
        let key = self.acts.next(|key| self.acting.contains(key), now)?;
        self.acts.remove(&key);
        let foreseen = self.foreseen.remove(&key)?;
        self.acting.insert(key.clone());
        Some((key, foreseen))
    }

    /// What was foreseen of the object has been done, or not.
    pub(crate) fn acted(&mut self, key: &Key) {
        self.acting.remove(key);
    }

    /// The next object to look at, if it is time for one: among edges and among other looks the one that has waited longest. There is none
    /// while what was foreseen is due and waits.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Look<Key>> {
        if self.acts_wait(now) {
            return None;
        }
        let is_busy = |key: &Key| self.under_way.contains(key) || self.acting.contains(key);
        let next = self.edges.next(is_busy, now);
        let key = next.or_else(|| self.looks.next(is_busy, now))?;
        // Whatever was wanted of this object, the look that begins sees it. An edge that is still to come stays, in case it fails.
        let at_edge = self.edges.times.get(&key).is_some_and(|edge| *edge <= now);
        if at_edge {
            self.edges.remove(&key);
        }
        self.looks.remove(&key);
        self.under_way.insert(key.clone());
        let cause = self.causes.remove(&key);
        Some(Look { key, cause, at_edge })
    }

    /// Something that was foreseen is due, and nobody has taken it yet.
    pub(crate) fn acts_wait(&self, now: Instant) -> bool {
        self.next_act_at().is_some_and(|due| due <= now)
    }

    /// The look at the object has ended.
    pub(crate) fn done(&mut self, key: &Key) {
        self.under_way.remove(key);
    }

    /// When [`Agenda::take`] has something next, if no look ends and nothing is added before. It may have passed.
    pub(crate) fn next_look_at(&self) -> Option<Instant> {
        let is_busy = |key: &Key| self.under_way.contains(key) || self.acting.contains(key);
        let lines = [&self.edges, &self.looks];
        lines.into_iter().filter_map(|line| line.first(is_busy)).min()
    }

    /// The same of [`Agenda::take_foreseen`].
    pub(crate) fn next_act_at(&self) -> Option<Instant> {
        self.acts.first(|key| self.acting.contains(key))
    }

    /// How many objects are being looked at.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Of how many objects what was foreseen is being done.
    pub(crate) fn acting(&self) -> usize {
        self.acting.len()
    }
}

/// Objects in the order of their times. Each is in it once, at the earliest time that was asked for.
#[derive(Debug)]
struct Line<Key> {
    by_time: BTreeSet<(Instant, Key)>,
    times: HashMap<Key, Instant>,
}

impl<Key: Clone + Ord + Hash> Line<Key> {
    fn new() -> Self {
        Self {
            by_time: BTreeSet::new(),
            times: HashMap::new(),
        }
    }

    fn put(&mut self, key: Key, time: Instant) {
        if self.times.get(&key).is_some_and(|known| *known <= time) {
            return;
        }
        self.remove(&key);
        self.times.insert(key.clone(), time);
        self.by_time.insert((time, key));
    }

    /// How many are due by then.
    fn until(&self, then: Instant) -> usize {
        self.by_time.iter().take_while(|(time, _)| *time <= then).count()
    }

    fn remove(&mut self, key: &Key) -> Option<Instant> {
        let time = self.times.remove(key)?;
        self.by_time.remove(&(time, key.clone()));
        Some(time)
    }

    /// The busy ones are few, as many as may be looked at at once.
    fn first(&self, is_busy: impl Fn(&Key) -> bool) -> Option<Instant> {
        let free = self.by_time.iter().find(|(_, key)| !is_busy(key));
        free.map(|(time, _)| *time)
    }

    fn next(&self, is_busy: impl Fn(&Key) -> bool, now: Instant) -> Option<Key> {
        let due = self.by_time.iter().take_while(|(time, _)| *time <= now);
        let free = due.into_iter().find(|(_, key)| !is_busy(key));
        free.map(|(_, key)| key.clone())
    }
}

#[cfg(test)]
mod tests;
