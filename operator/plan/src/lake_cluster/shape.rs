//! A LakeCluster that makes sense: from here on nothing can fail.

use std::collections::BTreeMap;

use springtide_crds::lake_cluster::{EngineKind, ServiceType, StorageSecretRef};
use springtide_crds::pod::{PodResources, PodTemplate};
use springtide_crds::{LakeCluster, LakeClusterSpec, Quantity, Reason};
use springtide_schedule::Window;

use super::certificates::{self, IssuedShape};
use crate::finish::Rejection;
use crate::flavour::flavour;
use crate::labels;
use crate::maintenance;
use crate::names;
use crate::observed::SecretFacts;
use crate::settings::Settings;
use crate::units;

/// A validated LakeCluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterShape {
    pub name: String,
    pub namespace: String,
    /// Lower-case UUID.
    pub cluster_id: String,
    pub engine: EngineKind,
    pub engine_version: String,
    pub frontend_image: String,
    pub compute_image: String,
    pub storage: StorageShape,
    pub storage_secret: Option<StorageSecretRef>,
    /// A ServiceAccount that somebody else made; `None`: the operator makes one.
    pub given_service_account: Option<String>,
    /// The Secret with the certificate of the MySQL port.
    pub tls_secret: Option<String>,
    /// How the operator issues that certificate; `None`: somebody else writes it.
    pub issued: Option<IssuedShape>,
    pub frontends: u32,
    pub frontend_resources: PodResources,
    pub frontend_config: BTreeMap<String, String>,
    pub metadata_size: Quantity,
    pub metadata_storage_class: Option<String>,
    pub compute_resources: Option<PodResources>,
    pub compute_config: BTreeMap<String, String>,
    pub compute_pod_template: PodTemplate,
    pub service_type: ServiceType,
    pub service_annotations: BTreeMap<String, String>,
    pub image_pull_secrets: Vec<String>,
    pub delete_volumes: bool,
    /// When pods may be replaced that another release of the operator would make differently.
    pub maintenance_windows: Vec<Window>,
    /// Domain of the cluster's DNS.
    pub cluster_domain: String,
    /// Namespace whose pods may reach frontends as the operator.
    pub operator_namespace: String,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageShape {
    pub bucket: String,
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: String,
    pub path_style: bool,
}

