//! The frontends.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use springtide_contract::drain::FRONTEND_STOP;

use super::{ClusterShape, claim_owners};
use crate::files::Files;
use crate::flavour::{Flavour, flavour};
use crate::inputs;
use crate::names::{self, Owner};
use crate::object::ObjectKind;
use crate::observed::{Live, ObservedLakeCluster, SecretFacts};
use crate::pod::{PodOptions, rolling_update, template};

/// Seconds that a frontend gets beyond [`FRONTEND_STOP`]: to end what has not ended by itself, and to write what it has.
const FLUSH_S: u64 = 15;
/// Annotation of a pod template with a hash of the Secrets that people write: a rotated key rolls pods that do not read it anew.
const CREDENTIALS_HASH_ANNOTATION: &str = "springtide.dev/credentials-hash";

pub(super) fn build(
    owner: &Owner,
    shape: &ClusterShape,
    flavour: &dyn Flavour,
    files: &Files,
    credentials: Option<&str>,
    observed: &ObservedLakeCluster,
) -> StatefulSet {
    let name = names::frontends(&shape.name);
    let live: Option<StatefulSet> = observed.live.typed(ObjectKind::StatefulSet, &shape.namespace, &name);
    let mut annotations = BTreeMap::from([
        (names::FILES_ANNOTATION.to_owned(), files.config_map.clone()),
        (
            names::ENGINE_VERSION_ANNOTATION.to_owned(),
            shape.engine_version.clone(),
        ),
    ]);
    annotations.extend(credentials_annotation(credentials));
    let pod = template(
        flavour.frontend_pod(shape, &files.config_map),
        PodOptions {
            labels: owner.pod_labels(names::FRONTEND),
            selector: selector(&shape.name),
            annotations,
            resources: &shape.frontend_resources,
            service_account: shape.service_account(),
            image_pull_secrets: &shape.image_pull_secrets,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class: None,
            grace_s: i64::try_from(FRONTEND_STOP.as_secs() + FLUSH_S).unwrap_or(i64::MAX),
        },
    );
    StatefulSet {
        metadata: owner.metadata(&name),
        spec: Some(StatefulSetSpec {
            persistent_volume_claim_retention_policy: Some(retention(shape.delete_volumes)),
            // With `OrderedReady` a pod that never gets ready, for example for its image, is never replaced by a corrected one.
            pod_management_policy: Some("Parallel".to_owned()),
            replicas: Some(i32::try_from(shape.frontends).unwrap_or(1)),
            revision_history_limit: Some(5),
            selector: LabelSelector {
                match_labels: Some(selector(&shape.name)),
                ..LabelSelector::default()
            },
            service_name: Some(names::frontends_headless(&shape.name)),
            template: pod,
            update_strategy: Some(rolling_update()),
            volume_claim_templates: Some(vec![claim(shape, live.as_ref())]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// The labels that select frontends; a StatefulSet can never change them.
pub(crate) fn selector(cluster: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::CLUSTER_LABEL.to_owned(), cluster.to_owned()),
        (names::COMPONENT_LABEL.to_owned(), names::FRONTEND.to_owned()),
    ])
}

fn retention(delete: bool) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(claim_owners::policy(delete).to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}

/// The claim of the metadata volume. A StatefulSet can never change its templates, so an existing one keeps its own.
fn claim(shape: &ClusterShape, live: Option<&StatefulSet>) -> PersistentVolumeClaim {
    let live_claim = live
        .and_then(|live| live.spec.as_ref()?.volume_claim_templates.as_ref())
        .and_then(|claims| {
            claims
                .iter()
                .find(|claim| claim.metadata.name.as_deref() == Some(names::METADATA_VOLUME))
        })
        .and_then(|claim| claim.spec.as_ref());
    let size = live_claim
        .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned())
        .unwrap_or_else(|| Quantity(shape.metadata_size.0.clone()));
    let storage_class_name = match live_claim {
        Some(spec) => spec.storage_class_name.clone(),
        None => shape.metadata_storage_class.clone(),
    };
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::METADATA_VOLUME.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name,
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// The hash of the Secrets that people write; `None` where the engine reads them anew by itself, and a rotated key is nothing that pods are
/// replaced for. While one of them is missing, the value of the running pods stays: restarting them without it would only break what works.
pub(crate) fn credentials_hash(
    shape: &ClusterShape,
    secrets: &BTreeMap<String, SecretFacts>,
    live: &Live,
    stateful_set: &str,
) -> Option<String> {
    if flavour(shape.engine).capabilities().reloads_credentials {
        return None;
    }
    let wanted = [
        shape.storage_secret.as_ref().map(|secret| &secret.name),
        shape.tls_secret.as_ref(),
    ];
    let facts: Option<Vec<&SecretFacts>> = wanted.into_iter().flatten().map(|name| secrets.get(name)).collect();
    Some(match facts {
        Some(facts) => inputs::hash_of_texts(facts.iter().map(|facts| &facts.hash)),
        None => live
            .typed::<StatefulSet>(ObjectKind::StatefulSet, &shape.namespace, stateful_set)
            .and_then(|set| {
                set.spec?
                    .template
                    .metadata?
                    .annotations?
                    .remove(CREDENTIALS_HASH_ANNOTATION)
            })
            .unwrap_or_default(),
    })
}

/// The hash as an annotation of a pod template.
pub(crate) fn credentials_annotation(credentials: Option<&str>) -> Option<(String, String)> {
    credentials.map(|hash| (CREDENTIALS_HASH_ANNOTATION.to_owned(), hash.to_owned()))
}
