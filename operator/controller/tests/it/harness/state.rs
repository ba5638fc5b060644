//! Everything that there is in a namespace, in a form in which two worlds can be compared.

use std::{collections::BTreeMap, fmt::Write};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{
        ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service, ServiceAccount,
    },
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};

use super::world::World;

/// Fields that differ from world to world, or from moment to moment, wherever they stand.
const PASSING: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "observedGeneration",
    "creationTimestamp",
    "managedFields",
    "lastTransitionTime",
    "startUp",
    "leadTimes",
    "startedAt",
    "since",
    "readyAt",
    "late",
    "springtide.dev/inputs",
    "springtide.dev/template",
    "springtide.dev/credentials-hash",
    // Names of pods' templates by a hash, and how often there was one.
    "controller-revision-hash",
    "clusterIP",
    "clusterIPs",
    // A number that the engine gives.
    "nodeId",
    "look",
    // A certificate was issued at another moment.
    "notAfter",
];

/// By `Kind/name`: the object without what passes. What the frontend knows may be among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    objects: BTreeMap<String, Value>,
    /// Of the objects so far: a cluster's is its identity, which others name.
    uids: Vec<String>,
}

impl State {
    pub(crate) async fn of(world: &World) -> Self {
        let mut state = Self::default();
        // Of a cluster's or a group's status, all of it matters.
        state.add::<LakeCluster>(world, true).await;
        state.add::<ComputeGroup>(world, true).await;
        state.add::<Calendar>(world, true).await;
        state.add::<StatefulSet>(world, false).await;
        state.add::<Service>(world, false).await;
        state.add::<ConfigMap>(world, false).await;
        state.add::<PodDisruptionBudget>(world, false).await;
        state.add::<HorizontalPodAutoscaler>(world, false).await;
        state.add::<NetworkPolicy>(world, false).await;
        state.add::<ServiceAccount>(world, false).await;
        state.add::<Pod>(world, false).await;
        state.add::<PersistentVolumeClaim>(world, false).await;
        state.add::<Secret>(world, false).await;
        state
    }

    /// The same, with the nodes that the frontend knows.
    pub(crate) async fn with_frontend(world: &World) -> Self {
        let mut state = Self::of(world).await;
        let known = world.frontend.catalog.lock().unwrap().known().to_string();
        let known = serde_json::from_str(&known.replace(&world.namespace, "<namespace>")).unwrap();
        state.objects.insert("nodes of the frontend".to_owned(), known);
        state
    }

    /// The same, with all departments, and with what the namespaces have that are marked as theirs.
    pub(crate) async fn with_departments(world: &World) -> Self {
        let mut state = Self::of(world).await;
        let everywhere = |resource: &ApiResource| Api::all_with(world.client.clone(), resource);
        let department = ApiResource::erase::<Department>(&());
        let all = ListParams::default();
        let departments = everywhere(&department).list(&all).await.unwrap().items;
        state.put(world, &department, None, departments, true);
        let namespace = ApiResource::erase::<Namespace>(&());
        let theirs = ListParams::default().labels(springtide_plan::names::DEPARTMENT_LABEL);
        let namespaces = everywhere(&namespace).list(&theirs).await.unwrap().items;
        let names: Vec<String> = namespaces.iter().map(ResourceExt::name_any).collect();
        state.put(world, &namespace, None, namespaces, false);
        for name in names {
            for resource in [
                ApiResource::erase::<RoleBinding>(&()),
                ApiResource::erase::<ResourceQuota>(&()),
                ApiResource::erase::<LimitRange>(&()),
                ApiResource::erase::<NetworkPolicy>(&()),
            ] {
                let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &name, &resource);
                let objects = api.list(&all).await.unwrap().items;
                state.put(world, &resource, Some(&name), objects, false);
            }
        }
        state
    }

    async fn add<K>(&mut self, world: &World, with_status: bool)
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
        let objects = api.list(&ListParams::default()).await.unwrap().items;
        self.put(world, &resource, None, objects, with_status);
    }

    /// Takes objects up; `namespace` is one that is to be told from the world's own.
    fn put(
        &mut self,
        world: &World,
        resource: &ApiResource,
        namespace: Option<&str>,
        objects: Vec<DynamicObject>,
        with_status: bool,
    ) {
        for object in objects {
            let name = object.name_any();
            if name == "kube-root-ca.crt" {
                continue;
            }
            let mut value = serde_json::to_value(&object).unwrap();
            self.uids.extend(object.uid());
            if let Some(fields) = value.as_object_mut() {
                if !with_status {
                    fields.remove("status");
                }
                // Passwords are made anew in each world.
                if resource.kind == "Secret" {
                    for field in fields.get_mut("data").and_then(Value::as_object_mut).into_iter() {
                        field.values_mut().for_each(|value| *value = Value::Null);
                    }
                }
            }
            clear(&mut value);
            let name = without_hash(&name);
            let mut text = without_hash(&value.to_string()).replace(&world.namespace, "<namespace>");
            for uid in &self.uids {
                text = text.replace(uid, "<uid>");
            }
            let mut value = serde_json::from_str(&text).unwrap();
            hide_made_up(&mut value);
            let place = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
            self.objects.insert(format!("{}/{place}{name}", resource.kind), value);
        }
    }

    /// Without these objects, by `Kind/name`.
    pub(crate) fn without(mut self, objects: &[&str]) -> Self {
        self.objects.retain(|name, _| !objects.contains(&name.as_str()));
        self
    }

    /// What is in one and not in the other, and the fields in which they differ.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let mut text = String::new();
        let names: std::collections::BTreeSet<&String> = self.objects.keys().chain(other.objects.keys()).collect();
        for name in names {
            match (self.objects.get(name), other.objects.get(name)) {
                (Some(one), Some(other)) => differ(name, one, other, &mut text),
                (Some(_), None) => writeln!(text, "{name}: missing").unwrap(),
                (None, Some(_)) => writeln!(text, "{name}: too much").unwrap(),
                (None, None) => {}
            }
        }
        text
    }
}

