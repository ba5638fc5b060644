//! A frontend that is told to stop, as in a roll: what runs there ends well, others are served as long as something does, and then it
//! takes nothing new.

use std::time::{Duration, Instant};

use futures::channel::mpsc;
use mysql_async::{Row, prelude::Queryable};
use reqwest::Body;
use serde_json::Value;
use springtide_contract::{drain::FRONTEND_STOP, ports};

use crate::{
    client::Client,
    lost_nodes::with_facts,
    processes::{Cluster, address, cluster, until},
};

/// Far more than all buffers between a compute node and a client hold: the statement runs for as long as nobody reads.
const WIDE_QUERY: &str = "SELECT id, repeat(payload, 100) FROM lake.facts";
/// Rows of the table, and so of the answer.
const ROWS: usize = 16_000;
/// Time in which clients are to hear that they have to go elsewhere: at once, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Tells the frontend to stop, and waits until it has heard.
async fn tell_to_stop(cluster: &Cluster) {
    cluster.terminate_frontend();
    until("the frontend was told", async || {
        let heard = cluster.logged("taking statements and loads until those that run have ended")[0];
        (heard == 1).then_some(())
    })
    .await;
}

/// Waits until the frontend takes no connection of any kind any more, when nothing runs that ran when it was told to stop.
async fn refused_at_once(cluster: &Cluster) {
    let begun = Instant::now();
    until("MySQL takes no connection", async || {
        cluster.client.try_connect().await.is_err().then_some(())
    })
    .await;
    let http = format!("http://{}:{}/api/health", cluster.host, ports::FE_HTTP);
    until("HTTP takes no connection", async || {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        client.get(&http).send().await.is_err().then_some(())
    })
    .await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// Waits until the frontend has ended by itself, long before what it may take.
async fn ends_well(cluster: &mut Cluster) {
    let begun = Instant::now();
    let status = until("the frontend ends", async || cluster.frontend_ended()).await;
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < FRONTEND_STOP / 2, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_and_an_insert_that_run_when_the_frontend_is_told_to_stop_end_well() {
    let mut cluster = cluster().compute(1).result_hold_bytes(1024).start().await;
    with_facts(&cluster).await;
    cluster
        .client
        .execute(&["CREATE TABLE lake.copy (id BIGINT, payload VARCHAR(64)) DISTRIBUTED BY HASH(id) BUCKETS 3"])
        .await;
    // It plans, runs, commits and becomes visible after the frontend was told to stop: its node is not there before.
    let host = address();
    cluster.announce_node(&host, "late").await;
    let user = cluster.client.clone();
    let insert = tokio::spawn(async move {
        let mut connection = user.connect().await;
        connection.query_drop("SET warehouse = 'late'").await?;
        connection
            .query_drop("INSERT INTO lake.copy SELECT id, payload FROM lake.facts")
            .await?;
        Ok::<_, mysql_async::Error>(connection.info().into_owned())
    });
    let mut reader = cluster.client.connect().await;
    let mut result = reader.query_iter(WIDE_QUERY).await.expect("a result");
    let first: Option<Row> = result.next().await.expect("a row");
    assert!(first.is_some());
    let mut idle = cluster.client.connect().await;
    until("the insert waits for its node", async || {
        let connections = cluster.client.rows("SHOW FULL PROCESSLIST").await;
        let waits = |row: &String| row.contains("no node of the warehouse takes work");
        connections.iter().any(waits).then_some(())
    })
    .await;

    tell_to_stop(&cluster).await;
    // Its clients have no other frontend.
    idle.query_drop("SELECT 1").await.expect("others are served meanwhile");
    cluster.client.execute(&["SELECT 1"]).await;
    assert!(cluster.frontend_ended().is_none(), "it lets both end");
    assert!(!insert.is_finished());
    cluster.start_node(&host);
    let info = insert.await.expect("no panic").expect("the insert ends well");
    assert!(info.contains("'status':'VISIBLE'"), "{info}");
    assert!(cluster.frontend_ended().is_none(), "it lets the query end, too");
    let mut rows = 1;
    while result.next().await.expect("no error").is_some() {
        rows += 1;
    }
    assert_eq!(rows, ROWS, "the query has all its rows");
    drop(result);
    refused_at_once(&cluster).await;
    idle.query_drop("SELECT 1").await.expect_err("nothing new begins");
    ends_well(&mut cluster).await;

    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    cluster.wait_for_nodes().await;
    let count = "SELECT count(*) FROM lake.copy";
    assert_eq!(cluster.client.rows(count).await, [ROWS.to_string()]);
    // What ended in that time is in the audit.
    until("the audit has both", async || {
        let audited = "SELECT count(DISTINCT queryType) FROM starrocks_audit_db__.starrocks_audit_tbl__ \
                       WHERE (stmt LIKE 'INSERT INTO lake.copy%' OR stmt LIKE 'SELECT id, repeat%') AND state <> 'ERR'";
        let found = cluster.client.try_rows(audited).await.ok()?;
        (found == ["2"]).then_some(())
    })
    .await;
}

/// Loads one row at a compute node, and gives its answer.
async fn load_row(url: String, user: Client, row: &'static str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let load = client
        .put(&url)
        .basic_auth(&user.user, Some(&user.password))
        .header("column_separator", ",")
        .body(row);
    let answer = load.send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_runs_when_the_frontend_is_told_to_stop_is_committed_and_a_late_one_waits_for_the_next() {
    let mut cluster = cluster().compute(1).start().await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE lake",
            "CREATE TABLE lake.facts (id BIGINT, payload VARCHAR(64)) DISTRIBUTED BY HASH(id) BUCKETS 1",
        ])
        .await;
    let url = format!(
        "http://{}:{}/api/lake/facts/_stream_load",
        cluster.nodes[0].host,
        ports::CN_HTTP
    );
    let (rows, body) = mpsc::unbounded::<Result<String, std::io::Error>>();
    let send = |row: &str| rows.unbounded_send(Ok(row.to_owned())).expect("the load runs");
    let load = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .put(&url)
        .basic_auth(&cluster.client.user, Some(&cluster.client.password))
        .header("expect", "100-continue")
        .header("column_separator", ",")
        .body(Body::wrap_stream(body));
    let load = tokio::spawn(load.send());
    send("1,before\n");
    until("the load has begun", async || {
        let loads = cluster.client.rows("SHOW LOAD FROM lake").await;
        loads.iter().any(|row| row.contains("|LOADING|")).then_some(())
    })
    .await;

    tell_to_stop(&cluster).await;
    let user = cluster.client.clone();
    let meanwhile = load_row(url.clone(), user.clone(), "3,meanwhile\n").await;
    assert_eq!(meanwhile["Status"], "Success", "{meanwhile}");
    assert!(cluster.frontend_ended().is_none(), "it lets the load end");

    send("2,after\n");
    rows.close_channel();
    let answer = load.await.expect("no panic").expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["Status"], "Success", "{answer}");
    ends_well(&mut cluster).await;
    let late = tokio::spawn(load_row(url, user, "4,late\n"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!late.is_finished(), "it waits for a frontend");
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    let late = late.await.expect("no panic");
    assert_eq!(late["Status"], "Success", "{late}");
    cluster.wait_for_nodes().await;
    assert_eq!(
        cluster.client.rows("SELECT payload FROM lake.facts ORDER BY id").await,
        ["before", "after", "meanwhile", "late"]
    );
}
