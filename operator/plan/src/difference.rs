//! In which fields two pod templates differ, for people.

use serde_json::Value;

use crate::compare::{is_empty, is_same_text, item_keys, same_item};

/// Longest text of a value.
const VALUE_MAX_CHARACTERS: usize = 100;

/// The fields in which `after` differs from `before`, as `path: old → new`, in the order of their paths.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), "", "", "", &mut found);
    found
}

/// `parent` and `field` say where we are; `path` is what people read.
fn compare(
    before: Option<&Value>,
    after: Option<&Value>,
    parent: &str,
    field: &str,
    path: &str,
    found: &mut Vec<String>,
) {
    match (before, after) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                compare(left.get(name), right.get(name), field, name, &below, found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => items(left, right, parent, field, path, found),
        (Some(Value::String(left)), Some(Value::String(right))) if is_same_text(left, right, parent) => {}
        (None, Some(value)) | (Some(value), None) if is_empty(value) => {}
        (left, right) if left == right => {}
        (left, right) => found.push(format!("{path}: {} → {}", text(left), text(right))),
    }
}

fn items(left: &[Value], right: &[Value], parent: &str, field: &str, path: &str, found: &mut Vec<String>) {
    let both = if right.is_empty() { left } else { right };
    let Some(keys) = item_keys(both, parent, field) else {
        for index in 0..left.len().max(right.len()) {
            let below = format!("{path}[{index}]");
            compare(left.get(index), right.get(index), field, "", &below, found);
        }
        return;
    };
    let below = |item: &Value| {
        let name = keys
            .first()
            .and_then(|key| item.get(key))
            .map_or_else(String::new, plain);
        format!("{path}[{name}]")
    };
    for item in left {
        let other = right.iter().find(|other| same_item(other, item, keys));
        compare(Some(item), other, field, "", &below(item), found);
    }
    for item in right {
        if !left.iter().any(|other| same_item(other, item, keys)) {
            compare(None, Some(item), field, "", &below(item), found);
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = plain(value);
    if text.chars().count() <= VALUE_MAX_CHARACTERS {
        return text;
    }
    text.chars().take(VALUE_MAX_CHARACTERS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_the_item_and_the_field_with_the_old_and_the_new_value() {
        let before = json!({"spec": {
            "containers": [{"name": "engine", "image": "e:1", "args": ["cn"], "resources": {"requests": {"memory": "1024Mi"}}}],
            "initContainers": [{"name": "drain", "image": "s:1"}, {"name": "old"}],
            "tolerations": [{"key": "a"}],
            "volumes": [],
        }});
        let after = json!({"spec": {
            "containers": [{"name": "engine", "image": "e:1", "args": ["cn", "-v"], "resources": {"requests": {"memory": "1Gi"}}}],
            "initContainers": [{"name": "new"}, {"name": "drain", "image": "s:2"}],
            "tolerations": [{"key": "b"}],
            "hostname": "x".repeat(200),
        }});
        let long = format!("spec.hostname: nothing → {}…", "x".repeat(100));
        assert_eq!(
            differences(&before, &after),
            [
                "spec.containers[engine].args[1]: nothing → -v",
                long.as_str(),
                "spec.initContainers[drain].image: s:1 → s:2",
                "spec.initContainers[old]: {\"name\":\"old\"} → nothing",
                "spec.initContainers[new]: nothing → {\"name\":\"new\"}",
                "spec.tolerations[0].key: a → b",
            ]
        );
        assert_eq!(differences(&before, &before), Vec::<String>::new());
    }
}
