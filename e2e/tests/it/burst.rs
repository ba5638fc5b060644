//! Many queries at once: statements that wait bring nodes sooner than their use of CPU does. Both times are those of the same
//! queries on a group of one node; while CPU alone is to count, no operator is there that would see them wait. That takes it from
//! everybody, so `e2e/test` runs this after the scenarios that share it.

use std::time::{Duration, Instant};

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use kube::Api;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, execute, shared, value},
    harness::alone,
    long_query::table,
    scenario::Scenario,
};

const BY_CPU: &str = "burst-by-cpu";
const BY_DEMAND: &str = "burst-by-demand";
/// Another autoscaled group of the same cluster, by memory.
const BESIDE: &str = "beside";
/// Statements that arrive at once.
const AT_ONCE: usize = 64;
/// All of them share this machine's cores.
const BURST_LIMIT: Duration = Duration::from_secs(300);
/// Nodes that a burst may have.
const MOST: i32 = 4;
/// Until all nodes are wanted. An autoscaler looks every few seconds, at figures that are older, on a machine that is busy.
const SIZE_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_queries_brings_nodes_sooner_than_their_use_of_cpu_does() {
    let scenario = Scenario::begin("a burst of queries brings nodes sooner than their use of CPU does").may_take(
        Duration::from_secs(240),
        "the operator goes and comes, and the autoscaler has to measure before each of two bursts",
    );
    let _alone = alone().await;
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[BY_CPU, BY_DEMAND, BESIDE], async || {
            let query = "SELECT count(*) FROM it_burst.numbers WHERE md5(repeat(concat('x', id), 60)) < '8'";
            let expected = scenario
                .given("three autoscaled groups of one node, and a query", async || {
                    groups(&department).await;
                    // By nodes of another group: those of these have nothing to do before their burst.
                    let mut session = department.session(LAKE).await;
                    table(&mut session, "it_burst", "default_warehouse").await;
                    value(&mut session, query).await
                })
                .await;
            let by_cpu = by_use_of_cpu(&scenario, &department, query, &expected).await;
            let by_demand = by_statements_that_wait(&scenario, &department, query, &expected).await;
            scenario.measured("all nodes wanted by statements that wait after", by_demand);
            scenario.measured("all nodes wanted by CPU after", by_cpu);
            scenario
                .and("statements that wait have brought them sooner", async || {
                    assert!(
                        by_demand < by_cpu,
                        "{by_demand:?} by statements that wait, {by_cpu:?} by CPU"
                    );
                })
                .await;
            measures(&scenario, &department, BESIDE, "memory").await;
        })
        .await;
}

async fn groups(department: &Department) {
    let by_memory = json!({"minReplicas": 1, "maxReplicas": 2, "memory": 90});
    let spec = json!({"replicas": 1, "autoscaling": by_memory, "drain": {"timeout": "10m"}});
    department.group(BESIDE, LAKE, spec).await;
    // An engine that starts, or has nothing to do, stays well below what of this CPU is aimed at.
    let resources = json!({"cpu": "200m", "memory": "768Mi"});
    let by_cpu = json!({"minReplicas": 1, "maxReplicas": MOST, "cpu": 80});
    for group in [BY_CPU, BY_DEMAND] {
        let spec = json!({
            "replicas": 1, "resources": resources, "autoscaling": by_cpu, "drain": {"timeout": "10m"},
        });
        department.group(group, LAKE, spec).await;
    }
    for group in [BY_CPU, BY_DEMAND, BESIDE] {
        department.serves(group, 1).await;
    }
}

/// With nobody there who sees statements wait, the autoscaler alone writes the number of nodes. The operator that comes back wants
/// as many.
async fn by_use_of_cpu(scenario: &Scenario, department: &Department, query: &'static str, expected: &str) -> Duration {
    is_at_rest(scenario, department, BY_CPU).await;
    let without_operator = department.cluster.without_operator(async || {
        let (began, clients) = arrive(scenario, department, BY_CPU, query).await;
        let after = reached(scenario, "all nodes are wanted by CPU", began, async || {
            department.groups().get(BY_CPU).await.expect("get").spec.replicas
        })
        .await;
        all_are_answered(scenario, clients, expected).await;
        scenario
            .and("no operator has seen the statements wait", async || {
                let status = department.status(BY_CPU).await;
                assert_eq!(status.wanted_replicas, Some(1), "an operator was there");
                assert_eq!(status.demand, None, "an operator saw the statements wait");
            })
            .await;
        after
    });
    let after = without_operator.await;
    scenario
        .then("the operator is back and wants all nodes", EFFECT_LIMIT, async || {
            let wanted = department.status(BY_CPU).await.wanted_replicas;
            if wanted == Some(MOST) {
                Ok(())
            } else {
                Err(format!("{wanted:?} wanted"))
            }
        })
        .await;
    after
}

