//! The definitions grow under objects that an earlier release wrote: by helm and the chart, as people upgrade them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::{
    NamespaceResourceScope, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};

use crate::harness::{
    api_server::{Identity, api_server, binary},
    charts::{documents, repository},
    rights::{addressed, apply, try_apply},
    world::World,
};

const CHART: &str = "springtide-crds";
/// The definitions of the first release, as they were installed.
const RELEASED: &str = "crds/released/0.1.0";
/// Objects that together have every field of that release.
const OBJECTS: &str = include_str!("crd_upgrade/objects-0.1.0.yaml");
/// What the release did not know, and this one does.
const LATER: &str = "maintenanceWindows";
/// Amounts that stand in the objects as bare numbers. Those of CPU do not: `autoscaling.cpu` has the same name, and is none.
const AMOUNTS: &[&str] = &["averageValue"];

/// Helm on the server of this test.
struct Helm {
    kubeconfig: PathBuf,
    namespace: String,
}

impl Helm {
    fn run(&self, arguments: &[&str]) {
        let helm = binary().with_file_name("helm");
        let output = Command::new(&helm)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", helm.display()));
        assert!(
            output.status.success(),
            "helm {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The chart with the definitions of the first release in it.
fn chart_of_the_release(folder: &Path) -> String {
    let chart = folder.join(CHART);
    let present = repository().join("charts").join(CHART);
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    for file in ["Chart.yaml", "values.yaml", "values.schema.json"] {
        std::fs::copy(present.join(file), chart.join(file)).unwrap();
    }
    for mut definition in released() {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        definition["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
        // JSON is YAML.
        std::fs::write(
            chart.join(format!("templates/{name}.yaml")),
            serde_json::to_string_pretty(&definition).unwrap(),
        )
        .unwrap();
    }
    chart.to_str().unwrap().to_owned()
}

fn released() -> Vec<Value> {
    let folder = repository().join(RELEASED);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    texts.flat_map(|text| documents(&text)).collect()
}

/// Every field below a schema, by its path; lists do not count as a step.
fn fields_of_schema(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields_of_schema(field, &path, found);
        found.insert(path);
    }
    if schema["items"].is_object() {
        fields_of_schema(&schema["items"], path, found);
    }
}

/// Every field that an object has, by the same paths.
fn fields_of_object(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields_of_object(field, &path, found);
        found.insert(path);
    }
    for item in value.as_array().into_iter().flatten() {
        fields_of_object(item, path, found);
    }
}

#[test]
fn the_objects_of_the_first_release_have_every_field_that_it_knew() {
    let objects = documents(OBJECTS);
    for definition in released() {
        let kind = &definition["spec"]["names"]["kind"];
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        let (mut known, mut written) = (BTreeSet::new(), BTreeSet::new());
        fields_of_schema(schema.unwrap(), "spec", &mut known);
        for object in objects.iter().filter(|object| object["kind"] == *kind) {
            fields_of_object(&object["spec"], "spec", &mut written);
        }
        let missing: Vec<&String> = known.difference(&written).collect();
        assert!(known.len() > 3 && missing.is_empty(), "{kind}: {missing:?}");
    }
}

/// What of `before` is not in `after` as it was, by path. What `after` has beside it is no matter: defaults of new fields are filled in.
fn changed(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let now = after.get(name).unwrap_or(&Value::Null);
                changed(value, now, &format!("{path}.{name}"), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (value, now)) in before.iter().zip(after).enumerate() {
                changed(value, now, &format!("{path}[{index}]"), found);
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push(format!("{path}: {before} became {after}")),
    }
}

/// An object as it is now.
async fn read(client: &Client, object: &Value) -> Value {
    let (api, name) = addressed(client, object);
    let mut found = serde_json::to_value(api.get(&name).await.unwrap()).unwrap();
    found["metadata"].as_object_mut().unwrap().remove("managedFields");
    found
}

/// What is lost where an object is read as this release's type, and written again.
async fn lost<K>(client: &Client, object: &Value, found: &mut Vec<String>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let before = read(client, object).await;
    let typed: K = serde_json::from_value(before.clone()).unwrap_or_else(|error| panic!("{before}: {error}"));
    let after = serde_json::to_value(typed).unwrap();
    let kind = object["kind"].as_str().unwrap();
    for part in ["spec", "status"] {
        if !before[part].is_null() {
            let before = as_types_write(&before[part], part);
            changed(&before, &after[part], &format!("{kind}.{part}"), found);
        }
    }
}

/// What types write otherwise: nothing of what is empty, nothing of false where that is the default of a list's item, and the text of a
/// bare number that is an amount.
fn as_types_write(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| **value != json!({}) && **value != json!([]) && **value != json!(false))
            .map(|(name, value)| (name.clone(), as_types_write(value, name)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| as_types_write(item, name)).collect(),
        Value::Number(number) if AMOUNTS.contains(&name) => json!(number.to_string()),
        other => other.clone(),
    }
}

/// Whether the server takes a LakeCluster with a field that the release did not know; nothing where it cannot say.
async fn knows_later_fields(world: &World) -> Option<bool> {
    let window = json!([{"name": "nights", "start": "0 2 * * *"}]);
    let object = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
        "metadata": {"name": "later", "namespace": world.namespace},
        "spec": {
            "engine": {"version": "0.1.0"}, LATER: window,
            "storage": {"bucket": "retail", "prefix": "later", "credentials": {"secretRef": {"name": "storage"}}},
        },
    });
    let strict = PatchParams::apply("a-test").force().dry_run().validation_strict();
    match try_apply(&world.client, &object, &strict).await {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains(LATER) => Some(false),
        Err(error) => {
            eprintln!("a LakeCluster is refused: {error}");
            None
        }
    }
}

