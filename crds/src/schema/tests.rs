use serde_json::{Value, json};

use super::*;

/// Calls `visit` with the path and the schema of every field of `spec` and `status` of every kind.
fn for_each_field(mut visit: impl FnMut(&str, &Value, bool)) {
    for definition in definitions() {
        let kind = definition.spec.names.kind.clone();
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&format!("{kind}.{part}"), &schema["properties"][part], &mut visit);
        }
    }
}

fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value, bool)) {
    if let Some(properties) = schema["properties"].as_object() {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, field) in properties {
            let path = format!("{path}.{name}");
            visit(&path, field, required.contains(&name.as_str()));
            walk(&path, field, visit);
        }
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], visit);
    }
}

/// Collects what `wrong` says about fields, and expects nothing.
fn check(wrong: impl Fn(&str, &Value, bool) -> Option<String>) {
    let mut faults = Vec::new();
    for_each_field(|path, field, required| {
        faults.extend(wrong(path, field, required).map(|fault| format!("{path}: {fault}")));
    });
    assert_eq!(faults, [] as [String; 0]);
}

#[test]
fn every_field_has_a_description() {
    check(|_, field, _| {
        let description = field["description"].as_str().unwrap_or_default();
        (description.len() < 5 || !description.ends_with('.')).then(|| format!("{description:?} is no description"))
    });
}

#[test]
fn every_field_of_a_spec_has_a_default_or_says_why_not() {
    check(|path, field, required| {
        let description = field["description"].as_str().unwrap_or_default();
        let explained = match (required, field.get("default").is_some()) {
            (_, true) => true,
            (true, false) => description.contains("Required:"),
            (false, false) => description.contains("Unset:"),
        };
        (path.contains(".spec.") && !explained).then(|| "has neither a default nor a reason why not".to_owned())
    });
}

fn string_is_bounded(schema: &Value) -> bool {
    let is_text = schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true;
    !is_text || schema["maxLength"].is_u64() || schema["enum"].is_array()
}

#[test]
fn every_string_is_bounded() {
    check(|_, field, _| {
        let parts = [field, &field["items"], &field["additionalProperties"]];
        (!parts.into_iter().all(string_is_bounded)).then(|| "is a string without maxLength".to_owned())
    });
}

#[test]
fn every_list_and_map_has_a_type_and_a_bound() {
    check(|_, field, _| {
        if field["type"] == "array" {
            let kind = field["x-kubernetes-list-type"].as_str().unwrap_or_default();
            let keyed = kind != "map" || field["x-kubernetes-list-map-keys"].is_array();
            let typed = ["map", "set", "atomic"].contains(&kind) && keyed;
            return (!typed || !field["maxItems"].is_u64())
                .then(|| "is a list without a type or without maxItems".to_owned());
        }
        let is_map = field["additionalProperties"].is_object();
        (is_map && !field["maxProperties"].is_u64()).then(|| "is a map without maxProperties".to_owned())
    });
}

#[test]
fn every_number_is_bounded_below() {
    check(|_, field, _| {
        let is_number = ["integer", "number"].contains(&field["type"].as_str().unwrap_or_default());
        (is_number && field["minimum"].is_null()).then(|| "is a number without a minimum".to_owned())
    });
}

#[test]
fn schemas_are_structural() {
    check(|_, field, _| {
        ["anyOf", "oneOf", "allOf", "not", "$ref", "nullable", "const"]
            .into_iter()
            .find(|key| field.get(*key).is_some())
            .map(|key| format!("has {key}"))
    });
}

/// The API server only repeats a pattern: "should match '^…$'". A rule says what to write.
#[test]
fn no_text_of_a_spec_has_a_bare_pattern() {
    check(|path, field, _| {
        let parts = [field, &field["items"], &field["additionalProperties"]];
        let bare = parts.into_iter().any(|part| part["pattern"].is_string());
        (path.contains(".spec.") && bare).then(|| "has a pattern without a message".to_owned())
    });
}

fn rules(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for rule in fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                found.push((
                    rule["rule"].as_str().unwrap_or_default().to_owned(),
                    rule["message"].as_str().unwrap_or_default().to_owned(),
                ));
            }
            fields.values().for_each(|field| rules(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| rules(item, found)),
        _ => {}
    }
}

