//! Everything that was read: from the API server, and from the engine by SQL.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, ResourceQuota};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};

use crate::certificate::SecretCertificates;
use crate::names;
use crate::object::{ObjectKey, ObjectKind};
use crate::settings::Settings;
use crate::sql::{ComputeNodeRow, FrontendConfigRow, FrontendRow, WarehouseRow};

/// What was read about a department.
#[derive(Clone, Debug)]
pub struct ObservedDepartment {
    /// The custom resource.
    pub department: Department,
    /// Every other department.
    pub other_departments: Vec<Department>,
    /// The namespaces that `spec.namespaces` names, or that carry the department's label; only those that exist.
    pub namespaces: BTreeMap<String, ObservedNamespace>,
    /// Every object that carries [`names::OWNER_LABEL`] with [`names::owner`] of this department.
    pub live: Live,
    /// The operator's own settings.
    pub settings: Settings,
}

/// What was read about a namespace of a department.
#[derive(Clone, Debug, Default)]
pub struct ObservedNamespace {
    /// The Namespace as it is, in JSON.
    pub body: Value,
    /// Names of its LakeClusters.
    pub lake_clusters: BTreeSet<String>,
    /// Names of its ComputeGroups.
    pub compute_groups: BTreeSet<String>,
    /// Names of its volume claims.
    pub volume_claims: BTreeSet<String>,
}

/// What was read about a cluster.
#[derive(Clone, Debug)]
pub struct ObservedLakeCluster {
    /// The custom resource.
    pub cluster: LakeCluster,
    /// Every ComputeGroup of the namespace.
    pub groups: Vec<ComputeGroup>,
    /// Every object that carries [`names::OWNER_LABEL`] with [`names::owner`] of this cluster, but pods and Secrets.
    pub live: Live,
    /// Frontend pods.
    pub pods: Vec<Pod>,
    /// Names of the pods of all compute nodes of the namespace.
    pub compute_pods: BTreeSet<String>,
    /// Volume claims of the frontends.
    pub volume_claims: Vec<PersistentVolumeClaim>,
    /// Recent Events of type Warning about the cluster's StatefulSet, pods and claims.
    pub events: Vec<Event>,
    /// The Secrets of the namespace that the cluster names or makes; only those that exist. See [`crate::lake_cluster::secrets`].
    pub secrets: BTreeMap<String, SecretFacts>,
    /// What the engine answered.
    pub sql: SqlAnswer,
    /// Whether the account that the engine begins with has no password. See [`crate::lake_cluster::initial_account`].
    pub initial_account: InitialAccount,
    /// What is read only of a cluster that is being deleted.
    pub removal: ObservedRemoval,
    /// What the frontends said of their settings.
    pub frontend_config: FrontendConfigAnswer,
    /// The operator's own settings.
    pub settings: Settings,
}

/// What was read about the removal of a cluster. Empty as long as it is not being deleted.
#[derive(Clone, Debug, Default)]
pub struct ObservedRemoval {
    /// Names of the pods of its compute nodes.
    pub compute_pods: BTreeSet<String>,
    /// Pods of the Job that deletes its data.
    pub job_pods: Vec<Pod>,
    /// Whether its namespace is being deleted, too, so that nothing can be made there: as it is now, where its data is to be deleted.
    pub namespace_is_leaving: bool,
    /// Every other LakeCluster of all namespaces that the operator sees, as they are now, where its data is to be deleted and its engine does
    /// not say on S3 whose a place is.
    pub other_clusters: Vec<LakeCluster>,
}

/// What was read about a compute group.
#[derive(Clone, Debug)]
pub struct ObservedComputeGroup {
    /// The custom resource.
    pub group: ComputeGroup,
    /// The other groups of the namespace.
    pub siblings: Vec<ComputeGroup>,
    /// The Calendars of the namespace.
    pub calendars: Vec<Calendar>,
    /// The cluster that it names, if it exists.
    pub cluster: Option<LakeCluster>,
    /// The department of its namespace, if it has one.
    pub department: Option<Department>,
    /// Every object that carries [`names::OWNER_LABEL`] with [`names::owner`] of this group, but pods.
    pub live: Live,
    /// Its pods, those that are being deleted included.
    pub pods: Vec<Pod>,
    /// Recent Events of type Warning about its StatefulSet and pods.
    pub events: Vec<Event>,
    /// The quotas of the namespace.
    pub quotas: Vec<ResourceQuota>,
    /// What the engine answered.
    pub sql: SqlAnswer,
    /// The Secrets of the cluster, as in [`ObservedLakeCluster::secrets`].
    pub secrets: BTreeMap<String, SecretFacts>,
    /// The path component that the drain sidecar answers to, made from the cluster's internal token; `None` as long as there is no token.
    pub drain_key: Option<String>,
    /// The operator's own settings.
    pub settings: Settings,
}

