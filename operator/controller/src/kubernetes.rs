//! Every request to Kubernetes that is not a watch: with a time limit, and counted when it may change something.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{metrics::Metrics, settings::FIELD_MANAGER};

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
        limited("read", || described(&K::kind(&()), Some(namespace), name), api.get_opt(name)).await
    }

    /// An object without a namespace as it is now.
    pub(crate) async fn get_cluster_wide<K>(&self, name: &str) -> Result<Option<K>, KubernetesError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::all(self.client.clone());
        limited("read", || described(&K::kind(&()), None, name), api.get_opt(name)).await
    }

    /// Server-side apply of a whole object: makes it, or takes back every field that is ours.
    pub(crate) async fn apply(&self, object: &Object) -> Result<DynamicObject, KubernetesError> {
        let Object { resource, namespace, name, body } = object;
        self.metrics.count_write(&resource.kind, "apply");
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.dynamic(resource, namespace.as_deref());
        limited("apply", || object.describe(), api.patch(name, &parameters, &Patch::Apply(body))).await
    }

    /// Creates an object that is never changed afterwards; `false` when there is one already.
    pub(crate) async fn create(&self, object: &Object) -> Result<bool, KubernetesError> {
        let Object { resource, namespace, name: _, body } = object;
        self.metrics.count_write(&resource.kind, "create");
        let api = self.dynamic(resource, namespace.as_deref());
        let parsed: DynamicObject = serde_json::from_value(body.clone()).map_err(|source| KubernetesError::Request {
            verb: "create",
            what: object.describe(),
            source: Box::new(kube::Error::SerdeError(source)),
        })?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match limited("create", || object.describe(), api.create(&parameters, &parsed)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object, if it is still the one with `uid`; one that is gone is fine.
    pub(crate) async fn delete(&self, object: &Reference) -> Result<(), KubernetesError> {
        let Reference { resource, namespace, name, uid } = object;
        self.metrics.count_write(&resource.kind, "delete");
        let parameters = match uid {
            Some(uid) => DeleteParams::background().preconditions(Preconditions {
                uid: Some(uid.clone()),
                resource_version: None,
            }),
            None => DeleteParams::background(),
        };
        let api = self.dynamic(resource, namespace.as_deref());
        let what = || described(&resource.kind, namespace.as_deref(), name);
        match limited("delete", what, api.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Server-side apply of an object's status alone.
    pub(crate) async fn apply_status(&self, object: &Object) -> Result<(), KubernetesError> {
        let Object { resource, namespace, name, body } = object;
        self.metrics.count_write(&resource.kind, "status");
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.dynamic(resource, namespace.as_deref());
        let what = || format!("status of {}", object.describe());
        limited("apply", what, api.patch_status(name, &parameters, &Patch::Apply(body))).await.map(|_| ())
    }

    /// Sets an object's finalizers, if it is still the version that was read.
    pub(crate) async fn set_finalizers<K>(&self, object: &K, finalizers: &[String]) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        self.metrics.count_write(&resource.kind, "finalizers");
        let api = self.dynamic(&resource, object.namespace().as_deref());
        let patch = json!({"metadata": {
            "uid": object.meta().uid,
            "resourceVersion": object.meta().resource_version,
            "finalizers": finalizers,
        }});
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let what = || format!("finalizers of {}", described(&resource.kind, object.namespace().as_deref(), &object.name_any()));
        limited("change", what, api.patch_metadata(&object.name_any(), &parameters, &Patch::Merge(patch))).await.map(|_| ())
    }

    fn dynamic(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }
}

/// An object to be written, with where it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// The whole object, with `apiVersion`, `kind` and `metadata`.
    pub(crate) body: Value,
}

impl Object {
    /// From a typed object; everything that it serialises to is ours.
    pub(crate) fn of<K>(object: &K) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let resource = ApiResource::erase::<K>(&());
        let mut body = serde_json::to_value(object)?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("apiVersion".to_owned(), Value::from(resource.api_version.clone()));
            fields.insert("kind".to_owned(), Value::from(resource.kind.clone()));
        }
        Ok(Self {
            resource,
            namespace: object.namespace(),
            name: object.name_any(),
            body,
        })
    }

    fn describe(&self) -> String {
        described(&self.resource.kind, self.namespace.as_deref(), &self.name)
    }
}

/// An object to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// Only the object with this identity is meant.
    pub(crate) uid: Option<String>,
}

fn described(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
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
