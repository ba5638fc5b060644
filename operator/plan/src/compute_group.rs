//! What is to be done about a ComputeGroup.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use springtide_crds::{ComputeGroupSpec, ComputeGroupStatus, ConditionType, Reason};
use springtide_schedule::{Evaluation, clamp, evaluate};

use crate::action::{Action, Plan, Telling, Wait};
use crate::condition::{self, Finding};
use crate::files::{self, Files};
use crate::finish::{self, Rejection};
use crate::flavour::flavour;
use crate::inputs;
use crate::lake_cluster::{ClusterShape, credentials_hash, takes_data_along};
use crate::maintenance::Maintenance;
use crate::names::{self, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::rollout::{self, Order, Pods};
use crate::update::{self, Settled, Workload};
use crate::upgrade_order;

mod autoscaler;
mod decision;
mod deletion;
mod demand;
mod disruption_budget;
mod drain;
mod fence;
mod foresight;
mod health;
mod limits;
pub mod members;
pub mod schedule;
mod service;
mod shape;
pub mod stagger;
mod start_up;
mod stateful_set;
mod status;
mod window_watch;

pub use decision::owns_replicas;
use demand::Demand;
use drain::Departure;
pub use foresight::{Foreseen, foresee};
pub use limits::{counts_compute, is_accepted, promised};
pub use shape::{ComputeShape, GroupShape};

#[cfg(test)]
mod tests;

/// What is to be done about the group.
#[must_use]
pub fn plan_compute_group(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Plan<ComputeGroupStatus> {
    let metadata = &observed.group.metadata;
    if metadata.deletion_timestamp.is_some() {
        return deletion::plan(observed, now);
    }
    let mut actions = Vec::new();
    if !has_finalizer(observed) {
        actions.push(Action::AddFinalizer);
    }
    let in_force = InForce::decide(observed, now);
    let scale = Scale::now(in_force.group.as_ref(), observed, now);
    let blocked = in_force
        .group
        .as_ref()
        .map(|group| ready_to_build(observed, group, &scale));
    let departure = in_force
        .group
        .as_ref()
        .map(|group| drain::plan(observed, group, scale.wanted, now))
        .unwrap_or_default();
    let mut nodes = None;
    match (&blocked, &in_force.group) {
        (Some(Ok(compute)), Some(group)) => {
            let nodes = nodes.insert(up_to_date(observed, compute, departure.replicas, now));
            actions.extend(finish::writes(
                desired(observed, group, compute, &scale, nodes),
                &observed.live,
                metadata.uid.as_deref(),
                &files::in_use(&compute.namespace, &nodes.templates, &observed.pods),
            ));
            actions.extend(departure.statements.iter().cloned());
            actions.extend(members::statements(
                observed,
                &compute.cluster,
                &compute.warehouse,
                members::Known {
                    wanted: scale.wanted,
                    kept: departure.replicas,
                    // Otherwise its first node is known anyway, or nobody may wake it.
                    always_one: scale.asleep,
                },
            ));
            actions.extend(scale.demand.wakes.map(|replicas| Action::Wake { replicas }));
        }
        // Without its cluster a group is nothing: what is left of it goes.
        (Some(Err(finding)), _) if finding.reason == Reason::ClusterNotFound => {
            actions.extend(finish::writes(
                Vec::new(),
                &observed.live,
                metadata.uid.as_deref(),
                &BTreeSet::new(),
            ));
        }
        // Nothing may run that could write to a place whose data is about to be deleted.
        _ if observed.cluster.as_ref().is_some_and(takes_data_along) => actions.extend(to_none(observed)),
        _ => {}
    }
    let obstacle = match blocked {
        None => Some(Finding::fails(Reason::InvalidField, "see condition Accepted")),
        Some(Err(finding)) => Some(finding),
        Some(Ok(_)) => None,
    };
    let outlook = Outlook {
        obstacle,
        departure,
        nodes,
    };
    report(observed, in_force, &scale, outlook, actions, now)
}

/// Which values are in force: those that are written, or the last that were accepted.
pub(crate) struct InForce {
    pub(crate) group: Option<GroupShape>,
    pub(crate) spec: Option<Box<ComputeGroupSpec>>,
    pub(crate) rejection: Option<Rejection>,
}

impl InForce {
    fn decide(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Self {
        let group = &observed.group;
        let written = GroupShape::new(observed, &group.spec, now).and_then(|shape| {
            limits::check(observed, &shape, now)?;
            Ok(shape)
        });
        match written {
            Ok(shape) => Self {
                group: Some(shape),
                spec: Some(Box::new(group.spec.clone())),
                rejection: None,
            },
            Err(rejection) => {
                let accepted = group.status.as_ref().and_then(|status| status.accepted_spec.clone());
                let shape = |spec: &ComputeGroupSpec| GroupShape::new(observed, spec, now).ok();
                let scaled = accepted
                    .as_deref()
                    .and_then(|accepted| decision::scaled(group, accepted))
                    .filter(|spec| shape(spec).is_some_and(|shape| shape.replicas <= shape.max_replicas));
                let spec = scaled.map(Box::new).or(accepted);
                Self {
                    group: spec.as_deref().and_then(shape),
                    spec,
                    rejection: Some(rejection),
                }
            }
        }
    }

    fn finding(&self) -> Finding {
        match &self.rejection {
            None => Finding::holds(Reason::Valid, "the written values are in force"),
            Some(rejection) => {
                let kept = if self.spec.is_some() {
                    "; the last accepted values stay in force"
                } else {
                    ""
                };
                Finding::fails(rejection.reason, format!("{}{kept}", rejection.message))
            }
        }
    }
}

/// How many nodes are wanted now, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) wanted: u32,
    pub(crate) evaluation: Evaluation,
    pub(crate) suspended: bool,
    /// No node is wanted, and a statement wakes the group.
    pub(crate) asleep: bool,
    /// What waiting statements ask for.
    pub(crate) demand: Demand,
}

impl Scale {
    fn now(group: Option<&GroupShape>, observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Self {
        let evaluation = evaluate(group.map_or(&[], |group| &group.windows), now);
        // Suspending is an emergency brake: it counts as written, whatever else about the cluster is not accepted.
        let suspended = observed.cluster.as_ref().is_some_and(|cluster| cluster.spec.suspend);
        let awake = group.filter(|_| !suspended);
        let demand = awake
            .map(|group| Demand::assess(group, observed, &evaluation, now))
            .unwrap_or_default();
        let wanted = awake.map_or(0, |group| {
            wanted(group.replicas.max(demand.floor), &evaluation, group.max_replicas)
        });
        Self {
            asleep: wanted == 0 && awake.is_some_and(|group| group.wake_on_query),
            wanted,
            evaluation,
            suspended,
            demand,
        }
    }
}

/// `replicas` within floor and ceiling, where the floor wins over the ceiling and the department's limit over both.
#[must_use]
pub fn wanted(replicas: u32, evaluation: &Evaluation, limit: u32) -> u32 {
    clamp(replicas, evaluation).min(limit)
}

/// Everything that is needed to build objects, or what is missing.
fn ready_to_build(observed: &ObservedComputeGroup, group: &GroupShape, scale: &Scale) -> Result<ComputeShape, Finding> {
    let name = &observed.group.spec.cluster;
    let Some(cluster) = &observed.cluster else {
        return Err(Finding::fails(
            Reason::ClusterNotFound,
            format!("there is no LakeCluster {name} in this namespace; create it, or make a group for one that exists"),
        ));
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Err(Finding::fails(
            Reason::ClusterNotReady,
            format!("LakeCluster {name} is being deleted"),
        ));
    }
    let not_ready = |why: &str| Finding::fails(Reason::ClusterNotReady, format!("LakeCluster {name} {why}"));
    let accepted = cluster
        .status
        .as_ref()
        .and_then(|status| status.accepted_spec.as_deref());
    let shape = accepted
        .and_then(|spec| ClusterShape::new(cluster, spec, &observed.settings).ok())
        .ok_or_else(|| not_ready("is not accepted yet; see its condition Accepted"))?;
    let drain_key = observed
        .drain_key
        .clone()
        .ok_or_else(|| not_ready("has no internal token yet"))?;
    // Frontends come first. What exists already is looked after even while the frontend is away for a moment.
    if scale.wanted > 0 && !has_stateful_set(observed) && !has_leader(&observed.sql) {
        return Err(not_ready(
            "has no frontend that leads and answers yet; compute starts after it",
        ));
    }
    Ok(ComputeShape::new(group, shape, drain_key, &observed.settings))
}

fn has_stateful_set(observed: &ObservedComputeGroup) -> bool {
    observed.live.get(&stateful_set_key(observed)).is_some()
}

/// `spec.replicas` of the StatefulSet as it is.
fn current_replicas(observed: &ObservedComputeGroup) -> Option<u32> {
    let live = observed.live.get(&stateful_set_key(observed))?;
    u32::try_from(live.pointer("/spec/replicas")?.as_u64()?).ok()
}

/// Lets all nodes go, each by its hook; `None` where there is none.
fn to_none(observed: &ObservedComputeGroup) -> Option<Action> {
    let object = stateful_set_key(observed);
    let live = observed.live.get(&object)?;
    if current_replicas(observed)? == 0 {
        return None;
    }
    Some(Action::Scale {
        uid: finish::uid(live),
        version: finish::version(live),
        object,
        replicas: 0,
    })
}

fn stateful_set_key(observed: &ObservedComputeGroup) -> ObjectKey {
    let (namespace, name) = identity(observed);
    ObjectKey::namespaced(ObjectKind::StatefulSet, namespace, &names::compute(name))
}

/// Namespace and name of the group.
pub(crate) fn identity(observed: &ObservedComputeGroup) -> (&str, &str) {
    let metadata = &observed.group.metadata;
    (
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn has_leader(sql: &SqlAnswer) -> bool {
    matches!(sql, SqlAnswer::Answered { frontends, .. } if frontends.iter().any(|row| row.is_leader && row.alive))
}

/// The nodes' StatefulSet, as far as it may be brought up to date now.
///
/// `replicas` are those of the StatefulSet: beside what is wanted, nodes that end their work.
fn up_to_date(observed: &ObservedComputeGroup, compute: &ComputeShape, replicas: u32, now: DateTime<Utc>) -> Settled {
    let shape = &compute.cluster;
    let flavour = flavour(shape.engine);
    let name = names::compute(&compute.name);
    let owner = Owner::of_group(&observed.group);
    let credentials = credentials_hash(shape, &observed.secrets, &observed.live, &name);
    let files = files_of(compute);
    let stateful_set = stateful_set::build(&owner, compute, flavour, &files, credentials.as_deref(), replicas);
    let live = observed.live.get(&stateful_set_key(observed));
    let counted: Option<BTreeSet<String>> = matches!(observed.sql, SqlAnswer::Answered { .. }).then(|| {
        // One that drains answers its heartbeats, and is not broken for being told to leave.
        let counts = |member: &members::Member<'_>| member.row.alive || member.row.draining;
        let members = members::members(observed).into_iter();
        members.filter(counts).map(|member| member.pod).collect()
    });
    let status = observed.cluster.as_ref().and_then(|cluster| cluster.status.as_ref());
    let accepted = status.and_then(|status| status.accepted_spec.as_deref());
    let runs = live.and_then(|live| rollout::engine_of(live.pointer("/spec/template")?));
    let turn = upgrade_order::of_compute(
        flavour,
        runs.as_ref().map(|engine| engine.version.as_str()),
        &shape.engine_version,
        status.and_then(|status| status.engine.as_ref()),
    );
    let maintenance = observed.cluster.as_ref().map_or_else(Maintenance::never, |cluster| {
        Maintenance::now(cluster, &shape.maintenance_windows, now)
    });
    update::settle(Workload {
        desired: DesiredObject::new(ObjectKind::StatefulSet, &stateful_set),
        live,
        inputs: accepted.map_or_else(String::new, |spec| {
            inputs::of_compute(spec, compute, credentials.as_deref())
        }),
        inputs_of_old: None,
        replicas,
        pods: Pods {
            pods: &observed.pods,
            counted: counted.as_ref(),
            now,
        },
        maintenance: &maintenance,
        turn,
        order: Order::Ordinals,
        before: observed.group.status.as_ref().and_then(|status| status.engine.as_ref()),
    })
}

fn files_of(compute: &ComputeShape) -> Files {
    Files::new(
        &names::compute_files(&compute.name),
        flavour(compute.cluster.engine).compute_files(compute),
    )
}

/// Everything that the group is made of.
fn desired(
    observed: &ObservedComputeGroup,
    group: &GroupShape,
    compute: &ComputeShape,
    scale: &Scale,
    nodes: &Settled,
) -> Vec<DesiredObject> {
    let owner = Owner::of_group(&observed.group);
    let files = files_of(compute);
    let mut objects = Vec::new();
    // Files of a template that is held back are not needed yet.
    if nodes.reads(&files.config_map) {
        objects.push(files.object(&owner, &observed.live));
    }
    objects.push(DesiredObject::new(
        ObjectKind::Service,
        &service::build(&owner, compute),
    ));
    objects.push(DesiredObject::new(
        ObjectKind::PodDisruptionBudget,
        &disruption_budget::build(&owner, compute),
    ));
    if let Some(autoscaling) = &group.autoscaling {
        let bounds = autoscaler::bounds(autoscaling, &scale.evaluation, scale.demand.floor, group.max_replicas);
        objects.push(DesiredObject::new(
            ObjectKind::HorizontalPodAutoscaler,
            &autoscaler::build(&owner, &group.name, autoscaling, bounds),
        ));
    }
    objects.push(nodes.object.clone());
    objects
}

fn waiting(why: &str) -> Wait {
    Wait {
        why: why.to_owned(),
        until: None,
    }
}

fn has_finalizer(observed: &ObservedComputeGroup) -> bool {
    let finalizers = observed.group.metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|finalizer| finalizer == names::FINALIZER)
}

/// What was found on the way to the actions.
struct Outlook {
    /// Why nothing can be built.
    obstacle: Option<Finding>,
    departure: Departure,
    nodes: Option<Settled>,
}

fn report(
    observed: &ObservedComputeGroup,
    in_force: InForce,
    scale: &Scale,
    outlook: Outlook,
    actions: Vec<Action>,
    now: DateTime<Utc>,
) -> Plan<ComputeGroupStatus> {
    let Outlook {
        obstacle,
        departure,
        nodes,
    } = outlook;
    let group = &observed.group;
    let before = group.status.clone().unwrap_or_default();
    let mut health = health::assess(observed, scale, obstacle, now);
    let engine = match &nodes {
        Some(nodes) => nodes.engine.clone(),
        None => before.engine.clone(),
    };
    let up_to_date = match nodes {
        Some(nodes) => nodes.finding,
        None => Finding::unknown("no nodes can be made yet; see condition Ready"),
    };
    let is_rolling = up_to_date.reason == Reason::Rolling;
    if let Some(conflict) = &scale.evaluation.conflict {
        health.ready.message.push_str(&format!(
            "; the minReplicas of window {} are above the maxReplicas of window {}, and the minimum counts",
            conflict.floor_window, conflict.ceiling_window
        ));
    }
    let findings = vec![
        (ConditionType::Accepted, in_force.finding()),
        (ConditionType::Available, health.available),
        (ConditionType::Ready, health.ready.clone()),
        (ConditionType::UpToDate, up_to_date),
    ];
    let (conditions, mut events) = condition::update(&before.conditions, group.metadata.generation, now, findings);
    // What was cut off is found once; the others as long as the status is not written.
    let found_once = departure.events;
    let drains = departure.has_orders;
    // Statements that wait are seen by looking only.
    let waits_for_statements = shape::flavour_of(observed).capabilities().queue
        && in_force
            .group
            .as_ref()
            .is_some_and(|group| scale.asleep || group.autoscaling.is_some() && scale.wanted > 0);
    let windows = window_watch::look(observed, in_force.spec.as_deref(), scale, now);
    events.extend(windows.events);
    let recent = start_up::observe(observed, now);
    let start_up = in_force
        .group
        .as_ref()
        .map(|group| start_up::status(recent, group.warm_up));
    let found = status::Found {
        draining: departure.draining,
        windows: windows.active,
        lead_times: start_up::lead_times(&in_force, start_up.as_ref()),
        start_up,
        engine,
    };
    let status = status::build(observed, in_force, scale, found, conditions);
    let telling = match &group.status {
        _ if !found_once.is_empty() => Telling::Now,
        // The line of statements may be gone by the next look, and nothing else remembers it.
        _ if demand::is_news(before.demand.as_ref(), status.demand.as_ref()) => Telling::Now,
        Some(before) if status::only_words(before, &status) => Telling::Wording,
        Some(before) if status::only_counts(before, &status) => Telling::Progress,
        _ => Telling::AfterActions,
    };
    events.extend(found_once);
    let ready = health.ready.holds == Some(true);
    let edges = [next_edge(scale, now), drains.then_some(drain::RENEWAL)];
    let edge_after = edges.into_iter().flatten().min();
    Plan {
        wait: (!ready && actions.is_empty()).then(|| waiting(&health.ready.message)),
        requeue_after: next_look(&health.ready, drains, waits_for_statements || is_rolling),
        edge_after,
        telling,
        status: (group.status.as_ref() != Some(&status)).then_some(status),
        actions,
        events,
    }
}

/// Soon while nodes come or go, and now and then anyway.
fn next_look(ready: &Finding, drains: bool, is_attentive: bool) -> std::time::Duration {
    let converging = ready.holds != Some(true)
        && matches!(
            ready.reason,
            Reason::ComputeStarting | Reason::ComputeLeaving | Reason::NoComputeAlive | Reason::ClusterNotReady
        );
    // Also where something else is wrong, as with a pod that has no room: it may be the one that a node which drains makes.
    if converging || drains {
        finish::CONVERGING
    } else if is_attentive {
        finish::ATTENTIVE
    } else {
        finish::STEADY
    }
}

/// When a window changes something, if that is soon. One that is far away is planned again before: the time of day may jump.
fn next_edge(scale: &Scale, now: DateTime<Utc>) -> Option<std::time::Duration> {
    // A little late rather than early: an early look would only have to look again.
    let after = scale.evaluation.next_edge? - now + TimeDelta::milliseconds(20);
    after.to_std().ok().filter(|after| *after <= finish::FORESIGHT)
}
