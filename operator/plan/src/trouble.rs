//! Why pods do not run: the one cause that tells a person most, from what Kubernetes and the engine say.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, PersistentVolumeClaim, Pod, PodCondition};
use springtide_contract::config::{Refusal, RefusalReason};
use springtide_crds::Reason;

use crate::condition::Finding;

/// A volume claim may be unbound for so long before it is called trouble.
const CLAIM_PATIENCE_S: i64 = 20;
/// An Event that is older says nothing about now.
const EVENT_MAX_AGE_S: i64 = 600;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) pods: &'a [Pod],
    pub(crate) volume_claims: &'a [PersistentVolumeClaim],
    pub(crate) events: &'a [Event],
    /// Pods that the StatefulSet should have.
    pub(crate) pods_wanted: u32,
    pub(crate) now: DateTime<Utc>,
}

/// The most telling cause, if pods are in trouble.
pub(crate) fn find(evidence: Evidence<'_>) -> Option<Finding> {
    refusal(evidence.pods)
        .or_else(|| image(evidence.pods))
        .or_else(|| missing_pods(evidence))
        .or_else(|| claims(evidence))
        .or_else(|| unschedulable(evidence.pods))
        .or_else(|| crash(evidence.pods))
}

/// The engine says itself why it does not start.
pub(crate) fn refusal(pods: &[Pod]) -> Option<Finding> {
    pods.iter().find_map(|pod| {
        let refusal = left_by(pod)?;
        Some(Finding::fails(
            refusal_reason(refusal.reason),
            format!("pod {} does not start: {}", name(pod), refusal.message),
        ))
    })
}

/// What the engine in a pod has left as the reason why it ended.
pub(crate) fn left_by(pod: &Pod) -> Option<Refusal> {
    let status = containers(pod).find(|status| !status.ready)?;
    let terminated = [&status.state, &status.last_state]
        .into_iter()
        .find_map(|state| state.as_ref()?.terminated.as_ref())?;
    let message = terminated.message.as_deref()?;
    message
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line.trim()).ok())
}

fn refusal_reason(reason: RefusalReason) -> Reason {
    match reason {
        RefusalReason::ConfigInvalid => Reason::ConfigInvalid,
        RefusalReason::BucketNotFound => Reason::BucketNotFound,
        RefusalReason::StorageAccessDenied => Reason::StorageAccessDenied,
        RefusalReason::StorageUnreachable => Reason::StorageUnreachable,
        RefusalReason::StoreUnsafe => Reason::StoreUnsafe,
        RefusalReason::ForeignCluster => Reason::ForeignCluster,
        RefusalReason::MetadataCorrupt => Reason::MetadataCorrupt,
        RefusalReason::MetadataLost => Reason::MetadataLost,
        RefusalReason::MetadataInUse => Reason::MetadataInUse,
        RefusalReason::MetadataUnavailable => Reason::MetadataUnavailable,
        RefusalReason::DataLost => Reason::DataLost,
        RefusalReason::MetadataTooNew => Reason::MetadataTooNew,
        RefusalReason::SecretMissing => Reason::SecretMissing,
    }
}

fn image(pods: &[Pod]) -> Option<Finding> {
    const REASONS: &[&str] = &[
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
    ];
    waiting(pods, REASONS).map(|(pod, status, message)| {
        Finding::fails(
            Reason::ImagePullFailed,
            format!(
                "pod {}: image {} cannot be pulled: {message}; check the image's name, spec.engine.version and imagePullSecrets",
                name(pod),
                status.image,
            ),
        )
    })
}

/// The StatefulSet's controller says in Events why it cannot make a pod.
fn missing_pods(evidence: Evidence<'_>) -> Option<Finding> {
    if evidence.pods.len() >= evidence.pods_wanted as usize {
        return None;
    }
    let event = latest(evidence.events, evidence.now, |event| {
        event.reason.as_deref() == Some("FailedCreate")
    })?;
    let message = event.message.clone().unwrap_or_default();
    Some(if message.contains("exceeded quota") {
        Finding::fails(
            Reason::PodOverQuota,
            format!(
                "the quota of the namespace refuses a pod: {message}; ask for fewer replicas or smaller resources, or have the department's quota raised"
            ),
        )
    } else {
        Finding::fails(Reason::PodRefused, format!("a pod is refused: {message}"))
    })
}