/// A server takes up another definition a moment after it was written.
async fn definitions_are_in_force(world: &World, knows_later: bool) {
    world
        .eventually("the definitions are in force", || async {
            (knows_later_fields(world).await == Some(knows_later)).then_some(())
        })
        .await;
}

/// Writes what somebody wrote, and what the operator of the release said of it.
async fn write(client: &Client, object: &Value) {
    let mut written = object.clone();
    written.as_object_mut().unwrap().remove("status");
    apply(client, &written).await;
    if !object["status"].is_null() {
        let (api, name) = addressed(client, object);
        let status = Patch::Merge(json!({"status": object["status"]}));
        api.patch_status(&name, &PatchParams::default(), &status)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A change that somebody makes to an object.
fn another_value(object: &Value) -> Value {
    let spec = match object["kind"].as_str().unwrap() {
        "Department" => json!({"displayName": "Retail alone"}),
        "LakeCluster" => json!({"deletionPolicy": "Delete"}),
        "ComputeGroup" => json!({"replicas": 2}),
        "Calendar" => json!({"extraDates": []}),
        other => panic!("{other} is not changed"),
    };
    json!({"spec": spec})
}

/// Every object may be written on, and the same may be made anew: nothing that was good is refused.
async fn may_be_written(client: &Client, objects: &[Value]) {
    let strict = PatchParams::apply("a-test").force().dry_run().validation_strict();
    let mut refused = Vec::new();
    for object in objects {
        let mut written = object.clone();
        written.as_object_mut().unwrap().remove("status");
        let mut anew = written.clone();
        anew["metadata"]["name"] = json!(format!("x{}", object["metadata"]["name"].as_str().unwrap()));
        for object in [written, anew] {
            if let Err(error) = try_apply(client, &object, &strict).await {
                refused.push(format!("{} {}: {error}", object["kind"], object["metadata"]["name"]));
            }
        }
        let (api, name) = addressed(client, object);
        let change = another_value(object);
        let after = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut differences = Vec::new();
        changed(&change["spec"], &after.data["spec"], &name, &mut differences);
        refused.extend(differences);
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

async fn stored_versions(client: &Client) -> BTreeSet<(String, Vec<String>)> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut stored = BTreeSet::new();
    for definition in released() {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let found = definitions.get(name).await.unwrap();
        let versions = found.status.unwrap_or_default().stored_versions.unwrap_or_default();
        stored.insert((name.to_owned(), versions));
    }
    stored
}

/// The operator has seen the object as it is.
async fn is_observed<K>(world: &World, object: &Value, observed: impl Fn(&K) -> Option<i64>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    world
        .eventually(
            &format!("{} {} is observed", object["kind"], object["metadata"]["name"]),
            || async {
                let typed: K = serde_json::from_value(read(&world.client, object).await).unwrap();
                (observed(&typed).is_some() && observed(&typed) == typed.meta().generation).then_some(())
            },
        )
        .await;
}

#[tokio::test]
async fn objects_of_the_first_release_are_kept_by_helms_upgrade_of_the_definitions_and_by_its_uninstallation() {
    let world = World::alone().await;
    let client = &world.client;
    let folder = tempfile::tempdir().unwrap();
    let helm = Helm {
        kubeconfig: folder.path().join("kubeconfig"),
        namespace: world.operator_namespace(),
    };
    std::fs::write(&helm.kubeconfig, api_server().kubeconfig_of(Identity::Everything)).unwrap();

    // The definitions of this release are there already, by a hand that helm does not know.
    let before = chart_of_the_release(folder.path());
    helm.run(&["install", CHART, &before, "--take-ownership", "--force-conflicts"]);
    definitions_are_in_force(&world, false).await;
    // A frontend is played in the world's own namespace only; what is there runs, and what has every field is elsewhere.
    let elsewhere = world.another_operator_namespace(1).await;
    let objects = documents(&OBJECTS.replace("@NAMESPACE@", &elsewhere));
    for object in &objects {
        write(client, object).await;
    }
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    let mut were = Vec::new();
    for object in &objects {
        were.push(read(client, object).await);
    }
    let stored = stored_versions(client).await;
    assert!(
        stored.iter().all(|(_, versions)| versions == &["v1alpha1"]),
        "{stored:?}"
    );

    let present = repository().join("charts").join(CHART);
    helm.run(&["upgrade", CHART, present.to_str().unwrap()]);
    definitions_are_in_force(&world, true).await;
    let mut found = Vec::new();
    for (object, was) in objects.iter().zip(&were) {
        // Its resource version among it: nobody has written it anew.
        changed(
            was,
            &read(client, object).await,
            &object["kind"].to_string(),
            &mut found,
        );
        match object["kind"].as_str().unwrap() {
            "Department" => lost::<Department>(client, object, &mut found).await,
            "LakeCluster" => lost::<LakeCluster>(client, object, &mut found).await,
            "ComputeGroup" => lost::<ComputeGroup>(client, object, &mut found).await,
            "Calendar" => lost::<Calendar>(client, object, &mut found).await,
            other => panic!("{other} is not read"),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(stored_versions(client).await, stored);
    may_be_written(client, &objects).await;

    let mut specs = Vec::new();
    for object in &objects {
        specs.push(read(client, object).await["spec"].clone());
    }
    let operator = world.operator();
    world.group_serves("etl", 1).await;
    for object in &objects {
        match object["kind"].as_str().unwrap() {
            "Department" => {
                is_observed(&world, object, |object: &Department| {
                    object.status.as_ref()?.observed_generation
                })
                .await;
            }
            "LakeCluster" => {
                is_observed(&world, object, |object: &LakeCluster| {
                    object.status.as_ref()?.observed_generation
                })
                .await;
            }
            "ComputeGroup" => {
                is_observed(&world, object, |object: &ComputeGroup| {
                    object.status.as_ref()?.observed_generation
                })
                .await;
            }
            // Nothing is said of one.
            _ => {}
        }
    }
    for (object, spec) in objects.iter().zip(&specs) {
        assert_eq!(read(client, object).await["spec"], *spec, "the operator changed a spec");
    }

    helm.run(&["uninstall", CHART]);
    assert_eq!(stored_versions(client).await, stored, "the definitions stay");
    for (object, spec) in objects.iter().zip(&specs) {
        assert_eq!(read(client, object).await["spec"], *spec);
    }
    assert!(is_there::<LakeCluster>(&world, "lake").await && is_there::<ComputeGroup>(&world, "etl").await);
    operator.stop().await;
}

async fn is_there<K>(world: &World, name: &str) -> bool
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let found = world.get::<K>(name).await;
    found.is_some_and(|found| found.meta().deletion_timestamp.is_none())
}
