//! Names and labels of everything the operator makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use springtide_crds::{ComputeGroup, Department, LakeCluster};

/// The finalizer of every custom resource.
pub const FINALIZER: &str = "springtide.dev/finalizer";
/// ClusterRole of the chart that administrators of a department are bound to.
pub const DEPARTMENT_ADMIN_ROLE: &str = "springtide-department-admin";
/// Value of `app.kubernetes.io/managed-by` on everything the operator makes.
pub const MANAGED_BY: &str = "springtide-operator";
/// Label by which the objects of one custom resource are found; its value is made by [`owner`].
pub const OWNER_LABEL: &str = "springtide.dev/owner";
/// Annotation of a namespace that the operator made, and did not find; its value is the department.
pub const MADE_FOR_ANNOTATION: &str = "springtide.dev/made-for";
/// Label of a namespace that names its department.
pub const DEPARTMENT_LABEL: &str = "springtide.dev/department";
/// Label that names the LakeCluster that an object or pod belongs to.
pub const CLUSTER_LABEL: &str = "springtide.dev/cluster";
/// Label that names the ComputeGroup that an object or pod belongs to.
pub const GROUP_LABEL: &str = "springtide.dev/compute-group";
/// Label that says what a pod is: `frontend` or `compute`.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Component of frontends.
pub const FRONTEND: &str = "frontend";
/// Component of compute nodes.
pub const COMPUTE: &str = "compute";
/// Component of the Job that deletes a cluster's data on S3.
pub const DATA_DELETION: &str = "data-deletion";
/// Annotation of a pod with the name of the ConfigMap whose files it reads.
pub const FILES_ANNOTATION: &str = "springtide.dev/files";
/// Annotation of a pod with the version of the engine that it was made for.
pub const ENGINE_VERSION_ANNOTATION: &str = "springtide.dev/engine-version";
/// Annotation of a ComputeGroup: names of pods whose nodes get no work, separated by commas.
pub const FENCED_ANNOTATION: &str = "springtide.dev/fenced";
/// Annotation of a LakeCluster: until this time, in RFC 3339, pods may be replaced that another release of the operator would make
/// differently.
pub const MAINTENANCE_UNTIL_ANNOTATION: &str = "springtide.dev/maintenance-until";
/// Annotation of a LakeCluster: the place of its data, `s3://bucket/prefix`. Where it is right, and `spec.deletion.data` is `Delete`, the data
/// goes with the object.
pub const DELETE_DATA_ANNOTATION: &str = "springtide.dev/delete-data";
/// Annotation of the pod that deletes data: the engine's configuration, which it has mounted as a file.
pub const ENGINE_CONFIG_ANNOTATION: &str = "springtide.dev/engine-config";
/// Annotation that makes `kubectl logs` and `exec` choose the engine and not a sidecar.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// The container that runs the engine.
pub const ENGINE_CONTAINER: &str = "engine";
/// The container that answers `preStop`.
pub const DRAIN_CONTAINER: &str = "drain";
/// The volume of a pod with the certificate of the MySQL port. A frontend that has it speaks TLS.
pub const TLS_VOLUME: &str = "tls";
/// The volume claim of a frontend.
pub const METADATA_VOLUME: &str = "meta";
/// The SQL account of the operator.
pub const OPERATOR_USER: &str = "springtide_operator";
/// The SQL account of the department's administrators.
pub const ADMIN_USER: &str = "admin";

/// Value of [`OWNER_LABEL`]: `kind.name`, with the kind in lower case. The API bounds names so that it fits.
#[must_use]
pub fn owner(kind: &str, name: &str) -> String {
    format!("{}.{name}", kind.to_ascii_lowercase())
}

/// Name of the frontends' StatefulSet.
#[must_use]
pub fn frontends(cluster: &str) -> String {
    format!("{cluster}-fe")
}

/// Name of the ConfigMap with the copy of the frontends' StatefulSet, for as long as that is made anew.
#[must_use]
pub fn frontends_copy(cluster: &str) -> String {
    format!("{cluster}-fe-copy")
}

/// Name of the Service that gives each frontend pod a host name.
#[must_use]
pub fn frontends_headless(cluster: &str) -> String {
    format!("{cluster}-fe-pods")
}

/// Name of the Service that clients connect to: the cluster's own name.
#[must_use]
pub fn client_service(cluster: &str) -> String {
    cluster.to_owned()
}

/// What the names of the ConfigMaps begin with that frontends read.
#[must_use]
pub fn frontend_files(cluster: &str) -> String {
    format!("{cluster}-engine")
}

/// What the names of the ConfigMaps begin with that the nodes of a group read.
#[must_use]
pub fn compute_files(group: &str) -> String {
    compute(group)
}

/// Name of the Job that deletes the data of a cluster: another one for each object that has this name one after the other.
#[must_use]
pub fn data_deletion(cluster: &str, uid: &str) -> String {
    let object = uid.split('-').next().unwrap_or_default();
    format!("{cluster}-delete-data-{object}")
}

