//! `kubectl scale`, as an administrator or an autoscaler uses it.

use serde_json::json;
use springtide_e2e::target::KUBECTL_LIMIT;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, Node, execute, nodes, shared, value},
    scenario::Scenario,
};

const GROUP: &str = "scaled";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_adds_nodes_and_forgets_those_that_left() {
    let scenario = Scenario::begin("kubectl scale adds nodes, and those that left are forgotten");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            let first = scenario
                .given("a group of one node", async || {
                    department.group(GROUP, LAKE, json!({})).await;
                    department.serves(GROUP, 1).await;
                    known(&department).await
                })
                .await;

            scaled(&scenario, &department, 3).await;
            let three = known(&department).await;
            scenario
                .and("two are new, and sessions may choose their warehouse", async || {
                    assert_eq!(pods(&three), ["scaled-cn-0", "scaled-cn-1", "scaled-cn-2"]);
                    assert!(three.iter().all(|node| node.alive), "{three:?}");
                    assert_eq!(three[0], first[0], "the node that stays is the same one");
                    let mut session = department.session(LAKE).await;
                    execute(&mut session, &["SET warehouse = 'scaled'"]).await;
                    assert_eq!(value(&mut session, "SELECT current_warehouse()").await, "scaled");
                })
                .await;

            scaled(&scenario, &department, 1).await;
            scenario
                .and("the others are forgotten", async || {
                    assert_eq!(known(&department).await, first, "the others are forgotten, by id");
                })
                .await;

            scaled(&scenario, &department, 2).await;
            scenario
                .and("a node that returns under the same name is a new one", async || {
                    let two = known(&department).await;
                    assert_eq!(pods(&two), ["scaled-cn-0", "scaled-cn-1"]);
                    assert_eq!(two[0], first[0]);
                    assert_ne!(two[1].id, three[1].id);
                })
                .await;

            beyond_the_limit(&scenario, &department).await;
            scaled(&scenario, &department, 0).await;
            scenario
                .and("none is known", async || {
                    assert_eq!(known(&department).await, []);
                })
                .await;
        })
        .await;
}

/// So many nodes are asked for, and serve.
async fn scaled(scenario: &Scenario, department: &Department, replicas: i32) {
    scenario
        .when(&format!("it is scaled to {replicas}"), async || {
            scale(department, replicas).await;
        })
        .await;
    scenario
        .then(&format!("{replicas} nodes serve"), EFFECT_LIMIT, async || {
            department.serving(GROUP, replicas).await
        })
        .await;
}

/// More than the department may have is not accepted, and changes nothing. The spec stays as it was written.
async fn beyond_the_limit(scenario: &Scenario, department: &Department) {
    scenario
        .when("it is scaled beyond the department's limit", async || {
            scale(department, 101).await;
        })
        .await;
    let accepted = scenario
        .then("the limit is named", EFFECT_LIMIT, async || {
            let accepted = department.group_says(GROUP, "Accepted").await;
            if accepted.starts_with("Accepted=False") {
                Ok(accepted)
            } else {
                Err(accepted)
            }
        })
        .await;
    scenario
        .and("nothing has changed", async || {
            assert!(
                accepted.contains("DepartmentLimitExceeded: replicas: 101"),
                "{accepted}"
            );
            assert!(
                accepted.contains("the last accepted values stay in force"),
                "{accepted}"
            );
            let group = department.groups().get(GROUP).await.expect("get");
            assert_eq!(group.spec.replicas, 101, "the operator never writes the spec");
            assert_eq!(group.status.unwrap_or_default().wanted_replicas, Some(2));
        })
        .await;
}

async fn scale(department: &Department, replicas: i32) {
    department
        .cluster
        .target
        .kubectl(KUBECTL_LIMIT)
        .args([
            "--namespace",
            &department.name,
            "scale",
            &format!("computegroup/{GROUP}"),
        ])
        .arg(format!("--replicas={replicas}"))
        .output()
        .await
        .expect("kubectl scale");
}

async fn known(department: &Department) -> Vec<Node> {
    nodes(&mut department.session(LAKE).await, GROUP).await
}

fn pods(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.pod.as_str()).collect()
}
