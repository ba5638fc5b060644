//! Nodes come and go while clients load and query without a pause. The longest scenario: its name has it begin among the first.

use std::time::Duration;

use serde_json::json;
use springtide_e2e::soak::{self, Going, Options, Outcome};

use crate::{
    department::{Department, LAKE, with_department},
    scenario::Scenario,
    trial::installed,
};

/// Groups of the two trials: a node of Kubernetes is emptied of the nodes of a group by its name, in whatever namespace they are.
const ASKED: &str = "soak";
const TORN_AWAY: &str = "torn";
/// Scale-ins with the drain on; `make soak-scalein` has a thousand.
const SCALE_INS: u64 = 30;
/// Without a drain the first few are enough.
const WITHOUT_DRAIN: u64 = 8;
/// Nodes that are torn away; more of them, until a statement was hit.
const TORN: u64 = 3;
/// Other scenarios run on the same machine.
const LIMIT: Duration = Duration::from_secs(1200);

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_fails_while_nodes_come_and_go() {
    let scenario = Scenario::begin("no statement fails while nodes come and go").may_take(
        Duration::from_secs(600),
        "thirty nodes go in eight ways, and finish what runs on them",
    );
    on_stage(&scenario, ASKED, async |department| {
        let with = tried(&scenario, department, ASKED, true, Going::Asked, SCALE_INS).await;
        scenario
            .and("no statement has failed, and all ways were gone", async || {
                assert_eq!((with.failed, with.ledger_difference), (0, 0), "{with}");
                assert!(with.wrong_nodes.is_empty(), "{with}");
                assert!(with.scale_ins >= SCALE_INS, "{with}");
                assert_eq!(with.gaps(), [""; 0], "{with}");
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_fail_without_a_drain_and_with_nodes_that_are_torn_away_and_no_row_is_lost_or_doubled() {
    let scenario = Scenario::begin("statements fail without a drain, and no row is lost or doubled").may_take(
        Duration::from_secs(300),
        "eight nodes go and three are torn away, and most are waited for",
    );
    on_stage(&scenario, TORN_AWAY, async |department| {
        // A test that cannot fail proves nothing.
        let without = tried(&scenario, department, TORN_AWAY, false, Going::Asked, WITHOUT_DRAIN).await;
        scenario
            .and(
                "statements have failed without a drain, and no row is missing or twice",
                async || {
                    assert!(without.failed > 0, "{without}");
                    assert_eq!(
                        without.ledger_difference, 0,
                        "what was acknowledged is there, even then: {without}"
                    );
                },
            )
            .await;
        let torn = tried(&scenario, department, TORN_AWAY, true, Going::Torn, TORN).await;
        scenario
            .and(
                "statements have failed by nodes that were torn away, and no row is missing or twice",
                async || {
                    assert_eq!((torn.ledger_difference, torn.wrong_answers.len()), (0, 0), "{torn}");
                    assert!(torn.wrong_nodes.is_empty(), "{torn}");
                    assert!(torn.failed > 0, "no node that was torn away was at a statement: {torn}");
                    let nodes = torn.actions.values().sum::<u64>();
                    assert!((TORN..=soak::MOST_TORN).contains(&nodes), "{torn}");
                    assert_eq!(torn.actions.len(), 3, "each way at least once: {torn}");
                },
            )
            .await;
    })
    .await;
}

/// A department of its own with a cluster and room for many nodes.
async fn on_stage(scenario: &Scenario, name: &str, trial: impl AsyncFnOnce(&Department)) {
    with_department(scenario, name, async |department| {
        scenario
            .given("a cluster, and room for many nodes", async || {
                let quota = json!({"cpu": "8", "memory": "32Gi", "storage": "50Gi", "pods": 60});
                department
                    .apply(json!({"namespaces": [{"name": department.name, "quota": quota}]}))
                    .await;
                department.lake(LAKE, json!({})).await;
            })
            .await;
        trial(department).await;
    })
    .await;
}

/// Nodes of a group go under load, until enough of them have gone.
async fn tried(
    scenario: &Scenario,
    department: &Department,
    group: &str,
    drains: bool,
    going: Going,
    gone: u64,
) -> Outcome {
    let (lake, installed) = scenario
        .given("a group of two nodes, and clients", async || {
            let spec = json!({"replicas": 2, "drain": {"enabled": drains, "timeout": "5m"}});
            department.group(group, LAKE, spec).await;
            department.serves(group, 2).await;
            let lake = department.answers(LAKE).await;
            (lake, installed(&department.cluster).await)
        })
        .await;
    let options = Options {
        gone,
        going,
        every_way: drains,
        limit: LIMIT,
        seed: rand::random(),
    };
    scenario.note(&format!("seed {}", options.seed));
    let cluster = &department.cluster;
    let outcome = scenario
        .meanwhile("clients load and query, and nodes go", async |progress| {
            let (target, client) = (&cluster.target, &cluster.client);
            let outcome = soak::scale_in(target, client, &lake, group, &installed, &options, &progress).await;
            outcome.unwrap_or_else(|error| panic!("{error}"))
        })
        .await;
    scenario.note(&outcome.to_string());
    outcome
}
