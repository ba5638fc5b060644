//! Report: the status where it has changed, Events with their cause, and what Prometheus wants to know of a group.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use kube::Resource;
use springtide_crds::{ComputeGroupStatus, compute_group::ActiveWindow};
use springtide_plan::{Action, EventNote, Plan, Severity};

use crate::{
    apply::{ApplyError, status_body},
    context::Context,
    drive::Done,
    engine::EngineError,
    events::Notice,
    kubernetes::KubernetesError,
    reconcile::ReconcileError,
};

/// Longest time until the next look, whatever a plan says: time of day may jump.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Shortest time until the next look, whatever a plan says.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);

/// Tells what a plan found and what became of its actions.
pub(crate) async fn report<K, Status>(
    context: &Context,
    object: &K,
    plan: Plan<Status>,
    applied: Result<(), ApplyError>,
) -> Result<Done, ReconcileError>
where
    K: Resource<DynamicType = ()>,
    Status: serde::Serialize,
{
    let Plan {
        actions,
        status,
        telling,
        wait,
        requeue_after,
        is_edge,
        events,
    } = plan;
    let uid = object.meta().uid.clone().unwrap_or_default();
    // Told even when an action failed: the status is about what was seen, and may say why it failed.
    if let Some(status) = status {
        let has_acted = !actions.is_empty();
        let told_after = context.held_back.until(&uid, telling, has_acted, Instant::now());
        if let (Some(told_after), Ok(())) = (told_after, &applied) {
            tracing::debug!(
                after_ms = told_after.as_millis() as u64,
                "the status is told by a later look"
            );
            return Ok(done(requeue_after, is_edge).at_most(told_after));
        }
        write_status(context, object, &status).await?;
        context.held_back.told(&uid, Instant::now());
    } else {
        context.held_back.nothing_to_tell(&uid);
    }
    let about = object.object_ref(&());
    for event in events {
        context.events.tell(&about, notice(event));
    }
    if let Some(wait) = &wait {
        tracing::debug!(why = wait.why, until = ?wait.until, "waits");
    }
    if let Err(error) = applied {
        if let Some(notice) = failure(&error) {
            context.events.tell(&about, notice);
        }
        return Err(error.into());
    }
    if actions.contains(&Action::RemoveFinalizer) {
        context.written.forget(&uid);
        context.held_back.forget(&uid);
    }
    Ok(done(requeue_after, is_edge))
}

fn done(requeue_after: Duration, is_edge: bool) -> Done {
    Done {
        again_after: requeue_after.clamp(SHORTEST_WAIT, LONGEST_WAIT),
        is_edge,
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
            EngineError::Statement { .. } | EngineError::Answer { .. } | EngineError::Refused { .. },
        )
        | ApplyError::NoPassword { .. } => true,
        ApplyError::Engine(EngineError::Unreachable { .. } | EngineError::Timeout { .. })
        | ApplyError::NoFrontend { .. } => false,
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

/// Windows whose compute does not serve yet, and those whose lateness is known: by group and window, the opening.
#[derive(Debug, Default)]
pub(crate) struct WindowWatch {
    seen: Mutex<HashMap<(String, String, String), Seen>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    opens_at: String,
    is_ready: bool,
}

impl WindowWatch {
    /// Notes what serves now; returns by how many seconds the compute of a window was late, when that is known just now.
    fn look(
        &self,
        namespace: &str,
        group: &str,
        window: &ActiveWindow,
        serving: i32,
        now: DateTime<Utc>,
    ) -> Option<f64> {
        let opens_at = DateTime::parse_from_rfc3339(&window.opens_at).ok()?.with_timezone(&Utc);
        let lateness = (now - opens_at).as_seconds_f64();
        let is_ready = serving >= window.min_replicas?;
        let key = (namespace.to_owned(), group.to_owned(), window.name.clone());
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = seen.insert(
            key,
            Seen {
                opens_at: window.opens_at.clone(),
                is_ready,
            },
        );
        let before = before.filter(|before| before.opens_at == window.opens_at);
        match before {
            // It became ready between two looks.
            Some(before) => (is_ready && !before.is_ready).then_some(lateness),
            // First look: ready before the opening is early; ready after it may have been so for long, as after a restart.
            None => (is_ready && lateness <= 0.0).then_some(lateness),
        }
    }

    fn forget(&self, namespace: &str, group: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.retain(|(of_namespace, of_group, _), _| of_namespace != namespace || of_group != group);
    }
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
    for window in &status.active_windows {
        if let Some(lateness) = context
            .windows
            .look(namespace, name, window, status.serving_replicas, now)
        {
            context.metrics.window_ready(namespace, name, lateness);
            tracing::info!(
                window = window.name,
                lateness_seconds = lateness,
                "window's compute serves"
            );
        }
    }
}

/// Forgets a group that is gone.
pub(crate) fn forget_group(context: &Context, namespace: &str, name: &str) {
    context.metrics.forget_group(namespace, name);
    context.windows.forget(namespace, name);
}

impl From<KubernetesError> for ReconcileError {
    fn from(error: KubernetesError) -> Self {
        Self::Kubernetes(error)
    }
}

#[cfg(test)]
mod tests;
