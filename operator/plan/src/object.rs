//! Objects of Kubernetes as plans carry them: a kind, a name and a body in JSON.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;

/// Makes the enum of kinds with what a client needs to address each of them.
macro_rules! object_kinds {
    ($($name:ident: $api_version:literal, $plural:literal, $namespaced:literal;)+) => {
        /// The kinds of object that plans make, change or delete.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum ObjectKind {
            $(#[doc = concat!("`", $plural, "` of `", $api_version, "`.")] $name,)+
        }

        impl ObjectKind {
            /// Every kind.
            pub const ALL: &[ObjectKind] = &[$(Self::$name,)+];

            /// Group and version, as in `apiVersion`.
            #[must_use]
            pub fn api_version(self) -> &'static str {
                match self { $(Self::$name => $api_version,)+ }
            }

            /// The name, as in `kind`.
            #[must_use]
            pub fn kind(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The resource name in URLs.
            #[must_use]
            pub fn plural(self) -> &'static str {
                match self { $(Self::$name => $plural,)+ }
            }

            /// Whether objects of the kind live in a namespace.
            #[must_use]
            pub fn is_namespaced(self) -> bool {
                match self { $(Self::$name => $namespaced,)+ }
            }
        }
    };
}

object_kinds! {
    Namespace: "v1", "namespaces", false;
    ServiceAccount: "v1", "serviceaccounts", true;
    ConfigMap: "v1", "configmaps", true;
    Secret: "v1", "secrets", true;
    Service: "v1", "services", true;
    ResourceQuota: "v1", "resourcequotas", true;
    LimitRange: "v1", "limitranges", true;
    RoleBinding: "rbac.authorization.k8s.io/v1", "rolebindings", true;
    NetworkPolicy: "networking.k8s.io/v1", "networkpolicies", true;
    PodDisruptionBudget: "policy/v1", "poddisruptionbudgets", true;
    HorizontalPodAutoscaler: "autoscaling/v2", "horizontalpodautoscalers", true;
    StatefulSet: "apps/v1", "statefulsets", true;
    Job: "batch/v1", "jobs", true;
    PersistentVolumeClaim: "v1", "persistentvolumeclaims", true;
    Department: "springtide.dev/v1alpha1", "departments", false;
    LakeCluster: "springtide.dev/v1alpha1", "lakeclusters", true;
    ComputeGroup: "springtide.dev/v1alpha1", "computegroups", true;
}

impl ObjectKind {
    /// The kind with this `apiVersion` and `kind`, if plans deal with it.
    #[must_use]
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|candidate| candidate.api_version() == api_version && candidate.kind() == kind)
    }
}

/// What tells one object from every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; `None` for kinds without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object in a namespace.
    #[must_use]
    pub fn namespaced(kind: ObjectKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The key of an object without a namespace.
    #[must_use]
    pub fn cluster_scoped(kind: ObjectKind, name: &str) -> Self {
        Self {
            kind,
            namespace: None,
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.kind.kind())?;
        if let Some(namespace) = &self.namespace {
            write!(formatter, "{namespace}/")?;
        }
        formatter.write_str(&self.name)
    }
}

/// An object as it should be: exactly the fields that the operator owns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesiredObject {
    /// Which object.
    pub key: ObjectKey,
    /// All of it, `apiVersion` and `kind` included: the body of a server-side apply.
    pub body: Value,
}

impl DesiredObject {
    /// Takes an object that was built; `kind` says which it is.
    pub(crate) fn new<T>(kind: ObjectKind, object: &T) -> Self
    where
        T: Serialize + Resource + Metadata<Ty = ObjectMeta>,
    {
        debug_assert_eq!((kind.api_version(), kind.kind()), (T::API_VERSION, T::KIND));
        let metadata = object.metadata();
        Self {
            key: ObjectKey {
                kind,
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone().unwrap_or_default(),
            },
            body: serde_json::to_value(object).expect("objects of Kubernetes are plain data"),
        }
    }
}
