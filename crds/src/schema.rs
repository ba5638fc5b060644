//! The definitions as they are installed: what kube derives, made stricter.

mod bounds;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;
use serde_json::Value;

use crate::{Calendar, ComputeGroup, Department, LakeCluster};

/// All definitions, in the order in which a person meets them.
///
/// # Panics
///
/// Never for the types of this crate: the tests generate every definition.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [
        Department::crd(),
        LakeCluster::crd(),
        ComputeGroup::crd(),
        Calendar::crd(),
    ]
    .into_iter()
    .map(made_stricter)
    .collect()
}

fn made_stricter(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(definition).expect("a definition is plain data");
    remove_nullable(&mut value);
    allow_no_spec(&mut value);
    bounds::explain(&mut value);
    serde_json::from_value(value).expect("rules added and `nullable` removed leave a definition")
}

/// A spec in which nothing is required is empty where it is left out. Server-side apply makes `null` of it where it takes away its last
/// field, and without a default the API server refuses that as no object.
fn allow_no_spec(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        if let Some(spec) = version.pointer_mut("/schema/openAPIV3Schema/properties/spec")
            && spec.get("required").is_none()
        {
            spec["default"] = Value::Object(serde_json::Map::new());
        }
    }
}

/// Removes `nullable`, which the derivation adds to every optional field. A field is left out or has a value; a third state would
/// only make every rule handle it.
fn remove_nullable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("nullable").is_some_and(Value::is_boolean) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(remove_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nullable),
        _ => {}
    }
}

#[cfg(test)]
mod released;
#[cfg(test)]
mod tests;
