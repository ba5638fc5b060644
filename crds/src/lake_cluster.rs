//! One analytic cluster: an engine, a place on S3, and frontends that hold the metadata.

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

use crate::department::DeletionPolicy;
use crate::pod::{PodResources, PodTemplate};
use crate::quantity::{Duration, Quantity};

/// What a cluster is made of. Written by the central team, because who controls an image or a template can read Secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "springtide.dev",
    version = "v1alpha1",
    kind = "LakeCluster",
    plural = "lakeclusters",
    shortname = "lake",
    category = "springtide",
    namespaced,
    status = "LakeClusterStatus",
    derive = "PartialEq",
    doc = "One shared-data analytic cluster: frontends with the metadata and the MySQL protocol, all data on S3, and a template for its compute nodes.",
    validation = ("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name becomes part of host names: write at most 40 lower-case letters, digits and dashes, a letter first"),
    validation = ("!self.metadata.name.endsWith('-cn') && !self.metadata.name.endsWith('-fe-pods')", "names that end in -cn or -fe-pods are those of Services that the operator makes: write another name"),
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
        name = "Frontends", type_ = "integer", json_path = ".status.frontendsReady",
        description = "Frontends that are alive"
    ),
    printcolumn(
        name = "Compute", type_ = "integer", json_path = ".status.computeNodesAlive",
        description = "Compute nodes that are alive"
    ),
    printcolumn(
        name = "Until", type_ = "string", json_path = ".status.computeUntil",
        description = "When a window changes the compute next"
    ),
    printcolumn(
        name = "Accepted", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether the written values are in force"
    ),
    printcolumn(
        name = "Engine", type_ = "string", json_path = ".spec.engine.kind", priority = 1,
        description = "Engine flavour"
    ),
    printcolumn(
        name = "Version", type_ = "string", json_path = ".spec.engine.version", priority = 1,
        description = "Engine version"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct LakeClusterSpec {
    /// Which engine runs, in which version. Required: it is what a cluster is.
    #[x_kube(validation = ("self.kind == oldSelf.kind", "engine.kind cannot change: the two engines do not read each other's metadata. Create a second LakeCluster with its own prefix and load the data there"))]
    pub engine: Engine,
    /// Image of frontends and compute nodes. Unset: the flavour's own image in `engine.version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = crate::rule::image())]
    pub image: Option<String>,
    /// The place of all data. Required: there is no other place for it.
    pub storage: Storage,
    /// The processes that hold the metadata and answer clients.
    #[serde(default)]
    pub frontends: Frontends,
    /// What all compute nodes of the cluster have in common.
    #[serde(default)]
    pub compute_template: ComputeTemplate,
    /// The Service that clients connect to.
    #[serde(default)]
    pub service: ClientService,
    /// TLS on the MySQL port (9030). Stream Load over HTTP (8030, 8040) is not encrypted yet. Unset: no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How the cluster begins.
    #[serde(default)]
    pub bootstrap: Bootstrap,
    /// Names of Secrets that hold registry credentials. Unset: none, for images that anybody may pull.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = crate::rule::pull_secrets())]
    pub image_pull_secrets: Vec<String>,
    /// When pods may be replaced because another release of the operator would make them differently. What somebody writes is carried out at once, whatever the time. Unset: never by the clock; the annotation `springtide.dev/maintenance-until` opens a window by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub maintenance_windows: Vec<MaintenanceWindow>,
    /// Whether the cluster sleeps: its compute goes first, whatever groups and windows ask for, then the frontends, once an image of the metadata has everything. Volumes and data stay.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to the volumes and the accounts of the cluster when the LakeCluster is deleted, where `deletion` says nothing of them. It never counts for the data on S3.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What happens to each kind of what the cluster has made when the LakeCluster is deleted.
    #[serde(default)]
    pub deletion: Deletion,
}

crate::null::null_is_absent!(LakeClusterSpec);

impl LakeClusterSpec {
    /// Whether the frontends' volumes go with the cluster.
    #[must_use]
    pub fn deletes_volumes(&self) -> bool {
        self.deletion.metadata_volumes.unwrap_or(self.deletion_policy) == DeletionPolicy::Delete
    }

    /// Whether the Secrets that the operator made go with the cluster.
    #[must_use]
    pub fn deletes_accounts(&self) -> bool {
        self.deletion.accounts.unwrap_or(self.deletion_policy) == DeletionPolicy::Delete
    }
}

/// What happens to each kind of what a cluster has made when the LakeCluster is deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The volumes of the frontends, which hold the metadata: without them, nothing can read the data. Unset: as `deletionPolicy` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub metadata_volumes: Option<DeletionPolicy>,
    /// The Secrets with the accounts and the token that the operator made. Unset: as `deletionPolicy` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub accounts: Option<DeletionPolicy>,
    /// The data on S3. `Delete` is not enough by itself: the data goes only where the annotation `springtide.dev/delete-data` names its place, `s3://bucket/prefix`, when the LakeCluster is deleted. Otherwise it stays, and an Event says so.
    #[serde(default)]
    pub data: DeletionPolicy,
}

