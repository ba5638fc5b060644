//! Report: the status where it has changed, Events with their cause, and what Prometheus wants to know of a group.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, core::object::HasStatus};
use springtide_crds::{ComputeGroupStatus, DepartmentStatus, LakeClusterStatus, compute_group::ActiveWindow};
use springtide_plan::{Action, EventNote, Plan, Severity};

use crate::{
    apply::{ApplyError, status_body},
    context::Context,
    drive::{Done, kind_of},
    engine::EngineError,
    events::Notice,
    kubernetes::KubernetesError,
    reconcile::ReconcileError,
};

/// Longest time until the next look, whatever a plan says: time of day may jump.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Shortest time until the next look, whatever a plan says.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_millis(200);

/// A status that says in conditions what is true of its object.
pub(crate) trait Conditions {
    fn conditions(&self) -> &[Condition];
}

impl Conditions for DepartmentStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditions for LakeClusterStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditions for ComputeGroupStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// Tells what a plan found and what became of its actions.
pub(crate) async fn report<K, Status>(
    context: &Context,
    object: &K,
    plan: Plan<Status>,
    applied: Result<(), ApplyError>,
) -> Result<Done, ReconcileError>
where
    K: Resource<DynamicType = ()> + HasStatus<Status = Status>,
    Status: serde::Serialize + Conditions,
{
    let Plan {
        actions,
        status,
        telling,
        wait,
        requeue_after,
        edge_after,
        events,
    } = plan;
    let uid = object.meta().uid.clone().unwrap_or_default();
    if let Some(status) = status.as_ref().or(object.status()) {
        let (namespace, name) = identity(object);
        context
            .metrics
            .conditions(kind_of::<K>(), namespace, name, status.conditions());
    }
    // Told even when an action failed: the status is about what was seen, and may say why it failed.
    if let Some(status) = status {
        let has_acted = !actions.is_empty();
        let told_after = context.held_back.until(&uid, telling, has_acted, Instant::now());
        if let (Some(told_after), Ok(())) = (told_after, &applied) {
            tracing::debug!(
                after_ms = told_after.as_millis() as u64,
                "the status is told by a later look"
            );
            return Ok(done(requeue_after, edge_after).at_most(told_after));
        }
        // Before the status, which may fail: some of them no later look would find. The others are told once in an hour anyway.
        tell(context, object, events);
        write_status(context, object, &status).await?;
        context.held_back.told(&uid, Instant::now());
    } else {
        tell(context, object, events);
        context.held_back.nothing_to_tell(&uid);
    }
    if let Some(wait) = &wait {
        tracing::debug!(why = wait.why, until = ?wait.until, "waits");
    }
    if let Err(error) = applied {
        if let Some(notice) = failure(&error) {
            tell_one(context, object, notice);
        }
        return Err(error.into());
    }
    if actions.contains(&Action::RemoveFinalizer) {
        context.written.forget(&uid);
        context.held_back.forget(&uid);
    }
    Ok(done(requeue_after, edge_after))
}

fn tell<K: Resource<DynamicType = ()>>(context: &Context, object: &K, events: Vec<EventNote>) {
    for event in events {
        tell_one(context, object, notice(event));
    }
}

fn tell_one<K: Resource<DynamicType = ()>>(context: &Context, object: &K, notice: Notice) {
    let (reason, is_warning) = (notice.reason.clone(), notice.is_warning);
    if context.events.tell(&object.object_ref(&()), notice) {
        let (namespace, _) = identity(object);
        context.metrics.told(kind_of::<K>(), namespace, &reason, is_warning);
    }
}

/// Namespace and name. A Department has no namespace.
fn identity<K: Resource>(object: &K) -> (&str, &str) {
    let meta = object.meta();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    (namespace, meta.name.as_deref().unwrap_or_default())
}

