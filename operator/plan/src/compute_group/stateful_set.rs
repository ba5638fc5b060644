//! The compute nodes of a group.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::ComputeShape;
use crate::files::Files;
use crate::flavour::Flavour;
use crate::lake_cluster::credentials_annotation;
use crate::names::{self, Owner};
use crate::pod::{PodOptions, rolling_update, template, toleration};

/// Seconds between the end of the drain and the end of the process.
const STOP_S: u64 = 30;
/// Seconds in which the last answers and logs get out.
const FLUSH_S: u64 = 15;

pub(super) fn build(
    owner: &Owner,
    compute: &ComputeShape,
    flavour: &dyn Flavour,
    files: &Files,
    credentials: Option<&str>,
    replicas: u32,
) -> StatefulSet {
    let name = names::compute(&compute.name);
    let labels = selector(&compute.cluster.name, &compute.name);
    StatefulSet {
        metadata: owner.metadata(&name),
        spec: Some(StatefulSetSpec {
            // All at once: no node waits for another.
            pod_management_policy: Some("Parallel".to_owned()),
            replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)),
            revision_history_limit: Some(5),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            service_name: Some(name.clone()),
            template: template(
                flavour.compute_pod(compute, &files.config_map),
                options(owner, compute, labels, files, credentials),
            ),
            update_strategy: Some(rolling_update()),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn options<'a>(
    owner: &Owner,
    compute: &'a ComputeShape,
    selector: BTreeMap<String, String>,
    files: &Files,
    credentials: Option<&str>,
) -> PodOptions<'a> {
    let cluster = &compute.cluster;
    let pod_template = &cluster.compute_pod_template;
    // What the operator and the central team say comes last, so that a group cannot say otherwise.
    let mut labels = compute.labels.clone();
    labels.extend(pod_template.labels.clone());
    labels.extend(owner.pod_labels(names::COMPUTE));
    let mut node_selector = compute.placement.node_selector.clone();
    node_selector.extend(pod_template.node_selector.clone());
    let mut annotations = pod_template.annotations.clone();
    annotations.insert(names::FILES_ANNOTATION.to_owned(), files.config_map.clone());
    annotations.extend(credentials_annotation(credentials));
    annotations.insert(
        names::ENGINE_VERSION_ANNOTATION.to_owned(),
        cluster.engine_version.clone(),
    );
    PodOptions {
        labels,
        selector,
        annotations,
        resources: &compute.resources,
        service_account: cluster.service_account(),
        image_pull_secrets: &cluster.image_pull_secrets,
        node_selector,
        tolerations: pod_template
            .tolerations
            .iter()
            .chain(&compute.placement.tolerations)
            .map(toleration)
            .collect(),
        priority_class: pod_template.priority_class_name.clone(),
        grace_s: i64::try_from(compute.drain_timeout.as_secs() + STOP_S + FLUSH_S).unwrap_or(i64::MAX),
    }
}

/// The labels that select the nodes of a group; a StatefulSet can never change them.
pub(crate) fn selector(cluster: &str, group: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::CLUSTER_LABEL.to_owned(), cluster.to_owned()),
        (names::COMPONENT_LABEL.to_owned(), names::COMPUTE.to_owned()),
        (names::GROUP_LABEL.to_owned(), group.to_owned()),
    ])
}