/// A time that recurs, in which pods may be replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// Name of the window. Required: it is the key of the list.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = crate::rule::window_name())]
    pub name: String,
    /// When the window opens, as five fields of cron (minute, hour, day of month, month, day of week), `0 2 * * SUN`, or as `@daily` and its kin. Required: there is no good time for everybody.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = crate::rule::cron())]
    pub start: String,
    /// How long the window stays open, in elapsed time, at most a week. A replacement of pods that has begun is carried on after it.
    #[serde(default = "default_maintenance_duration")]
    #[x_kube(validation = crate::rule::span("168h", "duration is how long the window stays open: write between 1s and 168h (a week), for example 2h"))]
    pub duration: Duration,
    /// Time zone of `start`, by its IANA name: `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = crate::rule::time_zone())]
    pub time_zone: String,
}

fn default_maintenance_duration() -> Duration {
    Duration::new("2h")
}

fn default_time_zone() -> String {
    "Etc/UTC".to_owned()
}

/// An engine flavour and its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// `Bundled` is Springtide's own engine, `StarRocks` is StarRocks in shared-data mode.
    #[serde(default)]
    pub kind: EngineKind,
    /// Version, which is the tag of the default image. Required: a running cluster changes its version only when somebody writes it.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = crate::rule::engine_version())]
    pub version: String,
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineStatus {
    /// The version that `spec.engine.version` had when the pods were made.
    #[schemars(length(max = 64))]
    pub version: String,
    /// The image.
    #[schemars(length(max = 512))]
    pub image: String,
}

/// The certificate of the MySQL port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Name of the Secret. What clients are to trust is under `ca.crt` there.
    #[schemars(length(max = 253))]
    pub secret: String,
    /// When the certificate ends.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub not_after: String,
    /// The name of the authority that has signed it.
    #[schemars(length(max = 512))]
    pub issued_by: String,
}

/// The engine flavours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineKind {
    #[default]
    Bundled,
    StarRocks,
}

/// A place on S3. Bucket, prefix and endpoint never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.bucket == oldSelf.bucket && self.prefix == oldSelf.prefix", "storage.bucket and storage.prefix cannot change: the metadata names the objects there. Create a second LakeCluster at the new place and load the data there"))]
#[x_kube(validation = ("has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint)", "storage.endpoint cannot change: another server would be another bucket. Give the old server's name to the new one, or create a second LakeCluster"))]
pub struct Storage {
    /// Name of the bucket; it must exist. Required: it cannot be guessed.
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(validation = crate::rule::bucket())]
    pub bucket: String,
    /// Prefix of all keys, without a slash at its ends. Required: two clusters never share a prefix.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = crate::rule::prefix())]
    pub prefix: String,
    /// URL of an S3-compatible server. Unset: AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = crate::rule::endpoint())]
    pub endpoint: Option<String>,
    /// Region of the bucket.
    #[serde(default = "default_region")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = crate::rule::region())]
    pub region: String,
    /// Whether the bucket stands in the path of a request (`http://server/bucket`) and not in the host name.
    #[serde(default)]
    pub path_style: bool,
    /// How the engine proves who it is. Required: without it nothing can be read.
    pub credentials: StorageCredentials,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// One of the two ways to prove who one is to the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretRef) != has(self.serviceAccountName)", "write exactly one of storage.credentials.secretRef (keys from a Secret) and storage.credentials.serviceAccountName (identity of a service account)"))]
