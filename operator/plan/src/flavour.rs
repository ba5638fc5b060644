//! The hinge between the engines: what differs between them, as values.
//!
//! Everything above this trait is the same for both; `match` on the engine's kind stands in [`flavour`] and nowhere else.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe, Volume,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use springtide_crds::lake_cluster::EngineKind;
use thiserror::Error;

use crate::compute_group::ComputeShape;
use crate::lake_cluster::ClusterShape;
use crate::settings::Settings;
use crate::sql::{AdminStatement, ComputeNodeRow};

mod bundled;
mod dynamic;
mod nearest;
mod starrocks;

pub use bundled::Bundled;
pub(crate) use bundled::data_deletion;
pub use dynamic::DynamicSetting;
pub use starrocks::StarRocks;

/// The warehouse of nodes that were added without naming one.
pub const DEFAULT_WAREHOUSE: &str = "default_warehouse";

/// What differs between the engines.
pub trait Flavour: Debug + Sync {
    /// What the engine can do.
    fn capabilities(&self) -> Capabilities;

    /// The order in which an upgrade rolls through the components.
    fn upgrade_order(&self) -> &'static [UpgradeStep];

    /// Image of a frontend in this version, for clusters that name none.
    fn frontend_image(&self, version: &str, settings: &Settings) -> String;

    /// Image of a compute node in this version, for clusters that name none.
    fn compute_image(&self, version: &str, settings: &Settings) -> String;

    /// Checks settings that are written by the engine's own names.
    ///
    /// # Errors
    /// A setting is not known, is malformed, or belongs to the operator.
    fn check_config(
        &self,
        frontends: &BTreeMap<String, String>,
        compute: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError>;

    /// Settings of frontends that these take by SQL while they run: no pod is replaced for them.
    fn dynamic_settings(&self) -> Vec<DynamicSetting>;

    /// The files of a frontend with these dynamic settings instead of those that are in them.
    fn with_dynamic(
        &self,
        files: &BTreeMap<String, String>,
        settings: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String>;

    /// The smallest volume for metadata on which a frontend starts, if there is such a thing.
    fn smallest_metadata_volume(&self) -> Option<&'static str>;

    /// Files that frontends read, by name.
    fn frontend_files(&self, cluster: &ClusterShape) -> BTreeMap<String, String>;

    /// Files that the compute nodes of a group read, by name.
    fn compute_files(&self, compute: &ComputeShape) -> BTreeMap<String, String>;

    /// The pod of a frontend, as far as the engine decides it. `files` names the ConfigMap with its files.
    fn frontend_pod(&self, cluster: &ClusterShape, files: &str) -> PodShape;

    /// The pod of a compute node, as far as the engine decides it. `files` names the ConfigMap with its files.
    fn compute_pod(&self, compute: &ComputeShape, files: &str) -> PodShape;

    /// Makes a node known. `warehouse_exists` says whether a node serves that warehouse already.
    fn add_compute_node(&self, host: &str, warehouse: &str, warehouse_exists: bool) -> Vec<AdminStatement>;

    /// Keeps the node of a row from getting new work. Asked only where [`Capabilities::cordon`] is [`Cordon::EngineState`].
    fn drain(&self, row: &ComputeNodeRow) -> AdminStatement {
        AdminStatement::DrainComputeNode {
            node_id: row.id.clone(),
            host: row.host.clone(),
        }
    }

    /// Lets nobody wait for what runs there when the node is stopped.
    fn force_drain(&self, row: &ComputeNodeRow) -> AdminStatement {
        AdminStatement::ForceDrainComputeNode {
            node_id: row.id.clone(),
            host: row.host.clone(),
        }
    }

    /// Takes both back.
    fn cancel_drain(&self, row: &ComputeNodeRow) -> AdminStatement {
        AdminStatement::CancelDrainComputeNode {
            node_id: row.id.clone(),
            host: row.host.clone(),
        }
    }

    /// Forgets the node of a row.
    fn drop_compute_node(&self, row: &ComputeNodeRow) -> AdminStatement;

    /// The account with all rights that is the administrators': the user of [`crate::names::admin_secret`].
    fn administrator(&self) -> &'static str;

    /// Makes the operator's account with the password of `operator_secret`, and gives [`Capabilities::initial_account`], as which these are
    /// run, that of `admin_secret` with the last of them. All may be repeated, from whichever they were broken off at. Empty where there
    /// is no such account.
    fn make_accounts(&self, operator_secret: &str, admin_secret: &str) -> Vec<AdminStatement>;
}

/// The flavour of an engine.
#[must_use]
pub fn flavour(kind: EngineKind) -> &'static dyn Flavour {
    match kind {
        EngineKind::Bundled => &Bundled,
        EngineKind::StarRocks => &StarRocks,
    }
}

/// What an engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Nodes can be put into warehouses other than [`DEFAULT_WAREHOUSE`].
    pub warehouses: bool,
    /// More than one frontend can run.
    pub followers: bool,
    /// How a node is kept from getting new work.
    pub cordon: Cordon,
    /// Statements wait in a queue that tells how many nodes it would need.
    pub queue: bool,
    /// The account with all rights that the engine begins with, and that has no password then: accounts stand in the catalog, and the
    /// operator makes its own with this one. `None` where the engine reads the operator's account from a mounted Secret at each login.
    pub initial_account: Option<&'static str>,
    /// Keys and certificates are read anew from mounted Secrets when these change: no pod is replaced for them.
    pub reloads_credentials: bool,
    /// The frontends' MySQL port has the certificate of `spec.tls`.
    pub serves_tls: bool,
    /// The place on S3 says whose it is, and what a cluster has there can be told from all else. Where it does not, everything below the
    /// prefix is taken for the cluster's.
    pub claims_place: bool,
}

