//! Another release of the operator, by helm, and back. It replaces the operator of everybody: `e2e/test` runs it after the scenarios that share
//! it.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use springtide_e2e::{
    departments::{self, OPERATOR_NAMESPACE},
    timeline::Progress,
};

use crate::scenario::Scenario;
use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, eventually, said, two_rows, value, with_department},
    engine_upgrade::{NEXT, next_version},
    harness::alone,
};

const GROUP: &str = "crew";
const NODES: i32 = 2;
/// Of the chart.
const RELEASE: &str = "springtide";
const HELM_LIMIT: Duration = Duration::from_secs(240);
/// Each node drains, starts, and has to serve for ten seconds.
const ROLL_LIMIT: Duration = Duration::from_secs(420);

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_operator_and_its_rollback_restart_nothing_until_somebody_opens_a_window() {
    let scenario = Scenario::begin("an upgrade of the operator restarts nothing until a window opens").may_take(
        Duration::from_secs(300),
        "helm brings another operator four times, and the nodes are rolled",
    );
    let _alone = alone().await;
    with_department(&scenario, "release", async |department| {
        let outcome = AssertUnwindSafe(scenario(department)).catch_unwind().await;
        // Whatever came of it: the others need the operator as it was.
        let cluster = &department.cluster;
        departments::install_operator(&cluster.target, &cluster.places, &Progress::default())
            .await
            .expect("helm installs the operator");
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}

async fn scenario(department: &Department) {
    department.apply(json!({})).await;
    department.lake(LAKE, json!({})).await;
    let spec = json!({"replicas": NODES, "warehouse": "default_warehouse"});
    department.group(GROUP, LAKE, spec).await;
    department.serves(GROUP, NODES).await;
    let mut session = department.session(LAKE).await;
    two_rows(&mut session).await;
    next_version(&department.cluster).await;
    let before = pods(department).await;

    let next = format!("sidecarImage.tag={NEXT}");
    let chart = department.cluster.places.checkout.join("charts").join(RELEASE);
    let chart = chart.to_string_lossy();
    let upgrade = ["upgrade", RELEASE, &chart, "--reuse-values", "--set", &next];
    helm(department, &upgrade).await;
    let told = nodes_are(department, "UpdatePending", EFFECT_LIMIT).await;
    assert!(told.contains("spec.initContainers[drain].image: "), "{told}");
    assert_eq!(pods(department).await, before, "no pod was replaced by the upgrade");

    helm(department, &["rollback", RELEASE]).await;
    nodes_are(department, "UpToDate", EFFECT_LIMIT).await;
    assert_eq!(pods(department).await, before, "no pod was replaced by the rollback");

    helm(department, &upgrade).await;
    nodes_are(department, "UpdatePending", EFFECT_LIMIT).await;
    let until = json!({"metadata": {"annotations": {"springtide.dev/maintenance-until": "2100-01-01T00:00:00Z"}}});
    department
        .lakes()
        .patch(LAKE, &PatchParams::default(), &Patch::Merge(until))
        .await
        .expect("open a maintenance window");
    nodes_are(department, "UpToDate", ROLL_LIMIT).await;
    department.serves(GROUP, NODES).await;
    let after = pods(department).await;
    for (name, uid) in &before {
        let is_node = name.starts_with(GROUP);
        assert_eq!(after.get(name) != Some(uid), is_node, "{name}");
    }
    assert_eq!(
        value(&mut session, "SELECT sum(id) FROM d.t").await,
        "3",
        "the same session"
    );
}

async fn helm(department: &Department, arguments: &[&str]) {
    let cluster = &department.cluster;
    cluster
        .target
        .helm(HELM_LIMIT)
        .args(arguments.iter().copied())
        .args(["--namespace", OPERATOR_NAMESPACE, "--wait"])
        .output()
        .await
        .unwrap_or_else(|error| panic!("helm {arguments:?}: {error}"));
}

/// Names and uids of the pods of the department.
async fn pods(department: &Department) -> BTreeMap<String, String> {
    let pods = department
        .pods()
        .list(&ListParams::default())
        .await
        .expect("list")
        .items;
    pods.iter()
        .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
        .collect()
}

/// What is said of whether a group's pods are up to date, once it has this reason and is said of it by an operator that has just looked.
async fn nodes_are(department: &Department, reason: &str, limit: Duration) -> String {
    eventually(&format!("{GROUP} is {reason}"), limit, async || {
        let conditions = department.status(GROUP).await.conditions;
        let told = said(&conditions, "UpToDate");
        if told.contains(&format!(" {reason}: ")) {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await
}
