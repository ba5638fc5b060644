//! Every request to Kubernetes that is not a watch: with a time limit, and counted when it may change something.

use std::{collections::BTreeSet, fmt::Debug, future::Future, sync::Arc, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        autoscaling::v1::{Scale, ScaleSpec},
        core::v1::{Event, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
        Preconditions,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use springtide_plan::{ObjectKey, ObjectKind, compare::FIELD_MANAGER};

use crate::metrics::Metrics;

/// Warnings of a namespace that are read at once.
const MOST_WARNINGS: u32 = 500;
/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubernetesError {
    /// The API server answered with an error, or could not be reached.
    #[error("cannot {verb} {what}")]
    Request {
        verb: &'static str,
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("cannot {verb} {what}: no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout { verb: &'static str, what: String },
}

impl KubernetesError {
    /// The HTTP status that the API server answered with.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Request { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// The object has changed since it was read: look again, soon and without noise.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The object is gone.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The API server refuses the object for what it says: a person has to change something.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code(), Some(400 | 403 | 422))
    }
}

/// Which object is meant by a write: one of this name that is another one, or has been changed since, is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Only<'a> {
    pub(crate) uid: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
}

/// A client that counts and limits.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    client: Client,
    metrics: Arc<Metrics>,
}

impl Debug for Kubernetes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kubernetes").finish_non_exhaustive()
    }
}

