//! The parts of a pod that a custom resource may shape.

#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive puts a second, public struct into a function"
)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// CPU and memory of one pod's main container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodResources {
    /// CPU that is reserved, in cores: `500m`, `2`. There is no CPU limit: what is idle on the machine may be used. Required: a size without it would be a guess.
    pub cpu: Quantity,
    /// Memory that is reserved and at the same time the limit, in bytes: `4Gi`. Required: a size without it would be a guess.
    pub memory: Quantity,
}

/// A taint that a pod may live with, as in `pod.spec.tolerations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.key) || self.operator == 'Exists'", "a toleration without a key is for every taint: write operator: Exists with it, or write the key"))]
#[x_kube(validation = ("self.operator != 'Exists' || !has(self.value)", "the operator Exists compares no value: leave value out, or write operator: Equal"))]
#[x_kube(validation = ("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')", "tolerationSeconds counts for the effect NoExecute alone: write effect: NoExecute with it, or leave it out"))]
pub struct Toleration {
    /// Key of the taint. Unset: every key, which needs the operator `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    #[x_kube(validation = crate::rule::taint_key())]
    pub key: Option<String>,
    /// How key and value are compared.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// Value of the taint. Unset: no value, as `Exists` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = crate::rule::taint_value())]
    pub value: Option<String>,
    /// Effect of the taint that is tolerated: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Unset: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = crate::rule::taint_effect())]
    pub effect: Option<String>,
    /// Seconds that a `NoExecute` taint is tolerated. Unset: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    #[default]
    Equal,
    Exists,
}

impl TolerationOperator {
    /// The name that a pod uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Exists => "Exists",
        }
    }
}

/// What the central team adds to every compute pod of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels of the pods. Unset: those of the operator alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(validation = reserved_labels())]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods. Unset: those of the operator alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations_schema")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node of Kubernetes needs to run the pods. A group's `placement.nodeSelector` adds to these and cannot replace them. Unset: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods may live with. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// PriorityClass of the pods. Unset: the cluster's default priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::object_name("write a name that kubectl get priorityclass shows: lower-case letters, digits, dashes and dots"))]
    pub priority_class_name: Option<String>,
}

/// The keys that the operator finds its own objects by cannot be set by anyone else.
pub(crate) fn reserved_labels() -> Rule {
    Rule::new("self.all(key, !key.startsWith('springtide.dev/') && !key.startsWith('app.kubernetes.io/'))").message(
        "labels that start with springtide.dev/ or app.kubernetes.io/ are written by the operator: write them under a prefix of your own, for example example.com/team",
    )
}

fn map_schema(max_properties: u32, max_length: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": max_properties,
        "additionalProperties": {"type": "string", "maxLength": max_length},
    })
}

/// Labels and node selectors: at most 32, values of at most 63 characters. Keys have no bound that the API server counts with, so
/// what they are made of is checked by the operator.
pub(crate) fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "x-kubernetes-validations": [{
                "rule": "self == '' || self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
                "message": "write letters, digits and - _ . with a letter or digit at both ends: that is what the value of a label is made of",
            }],
        },
    })
}

/// Annotations: at most 32, values of at most 4096 characters.
pub(crate) fn annotations_schema(_: &mut SchemaGenerator) -> Schema {
    map_schema(32, 4096)
}

/// Settings of an engine process: at most 64, values of at most 1024 characters.
pub(crate) fn config_schema(_: &mut SchemaGenerator) -> Schema {
    map_schema(64, 1024)
}

/// An object that repeats a spec which was checked when it was written: no rule is evaluated a second time.
pub(crate) fn accepted_spec_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