fn done(requeue_after: Duration, edge_after: Option<Duration>) -> Done {
    Done {
        again_after: requeue_after.clamp(SHORTEST_WAIT, LONGEST_WAIT),
        edge_after,
        foreseen: None,
    }
}

async fn write_status<K, Status>(context: &Context, object: &K, status: &Status) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = ()>,
    Status: serde::Serialize,
{
    let body = status_body(object, status)?;
    match context.kubernetes.apply_status(object, &body).await {
        Ok(version) => {
            if let Some(uid) = &object.meta().uid {
                context.written.wrote(uid, version.as_deref());
            }
            Ok(())
        }
        // The object went while we looked: there is nobody to tell.
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn notice(event: EventNote) -> Notice {
    let EventNote {
        severity,
        reason,
        action,
        note,
    } = event;
    Notice {
        is_warning: severity == Severity::Warning,
        reason: reason.as_str().to_owned(),
        action,
        note,
    }
}

/// What people should hear of a failed action; nothing of what passes by itself.
fn failure(error: &ApplyError) -> Option<Notice> {
    let is_worth_telling = match error {
        ApplyError::Kubernetes(error) => error.is_refusal(),
        ApplyError::Engine(
            EngineError::Statement { .. }
            | EngineError::Answer { .. }
            | EngineError::Refused { .. }
            | EngineError::NotTrusted { .. },
        )
        | ApplyError::Certificate(_)
        | ApplyError::NoPassword { .. } => true,
        ApplyError::Engine(EngineError::Unreachable { .. } | EngineError::Timeout { .. })
        | ApplyError::NoFrontend { .. }
        | ApplyError::PodThere { .. }
        | ApplyError::OwnerGone { .. }
        | ApplyError::CopySaysOtherwise { .. } => false,
    };
    is_worth_telling.then(|| Notice {
        is_warning: true,
        reason: "ActionFailed".to_owned(),
        action: "Reconcile".to_owned(),
        note: chain(error),
    })
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let source_text = source.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&source_text) {
            text.push_str(": ");
            text.push_str(&source_text);
        }
        cause = source.source();
    }
    text
}

/// Seconds from the opening of a window until its compute served, negative where it was there before; of one that is late and still
/// lacks nodes, until now. `None` where there is no opening to compare with.
fn lateness(window: &ActiveWindow, now: DateTime<Utc>) -> Option<f64> {
    let instant = |text: &str| Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc));
    let opens_at = instant(&window.opens_at)?;
    let ready_at = match &window.ready_at {
        Some(ready_at) => instant(ready_at)?,
        None if window.late => now,
        None => return None,
    };
    // One that was written while it is open was not waited for.
    (window.late || ready_at <= opens_at).then(|| (ready_at - opens_at).as_seconds_f64())
}

/// Shows a group to Prometheus.
pub(crate) fn measure_group(
    context: &Context,
    namespace: &str,
    name: &str,
    status: &ComputeGroupStatus,
    now: DateTime<Utc>,
) {
    let wanted = status.wanted_replicas.unwrap_or(0);
    context
        .metrics
        .group_replicas(namespace, name, [wanted, status.replicas, status.serving_replicas]);
    context.metrics.group_draining(namespace, name, &status.draining);
    let schedules = status.accepted_spec.iter().flat_map(|spec| &spec.schedules);
    let written: Vec<&str> = schedules.map(|schedule| schedule.name.as_str()).collect();
    context
        .metrics
        .forget_windows(namespace, name, |window| written.contains(&window));
    for window in &status.active_windows {
        if let Some(lateness) = lateness(window, now) {
            context.metrics.window_ready(namespace, name, &window.name, lateness);
        }
    }
}

/// Forgets a group that is gone.
pub(crate) fn forget_group(context: &Context, namespace: &str, name: &str) {
    context.metrics.forget_group(namespace, name);
}

impl From<KubernetesError> for ReconcileError {
    fn from(error: KubernetesError) -> Self {
        Self::Kubernetes(error)
    }
}

#[cfg(test)]
mod tests;
