//! What is to be done about a LakeCluster.

use chrono::{DateTime, Utc};
use springtide_crds::{ComputeGroup, ConditionType, LakeClusterSpec, LakeClusterStatus, Reason};

use crate::action::{Action, Plan, SecretField, SecretToCreate, Telling, Wait};
use crate::condition::{self, Finding};
use crate::files::{self, Files};
use crate::finish::{self, Rejection};
use crate::flavour::flavour;
use crate::inputs;
use crate::maintenance::Maintenance;
use crate::names::{self, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::{ObservedLakeCluster, SqlAnswer};
use crate::rollout::{self, Pods};
use crate::update::{self, Settled, Workload};
use crate::upgrade_order;

mod claim_owners;
mod disruption_budget;
mod health;
mod hibernation;
mod members;
mod network_policies;
mod service_account;
mod services;
mod shape;
mod stateful_set;
mod volume_claims;

use claim_owners::BeforeDeletion;
pub(crate) use health::is_rolling;
pub use health::is_woken_by_statements;
use hibernation::Hibernation;
pub(crate) use services::service_port;
pub use shape::{ClusterShape, StorageShape};
pub(crate) use shape::{check_resources, positive};
pub(crate) use stateful_set::{credentials_annotation, credentials_hash};

#[cfg(test)]
mod tests;

/// Names of the Secrets that a cluster makes or names: what [`ObservedLakeCluster::secrets`] is to hold, where they exist.
#[must_use]
pub fn secrets(name: &str, spec: &LakeClusterSpec) -> Vec<String> {
    let mut secrets = vec![
        names::internal_secret(name),
        names::admin_secret(name),
        names::operator_secret(name),
    ];
    secrets.extend(
        spec.storage
            .credentials
            .secret_ref
            .as_ref()
            .map(|secret| secret.name.clone()),
    );
    secrets.extend(spec.tls.as_ref().map(|tls| tls.secret_name.clone()));
    secrets
}

/// What is to be done about the cluster.
#[must_use]
pub fn plan_lake_cluster(observed: &ObservedLakeCluster, now: DateTime<Utc>) -> Plan<LakeClusterStatus> {
    let metadata = &observed.cluster.metadata;
    if metadata.deletion_timestamp.is_some() {
        return plan_deletion(observed);
    }
    let mut actions = Vec::new();
    if !has_finalizer(metadata.finalizers.as_deref()) {
        actions.push(Action::AddFinalizer);
    }
    let in_force = InForce::decide(observed);
    let mut frontends = None;
    let trouble = match (&in_force.shape, &in_force.spec) {
        (Some(shape), Some(spec)) => {
            let missing = missing_secrets(observed, shape);
            let hibernation = Hibernation::of(observed, shape);
            if missing.is_empty() {
                let frontends = frontends.insert(up_to_date(observed, spec, shape, &hibernation, now));
                actions.extend(finish::writes(
                    desired(observed, shape, frontends),
                    &observed.live,
                    metadata.uid.as_deref(),
                    &files::in_use(&shape.namespace, &frontends.templates, &observed.pods),
                ));
                if let Hibernation::FallingAsleep { statement, .. } = &hibernation {
                    actions.extend(statement.clone().map(Action::Sql));
                }
                actions.extend(members::statements(observed, shape));
                actions.extend(members::orphans(observed, shape));
                actions.extend(claim_owners::of_sleeping(observed, shape.delete_volumes));
                // Last, since a storage class may refuse it for good.
                actions.extend(volume_claims::growth(observed, shape));
            } else {
                // Alone, and the rest next time: pods carry a hash of Secrets that is keyed with one of these.
                actions.extend(missing);
            }
            health::assess(observed, shape, &hibernation, now)
        }
        _ => health::Health::not_accepted(),
    };
    report(observed, in_force, trouble, frontends, actions, now)
}

/// Which values are in force: those that are written, or the last that were accepted.
struct InForce {
    shape: Option<ClusterShape>,
    spec: Option<Box<LakeClusterSpec>>,
    rejection: Option<Rejection>,
}

impl InForce {
    fn decide(observed: &ObservedLakeCluster) -> Self {
        let cluster = &observed.cluster;
        let written = ClusterShape::new(cluster, &cluster.spec, &observed.settings).and_then(|shape| {
            shape::check_secrets(&shape, &observed.secrets)?;
            volume_claims::check(observed, &shape)?;
            Ok(shape)
        });
        match written {
            Ok(shape) => Self {
                shape: Some(shape),
                spec: Some(Box::new(cluster.spec.clone())),
                rejection: None,
            },
            Err(rejection) => {
                let accepted = cluster.status.as_ref().and_then(|status| status.accepted_spec.clone());
                Self {
                    shape: accepted
                        .as_ref()
                        .and_then(|spec| ClusterShape::new(cluster, spec, &observed.settings).ok()),
                    spec: accepted,
                    rejection: Some(rejection),
                }
            }
        }
    }

    fn lacks_secret(&self) -> bool {
        let reason = self.rejection.as_ref().map(|rejection| rejection.reason);
        matches!(reason, Some(Reason::SecretNotFound | Reason::SecretKeyMissing))
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

/// The frontends' StatefulSet, as far as it may be brought up to date now.
fn up_to_date(
    observed: &ObservedLakeCluster,
    spec: &LakeClusterSpec,
    shape: &ClusterShape,
    hibernation: &Hibernation,
    now: DateTime<Utc>,
) -> Settled {
    let name = names::frontends(&shape.name);
    let flavour = flavour(shape.engine);
    let owner = Owner::of_cluster(&observed.cluster);
    let credentials = credentials_hash(shape, &observed.secrets, &observed.live, &name);
    let files = files_of(shape);
    let mut stateful_set = stateful_set::build(&owner, shape, flavour, &files, credentials.as_deref(), observed);
    let frontends = hibernation.frontends(shape);
    if let Some(spec) = &mut stateful_set.spec {
        spec.replicas = i32::try_from(frontends).ok();
    }
    let live = observed
        .live
        .get(&ObjectKey::namespaced(ObjectKind::StatefulSet, &shape.namespace, &name));
    let counted = members::counted(&observed.sql);
    let groups: Vec<&ComputeGroup> = observed
        .groups
        .iter()
        .filter(|group| group.spec.cluster == shape.name && group.metadata.deletion_timestamp.is_none())
        .collect();
    let runs = live.and_then(|live| rollout::engine_of(live.pointer("/spec/template")?));
    // Frontends that do not run have nobody to wait for: whatever may help them is tried.
    let turn = if counted.is_empty() {
        Ok(())
    } else {
        let from = runs.as_ref().map(|engine| engine.version.as_str());
        upgrade_order::of_frontends(flavour, from, &shape.engine_version, &groups)
    };
    let before = observed.cluster.status.as_ref();
    update::settle(Workload {
        desired: DesiredObject::new(ObjectKind::StatefulSet, &stateful_set),
        live,
        inputs: inputs::of_frontends(spec, shape, credentials.as_deref()),
        replicas: frontends,
        pods: Pods {
            pods: &observed.pods,
            // One that answers nobody counts on nobody, itself included.
            counted: Some(&counted),
            now,
        },
        maintenance: &Maintenance::now(&observed.cluster, &shape.maintenance_windows, now),
        turn,
        before: before.and_then(|status| status.engine.as_ref()),
    })
}

fn files_of(shape: &ClusterShape) -> Files {
    Files::new(
        &names::frontend_files(&shape.name),
        flavour(shape.engine).frontend_files(shape),
    )
}

/// Everything that the cluster is made of.
fn desired(observed: &ObservedLakeCluster, shape: &ClusterShape, frontends: &Settled) -> Vec<DesiredObject> {
    let owner = Owner::of_cluster(&observed.cluster);
    let files = files_of(shape);
    let mut objects = Vec::new();
    // Files of a template that is held back are not needed yet.
    if frontends.reads(&files.config_map) {
        objects.push(files.object(&owner));
    }
    if shape.given_service_account.is_none() {
        objects.push(DesiredObject::new(
            ObjectKind::ServiceAccount,
            &service_account::build(&owner, shape),
        ));
    }
    for service in [services::headless(&owner, shape), services::client(&owner, shape)] {
        objects.push(DesiredObject::new(ObjectKind::Service, &service));
    }
    for policy in [
        network_policies::frontends(&owner, shape),
        network_policies::compute(&owner, shape),
    ] {
        objects.push(DesiredObject::new(ObjectKind::NetworkPolicy, &policy));
    }
    if shape.frontends > 1 {
        objects.push(DesiredObject::new(
            ObjectKind::PodDisruptionBudget,
            &disruption_budget::build(&owner, shape),
        ));
    }
    objects.push(frontends.object.clone());
    objects
}

/// The accounts and the token that are made once. They have no owner reference: with `deletionPolicy: Retain` they stay with
/// the volumes, whose catalog knows the administrator's password.
fn missing_secrets(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    let account = |user: &str| {
        [
            ("username".to_owned(), SecretField::Text(user.to_owned())),
            ("password".to_owned(), SecretField::Random),
        ]
        .into()
    };
    [
        (
            names::internal_secret(&shape.name),
            [("token".to_owned(), SecretField::Random)].into(),
        ),
        (names::admin_secret(&shape.name), account(names::ADMIN_USER)),
        (names::operator_secret(&shape.name), account(names::OPERATOR_USER)),
    ]
    .into_iter()
    .filter(|(name, _)| !observed.secrets.contains_key(name))
    .map(|(name, fields)| {
        Action::CreateSecretOnce(SecretToCreate {
            namespace: shape.namespace.clone(),
            name,
            labels: Owner::of_cluster(&observed.cluster).labels,
            fields,
        })
    })
    .collect()
}

/// Owner references take everything along but the Secrets; volumes go by those of their claims.
fn plan_deletion(observed: &ObservedLakeCluster) -> Plan<LakeClusterStatus> {
    let metadata = &observed.cluster.metadata;
    let mut actions = Vec::new();
    let mut requeue_after = finish::STEADY;
    let deletes = observed.cluster.spec.deletion_policy == springtide_crds::department::DeletionPolicy::Delete;
    let before =
        has_finalizer(metadata.finalizers.as_deref()).then(|| claim_owners::before_deletion(observed, deletes));
    if let Some(BeforeDeletion::First(first)) = before {
        actions = first;
        requeue_after = finish::CONVERGING;
    } else if let Some(BeforeDeletion::Do(claims)) = before {
        actions = claims;
        let name = metadata.name.clone().unwrap_or_default();
        if deletes {
            let namespace = metadata.namespace.clone().unwrap_or_default();
            for secret in [
                names::internal_secret(&name),
                names::admin_secret(&name),
                names::operator_secret(&name),
            ] {
                if observed.secrets.contains_key(&secret) {
                    actions.push(Action::Delete {
                        object: ObjectKey::namespaced(ObjectKind::Secret, &namespace, &secret),
                        uid: None,
                    });
                }
            }
        }
        actions.push(Action::RemoveFinalizer);
    }
    Plan {
        actions,
        status: None,
        telling: Telling::Now,
        wait: None,
        requeue_after,
        edge_after: None,
        events: Vec::new(),
    }
}

fn has_finalizer(finalizers: Option<&[String]>) -> bool {
    finalizers.is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == names::FINALIZER))
}

fn report(
    observed: &ObservedLakeCluster,
    in_force: InForce,
    health: health::Health,
    frontends: Option<Settled>,
    actions: Vec<Action>,
    now: DateTime<Utc>,
) -> Plan<LakeClusterStatus> {
    let cluster = &observed.cluster;
    let before = cluster.status.clone().unwrap_or_default();
    let is_claimed = health.storage.holds == Some(true);
    let engine = match &frontends {
        Some(frontends) => frontends.engine.clone(),
        None => before.engine.clone(),
    };
    let up_to_date = match frontends {
        Some(frontends) => frontends.finding,
        None => Finding::unknown("nothing is made before the written values are accepted"),
    };
    let is_rolling = up_to_date.reason == Reason::Rolling;
    let findings = vec![
        (ConditionType::Accepted, in_force.finding()),
        (ConditionType::StorageReady, health.storage),
        (ConditionType::OperatorAccountReady, health.operator_account),
        (ConditionType::Available, health.available),
        (ConditionType::Ready, health.ready.clone()),
        (ConditionType::UpToDate, up_to_date),
    ];
    let (conditions, events) = condition::update(&before.conditions, cluster.metadata.generation, now, findings);
    let (leader, frontends_ready, compute_nodes_alive) = members::counts(&observed.sql);
    let lacks_secret = in_force.lacks_secret();
    let status = LakeClusterStatus {
        conditions,
        observed_generation: cluster.metadata.generation,
        // Known only once the engine has claimed the prefix under it: until then another identity may be adopted.
        cluster_id: before.cluster_id.clone().or_else(|| {
            let shape = in_force.shape.as_ref().filter(|_| is_claimed)?;
            Some(shape.cluster_id.clone())
        }),
        endpoint: in_force
            .shape
            .as_ref()
            .map(|shape| shape.endpoint(springtide_contract::ports::FE_MYSQL)),
        admin_secret: in_force.shape.as_ref().map(|shape| names::admin_secret(&shape.name)),
        leader,
        frontends_ready: Some(frontends_ready),
        compute_nodes_alive: Some(compute_nodes_alive),
        engine,
        compute_until: next_transition(observed),
        accepted_spec: in_force.spec,
    };
    let ready = health.ready.holds == Some(true);
    Plan {
        wait: (!ready && actions.is_empty()).then(|| Wait {
            why: health.ready.message.clone(),
            until: None,
        }),
        requeue_after: match (ready, &observed.sql) {
            // Time is what the next pod waits for, and no watch tells of it.
            _ if is_rolling => finish::ATTENTIVE,
            (true, _) => finish::STEADY,
            (false, SqlAnswer::NotAsked) if lacks_secret => finish::SECRET,
            // A cause that somebody must remove is looked at less often than a start that is under way.
            (false, SqlAnswer::NotAsked) if in_force.rejection.is_some() => finish::STEADY,
            (false, _) => finish::CONVERGING,
        },
        edge_after: None,
        telling: if only_counts(&before, &status) {
            Telling::Progress
        } else {
            Telling::Now
        },
        status: (cluster.status.as_ref() != Some(&status)).then_some(status),
        actions,
        events,
    }
}

/// Whether `after` says no more than how many frontends and nodes there are, and how long.
fn only_counts(before: &LakeClusterStatus, after: &LakeClusterStatus) -> bool {
    let mut counted = before.clone();
    counted.frontends_ready = after.frontends_ready;
    counted.compute_nodes_alive = after.compute_nodes_alive;
    counted.compute_until.clone_from(&after.compute_until);
    counted.conditions.clone_from(&after.conditions);
    counted == *after && condition::are_the_same(&before.conditions, &after.conditions)
}

/// The earliest change of compute that a window of one of the groups brings.
fn next_transition(observed: &ObservedLakeCluster) -> Option<String> {
    let name = observed.cluster.metadata.name.as_deref();
    observed
        .groups
        .iter()
        .filter(|group| Some(group.spec.cluster.as_str()) == name)
        .filter_map(|group| Some(group.status.as_ref()?.next_transition.as_ref()?.at.clone()))
        .min()
}