/// What may be known of a Secret: never its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecretFacts {
    /// Keys whose value is not empty.
    pub keys: BTreeSet<String>,
    /// A hash over keys and values, so that a change can be seen. It ends up in pods, which more people may read than Secrets, so
    /// it is keyed with the cluster's token: nobody can try values against it.
    pub hash: String,
    /// Value of its label [`names::OWNER_LABEL`]: whose it is, where the operator has made it.
    pub owner: Option<String>,
    /// Which Secret it is, in which version.
    pub version: ObjectVersion,
    /// The certificates in it.
    pub certificates: SecretCertificates,
}

/// An object as it was seen, as a precondition of a write: one that was made anew or changed since is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectVersion {
    /// Its identity.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

/// What the engine answered to the statements of [`crate::Flavour`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum SqlAnswer {
    /// Nobody asked, because no frontend pod runs or the operator's account is not made yet.
    #[default]
    NotAsked,
    /// No frontend answered.
    Unreachable {
        /// The chain of causes.
        message: String,
    },
    /// The operator's account was refused.
    LoginRefused {
        /// What the engine said.
        message: String,
    },
    /// A frontend shows a certificate that the operator does not trust, or none where it has one.
    CertificateNotTrusted {
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// All questions were answered.
    Answered {
        /// `SHOW FRONTENDS`.
        frontends: Vec<FrontendRow>,
        /// `SHOW COMPUTE NODES`.
        compute_nodes: Vec<ComputeNodeRow>,
        /// `SHOW WAREHOUSES`; empty where the engine has no queue of its own.
        warehouses: Vec<WarehouseRow>,
    },
}

/// Whether the account that an engine begins with lets somebody in who has no password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum InitialAccount {
    /// Nobody tried: there is no such account, it is not needed any more, or no frontend answers.
    #[default]
    NotTried,
    /// It does: anybody may do everything.
    Open,
    /// It has a password.
    Closed,
}

/// What the frontends answered to `ADMIN SHOW FRONTEND CONFIG`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum FrontendConfigAnswer {
    /// Nobody was asked: no dynamic setting is written or was, or no frontend answers.
    #[default]
    NotAsked,
    /// The question was refused, or the answer cannot be read.
    Unreadable {
        /// The chain of causes.
        message: String,
    },
    /// What each frontend that answered has in force.
    Answered(Vec<Vec<FrontendConfigRow>>),
}

/// Objects as they are in the API server, in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    objects: BTreeMap<ObjectKey, Value>,
}

impl Live {
    /// Takes an object. Kinds that no plan deals with are left out.
    ///
    /// `kind` is given because the API server leaves it out of the items of a list.
    pub fn insert(&mut self, kind: ObjectKind, body: Value) {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let Some(name) = text("/metadata/name") else { return };
        let namespace = text("/metadata/namespace");
        self.objects.insert(ObjectKey { kind, namespace, name }, body);
    }

    /// Takes an object away that has gone.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
    }

    /// The object as it is.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The object as it is, in the type of its kind; `None` also when it does not have that shape.
    #[must_use]
    pub fn typed<T: DeserializeOwned>(&self, kind: ObjectKind, namespace: &str, name: &str) -> Option<T> {
        T::deserialize(self.get(&ObjectKey::namespaced(kind, namespace, name))?).ok()
    }

    /// All objects.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.objects.iter()
    }
}

/// The label selector that finds the objects of `owner`, see [`names::owner`].
#[must_use]
pub fn owned_by(owner: &str) -> String {
    format!("{}={owner}", names::OWNER_LABEL)
}
