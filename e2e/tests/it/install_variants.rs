//! An operator for a list of namespaces. While it is tried, the one for all of them is away: it would look after the same clusters. So
//! `e2e/test` runs this after the scenarios that share that one.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    authorization::v1::SubjectAccessReview,
    core::v1::{Namespace, Pod, Secret},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use springtide_crds::LakeCluster;
use springtide_e2e::storage;

use crate::{
    department::{Department, LAKE, eventually, two_rows, value, with_department},
    harness::{alone, describe, unique},
    scenario::Scenario,
};

const GROUP: &str = "crew";
const RELEASE: &str = "listed";
const CHART: &str = "springtide";
const HELM_LIMIT: Duration = Duration::from_secs(240);
/// A namespace without our pods is deleted.
const DELETE_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_for_a_list_of_namespaces_runs_clusters_there_and_touches_nothing_outside() {
    let scenario = Scenario::begin("an operator for a list of namespaces").may_take(
        Duration::from_secs(240),
        "an operator is taken away, another one is installed and removed, and the first one comes back",
    );
    let _alone = alone().await;
    // No Department is made: its namespace is one that somebody else has made.
    with_department(&scenario, "listed", async |department| {
        let (home, outside) = (unique("listed-home"), unique("listed-outside"));
        let tried = async || {
            let outcome = AssertUnwindSafe(listed(&scenario, department, &home, &outside))
                .catch_unwind()
                .await;
            if outcome.is_err() {
                let client = &department.cluster.client;
                eprintln!("{}", describe(client, &[&home, &outside, &department.name]).await);
            }
            // Two operators would look after the same clusters.
            clean_up(department, &home, &outside).await;
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        };
        department.cluster.without_operator(tried).await;
    })
    .await;
}

async fn listed(scenario: &Scenario, department: &Department, home: &str, outside: &str) {
    let client = &department.cluster.client;
    let elsewhere: Api<LakeCluster> = Api::namespaced(client.clone(), outside);
    let before = scenario
        .given("a cluster in a namespace of the list, and one outside", async || {
            for namespace in [home, outside, &department.name] {
                restricted_namespace(department, namespace).await;
            }
            for namespace in [outside, &department.name] {
                let keys = department.keys.data();
                let written = storage::write_secret(client, namespace, "storage", "Opaque", keys).await;
                written.expect("write the keys");
            }
            department.lake(LAKE, json!({})).await;
            let spec = json!({"replicas": 1, "warehouse": "default_warehouse"});
            department.group(GROUP, LAKE, spec).await;
            let mut other = LakeCluster::new(LAKE, department.lakes().get(LAKE).await.expect("get").spec);
            other.spec.storage.prefix = unique("outside");
            elsewhere.create(&PostParams::default(), &other).await.expect("create")
        })
        .await;
    scenario
        .when("an operator is installed for the list", async || {
            let chart = department.cluster.places.checkout.join("charts").join(CHART);
            let list = format!("watchNamespaces={{{}}}", department.name);
            let install = (department.cluster.target.helm(HELM_LIMIT))
                .args(["install", RELEASE, "--namespace", home, "--wait", "--set", &list])
                .arg(chart);
            install.output().await.expect("helm installs it");
        })
        .await;
    let mut session = scenario
        .when("the cluster of the list serves", async || {
            department.serves(GROUP, 1).await;
            let mut session = department.session(LAKE).await;
            two_rows(&mut session).await;
            assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
            session
        })
        .await;
    scenario
        .and("nothing was touched outside", async || {
            let after = elsewhere.get(LAKE).await.expect("get");
            assert_eq!(after.resource_version(), before.resource_version(), "{after:#?}");
            let sets: Api<StatefulSet> = Api::namespaced(client.clone(), outside);
            let pods: Api<Pod> = Api::namespaced(client.clone(), outside);
            let secrets: Api<Secret> = Api::namespaced(client.clone(), outside);
            let everything = ListParams::default();
            assert!(sets.list(&everything).await.expect("list").items.is_empty());
            assert!(pods.list(&everything).await.expect("list").items.is_empty());
            let secrets = secrets.list(&everything).await.expect("list").items;
            let secrets: Vec<String> = secrets.iter().map(ResourceExt::name_any).collect();
            assert_eq!(secrets, ["storage"]);
        })
        .await;
    scenario
        .and(
            "it may do nothing outside, and nothing for the whole cluster",
            async || {
                has_rights_in(department, home, outside).await;
            },
        )
        .await;
    scenario
        .when("it is uninstalled, by rights in the list alone", async || {
            uninstall(department, home).await;
            let lake = department.lakes().get(LAKE).await.expect("the cluster stays");
            let group = department.groups().get(GROUP).await.expect("the group stays");
            let finalizers = [lake.finalizers(), group.finalizers()].concat();
            assert!(finalizers.is_empty(), "left behind: {finalizers:?}");
        })
        .await;
    scenario
        .and("the cluster answers without it", async || {
            assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
        })
        .await;
}