/// Name of the ServiceAccount of all pods of the cluster.
#[must_use]
pub fn service_account(cluster: &str) -> String {
    format!("{cluster}-engine")
}

/// Name of the Secret with the token of internal calls.
#[must_use]
pub fn internal_secret(cluster: &str) -> String {
    format!("{cluster}-internal")
}

/// Name of the Secret with the SQL administrator's account.
#[must_use]
pub fn admin_secret(cluster: &str) -> String {
    format!("{cluster}-admin")
}

/// Name of the Secret with the operator's SQL account.
#[must_use]
pub fn operator_secret(cluster: &str) -> String {
    format!("{cluster}-operator")
}

/// Name of the Secret with the cluster's own authority, whose key signs certificates. No pod mounts it.
#[must_use]
pub fn authority_secret(cluster: &str) -> String {
    format!("{cluster}-ca")
}

/// Name of the Secret with the certificate that the operator issues.
#[must_use]
pub fn certificate_secret(cluster: &str) -> String {
    format!("{cluster}-tls")
}

/// What the names of compute nodes' StatefulSets end with.
pub const COMPUTE_SUFFIX: &str = "-cn";

/// Name of a group's StatefulSet, of its headless Service, of its PodDisruptionBudget and of its HorizontalPodAutoscaler.
#[must_use]
pub fn compute(group: &str) -> String {
    format!("{group}{COMPUTE_SUFFIX}")
}

/// Host name of a pod behind a headless Service, without the domain of the cluster: what the engine registers.
#[must_use]
pub fn pod_host(pod: &str, service: &str, namespace: &str) -> String {
    format!("{pod}.{service}.{namespace}.svc")
}

/// Whether two host names name the same pod: engines may show them with or without the domain of the cluster.
#[must_use]
pub fn same_host(left: &str, right: &str) -> bool {
    let (short, long) = if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    match long.get(..short.len()) {
        Some(head) if head.eq_ignore_ascii_case(short) => {
            let rest = &long[short.len()..];
            rest.is_empty() || (rest.starts_with('.') && short.ends_with(".svc"))
        }
        _ => false,
    }
}

/// The ordinal of a pod of a StatefulSet, read as a number: `cn-14` comes after `cn-9`.
#[must_use]
pub fn ordinal(pod: &str, stateful_set: &str) -> Option<u32> {
    let digits = pod.strip_prefix(stateful_set)?.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Metadata and owner of what is made for one custom resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    /// Namespace of the objects.
    pub(crate) namespace: String,
    /// Labels of all objects.
    pub(crate) labels: BTreeMap<String, String>,
    /// The controlling owner.
    pub(crate) reference: OwnerReference,
}

impl Owner {
    /// The owner of what a cluster is made of.
    pub(crate) fn of_cluster(cluster: &LakeCluster) -> Self {
        let name = cluster.metadata.name.clone().unwrap_or_default();
        let mut labels = common_labels("LakeCluster", &name, &name);
        labels.insert(CLUSTER_LABEL.to_owned(), name.clone());
        Self {
            namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
            labels,
            reference: reference("LakeCluster", &name, cluster.metadata.uid.as_deref()),
        }
    }

    /// The owner of what a group is made of.
    pub(crate) fn of_group(group: &ComputeGroup) -> Self {
        let name = group.metadata.name.clone().unwrap_or_default();
        let mut labels = common_labels("ComputeGroup", &name, &group.spec.cluster);
        labels.insert(CLUSTER_LABEL.to_owned(), group.spec.cluster.clone());
        labels.insert(GROUP_LABEL.to_owned(), name.clone());
        Self {
            namespace: group.metadata.namespace.clone().unwrap_or_default(),
            labels,
            reference: reference("ComputeGroup", &name, group.metadata.uid.as_deref()),
        }
    }

    /// The owner of what a department has in one namespace.
    pub(crate) fn of_department(department: &Department, namespace: &str) -> Self {
        let name = department.metadata.name.clone().unwrap_or_default();
        let mut labels = common_labels("Department", &name, &name);
        labels.insert(DEPARTMENT_LABEL.to_owned(), name.clone());
        Self {
            namespace: namespace.to_owned(),
            labels,
            reference: reference("Department", &name, department.metadata.uid.as_deref()),
        }
    }

    /// Metadata of an object that goes when its owner goes.
    pub(crate) fn metadata(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels.clone()),
            owner_references: Some(vec![self.reference.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Labels of the pods of a component: what all objects have, and what the pod is.
    pub(crate) fn pod_labels(&self, component: &str) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(COMPONENT_LABEL.to_owned(), component.to_owned());
        labels
    }
}

fn common_labels(kind: &str, name: &str, instance: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "springtide"),
        ("app.kubernetes.io/instance", instance),
        ("app.kubernetes.io/managed-by", MANAGED_BY),
        (OWNER_LABEL, &owner(kind, name)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn reference(kind: &str, name: &str, uid: Option<&str>) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", springtide_crds::GROUP, springtide_crds::VERSION),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.unwrap_or_default().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests;