/// What counts is what the operator wants for the sake of statements, whatever the autoscaler writes.
async fn by_statements_that_wait(
    scenario: &Scenario,
    department: &Department,
    query: &'static str,
    expected: &str,
) -> Duration {
    is_at_rest(scenario, department, BY_DEMAND).await;
    let (began, clients) = arrive(scenario, department, BY_DEMAND, query).await;
    let after = reached(
        scenario,
        "all nodes are wanted by statements that wait",
        began,
        async || {
            let status = department.status(BY_DEMAND).await;
            let demand = status.demand.map_or(0, |demand| demand.nodes);
            demand.min(status.wanted_replicas.unwrap_or_default())
        },
    )
    .await;
    all_are_answered(scenario, clients, expected).await;
    after
}

/// The query so many times at once, and when that was.
async fn arrive(
    scenario: &Scenario,
    department: &Department,
    group: &str,
    query: &'static str,
) -> (Instant, Vec<JoinHandle<String>>) {
    let sessions = scenario
        .given("as many sessions as queries", async || {
            let mut sessions = Vec::new();
            for _ in 0..AT_ONCE {
                let mut session = department.session(LAKE).await;
                execute(&mut session, &[format!("SET warehouse = '{group}'").as_str()]).await;
                sessions.push(session);
            }
            sessions
        })
        .await;
    scenario
        .when("all of them query at once", async || {
            let began = Instant::now();
            let clients = sessions.into_iter().map(|mut session| {
                tokio::spawn(async move {
                    let answer = session.value(query, BURST_LIMIT).await;
                    answer.unwrap_or_else(|error| panic!("{query}: {error}"))
                })
            });
            (began, clients.collect())
        })
        .await
}

async fn all_are_answered(scenario: &Scenario, clients: Vec<JoinHandle<String>>, expected: &str) {
    scenario
        .and("all queries have the right answer", async || {
            for client in clients {
                assert_eq!(client.await.expect("a query"), expected);
            }
        })
        .await;
}

/// After how long all nodes are wanted.
async fn reached(scenario: &Scenario, what: &str, began: Instant, wanted: impl AsyncFn() -> i32) -> Duration {
    scenario
        .then(what, SIZE_LIMIT, async || {
            let wanted = wanted().await;
            if wanted >= MOST {
                Ok(began.elapsed())
            } else {
                Err(format!("{wanted} wanted"))
            }
        })
        .await
}

/// The autoscaler has measured the group's CPU and leaves it at one node, so that what follows is the burst's doing.
async fn is_at_rest(scenario: &Scenario, department: &Department, group: &str) {
    measures(scenario, department, group, "cpu").await;
    scenario
        .then(&format!("{group} is at rest"), EFFECT_LIMIT, async || {
            let written = department.groups().get(group).await.expect("get").spec.replicas;
            let wanted = department.status(group).await.wanted_replicas;
            let recommended = autoscaler(department, group).await.desired_replicas;
            if (written, wanted, recommended) == (1, Some(1), 1) {
                Ok(())
            } else {
                Err(format!(
                    "written, wanted, recommended: {:?}",
                    (written, wanted, recommended)
                ))
            }
        })
        .await;
}

/// The autoscaler of a group reads the engine container's use: it decides by what it was told to decide by.
async fn measures(scenario: &Scenario, department: &Department, group: &str, resource: &str) {
    let what = format!("the autoscaler of {group} measures {resource}");
    scenario
        .then(&what, EFFECT_LIMIT, async || {
            let status = autoscaler(department, group).await;
            let metrics = status.current_metrics.iter().flatten();
            let read = metrics
                .filter_map(|metric| metric.container_resource.as_ref())
                .any(|metric| metric.name == resource && metric.current.average_utilization.is_some());
            let active = status.conditions.iter().flatten();
            let active: Vec<String> = active
                .map(|condition| format!("{}={} {:?}", condition.type_, condition.status, condition.message))
                .collect();
            if read { Ok(()) } else { Err(format!("{active:?}")) }
        })
        .await;
}

async fn autoscaler(department: &Department, group: &str) -> HorizontalPodAutoscalerStatus {
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(department.cluster.client.clone(), &department.name);
    let autoscaler = autoscalers.get(&format!("{group}-cn")).await.expect("get");
    autoscaler.status.unwrap_or_default()
}
