//! The kinds of objects in a report, and what of them.

use serde_json::{Map, Value, json};
use springtide_crds::{GROUP, VERSION};

/// Which objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those with the label of a cluster, or with those of the operator.
    Labelled,
    /// LakeClusters: where one is named, that one.
    Cluster,
    /// ComputeGroups: where a cluster is named, its own.
    OfCluster,
    /// Events: where a cluster is named, those about what belongs to it; of the operator's namespace, those about the operator.
    Events,
}

/// A kind of objects.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) which: Which,
    /// What of an object is in the report.
    pub(super) shown: fn(&Value) -> Value,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    which: Which,
) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural,
        which,
        shown: Value::clone,
    }
}

const fn ours(singular: &'static str, plural: &'static str, which: Which) -> Kind {
    kind(GROUP, VERSION, singular, plural, which)
}

const fn core(singular: &'static str, plural: &'static str, which: Which) -> Kind {
    kind("", "v1", singular, plural, which)
}

/// Kinds without a namespace.
pub(super) const CLUSTER_WIDE: &[Kind] = &[
    ours("Department", "departments", Which::All),
    Kind {
        shown: of_node,
        ..core("Node", "nodes", Which::All)
    },
    kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", Which::All),
];

/// In the operator's namespace. Events come last: what they are about is known then.
pub(super) const OF_OPERATOR: &[Kind] = &[
    kind("apps", "v1", "Deployment", "deployments", Which::Labelled),
    kind("apps", "v1", "ReplicaSet", "replicasets", Which::Labelled),
    core("Pod", "pods", Which::Labelled),
    core("Service", "services", Which::Labelled),
    kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        Which::Labelled,
    ),
    core("Event", "events", Which::Events),
];

/// In a namespace with clusters. Clusters and groups come first: they decide what else is looked for. Events come last.
pub(super) const IN_NAMESPACES: &[Kind] = &[
    ours("LakeCluster", "lakeclusters", Which::Cluster),
    ours("ComputeGroup", "computegroups", Which::OfCluster),
    ours("Calendar", "calendars", Which::All),
    kind("apps", "v1", "StatefulSet", "statefulsets", Which::Labelled),
    kind(
        "apps",
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        Which::Labelled,
    ),
    kind("batch", "v1", "Job", "jobs", Which::Labelled),
    core("Pod", "pods", Which::Labelled),
    core("Service", "services", Which::Labelled),
    core("ConfigMap", "configmaps", Which::Labelled),
    core("PersistentVolumeClaim", "persistentvolumeclaims", Which::Labelled),
    kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        Which::Labelled,
    ),
    kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        Which::Labelled,
    ),
    kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        Which::All,
    ),
    core("ResourceQuota", "resourcequotas", Which::All),
    core("LimitRange", "limitranges", Which::All),
    core("Event", "events", Which::Events),
];

/// The namespace itself.
pub(super) const NAMESPACE: Kind = core("Namespace", "namespaces", Which::All);
/// Who of the operators leads.
pub(super) const LEASE: Kind = kind("coordination.k8s.io", "v1", "Lease", "leases", Which::All);
/// The kind of the API's own description.
pub(super) const CRD: Kind = Kind {
    shown: of_crd,
    ..kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        Which::All,
    )
};
/// Those of Springtide.
pub(super) const CRDS: &[&str] = &[
    "departments.springtide.dev",
    "lakeclusters.springtide.dev",
    "computegroups.springtide.dev",
    "calendars.springtide.dev",
];

/// Labels of a node that say where it is and what kind of machine.
const NODE_LABELS: &[&str] = &[
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
];

/// What decides whether pods run on a node, and nothing else of it.
fn of_node(node: &Value) -> Value {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let labels: Map<String, Value> = labels
        .into_iter()
        .flatten()
        .filter(|(name, _)| NODE_LABELS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let (spec, status) = (&node["spec"], &node["status"]);
    json!({
        "apiVersion": node["apiVersion"],
        "kind": node["kind"],
        "metadata": {"name": node["metadata"]["name"], "labels": labels},
        "spec": {"taints": spec["taints"], "unschedulable": spec["unschedulable"]},
        "status": {
            "conditions": status["conditions"],
            "capacity": status["capacity"],
            "allocatable": status["allocatable"],
            "nodeInfo": {"kubeletVersion": status["nodeInfo"]["kubeletVersion"]},
        },
    })
}

/// Its versions, without the schema, which is the release's.
fn of_crd(crd: &Value) -> Value {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    let versions: Vec<Value> = versions
        .into_iter()
        .flatten()
        .map(|version| json!({"name": version["name"], "served": version["served"], "storage": version["storage"]}))
        .collect();
    json!({
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": {"name": crd["metadata"]["name"], "labels": crd["metadata"]["labels"]},
        "spec": {"versions": versions},
        "status": {"conditions": crd["status"]["conditions"], "storedVersions": crd["status"]["storedVersions"]},
    })
}
