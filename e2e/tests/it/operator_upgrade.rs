//! Another release of the operator, by helm, and back. It replaces the operator of everybody: `e2e/test` runs it after the scenarios that share
//! it.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use springtide_e2e::departments::OPERATOR_NAMESPACE;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, two_rows, value, with_department},
    engine_upgrade::{NEXT, next_version},
    harness::alone,
    scenario::Scenario,
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
        let outcome = AssertUnwindSafe(there_and_back_again(&scenario, department))
            .catch_unwind()
            .await;
        // Whatever came of it: the others need the operator as it was.
        scenario
            .and("the operator is as it was", async || {
                department.cluster.install_operator().await;
            })
            .await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}

async fn there_and_back_again(scenario: &Scenario, department: &Department) {
    let mut session = scenario
        .given(
            "a cluster of two nodes with two rows, and another release",
            async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                let spec = json!({"replicas": NODES, "warehouse": "default_warehouse"});
                department.group(GROUP, LAKE, spec).await;
                department.serves(GROUP, NODES).await;
                let mut session = department.session(LAKE).await;
                two_rows(&mut session).await;
                next_version(&department.cluster).await;
                session
            },
        )
        .await;
    let before = department.uids().await;
    let next = format!("sidecarImage.tag={NEXT}");
    let chart = department.cluster.places.checkout.join("charts").join(RELEASE);
    let chart = chart.to_string_lossy();
    let upgrade = ["upgrade", RELEASE, &chart, "--reuse-values", "--set", &next];
    scenario
        .when("the operator is upgraded", async || helm(department, &upgrade).await)
        .await;
    let told = nodes_are(scenario, department, "UpdatePending", EFFECT_LIMIT).await;
    scenario
        .and("it is said what would change", async || {
            assert!(told.contains("spec.initContainers[drain].image: "), "{told}");
        })
        .await;
    none_was_replaced(scenario, department, &before).await;

    scenario
        .when("it is rolled back", async || {
            helm(department, &["rollback", RELEASE]).await
        })
        .await;
    nodes_are(scenario, department, "UpToDate", EFFECT_LIMIT).await;
    none_was_replaced(scenario, department, &before).await;

    scenario
        .when("it is upgraded again", async || helm(department, &upgrade).await)
        .await;
    nodes_are(scenario, department, "UpdatePending", EFFECT_LIMIT).await;
    scenario
        .when("somebody opens a maintenance window", async || {
            let until =
                json!({"metadata": {"annotations": {"springtide.dev/maintenance-until": "2100-01-01T00:00:00Z"}}});
            department
                .lakes()
                .patch(LAKE, &PatchParams::default(), &Patch::Merge(until))
                .await
                .expect("open a maintenance window");
        })
        .await;
    nodes_are(scenario, department, "UpToDate", ROLL_LIMIT).await;
    scenario
        .then("all nodes serve", EFFECT_LIMIT, async || {
            department.serving(GROUP, NODES).await
        })
        .await;
    scenario
        .and("the nodes were replaced, and they alone", async || {
            let after = department.uids().await;
            for (name, uid) in &before {
                let is_node = name.starts_with(GROUP);
                assert_eq!(after.get(name) != Some(uid), is_node, "{name}");
            }
        })
        .await;
    scenario
        .and("the same session reads on", async || {
            let sum = value(&mut session, "SELECT sum(id) FROM d.t").await;
            assert_eq!(sum, "3", "the same session");
        })
        .await;
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

/// What is said of whether the nodes are up to date, once it has this reason and is said by an operator that has just looked.
async fn nodes_are(scenario: &Scenario, department: &Department, reason: &str, limit: Duration) -> String {
    scenario
        .then(&format!("{GROUP} is {reason}"), limit, async || {
            department.up_to_date(GROUP, reason).await
        })
        .await
}

async fn none_was_replaced(scenario: &Scenario, department: &Department, before: &BTreeMap<String, String>) {
    scenario
        .and("no pod was replaced", async || {
            assert_eq!(department.uids().await, *before, "no pod was replaced");
        })
        .await;
}