/// As the operator needs it in the list, and without any of it elsewhere.
async fn has_rights_in(department: &Department, home: &str, outside: &str) {
    let client = &department.cluster.client;
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let mut wrong = Vec::new();
    for (group, resource, verb) in [
        ("springtide.dev", "lakeclusters", "list"),
        ("springtide.dev", "computegroups", "patch"),
        ("apps", "statefulsets", "patch"),
        ("", "secrets", "get"),
        ("", "pods", "list"),
    ] {
        // An empty namespace is all of them.
        for (namespace, is_allowed) in [(department.name.as_str(), true), (outside, false), ("", false)] {
            let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
                "user": format!("system:serviceaccount:{home}:{RELEASE}"),
                "resourceAttributes": {"namespace": namespace, "group": group, "resource": resource, "verb": verb},
            }}))
            .expect("a review");
            let answer = reviews
                .create(&PostParams::default(), &review)
                .await
                .expect("an answer");
            if answer.status.is_some_and(|status| status.allowed) != is_allowed {
                wrong.push(format!(
                    "{verb} {resource} in '{namespace}': allowed is not {is_allowed}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of_release = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    assert!(roles.list(&of_release).await.expect("list").items.is_empty());
    assert!(bindings.list(&of_release).await.expect("list").items.is_empty());
}

async fn restricted_namespace(department: &Department, name: &str) {
    let namespaces: Api<Namespace> = Api::all(department.cluster.client.clone());
    let object: Namespace = serde_json::from_value(json!({"metadata": {
        "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }}))
    .expect("a namespace");
    let made = namespaces.create(&PostParams::default(), &object).await;
    made.expect("make a namespace");
}

/// Does nothing where it is not installed.
async fn uninstall(department: &Department, home: &str) {
    let uninstall = department.cluster.target.helm(HELM_LIMIT).args([
        "uninstall",
        RELEASE,
        "--namespace",
        home,
        "--wait",
        "--ignore-not-found",
    ]);
    uninstall.output().await.expect("helm uninstalls it");
}

/// The operator of the list and its namespace go, and so does what the one for all namespaces would take up outside.
async fn clean_up(department: &Department, home: &str, outside: &str) {
    uninstall(department, home).await;
    let namespaces: Api<Namespace> = Api::all(department.cluster.client.clone());
    for namespace in [home, outside] {
        // Where the scenario failed before it made it, there is nothing to delete.
        let _ = namespaces.delete(namespace, &DeleteParams::default()).await;
        eventually(&format!("{namespace} is gone"), DELETE_LIMIT, async || match namespaces
            .get_opt(namespace)
            .await
            .expect("get")
        {
            None => Ok(()),
            Some(left) => Err(format!("{:?}", left.status)),
        })
        .await;
    }
}