impl Kubernetes {
    pub(crate) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, metrics }
    }

    /// An object of a namespace as it is now, not as a cache remembers it.
    pub(crate) async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, KubernetesError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        limited(
            "read",
            || described(&K::kind(&()), Some(namespace), name),
            api.get_opt(name),
        )
        .await
    }

    /// An object without a namespace as it is now.
    pub(crate) async fn get_cluster_wide<K>(&self, name: &str) -> Result<Option<K>, KubernetesError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::all(self.client.clone());
        limited("read", || described(&K::kind(&()), None, name), api.get_opt(name)).await
    }

    /// The metadata of an object of ours as it is now.
    pub(crate) async fn metadata<K>(&self, object: &K) -> Result<Option<ObjectMeta>, KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let (namespace, name) = (object.namespace(), object.name_any());
        let api = self.dynamic(&resource, namespace.as_deref());
        let what = || described(&resource.kind, namespace.as_deref(), &name);
        let found = limited("read", what, api.get_metadata_opt(&name)).await?;
        Ok(found.map(|found| found.metadata))
    }

    /// The objects of a kind in a namespace, or in all, as they are now.
    pub(crate) async fn list<K>(&self, namespace: Option<&str>) -> Result<Vec<K>, KubernetesError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api = match namespace {
            Some(namespace) => Api::<K>::namespaced(self.client.clone(), namespace),
            None => Api::<K>::all(self.client.clone()),
        };
        let what = || {
            format!(
                "list of {} in {}",
                K::plural(&()),
                namespace.unwrap_or("all namespaces")
            )
        };
        Ok(limited("read", what, api.list(&ListParams::default())).await?.items)
    }

    /// Names of the objects of a kind in a namespace, as they are now.
    pub(crate) async fn names_in<K>(&self, namespace: &str) -> Result<BTreeSet<String>, KubernetesError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let what = || format!("list of {} in {namespace}", K::plural(&()));
        let list = limited("read", what, api.list_metadata(&ListParams::default())).await?;
        Ok(list.items.iter().map(ResourceExt::name_any).collect())
    }

    /// The warnings of a namespace, at most [`MOST_WARNINGS`].
    pub(crate) async fn warnings(&self, namespace: &str) -> Result<Vec<Event>, KubernetesError> {
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let parameters = ListParams::default().fields("type=Warning").limit(MOST_WARNINGS);
        Ok(
            limited("read", || format!("events of {namespace}"), api.list(&parameters))
                .await?
                .items,
        )
    }

    /// Server-side apply of a whole object: makes it, or takes back every field that is ours. Returns the object as it is then.
    pub(crate) async fn apply(&self, key: &ObjectKey, body: &Value) -> Result<DynamicObject, KubernetesError> {
        self.metrics.count_write(key.kind.kind(), "apply");
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        limited(
            "apply",
            || key.to_string(),
            self.objects(key).patch(&key.name, &parameters, &patch),
        )
        .await
    }

    /// Writes some fields of an object by merge patch, if it still has this version. Returns the object as it is then.
    pub(crate) async fn patch(
        &self,
        key: &ObjectKey,
        version: Option<&str>,
        fields: &Value,
    ) -> Result<DynamicObject, KubernetesError> {
        self.metrics.count_write(key.kind.kind(), "patch");
        let mut patch = fields.clone();
        if let Some(version) = version {
            patch["metadata"]["resourceVersion"] = json!(version);
        }
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        limited(
            "patch",
            || key.to_string(),
            self.objects(key).patch(&key.name, &parameters, &Patch::Merge(patch)),
        )
        .await
    }

    /// Sets an object's size through its scale subresource, if it is the one that is meant. That costs the API server two thirds of what a
    /// change of the object itself does, a third of an apply, and its answer is small; written as a whole it is not read, printed and
    /// patched first. Returns the version that the write made.
    pub(crate) async fn scale(
        &self,
        key: &ObjectKey,
        only_if: Only<'_>,
        replicas: i64,
    ) -> Result<Option<String>, KubernetesError> {
        self.metrics.count_write(key.kind.kind(), "scale");
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let scale = Scale {
            metadata: ObjectMeta {
                namespace: key.namespace.clone(),
                name: Some(key.name.clone()),
                uid: only_if.uid.map(str::to_owned),
                resource_version: only_if.version.map(str::to_owned),
                ..ObjectMeta::default()
            },
            spec: Some(ScaleSpec {
                replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)),
            }),
            status: None,
        };
        let scaled = limited(
            "scale",
            || key.to_string(),
            self.objects(key).replace_scale(&key.name, &parameters, &scale),
        )
        .await?;
        Ok(scaled.metadata.resource_version)
    }

    /// The object as it is now, whatever the watch has told so far.
    pub(crate) async fn read(&self, key: &ObjectKey) -> Result<Option<DynamicObject>, KubernetesError> {
        // By a list: that is what the operator may do with every kind that it watches.
        let by_name = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let found = limited("read", || key.to_string(), self.objects(key).list(&by_name)).await?;
        Ok(found.items.into_iter().next())
    }

    /// Creates an object that is never changed afterwards; `false` when there is one already.
    pub(crate) async fn create(&self, key: &ObjectKey, body: Value) -> Result<bool, KubernetesError> {
        self.metrics.count_write(key.kind.kind(), "create");
        let object: DynamicObject =
            serde_json::from_value(body).map_err(|source| unreadable("create", key.to_string(), source))?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match limited(
            "create",
            || key.to_string(),
            self.objects(key).create(&parameters, &object),
        )
        .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces an object as a whole, if it is still the one in the version that `object` carries.
    pub(crate) async fn replace<K>(&self, key: &ObjectKey, object: &K) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
    {
        self.metrics.count_write(key.kind.kind(), "replace");
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api = Api::<K>::namespaced(self.client.clone(), key.namespace.as_deref().unwrap_or_default());
        limited(
            "replace",
            || key.to_string(),
            api.replace(&key.name, &parameters, object),
        )
        .await
        .map(|_| ())
    }

    /// Deletes an object, if it still has this `uid`; one that is gone is fine.
    pub(crate) async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), KubernetesError> {
        let only_if = Only { uid, version: None };
        self.delete_with(key, only_if, DeleteParams::background()).await
    }

    /// Deletes an object and leaves what it owns, if it is the one that is meant; one that is gone is fine.
    pub(crate) async fn orphan(&self, key: &ObjectKey, only_if: Only<'_>) -> Result<(), KubernetesError> {
        self.delete_with(key, only_if, DeleteParams::orphan()).await
    }

    async fn delete_with(
        &self,
        key: &ObjectKey,
        only_if: Only<'_>,
        parameters: DeleteParams,
    ) -> Result<(), KubernetesError> {
        self.metrics.count_write(key.kind.kind(), "delete");
        let parameters = match only_if {
            Only {
                uid: None,
                version: None,
            } => parameters,
            Only { uid, version } => parameters.preconditions(Preconditions {
                uid: uid.map(str::to_owned),
                resource_version: version.map(str::to_owned),
            }),
        };
        match limited(
            "delete",
            || key.to_string(),
            self.objects(key).delete(&key.name, &parameters),
        )
        .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a pod, if it still has this `uid`; one that is gone is fine. It has its time to stop.
    pub(crate) async fn delete_pod(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
    ) -> Result<(), KubernetesError> {
        self.metrics.count_write("Pod", "delete");
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let parameters = DeleteParams {
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let what = || described("Pod", Some(namespace), name);
        match limited("delete", what, pods.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Server-side apply of an object's status alone. Returns the version that the write made.
    pub(crate) async fn apply_status<K>(&self, object: &K, body: &Value) -> Result<Option<String>, KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        self.metrics.count_write(&resource.kind, "status");
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let name = object.name_any();
        let what = || {
            format!(
                "status of {}",
                described(&resource.kind, object.namespace().as_deref(), &name)
            )
        };
        let api = self.dynamic(&resource, object.namespace().as_deref());
        let applied = limited("apply", what, api.patch_status(&name, &parameters, &Patch::Apply(body))).await?;
        Ok(applied.resource_version())
    }

    /// Sets an object's finalizers, if it is still the version that was read.
    pub(crate) async fn set_finalizers<K>(&self, object: &K, finalizers: &[String]) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        self.metrics.count_write(&resource.kind, "finalizers");
        let patch = json!({"metadata": {
            "uid": object.meta().uid,
            "resourceVersion": object.meta().resource_version,
            "finalizers": finalizers,
        }});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = object.name_any();
        let what = || {
            format!(
                "finalizers of {}",
                described(&resource.kind, object.namespace().as_deref(), &name)
            )
        };
        let api = self.dynamic(&resource, object.namespace().as_deref());
        limited("change", what, api.patch(&name, &parameters, &Patch::Merge(patch)))
            .await
            .map(|_| ())
    }

    /// Sets the replicas of an object at 0 through its scale subresource, if it is still the version that was read: whoever has
    /// scaled it meanwhile keeps what they wrote.
    pub(crate) async fn wake<K>(&self, object: &K, replicas: u32) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        self.metrics.count_write(&resource.kind, "scale");
        let patch = json!({
            "metadata": {"resourceVersion": object.meta().resource_version},
            "spec": {"replicas": replicas},
        });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = object.name_any();
        let what = || {
            format!(
                "scale of {}",
                described(&resource.kind, object.namespace().as_deref(), &name)
            )
        };
        let api = self.dynamic(&resource, object.namespace().as_deref());
        limited(
            "change",
            what,
            api.patch_scale(&name, &parameters, &Patch::Merge(patch)),
        )
        .await
        .map(|_| ())
    }

    fn objects(&self, key: &ObjectKey) -> Api<DynamicObject> {
        self.dynamic(&api_resource(key.kind), key.namespace.as_deref())
    }

    fn dynamic(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }
}

/// How a client addresses a kind.
pub(crate) fn api_resource(kind: ObjectKind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind()), kind.plural())
}

fn described(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn unreadable(verb: &'static str, what: String, source: serde_json::Error) -> KubernetesError {
    KubernetesError::Request {
        verb,
        what,
        source: Box::new(kube::Error::SerdeError(source)),
    }
}

async fn limited<T>(
    verb: &'static str,
    what: impl Fn() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubernetesError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(KubernetesError::Request {
            verb,
            what: what(),
            source: Box::new(source),
        }),
        Err(_) => Err(KubernetesError::Timeout { verb, what: what() }),
    }
}