impl ClusterShape {
    /// Checks `spec`, which is the written or the last accepted spec of `cluster`.
    pub(crate) fn new(cluster: &LakeCluster, spec: &LakeClusterSpec, settings: &Settings) -> Result<Self, Rejection> {
        let LakeClusterSpec {
            engine,
            image,
            storage,
            frontends,
            compute_template,
            service,
            tls,
            bootstrap,
            image_pull_secrets,
            maintenance_windows,
            // The emergency brake: it counts as written, accepted or not.
            suspend: _,
            deletion_policy: _,
            deletion: _,
        } = spec;
        let flavour = flavour(engine.kind);
        check_frontends(spec)?;
        check_resources("frontends.resources", &frontends.resources)?;
        if let Some(resources) = &compute_template.resources {
            check_resources("computeTemplate.resources", resources)?;
        }
        positive("frontends.metadataVolume.size", &frontends.metadata_volume.size)?;
        check_metadata_size(spec)?;
        check_keys(spec)?;
        let compute_image = compute_template.image.as_ref().or(image.as_ref()).cloned();
        let mut pull_secrets = image_pull_secrets.clone();
        pull_secrets.extend(settings.image_pull_secrets.iter().cloned());
        pull_secrets.sort();
        pull_secrets.dedup();
        let name = cluster.metadata.name.clone().unwrap_or_default();
        Ok(Self {
            namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
            cluster_id: cluster_id(cluster, bootstrap.adopt.as_deref())?,
            engine: engine.kind,
            engine_version: engine.version.clone(),
            frontend_image: image
                .clone()
                .unwrap_or_else(|| flavour.frontend_image(&engine.version, settings)),
            compute_image: compute_image.unwrap_or_else(|| flavour.compute_image(&engine.version, settings)),
            storage: StorageShape {
                bucket: storage.bucket.clone(),
                prefix: storage.prefix.trim_matches('/').to_owned(),
                endpoint: storage
                    .endpoint
                    .as_ref()
                    .map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
                region: storage.region.clone(),
                path_style: storage.path_style,
            },
            storage_secret: storage.credentials.secret_ref.clone(),
            given_service_account: storage.credentials.service_account_name.clone(),
            tls_secret: tls.as_ref().and_then(|tls| certificates::secret(&name, tls)),
            issued: match tls {
                Some(tls) => IssuedShape::new(tls, engine.kind)?,
                None => None,
            },
            name,
            frontends: u32::try_from(frontends.replicas).unwrap_or(1),
            frontend_resources: frontends.resources.clone(),
            frontend_config: frontends.config.clone(),
            metadata_size: frontends.metadata_volume.size.clone(),
            metadata_storage_class: frontends.metadata_volume.storage_class_name.clone(),
            compute_resources: compute_template.resources.clone(),
            compute_config: compute_template.config.clone(),
            compute_pod_template: compute_template.pod_template.clone(),
            service_type: service.type_,
            service_annotations: service.annotations.clone(),
            image_pull_secrets: pull_secrets,
            maintenance_windows: maintenance::windows(maintenance_windows)?,
            delete_volumes: spec.deletes_volumes(),
            cluster_domain: settings.cluster_domain.clone(),
            operator_namespace: settings.operator_namespace.clone(),
        })
    }

    /// Host and port for clients in the cluster.
    pub(crate) fn endpoint(&self, port: u16) -> String {
        format!(
            "{}.{}.svc.{}:{port}",
            names::client_service(&self.name),
            self.namespace,
            self.cluster_domain
        )
    }

    /// The ServiceAccount that pods run as.
    pub(crate) fn service_account(&self) -> String {
        self.given_service_account
            .clone()
            .unwrap_or_else(|| names::service_account(&self.name))
    }
}

/// The identity that the engine has claimed its prefix under. Before that it is the object's own: made once by the API server,
/// unique, and the same however often it is read; so an object that was created again is another cluster, and volume and prefix
/// tell. It may go on as the one before by adopting its identity.
fn cluster_id(cluster: &LakeCluster, adopt: Option<&str>) -> Result<String, Rejection> {
    let claimed = cluster.status.as_ref().and_then(|status| status.cluster_id.as_deref());
    match (claimed, adopt) {
        (Some(claimed), Some(adopt)) if claimed != adopt => Err(Rejection::field(
            "bootstrap.adopt",
            format!(
                "the cluster runs as {claimed} and cannot become {adopt}: take the field out, and make another LakeCluster that adopts that one"
            ),
        )),
        (Some(id), _) | (None, Some(id)) => Ok(id.to_owned()),
        (None, None) => Ok(cluster.metadata.uid.clone().unwrap_or_default().to_ascii_lowercase()),
    }
}

/// Checks settings by the engine's own names. What was accepted once stays in force, though another release would refuse it.
pub(crate) fn check_settings(spec: &LakeClusterSpec) -> Result<(), Rejection> {
    flavour(spec.engine.kind)
        .check_config(&spec.frontends.config, &spec.compute_template.config)
        .map_err(|error| Rejection::new(Reason::InvalidField, error.to_string()))
}

fn check_frontends(spec: &LakeClusterSpec) -> Result<(), Rejection> {
    let replicas = spec.frontends.replicas;
    if replicas > 1 && !flavour(spec.engine.kind).capabilities().followers {
        return Err(Rejection::new(
            Reason::NotSupportedByEngine,
            format!(
                "frontends.replicas: {replicas} frontends need an engine with followers, and the bundled one has none yet; write 1"
            ),
        ));
    }
    if replicas % 2 == 0 {
        return Err(Rejection::field(
            "frontends.replicas",
            format!(
                "{replicas} frontends survive no more failures than {}; write an odd number",
                replicas - 1
            ),
        ));
    }
    Ok(())
}

