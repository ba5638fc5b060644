//! What the operator is told at start: flags, each with an environment variable.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use springtide_contract::ports;

use crate::{cache::Scope, logging::LogFormat};

/// Runs Springtide's controllers: Department, LakeCluster and ComputeGroup.
#[derive(Clone, Debug, Parser)]
#[command(name = "springtide-operator", version)]
pub struct Settings {
    /// Namespaces to look at, separated by commas; empty means all. With a list, the cluster-scoped kind Department is off.
    #[arg(long, env = "SPRINGTIDE_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Image of the bundled engine for clusters that name none.
    #[arg(long, env = "SPRINGTIDE_ENGINE_IMAGE", default_value = concat!("springtide.dev/engine:", env!("CARGO_PKG_VERSION")))]
    pub engine_image: String,

    /// Image of the drain sidecar beside each compute node.
    #[arg(long, env = "SPRINGTIDE_SIDECAR_IMAGE", default_value = concat!("springtide.dev/sidecar:", env!("CARGO_PKG_VERSION")))]
    pub sidecar_image: String,

    /// Names of Secrets with which nodes pull those images, separated by commas; they must exist in each cluster's namespace.
    #[arg(long, env = "SPRINGTIDE_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,

    /// Domain of the cluster's DNS.
    #[arg(long, env = "SPRINGTIDE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Name of this replica in the Lease and in Events; the pod's name in a pod.
    #[arg(long, env = "POD_NAME", default_value = "springtide-operator")]
    pub pod_name: String,

    /// Namespace of the operator: its Lease is here.
    #[arg(long, env = "POD_NAMESPACE", default_value = "springtide-system")]
    pub pod_namespace: String,

    /// Seconds after which a silent leader is replaced.
    #[arg(long, env = "SPRINGTIDE_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=300))]
    pub lease_seconds: u32,

    /// Reconciles of one kind that may run at once.
    #[arg(long, env = "SPRINGTIDE_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub concurrency: u16,

    /// Address of `/metrics`.
    #[arg(long, env = "SPRINGTIDE_METRICS_ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], ports::OPERATOR_METRICS)))]
    pub metrics_address: SocketAddr,

    /// Address of `/livez` and `/readyz`.
    #[arg(long, env = "SPRINGTIDE_HEALTH_ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], ports::OPERATOR_HEALTH)))]
    pub health_address: SocketAddr,

    /// `json` or `human`.
    #[arg(long, env = "SPRINGTIDE_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,

    /// Which lines are logged, as `target=level` separated by commas.
    #[arg(long, env = "SPRINGTIDE_LOG", default_value = "info")]
    pub log: String,
}

impl Settings {
    /// What plans depend on.
    #[must_use]
    pub fn for_plans(&self) -> springtide_plan::Settings {
        springtide_plan::Settings {
            operator_namespace: self.pod_namespace.clone(),
            cluster_domain: self.cluster_domain.clone(),
            engine_image: self.engine_image.clone(),
            sidecar_image: self.sidecar_image.clone(),
            image_pull_secrets: self.pull_secrets(),
            ..springtide_plan::Settings::default()
        }
    }

    /// How long a silent leader keeps the Lease.
    #[must_use]
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }

    /// Whether cluster-scoped kinds are reconciled.
    #[must_use]
    pub fn is_cluster_wide(&self) -> bool {
        self.namespaces().is_empty()
    }

    /// The namespaces to look at, without the empty entries that an empty environment variable makes.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        names(&self.watch_namespaces)
    }

    /// The part of the cluster that is watched.
    pub(crate) fn scope(&self) -> Scope {
        match self.namespaces() {
            namespaces if namespaces.is_empty() => Scope::All,
            namespaces => Scope::Namespaces(namespaces),
        }
    }

    /// The pull secrets, without empty entries.
    #[must_use]
    pub fn pull_secrets(&self) -> Vec<String> {
        names(&self.image_pull_secrets)
    }
}

/// What a list separated by commas names: trimmed, sorted, each once, and nothing for an empty variable.
fn names(list: &[String]) -> Vec<String> {
    let mut names: Vec<String> = list.iter().map(|name| name.trim().to_owned()).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
