//! How a cluster goes that was deleted.
//!
//! What Kubernetes holds goes by owner references, but for the accounts; volumes go by the StatefulSet's own retention policy. The data on
//! S3 stays, unless it was asked for by the name of its place. Then, and in this order: the compute nodes end, the frontends end, a Job
//! deletes the data, and only then the object may go.
//!
//! Nothing of that holds up an object for good: whoever takes the annotation away lets it go, and what is left of the data stays.

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::batch::v1::Job;
use springtide_crds::{ConditionType, LakeCluster, LakeClusterStatus, Reason};

use super::claim_owners::{self, BeforeDeletion};
use super::{ClusterShape, InForce, certificates, has_finalizer, members, recreation};
use crate::action::{Action, EventNote, Plan, Severity, Telling, Wait};
use crate::condition::{self, Finding};
use crate::finish;
use crate::flavour::flavour;
use crate::names::{self, DELETE_DATA_ANNOTATION, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::ObservedLakeCluster;
use job::Outcome;
use request::{overlap, place};

mod job;
mod request;
#[cfg(test)]
mod tests;

pub(super) use request::DataRequest;
pub use request::takes_data_along;

/// After a Job has failed, another one is made when so much time has passed: the store may answer again.
const NEXT_JOB_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Pods that a message names.
const MOST_NAMED: usize = 5;

/// What is to be done about a cluster that is being deleted.
pub(super) fn plan(observed: &ObservedLakeCluster, now: DateTime<Utc>) -> Plan<LakeClusterStatus> {
    let mut plan = Plan {
        actions: Vec::new(),
        status: None,
        telling: Telling::Now,
        wait: None,
        requeue_after: finish::STEADY,
        edge_after: None,
        events: Vec::new(),
    };
    if !has_finalizer(observed.cluster.metadata.finalizers.as_deref()) {
        return plan;
    }
    // Before all else: pods that no StatefulSet owns would stay.
    if let Some(before) = recreation::before_deletion(observed) {
        plan.actions = before;
        plan.requeue_after = finish::CONVERGING;
        return plan;
    }
    let claims = match claim_owners::before_deletion(observed, observed.cluster.spec.deletes_volumes()) {
        BeforeDeletion::Do(claims) => claims,
        BeforeDeletion::First(first) => {
            let why =
                "the cluster is being deleted: first its StatefulSet is told what its volumes are to do".to_owned();
            plan.actions = first;
            plan.wait = Some(Wait { why, until: None });
            plan.requeue_after = finish::CONVERGING;
            return plan;
        }
    };
    match next(observed, now) {
        Step::Go(event) => {
            plan.actions = claims;
            plan.actions.extend(last_actions(observed));
            plan.events = event.into_iter().collect();
        }
        Step::Wait { action, reason, why } => {
            plan.actions.extend(action.map(|action| *action));
            (plan.status, plan.events) = told(observed, reason, &why, now);
            plan.wait = Some(Wait { why, until: None });
            plan.requeue_after = finish::ATTENTIVE;
        }
    }
    plan
}

/// What comes next.
enum Step {
    /// Nothing holds the object any more.
    Go(Option<EventNote>),
    /// It is waited for something.
    Wait {
        action: Option<Box<Action>>,
        reason: Reason,
        why: String,
    },
}

fn next(observed: &ObservedLakeCluster, now: DateTime<Utc>) -> Step {
    let cluster = &observed.cluster;
    let keep = |why: &str| Step::Go(kept(cluster, Some(why)));
    match DataRequest::of(cluster) {
        DataRequest::Delete => {}
        DataRequest::Keep => return Step::Go(kept(cluster, None)),
        DataRequest::Unnamed => {
            return keep(&format!(
                "spec.deletion.data is Delete, and no annotation {DELETE_DATA_ANNOTATION} names the place"
            ));
        }
        DataRequest::Refused { why } => return keep(&why),
    }
    if observed.removal.namespace_is_leaving {
        return keep(
            "its namespace is being deleted as well, in which no Job can be made any more; delete the cluster first",
        );
    }
    let Some(shape) = InForce::decide(observed).shape else {
        return keep("the LakeCluster was never accepted, so that nothing of it can be told from the data of others");
    };
    let claims_place = flavour(shape.engine).capabilities().claims_place;
    let was_there = cluster
        .status
        .as_ref()
        .is_some_and(|status| status.cluster_id.is_some());
    if !claims_place && !was_there {
        return keep("the cluster was never seen to serve from there, and what is there may be somebody else's");
    }
    let storage = &cluster.spec.storage;
    let neighbour = observed
        .removal
        .other_clusters
        .iter()
        .find(|other| !claims_place && overlap(storage, &other.spec.storage));
    if let Some(other) = neighbour {
        return keep(&format!(
            "LakeCluster {}/{} is at {}, and nothing tells whose objects are whose",
            other.metadata.namespace.as_deref().unwrap_or_default(),
            other.metadata.name.as_deref().unwrap_or_default(),
            place(&other.spec.storage)
        ));
    }
    stop_engine(observed, &shape).unwrap_or_else(|| delete_data(observed, &shape, now))
}

/// Nothing may run that could write to the place. The frontends go last, since nodes wait for them to end well; they are made none and not
/// deleted, so that their volumes are there as long as the data is.
fn stop_engine(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Option<Step> {
    let compute: Vec<&str> = observed.removal.compute_pods.iter().map(String::as_str).collect();
    if !compute.is_empty() {
        return Some(wait(
            observed,
            None,
            &format!("first its compute nodes end: {}", listed(&compute)),
        ));
    }
    let key = ObjectKey::namespaced(
        ObjectKind::StatefulSet,
        &shape.namespace,
        &names::frontends(&shape.name),
    );
    let live = observed.live.get(&key);
    let size = live.and_then(|live| live.pointer("/spec/replicas")?.as_i64());
    if let (Some(live), Some(1..)) = (live, size) {
        let scale = Action::Scale {
            uid: finish::uid(live),
            version: finish::version(live),
            object: key,
            replicas: 0,
        };
        return Some(wait(observed, Some(scale), "first its frontends end"));
    }
    let frontends: Vec<&str> = observed
        .pods
        .iter()
        .filter_map(|pod| pod.metadata.name.as_deref())
        .collect();
    (!frontends.is_empty()).then(|| {
        wait(
            observed,
            None,
            &format!("first its frontends end: {}", listed(&frontends)),
        )
    })
}

fn delete_data(observed: &ObservedLakeCluster, shape: &ClusterShape, now: DateTime<Utc>) -> Step {
    let cluster = &observed.cluster;
    let place = place(&cluster.spec.storage);
    let key = job_key(cluster);
    let (namespace, name) = (shape.namespace.as_str(), key.name.as_str());
    let Some(live) = observed.live.get(&key) else {
        let owner = Owner::of_cluster(cluster);
        let job = job::build(&owner, name, shape, &place, &observed.settings);
        let apply = Action::Apply(Box::new(DesiredObject::new(ObjectKind::Job, &job)));
        return wait(observed, Some(apply), &format!("Job {name} does it"));
    };
    if finish::is_leaving(live) {
        return wait(
            observed,
            None,
            &format!("Job {name} has failed, and another one follows it"),
        );
    }
    let outcome = observed
        .live
        .typed::<Job>(ObjectKind::Job, namespace, name)
        .map_or(Outcome::Running, |job| Outcome::of(&job));
    let trouble = job::trouble(&observed.removal.job_pods, now);
    match outcome {
        Outcome::Complete => Step::Go(Some(EventNote {
            severity: Severity::Normal,
            reason: Reason::DataDeleted,
            action: "Delete".to_owned(),
            note: format!("all data of the cluster at {place} is deleted, as was asked for"),
        })),
        Outcome::Failed { at, why } => {
            let is_over = at.is_none_or(|at| now - at >= NEXT_JOB_AFTER);
            let again = is_over.then(|| Action::Delete {
                uid: finish::uid(live),
                object: key.clone(),
            });
            let why = trouble.unwrap_or(why);
            let minutes = NEXT_JOB_AFTER.num_minutes();
            failed(
                observed,
                again,
                &format!("{why} (Job {name}; another one follows {minutes} minutes later)"),
            )
        }
        Outcome::Running => match trouble {
            Some(why) => failed(observed, None, &format!("{why} (Job {name}, which tries again)")),
            None if observed.removal.job_pods.is_empty() => wait(
                observed,
                None,
                &format!(
                    "Job {name} does it, and has no pod yet; if that stays so, kubectl -n {namespace} describe job {name} says why"
                ),
            ),
            None => wait(
                observed,
                None,
                &format!("Job {name} does it; its log says how far it is"),
            ),
        },
    }
}

/// The Job of this object, and of none that had the name before.
fn job_key(cluster: &LakeCluster) -> ObjectKey {
    let metadata = &cluster.metadata;
    let name = names::data_deletion(
        metadata.name.as_deref().unwrap_or_default(),
        metadata.uid.as_deref().unwrap_or_default(),
    );
    ObjectKey::namespaced(
        ObjectKind::Job,
        metadata.namespace.as_deref().unwrap_or_default(),
        &name,
    )
}

fn wait(observed: &ObservedLakeCluster, action: Option<Action>, what: &str) -> Step {
    let place = place(&observed.cluster.spec.storage);
    Step::Wait {
        action: action.map(Box::new),
        reason: Reason::DeletingData,
        why: format!(
            "the cluster is being deleted, and all its data at {place} with it: {what}. {}",
            way_out()
        ),
    }
}

fn failed(observed: &ObservedLakeCluster, action: Option<Action>, why: &str) -> Step {
    let place = place(&observed.cluster.spec.storage);
    Step::Wait {
        action: action.map(Box::new),
        reason: Reason::DataDeletionFailed,
        why: format!("the data at {place} cannot be deleted: {why}. {}", way_out()),
    }
}

fn way_out() -> String {
    format!("To let the rest of the data stay, take the annotation {DELETE_DATA_ANNOTATION} away")
}

/// The first few of many.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Says that the data stays, where, and how somebody gets at it again. `why` is set where they may have meant something else. `None` where
/// there is nothing to say: the cluster never claimed its place.
fn kept(cluster: &LakeCluster, why: Option<&str>) -> Option<EventNote> {
    let cluster_id = cluster.status.as_ref().and_then(|status| status.cluster_id.as_deref());
    if cluster_id.is_none() && why.is_none() {
        return None;
    }
    let place = place(&cluster.spec.storage);
    let mut note = format!("the data at {place} stays");
    if let Some(why) = why {
        note.push_str(": ");
        note.push_str(why);
    }
    if let Some(id) = cluster_id {
        note.push_str(&format!(
            "; a LakeCluster there with bootstrap.adopt {id} takes it up, or deletes it, with deletion.data: Delete and the annotation {DELETE_DATA_ANNOTATION}: {place}"
        ));
    }
    Some(EventNote {
        severity: match why {
            Some(_) => Severity::Warning,
            None => Severity::Normal,
        },
        reason: Reason::DataKept,
        action: "Delete".to_owned(),
        note,
    })
}

/// What goes with the object and has no owner, and the object's leave.
fn last_actions(observed: &ObservedLakeCluster) -> Vec<Action> {
    let cluster = &observed.cluster;
    let job = job_key(cluster);
    let mut actions = Vec::new();
    // It may still run, where somebody lets the data stay after all.
    if let Some(live) = observed.live.get(&job).filter(|live| !finish::is_leaving(live)) {
        actions.push(Action::Delete {
            uid: finish::uid(live),
            object: job,
        });
    }
    if cluster.spec.deletes_accounts() {
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
        let accounts = [
            names::internal_secret(name),
            names::admin_secret(name),
            names::operator_secret(name),
        ];
        let there = accounts.iter().filter(|secret| observed.secrets.contains_key(*secret));
        actions.extend(there.map(|secret| Action::Delete {
            object: ObjectKey::namespaced(ObjectKind::Secret, namespace, secret),
            uid: None,
        }));
        actions.extend(certificates::deletions(cluster, &observed.secrets));
    }
    actions.push(Action::RemoveFinalizer);
    actions
}

/// The status as it was before, but for what is waited for and what still runs.
fn told(
    observed: &ObservedLakeCluster,
    reason: Reason,
    why: &str,
    now: DateTime<Utc>,
) -> (Option<LakeClusterStatus>, Vec<EventNote>) {
    let cluster = &observed.cluster;
    let before = cluster.status.clone().unwrap_or_default();
    let finding = Finding::fails(reason, why);
    let findings = vec![
        (ConditionType::Available, finding.clone()),
        (ConditionType::Ready, finding),
    ];
    let generation = cluster.metadata.generation;
    let (told, events) = condition::update(&before.conditions, generation, now, findings);
    let kept = before
        .conditions
        .iter()
        .filter(|condition| told.iter().all(|told| told.type_ != condition.type_));
    let conditions = kept.chain(&told).cloned().collect();
    let (leader, frontends_ready, compute_nodes_alive) = members::counts(&observed.sql);
    let status = LakeClusterStatus {
        conditions,
        observed_generation: generation,
        leader,
        frontends_ready: Some(frontends_ready),
        compute_nodes_alive: Some(compute_nodes_alive),
        compute_until: None,
        ..before
    };
    ((cluster.status.as_ref() != Some(&status)).then_some(status), events)
}