fn claims(evidence: Evidence<'_>) -> Option<Finding> {
    let claim = evidence.volume_claims.iter().find(|claim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let age_s = claim
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |created| evidence.now.timestamp() - created.0.as_second());
        phase != Some("Bound") && age_s >= CLAIM_PATIENCE_S
    })?;
    let claim_name = claim.metadata.name.as_deref().unwrap_or_default();
    let event = latest(evidence.events, evidence.now, |event| {
        event.involved_object.kind.as_deref() == Some("PersistentVolumeClaim")
            && event.involved_object.name.as_deref() == Some(claim_name)
    });
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let cause = event
        .and_then(|event| event.message.clone())
        .unwrap_or_else(|| match class {
            Some(class) => format!("storage class {class} has not made a volume"),
            None => "there is no default storage class".to_owned(),
        });
    Some(Finding::fails(
        Reason::VolumeNotBound,
        format!(
            "volume claim {claim_name} is not bound: {cause}; check frontends.metadataVolume.storageClassName, which must name a class that kubectl get storageclass shows"
        ),
    ))
}

fn unschedulable(pods: &[Pod]) -> Option<Finding> {
    pods.iter().find_map(|pod| {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let condition = conditions.iter().find(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
        })?;
        let message = condition.message.as_deref().unwrap_or_default();
        Some(Finding::fails(
            Reason::PodUnschedulable,
            format!("pod {} has no node to run on: {message}", name(pod)),
        ))
    })
}

fn crash(pods: &[Pod]) -> Option<Finding> {
    const REASONS: &[&str] = &[
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ];
    waiting(pods, REASONS).map(|(pod, status, message)| {
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let cause = match last {
            Some(last) => format!(
                "ended with exit code {} ({}): {}",
                last.exit_code,
                last.reason.as_deref().unwrap_or("no reason"),
                last.message
                    .as_deref()
                    .unwrap_or("it left no message; see kubectl logs --previous")
                    .trim(),
            ),
            None => message.to_owned(),
        };
        Finding::fails(
            Reason::PodCrashing,
            format!("container {} of pod {} {cause}", status.name, name(pod)),
        )
    })
}

fn waiting<'a>(pods: &'a [Pod], reasons: &[&str]) -> Option<(&'a Pod, &'a ContainerStatus, &'a str)> {
    pods.iter().find_map(|pod| {
        containers(pod).find_map(|status| {
            let waiting = status.state.as_ref()?.waiting.as_ref()?;
            let reason = waiting.reason.as_deref()?;
            reasons
                .contains(&reason)
                .then(|| (pod, status, waiting.message.as_deref().unwrap_or(reason)))
        })
    })
}

/// Statuses of all containers, the engine's before those of sidecars.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let main = status.and_then(|status| status.container_statuses.as_ref());
    let sidecars = status.and_then(|status| status.init_container_statuses.as_ref());
    main.into_iter().flatten().chain(sidecars.into_iter().flatten())
}

fn latest(events: &[Event], now: DateTime<Utc>, matches: impl Fn(&Event) -> bool) -> Option<&Event> {
    events
        .iter()
        .filter(|event| matches(event))
        .filter(|event| now.timestamp() - seen_s(event) <= EVENT_MAX_AGE_S)
        .max_by_key(|event| seen_s(event))
}

/// When the Event was seen last, in seconds since 1970.
fn seen_s(event: &Event) -> i64 {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0.as_second())
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0.as_second()))
        .or_else(|| event.event_time.as_ref().map(|time| time.0.as_second()))
        .unwrap_or_default()
}

/// How often one of the pod's containers has ended.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    containers(pod).map(|status| status.restart_count).max().unwrap_or(0)
}

/// Whether an image of the pod cannot be pulled.
pub(crate) fn lacks_image(pod: &Pod) -> bool {
    image(std::slice::from_ref(pod)).is_some()
}

/// Name of a pod.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Whether the pod is being deleted.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether Kubernetes calls the pod ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    readiness(pod).is_some()
}

/// Since when it does; `None` where it does not, or does not say since when.
pub(crate) fn ready_since(pod: &Pod) -> Option<DateTime<Utc>> {
    let since = readiness(pod)?.last_transition_time.as_ref()?;
    DateTime::from_timestamp(since.0.as_second(), 0)
}

fn readiness(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True")
}
