//! Everything that the repository tells people to apply is accepted by a real API server with the definitions as they are shipped.

use std::path::Path;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{PatchParams, PostParams},
};
use serde_json::{Value, json};
use springtide_crds::ComputeGroup;

use crate::harness::{
    charts::{documents, render, repository},
    rights::{self, try_apply},
    world::{World, is_true},
};

/// Applies each object in a dry run, in its namespace or in the test's; collects what is refused.
async fn refusals(world: &World, from: &str, objects: Vec<Value>) -> Vec<String> {
    let mut refused = Vec::new();
    for mut object in objects {
        let is_cluster_scoped = object["kind"] == "Department";
        if !is_cluster_scoped {
            // The namespaces that the Departments of the examples make are not there.
            object["metadata"]["namespace"] = world.namespace.clone().into();
        }
        let parameters = PatchParams::apply("a-test").force().dry_run().validation_strict();
        if let Err(error) = try_apply(&world.client, &object, &parameters).await {
            refused.push(format!(
                "{from}: {} {}: {error}",
                object["kind"], object["metadata"]["name"]
            ));
        }
    }
    refused
}

fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    found
}

/// The blocks of YAML of a page that are whole objects.
fn whole_objects(page: &str) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line.trim_end()) {
            (None, "```yaml") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
        .iter()
        .filter(|text| text.contains("apiVersion:"))
        .flat_map(|text| documents(text))
        .collect()
}

#[tokio::test]
async fn examples_are_accepted() {
    let world = World::new().await;
    let mut refused = Vec::new();
    let mut kinds = Vec::new();
    for (path, text) in files(&repository().join("examples"), "yaml") {
        let objects = documents(&text);
        kinds.extend(objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned()));
        refused.extend(refusals(&world, &path, objects).await);
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    for kind in ["Department", "LakeCluster", "ComputeGroup"] {
        assert!(kinds.iter().filter(|found| *found == kind).count() >= 2, "{kinds:?}");
    }
}

/// Accepted by the operator, too: a dry run does not see that a group names what no file makes.
#[tokio::test]
async fn the_compute_of_each_example_is_accepted_with_what_its_own_file_makes() {
    let mut accepted = 0;
    for (path, text) in files(&repository().join("examples"), "yaml") {
        let mut objects = documents(&text);
        objects.retain(|object| object["kind"] != "Department");
        let groups: Vec<String> = objects
            .iter()
            .filter(|object| object["kind"] == "ComputeGroup")
            .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        if groups.is_empty() {
            continue;
        }
        let world = World::new().await;
        let operator = world.operator();
        for object in &mut objects {
            object["metadata"]["namespace"] = world.namespace.clone().into();
            rights::apply(&world.client, object).await;
        }
        for group in &groups {
            world
                .eventually(&format!("{path}: {group} is accepted"), || async {
                    let conditions = world.get::<ComputeGroup>(group).await?.status?.conditions;
                    is_true(&conditions, "Accepted").then_some(())
                })
                .await;
            accepted += 1;
        }
        operator.stop().await;
    }
    assert!(accepted >= 2, "retail's and finance's");
}

#[tokio::test]
async fn objects_in_the_pages_are_accepted() {
    let world = World::new().await;
    let mut pages = files(&repository().join("docs"), "md");
    pages.extend(files(&repository(), "md"));
    let mut refused = Vec::new();
    let mut count = 0;
    for (path, text) in pages {
        let objects = whole_objects(&text);
        count += objects.len();
        refused.extend(refusals(&world, &path, objects).await);
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count >= 1, "the README shows a ComputeGroup");
}

#[tokio::test]
async fn what_the_charts_render_is_accepted() {
    let world = World::new().await;
    let cluster = [
        "--set",
        "cluster.storage.bucket=retail,cluster.storage.prefix=lake,cluster.storage.credentials.secretRef.name=storage",
        "--set-json",
        r#"computeGroups={"etl": {"replicas": 2}, "bi": {}}"#,
    ];
    let objects = render("lake-cluster", "lake", &world.namespace, &cluster);
    // The two of this test, and the one of the chart's own values.
    assert_eq!(objects.len(), 4, "{objects:#?}");
    let mut refused = refusals(&world, "lake-cluster", objects).await;
    let operator = render("springtide", "springtide", &world.namespace, &["--set", "replicas=2"]);
    for object in operator {
        let parameters = PatchParams::apply("a-test").force().dry_run().validation_strict();
        if let Err(error) = try_apply(&world.client, &object, &parameters).await {
            refused.push(format!(
                "springtide: {} {}: {error}",
                object["kind"], object["metadata"]["name"]
            ));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// The operator's own pod runs where pods are restricted.
#[tokio::test]
async fn the_operators_pod_is_a_restricted_one() {
    let world = World::new().await;
    let name = format!("{}-restricted", world.namespace);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {
        "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }}))
    .unwrap();
    Api::<Namespace>::all(world.client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let deployment = render("springtide", "springtide", &name, &[])
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["name"] = json!("operator");
    template["metadata"]["namespace"] = json!(name);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
    });
    try_apply(&world.client, &pod, &PatchParams::apply("a-test").force().dry_run())
        .await
        .unwrap();
}