pub struct StorageCredentials {
    /// A Secret with an access key. Unset: `serviceAccountName` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<StorageSecretRef>,
    /// A ServiceAccount whose identity the cloud trusts; the central team makes it in the same namespace. Unset: `secretRef` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::object_name("write the name of a ServiceAccount of the same namespace: lower-case letters, digits, dashes and dots"))]
    pub service_account_name: Option<String>,
}

/// A Secret of the same namespace that holds an access key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageSecretRef {
    /// Name of the Secret. Required: it cannot be guessed.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::object_name("write the name of a Secret of the same namespace: lower-case letters, digits, dashes and dots"))]
    pub name: String,
    /// Key of the Secret that holds the access key id.
    #[serde(default = "default_access_key_id_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::secret_key())]
    pub access_key_id_key: String,
    /// Key of the Secret that holds the secret access key.
    #[serde(default = "default_secret_access_key_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::secret_key())]
    pub secret_access_key_key: String,
}

fn default_access_key_id_key() -> String {
    "access-key-id".to_owned()
}

fn default_secret_access_key_key() -> String {
    "secret-access-key".to_owned()
}

/// The frontends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frontends {
    /// How many frontends. The bundled engine runs one for now; StarRocks runs an odd number.
    #[serde(default = "default_frontends")]
    #[schemars(range(min = 1, max = 7))]
    pub replicas: i32,
    /// CPU and memory of one frontend.
    #[serde(default = "default_frontend_resources")]
    pub resources: PodResources,
    /// The volume with the metadata.
    #[serde(default)]
    pub metadata_volume: MetadataVolume,
    /// Settings of the frontend by the engine's own names, for example `queryTimeoutS` (bundled) or `qe_max_connection` (StarRocks). Dynamic ones are told to frontends that run, and read back; for another value of any other, the frontends are replaced. docs/configuration.md says which are which. Unknown names are refused by the bundled engine. Unset: the engine's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::pod::config_schema")]
    pub config: BTreeMap<String, String>,
}

fn default_frontends() -> i32 {
    1
}

fn default_frontend_resources() -> PodResources {
    PodResources {
        cpu: Quantity::new("500m"),
        memory: Quantity::new("2Gi"),
    }
}

impl Default for Frontends {
    fn default() -> Self {
        Self {
            replicas: default_frontends(),
            resources: default_frontend_resources(),
            metadata_volume: MetadataVolume::default(),
            config: BTreeMap::new(),
        }
    }
}

/// A persistent volume for each frontend's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)", "frontends.metadataVolume.storageClassName cannot change, since a bound volume keeps its class: write the old name again, or create a second LakeCluster and move the data"))]
pub struct MetadataVolume {
    /// Size of the volume in bytes. It may grow where the storage class allows it, and never shrinks.
    #[serde(default = "default_metadata_size")]
    pub size: Quantity,
    /// StorageClass of the volume. Unset: the default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::object_name("write a name that kubectl get storageclass shows: lower-case letters, digits, dashes and dots"))]
    pub storage_class_name: Option<String>,
}

fn default_metadata_size() -> Quantity {
    Quantity::new("10Gi")
}

impl Default for MetadataVolume {
    fn default() -> Self {
        Self {
            size: default_metadata_size(),
            storage_class_name: None,
        }
    }
}

