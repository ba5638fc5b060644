//! What is to be done about a LakeCluster.

use chrono::{DateTime, Utc};
use springtide_crds::{ComputeGroup, ConditionType, LakeCluster, LakeClusterSpec, LakeClusterStatus, Reason};

use crate::action::{Action, Plan, SecretField, SecretToCreate, Telling, Wait};
use crate::condition::{self, Finding};
use crate::files;
use crate::finish::{self, Rejection};
use crate::flavour::{UpgradeStep, flavour};
use crate::inputs;
use crate::maintenance::Maintenance;
use crate::names::{self, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::{InitialAccount, ObservedLakeCluster, SqlAnswer};
use crate::rollout::{self, Order, Pods};
use crate::update::{self, Settled, Workload};
use crate::upgrade_order;

mod accounts;
mod certificates;
mod claim_owners;
mod deletion;
mod disruption_budget;
mod dynamic_settings;
mod frontend_files;
mod health;
mod hibernation;
mod members;
mod network_policies;
mod recreation;
mod service_account;
mod services;
mod shape;
mod stateful_set;
mod volume_claims;

pub use accounts::initial_account;
pub use certificates::IssuedShape;
use deletion::DataRequest;
pub use deletion::takes_data_along;
use dynamic_settings::Assessment;
pub use dynamic_settings::reads_settings_back;
pub(crate) use health::is_rolling;
pub use health::is_woken_by_statements;
use hibernation::Hibernation;
use recreation::Recreation;
pub use recreation::kept_stateful_set;
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
    if let Some(tls) = &spec.tls {
        secrets.extend(certificates::secret(name, tls));
        secrets.extend(tls.issue.as_ref().map(|_| names::authority_secret(name)));
    }
    secrets
}

/// What is to be done about the cluster.
#[must_use]
pub fn plan_lake_cluster(observed: &ObservedLakeCluster, now: DateTime<Utc>) -> Plan<LakeClusterStatus> {
    let metadata = &observed.cluster.metadata;
    if metadata.deletion_timestamp.is_some() {
        return deletion::plan(observed, now);
    }
    let mut actions = Vec::new();
    if !has_finalizer(metadata.finalizers.as_deref()) {
        actions.push(Action::AddFinalizer);
    }
    let in_force = InForce::decide(observed);
    let mut frontends = None;
    let mut recreation = None;
    let mut settings = dynamic_settings::unchanged(&observed.cluster);
    let trouble = match (&in_force.shape, &in_force.spec) {
        (Some(shape), Some(spec)) => {
            let missing = missing_secrets(observed, shape);
            let mut certificates = certificates::due(observed, shape, now);
            if !certificates::can_be_mounted(observed, shape) {
                // Before the pods that mount them.
                actions.append(&mut certificates);
            }
            let hibernation = Hibernation::of(observed, shape);
            let staying = members::staying(observed, shape, hibernation.frontends(shape));
            if missing.is_empty() {
                let frontends = frontends.insert(up_to_date(observed, spec, shape, staying.frontends, now));
                let recreation = &*recreation.insert(Recreation::next(observed, shape, frontends));
                if let Recreation::Alone(alone) = recreation {
                    actions.append(&mut certificates);
                    actions.extend(alone.iter().cloned());
                } else {
                    let desired = desired(observed, shape, frontends, recreation);
                    actions.extend(files::make_way(&desired, &observed.live));
                    actions.extend(finish::writes(
                        desired,
                        &observed.live,
                        metadata.uid.as_deref(),
                        &files::in_use(&shape.namespace, &frontends.templates, &observed.pods),
                    ));
                    // Before statements: one may fail for a certificate that has ended.
                    actions.append(&mut certificates);
                    if let Hibernation::FallingAsleep { statement, .. } = &hibernation {
                        actions.extend(statement.clone().map(Action::Sql));
                    }
                    actions.extend(accounts::statements(observed, shape));
                    actions.extend(members::statements(observed, shape));
                    actions.extend(staying.statement.clone().map(Action::Sql));
                    actions.extend(replacement(shape, frontends));
                    actions.extend(members::orphans(observed, shape));
                    actions.extend(claim_owners::of_sleeping(observed, shape.delete_volumes));
                    // Last, since a storage class may refuse it for good.
                    actions.extend(volume_claims::growth(observed, shape));
                    // An engine may refuse a value for good, too.
                    settings = dynamic_settings::assess(observed, shape);
                    actions.append(&mut settings.statements);
                }
            } else {
                // Alone, and the rest next time: pods carry a hash of Secrets that is keyed with one of these.
                actions.append(&mut certificates);
                actions.extend(missing);
            }
            let recreation = recreation.as_ref().and_then(|recreation| recreation.finding(shape));
            health::assess(observed, shape, &hibernation, &staying, recreation, now)
        }
        _ => {
            actions.extend(recreation::unfinished(observed).into_iter().flatten());
            health::Health::not_accepted()
        }
    };
    report(observed, in_force, trouble, frontends, settings, actions, now)
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
            shape::check_settings(&cluster.spec)?;
            shape::check_secrets(&shape, &observed.secrets)?;
            volume_claims::check(observed, &shape)?;
            members::check_growth(observed, &shape)?;
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
        matches!(
            reason,
            Some(Reason::SecretNotFound | Reason::SecretKeyMissing | Reason::SecretTaken)
        )
    }

    fn finding(&self, cluster: &LakeCluster) -> Finding {
        match &self.rejection {
            None => Finding::holds(
                Reason::Valid,
                format!("the written values are in force{}", DataRequest::outlook(cluster)),
            ),
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
    frontends: u32,
    now: DateTime<Utc>,
) -> Settled {
    let name = names::frontends(&shape.name);
    let flavour = flavour(shape.engine);
    let owner = Owner::of_cluster(&observed.cluster);
    let credentials = credentials_hash(shape, &observed.secrets, &observed.live, &name);
    let files = frontend_files::of(observed, shape);
    let mut stateful_set = stateful_set::build(&owner, shape, flavour, &files, credentials.as_deref(), observed);
    if let Some(spec) = &mut stateful_set.spec {
        spec.replicas = i32::try_from(frontends).ok();
    }
    let key = ObjectKey::namespaced(ObjectKind::StatefulSet, &shape.namespace, &name);
    let copy = recreation::copy(observed);
    let live = observed.live.get(&key).or(copy.as_ref());
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
    let standings = members::standings(&observed.sql);
    update::settle(Workload {
        desired: DesiredObject::new(ObjectKind::StatefulSet, &stateful_set),
        live,
        inputs: inputs::of_frontends(spec, shape, credentials.as_deref()),
        inputs_of_old: inputs::of_frontends_of_old(spec, shape, credentials.as_deref()),
        replicas: frontends,
        pods: Pods {
            pods: &observed.pods,
            // One that answers nobody counts on nobody, itself included.
            counted: Some(&counted),
            now,
        },
        maintenance: &Maintenance::now(&observed.cluster, &shape.maintenance_windows, now),
        turn,
        // A single one leads, and goes when it is its turn.
        order: if frontends > 1 && flavour.upgrade_order().contains(&UpgradeStep::FrontendFollowers) {
            Order::LeaderLast(&standings)
        } else {
            Order::Ordinals
        },
        before: before.and_then(|status| status.engine.as_ref()),
    })
}

/// The pod whose turn it is to become one of the present template, where Kubernetes does not replace them by itself.
fn replacement(shape: &ClusterShape, frontends: &Settled) -> Option<Action> {
    let pod = frontends.replaces.as_ref()?;
    Some(Action::ReplacePod {
        namespace: shape.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    })
}

/// Everything that the cluster is made of.
fn desired(
    observed: &ObservedLakeCluster,
    shape: &ClusterShape,
    frontends: &Settled,
    recreation: &Recreation,
) -> Vec<DesiredObject> {
    let owner = Owner::of_cluster(&observed.cluster);
    let mut objects = frontend_files::objects(observed, shape, &owner, frontends);
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
    if let Recreation::Prepared { copy } = recreation {
        objects.push(copy.clone());
    }
    objects.push(recreation.of_present(&frontends.object));
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
        (
            names::admin_secret(&shape.name),
            account(flavour(shape.engine).administrator()),
        ),
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

fn has_finalizer(finalizers: Option<&[String]>) -> bool {
    finalizers.is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == names::FINALIZER))
}