/// How a node is kept from getting new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Cordon {
    /// The frontend is told to stop routing to the node, and says when nothing runs there. It can be taken back.
    EngineState,
    /// SIGTERM is the only way, and there is no way back.
    ShutdownSignal,
}

/// A step of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum UpgradeStep {
    /// All compute nodes.
    Compute,
    /// Every frontend but the leader.
    FrontendFollowers,
    /// The leading frontend.
    FrontendLeader,
}

/// Why a setting is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The engine has no such setting.
    #[error("{field}: the engine has no setting {name:?}{hint}; it has {known}")]
    Unknown {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
        /// What may be meant, in parentheses; may be empty.
        hint: String,
        /// Those that it has.
        known: String,
    },
    /// The value is not a number.
    #[error("{field}.{name}: {value:?} is not a whole number of at least 0")]
    NotANumber {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
        /// The value.
        value: String,
    },
    /// The value of a dynamic setting is none that the engine takes.
    #[error("{field}.{name}: {value:?} is no value of it; write {expected}")]
    NotAValue {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// What makes sense.
        expected: String,
    },
    /// The setting would do harm that no value of it is worth.
    #[error("{field}: {name} is refused: {why}; take it out")]
    Dangerous {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
        /// What it would do.
        why: &'static str,
    },
    /// The operator writes this setting itself.
    #[error("{field}: {name} is written by the operator; write {instead}")]
    Reserved {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
        /// Where the same is said in the API.
        instead: &'static str,
    },
    /// The setting would not be a line of its own in the engine's file.
    #[error(
        "{field}: {name:?}: write a name of lower-case letters, digits and underscores, and a value of one line without a backslash at its end"
    )]
    Malformed {
        /// Path of the map.
        field: &'static str,
        /// The setting.
        name: String,
    },
}

/// A pod, as far as the engine decides it. What all pods have in common is added where the StatefulSet is built.
#[derive(Clone, Debug, PartialEq)]
pub struct PodShape {
    /// The engine's container.
    pub engine: Container,
    /// Containers that start before it and end after it.
    pub sidecars: Vec<Container>,
    /// Volumes, but for the metadata volume of frontends.
    pub volumes: Vec<Volume>,
    /// User and group that everything runs as.
    pub user: i64,
    /// Whether the image works on a root file system that cannot be written.
    pub read_only_root: bool,
}

/// A path for a probe over HTTP.
fn http_get(path: &str, port: u16) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(i32::from(port)),
        ..HTTPGetAction::default()
    }
}

/// A probe of `path` every `period_s` seconds that gives up after `failures`.
fn probe(path: &str, port: u16, period_s: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(http_get(path, port)),
        period_seconds: Some(period_s),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        ..EnvVar::default()
    }
}

fn env_from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// `repository:old` with another tag. A colon before the last slash belongs to the registry's port.
fn with_tag(image: &str, tag: &str) -> String {
    let repository = match image.rsplit_once(':') {
        Some((repository, old)) if !old.contains('/') => repository,
        _ => image,
    };
    format!("{repository}:{tag}")
}

#[cfg(test)]
mod tests;
