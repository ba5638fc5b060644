//! The frontends' StatefulSet made anew, under pods that run on.
//!
//! Kubernetes never changes the templates of a StatefulSet's volume claims. One whose templates are smaller than what is written would give
//! frontends that are added later, and claims that are made again, the old size. So it is deleted without what it owns, and made again with
//! larger templates; Kubernetes gives the new one the pods, since their labels and names fit, and the revisions that they are of.
//!
//! ```text
//! all at rest, claims have grown ─► a copy is kept, and the claims are let go ─► deleted, and what it owned stays ─► made from the copy
//!                                                                                                        the copy goes ◄─┘
//! ```
//!
//! The copy is a ConfigMap with the StatefulSet as it is to be made: with the template that pods run, which may be another one than is
//! wanted, and with the marks that say why. Whoever finds no StatefulSet and a copy makes what it says, so that nothing else is rolled out
//! by it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};
use springtide_crds::Reason;

use super::claim_owners::{is_noticed, stateful_set, when_deleted};
use super::{ClusterShape, volume_claims};
use crate::action::Action;
use crate::compare::template_differs;
use crate::condition::Finding;
use crate::finish;
use crate::inputs;
use crate::names::{self, Owner};
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::ObservedLakeCluster;
use crate::ownership::{owned_template, written_template};
use crate::rollout::REVISION_LABEL;
use crate::trouble;
use crate::update::{Settled, TEMPLATE_ANNOTATION};

/// Key of the copy: the StatefulSet as it is to be made.
const OBJECT: &str = "statefulset.json";
/// Key of the copy: the uid of the StatefulSet that it takes the place of.
const REPLACES: &str = "replaces";
/// The value of `whenDeleted` with which claims go with the StatefulSet.
const DELETE: &str = "Delete";

/// What is next.
#[derive(Debug)]
pub(super) enum Recreation {
    /// Nothing is to be made anew, or it is not the time.
    NotNow,
    /// The copy is kept beside everything else, and the claims are let go.
    Prepared {
        /// The ConfigMap.
        copy: DesiredObject,
    },
    /// This is done, and all else once there is a StatefulSet again.
    Alone(Vec<Action>),
}

impl Recreation {
    pub(super) fn next(observed: &ObservedLakeCluster, shape: &ClusterShape, frontends: &Settled) -> Self {
        if let Some(actions) = unfinished(observed) {
            return Self::Alone(actions);
        }
        let Some(live) = observed.live.get(&frontends.object.key) else {
            return Self::NotNow;
        };
        if !is_smaller(live, shape) || !is_at_rest(observed, shape, frontends, live) {
            return Self::NotNow;
        }
        let uid = finish::uid(live);
        let kept = Kept {
            object: anew(frontends, live, shape),
            replaces: uid.clone().unwrap_or_default(),
        };
        let claims = volume_claims::belonging(observed, &shape.name, uid.as_deref());
        let are_free = when_deleted(live) != Some(DELETE) && !claims.iter().any(|(_, belongs)| *belongs);
        if Kept::find(observed).as_ref() != Some(&kept) || !are_free || !is_noticed(live) {
            return Self::Prepared {
                copy: kept.config_map(&Owner::of_cluster(&observed.cluster)),
            };
        }
        Self::Alone(vec![Action::Orphan {
            object: frontends.object.key.clone(),
            version: finish::version(live),
            uid,
        }])
    }

    /// The object as it is to be written at present.
    pub(super) fn of_present(&self, frontends: &DesiredObject) -> DesiredObject {
        let mut object = frontends.clone();
        if matches!(self, Self::Prepared { .. }) {
            retain_claims(&mut object.body);
        }
        object
    }

    /// Why the cluster is not as it is to be, while something is made anew.
    pub(super) fn finding(&self, shape: &ClusterShape) -> Option<Finding> {
        let is_under_way = !matches!(self, Self::NotNow);
        is_under_way.then(|| {
            Finding::fails(
                Reason::VolumeGrowing,
                format!(
                    "StatefulSet {} is made anew, so that the volumes of further frontends have {}, too; pods and volumes stay",
                    names::frontends(&shape.name),
                    shape.metadata_size
                ),
            )
        })
    }
}

/// The StatefulSet as it is to be made, where there is none and a copy of one that was.
pub(super) fn copy(observed: &ObservedLakeCluster) -> Option<Value> {
    Kept::find(observed).map(|kept| kept.object)
}

/// What is to be done before anything else, where a StatefulSet has gone or goes to be made anew.
pub(super) fn unfinished(observed: &ObservedLakeCluster) -> Option<Vec<Action>> {
    let kept = Kept::find(observed)?;
    let key = stateful_set(observed);
    match observed.live.get(&key) {
        None => Some(vec![Action::Apply(Box::new(DesiredObject { key, body: kept.object }))]),
        Some(live) if finish::is_leaving(live) => Some(Vec::new()),
        Some(_) => None,
    }
}

