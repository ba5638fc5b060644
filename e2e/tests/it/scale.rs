//! `kubectl scale`, as an administrator or an autoscaler uses it.

use serde_json::json;
use springtide_e2e::target::KUBECTL_LIMIT;

use crate::department::{Department, EFFECT_LIMIT, LAKE, Node, eventually, execute, nodes, said, shared, value};
use crate::scenario::Scenario;

const GROUP: &str = "scaled";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_adds_nodes_and_forgets_those_that_left() {
    let scenario = Scenario::begin("kubectl scale adds nodes, and those that left are forgotten");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            department.group(GROUP, LAKE, json!({})).await;
            department.serves(GROUP, 1).await;
            let first = known(&department).await;

            scale(&department, 3).await;
            department.serves(GROUP, 3).await;
            let three = known(&department).await;
            assert_eq!(pods(&three), ["scaled-cn-0", "scaled-cn-1", "scaled-cn-2"]);
            assert!(three.iter().all(|node| node.alive), "{three:?}");
            assert_eq!(three[0], first[0], "the node that stays is the same one");
            let mut session = department.session(LAKE).await;
            execute(&mut session, &["SET warehouse = 'scaled'"]).await;
            assert_eq!(value(&mut session, "SELECT current_warehouse()").await, "scaled");

            scale(&department, 1).await;
            department.serves(GROUP, 1).await;
            assert_eq!(known(&department).await, first, "the others are forgotten, by id");

            // A node that returns under the same name is a new one.
            scale(&department, 2).await;
            department.serves(GROUP, 2).await;
            let two = known(&department).await;
            assert_eq!(pods(&two), ["scaled-cn-0", "scaled-cn-1"]);
            assert_eq!(two[0], first[0]);
            assert_ne!(two[1].id, three[1].id);

            beyond_the_limit(&department).await;
            scale(&department, 0).await;
            department.serves(GROUP, 0).await;
            assert_eq!(known(&department).await, []);
        })
        .await;
}

/// More than the department may have is not accepted, and changes nothing. The spec stays as it was written.
async fn beyond_the_limit(department: &Department) {
    scale(department, 101).await;
    let accepted = eventually("the limit is named", EFFECT_LIMIT, async || {
        let conditions = department
            .groups()
            .get(GROUP)
            .await
            .expect("get")
            .status
            .unwrap_or_default()
            .conditions;
        let accepted = said(&conditions, "Accepted");
        if accepted.starts_with("Accepted=False") {
            Ok(accepted)
        } else {
            Err(accepted)
        }
    })
    .await;
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
}

async fn scale(department: &Department, replicas: u32) {
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