fn report(
    observed: &ObservedLakeCluster,
    in_force: InForce,
    health: health::Health,
    frontends: Option<Settled>,
    settings: Assessment,
    actions: Vec<Action>,
    now: DateTime<Utc>,
) -> Plan<LakeClusterStatus> {
    let cluster = &observed.cluster;
    let before = cluster.status.clone().unwrap_or_default();
    // A cluster that sleeps has neither trouble nor proof.
    let is_claimed = health.storage.holds == Some(true) && accounts::are_made(observed);
    let engine = match &frontends {
        Some(frontends) => frontends.engine.clone(),
        None => before.engine.clone(),
    };
    let up_to_date = match frontends {
        Some(frontends) => beside(frontends.finding, settings.finding),
        None => Finding::unknown("nothing is made before the written values are accepted"),
    };
    let is_rolling = up_to_date.reason == Reason::Rolling;
    let findings = vec![
        (ConditionType::Accepted, in_force.finding(cluster)),
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
        dynamic_settings: settings.in_force,
        certificate: in_force
            .shape
            .as_ref()
            .and_then(|shape| certificates::status(observed, shape)),
        compute_until: next_transition(observed),
        accepted_spec: in_force.spec,
    };
    let ready = health.ready.holds == Some(true);
    let requeue_after = match (ready, &observed.sql) {
        // Time is what the next pod waits for, and no watch tells of it.
        _ if is_rolling => finish::ATTENTIVE,
        (true, _) => finish::STEADY,
        (false, SqlAnswer::NotAsked) if lacks_secret => finish::SECRET,
        // A cause that somebody must remove is looked at less often than a start that is under way.
        (false, SqlAnswer::NotAsked) if in_force.rejection.is_some() => finish::STEADY,
        // A person has to run statements, and each look tries an account without a password.
        (false, SqlAnswer::LoginRefused { .. }) if observed.initial_account == InitialAccount::Closed => finish::SECRET,
        (false, _) => finish::CONVERGING,
    };
    Plan {
        wait: (!ready && actions.is_empty()).then(|| Wait {
            why: health.ready.message.clone(),
            until: None,
        }),
        requeue_after: settings
            .again_after
            .map_or(requeue_after, |after| after.min(requeue_after)),
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

/// What is said of pods and of the settings of those that run: of pods first, since settings come with them.
fn beside(pods: Finding, settings: Option<Finding>) -> Finding {
    match settings {
        None => pods,
        Some(settings) if pods.holds == Some(true) => settings,
        Some(settings) => Finding {
            message: format!("{}. Beside that: {}", pods.message, settings.message),
            ..pods
        },
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
