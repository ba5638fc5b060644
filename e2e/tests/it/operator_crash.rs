//! An operator that dies in the middle of its work, and one that has nothing to do.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    coordination::v1::Lease,
    core::v1::{Pod, Service},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use springtide_e2e::departments::OPERATOR_NAMESPACE;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, holds, nodes, with_department},
    harness::OPERATOR,
    scenario::Scenario,
};

const GROUP: &str = "crew";
/// The Lease by which the operator says that it leads, every few seconds.
const LEASE: &str = "springtide-operator";
/// Nothing is left to be done where nothing has been written for as long.
const QUIET_S: i64 = 3;
/// How long nothing may be written while nothing is to be done; longer than the minute after which the operator looks anyway.
const IDLE_S: i64 = 75;
/// It leads for that long, on a machine that runs several scenarios at once.
const IDLE_LIMIT: Duration = Duration::from_secs(180);

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
    let scenario = Scenario::begin("an operator dies in the middle of anything").may_take(
        Duration::from_secs(300),
        "the operator is killed three times and installed anew, and then leads for longer than the minute after which it looks anyway",
    );
    with_department(&scenario, "crash", async |department| {
        scenario
            .given("a cluster of two nodes that is being made", async || {
                let admins = json!({"groups": ["it-crash-admins"]});
                let quota = json!({"cpu": "4", "memory": "16Gi"});
                department
                    .apply(json!({"admins": admins, "namespaces": [{"name": department.name, "quota": quota}]}))
                    .await;
                department.lake(LAKE, json!({})).await;
                department.group(GROUP, LAKE, json!({"replicas": 2})).await;
            })
            .await;
        let sets: Api<StatefulSet> = Api::namespaced(department.cluster.client.clone(), &department.name);
        scenario
            .then("its frontend is being made", EFFECT_LIMIT, async || {
                let set = sets.get_opt(&format!("{LAKE}-fe")).await.expect("get");
                set.map(drop).ok_or_else(String::new)
            })
            .await;
        kill_operator(&scenario, department, 0).await;
        serve(&scenario, department, 2).await;
        // In the middle of adding a node, and of letting two go; once by force and once as an upgrade does it.
        scale(&scenario, department, 3).await;
        kill_operator(&scenario, department, 30).await;
        serve(&scenario, department, 3).await;
        scale(&scenario, department, 1).await;
        kill_operator(&scenario, department, 0).await;
        serve(&scenario, department, 1).await;
        // Deleted in the middle of adding nodes, and made again when other things are wanted.
        scale(&scenario, department, 3).await;
        without_operator(&scenario, department, async || {
            scale(&scenario, department, 2).await;
            scenario
                .when("a Service is deleted", async || {
                    let services: Api<Service> = Api::namespaced(department.cluster.client.clone(), &department.name);
                    services.delete(LAKE, &DeleteParams::default()).await.expect("delete");
                })
                .await;
        })
        .await;
        serve(&scenario, department, 2).await;
        writes_nothing(&scenario, department).await;
    })
    .await;
}

/// So many nodes serve, and the frontend knows no other.
async fn serve(scenario: &Scenario, department: &Department, replicas: i32) {
    scenario
        .then(&format!("{replicas} nodes serve"), EFFECT_LIMIT, async || {
            department.serving(GROUP, replicas).await
        })
        .await;
    scenario
        .and("the frontend knows no other", async || {
            let known = nodes(&mut department.session(LAKE).await, GROUP).await;
            assert_eq!(i32::try_from(known.len()), Ok(replicas), "{known:?}");
        })
        .await;
}

/// Deletes the operator's pod, and waits until another one is there.
async fn kill_operator(scenario: &Scenario, department: &Department, grace_s: u32) {
    let cluster = &department.cluster;
    let before = cluster.operator_pods().await;
    assert!(!before.is_empty(), "no operator runs");
    scenario
        .when(&format!("the operator is killed within {grace_s} s"), async || {
            let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
            for pod in &before {
                pods.delete(pod, &DeleteParams::default().grace_period(grace_s))
                    .await
                    .expect("delete");
            }
        })
        .await;
    scenario
        .then("another operator is there", EFFECT_LIMIT, async || {
            let now = cluster.operator_pods().await;
            if now.iter().any(|pod| !before.contains(pod)) {
                Ok(())
            } else {
                Err(now.join(", "))
            }
        })
        .await;
}

/// Deletes the operator, does something, and makes the operator again.
async fn without_operator(scenario: &Scenario, department: &Department, meanwhile: impl AsyncFnOnce()) {
    let cluster = &department.cluster;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
    scenario
        .when("the operator is deleted", async || {
            let deleted = deployments.delete(OPERATOR, &DeleteParams::foreground()).await;
            deleted.expect("delete");
        })
        .await;
    scenario
        .then("it is gone", EFFECT_LIMIT, async || {
            let deployment = deployments.get_opt(OPERATOR).await.expect("get");
            let left = cluster.operator_pods().await;
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
    scenario
        .when("the operator is installed again", async || {
            cluster.install_operator().await
        })
        .await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn scale(scenario: &Scenario, department: &Department, replicas: u32) {
    scenario
        .when(&format!("{replicas} nodes are wanted"), async || {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            department
                .groups()
                .patch_scale(GROUP, &PatchParams::default(), &patch)
                .await
                .expect("scale");
        })
        .await;
}

/// Every write of an object, whoever does it, gives it another resource version.
async fn writes_nothing(scenario: &Scenario, department: &Department) {
    // Pods that are ready, the last status, and what Kubernetes' own controllers write of pods that have just gone.
    let (mut before, mut since) = (versions(department).await, led_until(department).await);
    scenario
        .then("nothing is left to be done", EFFECT_LIMIT, async || {
            let now = versions(department).await;
            let changed = changed(&before, &now);
            let led = led_until(department).await;
            if !changed.is_empty() {
                since = led;
            }
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
            if changed.is_empty() && led >= since + QUIET_S {
                Ok(())
            } else {
                Err(changed.join(", "))
            }
        })
        .await;
    assert!(before.len() >= 12, "{before:?}");
    let since = led_until(department).await;
    scenario
        .then(
            "the operator has led for longer than the minute after which it looks",
            IDLE_LIMIT,
            async || {
                let led = led_until(department).await - since;
                if led >= IDLE_S {
                    Ok(())
                } else {
                    Err(format!("it has led for {led} s of {IDLE_S} s"))
                }
            },
        )
        .await;
    scenario
        .and("nothing was written", async || {
            let after = versions(department).await;
            let changed = changed(&before, &after);
            let written: Vec<String> = changed
                .iter()
                .map(|object| format!("{object}: {:#?} became {:#?}", before.get(object), after.get(object)))
                .collect();
            assert!(
                written.is_empty(),
                "written within {IDLE_S} s without a cause: {}",
                written.join("\n")
            );
        })
        .await;
}

/// The second in which the operator last said that it leads.
async fn led_until(department: &Department) -> i64 {
    let leases: Api<Lease> = Api::namespaced(department.cluster.client.clone(), OPERATOR_NAMESPACE);
    let spec = leases.get(LEASE).await.expect("get the Lease").spec.unwrap_or_default();
    spec.renew_time.expect("a leader").0.as_second()
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
