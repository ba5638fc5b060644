//! The ways to install the operator that `docs/install.md` names: each renders, makes what it says and no pod that would be refused where
//! pods are restricted, and a value that nobody knows is refused by its name.

use std::{collections::BTreeSet, process::Command};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::harness::{
    api_server::binary,
    charts::{RELEASE_NAMESPACE, render, repository},
    rights::try_apply,
    world::World,
};

const CHART: &str = "springtide";
const ALL: &str = "all namespaces";
const LIST: &str = "a list of namespaces";
const REGISTRY: &str = "a private registry, also air-gapped";
const REPLICAS: &str = "one that leads, and others that wait";
const MONITORING: &str = "monitored";

/// The ways, with their values, as the page has them.
const VARIANTS: &[(&str, &str)] = &[
    (ALL, ""),
    (LIST, "watchNamespaces={retail,finance}"),
    (
        REGISTRY,
        "imageRegistry=registry.example.com/team,imagePullSecrets[0].name=registry",
    ),
    (REPLICAS, "replicas=2"),
    (MONITORING, "monitoring.enabled=true"),
];

fn rendered(variant: &str) -> Vec<Value> {
    let (_, values) = VARIANTS.iter().find(|(name, _)| *name == variant).unwrap();
    let mut arguments = Vec::new();
    if !values.is_empty() {
        arguments.extend(["--set", *values]);
    }
    render(CHART, CHART, RELEASE_NAMESPACE, &arguments)
}

/// Every text in a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

#[test]
fn the_page_names_the_ways_that_are_tested_with_their_values() {
    let page = std::fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let section = page.split("\n## Variants\n").nth(1).expect("a section Variants");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let told: Vec<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let mut cell = || cells.next().unwrap_or_default().trim_matches('`').to_owned();
            (cell(), cell())
        })
        .collect();
    let tested: Vec<(String, String)> = VARIANTS
        .iter()
        .map(|(name, values)| ((*name).to_owned(), (*values).to_owned()))
        .collect();
    assert_eq!(told, tested);
}

#[test]
fn an_operator_for_all_namespaces_has_a_cluster_role_and_one_for_a_list_roles_there_alone() {
    let kinds = |variant: &str| -> BTreeSet<String> {
        let objects = rendered(variant);
        objects
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(kinds(ALL).contains("ClusterRole") && kinds(ALL).contains("ClusterRoleBinding"));
    let of_list = kinds(LIST);
    assert!(
        !of_list.contains("ClusterRole") && !of_list.contains("ClusterRoleBinding"),
        "{of_list:?}"
    );
    let mut namespaces = BTreeSet::new();
    for object in rendered(LIST).iter().filter(|object| object["kind"] == "RoleBinding") {
        namespaces.insert(object["metadata"]["namespace"].as_str().unwrap().to_owned());
    }
    let expected = ["finance", "retail", RELEASE_NAMESPACE].map(str::to_owned);
    assert_eq!(namespaces, BTreeSet::from(expected));
    let objects = rendered(LIST);
    let mut found = Vec::new();
    objects.iter().for_each(|object| texts(object, &mut found));
    assert!(found.contains(&"retail,finance"), "the operator is told which");
}

#[test]
fn every_image_comes_from_the_private_registry_and_every_account_has_its_pull_secret() {
    let objects = rendered(REGISTRY);
    let mut found = Vec::new();
    objects.iter().for_each(|object| texts(object, &mut found));
    let images: Vec<&str> = found
        .into_iter()
        .filter(|text| text.contains("springtide.dev/") && text.contains(':'))
        .collect();
    for part in ["operator", "engine", "sidecar"] {
        let image = format!("registry.example.com/team/springtide.dev/{part}:");
        assert!(images.iter().any(|text| text.starts_with(&image)), "{part}: {images:?}");
    }
    let elsewhere: Vec<&&str> = images
        .iter()
        .filter(|text| !text.starts_with("registry.example.com/team/"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let accounts: Vec<&Value> = objects
        .iter()
        .filter(|object| object["kind"] == "ServiceAccount")
        .collect();
    assert_eq!(accounts.len(), 2, "the operator's, and its uninstallation's");
    for account in accounts {
        assert_eq!(account["imagePullSecrets"], json!([{"name": "registry"}]), "{account}");
    }
}

#[test]
fn the_number_of_operators_and_the_monitors_are_as_they_are_written() {
    let deployment = |variant: &str| {
        let objects = rendered(variant);
        objects
            .into_iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap()
    };
    assert_eq!(deployment(ALL)["spec"]["replicas"], 1);
    assert_eq!(deployment(REPLICAS)["spec"]["replicas"], 2);
    let monitored = |variant: &str| {
        rendered(variant)
            .iter()
            .any(|object| object["kind"] == "ServiceMonitor")
    };
    assert!(monitored(MONITORING) && !monitored(ALL));
}

#[tokio::test]
async fn no_pod_of_any_way_is_refused_where_pods_are_restricted() {
    let world = World::new().await;
    let name = format!("{}-variants", world.namespace);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {
        "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }}))
    .unwrap();
    Api::<Namespace>::all(world.client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let mut refused = Vec::new();
    for (variant, _) in VARIANTS {
        let mut tried = BTreeSet::new();
        for object in rendered(variant) {
            let Some(template) = object
                .pointer("/spec/template")
                .filter(|template| template["spec"].is_object())
            else {
                continue;
            };
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "tried", "namespace": name, "labels": template["metadata"]["labels"]},
                "spec": template["spec"],
            });
            let dry_run = PatchParams::apply("a-test").force().dry_run();
            if let Err(error) = try_apply(&world.client, &pod, &dry_run).await {
                refused.push(format!("{variant}: {} {error}", object["kind"]));
            }
            tried.insert(object["kind"].as_str().unwrap().to_owned());
        }
        assert_eq!(
            tried,
            BTreeSet::from(["Deployment", "Job"].map(str::to_owned)),
            "{variant}"
        );
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// What helm says of values that it refuses.
fn refusal(chart: &str, values: &str) -> String {
    let helm = binary().with_file_name("helm");
    let output = Command::new(&helm)
        .args(["template", "tried"])
        .arg(repository().join("charts").join(chart))
        .args(["--set", values])
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", helm.display()));
    assert!(!output.status.success(), "{chart} takes {values}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_value_with_a_typing_error_is_refused_by_its_name() {
    for (chart, values, name) in [
        ("springtide", "watchNamespace={retail}", "watchNamespace"),
        ("springtide", "image.tagg=1", "tagg"),
        ("springtide", "engineImage.pullPolicy=Always", "pullPolicy"),
        ("springtide", "monitoring.enable=true", "enable"),
        ("springtide", "log.levle=debug", "levle"),
        ("springtide", "replicas=many", "replicas"),
        ("springtide", "imagePullSecrets[0].nam=registry", "nam"),
        ("springtide", "watchNamespaces={Retail}", "watchNamespaces"),
        ("springtide-crds", "keep=true", "keep"),
        ("lake-cluster", "computeGroup.etl.replicas=2", "computeGroup"),
    ] {
        let told = refusal(chart, values);
        assert!(
            told.contains(&format!("'{name}'")) || told.contains(&format!("/{name}")),
            "{chart} {values}: {told}"
        );
    }
}
