//! Compute nodes that are killed in the middle of a SELECT, and queries that all of them share.

use std::time::Duration;

use futures::stream;
use mysql_async::{Row, prelude::Queryable};
use reqwest::Body;
use springtide_contract::ports;

use crate::{
    load::put,
    processes::{Cluster, PATIENCE, cluster, until},
};

/// Rows of the table.
const ROWS: usize = 16_000;
/// Compares each row with each, which takes seconds.
pub(crate) const LONG_QUERY: &str = "SELECT count(*), sum(a.id - b.id) FROM lake.facts a JOIN lake.facts b \
                          ON a.payload < b.payload OR a.id > b.id + 1000000";

/// A table whose rows are on all nodes: as many buckets as three nodes share evenly.
pub(crate) async fn with_facts(cluster: &Cluster) {
    cluster
        .client
        .execute(&[
            "CREATE DATABASE lake",
            "CREATE TABLE lake.facts (id BIGINT NOT NULL, payload VARCHAR(64)) DUPLICATE KEY(id) \
             DISTRIBUTED BY HASH(id) BUCKETS 6",
        ])
        .await;
    let rows: String = (0..ROWS)
        .map(|id| format!("{id},{:016x} a payload of some length\n", hashed(id as u64)))
        .collect();
    let (_, reply) = put(
        &cluster.load_url("lake", "facts"),
        &cluster.client.user,
        &cluster.client.password,
        &[("column_separator", ",")],
        rows.into_bytes(),
    )
    .await;
    assert_eq!(reply["Status"], "Success", "{reply}");
}

