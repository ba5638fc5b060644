//! Apply: does what a plan says, in its order, and stops at the first thing that fails.
//!
//! What the API server refuses for what it says, as by somebody's policy, stops less: sizes and statements of SQL do not need what it would
//! have said, and nodes must come, wake and leave although a file, a template or a certificate of theirs cannot be changed. So does a
//! certificate that cannot be made.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, LakeCluster};
use springtide_plan::{
    Action, AdminStatement, DesiredObject, ObjectKey, ObjectKind, SecretField, SecretToCreate,
    lake_cluster::kept_stateful_set,
    names::{self, FINALIZER},
};

use crate::{
    certificate::{self, IssueError},
    context::Context,
    engine::EngineError,
    kubernetes::{Kubernetes, KubernetesError, Only},
    observe::{engine, frontend_pods, secrets},
    secrets::new_password,
};

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// A request to Kubernetes failed.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// A statement failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] IssueError),
    /// A statement was planned, and there is nobody to run it.
    #[error("no frontend of cluster {cluster} can run `{statement}` at present")]
    NoFrontend { cluster: String, statement: &'static str },
    /// A node was to be forgotten that is there: the watch of pods is behind.
    #[error("the node of pod {pod} is not forgotten, as the pod is there")]
    PodThere { pod: String },
    /// A StatefulSet was to be made for an owner that has gone or is going: the watch of the owner is behind.
    #[error("{object} is not made, as the {owner} that it is for goes or has gone")]
    OwnerGone { object: String, owner: String },
    /// A StatefulSet was to be made otherwise than the copy of the one before it says: the watch of the copy is behind.
    #[error("{object} is not made yet, as the copy of the one before it says otherwise")]
    CopySaysOtherwise { object: String },
    /// A statement needs a password that is not there.
    #[error("Secret {secret} has no key `password` for `{statement}`")]
    NoPassword { secret: String, statement: &'static str },
}

impl ApplyError {
    /// Whether the same would be refused again, however often it is tried.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Kubernetes(error) => error.is_refusal(),
            Self::Certificate(_) => true,
            _ => false,
        }
    }
}

