//! Pod Security: every namespace that holds pods of ours enforces the `restricted` standard, and every pod of ours passes it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use springtide_e2e::{departments::OPERATOR_NAMESPACE, storage};

use crate::{
    department::{Department, EFFECT_LIMIT, shared},
    harness::with_temp_namespace,
    scenario::Scenario,
};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const RESTRICTED: &str = "restricted";
/// What the cluster fills in, and may not be written, or is not there in another namespace.
const FILLED_IN: [&str; 6] = [
    "nodeName",
    "serviceAccount",
    "serviceAccountName",
    "imagePullSecrets",
    "priority",
    "preemptionPolicy",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_namespace_of_ours_enforces_restricted_pods_and_every_pod_of_ours_passes() {
    let scenario = Scenario::begin("every pod of ours is a restricted one");
    let department = shared(&scenario).await;
    let client = &department.cluster.client;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut pods = Vec::new();
    for name in [OPERATOR_NAMESPACE, &department.name, storage::NAMESPACE] {
        let namespace = namespaces.get(name).await.expect("get");
        assert_eq!(
            namespace.labels().get(ENFORCE).map(String::as_str),
            Some(RESTRICTED),
            "{name}"
        );
        let here: Api<Pod> = Api::namespaced(client.clone(), name);
        let found = here.list(&ListParams::default()).await.expect("list").items;
        assert!(!found.is_empty(), "no pod runs in {name}");
        pods.extend(found);
    }
    with_temp_namespace(&department.cluster, RESTRICTED, async |namespace| {
        let enforced = Patch::Merge(json!({"metadata": {"labels": {ENFORCE: RESTRICTED}}}));
        let written = namespaces.patch(namespace, &PatchParams::default(), &enforced).await;
        written.expect("label the namespace");
        let anything = json!({"containers": [{"name": "main", "image": "anything"}]});
        scenario
            .then("a pod with rights is refused", EFFECT_LIMIT, async || {
                match refusal(&department, namespace, anything.clone()).await {
                    Some(why) if why.contains("violates PodSecurity") => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        let mut refused = BTreeMap::new();
        scenario
            .when("each of ours is tried there", async || {
                for pod in &pods {
                    let mut spec = serde_json::to_value(&pod.spec).expect("JSON");
                    for field in FILLED_IN {
                        spec.as_object_mut().expect("a spec").remove(field);
                    }
                    if let Some(why) = refusal(&department, namespace, spec).await {
                        let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
                        refused.insert(name, why);
                    }
                }
            })
            .await;
        assert!(refused.is_empty(), "{refused:#?}");
        let of_engine = pods
            .iter()
            .filter(|pod| pod.labels().contains_key("springtide.dev/cluster"));
        assert!(of_engine.count() >= 3, "a frontend and two nodes");
    })
    .await;
}

/// Why a pod may not be made in a namespace; it is not made where it may.
async fn refusal(department: &Department, namespace: &str, spec: Value) -> Option<String> {
    let pods: Api<Pod> = Api::namespaced(department.cluster.client.clone(), namespace);
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "tried"}, "spec": spec})).expect("a pod");
    let dry_run = PostParams {
        dry_run: true,
        ..Default::default()
    };
    pods.create(&dry_run, &pod).await.err().map(|error| error.to_string())
}
