//! Whether the frontends' volumes go with the cluster: by the owner of their claims, which is the StatefulSet or nobody.
//!
//! Kubernetes gives and takes that owner by the StatefulSet's retention policy, and only for claims of pods that there are. The claims of a
//! cluster that sleeps would follow the policy of the day on which it fell asleep: volumes that are to go would stay, and, far worse, such
//! that are to stay would go. So the operator has them follow itself.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::volume_claims;
use crate::action::Action;
use crate::finish;
use crate::names;
use crate::object::{ObjectKey, ObjectKind};
use crate::observed::ObservedLakeCluster;

/// What `whenDeleted` of a retention policy says.
pub(super) fn policy(deletes_volumes: bool) -> &'static str {
    if deletes_volumes { "Delete" } else { "Retain" }
}

/// Has the claims of frontends that do not run follow the StatefulSet's policy, once that is the wanted one. Those of pods are left to
/// Kubernetes, which would write them at the same moment.
pub(super) fn of_sleeping(observed: &ObservedLakeCluster, deletes_volumes: bool) -> Vec<Action> {
    let Some(live) = observed.live.get(&stateful_set(observed)) else {
        return Vec::new();
    };
    if finish::is_leaving(live) || when_deleted(live) != Some(policy(deletes_volumes)) {
        return Vec::new();
    }
    let has_pod = |claim: &PersistentVolumeClaim| {
        let pod = name(claim).strip_prefix(names::METADATA_VOLUME).unwrap_or_default();
        let pod = pod.strip_prefix('-');
        observed.pods.iter().any(|other| other.metadata.name.as_deref() == pod)
    };
    changes(observed, live, deletes_volumes, |claim| !has_pod(claim))
}

/// What is to be done before a cluster that was deleted may go, so that its volumes do what was written last.
pub(super) enum BeforeDeletion {
    /// These, and they can be followed by others.
    Do(Vec<Action>),
    /// These alone; Kubernetes has to take them up.
    First(Vec<Action>),
}

pub(super) fn before_deletion(observed: &ObservedLakeCluster, deletes_volumes: bool) -> BeforeDeletion {
    let key = stateful_set(observed);
    let Some(live) = observed.live.get(&key).filter(|live| !finish::is_leaving(live)) else {
        return BeforeDeletion::Do(Vec::new());
    };
    let wanted = policy(deletes_volumes);
    if when_deleted(live) != Some(wanted) {
        let fields = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": wanted}}});
        return BeforeDeletion::First(vec![patch(key, finish::version(live), fields)]);
    }
    if !is_noticed(live) {
        // Kubernetes may still go by the policy before.
        return BeforeDeletion::First(Vec::new());
    }
    BeforeDeletion::Do(changes(observed, live, deletes_volumes, |_| true))
}

/// Gives the StatefulSet to the claims as owner, or takes it away.
fn changes(
    observed: &ObservedLakeCluster,
    live: &Value,
    deletes_volumes: bool,
    concerns: impl Fn(&PersistentVolumeClaim) -> bool,
) -> Vec<Action> {
    let metadata = &observed.cluster.metadata;
    let cluster = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let Some(uid) = finish::uid(live) else {
        return Vec::new();
    };
    volume_claims::claims(observed, cluster)
        .filter(|claim| concerns(claim))
        .filter_map(|claim| {
            let owners = claim.metadata.owner_references.clone().unwrap_or_default();
            let others: Vec<OwnerReference> = owners.iter().filter(|owner| owner.uid != uid).cloned().collect();
            let belongs = others.len() < owners.len();
            // Somebody else's claim goes when they say so.
            let is_of_another = others.iter().any(|owner| owner.controller == Some(true));
            if belongs == deletes_volumes || deletes_volumes && is_of_another {
                return None;
            }
            let mut wanted = others;
            if deletes_volumes {
                wanted.push(OwnerReference {
                    api_version: ObjectKind::StatefulSet.api_version().to_owned(),
                    kind: ObjectKind::StatefulSet.kind().to_owned(),
                    name: names::frontends(cluster),
                    uid: uid.clone(),
                    controller: Some(true),
                    block_owner_deletion: Some(true),
                });
            }
            Some(patch(
                ObjectKey::namespaced(ObjectKind::PersistentVolumeClaim, namespace, name(claim)),
                claim.metadata.resource_version.clone(),
                json!({"metadata": {"ownerReferences": wanted}}),
            ))
        })
        .collect()
}

fn patch(object: ObjectKey, version: Option<String>, fields: Value) -> Action {
    Action::Patch {
        object,
        version,
        fields,
    }
}

/// The frontends' StatefulSet.
pub(super) fn stateful_set(observed: &ObservedLakeCluster) -> ObjectKey {
    let cluster = &observed.cluster.metadata;
    ObjectKey::namespaced(
        ObjectKind::StatefulSet,
        cluster.namespace.as_deref().unwrap_or_default(),
        &names::frontends(cluster.name.as_deref().unwrap_or_default()),
    )
}

fn name(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

/// What the retention policy says about claims of a StatefulSet that is deleted.
pub(super) fn when_deleted(stateful_set: &Value) -> Option<&str> {
    let policy = stateful_set.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
    // So is what says nothing.
    policy.map_or(Some("Retain"), Value::as_str)
}

/// Whether Kubernetes has taken up what was written last.
pub(super) fn is_noticed(live: &Value) -> bool {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
    number("/status/observedGeneration") >= number("/metadata/generation")
}

#[cfg(test)]
mod tests;
