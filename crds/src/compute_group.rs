//! A pool of stateless compute nodes of a cluster.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the KubeSchema derive puts a second, public struct into a function"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::autoscaling::Autoscaling;
use crate::lake_cluster::EngineStatus;
use crate::pod::{PodResources, Toleration};
use crate::quantity::{Duration, LeadTime, Quantity};

/// How much compute is wanted, and when. Written by the department.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "springtide.dev",
    version = "v1alpha1",
    kind = "ComputeGroup",
    plural = "computegroups",
    shortname = "cg",
    category = "springtide",
    namespaced,
    status = "ComputeGroupStatus",
    derive = "PartialEq",
    doc = "A pool of compute nodes of a LakeCluster: how many, how large, and at which times of the day at least or at most how many.",
    validation = ("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name becomes part of host names: write at most 40 lower-case letters, digits and dashes, a letter first"),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Available", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].status",
        description = "Whether queries are answered"
    ),
    printcolumn(
        name = "Reason", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].reason",
        description = "Why, in one word"
    ),
    printcolumn(
        name = "Endpoint", type_ = "string", json_path = ".status.endpoint",
        description = "Where MySQL clients connect"
    ),
    printcolumn(
        name = "Serving", type_ = "integer", json_path = ".status.servingReplicas",
        description = "Compute nodes that take queries"
    ),
    printcolumn(
        name = "Wanted", type_ = "integer", json_path = ".status.wantedReplicas",
        description = "Compute nodes that are wanted at present"
    ),
    printcolumn(
        name = "Until", type_ = "string", json_path = ".status.nextTransition.at",
        description = "When a window changes that next"
    ),
    printcolumn(
        name = "Accepted", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether the written values are in force"
    ),
    printcolumn(
        name = "Cluster", type_ = "string", json_path = ".spec.cluster", priority = 1,
        description = "LakeCluster that the group belongs to"
    ),
    printcolumn(
        name = "Warehouse", type_ = "string", json_path = ".status.warehouse", priority = 1,
        description = "Warehouse that the nodes serve"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[x_kube(validation = ("has(self.warehouse) == has(oldSelf.warehouse) && (!has(self.warehouse) || self.warehouse == oldSelf.warehouse)", "warehouse cannot change: nodes and running sessions are bound to it. Create a second ComputeGroup with the other warehouse and delete this one"))]
pub struct ComputeGroupSpec {
    /// Name of the LakeCluster in the same namespace. It never changes. Required: compute without a cluster has nothing to compute.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = crate::rule::cluster_name())]
    #[x_kube(validation = ("self == oldSelf", "cluster cannot change: the nodes are known to that cluster's frontends. Create a second ComputeGroup for the other cluster and delete this one"))]
    pub cluster: String,
    /// The warehouse that the nodes serve; several groups may serve one. It never changes. StarRocks knows only `default_warehouse`. Unset: the group's name, and `default_warehouse` on StarRocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = crate::rule::warehouse())]
    pub warehouse: Option<String>,
    /// Compute nodes that are wanted when no window says otherwise; people, GitOps and autoscalers write it. The operator does so only to wake a group from 0, see `wakeOnQuery`.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// CPU and memory of one node. Unset: the department's default, then the cluster's, then 1 core and 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<PodResources>,
    /// Bytes of local disk of one node, of which the engine keeps below 85 %: rows that outgrow the memory, loads that come as Parquet, and with StarRocks the cache. Nothing on it matters.
    #[serde(default = "default_cache_size")]
    pub cache_size: Quantity,
    /// Times at which at least or at most so many nodes are wanted. The largest active minimum and the smallest active maximum count. Unset: none, and `replicas` alone counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub schedules: Vec<Schedule>,
    /// What a lead time of `auto` adds to the time that nodes take to start, for example for caches to fill, at most `24h`.
    #[serde(default = "default_warm_up")]
    #[x_kube(validation = crate::rule::span("24h", "warmUp is what nodes need beyond their start: write between 1s and 24h, for example 30s"))]
    pub warm_up: Duration,
    /// How many nodes load may ask for: a HorizontalPodAutoscaler then writes `replicas`. Unset: load changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Whether a statement on the group's warehouse wakes the group when `replicas` is 0. It waits meanwhile, at most the session's `query_queue_pending_timeout_second`; unless somebody has set that, as long as a node that still leaves may take, too. StarRocks cannot do it.
    #[serde(default)]
    pub wake_on_query: bool,
    /// How a node leaves.
    #[serde(default)]
    pub drain: Drain,
    /// Where the pods may run.
    #[serde(default)]
    pub placement: Placement,
    /// Labels of the pods, for example for cost reports. Unset: none of the group's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::pod::labels_schema")]
    #[x_kube(validation = crate::pod::reserved_labels())]
    pub labels: BTreeMap<String, String>,
}

crate::null::null_is_absent!(ComputeGroupSpec);

fn default_replicas() -> i32 {
    1
}

fn default_warm_up() -> Duration {
    Duration::new("30s")
}

fn default_cache_size() -> Quantity {
    Quantity::new("10Gi")
}

/// A window: from a start that recurs until it ends, at least or at most so many nodes are wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.duration) != has(self.until)", "a window ends in one way: write either duration (8h, elapsed time) or until (18:00, local time), not both and not neither"))]
#[x_kube(validation = ("has(self.minReplicas) || has(self.maxReplicas)", "a window is a floor, a ceiling or both: write minReplicas, maxReplicas or both"))]
#[x_kube(validation = ("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas", "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas"))]
#[x_kube(validation = ("has(self.start) != has(self.at)", "a window begins in one way: write either start (cron, it recurs) or at (2026-12-24T08:00, it opens once), not both and not neither"))]
#[x_kube(validation = ("!has(self.calendars) || has(self.start)", "calendars change the dates of a window that recurs: write them only with start"))]
#[x_kube(validation = ("!has(self.rampDown) || has(self.minReplicas)", "rampDown is how long a floor takes to fall: write it only with minReplicas"))]
#[x_kube(validation = ("!has(self.leadTime) || has(self.minReplicas)", "leadTime is how long before its start a floor is raised: write it only with minReplicas"))]
pub struct Schedule {
    /// Name of the window. Required: it is the key of the list.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = crate::rule::window_name())]
    pub name: String,
    /// When the window opens, as five fields of cron (minute, hour, day of month, month, day of week), `0 8 * * MON-FRI`, or as `@daily` and its kin. Unset: `at` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = crate::rule::cron())]
    pub start: Option<String>,
    /// The one time at which the window opens, in local time: `2026-12-24T08:00`. Unset: `start` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = crate::rule::local_minute())]
    pub at: Option<String>,
    /// Names of Calendars of the namespace: on their excluded dates the window does not open, on their extra dates it does. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = crate::rule::calendars())]
    pub calendars: Vec<String>,
    /// How long the window stays open, in elapsed time, at most 366 days: `8h`. Unset: `until` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Duration")]
    #[x_kube(validation = crate::rule::span("8784h", "duration is how long the window stays open: write between 1s and 8784h (366 days), for example 8h, or suspend: true to leave the window out"))]
    pub duration: Option<Duration>,
    /// Local time at which the window closes, on the day it opened or the next: `18:00`. Unset: `duration` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = crate::rule::time_of_day())]
    pub until: Option<String>,
    /// Time zone of `start` and `until`, by its IANA name: `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = crate::rule::time_zone())]
    pub time_zone: String,
    /// Nodes that are wanted at least, from `leadTime` before the start until the end. Unset: no floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<i32>,
    /// Nodes that are wanted at most while the window is open. Unset: no ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_replicas: Option<i32>,
    /// How long before the start the floor is raised, so that nodes serve when the window opens, at most a day: `5m`; or `auto`: as long as 19 of 20 starts of a node were seen to take, and `warmUp`. Unset: no lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LeadTime")]
    pub lead_time: Option<LeadTime>,
    /// How long after its end the floor falls evenly to nothing, node by node, at most a day: `30m`. Unset: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Duration")]
    #[x_kube(validation = crate::rule::span("24h", "rampDown is how long after its end a floor falls: write between 1s and 24h, for example 30m, or leave it out"))]
    pub ramp_down: Option<Duration>,
    /// Whether the window is left out for now.
    #[serde(default)]
    pub suspend: bool,
}

fn default_time_zone() -> String {
    "Etc/UTC".to_owned()
}

/// How a node leaves: it takes no new work, and stops when nothing runs on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Whether nodes finish what they have before they go. Without it they are stopped at once, and what runs on them fails: for compute that nobody waits for.
    #[serde(default = "default_drain_enabled")]
    pub enabled: bool,
    /// How long a node may finish what runs on it, at most `24h`. What happens then, `onTimeout` says.
    #[serde(default = "default_drain_timeout")]
    #[x_kube(validation = crate::rule::span("24h", "drain.timeout is how long running statements may take to finish: write between 1s and 24h, for example 10m"))]
    pub timeout: Duration,
    /// What happens to a node that is scaled in and has not finished after `timeout`: `Force` stops it, and an Event says what was cut off; `Wait` waits for it, however long it takes. Nodes that go for other reasons, such as an eviction, are always stopped then. StarRocks knows no order to drain and takes `Force` alone.
    #[serde(default)]
    pub on_timeout: DrainTimeoutPolicy,
}

