//! What conditions say: their types and the closed set of reasons.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The types of condition that Springtide writes. Every one is `True` when all is well, so that a person can look for what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
    /// The values that are written are in force; when `False`, the last accepted ones are.
    Accepted,
    /// A department's namespaces, roles and limits exist; a cluster answers queries; a group has a node that serves.
    Available,
    /// Everything that was asked for is there: no node is missing, starting or leaving.
    Ready,
    /// The operator's own SQL account works.
    OperatorAccountReady,
    /// The engine got hold of its metadata and its place on S3.
    StorageReady,
    /// Pods are what the values in force and this operator make of them.
    UpToDate,
}

impl ConditionType {
    /// The name as it stands in `status.conditions[].type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Available => "Available",
            Self::Ready => "Ready",
            Self::OperatorAccountReady => "OperatorAccountReady",
            Self::StorageReady => "StorageReady",
            Self::UpToDate => "UpToDate",
        }
    }
}

/// Makes the enum of reasons together with the list of all of them, so that none can be forgotten in the reference.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition has its value. One word each, stable, meant to be matched by machines.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason with its meaning, in the order of the reference documentation.
            pub const ALL: &[(Reason, &str)] = &[$((Reason::$name, concat!($($doc),+)),)+];

            /// The name as it stands in `status.conditions[].reason`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// The written values are in force.
    Valid,
    /// A field cannot be accepted; the message names the field and what to write instead.
    InvalidField,
    /// A cron expression cannot be read, or names a time that never comes.
    InvalidSchedule,
    /// A time zone is not in the IANA database.
    UnknownTimeZone,
    /// The compute that is asked for does not fit into the quota of the namespace.
    QuotaExceeded,
    /// The values go beyond the limits of the department.
    DepartmentLimitExceeded,
    /// The namespace belongs to another department.
    NamespaceTaken,
    /// The LakeCluster that a group names does not exist.
    ClusterNotFound,
    /// The LakeCluster that a group names is not accepted or not available yet.
    ClusterNotReady,
    /// The engine flavour cannot do what is asked for.
    NotSupportedByEngine,
    /// A Secret that is named does not exist.
    SecretNotFound,
    /// A Secret that is named lacks a key, or the key is empty.
    SecretKeyMissing,
    /// A Secret that the operator is to make exists already, and is somebody else's.
    SecretTaken,
    /// All that was asked for is there.
    AllReady,
    /// Queries are answered.
    Serving,
    /// Queries are answered by fewer nodes than were asked for.
    PartlyServing,
    /// Compute is scaled to zero, as asked for.
    ScaledToZero,
    /// The cluster is suspended: it sleeps, or goes to sleep, until `suspend` is false.
    Suspended,
    /// Frontends are starting.
    FrontendStarting,
    /// Fewer frontends are wanted, and one of them has still to leave the others; the message says what is waited for.
    FrontendLeaving,
    /// A frontend runs and does not answer SQL.
    FrontendNotAnswering,
    /// No frontend is the leader.
    NoLeader,
    /// Compute nodes are starting or registering.
    ComputeStarting,
    /// Compute nodes are leaving.
    ComputeLeaving,
    /// A window opened, and fewer nodes served than its minimum asks for.
    WindowLate,
    /// A Calendar that a window names does not exist, or has a date that does not.
    CalendarInvalid,
    /// A node was stopped before it had finished, because `drain.timeout` was over.
    DrainForced,
    /// No compute node is alive.
    NoComputeAlive,
    /// A pod cannot be placed on a node of Kubernetes.
    PodUnschedulable,
    /// A pod ends again and again.
    PodCrashing,
    /// An image cannot be pulled.
    ImagePullFailed,
    /// A volume claim is not bound.
    VolumeNotBound,
    /// A volume is smaller than what is written, and grows.
    VolumeGrowing,
    /// The quota of the namespace refuses a pod.
    PodOverQuota,
    /// The API server refused a pod of the StatefulSet.
    PodRefused,
    /// The engine's configuration file is missing, malformed or of a newer version.
    ConfigInvalid,
    /// The bucket does not exist.
    BucketNotFound,
    /// The store refused the credentials.
    StorageAccessDenied,
    /// The store cannot be reached.
    StorageUnreachable,
    /// The store does not honour conditional writes.
    StoreUnsafe,
    /// The prefix on S3 belongs to another cluster.
    ForeignCluster,
    /// The metadata is damaged in a place that cannot be cut off.
    MetadataCorrupt,
    /// The prefix on S3 is this cluster's, and its metadata is gone or of an older timeline.
    MetadataLost,
    /// Another process holds the metadata.
    MetadataInUse,
    /// The metadata cannot be read or written at present.
    MetadataUnavailable,
    /// The metadata says that the prefix on S3 was claimed, and its `CLUSTER` object is not there.
    DataLost,
    /// The metadata was written by a newer engine.
    MetadataTooNew,
    /// A mounted Secret is missing or empty.
    SecretMissing,
    /// The engine refused the operator's SQL account.
    LoginRefused,
    /// A frontend shows a certificate that the operator does not trust.
    CertificateNotTrusted,
    /// The operator does not know yet.
    Unknown,
    /// All pods are of the template that is in force.
    UpToDate,
    /// This operator would make the pods differently; they are left alone until a maintenance window opens.
    UpdatePending,
    /// Pods are replaced by those of a new template, one after the other.
    Rolling,
    /// Frontends that run were told another value of a setting, and have not said yet that it is in force.
    SettingPending,
    /// A setting is not in force on a frontend that runs; the message says what it has, and what to do.
    SettingNotInForce,
    /// A change of the engine's version waits for the pods that go first.
    WaitingForTurn,
    /// Nodes get no work, because an annotation of the group names them.
    Fenced,
    /// A new template was taken back, since a pod of it did not come to serve.
    Degraded,
    /// A namespace is not there yet.
    NamespaceNotReady,
    /// The department still has clusters, so its namespaces stay guarded.
    ClustersRemain,
    /// The cluster is being deleted, and its data on S3 with it, as was asked for by the name of the place.
    DeletingData,
    /// The data on S3 of a cluster that is being deleted cannot be deleted at present; the message says why, and how to let it stay.
    DataDeletionFailed,
    /// The cluster was deleted, and its data on S3 with it.
    DataDeleted,
    /// The cluster was deleted, and its data on S3 stays; the message says where it is and how to take it up again.
    DataKept,
}

/// The schema of `status.conditions`: the bounds are those of `metav1.Condition`.
pub(crate) fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "What is true of this object at present, one entry per type. Each is True when all is well; its reason is one of the reasons listed in docs/api.md, and its message says what to do.",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "What the condition is about.",
                    "maxLength": 316,
                },
                "status": {
                    "type": "string",
                    "description": "Whether it is so.",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "type": "string",
                    "description": "Why, in one word for machines.",
                    "minLength": 1,
                    "maxLength": 64,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "type": "string",
                    "description": "Why, and what to do, for people.",
                    "maxLength": 2048,
                },
                "lastTransitionTime": {
                    "type": "string",
                    "description": "When the status changed last.",
                    "format": "date-time",
                    "maxLength": 64,
                },
                "observedGeneration": {
                    "type": "integer",
                    "description": "The generation of the object that this is said of.",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}