/// What is to be done before the cluster goes; `None` where nothing is made anew. Pods that no StatefulSet owns would stay, and so would
/// claims that were let go.
pub(super) fn before_deletion(observed: &ObservedLakeCluster) -> Option<Vec<Action>> {
    let mut kept = Kept::find(observed)?;
    let may_delete = observed.cluster.spec.deletes_volumes();
    let deletes = may_delete && when_deleted(&kept.object) == Some(DELETE);
    if !deletes {
        retain_claims(&mut kept.object);
    }
    let key = stateful_set(observed);
    let write = |desired: DesiredObject| Some(vec![Action::Apply(Box::new(desired))]);
    let body = kept.object;
    let Some(live) = observed.live.get(&key) else {
        return write(DesiredObject { key, body });
    };
    if finish::is_leaving(live) {
        return Some(Vec::new());
    }
    if !deletes {
        return None;
    }
    if when_deleted(live) != Some(DELETE) {
        let mut body = body;
        body["spec"]["volumeClaimTemplates"] = live["spec"]["volumeClaimTemplates"].clone();
        return write(finish::unless_changed(DesiredObject { key, body }, live));
    }
    let cluster = observed.cluster.metadata.name.as_deref().unwrap_or_default();
    let frontends = live
        .pointer("/spec/replicas")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let claims = volume_claims::belonging(observed, cluster, finish::uid(live).as_deref());
    let go_with_it = claims
        .iter()
        .all(|(ordinal, belongs)| *belongs || u64::from(*ordinal) >= frontends);
    (!go_with_it).then(Vec::new)
}

/// The content of the copy, as it says.
#[must_use]
pub fn kept_stateful_set(copy: &Value) -> Option<Value> {
    serde_json::from_str(copy.pointer("/data")?.get(OBJECT)?.as_str()?).ok()
}

/// The copy.
#[derive(Debug, PartialEq)]
struct Kept {
    object: Value,
    replaces: String,
}

impl Kept {
    fn find(observed: &ObservedLakeCluster) -> Option<Self> {
        let cluster = &observed.cluster.metadata;
        let copy = observed.live.get(&ObjectKey::namespaced(
            ObjectKind::ConfigMap,
            cluster.namespace.as_deref().unwrap_or_default(),
            &names::frontends_copy(cluster.name.as_deref().unwrap_or_default()),
        ))?;
        Some(Self {
            object: kept_stateful_set(copy)?,
            replaces: copy.pointer("/data")?.get(REPLACES)?.as_str()?.to_owned(),
        })
    }

    fn config_map(&self, owner: &Owner) -> DesiredObject {
        let data = [(OBJECT, self.object.to_string()), (REPLACES, self.replaces.clone())];
        let config_map = ConfigMap {
            data: Some(BTreeMap::from(data.map(|(key, text)| (key.to_owned(), text)))),
            metadata: owner.metadata(&names::frontends_copy(&owner.reference.name)),
            ..ConfigMap::default()
        };
        DesiredObject::new(ObjectKind::ConfigMap, &config_map)
    }
}

/// Whether further claims would be smaller than what is written.
fn is_smaller(live: &Value, shape: &ClusterShape) -> bool {
    let templates = live.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let size = templates
        .into_iter()
        .flatten()
        .filter(|template| is_of_metadata(template))
        .find_map(|template| template.pointer("/spec/resources/requests/storage")?.as_str());
    size.is_some_and(|size| volume_claims::is_less(&Quantity(size.to_owned()), shape))
}

fn is_of_metadata(template: &Value) -> bool {
    template.pointer("/metadata/name").and_then(Value::as_str) == Some(names::METADATA_VOLUME)
}

/// Whether the pods are all there, serve, and are of the template that the StatefulSet has, and nothing about them is about to change; and
/// whether the claims have grown and none belongs to the StatefulSet that Kubernetes would not give to the next one: it does so for the
/// claims of pods.
fn is_at_rest(observed: &ObservedLakeCluster, shape: &ClusterShape, frontends: &Settled, live: &Value) -> bool {
    let revision = |of: &str| live.pointer("/status")?.get(of)?.as_str();
    let size = |body: &Value| body.pointer("/spec/replicas").and_then(Value::as_u64);
    let Some(wanted) = size(live).and_then(|size| u32::try_from(size).ok()) else {
        return false;
    };
    let desired = &frontends.object.body;
    let update = revision("updateRevision");
    let is_rolling = frontends.finding.reason == Reason::Rolling || template_differs(desired, live);
    let is_settled = update.is_some() && update == revision("currentRevision") && size(desired) == size(live);
    let serves = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        let is_of = labels.and_then(|labels| labels.get(REVISION_LABEL)).map(String::as_str);
        is_of == update && trouble::is_ready(pod) && !trouble::is_leaving(pod)
    };
    let are_all_there = observed.pods.len() == wanted as usize && observed.pods.iter().all(serves);
    let claims = volume_claims::belonging(observed, &shape.name, finish::uid(live).as_deref());
    let are_of_pods = claims.iter().all(|(ordinal, belongs)| !belongs || *ordinal < wanted);
    wanted > 0
        && !finish::is_leaving(live)
        && !is_rolling
        && is_settled
        && are_all_there
        && are_of_pods
        && volume_claims::have_grown(observed, shape, wanted)
}

/// The StatefulSet as it is, with larger templates of claims. What others have written into its pod template stays, and becomes the
/// operator's: it is taken out when pods are replaced for something else.
fn anew(frontends: &Settled, live: &Value, shape: &ClusterShape) -> Value {
    let mut body = frontends.object.body.clone();
    if let Some(claims) = body["spec"]["volumeClaimTemplates"].as_array_mut() {
        for claim in claims.iter_mut().filter(|claim| is_of_metadata(claim)) {
            claim["spec"]["resources"]["requests"]["storage"] = json!(shape.metadata_size.0);
        }
    }
    // As it is there, and not as it would be written: another order of a list would be another revision.
    if let Some(written) = written_template(live) {
        if Some(&written) != owned_template(live).as_ref() {
            body["metadata"]["annotations"][TEMPLATE_ANNOTATION] = json!(inputs::hash_of(&written));
        }
        body["spec"]["template"] = written;
    }
    body
}

/// Lets the claims go: none is deleted with the StatefulSet any more.
fn retain_claims(stateful_set: &mut Value) {
    stateful_set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = json!("Retain");
}

#[cfg(test)]
mod tests;
