//! A compute node that dies while a query runs on it.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, Row, prelude::Queryable};
use serde_json::json;
use springtide_e2e::{mishap::kill_engine, sql::Session};

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, Node, STATEMENT_LIMIT, execute, nodes, shared, value},
    long_query::{LongQuery, ROWS, long_work, table},
    scenario::Scenario,
};

const GROUP: &str = "victims";
/// Error number by which the engine says that a statement may be repeated.
const RETRYABLE: u16 = 5990;

#[tokio::test(flavor = "multi_thread")]
async fn a_compute_node_killed_during_a_select_is_not_seen_before_the_first_row_and_retryable_after() {
    let scenario = Scenario::begin("compute nodes are killed under a query").may_take(
        Duration::from_secs(120),
        "queries that run for seconds are found first, on whatever machine, and two nodes start again",
    );
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            let long = scenario
                .given("two nodes, and a query that takes a while", async || {
                    // The drain's time is the limit of a statement, too, and other scenarios work on the same cores.
                    let spec = json!({"replicas": 2, "drain": {"timeout": "5m"}});
                    department.group(GROUP, LAKE, spec).await;
                    department.serves(GROUP, 2).await;
                    let mut session = department.session(LAKE).await;
                    table(&mut session, "it_kill", GROUP).await;
                    long_work(&mut session, "it_kill").await
                })
                .await;
            before_the_first_row(&scenario, &department, &long).await;
            scenario
                .then("two nodes serve again", EFFECT_LIMIT, async || {
                    department.serving(GROUP, 2).await
                })
                .await;
            after_the_first_row(&scenario, &department, &long.hash).await;
        })
        .await;
}

/// The client gets the right answer, as if nothing had happened. Where the node that is killed has just ended its part, nothing has: then
/// once more.
async fn before_the_first_row(scenario: &Scenario, department: &Department, long: &LongQuery) {
    const ATTEMPTS: usize = 3;
    for _ in 0..ATTEMPTS {
        let before = second_runs(department).await.len();
        let mut session = department.session(LAKE).await;
        execute(&mut session, &[format!("SET warehouse = '{GROUP}'").as_str()]).await;
        let mut watcher = department.session(LAKE).await;
        let text = long.text.clone();
        let running = tokio::spawn(async move { value(&mut session, &text).await });
        let victim = node_at_work(scenario, &mut watcher, || {
            assert!(!running.is_finished(), "the query ended before a node could be killed");
        })
        .await;
        scenario
            .when("that node is killed", async || {
                let pod = department.pods().get(&victim.pod).await.expect("get");
                kill_engine(&pod).expect("kill the engine");
                assert!(!running.is_finished(), "the query ended before the node was killed");
            })
            .await;
        scenario
            .and("the query has its right answer", async || {
                assert_eq!(running.await.expect("the query"), long.answer);
            })
            .await;
        let runs = second_runs(department).await;
        match &runs[before..] {
            [] => {
                scenario.note("the node had ended its part: once more");
                department.serves(GROUP, 2).await;
            }
            [run, ..] => {
                assert!(
                    run.contains(&victim.pod),
                    "{} was killed, and not this one: {run}",
                    victim.pod
                );
                return;
            }
        };
    }
    panic!("{ATTEMPTS} nodes were killed, and no query was run a second time");
}

/// A node that runs a part of the query; `check` holds as long as there is none.
async fn node_at_work(scenario: &Scenario, watcher: &mut Session, check: impl Fn()) -> Node {
    scenario
        .then("a node runs a part of the query", EFFECT_LIMIT, async || {
            check();
            let nodes = nodes(watcher, GROUP).await;
            let at_work = nodes.iter().find(|node| node.running > 0);
            at_work.cloned().ok_or(format!("{nodes:?}"))
        })
        .await
}

/// What the frontend's log says of queries of this group that it ran once more.
async fn second_runs(department: &Department) -> Vec<String> {
    let mut runs = department.second_runs(LAKE, None).await;
    runs.retain(|line| line.contains(&format!("{GROUP}-cn-")));
    runs
}

/// What the client has got cannot be taken back: the error says that the statement may be repeated.
async fn after_the_first_row(scenario: &Scenario, department: &Department, hash: &str) {
    let login = department.login(LAKE).await;
    let password = department.secret(&login.account.secret, "password").await;
    let options = OptsBuilder::default()
        .ip_or_hostname(login.door.host())
        .tcp_port(login.door.port())
        .user(Some(&login.account.user))
        .pass(Some(password))
        .prefer_socket(false);
    let mut connection = Conn::new(options).await.expect("log in");
    connection.query_drop("SET warehouse = 'victims'").await.expect("SET");
    // A batch is more than the frontend holds back, so the client has the first ones while the nodes work on the others.
    let query = format!("SELECT id, repeat('x', 2000) FROM it_kill.numbers WHERE {hash} < 'g'");
    let mut result = connection.query_iter(query).await.expect("a result");
    let first: Option<Row> = result.next().await.expect("a row");
    assert!(first.is_some(), "the result has rows");
    let mut watcher = department.session(LAKE).await;
    let victim = node_at_work(scenario, &mut watcher, || ()).await;
    scenario
        .when("that node is killed, and the client has a row", async || {
            let pod = department.pods().get(&victim.pod).await.expect("get");
            kill_engine(&pod).expect("kill the engine");
        })
        .await;
    scenario
        .and(
            "the client, which reads on, is told that the statement may be repeated",
            async || {
                let mut rows = 1;
                let end = tokio::time::timeout(STATEMENT_LIMIT, async {
                    loop {
                        match result.next().await {
                            Ok(Some(_)) => rows += 1,
                            Ok(None) => return None,
                            Err(error) => return Some(error),
                        }
                    }
                });
                let error = end.await.expect("the result ends");
                let Some(mysql_async::Error::Server(error)) = error else {
                    panic!("after {rows} of {ROWS} rows: {error:?}");
                };
                assert_eq!(error.code, RETRYABLE, "{error}");
                assert!(error.message.contains("may be repeated"), "{error}");
                assert!(
                    error.message.contains(&victim.pod),
                    "{} was killed: {error}",
                    victim.pod
                );
            },
        )
        .await;
    drop(result);
    scenario
        .and("its connection is whole", async || {
            let one: Option<i32> = connection
                .query_first("SELECT 1")
                .await
                .expect("the connection goes on");
            assert_eq!(one, Some(1));
        })
        .await;
}