/// Does what a plan says about `object`. `cluster` runs its statements.
pub(crate) async fn apply<K>(
    context: &Context,
    object: &K,
    cluster: Option<&LakeCluster>,
    actions: &[Action],
) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let mut refused: Option<ApplyError> = None;
    for action in actions {
        let done = match action {
            // Its template may stand on what was refused.
            Action::Apply(desired) if refused.is_some() => resize(context, desired).await,
            Action::Scale { .. } | Action::Sql(_) | Action::SqlAsInitialAccount(_) | Action::Wake { .. } => {
                perform(context, object, cluster, action).await
            }
            _ if refused.is_some() => continue,
            _ => perform(context, object, cluster, action).await,
        };
        match (done, action) {
            (Ok(()), _) => {}
            (Err(error), Action::Apply(_) | Action::WriteCertificate(_) | Action::Patch { .. })
                if error.is_refusal() && refused.is_none() =>
            {
                if let Action::Apply(desired) = action
                    && let Err(error) = resize(context, desired).await
                {
                    tracing::debug!(object = %desired.key, %error, "its size cannot be written either");
                }
                refused = Some(error);
            }
            // The refusal came first, and is what somebody has to do something about.
            (Err(error), _) => return Err(refused.unwrap_or(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

async fn perform<K>(
    context: &Context,
    object: &K,
    cluster: Option<&LakeCluster>,
    action: &Action,
) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    match action {
        Action::Apply(desired) => {
            stays(context, object, desired).await?;
            write(context, desired).await?;
        }
        Action::Scale {
            object,
            uid,
            version,
            replicas,
        } => {
            let only_if = Only {
                uid: uid.as_deref(),
                version: version.as_deref(),
            };
            scale(context, object, only_if, *replicas).await?;
        }
        Action::Patch {
            object,
            version,
            fields,
        } => patch(context, object, version.as_deref(), fields).await?,
        Action::CreateSecretOnce(secret) => create_secret(context, cluster, secret).await?,
        Action::WriteCertificate(write) => certificate::write(context, write).await?,
        Action::Delete { object, uid } => delete(context, object, uid.as_deref()).await?,
        Action::Orphan { object, uid, version } => {
            let only_if = Only {
                uid: uid.as_deref(),
                version: version.as_deref(),
            };
            orphan(context, object, only_if).await?;
        }
        Action::Sql(statement) => run(context, cluster, statement, Account::Operator).await?,
        Action::SqlAsInitialAccount(statement) => run(context, cluster, statement, Account::Initial).await?,
        Action::ReplacePod { namespace, name, uid } => replace_pod(context, namespace, name, uid.as_deref()).await?,
        Action::Wake { replicas } => wake(context, object, *replicas).await?,
        Action::AddFinalizer => set_finalizer(&context.kubernetes, object, true).await?,
        Action::RemoveFinalizer => set_finalizer(&context.kubernetes, object, false).await?,
    }
    Ok(())
}

/// Pods are made for nobody who has gone: a StatefulSet that is not known to be there is made only after its owner has been asked for, since
/// the watch that tells of the owner may be behind. A Job deletes data, and is made only while its owner goes and still asks for that.
async fn stays<K>(context: &Context, owner: &K, desired: &DesiredObject) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let deletes_data = desired.key.kind == ObjectKind::Job;
    let is_new_set = desired.key.kind == ObjectKind::StatefulSet && desired.body["metadata"]["uid"].is_null();
    if !deletes_data && !is_new_set {
        return Ok(());
    }
    let planned_for = owner.meta();
    let now = context.kubernetes.metadata(owner).await?;
    let stays = now.is_some_and(|now| {
        // What is made for an owner on its way out was planned so.
        let goes_since = now.deletion_timestamp.is_some() && planned_for.deletion_timestamp.is_none();
        let still_asks = now.deletion_timestamp.is_some()
            && asked_for(&now) == asked_for(planned_for)
            && now.generation == planned_for.generation;
        now.uid == planned_for.uid && !goes_since && (!deletes_data || still_asks)
    });
    let name = planned_for.name.as_deref().unwrap_or_default();
    if stays && names::frontends(name) == desired.key.name {
        return follows_copy(context, name, desired).await;
    }
    if stays {
        return Ok(());
    }
    Err(ApplyError::OwnerGone {
        object: desired.key.to_string(),
        owner: format!("{} {name}", K::kind(&())),
    })
}

/// Frontends run by the template that the copy has, if there is one, and another one would replace them.
async fn follows_copy(context: &Context, cluster: &str, desired: &DesiredObject) -> Result<(), ApplyError> {
    let copy = ObjectKey {
        kind: ObjectKind::ConfigMap,
        namespace: desired.key.namespace.clone(),
        name: names::frontends_copy(cluster),
    };
    let Some(found) = context.kubernetes.read(&copy).await? else {
        return Ok(());
    };
    context.caches.objects.put(copy.kind, &found);
    let kept = serde_json::to_value(&found)
        .ok()
        .and_then(|found| kept_stateful_set(&found));
    match kept {
        Some(kept) if kept["spec"]["template"] != desired.body["spec"]["template"] => {
            Err(ApplyError::CopySaysOtherwise {
                object: desired.key.to_string(),
            })
        }
        _ => Ok(()),
    }
}

/// The place whose data somebody wants to be deleted.
fn asked_for(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(names::DELETE_DATA_ANNOTATION)
}

async fn write(context: &Context, desired: &DesiredObject) -> Result<(), ApplyError> {
    let DesiredObject { key, body } = desired;
    let applied = match context.kubernetes.apply(key, body).await {
        Ok(applied) => applied,
        Err(error) => return Err(refreshed(context, key, error).await.into()),
    };
    // What was written is known at once: the next look must not do it again because the watch is behind.
    context.caches.objects.put(key.kind, &applied);
    tracing::info!(object = %key, "applied");
    Ok(())
}

/// Has a StatefulSet that is there the size that it was to have, where what else it was to say is refused.
async fn resize(context: &Context, desired: &DesiredObject) -> Result<(), ApplyError> {
    let text = |field: &str| desired.body["metadata"][field].as_str();
    let only_if = Only {
        uid: text("uid"),
        version: text("resourceVersion"),
    };
    let live = context.caches.objects.get(&desired.key);
    let size = |body: &Value| body["spec"]["replicas"].as_i64();
    match size(&desired.body) {
        Some(replicas)
            if desired.key.kind == ObjectKind::StatefulSet
                && only_if.version.is_some()
                && live.as_ref().and_then(size) != Some(replicas) =>
        {
            scale(context, &desired.key, only_if, replicas).await
        }
        _ => Ok(()),
    }
}

async fn scale(context: &Context, object: &ObjectKey, only_if: Only<'_>, replicas: i64) -> Result<(), ApplyError> {
    match context.kubernetes.scale(object, only_if, replicas).await {
        Ok(version) => {
            context.caches.objects.scaled(object, version.as_deref(), replicas);
            tracing::info!(%object, replicas, "scaled");
            Ok(())
        }
        // It went behind the cache's back: the next look makes it anew.
        Err(error) if error.is_not_found() => {
            context.caches.objects.remove(object);
            Ok(())
        }
        Err(error) => Err(refreshed(context, object, error).await.into()),
    }
}

async fn patch(context: &Context, object: &ObjectKey, version: Option<&str>, fields: &Value) -> Result<(), ApplyError> {
    match context.kubernetes.patch(object, version, fields).await {
        Ok(patched) => {
            context.caches.objects.put(object.kind, &patched);
            tracing::info!(%object, "patched");
            Ok(())
        }
        // It went behind the cache's back: the next look does without.
        Err(error) if error.is_not_found() => {
            context.caches.objects.remove(object);
            Ok(())
        }
        Err(error) => Err(refreshed(context, object, error).await.into()),
    }
}

/// After a conflict the next look has to see what this one did not: the watch may be behind for minutes, and windows open meanwhile.
async fn refreshed(context: &Context, object: &ObjectKey, error: KubernetesError) -> KubernetesError {
    if error.is_conflict() {
        look_again(context, object).await;
    }
    error
}

/// Takes an object as it is now, whatever the watch has told.
async fn look_again(context: &Context, object: &ObjectKey) {
    match context.kubernetes.read(object).await {
        Ok(Some(now)) => context.caches.objects.put(object.kind, &now),
        Ok(None) => context.caches.objects.remove(object),
        Err(unread) => tracing::debug!(%object, error = %unread, "cannot be read again"),
    }
}

/// Somebody may have written a label since the watch told of the group, which may be minutes behind: after a conflict the next look has to see
/// the group as it is, and statements wait meanwhile.
async fn wake<K>(context: &Context, asleep: &K, replicas: u32) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let conflict = match context.kubernetes.wake(asleep, replicas).await {
        Err(error) if error.is_conflict() => error,
        done => return Ok(done?),
    };
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (namespace, name) = (text(&asleep.meta().namespace), text(&asleep.meta().name));
    match context.kubernetes.get::<ComputeGroup>(&namespace, &name).await {
        Ok(Some(now)) => drop(context.caches.groups.put(now)),
        Ok(None) => {}
        Err(unread) => tracing::debug!(name, error = %unread, "cannot be read after a conflict"),
    }
    Err(conflict.into())
}

async fn create_secret(
    context: &Context,
    cluster: Option<&LakeCluster>,
    secret: &SecretToCreate,
) -> Result<(), ApplyError> {
    let SecretToCreate {
        namespace,
        name,
        labels,
        fields,
    } = secret;
    let data: BTreeMap<&String, String> = fields
        .iter()
        .map(|(key, field)| {
            let value = match field {
                SecretField::Text(text) => text.clone(),
                SecretField::Random => new_password(),
            };
            (key, value)
        })
        .collect();
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "stringData": data,
    });
    let key = ObjectKey::namespaced(springtide_plan::ObjectKind::Secret, namespace, name);
    if context.kubernetes.create(&key, body).await? {
        tracing::info!(object = %key, "created");
    }
    if let Some(cluster) = cluster {
        context
            .secrets
            .forget(&(namespace.clone(), cluster.metadata.name.clone().unwrap_or_default()));
    }
    Ok(())
}