#[test]
fn every_rule_says_what_to_write_instead() {
    let mut found = Vec::new();
    for definition in definitions() {
        rules(&serde_json::to_value(definition).unwrap(), &mut found);
    }
    assert!(found.len() >= 40, "{found:#?}");
    for (rule, message) in &found {
        let says_what_to_do = ["write", "Create", "add namespaces", "lower", "Give"]
            .iter()
            .any(|word| message.contains(word));
        assert!(says_what_to_do, "{rule}: {message}");
        assert!(!message.contains('\n') && !rule.contains('\n'), "{rule}");
    }
}

/// What the API server says to these bounds names no remedy. The others it checks before it looks at rules, see [`bounds`].
#[test]
fn every_bound_that_the_api_server_only_repeats_has_a_rule_that_says_what_to_write() {
    check(|path, field, _| {
        if !path.contains(".spec.") {
            return None;
        }
        let parts = [field, &field["items"], &field["additionalProperties"]];
        parts.into_iter().find_map(|part| {
            let repeated = [
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
                "minLength",
                "minItems",
                "minProperties",
                "uniqueItems",
                "pattern",
                "format",
            ];
            let bounds: Vec<&str> = repeated
                .into_iter()
                // Of the formats the derivation writes, int32 and int64 are types, not bounds.
                .filter(|bound| {
                    !part[*bound].is_null() && !part[*bound].as_str().is_some_and(|it| it.starts_with("int"))
                })
                .collect();
            let mut found = Vec::new();
            rules(
                &json!({"x-kubernetes-validations": part["x-kubernetes-validations"]}),
                &mut found,
            );
            // One that compares with what was there says nothing to who makes the object.
            let is_explained = found
                .iter()
                .any(|(rule, message)| !rule.contains("oldSelf") && message.contains("write"));
            (!bounds.is_empty() && !is_explained).then(|| format!("has {bounds:?} and no rule that says what to write"))
        })
    });
}

#[test]
fn a_rule_made_from_bounds_has_their_numbers() {
    let definition = definitions()
        .into_iter()
        .find(|definition| definition.spec.names.kind == "ComputeGroup");
    let definition = serde_json::to_value(definition.unwrap()).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(
        spec["replicas"]["x-kubernetes-validations"],
        json!([{"rule": "self >= 0 && self <= 1000", "message": "write a whole number from 0 to 1000"}])
    );
    let period =
        &spec["autoscaling"]["properties"]["scaleUp"]["properties"]["policies"]["items"]["properties"]["periodSeconds"];
    assert_eq!(
        period["x-kubernetes-validations"][0]["message"],
        "write a whole number from 1 to 1800"
    );
}

#[test]
fn what_never_changes_is_guarded() {
    let mut found = Vec::new();
    for definition in definitions() {
        rules(&serde_json::to_value(definition).unwrap(), &mut found);
    }
    let guarded: Vec<&str> = found
        .iter()
        .filter(|(rule, _)| rule.contains("oldSelf"))
        .map(|(_, message)| message.split([':', ' ']).next().unwrap())
        .collect();
    for field in [
        "a",
        "engine.kind",
        "storage.bucket",
        "storage.endpoint",
        "frontends.metadataVolume.storageClassName",
        "cluster",
        "warehouse",
    ] {
        assert!(guarded.contains(&field), "{field} is not guarded: {guarded:?}");
    }
}

#[test]
fn a_compute_group_can_be_scaled() {
    let definition = definitions()
        .into_iter()
        .find(|definition| definition.spec.names.kind == "ComputeGroup")
        .unwrap();
    let scale = definition.spec.versions[0]
        .subresources
        .as_ref()
        .unwrap()
        .scale
        .as_ref()
        .unwrap();
    assert_eq!(scale.spec_replicas_path, ".spec.replicas");
    assert_eq!(scale.status_replicas_path, ".status.replicas");
    assert_eq!(scale.label_selector_path.as_deref(), Some(".status.selector"));
    let definition = serde_json::to_value(&definition).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(schema["properties"]["spec"]["properties"]["replicas"]["default"], 1);
}
