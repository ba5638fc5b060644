//! What all pods have in common, whatever engine runs in them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
    SeccompProfile, SecurityContext, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use springtide_crds::pod::{PodResources, Toleration as ApiToleration};

use crate::flavour::PodShape;
use crate::names;

/// How the pods of a StatefulSet become those of a new revision.
///
/// The partition, which [`crate::rollout`] moves, is written although it is 0: without one the StatefulSet controller makes a pod that went in the middle of a roll anew
/// at the *old* revision, sees that it is of the old revision and not ready, deletes it, and so on as long as it does not stay alone.
pub(crate) fn rolling_update() -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateStatefulSetStrategy {
            partition: Some(0),
            ..RollingUpdateStatefulSetStrategy::default()
        }),
    }
}

/// What the caller decides about a pod.
#[derive(Clone, Debug)]
pub(crate) struct PodOptions<'a> {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) resources: &'a PodResources,
    pub(crate) service_account: String,
    pub(crate) image_pull_secrets: &'a [String],
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) priority_class: Option<String>,
    pub(crate) grace_s: i64,
}

/// The pod template: restricted by Pod Security, without an API token, spread over nodes and zones where that is possible.
pub(crate) fn template(shape: PodShape, options: PodOptions<'_>) -> PodTemplateSpec {
    let PodShape {
        mut engine,
        sidecars,
        volumes,
        user,
        read_only_root,
    } = shape;
    let PodOptions {
        labels,
        selector,
        mut annotations,
        resources,
        service_account,
        image_pull_secrets,
        node_selector,
        tolerations,
        priority_class,
        grace_s,
    } = options;
    engine.resources = Some(engine_resources(resources));
    annotations.insert(
        names::DEFAULT_CONTAINER_ANNOTATION.to_owned(),
        names::ENGINE_CONTAINER.to_owned(),
    );
    let sidecars: Vec<Container> = sidecars.into_iter().map(|sidecar| restricted(sidecar, true)).collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![restricted(engine, read_only_root)],
            enable_service_links: Some(false),
            image_pull_secrets: non_empty(
                image_pull_secrets
                    .iter()
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect(),
            ),
            init_containers: non_empty(sidecars),
            node_selector: (!node_selector.is_empty()).then_some(node_selector),
            priority_class_name: priority_class,
            security_context: Some(pod_security(user)),
            service_account_name: Some(service_account),
            // The kernel drops a SIGTERM that the first process of a namespace does not yet listen for, and the kubelet then waits for
            // the whole grace period. So a pod that is deleted while its containers start has another first process.
            share_process_namespace: Some(true),
            termination_grace_period_seconds: Some(grace_s),
            tolerations: non_empty(tolerations),
            topology_spread_constraints: Some(spread(&selector)),
            volumes: non_empty(volumes),
            ..PodSpec::default()
        }),
    }
}

/// Memory is reserved and limited alike, so that a pod is not killed for what its neighbours use. CPU has no limit: throttling
/// slows a query down while cores idle.
fn engine_resources(resources: &PodResources) -> ResourceRequirements {
    let quantity = |text: &springtide_crds::Quantity| Quantity(text.0.clone());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), quantity(&resources.cpu)),
            ("memory".to_owned(), quantity(&resources.memory)),
        ])),
        limits: Some(BTreeMap::from([("memory".to_owned(), quantity(&resources.memory))])),
        ..ResourceRequirements::default()
    }
}

fn restricted(mut container: Container, read_only_root: bool) -> Container {
    container.security_context = Some(SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        read_only_root_filesystem: Some(read_only_root),
        ..SecurityContext::default()
    });
    // What a process that crashed logged last is what the condition tells.
    container.termination_message_policy = Some("FallbackToLogsOnError".to_owned());
    container
}

fn pod_security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(user),
        // Without this the kubelet walks the whole volume at each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        run_as_group: Some(user),
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn spread(selector: &BTreeMap<String, String>) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .into_iter()
        .map(|topology_key| TopologySpreadConstraint {
            label_selector: Some(LabelSelector {
                match_labels: Some(selector.clone()),
                ..LabelSelector::default()
            }),
            max_skew: 1,
            topology_key: topology_key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        })
        .collect()
}

/// A toleration of the API in the type of a pod.
pub(crate) fn toleration(toleration: &ApiToleration) -> Toleration {
    let ApiToleration {
        key,
        operator,
        value,
        effect,
        toleration_seconds,
    } = toleration;
    Toleration {
        effect: effect.clone(),
        key: key.clone(),
        operator: Some(operator.as_str().to_owned()),
        toleration_seconds: *toleration_seconds,
        value: value.clone(),
    }
}

fn non_empty<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
