//! When a group grows and shrinks by itself.

#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive puts a second, public struct into a function"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// How many nodes load may ask for. The operator makes a HorizontalPodAutoscaler of it, which then writes `replicas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas"))]
pub struct Autoscaling {
    /// Fewest nodes, while no window wants more. A group at 0 is asleep and is not scaled by load.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Most nodes, while no window wants fewer. Required: load alone must not decide what a department pays.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Average use of the engine's CPU, in percent of what it requests, that the group is kept at. Unset: 70, where neither `memory` nor `pods` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: Option<i32>,
    /// Average use of the engine's memory, in percent of what it requests. Unset: memory does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub memory: Option<i32>,
    /// Metrics of the pods from `custom.metrics.k8s.io`, which an adapter serves. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pods: Vec<PodsMetric>,
    /// How fast it grows. Unset: at once, by 4 nodes or to the double in 15 s, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// How fast it shrinks. Unset: when fewer nodes would have done for 5 minutes, by a quarter or 1 node a minute, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

fn default_min_replicas() -> i32 {
    1
}

/// A metric of the pods and the average that the group is kept at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodsMetric {
    /// Name of the metric. Required: it is the key of the list.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::metric_name())]
    pub name: String,
    /// Average over all pods. Required: there is no sensible one for every metric.
    pub average_value: Quantity,
}

/// How fast a group grows or shrinks, as in `behavior` of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// For how long past recommendations count. Unset: 0 for growing, 300 for shrinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of several policies counts: `Max`, the one that changes most, `Min`, the one that changes least, or `Disabled`: load changes nothing in this direction. Unset: `Max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<PolicySelection>,
    /// Steps. Unset: those of the field above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub policies: Vec<ScalingPolicy>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicySelection {
    Max,
    Min,
    Disabled,
}

/// A step: so much in so many seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// Unit of `value`: nodes (`Pods`), or a share of them (`Percent`). Required: a number without a unit says nothing.
    #[serde(rename = "type")]
    pub kind: ScalingPolicyType,
    /// How many nodes, or what share of them in percent. Required: it is the step.
    #[schemars(range(min = 1, max = 1000))]
    pub value: i32,
    /// In how many seconds. Required: it is the pace.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// Unit of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    Pods,
    Percent,
}