/// What all compute nodes of a cluster have in common. It stands here and not in ComputeGroup because a department's administrator may change those.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeTemplate {
    /// Image of compute nodes. Unset: the image of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = crate::rule::image())]
    pub image: Option<String>,
    /// CPU and memory of a compute node whose group names none. Unset: 1 core and 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<PodResources>,
    /// Settings of the compute node by the engine's own names. Unset: the engine's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::pod::config_schema")]
    pub config: BTreeMap<String, String>,
    /// Labels, annotations and placement of the pods.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

/// The Service that clients connect to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientService {
    /// How the Service is reached: inside the cluster, on a port of every node, or by a load balancer.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of the Service, for example for a cloud's load balancer. Unset: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::pod::annotations_schema")]
    pub annotations: BTreeMap<String, String>,
}

/// The types of Service that make sense for a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

impl ServiceType {
    /// The name that a Service uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// TLS on the MySQL port: a certificate of one of two origins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretName) != has(self.issue)", "write exactly one of tls.secretName (a Secret that somebody else writes, as cert-manager does) and tls.issue (a certificate that the operator issues and renews)"))]
pub struct Tls {
    /// Name of a Secret of type `kubernetes.io/tls` with `tls.crt` and `tls.key`, and with the certificate of its authority under `ca.crt` where that is not one that everybody trusts: by it the operator knows the frontends. Unset: `issue` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rule::object_name("write the name of a Secret of the same namespace: lower-case letters, digits, dashes and dots"))]
    pub secret_name: Option<String>,
    /// The operator issues a certificate by an authority of the cluster's own, in the Secret `NAME-tls`, and renews it without a restart; clients trust what is under `ca.crt` there. The bundled engine alone. Unset: `secretName` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssuedCertificate>,
}

/// A certificate that the operator issues. It has all names of the cluster's Services and frontends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// Further names by which clients connect, for example that of a load balancer. Unset: those within Kubernetes are enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = crate::rule::dns_names())]
    pub dns_names: Vec<String>,
    /// How long a certificate is good, from six weeks to a year. It is renewed when a third of that is left.
    #[serde(default = "default_certificate_duration")]
    #[x_kube(validation = crate::rule::certificate_duration())]
    pub duration: Duration,
}

fn default_certificate_duration() -> Duration {
    Duration::new("2160h")
}

impl Default for IssuedCertificate {
    fn default() -> Self {
        Self {
            dns_names: Vec::new(),
            duration: default_certificate_duration(),
        }
    }
}

/// What the first frontend may do with a prefix that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// `clusterId` of a cluster that is gone and that this object continues, with its prefix and its metadata volumes. It counts until the cluster has answered once. Unset: the cluster is a new one, and a prefix or a volume of another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = crate::rule::cluster_id())]
    pub adopt: Option<String>,
}

/// A setting that frontends take while they run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingInForce {
    /// Its name, as in `frontends.config`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its value by `ADMIN SHOW FRONTEND CONFIG`. Unset: no frontend has said it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
}

/// What the operator found and made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LakeClusterStatus {
    /// What is true of this object at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::condition::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Identity of the cluster: a lower-case UUID, made once and written into the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub cluster_id: Option<String>,
    /// Host and port for MySQL clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub endpoint: Option<String>,
    /// Name of the Secret with `username` and `password` of the SQL administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub admin_secret: Option<String>,
    /// Host of the frontend that leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub leader: Option<String>,
    /// Frontends that are alive, by `SHOW FRONTENDS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub frontends_ready: Option<i32>,
    /// Compute nodes of all groups that are alive, by `SHOW COMPUTE NODES`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compute_nodes_alive: Option<i32>,
    /// What all frontends run. Unset: they are not there yet, or were made by a release of the operator that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineStatus>,
    /// Dynamic settings of `frontends.config`, and those that were taken out and have not their defaults yet, with what frontends say they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dynamic_settings: Vec<SettingInForce>,
    /// The certificate of the MySQL port, as it is in its Secret. Unset: there is none, or it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// When a window of one of the groups changes the compute next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub compute_until: Option<String>,
    /// The last spec that was accepted; it is in force while the written one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::pod::accepted_spec_schema")]
    pub accepted_spec: Option<Box<LakeClusterSpec>>,
}
