//! One reconcile of each kind: observe, validate and plan, apply, report. Each body fits a screen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{Resource, ResourceExt};
use springtide_crds::{ComputeGroup, Department, LakeCluster};
use springtide_plan::{Action, Foreseen, foresee, plan_compute_group, plan_department, plan_lake_cluster};

use crate::{
    apply::{ApplyError, apply},
    cache::Key,
    context::Context,
    drive::Done,
    engine::EngineError,
    kubernetes::KubernetesError,
    observe::{self, engine::line_of},
    report::{self, chain, report},
};

/// Why a reconcile failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// Something could not be read, or the status not be written.
    #[error(transparent)]
    Kubernetes(KubernetesError),
    /// An action failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A status is no plain data: a defect.
    #[error("the status cannot be written")]
    Status(#[from] serde_json::Error),
    /// The reconcile has a defect.
    #[error("the reconcile panicked: {message}")]
    Panicked { message: String },
    /// The reconcile took too long.
    #[error("the reconcile took longer than {} s", limit.as_secs())]
    TooLong { limit: Duration },
}

impl ReconcileError {
    /// It is part of the trade and passes by itself: somebody else wrote first, a frontend restarts, or a watch is behind.
    pub(crate) fn is_routine(&self) -> bool {
        match self {
            Self::Kubernetes(error) | Self::Apply(ApplyError::Kubernetes(error)) => error.is_conflict(),
            Self::Apply(ApplyError::Engine(EngineError::Unreachable { .. } | EngineError::Timeout { .. })) => true,
            Self::Apply(
                ApplyError::NoFrontend { .. }
                | ApplyError::PodThere { .. }
                | ApplyError::OwnerGone { .. }
                | ApplyError::CopySaysOtherwise { .. },
            ) => true,
            _ => false,
        }
    }

    /// With all causes.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// A reconcile that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ReconcileError,
    /// When the object's next edge is, if the reconcile came so far as to know: an edge is kept whatever fails before it.
    pub(crate) edge_after: Option<Duration>,
}

impl<Error: Into<ReconcileError>> From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error: error.into(),
            edge_after: None,
        }
    }
}

/// Nothing is left to do about an object that is gone.
const GONE: Done = Done {
    again_after: Duration::from_secs(3600),
    edge_after: None,
    foreseen: None,
};

/// Reconciles a department.
pub(crate) async fn department(context: Arc<Context>, cached: Arc<Department>) -> Result<Done, Failed> {
    let Some(department) = observe::fresh_department(&context, cached).await? else {
        return Ok(GONE);
    };
    let observed = observe::department(&context, Arc::clone(&department)).await?;
    let plan = plan_department(&observed, context.clock.now());
    let applied = apply(&context, department.as_ref(), None, &plan.actions).await;
    Ok(report(&context, department.as_ref(), plan, applied).await?)
}

/// Reconciles a cluster.
pub(crate) async fn lake_cluster(context: Arc<Context>, cached: Arc<LakeCluster>) -> Result<Done, Failed> {
    let Some(cluster) = observe::fresh(&context, cached).await? else {
        return Ok(GONE);
    };
    let observed = observe::lake_cluster(&context, Arc::clone(&cluster)).await?;
    let plan = plan_lake_cluster(&observed, context.clock.now());
    let ends = plan.actions.contains(&Action::RemoveFinalizer);
    let applied = apply(&context, cluster.as_ref(), Some(&cluster), &plan.actions).await;
    if ends {
        let line = line_of(&cluster);
        context.engines.forget(&line);
        context.members.forget(&line);
    }
    Ok(report(&context, cluster.as_ref(), plan, applied).await?)
}

/// Reconciles a group.
pub(crate) async fn compute_group(context: Arc<Context>, cached: Arc<ComputeGroup>) -> Result<Done, Failed> {
    let Some(group) = observe::fresh(&context, cached).await? else {
        return Ok(GONE);
    };
    let (namespace, name) = (group.namespace().unwrap_or_default(), group.name_any());
    let observed = observe::compute_group(&context, Arc::clone(&group)).await?;
    let (now, planned) = (context.clock.now(), Instant::now());
    let plan = plan_compute_group(&observed, now);
    let foreseen = foresee(&observed, &plan, now);
    if plan.actions.contains(&Action::RemoveFinalizer) {
        report::forget_group(&context, &namespace, &name);
    } else if let Some(status) = plan.status.as_ref().or(group.status.as_ref()) {
        report::measure_group(&context, &namespace, &name, status, now);
    }
    let applied = apply(&context, group.as_ref(), observed.cluster.as_ref(), &plan.actions).await;
    let edge_after = plan.edge_after;
    match report(&context, group.as_ref(), plan, applied).await {
        Ok(done) => Ok(done.planned_at(planned).foreseeing(foreseen)),
        Err(error) => Err(Failed {
            error,
            edge_after: edge_after.map(|after| after.saturating_sub(planned.elapsed())),
        }),
    }
}

/// Does what the look before has foreseen for this moment. What follows from it is seen by a look in full, after the edges of all
/// others. The object is looked at at once where it is not that moment, as the time of day has jumped, or where the group or its cluster
/// is not what it was.
pub(crate) async fn enact<K>(context: Arc<Context>, object: Arc<K>, foreseen: Foreseen) -> Result<Done, Failed>
where
    K: Resource<DynamicType = ()>,
{
    let cluster = context.caches.clusters.get(&Key {
        namespace: object.meta().namespace.clone(),
        name: foreseen.cluster.clone(),
    });
    let cluster = cluster.as_ref().map(|cluster| &cluster.metadata);
    let may_be_done = foreseen.may_be_done(object.meta(), cluster, context.clock.now());
    if may_be_done {
        apply(&context, object.as_ref(), None, &foreseen.actions).await?;
    }
    Ok(Done {
        again_after: report::SHORTEST_WAIT,
        edge_after: (!may_be_done).then_some(Duration::ZERO),
        foreseen: None,
    })
}
