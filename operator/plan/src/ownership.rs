//! The fields of an object that the API server notes as ours.
//!
//! Server-side apply takes away every field of ours that is not in what is applied. So whoever wants to leave a part of an object as it is
//! has to apply exactly what is ours of it: no less, which would take fields away, and no more, which would take them from others.

use serde_json::{Map, Value};

use crate::compare::{FIELD_MANAGER, key_of};

/// What the API server notes about an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notes<'a> {
    /// Nothing: a cache may drop its notes.
    Dropped,
    /// That others have written it, and we never did.
    OfOthers,
    /// These fields are ours: `f:` a field, `k:` an item by its keys, `v:` an item by its value.
    Ours(&'a Map<String, Value>),
}

impl<'a> Notes<'a> {
    /// Those of `live`.
    pub(crate) fn of(live: &'a Value) -> Self {
        let Some(entries) = live.pointer("/metadata/managedFields").and_then(Value::as_array) else {
            return Self::Dropped;
        };
        let ours = entries.iter().find(|entry| {
            let is = |field: &str, expected: &str| entry.get(field).and_then(Value::as_str) == Some(expected);
            is("manager", FIELD_MANAGER) && is("operation", "Apply") && entry.get("subresource").is_none()
        });
        match ours.and_then(|entry| entry.get("fieldsV1")).and_then(Value::as_object) {
            Some(fields) => Self::Ours(fields),
            None if entries.is_empty() => Self::Dropped,
            None => Self::OfOthers,
        }
    }
}

/// The pod template of a StatefulSet as far as it is ours; all of it where there are no notes.
pub(crate) fn owned_template(live: &Value) -> Option<Value> {
    let template = live.pointer("/spec/template")?;
    match Notes::of(live) {
        Notes::Ours(fields) => match fields.get("f:spec").and_then(|spec| spec.get("f:template")) {
            Some(below) => Some(part(below, template)),
            None => Some(Value::Object(Map::new())),
        },
        Notes::Dropped | Notes::OfOthers => Some(template.clone()),
    }
}

/// The pod template of a StatefulSet as far as anybody has written it, and not the API server by itself; all of it where there are no
/// notes.
pub(crate) fn written_template(live: &Value) -> Option<Value> {
    let template = live.pointer("/spec/template")?;
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let of_template = |entry: &Value| entry.pointer("/fieldsV1/f:spec/f:template").cloned();
    let notes = entries.into_iter().flatten().filter_map(of_template).reduce(both);
    Some(match notes {
        Some(notes) => part(&notes, template),
        None => template.clone(),
    })
}

/// What one of two notes names, or both.
fn both(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) if !one.is_empty() && !other.is_empty() => {
            for (path, below) in other {
                let below = match one.remove(&path) {
                    Some(there) => both(there, below),
                    None => below,
                };
                one.insert(path, below);
            }
            Value::Object(one)
        }
        // Notes that name nothing below mean all of it.
        _ => Value::Object(Map::new()),
    }
}

/// What `notes` name of `live`. Notes that name nothing below mean all of it.
fn part(notes: &Value, live: &Value) -> Value {
    match (notes.as_object().filter(|notes| !notes.is_empty()), live) {
        (Some(notes), Value::Object(fields)) => fields
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), part(notes.get(&format!("f:{name}"))?, value))))
            .collect(),
        (Some(notes), Value::Array(items)) => items
            .iter()
            .filter_map(|item| {
                let (_, below) = notes.iter().find(|(path, _)| names_item(path, item))?;
                Some(part(below, item))
            })
            .collect(),
        (_, live) => live.clone(),
    }
}

/// Whether the path of a note is that of this item of a list.
fn names_item(path: &str, item: &Value) -> bool {
    if let Some(keys) = path.strip_prefix("k:") {
        let keys: Option<Map<String, Value>> = serde_json::from_str(keys).ok();
        return keys.is_some_and(|keys| keys.iter().all(|(key, value)| key_of(item, key) == Some(value)));
    }
    let value: Option<Value> = path
        .strip_prefix("v:")
        .and_then(|value| serde_json::from_str(value).ok());
    value.as_ref() == Some(item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_as_it_is_is_all_of_ours_and_nothing_of_others() {
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
                {"manager": FIELD_MANAGER, "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {
                    "f:metadata": {"f:annotations": {"f:ours": {}}},
                    "f:spec": {
                        "f:containers": {"k:{\"name\":\"engine\"}": {
                            ".": {}, "f:name": {}, "f:image": {},
                            "f:ports": {"k:{\"containerPort\":9030,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                        }},
                        "f:nodeSelector": {},
                        "f:finalizers": {"v:\"a\"": {}},
                    },
                }}}},
            ]},
            "spec": {"replicas": 3, "template": {
                "metadata": {"annotations": {"ours": "1", "theirs": "2"}},
                "spec": {
                    "containers": [
                        {"name": "injected", "image": "theirs"},
                        {"name": "engine", "image": "ours", "terminationMessagePath": "/dev/termination-log", "ports": [
                            {"containerPort": 9030, "name": "theirs"}, {"containerPort": 1, "protocol": "TCP"},
                        ]},
                    ],
                    "nodeSelector": {"disk": "fast"},
                    "finalizers": ["a", "b"],
                    "dnsPolicy": "ClusterFirst",
                },
            }},
        });
        let ours = json!({
            "metadata": {"annotations": {"ours": "1"}},
            "spec": {
                "containers": [{"name": "engine", "image": "ours", "ports": [{"containerPort": 9030}]}],
                "nodeSelector": {"disk": "fast"},
                "finalizers": ["a"],
            },
        });
        assert_eq!(owned_template(&live), Some(ours));
    }

    #[test]
    fn what_somebody_has_written_is_what_is_ours_and_what_is_of_others() {
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {
                    "f:metadata": {"f:annotations": {"f:ours": {}}, "f:labels": {}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"engine\"}": {".": {}, "f:name": {}, "f:image": {}}}},
                }}}},
                {"manager": "kubectl-rollout", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {
                    "f:metadata": {"f:annotations": {"f:restartedAt": {}}, "f:labels": {"f:a": {}}},
                }}}},
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            ]},
            "spec": {"replicas": 3, "template": {
                "metadata": {"annotations": {"ours": "1", "restartedAt": "noon", "byItself": "3"}, "labels": {"a": "1", "b": "2"}},
                "spec": {"containers": [{"name": "engine", "image": "ours", "imagePullPolicy": "Always"}], "dnsPolicy": "ClusterFirst"},
            }},
        });
        let written = json!({
            "metadata": {"annotations": {"ours": "1", "restartedAt": "noon"}, "labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{"name": "engine", "image": "ours"}]},
        });
        assert_eq!(written_template(&live), Some(written));
    }

    #[test]
    fn without_notes_all_of_it_is_left_as_it_is() {
        let template = json!({"spec": {"containers": []}});
        let live = json!({"spec": {"template": template}});
        assert_eq!(owned_template(&live), Some(template.clone()));
        assert_eq!(written_template(&live), Some(template));
        assert_eq!(owned_template(&json!({"spec": {}})), None);
    }
}
