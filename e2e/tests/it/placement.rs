//! Where and how large the nodes of one group are is its own affair: a change of it replaces these nodes and no other pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, shared},
    scenario::Scenario,
};

const MOVED: &str = "moved";
const BESIDE: &str = "unmoved";
const CPU: &str = "60m";
const SELECTED: (&str, &str) = ("kubernetes.io/os", "linux");

#[tokio::test(flavor = "multi_thread")]
async fn another_place_and_size_of_one_group_replaces_its_nodes_and_no_other_pod() {
    let scenario = Scenario::begin("another place and size of one group replaces its nodes alone");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[MOVED, BESIDE], async || {
            scenario
                .given("two groups of a node each", async || {
                    for group in [MOVED, BESIDE] {
                        department.group(group, LAKE, json!({})).await;
                    }
                    for group in [MOVED, BESIDE] {
                        department.serves(group, 1).await;
                    }
                })
                .await;
            let before = department.uids_of_group(MOVED).await;
            let others = others(&department).await;
            scenario
                .when("one is given another place and size", async || {
                    let (label, value) = SELECTED;
                    let spec = json!({
                        "resources": {"cpu": CPU, "memory": "768Mi"}, "placement": {"nodeSelector": {label: value}},
                    });
                    department.change_group(MOVED, spec).await;
                })
                .await;
            let pod = scenario
                .then("its node is another pod, and serves", EFFECT_LIMIT, async || {
                    department.serving(MOVED, 1).await?;
                    let now = department.uids_of_group(MOVED).await;
                    if now.iter().any(|(name, uid)| before.get(name) == Some(uid)) {
                        return Err(format!("{now:?} from before"));
                    }
                    let pod = department.pods_of_group(MOVED).await.pop();
                    pod.ok_or_else(|| "no pod".to_owned())
                })
                .await;
            scenario
                .and("it is of that place and size", async || is_as_written(&pod))
                .await;
            scenario
                .then("the other group is as it is wanted", EFFECT_LIMIT, async || {
                    department.serving(BESIDE, 1).await?;
                    department.up_to_date(BESIDE, "UpToDate").await
                })
                .await;
            scenario
                .and("its node and the frontend are the same pods", async || {
                    assert_eq!(self::others(&department).await, others);
                })
                .await;
        })
        .await;
}

/// The pods that have nothing to do with it: name, uid and how often their containers were started again.
async fn others(department: &Department) -> Vec<(String, Option<String>, i32)> {
    let mut pods = department.pods_of_group(BESIDE).await;
    let frontend = department.pods().get(&format!("{LAKE}-fe-0")).await;
    pods.push(frontend.expect("get the frontend"));
    let restarts = |pod: &Pod| {
        let containers = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        containers.map(|container| container.restart_count).sum::<i32>()
    };
    pods.iter()
        .map(|pod| (pod.name_any(), pod.uid(), restarts(pod)))
        .collect()
}

fn is_as_written(pod: &Pod) {
    let spec = pod.spec.as_ref().expect("a pod has a spec");
    let (label, value) = SELECTED;
    let selected = spec.node_selector.as_ref().and_then(|labels| labels.get(label));
    assert_eq!(selected.map(String::as_str), Some(value), "{:?}", spec.node_selector);
    let requests = spec.containers.iter().filter_map(|container| {
        let requests = container.resources.as_ref()?.requests.as_ref()?;
        Some(requests.get("cpu")?.0.as_str())
    });
    let requests: Vec<&str> = requests.collect();
    assert!(requests.contains(&CPU), "{requests:?}");
}
