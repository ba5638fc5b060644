//! A part of the company, and how much it may use.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the KubeSchema derive puts a second, public struct into a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pod::PodResources;
use crate::quantity::Quantity;

/// What a department is given. Written by the central team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "springtide.dev",
    version = "v1alpha1",
    kind = "Department",
    plural = "departments",
    shortname = "dept",
    category = "springtide",
    status = "DepartmentStatus",
    derive = "PartialEq",
    doc = "A part of the company: its namespaces, its administrators and how much it may use. The operator makes the namespaces, roles, quotas and network policies from it.",
    validation = ("self.metadata.name.size() <= 50", "metadata.name becomes part of label values: write at most 50 characters"),
    validation = Rule::new("oldSelf.spec.namespaces.all(old, self.spec.namespaces.exists(new, new.name == old.name) || (has(oldSelf.status) && has(oldSelf.status.namespaces) && oldSelf.status.namespaces.exists(found, found.name == old.name && found.removable)))").field_path(".spec.namespaces").message(
        "a namespace keeps its department: add namespaces, but do not remove or rename one. To release a namespace, delete the Department (its namespaces stay) and create it again without that one"
    ),
    printcolumn(
        name = "Available", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].status",
        description = "Whether namespaces, roles and limits exist"
    ),
    printcolumn(
        name = "Reason", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].reason",
        description = "Why, in one word"
    ),
    printcolumn(
        name = "Namespaces", type_ = "string",
        json_path = ".status.namespaces[*].name",
        description = "Where the department works"
    ),
    printcolumn(
        name = "Clusters", type_ = "integer",
        json_path = ".status.lakeClusters",
        description = "LakeClusters in its namespaces"
    ),
    printcolumn(
        name = "Groups", type_ = "integer",
        json_path = ".status.computeGroups",
        description = "ComputeGroups in its namespaces"
    ),
    printcolumn(
        name = "Accepted", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether the written values are in force"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct DepartmentSpec {
    /// Name for people. Unset: the object's name is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub display_name: Option<String>,
    /// The namespaces of the department with the quota of each. More may be added; none is removed or renamed once it is the department's. Required: a department without a namespace could hold nothing.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub namespaces: Vec<DepartmentNamespace>,
    /// Who may read everything of the department but Secrets, and create, change, scale and delete ComputeGroups.
    #[serde(default)]
    pub admins: DepartmentAdmins,
    /// The largest values that a ComputeGroup of the department may ask for.
    #[serde(default)]
    pub limits: DepartmentLimits,
    /// Values for what a ComputeGroup leaves open.
    #[serde(default)]
    pub defaults: DepartmentDefaults,
    /// Whether the namespaces refuse connections from other namespaces, but for the client ports of the frontends and the operator.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
    /// What happens to the namespaces when the Department is deleted. `Retain` keeps them and all in them; `Delete` removes those that the operator made and that hold neither a LakeCluster, a ComputeGroup nor a volume claim.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

crate::null::null_is_absent!(DepartmentSpec);

/// One namespace of a department.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentNamespace {
    /// Name of the namespace; it is created where it does not exist. Required: it is the key of the list.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = crate::rule::namespace_name())]
    pub name: String,
    /// The most that all pods of the namespace may reserve together. An amount that is not set is not limited.
    #[serde(default)]
    pub quota: NamespaceQuota,
}

/// The most that all pods of a namespace may reserve together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceQuota {
    /// CPU cores that are reserved. Unset: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quantity")]
    pub cpu: Option<Quantity>,
    /// Bytes of memory that are reserved. Unset: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quantity")]
    pub memory: Option<Quantity>,
    /// Bytes of persistent volumes that are claimed. Unset: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quantity")]
    pub storage: Option<Quantity>,
    /// Number of pods. Unset: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub pods: Option<i32>,
}

/// The administrators of a department, as Kubernetes knows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentAdmins {
    /// Names of users, as the API server's authentication gives them. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub users: Vec<String>,
    /// Names of groups, as the API server's authentication gives them. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
}

/// The largest values that a ComputeGroup may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentLimits {
    /// The most replicas of one ComputeGroup, by whatever asks for them: a person, a window or an autoscaler.
    #[serde(default = "default_max_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_replicas_per_group: i32,
    /// The largest `resources` of one compute node. Unset: not limited but by the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_compute_resources: Option<PodResources>,
}

fn default_max_replicas() -> i32 {
    100
}

impl Default for DepartmentLimits {
    fn default() -> Self {
        Self {
            max_replicas_per_group: default_max_replicas(),
            max_compute_resources: None,
        }
    }
}

/// Values for what a ComputeGroup leaves open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentDefaults {
    /// `resources` of a group that names none. Unset: the cluster's `computeTemplate.resources`, and without those 1 core and 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_resources: Option<PodResources>,
}

/// Whether the operator writes network policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    #[default]
    Enabled,
    Disabled,
}

/// What happens to what was made when the object that asked for it is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

/// What the operator found and made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentStatus {
    /// What is true of this object at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The namespaces and what they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub namespaces: Vec<DepartmentNamespaceStatus>,
    /// LakeClusters in all namespaces together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lake_clusters: Option<i32>,
    /// ComputeGroups in all namespaces together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compute_groups: Option<i32>,
    /// The last spec that was accepted; its limits and defaults are in force while the written ones are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::pod::accepted_spec_schema")]
    pub accepted_spec: Option<Box<DepartmentSpec>>,
}

/// One namespace as the operator found it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentNamespaceStatus {
    /// Name of the namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Whether the namespace exists, is the department's and has its roles and limits.
    #[serde(default)]
    pub ready: bool,
    /// Whether it may be taken off the list: the written values are not accepted, and it is not the department's.
    #[serde(default)]
    pub removable: bool,
    /// LakeClusters in it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub lake_clusters: i32,
    /// ComputeGroups in it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub compute_groups: i32,
}