/// An engine that refuses to start on a small volume is better told so before there is one.
fn check_metadata_size(spec: &LakeClusterSpec) -> Result<(), Rejection> {
    let size = &spec.frontends.metadata_volume.size;
    let Some(least) = flavour(spec.engine.kind).smallest_metadata_volume() else {
        return Ok(());
    };
    if units::amount_milli(&size.0).ok() < units::amount_milli(least).ok() {
        return Err(Rejection::field(
            "frontends.metadataVolume.size",
            format!(
                "{size} is too little for {:?}, which does not start with less than 5 GB free; write {least} or more",
                spec.engine.kind
            ),
        ));
    }
    Ok(())
}

fn check_keys(spec: &LakeClusterSpec) -> Result<(), Rejection> {
    let pods = &spec.compute_template.pod_template;
    labels::check_keys("computeTemplate.podTemplate.labels", pods.labels.keys())?;
    labels::check_keys("computeTemplate.podTemplate.annotations", pods.annotations.keys())?;
    labels::check_keys("computeTemplate.podTemplate.nodeSelector", pods.node_selector.keys())?;
    labels::check_keys("service.annotations", spec.service.annotations.keys())
}

/// Checks that both amounts can be read and are not zero.
pub(crate) fn check_resources(field: &str, resources: &PodResources) -> Result<(), Rejection> {
    positive(&format!("{field}.cpu"), &resources.cpu)?;
    positive(&format!("{field}.memory"), &resources.memory)
}

pub(crate) fn positive(field: &str, quantity: &Quantity) -> Result<(), Rejection> {
    match units::cpu_milli(quantity) {
        Ok(0) => Err(Rejection::field(field, "0 is too little; write for example 1 or 2Gi")),
        Ok(_) => Ok(()),
        // Bytes in thousandths overflow at sixteen petabytes, which no pod has.
        Err(error) => Err(Rejection::field(field, error)),
    }
}

/// Checks that every Secret that is named is there and has its keys.
pub(crate) fn check_secrets(shape: &ClusterShape, secrets: &BTreeMap<String, SecretFacts>) -> Result<(), Rejection> {
    if let Some(secret) = &shape.storage_secret {
        let field = "storage.credentials.secretRef";
        let keys = [
            ("accessKeyIdKey", secret.access_key_id_key.as_str()),
            ("secretAccessKeyKey", secret.secret_access_key_key.as_str()),
        ];
        check_secret(shape, secrets, field, &secret.name, &keys)?;
    }
    certificates::check_owner(shape, secrets)?;
    if let Some(secret) = shape.tls_secret.as_ref().filter(|_| shape.issued.is_none()) {
        let keys = [("tls.crt", "tls.crt"), ("tls.key", "tls.key")];
        check_secret(shape, secrets, "tls.secretName", secret, &keys)?;
    }
    Ok(())
}

fn check_secret(
    shape: &ClusterShape,
    secrets: &BTreeMap<String, SecretFacts>,
    field: &str,
    secret: &str,
    keys: &[(&str, &str)],
) -> Result<(), Rejection> {
    let Some(facts) = secrets.get(secret) else {
        return Err(Rejection::new(
            Reason::SecretNotFound,
            format!(
                "{field}: there is no Secret {secret} in namespace {}; create it, or write the name of one that exists",
                shape.namespace
            ),
        ));
    };
    for (name, key) in keys {
        if !facts.keys.contains(*key) {
            return Err(Rejection::new(
                Reason::SecretKeyMissing,
                format!(
                    "{field}: Secret {secret} has no value under key {key} ({name}); add it, or write the key that has it"
                ),
            ));
        }
    }
    Ok(())
}
