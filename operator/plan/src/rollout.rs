//! A new template comes to one pod first, and to the next when that one serves; and it is taken back when it does not.
//!
//! The StatefulSet's partition holds the others back: pods from that ordinal on are of the new template. Kubernetes alone would go on as
//! soon as a pod is ready, which is before the frontend counts on it, and would wait for ever for one that never is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::names;
use crate::trouble::{self, Evidence};

mod leader_last;

pub(crate) use leader_last::Standing;

/// How long a pod has to be ready before the next one is replaced.
pub(crate) const SETTLED: TimeDelta = TimeDelta::seconds(10);
/// How long an image may be missing: registries have bad moments.
const IMAGE_PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// How often a container may end before it is called broken.
const CRASHES: i32 = 3;
/// How long the engine may not count on a pod that is ready.
const UNCOUNTED_PATIENCE: TimeDelta = TimeDelta::seconds(120);
/// How long a pod may take to be ready, from when it was made: the engine's own longest start.
const START_PATIENCE: TimeDelta = TimeDelta::seconds(600);
/// The label of a pod with the name of the revision that it is of.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// The pods of a StatefulSet, and who counts on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods<'a> {
    pub(crate) pods: &'a [Pod],
    /// Pods that the engine says are alive; `None` while nobody can be asked.
    pub(crate) counted: Option<&'a BTreeSet<String>>,
    pub(crate) now: DateTime<Utc>,
}

/// A roll that the operator has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    /// A template was written of which the end was not seen.
    pub(crate) is_open: bool,
    /// When it came to the pod that it is at, by the clock of who wrote it. Pods tell their times by other clocks, of which one may be wrong: only
    /// what both say is believed.
    pub(crate) at_pod_since: Option<DateTime<Utc>>,
}

/// Which pod is replaced next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order<'a> {
    /// The highest ordinal first; the StatefulSet's controller does it.
    Ordinals,
    /// Those of followers first, that of the leader last; the operator does it. By pod, how the leader sees it.
    LeaderLast(&'a BTreeMap<String, Standing>),
}

impl Order<'_> {
    /// How far it is.
    pub(crate) fn progress(self, live: &Value, begun: Begun, replicas: u32, pods: Pods<'_>) -> Progress {
        match self {
            Self::Ordinals => progress(live, begun, replicas, pods),
            Self::LeaderLast(standings) => leader_last::progress(live, begun, replicas, pods, standings),
        }
    }
}

/// A pod that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    pub(crate) name: String,
    /// Its identity: the one that comes after it is not meant.
    pub(crate) uid: Option<String>,
}

/// How far a StatefulSet has come with the template that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All pods are of it, as far as the StatefulSet's controller has to do with it.
    Done,
    /// Pods from this ordinal on are, or are to become so.
    Rolling { partition: u32, waits_for: String },
    /// So many are, and the operator chooses the next one.
    Chosen {
        replaced: u32,
        next: Option<Replacement>,
        waits_for: String,
    },
    /// A pod of it does not come to serve, and why.
    Failed { why: String },
}

/// The partition with which a new template begins.
pub(crate) fn first_partition(replicas: u32) -> u32 {
    replicas.saturating_sub(1)
}

/// How far it is, by ordinals.
fn progress(live: &Value, begun: Begun, replicas: u32, pods: Pods<'_>) -> Progress {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
    let update = text("/status/updateRevision");
    let is_settled = update == text("/status/currentRevision");
    if is_settled && !begun.is_open {
        return Progress::Done;
    }
    let partition = number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default();
    let partition = u32::try_from(partition)
        .unwrap_or_default()
        .min(first_partition(replicas));
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Progress::Rolling {
            partition,
            waits_for: "Kubernetes to take it up".to_owned(),
        };
    }
    if is_settled {
        return Progress::Done;
    }
    let stateful_set = text("/metadata/name").unwrap_or_default();
    let mut waits_for = None;
    for ordinal in (partition..replicas).rev() {
        let name = format!("{stateful_set}-{ordinal}");
        let pod = pods.pods.iter().find(|pod| trouble::name(pod) == name);
        match state(&name, pod, update, begun, pods) {
            PodState::Serves => {}
            PodState::Awaited(what) => waits_for = waits_for.or(Some(what)),
            PodState::Broken(why) => return Progress::Failed { why },
        }
    }
    match waits_for {
        Some(waits_for) => Progress::Rolling { partition, waits_for },
        None if partition > 0 => Progress::Rolling {
            partition: partition - 1,
            waits_for: format!("pod {stateful_set}-{} to be replaced", partition - 1),
        },
        None => Progress::Rolling {
            partition,
            waits_for: "Kubernetes to count all pods".to_owned(),
        },
    }
}

