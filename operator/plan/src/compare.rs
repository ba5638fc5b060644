//! Whether an object needs to be applied: the reason why an idle operator writes nothing.
//!
//! Server-side apply would find out too, but it is a write request all the same. An object needs it when a field that we want
//! has another value, or when the API server has noted a field as ours that we no longer want. What others added is theirs.

use serde_json::{Map, Value};

use crate::ownership::Notes;
use crate::units::same_amount;

/// The field manager of every server-side apply; changing it would orphan the fields that an earlier release owns.
pub const FIELD_MANAGER: &str = "springtide-operator";

/// Lists whose items have an identity, so that others may add items of their own: the field and the keys of an item.
const ASSOCIATIVE_LISTS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeMounts", &["mountPath"]),
];
/// `ports` of a container and of a Service; the same field of a NetworkPolicy is one whole.
const CONTAINER_PORTS: &[&str] = &["containerPort", "protocol"];
const SERVICE_PORTS: &[&str] = &["port", "protocol"];
/// Fields with amounts, which the API server rewrites: `1024Mi` becomes `1Gi`.
const AMOUNT_PARENTS: &[&str] = &[
    "requests",
    "limits",
    "hard",
    "default",
    "defaultRequest",
    "max",
    "min",
    "emptyDir",
];

/// Whether `live` differs from `desired` in what we own. Both are of one kind, whether or not `live` says so: the API server leaves
/// `apiVersion` and `kind` out of the items of a list.
#[must_use]
pub fn needs_apply(desired: &Value, live: &Value) -> bool {
    let differs = desired.as_object().is_none_or(|fields| {
        fields
            .iter()
            .filter(|(field, _)| !["apiVersion", "kind"].contains(&field.as_str()))
            .any(|(field, desired)| match live.get(field) {
                Some(live) => !contains(live, desired, "", field),
                None => !is_empty(desired),
            })
    });
    differs || owns_more(desired, live)
}

/// Whether everything in `desired` is in `live`. `parent` and `field` say where we are.
fn contains(live: &Value, desired: &Value, parent: &str, field: &str) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(name, desired)| match live.get(name) {
            Some(live) => contains(live, desired, field, name),
            None => is_empty(desired),
        }),
        (Value::Array(live), Value::Array(desired)) => contains_items(live, desired, parent, field),
        (Value::String(live), Value::String(desired)) => is_same_text(live, desired, parent),
        (live, desired) => live == desired,
    }
}

/// Whether two texts mean the same where `parent` holds them.
pub(crate) fn is_same_text(left: &str, right: &str, parent: &str) -> bool {
    left == right || AMOUNT_PARENTS.contains(&parent) && same_amount(left, right)
}

fn contains_items(live: &[Value], desired: &[Value], parent: &str, field: &str) -> bool {
    match item_keys(desired, parent, field) {
        Some(keys) => desired.iter().all(|item| {
            live.iter()
                .any(|candidate| same_item(candidate, item, keys) && contains(candidate, item, field, ""))
        }),
        None => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, desired)| contains(live, desired, field, ""))
        }
    }
}

/// The keys by which items of this list are told apart; `None` for a list that is one whole.
pub(crate) fn item_keys(items: &[Value], parent: &str, field: &str) -> Option<&'static [&'static str]> {
    if field == "ports" {
        let has = |key: &str| items.iter().all(|item| item.get(key).is_some());
        return match parent {
            "spec" if has("port") => Some(SERVICE_PORTS),
            _ if has("containerPort") => Some(CONTAINER_PORTS),
            _ => None,
        };
    }
    ASSOCIATIVE_LISTS
        .iter()
        .find(|(name, _)| *name == field)
        .map(|(_, keys)| *keys)
}

pub(crate) fn same_item(left: &Value, right: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| key_of(left, key) == key_of(right, key))
}

/// The value of a key, with the one default that keys have.
pub(crate) fn key_of<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    static TCP: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::from("TCP"));
    match item.get(key) {
        None if key == "protocol" => Some(&TCP),
        value => value,
    }
}

/// The API server leaves out what is empty.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

/// Whether the API server has noted fields as ours that are not in `desired`. An object without notes (a cache may drop them)
/// says nothing; one with notes of others alone was never applied by us.
fn owns_more(desired: &Value, live: &Value) -> bool {
    match Notes::of(live) {
        Notes::Ours(fields) => !owned_is_desired(fields, desired),
        Notes::OfOthers => true,
        Notes::Dropped => false,
    }
}

/// Whether the pod template of a StatefulSet differs in what we own, whatever else about it does.
pub(crate) fn template_differs(desired: &Value, live: &Value) -> bool {
    let (Some(desired), Some(there)) = (desired.pointer("/spec/template"), live.pointer("/spec/template")) else {
        return true;
    };
    let owns_more = match Notes::of(live) {
        Notes::Ours(fields) => fields
            .get("f:spec")
            .and_then(|spec| spec.get("f:template"))
            .and_then(Value::as_object)
            .is_some_and(|fields| !owned_is_desired(fields, desired)),
        Notes::OfOthers | Notes::Dropped => false,
    };
    !contains(there, desired, "spec", "template") || owns_more
}

/// Walks the notes of the API server (`f:` a field, `k:` an item by its keys, `v:` an item by its value) beside `desired`.
fn owned_is_desired(owned: &Map<String, Value>, desired: &Value) -> bool {
    owned.iter().all(|(path, below)| {
        let Some((kind, name)) = path.split_once(':') else {
            return true;
        };
        let found = match kind {
            "f" => desired.get(name),
            "k" => item_by_keys(desired, name),
            "v" => item_by_value(desired, name),
            _ => return true,
        };
        match (found, below.as_object()) {
            (Some(found), Some(below)) if !below.is_empty() => owned_is_desired(below, found),
            (found, _) => found.is_some(),
        }
    })
}

fn item_by_keys<'a>(desired: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    desired
        .as_array()?
        .iter()
        .find(|item| keys.iter().all(|(key, value)| key_of(item, key) == Some(value)))
}

fn item_by_value<'a>(desired: &'a Value, value: &str) -> Option<&'a Value> {
    let value: Value = serde_json::from_str(value).ok()?;
    desired.as_array()?.iter().find(|item| **item == value)
}

#[cfg(test)]
mod tests;
