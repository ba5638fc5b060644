//! A rule with a message for each bound of a schema that the API server would only repeat.
//!
//! To a number that is too small it says `should be greater than or equal to 1`, and to a text that is too short
//! `should be at least 1 chars long`; a rule beside the bound says what to write. It is made from the bound, so that the two cannot differ.
//! Bounds that the API server checks before it looks at rules get none, since nobody would ever read it: a text or a list that is too
//! long, a value that is not one of an enumeration, a missing field, a wrong type. Its own messages name what is allowed there.

use serde_json::{Value, json};

/// Adds the rules to the spec of a definition, as JSON.
pub(super) fn explain(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        if let Some(spec) = version.pointer_mut("/schema/openAPIV3Schema/properties/spec") {
            explain_field(spec, false);
        }
    }
}

fn explain_field(schema: &mut Value, is_required: bool) {
    let rule = number(schema)
        .or_else(|| text(schema, is_required))
        .or_else(|| list(schema));
    if let Some((rule, message)) = rule {
        let rule = json!({"rule": rule, "message": message});
        match schema["x-kubernetes-validations"].as_array_mut() {
            Some(rules) => rules.push(rule),
            None => schema["x-kubernetes-validations"] = json!([rule]),
        }
    }
    let required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap_or_default();
    if let Some(properties) = schema["properties"].as_object_mut() {
        for (name, field) in properties {
            explain_field(field, required.contains(name));
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            explain_field(&mut schema[inner], true);
        }
    }
}

/// The rule of a number between two bounds.
fn number(schema: &Value) -> Option<(String, String)> {
    if schema["type"] != "integer" {
        return None;
    }
    // The derivation writes bounds as floating point numbers, whatever the field is.
    let bound = |name: &str| schema[name].as_f64().map(|bound| format!("{bound:.0}"));
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => Some((
            format!("self >= {least} && self <= {most}"),
            format!("write a whole number from {least} to {most}"),
        )),
        (Some(least), None) => Some((
            format!("self >= {least}"),
            format!("write a whole number, {least} or more"),
        )),
        (None, Some(most)) => Some((
            format!("self <= {most}"),
            format!("write a whole number, {most} or less"),
        )),
        (None, None) => None,
    }
}

/// The rule of a text that has a shortest length. Where another rule says what the text is made of, that is enough.
fn text(schema: &Value, is_required: bool) -> Option<(String, String)> {
    if schema["type"] != "string" || schema["x-kubernetes-validations"].is_array() {
        return None;
    }
    let least = schema["minLength"].as_u64()?;
    let unit = if least == 1 { "character" } else { "characters" };
    let otherwise = if is_required { "" } else { ", or leave the field out" };
    Some((
        format!("self.size() >= {least}"),
        format!("write at least {least} {unit}{otherwise}"),
    ))
}

/// The rule of a list that may not be empty.
fn list(schema: &Value) -> Option<(String, String)> {
    let least = schema["minItems"].as_u64().filter(|_| schema["type"] == "array")?;
    let unit = if least == 1 { "entry" } else { "entries" };
    Some((
        format!("self.size() >= {least}"),
        format!("write at least {least} {unit}"),
    ))
}
