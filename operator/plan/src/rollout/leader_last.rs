//! Frontends that elect one of them: followers are replaced first and the leader last, whatever their ordinals are.
//!
//! A leader of a newer version writes changes that followers of an older one cannot read, and no statement has it hand over. The partition
//! of a StatefulSet goes by ordinals alone, so meanwhile its controller replaces no pod (`OnDelete`): the operator deletes one after the
//! other, and what is made anew is of the new template. At the end the controller has the StatefulSet back, and finds nothing to do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{Begun, PodState, Pods, Progress, Replacement, is_of, state};
use crate::sql::FrontendRow;
use crate::trouble;

/// Changes that a follower may be behind the leader: it tells with its heartbeats, so it is always behind by what came since.
const NEAR: u64 = 1_000;

/// How the leader sees a frontend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    is_leader: bool,
    /// It answers, and has been there before.
    serves: bool,
    /// Changes of the leader that it has not told to have.
    behind: u64,
}

impl Standing {
    /// By the first part of the host, which is the pod's name. Empty where none leads: then nobody knows who serves.
    pub(crate) fn of(frontends: &[FrontendRow]) -> BTreeMap<String, Self> {
        let Some(leader) = frontends.iter().find(|row| row.is_leader && row.alive) else {
            return BTreeMap::new();
        };
        let newest = leader.journal_id.unwrap_or_default();
        frontends
            .iter()
            .filter_map(|row| {
                let standing = Self {
                    is_leader: row.host == leader.host,
                    serves: row.alive && !row.never_joined,
                    // An engine that does not tell keeps its journal by itself.
                    behind: row.journal_id.map_or(0, |has| newest.saturating_sub(has)),
                };
                Some((row.host.split('.').next()?.to_owned(), standing))
            })
            .collect()
    }

    fn counts(self) -> bool {
        self.serves && self.behind <= NEAR
    }
}

/// How far the roll is.
pub(crate) fn progress(
    live: &Value,
    begun: Begun,
    replicas: u32,
    pods: Pods<'_>,
    standings: &BTreeMap<String, Standing>,
) -> Progress {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
    let update = text("/status/updateRevision");
    let is_settled = update == text("/status/currentRevision");
    let is_ours = text("/spec/updateStrategy/type") == Some("OnDelete");
    let stateful_set = text("/metadata/name").unwrap_or_default();
    let mut old = Vec::new();
    let mut others = Vec::new();
    for ordinal in (0..replicas).rev() {
        let name = format!("{stateful_set}-{ordinal}");
        let pod = pods.pods.iter().find(|pod| trouble::name(pod) == name);
        match pod {
            Some(pod) if !is_of(pod, update) && !trouble::is_leaving(pod) => old.push(pod),
            pod => others.push((name, pod)),
        }
    }
    let is_mixed = !old.is_empty() || (is_ours && !is_settled);
    if is_settled && !begun.is_open && !is_mixed {
        return Progress::Done;
    }
    let replaced = replicas.saturating_sub(u32::try_from(old.len()).unwrap_or(u32::MAX));
    let wait = |waits_for: String| {
        if is_ours {
            Progress::Chosen {
                replaced,
                next: None,
                waits_for,
            }
        } else {
            Progress::Rolling {
                partition: 0,
                waits_for,
            }
        }
    };
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return wait("Kubernetes to take it up".to_owned());
    }
    if is_settled && !is_mixed {
        return Progress::Done;
    }
    let mut waits_for = None;
    for (name, pod) in others {
        match state(&name, pod, update, begun, pods) {
            PodState::Serves => waits_for = waits_for.or_else(|| lag(&name, standings)),
            PodState::Awaited(what) => waits_for = waits_for.or(Some(what)),
            PodState::Broken(why) => return Progress::Failed { why },
        }
    }
    if old.is_empty() {
        return match waits_for {
            Some(waits_for) => wait(waits_for),
            None if is_settled => Progress::Done,
            // The controller counts them, and has nothing to replace.
            None => Progress::Rolling {
                partition: 0,
                waits_for: "Kubernetes to count all pods".to_owned(),
            },
        };
    }
    if !is_ours {
        return Progress::Chosen {
            replaced,
            next: None,
            waits_for: "Kubernetes to replace no pod by itself".to_owned(),
        };
    }
    match choose(&old, waits_for, standings) {
        Ok(pod) => Progress::Chosen {
            replaced,
            next: Some(Replacement {
                name: trouble::name(pod).to_owned(),
                uid: pod.metadata.uid.clone(),
            }),
            waits_for: format!("pod {} to be replaced", trouble::name(pod)),
        },
        Err(waits_for) => wait(waits_for),
    }
}

/// What a follower of the new template still lacks that serves otherwise.
fn lag(pod: &str, standings: &BTreeMap<String, Standing>) -> Option<String> {
    let standing = standings.get(pod)?;
    (standing.behind > NEAR).then(|| format!("pod {pod} to have {} changes that the leader has", standing.behind))
}

/// The next one of the old pods, which come by their ordinals, the highest first; or what is waited for.
fn choose<'a>(
    old: &[&'a Pod],
    waits_for: Option<String>,
    standings: &BTreeMap<String, Standing>,
) -> Result<&'a Pod, String> {
    let standing = |pod: &Pod| standings.get(trouble::name(pod)).copied().unwrap_or_default();
    if standings.is_empty() {
        // Too few vote. Whatever may help them is tried, but nothing that serves is taken away.
        let broken = old.iter().find(|pod| !trouble::is_ready(pod));
        return broken.copied().ok_or_else(|| "a frontend to lead".to_owned());
    }
    if let Some(waits_for) = waits_for {
        return Err(waits_for);
    }
    // Whom the leader does not count on goes first: until it does, none of the others may.
    let uncounted: Vec<&'a Pod> = old.iter().copied().filter(|pod| !standing(pod).counts()).collect();
    let next = match uncounted.as_slice() {
        [] => old.iter().find(|pod| !standing(pod).is_leader).or(old.first()),
        [pod] => Some(pod),
        several => several.iter().find(|pod| !standing(pod).serves),
    };
    next.copied()
        .ok_or_else(|| "the leader to count on more of the others".to_owned())
}

#[cfg(test)]
mod tests;