/// What happens to a node that has not finished in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrainTimeoutPolicy {
    #[default]
    Force,
    Wait,
}

fn default_drain_enabled() -> bool {
    true
}

fn default_drain_timeout() -> Duration {
    Duration::new("10m")
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            enabled: default_drain_enabled(),
            timeout: default_drain_timeout(),
            on_timeout: DrainTimeoutPolicy::default(),
        }
    }
}

/// Where the pods may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Labels that a node of Kubernetes needs, beside those of the cluster's `computeTemplate`. Unset: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::pod::labels_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods may live with, beside those of the cluster's `computeTemplate`. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
}

/// What the operator found and made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeGroupStatus {
    /// What is true of this object at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Pods that exist; the scale subresource shows it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Label selector of the pods, as text; the scale subresource and autoscalers need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Pods that are ready, by Kubernetes.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// Nodes that are alive and not draining, by `SHOW COMPUTE NODES`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub serving_replicas: i32,
    /// Nodes that are wanted at present: `replicas` within floor and ceiling, 0 while the cluster is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub wanted_replicas: Option<i32>,
    /// What `wantedReplicas` follows from, and who wrote `replicas` last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// The largest minimum of the windows that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub floor: Option<i32>,
    /// The smallest maximum of the windows that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ceiling: Option<i32>,
    /// Host and port for MySQL clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub endpoint: Option<String>,
    /// The warehouse that the nodes serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub warehouse: Option<String>,
    /// The windows that count at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub active_windows: Vec<ActiveWindow>,
    /// How long nodes take to start, and what a lead time of `auto` is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_up: Option<StartUp>,
    /// The lead times of the windows that have one, by window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["window"]))]
    pub lead_times: Vec<WindowLeadTime>,
    /// The next change of floor or ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_transition: Option<NextTransition>,
    /// What all nodes run. Unset: they are not there yet, or were made by a release of the operator that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineStatus>,
    /// The nodes that the engine knows, by pod name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<NodeStatus>,
    /// Nodes that waiting statements ask for; with `autoscaling` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<DemandStatus>,
    /// The nodes that are on their way out, by pod name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub draining: Vec<DrainingNode>,
    /// The last spec that was accepted; it is in force while the written one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::pod::accepted_spec_schema")]
    pub accepted_spec: Option<Box<ComputeGroupSpec>>,
}