async fn delete(context: &Context, object: &ObjectKey, uid: Option<&str>) -> Result<(), ApplyError> {
    match context.kubernetes.delete(object, uid).await {
        Ok(()) => tracing::info!(%object, "deleted"),
        // Another object of this name has come meanwhile: it is not the one that was meant.
        Err(error) if error.is_conflict() => tracing::info!(%object, "not deleted, as it is another one now"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn orphan(context: &Context, object: &ObjectKey, only_if: Only<'_>) -> Result<(), ApplyError> {
    match context.kubernetes.orphan(object, only_if).await {
        Ok(()) => {
            tracing::info!(%object, "deleted without what it owns");
            // It goes when Kubernetes has let go of that; the next look must not delete it again because the watch is behind.
            look_again(context, object).await;
            Ok(())
        }
        Err(error) => Err(refreshed(context, object, error).await.into()),
    }
}

async fn replace_pod(context: &Context, namespace: &str, name: &str, uid: Option<&str>) -> Result<(), ApplyError> {
    match context.kubernetes.delete_pod(namespace, name, uid).await {
        Ok(()) => tracing::info!(
            namespace,
            pod = name,
            "deleted, to be made anew by the present template"
        ),
        Err(error) if error.is_conflict() => {
            tracing::info!(namespace, pod = name, "not deleted, as it is another one now");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Who runs a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    /// The operator's own account.
    Operator,
    /// The one that the engine begins with, which has no password yet.
    Initial,
}

async fn run(
    context: &Context,
    cluster: Option<&LakeCluster>,
    statement: &AdminStatement,
    account: Account,
) -> Result<(), ApplyError> {
    let label = label(statement);
    let nobody = || ApplyError::NoFrontend {
        cluster: cluster
            .and_then(|cluster| cluster.metadata.name.clone())
            .unwrap_or_default(),
        statement: label,
    };
    let cluster = cluster.ok_or_else(nobody)?;
    let (namespace, name) = (
        cluster.metadata.namespace.clone().unwrap_or_default(),
        cluster.metadata.name.clone().unwrap_or_default(),
    );
    if let Some(host) = statement.forgets() {
        let pod = host.split('.').next().unwrap_or_default();
        if context.kubernetes.get::<Pod>(&namespace, pod).await?.is_some() {
            return Err(ApplyError::PodThere { pod: pod.to_owned() });
        }
    }
    let secrets = secrets::of_cluster(context, cluster).await?;
    let pods = frontend_pods(context, &namespace, &name);
    let (logins, line) = match account {
        Account::Operator => (engine::logins(cluster, &pods, &secrets), engine::line_of(cluster)),
        Account::Initial => (
            engine::initial_logins(cluster, &pods, &secrets),
            engine::initial_line_of(cluster),
        ),
    };
    let mut logins = logins.into_iter();
    let mut login = logins.next().ok_or_else(nobody)?;
    let text = statement.text();
    let is_secret = text.password_from.is_some();
    let sql = match text.password_from {
        Some(secret) => {
            let password = secrets.text(&secret, springtide_contract::paths::PASSWORD_FILE);
            let password = password.ok_or_else(|| ApplyError::NoPassword {
                secret: secret.clone(),
                statement: label,
            })?;
            text.text.replace("{password}", &quoted(&password))
        }
        None => text.text,
    };
    let outcome = loop {
        let outcome = context.engines.ask(&line, &login, label, &sql).await;
        // One that has not joined yet may stand before one that serves.
        match (outcome, logins.next()) {
            (Err(EngineError::Unreachable { .. }), Some(next)) => login = next,
            (outcome, _) => break outcome,
        }
    };
    if account == Account::Initial {
        context.engines.forget(&line);
    }
    context.members.changed(&engine::line_of(cluster));
    match outcome {
        Ok(_) => tracing::info!(cluster = name, statement = ?statement, "ran"),
        Err(EngineError::Statement { message, .. }) if statement.is_done_already(&message) => {
            tracing::debug!(cluster = name, statement = ?statement, "was done already");
        }
        // An engine that cannot read a statement repeats a part of it.
        Err(EngineError::Statement { statement, code, .. }) if is_secret => {
            let message = "what the engine said is left out, as it may hold a part of the password".to_owned();
            return Err(ApplyError::Engine(EngineError::Statement {
                statement,
                code,
                message,
            }));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The kind of a statement, for metrics and messages.
fn label(statement: &AdminStatement) -> &'static str {
    match statement {
        AdminStatement::CreateWarehouse { .. } => "create warehouse",
        AdminStatement::AddComputeNode { .. } => "add compute node",
        AdminStatement::DrainComputeNode { .. } => "drain compute node",
        AdminStatement::ForceDrainComputeNode { .. } => "force drain of compute node",
        AdminStatement::CancelDrainComputeNode { .. } => "cancel drain compute node",
        AdminStatement::DropComputeNode { .. } | AdminStatement::DropComputeNodeAt { .. } => "drop compute node",
        AdminStatement::AddFollower { .. } => "add follower",
        AdminStatement::DropFollower { .. } => "drop follower",
        AdminStatement::CreateImage => "create image",
        AdminStatement::SetFrontendConfig { .. } => "set frontend config",
        AdminStatement::CreateOperatorAccount { .. } => "create user",
        AdminStatement::SetOperatorPassword { .. } => "alter user",
        AdminStatement::GrantOperatorRoles { .. } => "grant",
        AdminStatement::ActivateOperatorRoles { .. } => "default role",
        AdminStatement::SetOwnPassword { .. } => "set password",
    }
}

/// A text literal in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

async fn set_finalizer<K>(kubernetes: &Kubernetes, object: &K, present: bool) -> Result<(), KubernetesError>
where
    K: Resource<DynamicType = ()>,
{
    let before = object.meta().finalizers.clone().unwrap_or_default();
    let mut after: Vec<String> = before
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .cloned()
        .collect();
    if present {
        after.push(names::FINALIZER.to_owned());
    }
    if after == before {
        return Ok(());
    }
    match kubernetes.set_finalizers(object, &after).await {
        // An object that is gone has no finalizers.
        Err(error) if error.is_not_found() && !present => Ok(()),
        result => result,
    }
}

/// The server-side apply of a status: what it says, and whose it is.
pub(crate) fn status_body<K, Status>(object: &K, status: &Status) -> Result<Value, serde_json::Error>
where
    K: Resource<DynamicType = ()>,
    Status: serde::Serialize,
{
    Ok(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": object.meta().name, "namespace": object.meta().namespace, "uid": object.meta().uid},
        "status": serde_json::to_value(status)?,
    }))
}
