//! An operator that dies in the middle of its work, and one that has nothing to do.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Pod, Service},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use springtide_e2e::{
    departments::{self, OPERATOR_NAMESPACE},
    timeline::Progress,
};

use crate::department::{Department, EFFECT_LIMIT, eventually, holds, names, nodes, with_department};
use crate::scenario::Scenario;

/// Name of the operator's Deployment.
const OPERATOR: &str = "springtide";
const LAKE: &str = "lake";
const GROUP: &str = "crew";
/// How long nothing may be written while nothing is to be done; longer than the minute after which the operator looks anyway.
const IDLE: Duration = Duration::from_secs(75);

/// What the operator writes, as group, version, kind and whether it is in the department's namespace.
const WRITTEN: &[(&str, &str, &str, bool)] = &[
    ("springtide.dev", "v1alpha1", "Department", false),
    ("springtide.dev", "v1alpha1", "LakeCluster", true),
    ("springtide.dev", "v1alpha1", "ComputeGroup", true),
    ("", "v1", "Namespace", false),
    ("", "v1", "ConfigMap", true),
    ("", "v1", "LimitRange", true),
    ("", "v1", "ResourceQuota", true),
    ("", "v1", "Secret", true),
    ("", "v1", "Service", true),
    ("", "v1", "ServiceAccount", true),
    ("apps", "v1", "StatefulSet", true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", true),
    ("policy", "v1", "PodDisruptionBudget", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_or_is_deleted_in_the_middle_of_anything_converges_and_then_writes_nothing() {
    let scenario = Scenario::begin("an operator dies in the middle of anything").may_take(Duration::from_secs(300), "the operator is killed three times and installed anew, and then leads for longer than the minute after which it looks anyway");
    with_department(&scenario, "crash", async |department| {
        let admins = json!({"groups": ["it-crash-admins"]});
        let quota = json!({"cpu": "4", "memory": "16Gi"});
        department
            .apply(json!({"admins": admins, "namespaces": [{"name": department.name, "quota": quota}]}))
            .await;
        department.lake(LAKE, json!({})).await;
        department.group(GROUP, LAKE, json!({"replicas": 2})).await;
        // In the middle of making the cluster.
        let sets: Api<StatefulSet> = Api::namespaced(department.cluster.client.clone(), &department.name);
        eventually("the frontend is being made", EFFECT_LIMIT, async || {
            sets.get_opt("lake-fe")
                .await
                .expect("get")
                .map(drop)
                .ok_or_else(String::new)
        })
        .await;
        kill_operator(department, 0).await;
        department.serves(GROUP, 2).await;
        // In the middle of adding a node, and of letting two go; once by force and once as an upgrade does it.
        scale(department, 3).await;
        kill_operator(department, 30).await;
        department.serves(GROUP, 3).await;
        scale(department, 1).await;
        kill_operator(department, 0).await;
        department.serves(GROUP, 1).await;
        let mut session = department.session(LAKE).await;
        assert_eq!(nodes(&mut session, GROUP).await.len(), 1);
        // Deleted in the middle of adding nodes, and made again when other things are wanted.
        scale(department, 3).await;
        without_operator(department, async || {
            scale(department, 2).await;
            let services: Api<Service> = Api::namespaced(department.cluster.client.clone(), &department.name);
            services.delete(LAKE, &DeleteParams::default()).await.expect("delete");
        })
        .await;
        department.serves(GROUP, 2).await;
        assert_eq!(nodes(&mut department.session(LAKE).await, GROUP).await.len(), 2);
        writes_nothing(department).await;
    })
    .await;
}

/// Deletes the operator's pod, and waits until another one is there.
async fn kill_operator(department: &Department, grace_s: u32) {
    let pods: Api<Pod> = Api::namespaced(department.cluster.client.clone(), OPERATOR_NAMESPACE);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let before = names(&pods.list(&operators).await.expect("list").items);
    assert!(!before.is_empty(), "no operator runs");
    for pod in &before {
        pods.delete(pod, &DeleteParams::default().grace_period(grace_s))
            .await
            .expect("delete");
    }
    eventually("another operator is there", EFFECT_LIMIT, async || {
        let now = names(&pods.list(&operators).await.expect("list").items);
        if now.iter().any(|pod| !before.contains(pod)) {
            Ok(())
        } else {
            Err(now.join(", "))
        }
    })
    .await;
}

/// Deletes the operator, does something, and makes the operator again.
async fn without_operator(department: &Department, meanwhile: impl AsyncFnOnce()) {
    let client = &department.cluster.client;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    deployments
        .delete(OPERATOR, &DeleteParams::foreground())
        .await
        .expect("delete");
    let pods: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    eventually("the operator is gone", EFFECT_LIMIT, async || {
        let deployment = deployments.get_opt(OPERATOR).await.expect("get");
        let left = names(&pods.list(&operators).await.expect("list").items);
        if deployment.is_none() && left.is_empty() {
            Ok(())
        } else {
            Err(left.join(", "))
        }
    })
    .await;
    // All scenarios share the operator: it comes back whatever happens meanwhile.
    let outcome = AssertUnwindSafe(meanwhile()).catch_unwind().await;
    // By the chart, as its owner would: an object made by another hand is in the way of the next upgrade.
    departments::install_operator(
        &department.cluster.target,
        &department.cluster.places,
        &Progress::default(),
    )
    .await
    .expect("helm installs the operator again");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn scale(department: &Department, replicas: u32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    department
        .groups()
        .patch_scale(GROUP, &PatchParams::default(), &patch)
        .await
        .expect("scale");
}

/// Every write of an object, whoever does it, gives it another resource version.
async fn writes_nothing(department: &Department) {
    // Pods that are ready, the last status, and what Kubernetes' own controllers write of pods that have just gone.
    let mut before = versions(department).await;
    eventually("nothing is left to be done", EFFECT_LIMIT, async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = versions(department).await;
        let changed = changed(&before, &now);
        before = now;
        let status = department.status(GROUP).await;
        holds(&status.conditions, "Ready")?;
        // Nodes serve before their kubelet has looked whether they are ready.
        if status.ready_replicas != status.replicas {
            return Err(format!(
                "{} of {} pods are ready",
                status.ready_replicas, status.replicas
            ));
        }
        if changed.is_empty() {
            Ok(())
        } else {
            Err(changed.join(", "))
        }
    })
    .await;
    assert!(before.len() >= 12, "{before:?}");
    tokio::time::sleep(IDLE).await;
    let after = versions(department).await;
    let changed = changed(&before, &after);
    let written: Vec<String> = changed
        .iter()
        .map(|object| format!("{object}: {:#?} became {:#?}", before.get(object), after.get(object)))
        .collect();
    assert!(
        written.is_empty(),
        "written within {IDLE:?} without a cause: {}",
        written.join("\n")
    );
}

async fn versions(department: &Department) -> BTreeMap<String, DynamicObject> {
    let client = &department.cluster.client;
    let mut versions = BTreeMap::new();
    for (group, version, kind, is_namespaced) in WRITTEN {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = if *is_namespaced {
            Api::namespaced_with(client.clone(), &department.name, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let named = ListParams::default().fields(&format!("metadata.name={}", department.name));
        let what = if *is_namespaced { ListParams::default() } else { named };
        for mut object in api
            .list(&what)
            .await
            .unwrap_or_else(|error| panic!("list {kind}: {error}"))
        {
            // What is printed shows no Secret.
            if *kind == "Secret" {
                object.data = json!({});
            }
            versions.insert(format!("{kind} {}", object.name_any()), object);
        }
    }
    versions
}

fn changed(before: &BTreeMap<String, DynamicObject>, after: &BTreeMap<String, DynamicObject>) -> Vec<String> {
    let version = |objects: &BTreeMap<String, DynamicObject>, name: &String| objects.get(name)?.resource_version();
    let differs = |name: &&String| version(before, name) != version(after, name);
    let mut changed: Vec<String> = after.keys().filter(differs).cloned().collect();
    changed.extend(before.keys().filter(|object| !after.contains_key(*object)).cloned());
    changed
}