/// Who wins at present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// What `wantedReplicas` follows from: `replicas` as written (`Replicas`), statements that wait (`Demand`), a window's minimum (`Floor`), a window's maximum (`Ceiling`), the department's limit (`Limit`), or that the cluster is suspended (`Suspension`).
    pub decided_by: ScaleDecider,
    /// Who wrote `replicas` last, as the API server notes it: for example `kubectl`, a GitOps tool, `kube-controller-manager` for the autoscaler, `springtide-operator` for a group that a statement woke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub replicas_written_by: Option<String>,
}

/// What decides how many nodes are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScaleDecider {
    #[default]
    Replicas,
    Demand,
    Floor,
    Ceiling,
    Limit,
    Suspension,
}

/// A window that counts at present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveWindow {
    /// Name of the window.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it opens or opened.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub opens_at: String,
    /// From when on it counts: `opensAt` less the lead time, and up to 9 s more, as many for all windows of the group: not all groups want nodes in the same second.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub raised_at: String,
    /// When it closes.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub closes_at: String,
    /// What it does: its minimum is raised ahead of its start (`Raised`), it is open (`Open`), or its minimum falls after its end (`RampingDown`).
    #[serde(default)]
    pub phase: WindowPhase,
    /// When as many nodes served as its minimum asks for. Unset: not yet, or it has no minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub ready_at: Option<String>,
    /// Whether fewer nodes served when it opened.
    #[serde(default)]
    pub late: bool,
    /// Its minimum; what is left of it while it falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replicas: Option<i32>,
    /// Its maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_replicas: Option<i32>,
}