enum PodState {
    /// It is of the new template, and has been counted on for long enough.
    Serves,
    /// What is waited for.
    Awaited(String),
    /// Why it will not serve.
    Broken(String),
}

fn state(name: &str, pod: Option<&Pod>, update: Option<&str>, begun: Begun, pods: Pods<'_>) -> PodState {
    let Some(pod) = pod else {
        return PodState::Awaited(format!("pod {name} to be made"));
    };
    if trouble::is_leaving(pod) {
        return PodState::Awaited(format!("pod {name} to finish what it has"));
    }
    if !is_of(pod, update) {
        return PodState::Awaited(format!("pod {name} to be replaced"));
    }
    if let Some(why) = broken(pod, begun, pods) {
        return PodState::Broken(why);
    }
    if !trouble::is_ready(pod) {
        return PodState::Awaited(format!("pod {name} to be ready"));
    }
    if pods.counted.is_none_or(|counted| !counted.contains(name)) {
        return PodState::Awaited(format!("the frontend to count on pod {name}"));
    }
    match trouble::ready_since(pod) {
        Some(since) if pods.now - since < SETTLED => {
            PodState::Awaited(format!("pod {name} to have served for {} s", SETTLED.num_seconds()))
        }
        _ => PodState::Serves,
    }
}

/// Whether a pod is of this revision.
fn is_of(pod: &Pod, revision: Option<&str>) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).map(String::as_str) == revision
}

/// Why a pod of the new template will not serve, if that can be told already.
fn broken(pod: &Pod, begun: Begun, pods: Pods<'_>) -> Option<String> {
    let name = trouble::name(pod);
    let age = pod
        .metadata
        .creation_timestamp
        .as_ref()
        .and_then(|created| DateTime::from_timestamp(created.0.as_second(), 0))
        .map_or(TimeDelta::zero(), |created| pods.now - created);
    let found = trouble::find(Evidence {
        pods: std::slice::from_ref(pod),
        volume_claims: &[],
        events: &[],
        pods_wanted: 0,
        now: pods.now,
    });
    if trouble::restarts(pod) >= CRASHES && !trouble::is_ready(pod) {
        return Some(found.map_or_else(
            || format!("containers of pod {name} end again and again"),
            |found| found.message,
        ));
    }
    let waited = begun.at_pod_since.map_or(TimeDelta::zero(), |since| pods.now - since);
    if trouble::lacks_image(pod) && age.min(waited) >= IMAGE_PATIENCE {
        return found.map(|found| found.message);
    }
    let is_uncounted = pods.counted.is_some_and(|counted| !counted.contains(name));
    if trouble::is_ready(pod) {
        let ready = trouble::ready_since(pod).map_or(age, |since| pods.now - since);
        let long = ready.min(age).min(waited) >= UNCOUNTED_PATIENCE;
        return (is_uncounted && long).then(|| {
            format!(
                "pod {name} has been ready for {} s, and the frontend does not count on it",
                UNCOUNTED_PATIENCE.num_seconds()
            )
        });
    }
    (age.min(waited) >= START_PATIENCE).then(|| {
        let why = found.map_or_else(String::new, |found| format!(": {}", found.message));
        format!(
            "pod {name} was not ready within {} s{why}",
            START_PATIENCE.num_seconds()
        )
    })
}

/// The version of the engine that the pods of a template run, and their image, as far as the template says.
pub(crate) fn engine_of(template: &Value) -> Option<springtide_crds::lake_cluster::EngineStatus> {
    let annotations = template.pointer("/metadata/annotations")?;
    let version = annotations.get(names::ENGINE_VERSION_ANNOTATION)?.as_str()?;
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let is_engine = |container: &&Value| container["name"] == names::ENGINE_CONTAINER;
    let image = containers.iter().find(is_engine)?.get("image")?.as_str()?;
    Some(springtide_crds::lake_cluster::EngineStatus {
        version: version.to_owned(),
        image: image.to_owned(),
    })
}

#[cfg(test)]
mod tests;
