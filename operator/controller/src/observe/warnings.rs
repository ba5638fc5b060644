//! Kubernetes' own warnings about our pods: why they do not start. Read only where something has not started for a while, and at
//! most once in a few seconds for a namespace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    jiff::{SignedDuration, Timestamp},
};
use serde_json::Value;
use springtide_plan::{Live, ObjectKind};

use crate::context::{Context, Remembered};

/// How long warnings that were read are good.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// What starts takes so long if nothing is wrong, and nobody asks why.
const PATIENCE: Duration = Duration::from_secs(4);
/// An older warning says nothing about the present; what still goes wrong is warned of again.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// What was read, and since when something is missing.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    by_namespace: Remembered<String, Arc<Vec<Event>>>,
    /// By namespace and StatefulSet.
    missing_since: Mutex<HashMap<(String, String), Instant>>,
}

impl Warnings {
    /// Whether the pods of a StatefulSet have been missing for so long that somebody would ask why.
    fn are_wanted(&self, namespace: &str, stateful_set: &str, is_complete: bool, now: Instant) -> bool {
        let key = (namespace.to_owned(), stateful_set.to_owned());
        let mut missing_since = self.missing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if is_complete {
            missing_since.remove(&key);
            return false;
        }
        let since = *missing_since.entry(key).or_insert(now);
        now.duration_since(since) >= PATIENCE
    }
}

/// Recent warnings about a StatefulSet, its pods and its claims; none while all pods are ready.
pub(crate) async fn about(
    context: &Context,
    namespace: &str,
    stateful_set: &str,
    live: &Live,
    pods: &[Arc<Pod>],
) -> Vec<Event> {
    let is_complete = all_ready(live, stateful_set, pods);
    let wanted = context
        .warnings
        .are_wanted(namespace, stateful_set, is_complete, Instant::now());
    if !wanted {
        return Vec::new();
    }
    let key = namespace.to_owned();
    let warnings = match context.warnings.by_namespace.get(&key) {
        Some(warnings) => warnings,
        None => match context.kubernetes.warnings(namespace).await {
            Ok(warnings) => {
                let warnings = Arc::new(warnings);
                context.warnings.by_namespace.put(key, Arc::clone(&warnings), GOOD_FOR);
                warnings
            }
            // The plan does without: warnings explain, they decide nothing.
            Err(error) => {
                tracing::warn!(namespace, error = %error, "cannot read events");
                return Vec::new();
            }
        },
    };
    let now = Timestamp::now();
    warnings
        .iter()
        .filter(|event| is_about(event, stateful_set) && is_recent(event, now))
        .cloned()
        .collect()
}

fn all_ready(live: &Live, stateful_set: &str, pods: &[Arc<Pod>]) -> bool {
    let number = |body: &Value, pointer: &str| body.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let mut sets = live
        .iter()
        .filter(|(key, _)| key.kind == ObjectKind::StatefulSet && key.name == stateful_set);
    let is_complete = sets.all(|(_, body)| number(body, "/status/readyReplicas") >= number(body, "/spec/replicas"));
    is_complete && pods.iter().all(|pod| is_ready(pod))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The StatefulSet itself, one of its pods (`set-0`) or one of their claims (`meta-set-0`).
fn is_about(event: &Event, stateful_set: &str) -> bool {
    let name = event.involved_object.name.as_deref().unwrap_or_default();
    name == stateful_set || name.starts_with(&format!("{stateful_set}-")) || name.contains(&format!("-{stateful_set}-"))
}

fn is_recent(event: &Event, now: Timestamp) -> bool {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series
        .max(last)
        .max(first)
        .is_some_and(|when| now.duration_since(when) < RECENT)
}

#[cfg(test)]
mod tests;
