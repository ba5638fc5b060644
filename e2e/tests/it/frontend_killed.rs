//! A frontend that dies while rows are written, again and again.

use std::{collections::BTreeMap, time::Duration};

use kube::api::DeleteParams;
use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use serde_json::json;
use springtide_e2e::{cluster::listens, mishap::kill_engine, sql::Session};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    department::{Department, EFFECT_LIMIT, STATEMENT_LIMIT, execute, shared},
    scenario::Scenario,
};

const LAKE: &str = "mortal";
const GROUP: &str = "mortal-main";
/// Rows of one statement, on as many buckets.
const ROWS: usize = 3;
/// Writers at once.
const WRITERS: usize = 3;
const KILLS: usize = 4;
/// A writer gives a connection or a statement up after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Statements that each writer has acknowledged between two kills.
const STATEMENTS_BETWEEN: u32 = 4;

/// What a writer was told of each of its statements.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: Vec<u32>,
    failed: Vec<u32>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_killed_again_and_again_loses_nothing_and_shows_nothing_in_part() {
    let scenario = Scenario::begin("a frontend that is killed again and again loses nothing")
        .may_take(Duration::from_secs(120), "a frontend starts five times");
    let department = shared(&scenario).await;
    department
        .with_own(&[LAKE], &[GROUP], async || {
            let (ends, writers) = scenario
                .given("a cluster of one node, and writers", async || {
                    department.lake(LAKE, json!({})).await;
                    let spec = json!({"warehouse": "default_warehouse"});
                    department.group(GROUP, LAKE, spec).await;
                    department.serves(GROUP, 1).await;
                    execute(
                        &mut department.session(LAKE).await,
                        &[
                            "CREATE DATABASE it_ledger",
                            "CREATE TABLE it_ledger.entry (statement BIGINT, part INT)
                             DUPLICATE KEY(statement, part) DISTRIBUTED BY HASH(part) BUCKETS 3",
                        ],
                    )
                    .await;
                    start_writers(&department).await
                })
                .await;
            for round in 0..KILLS {
                all_get_on(&scenario, &writers).await;
                scenario
                    .when("the frontend is killed", async || {
                        let frontend = department.pods().get("mortal-fe-0").await.expect("get");
                        kill_engine(&frontend).expect("kill the engine");
                        if round > 0 {
                            // The kubelet would wait longer before each further start of the container: a new pod starts at once.
                            let now = DeleteParams::default().grace_period(0);
                            department.pods().delete("mortal-fe-0", &now).await.expect("delete");
                        }
                    })
                    .await;
            }
            all_get_on(&scenario, &writers).await;
            let mut ledger = Ledger::default();
            scenario
                .when("the writers end", async || {
                    ends.send_replace(true);
                    for writer in writers {
                        let Ledger { acknowledged, failed } = writer.task.await.expect("a writer");
                        ledger.acknowledged.extend(acknowledged);
                        ledger.failed.extend(failed);
                    }
                })
                .await;
            scenario
                .and(
                    "what was acknowledged is there once, and all else whole or not at all",
                    async || {
                        audit(&department, &ledger).await;
                    },
                )
                .await;
        })
        .await;
}

struct Writer {
    acknowledged: watch::Receiver<u32>,
    task: JoinHandle<Ledger>,
}

async fn start_writers(department: &Department) -> (watch::Sender<bool>, Vec<Writer>) {
    let (ends, end) = watch::channel(false);
    let login = department.login(LAKE).await;
    let password = department.secret(&login.account.secret, "password").await;
    let door = (login.door.host().to_owned(), login.door.port());
    let writers = (0..WRITERS).map(|number| {
        let (count, acknowledged) = watch::channel(0);
        let first = u32::try_from(number * 1_000_000).expect("a small number");
        let task = write(
            door.clone(),
            login.account.user.clone(),
            password.clone(),
            first,
            count,
            end.clone(),
        );
        Writer {
            acknowledged,
            task: tokio::spawn(task),
        }
    });
    (ends, writers.collect())
}