/// Without the hash that the names of files' ConfigMaps end with: what is in them has the names of its own world.
fn without_hash(text: &str) -> String {
    const HASH: usize = 10;
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["-engine-", "-cn-"]
        .iter()
        .filter_map(|base| Some(rest.find(base)? + base.len()))
        .min()
    {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == HASH {
            kept.push_str("<hash>");
            rest = &rest[HASH..];
        }
    }
    kept + rest
}

fn clear(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            for field in ["at", "raisedAt", "computeUntil"] {
                if let Some(Value::String(instant)) = fields.get_mut(field) {
                    to_the_minute(instant);
                }
            }
            fields.values_mut().for_each(clear);
        }
        Value::Array(values) => values.iter_mut().for_each(clear),
        _ => {}
    }
}

/// A lead time begins a few seconds early, as many as follow from the namespace: as if it did not.
fn to_the_minute(text: &mut String) {
    if let Ok(instant) = text.parse::<DateTime<Utc>>() {
        let next = instant + springtide_plan::SPREAD - TimeDelta::seconds(1);
        *text = next.duration_trunc(TimeDelta::minutes(1)).unwrap().to_rfc3339();
    }
}

/// The key of a drain's hook is made from a secret of its own world, and the API server takes any port of a machine that is free.
fn hide_made_up(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("/drain/") => *text = "/drain/<key>".to_owned(),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "nodePort" {
                    *value = "<port>".into();
                } else {
                    hide_made_up(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_made_up),
        _ => {}
    }
}

/// Where server-side apply takes away the last field of an object that stays in what is applied, it stores `null`.
fn is_taken_away(one: Option<&Value>, other: Option<&Value>) -> bool {
    let is_empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    // Nor can it take away a list that was written empty, and an absent list is an empty one.
    let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    one.is_some_and(Value::is_null) && other.is_some_and(is_empty)
        || one.is_none_or(Value::is_null) && other.is_some_and(is_empty_list)
}

fn differ(path: &str, one: &Value, other: &Value, text: &mut String) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) = (one.get(name), other.get(name));
                if is_taken_away(one, other) || is_taken_away(other, one) {
                    continue;
                }
                let nothing = Value::Null;
                let (one, other) = (one.unwrap_or(&nothing), other.unwrap_or(&nothing));
                differ(&format!("{path}.{name}"), one, other, text);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{path}[{index}]"), one, other, text);
            }
        }
        (one, other) if one != other => writeln!(text, "{path}: {other} instead of {one}").unwrap(),
        _ => {}
    }
}
