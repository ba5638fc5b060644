//! The API grows by addition: an object that was written by an earlier definition is read and written on by this one.

use serde_json::Value;

use super::definitions;

/// The definitions of earlier releases, as they were installed.
const RELEASED: &[(&str, &str)] = &[
    (
        "0.1.0",
        include_str!("../../released/0.1.0/calendars.springtide.dev.yaml"),
    ),
    (
        "0.1.0",
        include_str!("../../released/0.1.0/computegroups.springtide.dev.yaml"),
    ),
    (
        "0.1.0",
        include_str!("../../released/0.1.0/departments.springtide.dev.yaml"),
    ),
    (
        "0.1.0",
        include_str!("../../released/0.1.0/lakeclusters.springtide.dev.yaml"),
    ),
];

/// Bounds that may only grow, and those that may only fall.
const UPPER: &[&str] = &["maxLength", "maxItems", "maxProperties", "maximum"];
const LOWER: &[&str] = &["minLength", "minItems", "minProperties", "minimum"];
/// What stays as it is: with another value objects would mean something else.
const FIXED: &[&str] = &[
    "type",
    "format",
    "pattern",
    "default",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
];

/// What an object of `before` could have that `after` does not take, by path.
fn narrower(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    for field in FIXED {
        if before.get(field) != after.get(field) && !(*field == "default" && before.get(field).is_none()) {
            found.push(format!(
                "{path}: {field} was {:?} and is {:?}",
                before.get(field),
                after.get(field)
            ));
        }
    }
    let number = |schema: &Value, field: &str| schema.get(field).and_then(Value::as_f64);
    for field in UPPER {
        if let Some(is) = number(after, field)
            && number(before, field).is_none_or(|was| is < was)
        {
            found.push(format!("{path}: {field} has fallen to {is}"));
        }
    }
    for field in LOWER {
        if let Some(is) = number(after, field)
            && number(before, field).is_none_or(|was| is > was)
        {
            found.push(format!("{path}: {field} has risen to {is}"));
        }
    }
    let values = |schema: &Value| schema["enum"].as_array().cloned();
    if let Some(is) = values(after) {
        let was = values(before).unwrap_or_default();
        let gone: Vec<&Value> = was.iter().filter(|value| !is.contains(value)).collect();
        if !gone.is_empty() || was.is_empty() {
            found.push(format!("{path}: values {gone:?} are not taken any more"));
        }
    }
    let names = |schema: &Value| -> Vec<String> {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        required
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let was_required = names(before);
    for name in names(after).iter().filter(|name| !was_required.contains(name)) {
        found.push(format!("{path}.{name}: is required now"));
    }
    for (name, field) in before["properties"].as_object().into_iter().flatten() {
        match after["properties"].get(name) {
            Some(now) => narrower(field, now, &format!("{path}.{name}"), found),
            None => found.push(format!("{path}.{name}: has gone")),
        }
    }
    for below in ["items", "additionalProperties"] {
        if before[below].is_object() {
            narrower(&before[below], &after[below], &format!("{path}[]"), found);
        }
    }
}

#[test]
fn objects_of_every_release_are_read_and_may_be_written_on() {
    let definitions: Vec<Value> = definitions()
        .into_iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect();
    let mut found = Vec::new();
    for (release, text) in RELEASED {
        let before: Value = serde_norway::from_str(text).unwrap();
        let name = &before["metadata"]["name"];
        let after = definitions.iter().find(|after| after["metadata"]["name"] == *name);
        let after = after.unwrap_or_else(|| panic!("{name} of {release} has gone"));
        assert_eq!(before["spec"]["scope"], after["spec"]["scope"], "{name}");
        for version in before["spec"]["versions"].as_array().unwrap() {
            let served = after["spec"]["versions"].as_array().unwrap();
            let now = served
                .iter()
                .find(|now| now["name"] == version["name"] && now["served"] == true);
            let now = now.unwrap_or_else(|| panic!("{} of {name} is not served any more", version["name"]));
            assert_eq!(version["subresources"], now["subresources"], "{name}");
            let schema = "/schema/openAPIV3Schema";
            let path = format!("{release} {}", name.as_str().unwrap());
            narrower(
                version.pointer(schema).unwrap(),
                now.pointer(schema).unwrap(),
                &path,
                &mut found,
            );
        }
    }
    assert_eq!(found, [] as [String; 0]);
}

#[test]
fn what_is_narrower_is_found() {
    let before = serde_json::json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "string", "maxLength": 9, "enum": ["x", "y"]},
        "b": {"type": "integer", "minimum": 0, "default": 1},
        "c": {"type": "array", "items": {"type": "string"}},
    }});
    let after = serde_json::json!({"type": "object", "required": ["a", "b"], "properties": {
        "a": {"type": "string", "maxLength": 8, "enum": ["x", "z"]},
        "b": {"type": "integer", "minimum": 1, "default": 2},
        "new": {"type": "string", "default": "n"},
    }});
    let mut found = Vec::new();
    narrower(&before, &after, "k", &mut found);
    assert_eq!(
        found,
        [
            "k.b: is required now",
            "k.a: maxLength has fallen to 8",
            "k.a: values [String(\"y\")] are not taken any more",
            "k.b: default was Some(Number(1)) and is Some(Number(2))",
            "k.b: minimum has risen to 1",
            "k.c: has gone",
        ]
    );
    let mut found = Vec::new();
    narrower(&before, &before, "k", &mut found);
    assert_eq!(found, [] as [String; 0]);
}
