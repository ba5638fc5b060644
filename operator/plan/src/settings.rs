//! What the operator itself was told at start, as far as plans depend on it.

use serde::Serialize;

/// Settings of the operator that end up in objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Namespace of the operator: the source of its connections to frontends.
    pub operator_namespace: String,
    /// Domain of the cluster's DNS.
    pub cluster_domain: String,
    /// Image of the bundled engine; its tag is replaced by `spec.engine.version` of a cluster that names no image.
    pub engine_image: String,
    /// Image of the drain sidecar.
    pub sidecar_image: String,
    /// Names of Secrets with registry credentials, beside those of the cluster.
    pub image_pull_secrets: Vec<String>,
    /// ClusterRole that administrators of a department are bound to in its namespaces.
    pub department_admin_role: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operator_namespace: "springtide-system".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            engine_image: concat!("springtide.dev/engine:", env!("CARGO_PKG_VERSION")).to_owned(),
            sidecar_image: concat!("springtide.dev/sidecar:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_secrets: Vec::new(),
            department_admin_role: crate::names::DEPARTMENT_ADMIN_ROLE.to_owned(),
        }
    }
}