/// Spreads numbers over all of 64 bits (SplitMix64).
fn hashed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Waits until a node runs a fragment of a query, and says which.
pub(crate) async fn busy_node(cluster: &Cluster) -> usize {
    until("a compute node runs a fragment", async || {
        for (index, node) in cluster.nodes.iter().enumerate() {
            if node.try_metric("springtide_cn_running_fragments").await? > 0 {
                return Some(index);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compute_node_scans_in_a_query_that_spreads() {
    let cluster = cluster().compute(3).start().await;
    with_facts(&cluster).await;
    for query in [
        "SELECT count(*), max(payload) FROM lake.facts WHERE payload LIKE '%payload%'",
        "SELECT id % 7 AS g, count(*) FROM lake.facts GROUP BY g ORDER BY g",
        "SELECT count(*) FROM lake.facts a JOIN lake.facts b ON a.payload = b.payload",
    ] {
        let mut before = Vec::new();
        for node in &cluster.nodes {
            before.push(node.scanned_rows().await);
        }
        let answer = cluster.client.rows(query).await;
        assert!(!answer.is_empty(), "{query}");
        for (node, before) in cluster.nodes.iter().zip(before) {
            let scanned = node.scanned_rows().await - before;
            assert!(scanned > 0, "{query}: compute node {} scanned no row", node.host);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_chooses_the_compute() {
    let cluster = cluster().compute_in("etl").compute_in("dashboards").start().await;
    let mut connection = cluster.client.connect().await;
    for statement in [
        "CREATE DATABASE lake",
        "CREATE TABLE lake.facts (id BIGINT, note VARCHAR(9)) DISTRIBUTED BY HASH(id) BUCKETS 4",
        "SET warehouse = 'etl'",
        "INSERT INTO lake.facts VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    ] {
        connection.query_drop(statement).await.expect(statement);
    }
    for (warehouse, chosen, other) in [("etl", 0, 1), ("dashboards", 1, 0)] {
        let (before, idle) = (
            cluster.nodes[chosen].scanned_rows().await,
            cluster.nodes[other].scanned_rows().await,
        );
        connection
            .query_drop(format!("SET warehouse = '{warehouse}'"))
            .await
            .expect("a warehouse");
        let found: Option<String> = connection
            .query_first("SELECT max(note) FROM lake.facts")
            .await
            .expect("an answer");
        assert_eq!(found.as_deref(), Some("c"));
        assert!(cluster.nodes[chosen].scanned_rows().await > before, "{warehouse} scans");
        assert_eq!(
            cluster.nodes[other].scanned_rows().await,
            idle,
            "the other warehouse rests"
        );
    }
    // The default warehouse has no node: that is said with StarRocks' number.
    let (code, message) = cluster.client.error("SELECT max(note) FROM lake.facts").await;
    assert_eq!(code, 5905, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_survives_a_compute_node_that_is_killed_before_the_first_row() {
    let mut cluster = cluster().compute(3).start().await;
    with_facts(&cluster).await;
    let expected = cluster.client.rows(LONG_QUERY).await;
    let client = cluster.client.clone();
    let running = tokio::spawn(async move { client.try_rows(LONG_QUERY).await });
    let victim = busy_node(&cluster).await;
    cluster.nodes[victim].process.kill();
    let answer = tokio::time::timeout(PATIENCE, running)
        .await
        .expect("the query ends")
        .expect("no panic")
        .expect("the others answer");
    assert_eq!(answer, expected);
    assert_eq!(cluster.frontend_metric("starrocks_fe_query_retry").await, 1);
    // Nothing is sent to the lost node any more, though it is still in the catalog.
    let nodes = cluster.client.rows("SHOW COMPUTE NODES").await;
    let lost = nodes.iter().find(|row| row.contains(&cluster.nodes[victim].host));
    assert_eq!(lost.and_then(|row| row.split('|').nth(8)), Some("false"));
    assert_eq!(
        cluster
            .client
            .rows("SELECT count(*) FROM lake.facts WHERE payload <> ''")
            .await,
        [ROWS.to_string()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_survives_a_compute_node_that_is_killed() {
    let mut cluster = cluster().compute(3).start().await;
    with_facts(&cluster).await;
    let client = cluster.client.clone();
    let statement = format!("EXPLAIN ANALYZE {LONG_QUERY}");
    let running = tokio::spawn(async move { client.try_rows(&statement).await });
    let victim = busy_node(&cluster).await;
    cluster.nodes[victim].process.kill();
    let lines = tokio::time::timeout(PATIENCE, running)
        .await
        .expect("the statement ends")
        .expect("no panic")
        .expect("the others answer");
    assert!(lines.iter().any(|line| line == "ROWS: 1"), "{lines:?}");
    assert_eq!(cluster.frontend_metric("starrocks_fe_query_retry").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compute_node_that_is_killed_after_the_first_row_is_an_error_to_repeat() {
    let mut cluster = cluster().compute(3).result_hold_bytes(1024).start().await;
    with_facts(&cluster).await;
    let mut connection = cluster.client.connect().await;
    // More rows than all buffers on the way hold: while the client does not read, the nodes wait with the rest.
    let mut result = connection
        .query_iter("SELECT a.id, b.payload, a.payload FROM lake.facts a, lake.facts b")
        .await
        .expect("a result");
    let first: Option<Row> = result.next().await.expect("a row");
    assert!(first.is_some());
    let victim = busy_node(&cluster).await;
    cluster.nodes[victim].process.kill();
    let reading = async {
        loop {
            match result.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the result ended as if it were whole"),
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, reading).await.expect("the result ends");
    match error {
        mysql_async::Error::Server(error) => {
            assert_eq!((error.code, error.state.as_str()), (5990, "40001"), "{}", error.message);
            assert!(error.message.contains("may be repeated"), "{}", error.message);
            assert!(error.message.contains(&cluster.nodes[victim].host), "{}", error.message);
        }
        other => panic!("{other}"),
    }
    assert_eq!(cluster.frontend_metric("starrocks_fe_query_retry").await, 0);
    let again = "SELECT count(*) FROM lake.facts WHERE payload <> ''";
    assert_eq!(cluster.client.rows(again).await, [ROWS.to_string()], "repeating helps");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_survives_a_compute_node_that_is_killed_and_writes_each_row_once() {
    let mut cluster = cluster().compute(3).start().await;
    with_facts(&cluster).await;
    cluster
        .client
        .execute(&["CREATE TABLE lake.copy (id BIGINT, n BIGINT) DISTRIBUTED BY HASH(id) BUCKETS 3"])
        .await;
    let client = cluster.client.clone();
    let insert = "INSERT INTO lake.copy SELECT a.id, count(*) FROM lake.facts a JOIN lake.facts b \
                  ON a.payload < b.payload OR a.id > b.id + 1000000 GROUP BY a.id";
    let running = tokio::spawn(async move { client.try_rows(insert).await });
    let victim = busy_node(&cluster).await;
    cluster.nodes[victim].process.kill();
    tokio::time::timeout(PATIENCE, running)
        .await
        .expect("the insert ends")
        .expect("no panic")
        .expect("the others write");
    // The greatest payload has none above it.
    assert_eq!(
        cluster
            .client
            .rows("SELECT count(*), count(DISTINCT id) FROM lake.copy")
            .await,
        [format!("{0}|{0}", ROWS - 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_can_be_killed_and_leaves_the_nodes_idle() {
    let cluster = cluster().compute(1).start().await;
    with_facts(&cluster).await;
    let mut victim = cluster.client.connect().await;
    let id: u32 = victim
        .query_first("SELECT CONNECTION_ID()")
        .await
        .expect("sent")
        .expect("a row");
    let running = tokio::spawn(async move {
        let ended = victim.query_drop(LONG_QUERY).await;
        (ended, victim)
    });
    busy_node(&cluster).await;
    let seen = cluster.client.rows("SHOW FULL PROCESSLIST").await;
    assert!(seen.iter().any(|row| row.contains("lake.facts a")), "{seen:?}");
    cluster.client.execute(&[&format!("KILL QUERY {id}")]).await;
    let (ended, mut victim) = tokio::time::timeout(PATIENCE, running)
        .await
        .expect("the query ends")
        .expect("no panic");
    match ended {
        Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1317, "{}", error.message),
        other => panic!("{other:?}"),
    }
    victim.query_drop("SELECT 1").await.expect("the connection stays");
    until("the node rests", async || {
        let running = cluster.nodes[0].metric("springtide_cn_running_fragments").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        (running == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_compute_node_was_killed_loads_under_its_label_when_the_node_is_back() {
    let mut cluster = cluster().compute(1).start().await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE lake",
            "CREATE TABLE lake.facts (id BIGINT, payload VARCHAR(64)) DISTRIBUTED BY HASH(id) BUCKETS 1",
        ])
        .await;
    let host = cluster.nodes[0].host.clone();
    let headers = [("column_separator", ","), ("label", "monday")];
    // A client that goes on for ever.
    let rows = stream::unfold(0_u64, async |number| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(format!("{number},slow\n")), number + 1))
    });
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .put(format!("http://{host}:{}/api/lake/facts/_stream_load", ports::CN_HTTP))
        .basic_auth(&cluster.client.user, Some(&cluster.client.password))
        .header("expect", "100-continue")
        .body(Body::wrap_stream(rows));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let slow = tokio::spawn(request.send());
    let client = cluster.client.clone();
    let node_is = async |alive: &str| {
        until(&format!("alive is {alive}"), async || {
            let nodes = client.rows("SHOW COMPUTE NODES").await;
            (nodes[0].split('|').nth(8) == Some(alive)).then_some(())
        })
        .await;
    };
    until("the load has begun", async || {
        let loads = cluster.client.rows("SHOW LOAD FROM lake").await;
        loads.iter().any(|row| row.contains("|monday|LOADING|")).then_some(())
    })
    .await;
    cluster.nodes[0].process.kill();
    assert!(
        slow.await.expect("no panic").is_err(),
        "the client hears that its node is lost"
    );
    node_is("false").await;
    cluster.start_node(&host);
    node_is("true").await;

    let url = cluster.load_url("lake", "facts");
    let (user, password) = (&cluster.client.user, &cluster.client.password);
    until("the label is free, long before its load's own time", async || {
        let (_, reply) = put(&url, user, password, &headers, b"1,again\n".to_vec()).await;
        let status = reply["Status"].as_str().unwrap_or_default().to_owned();
        assert!(
            status == "Success" || reply["ExistingJobStatus"] == "RUNNING",
            "{reply}"
        );
        (status == "Success").then_some(())
    })
    .await;
    assert_eq!(cluster.client.rows("SELECT payload FROM lake.facts").await, ["again"]);
}
