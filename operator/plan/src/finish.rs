//! From desired objects to the writes that are still needed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::action::Action;
use crate::compare::needs_apply;
use crate::object::{DesiredObject, ObjectKey, ObjectKind};
use crate::observed::Live;

/// How soon to look again while something is awaited that no watch reports.
pub(crate) const CONVERGING: Duration = Duration::from_secs(1);
/// How soon to look again for a Secret that is missing: they are not watched, and what was read is good for so long.
pub(crate) const SECRET: Duration = Duration::from_secs(10);
/// How soon to look again while statements may come to wait, which no watch reports either.
pub(crate) const ATTENTIVE: Duration = Duration::from_secs(2);
/// How soon to look again when all is well.
pub(crate) const STEADY: Duration = Duration::from_secs(60);
/// How far ahead the edge of a window is told: for longer than it takes to look again, however late that look is, so that the look at
/// the edge is known to be one.
pub(crate) const FORESIGHT: Duration = Duration::from_secs(600);

/// Why a written value is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: springtide_crds::Reason,
    /// Begins with the field and says what to write instead.
    pub(crate) message: String,
}

impl Rejection {
    pub(crate) fn new(reason: springtide_crds::Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// A field with a malformed value.
    pub(crate) fn field(field: &str, cause: impl std::fmt::Display) -> Self {
        Self::new(springtide_crds::Reason::InvalidField, format!("{field}: {cause}"))
    }
}

/// What is pruned when it is no longer wanted. What holds data or an account is in no list: it is never deleted for having
/// dropped out of a plan.
const PRUNED: &[ObjectKind] = &[
    ObjectKind::ServiceAccount,
    ObjectKind::ConfigMap,
    ObjectKind::Service,
    ObjectKind::ResourceQuota,
    ObjectKind::LimitRange,
    ObjectKind::RoleBinding,
    ObjectKind::NetworkPolicy,
    ObjectKind::PodDisruptionBudget,
    ObjectKind::HorizontalPodAutoscaler,
    ObjectKind::StatefulSet,
];

/// Applies for what differs, deletes for what is ours and no longer wanted.
///
/// `in_use` is not deleted although it is no longer wanted.
pub(crate) fn writes(
    desired: Vec<DesiredObject>,
    live: &Live,
    owner_uid: Option<&str>,
    in_use: &BTreeSet<ObjectKey>,
) -> Vec<Action> {
    let wanted: BTreeSet<ObjectKey> = desired.iter().map(|object| object.key.clone()).collect();
    let applies = desired.into_iter().filter_map(|object| match live.get(&object.key) {
        Some(live) if !needs_apply(&object.body, live) => None,
        Some(live) => {
            Some(scale(&object, live).unwrap_or_else(|| Action::Apply(Box::new(unless_changed(object, live)))))
        }
        None => Some(Action::Apply(Box::new(object))),
    });
    let deletes = live
        .iter()
        .filter(|(key, body)| {
            let is_unwanted = !wanted.contains(key) && !in_use.contains(key);
            PRUNED.contains(&key.kind) && is_unwanted && is_owned(body, owner_uid) && !is_leaving(body)
        })
        .map(|(key, body)| Action::Delete {
            object: key.clone(),
            uid: uid(body),
        });
    applies.chain(deletes).collect()
}

/// The action for a StatefulSet that differs in nothing but its size.
fn scale(desired: &DesiredObject, live: &Value) -> Option<Action> {
    if desired.key.kind != ObjectKind::StatefulSet {
        return None;
    }
    let replicas = size(&desired.body)?;
    let mut of_live_size = desired.body.clone();
    *of_live_size.pointer_mut("/spec/replicas")? = live.pointer("/spec/replicas")?.clone();
    (!needs_apply(&of_live_size, live)).then(|| Action::Scale {
        object: desired.key.clone(),
        uid: uid(live),
        version: version(live),
        replicas,
    })
}

/// What carries a size is written only while the live one is there and as it was seen. An operator that was frozen, and another one leads
/// since, would send those nodes away that the other one has fetched, even if its size is more than it saw.
fn unless_changed(mut desired: DesiredObject, live: &Value) -> DesiredObject {
    if desired.key.kind == ObjectKind::StatefulSet
        && let Some(version) = version(live)
    {
        desired.body["metadata"]["resourceVersion"] = Value::String(version);
        // Without it a write for one that is gone would make it anew.
        desired.body["metadata"]["uid"] = uid(live).into();
    }
    desired
}

fn size(stateful_set: &Value) -> Option<i64> {
    stateful_set.pointer("/spec/replicas").and_then(Value::as_i64)
}

/// The label that found the object says whose it is; the owner reference proves it, since anyone may set a label.
fn is_owned(body: &Value, owner_uid: Option<&str>) -> bool {
    let references = body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    references.is_some_and(|references| {
        references
            .iter()
            .any(|reference| owner_uid.is_some() && reference.get("uid").and_then(Value::as_str) == owner_uid)
    })
}

pub(crate) fn is_leaving(body: &Value) -> bool {
    body.pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null())
}

/// The identity of an object, as a precondition of its deletion.
pub(crate) fn uid(body: &Value) -> Option<String> {
    body.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

/// The version of an object, as a precondition of a write.
pub(crate) fn version(body: &Value) -> Option<String> {
    let version = body.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.map(str::to_owned)
}