/// What a window does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowPhase {
    Raised,
    #[default]
    Open,
    RampingDown,
}

/// How long before its start the floor of a window is raised, and what decides that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowLeadTime {
    /// Name of the window.
    #[schemars(length(min = 1, max = 63))]
    pub window: String,
    /// What decides: the span that is written (`Fixed`), or the starts of nodes that were seen (`Auto`).
    pub source: LeadTimeSource,
    /// How long it is: `5m`, `42s`. A floor that `auto` has raised already stays raised, also when this becomes shorter.
    #[schemars(length(max = 16))]
    pub lead_time: String,
    /// How many starts `Auto` follows from, at most 20. 0: none was seen, and 5 minutes are a guess. Unset: it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observations: Option<i32>,
}

/// What decides how long a lead time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LeadTimeSource {
    #[default]
    Fixed,
    Auto,
}

/// How long nodes take from the creation of their pod until they serve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartUp {
    /// What a lead time of `auto` is now: `p95` and `warmUp`, and `5m` as long as no start was seen.
    #[schemars(length(max = 16))]
    pub auto_lead_time: String,
    /// The time that 19 of 20 of the recent starts took. Unset: none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub p95: Option<String>,
    /// Recent starts, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pod"]))]
    pub recent: Vec<ObservedStart>,
}

/// A start that was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedStart {
    /// Uid of the pod.
    #[schemars(length(min = 1, max = 64))]
    pub pod: String,
    /// Seconds from its creation until it served.
    #[schemars(range(min = 0))]
    pub seconds: i64,
}

/// The next change of floor or ceiling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextTransition {
    /// When.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub at: String,
    /// The floor from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub floor: Option<i32>,
    /// The ceiling from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ceiling: Option<i32>,
    /// Nodes that are wanted from then on, if nobody changes `replicas`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub wanted_replicas: i32,
    /// The windows that open or close then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub windows: Vec<String>,
}

/// A compute node as the engine knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Name of the pod.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `ComputeNodeId` of the engine.
    #[schemars(length(max = 32))]
    pub node_id: String,
    /// Whether its heartbeats arrive.
    #[serde(default)]
    pub alive: bool,
    /// Whether it finishes what it has and takes nothing new.
    #[serde(default)]
    pub draining: bool,
}

/// What waiting statements ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DemandStatus {
    /// Nodes at least.
    #[schemars(range(min = 0))]
    pub nodes: i32,
    /// Until when that counts, if no statement waits any more.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub until: String,
}

/// A compute node on its way out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainingNode {
    /// Name of the pod.
    #[schemars(length(min = 1, max = 253))]
    pub node: String,
    /// Since when it is on its way out.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub since: String,
    /// How far it has come: the frontend is being told to send nothing new there (`Cordoning`); it finishes what it has, and serves again at once when it is wanted again (`Draining`); nothing runs there, and its pod goes as soon as those with higher numbers may, too (`Drained`); its pod was told to stop (`Leaving`).
    pub phase: DrainPhase,
    /// What it waits for: statements, loads, clients on their way. Unset when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub waiting_for: Option<String>,
    /// Whether it has had its time: nobody waits any longer for what runs there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// How far a node on its way out has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrainPhase {
    #[default]
    Cordoning,
    Draining,
    Drained,
    Leaving,
}