/// Writes one statement after the other, each with a number of its own; after a failure it logs in again and goes on with
/// the next: whether the failed one was done is not for the client to know.
async fn write(
    (host, port): (String, u16),
    user: String,
    password: String,
    first: u32,
    count: watch::Sender<u32>,
    end: watch::Receiver<bool>,
) -> Ledger {
    let options = OptsBuilder::default()
        .ip_or_hostname(host.as_str())
        .tcp_port(port)
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false);
    let mut ledger = Ledger::default();
    let mut connection: Option<Conn> = None;
    let mut statement = first;
    while !*end.borrow() {
        if connection.is_none() {
            connection = within(Conn::new(options.clone())).await;
        }
        let Some(open) = &mut connection else {
            listens(&host, port, ANSWER_LIMIT).await;
            continue;
        };
        statement += 1;
        let values: Vec<String> = (0..ROWS).map(|part| format!("({statement}, {part})")).collect();
        let insert = format!("INSERT INTO it_ledger.entry VALUES {}", values.join(", "));
        if within(open.query_drop(insert)).await.is_some() {
            ledger.acknowledged.push(statement);
            count.send_modify(|count| *count += 1);
        } else {
            ledger.failed.push(statement);
            connection = None;
        }
    }
    ledger
}

/// The value, unless it failed or took too long.
async fn within<T>(work: impl Future<Output = mysql_async::Result<T>>) -> Option<T> {
    tokio::time::timeout(ANSWER_LIMIT, work).await.ok()?.ok()
}

/// Waits until every writer has further statements acknowledged: the frontend serves again.
async fn all_get_on(scenario: &Scenario, writers: &[Writer]) {
    let before: Vec<u32> = writers.iter().map(|writer| *writer.acknowledged.borrow()).collect();
    scenario
        .then("all writers get on", EFFECT_LIMIT, async || {
            let now: Vec<u32> = writers.iter().map(|writer| *writer.acknowledged.borrow()).collect();
            let got_on = now
                .iter()
                .zip(&before)
                .all(|(now, before)| *now >= before + STATEMENTS_BETWEEN);
            if got_on {
                Ok(())
            } else {
                Err(format!("{before:?} then {now:?}"))
            }
        })
        .await;
}

/// Everything that was acknowledged is there once; what was not is there whole or not at all.
async fn audit(department: &Department, ledger: &Ledger) {
    let mut session: Session = department.session(LAKE).await;
    let query = "SELECT statement, count(*), count(DISTINCT part) FROM it_ledger.entry GROUP BY statement";
    let rows = session.rows(query, STATEMENT_LIMIT).await.expect("the rows");
    let found: BTreeMap<u32, (usize, usize)> = rows
        .iter()
        .map(|row| {
            let number = |text: &String| text.parse::<usize>().expect("a number");
            (row[0].parse().expect("a number"), (number(&row[1]), number(&row[2])))
        })
        .collect();
    let lost: Vec<&u32> = ledger
        .acknowledged
        .iter()
        .filter(|statement| !found.contains_key(statement))
        .collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    let broken: Vec<_> = found.iter().filter(|(_, counts)| **counts != (ROWS, ROWS)).collect();
    assert!(broken.is_empty(), "in part, or more than once: {broken:?}");
    let known = |statement: &u32| ledger.acknowledged.contains(statement) || ledger.failed.contains(statement);
    let foreign: Vec<&u32> = found.keys().filter(|statement| !known(statement)).collect();
    assert!(foreign.is_empty(), "never written: {foreign:?}");
    let enough = WRITERS * KILLS * STATEMENTS_BETWEEN as usize;
    assert!(
        ledger.acknowledged.len() >= enough,
        "only {} statements",
        ledger.acknowledged.len()
    );
    assert!(
        !ledger.failed.is_empty(),
        "no statement was under way at any of {KILLS} kills"
    );
}
