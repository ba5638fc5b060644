//! What a compute node that is to leave does to the work that is on it, and what bounds that work before.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures::stream;
use mysql_async::prelude::Queryable;
use reqwest::{Body, Client, redirect::Policy};
use serde_json::Value;
use springtide_contract::{
    drain::{DRAIN_PATH, DrainRequest, NodeState, NodeStatus, STATUS_PATH},
    ports,
};

use crate::{
    lost_nodes::{LONG_QUERY, busy_node, with_facts},
    processes::{Cluster, PATIENCE, TOKEN, address, cluster, until},
};

/// What a drain waits for.
const DRAIN_TIMEOUT_S: u64 = 12;
/// Work that takes longer, three quarters of it, is ended.
const LONGEST_S: u64 = 9;

impl Cluster {
    async fn status(&self, ask: reqwest::RequestBuilder) -> NodeStatus {
        let answer = ask.bearer_auth(TOKEN).send().await.expect("the node answers");
        answer.json().await.expect("its status")
    }

    fn internal(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.nodes[0].host, ports::CN_HEARTBEAT)
    }
}

/// Who was told that it failed would run it again, and have its rows twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_is_committed_when_its_time_is_over_is_told_as_done() {
    let cluster = cluster().drain_timeout_s(DRAIN_TIMEOUT_S).compute(1).start().await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE lake",
            "CREATE TABLE lake.facts (id BIGINT NOT NULL) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
            "INSERT INTO lake.facts VALUES (1)",
        ])
        .await;
    // Nothing can be made visible for as long as a file is in the way.
    let metadata = cluster.data().join("meta");
    let away = metadata.with_extension("away");
    fs::rename(&metadata, &away).expect("metadata goes");
    fs::write(&metadata, "").expect("a file is in the way");
    let began = Instant::now();
    let mut connection = cluster.client.connect().await;
    connection
        .query_drop("INSERT INTO lake.facts VALUES (2)")
        .await
        .expect("it is committed");
    let info = connection.info().into_owned();
    assert!(info.contains("'status':'COMMITTED'"), "{info}");
    let took = began.elapsed().as_secs();
    assert!((LONGEST_S - 1..DRAIN_TIMEOUT_S).contains(&took), "{took} s");
    fs::remove_file(&metadata).expect("the way is free");
    fs::rename(&away, &metadata).expect("metadata is back");
    until("both rows are visible", async || {
        (cluster.client.rows("SELECT count(*) FROM lake.facts").await == ["2"]).then_some(())
    })
    .await;
}

/// Four times as many rows: [`LONG_QUERY`] takes minutes, on a quick machine too.
async fn with_more_facts(cluster: &Cluster) {
    with_facts(cluster).await;
    let twice_as_many = "INSERT INTO lake.facts SELECT id, payload FROM lake.facts";
    cluster.client.execute(&[twice_as_many, twice_as_many]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_a_drain_would_cut_off_is_ended_before_and_told_what_to_have_raised() {
    let cluster = cluster().drain_timeout_s(DRAIN_TIMEOUT_S).compute(1).start().await;
    with_more_facts(&cluster).await;
    let began = Instant::now();
    let (code, message) = cluster.client.error(LONG_QUERY).await;
    assert!(
        code == 3024
            && message.contains(&format!("time limit of {LONGEST_S} seconds"))
            && message.contains("drain.timeout"),
        "{code} {message}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(DRAIN_TIMEOUT_S + 2),
        "{:?}",
        began.elapsed()
    );

    // A client that goes on for ever, however little it sends.
    let rows = stream::unfold(0_u64, async |number| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(format!("{number},slow\n")), number + 1))
    });
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("a client");
    let answer = client
        .put(format!(
            "http://{}:{}/api/lake/facts/_stream_load",
            cluster.nodes[0].host,
            ports::CN_HTTP
        ))
        .basic_auth(&cluster.client.user, Some(&cluster.client.password))
        .header("expect", "100-continue")
        .header("column_separator", ",")
        .body(Body::wrap_stream(rows))
        .send()
        .await
        .expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    let message = answer["Message"].as_str().unwrap_or_default();
    assert!(
        answer["Status"] == "Fail"
            && message.contains(&format!("longer than {LONGEST_S} s"))
            && message.contains("drain.timeout"),
        "{answer}"
    );
    assert_eq!(
        cluster
            .client
            .rows("SELECT count(*) FROM lake.facts WHERE payload = 'slow'")
            .await,
        ["0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_waited_for_their_node_end_before_a_drain_of_it_would_cut_them_off() {
    let mut cluster = cluster().drain_timeout_s(DRAIN_TIMEOUT_S).compute(1).start().await;
    with_more_facts(&cluster).await;
    cluster
        .client
        .execute(&["CREATE TABLE lake.copy (id BIGINT, n BIGINT) DISTRIBUTED BY HASH(id) BUCKETS 3"])
        .await;
    // It is known and does not run: how long its drain lasts it has told nobody.
    let host = address();
    cluster.announce_node(&host, "late").await;
    let insert = "INSERT INTO lake.copy SELECT a.id, count(*) FROM lake.facts a JOIN lake.facts b \
                  ON a.payload < b.payload OR a.id > b.id + 1000000 GROUP BY a.id";
    let waiting: Vec<_> = [LONG_QUERY, insert]
        .into_iter()
        .map(|statement| {
            let user = cluster.client.clone();
            tokio::spawn(async move {
                let mut connection = user.connect().await;
                connection
                    .query_drop("SET warehouse = 'late'")
                    .await
                    .expect("a warehouse");
                connection.query_drop(statement).await
            })
        })
        .collect();
    until("both wait for the node", async || {
        let connections = cluster.client.rows("SHOW FULL PROCESSLIST").await;
        let wait = connections
            .iter()
            .filter(|row| row.contains("no node of the warehouse takes work"));
        (wait.count() == waiting.len()).then_some(())
    })
    .await;

    cluster.start_node(&host);
    cluster.wait_for_nodes().await;
    let began = Instant::now();
    for statement in waiting {
        let ended = tokio::time::timeout(PATIENCE, statement)
            .await
            .expect("the statement ends")
            .expect("no panic");
        let message = match ended {
            Err(mysql_async::Error::Server(error)) => error.message,
            other => panic!("{other:?}"),
        };
        assert!(
            message.contains(&format!("time limit of {LONGEST_S} seconds")) && message.contains("drain.timeout"),
            "{message}"
        );
    }
    assert!(
        began.elapsed() < Duration::from_secs(DRAIN_TIMEOUT_S + 2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_waits_for_nodes_longer_than_its_own_time_limit_writes_its_row() {
    let mut cluster = cluster().compute(1).start().await;
    cluster
        .client
        .execute(&["CREATE DATABASE lake", "CREATE TABLE lake.t (a INT)"])
        .await;
    let host = address();
    cluster.announce_node(&host, "late").await;
    let user = cluster.client.clone();
    let insert = tokio::spawn(async move {
        let mut connection = user.connect().await;
        for sql in [
            "SET warehouse = 'late'",
            "SET insert_timeout = 2",
            "INSERT INTO lake.t VALUES (1)",
        ] {
            connection.query_drop(sql).await?;
        }
        Ok::<_, mysql_async::Error>(())
    });
    until("it waits for the node", async || {
        let connections = cluster.client.rows("SHOW FULL PROCESSLIST").await;
        let mut waits = connections
            .iter()
            .filter(|row| row.contains("no node of the warehouse takes work"));
        waits.next().map(drop)
    })
    .await;
    // Its limit, and the look for loads whose time is over.
    tokio::time::sleep(Duration::from_secs(4)).await;

    cluster.start_node(&host);
    cluster.wait_for_nodes().await;
    let ended = tokio::time::timeout(PATIENCE, insert).await;
    ended.expect("it ends").expect("no panic").expect("it has its row in");
    assert_eq!(cluster.client.rows("SELECT a FROM lake.t").await, ["1"]);
}

/// It sends its rows to the frontend after a second without an answer, and may not be through with it when the answer comes.
#[tokio::test(flavor = "multi_thread")]
async fn curl_loads_its_rows_though_it_has_begun_to_send_them_while_it_waited_for_nodes() {
    const ROWS: usize = 2_000_000;
    let mut cluster = cluster().compute(1).start().await;
    let table = "CREATE TABLE lake.t (a INT, b VARCHAR(20)) DISTRIBUTED BY HASH(a) BUCKETS 1";
    cluster.client.execute(&["CREATE DATABASE lake", table]).await;
    let host = address();
    cluster.announce_node(&host, "late").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    let rows: String = (0..ROWS).map(|number| format!("{number},0123456789\n")).collect();
    std::fs::write(&file, rows).expect("a file");
    let user = format!("{}:{}", cluster.client.user, cluster.client.password);
    let load = tokio::process::Command::new("curl")
        .args([
            "-sS",
            "--noproxy",
            "*",
            "--location-trusted",
            "-u",
            &user,
            "-H",
            "Expect: 100-continue",
        ])
        .args(["-H", "column_separator: ,", "-H", "warehouse: late", "-T"])
        .args([file.as_os_str(), cluster.load_url("lake", "t").as_ref()])
        .output();
    let load = tokio::spawn(load);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!load.is_finished(), "it waits for a node");

    cluster.start_node(&host);
    let output = tokio::time::timeout(PATIENCE, load).await;
    let output = output.expect("it ends").expect("no panic").expect("curl runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let answer: Option<Value> = serde_json::from_str(&told).ok();
    let status = answer.as_ref().and_then(|answer| answer["Status"].as_str());
    assert_eq!(
        status,
        Some("Success"),
        "{told} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        cluster.client.rows("SELECT count(*) FROM lake.t").await,
        [ROWS.to_string()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_let_go_by_force_is_not_waited_for_and_says_so() {
    let cluster = cluster().compute(1).start().await;
    with_facts(&cluster).await;
    let nodes = cluster.client.rows("SHOW COMPUTE NODES").await;
    let id = nodes[0].split('|').next().expect("ComputeNodeId").to_owned();
    let user = cluster.client.clone();
    let query = tokio::spawn(async move { user.error(LONG_QUERY).await });
    busy_node(&cluster).await;
    let http = Client::builder().no_proxy().build().expect("a client");
    let order = format!("ALTER SYSTEM DRAIN COMPUTE NODE {id}");
    cluster.client.execute(&[order.as_str()]).await;
    // As its pod's hook does.
    let reason = DrainRequest {
        reason: "preStop".to_owned(),
    };
    let drained = cluster
        .status(http.post(cluster.internal(DRAIN_PATH)).json(&reason))
        .await;
    assert_eq!((drained.state, drained.cut_off), (NodeState::Draining, false));

    cluster.client.execute(&[format!("{order} FORCE").as_str()]).await;
    let status = until("the node hears that nobody waits", async || {
        let status = cluster.status(http.get(cluster.internal(STATUS_PATH))).await;
        status.cut_off.then_some(status)
    })
    .await;
    assert!(status.running_fragments > 0 && !status.is_drained(), "{status:?}");
    let connections = cluster.client.rows("SHOW PROCESSLIST").await;
    assert!(
        !query.is_finished(),
        "nothing is cut off before the node is stopped: {connections:?}"
    );
    query.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_waits_in_line_does_not_keep_its_only_node_from_leaving() {
    let cluster = cluster().compute(1).start().await;
    with_facts(&cluster).await;
    let id = cluster.client.rows("SHOW COMPUTE NODES").await[0]
        .split('|')
        .next()
        .expect("ComputeNodeId")
        .to_owned();
    // All slots are taken, and the insert stands in line for one.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let long: Vec<_> = (0..4 * cores)
        .map(|_| {
            let user = cluster.client.clone();
            tokio::spawn(async move { user.try_rows(LONG_QUERY).await })
        })
        .collect();
    let shown = async |what: &str| {
        let connections = cluster.client.rows("SHOW FULL PROCESSLIST").await;
        connections
            .into_iter()
            .filter(|row| row.contains(what))
            .collect::<Vec<_>>()
    };
    until("all slots are taken", async || {
        (shown("lake.facts a").await.len() == long.len()).then_some(())
    })
    .await;
    let user = cluster.client.clone();
    let insert = tokio::spawn(async move {
        user.execute(&["INSERT INTO lake.facts VALUES (1000001, 'late')"]).await;
    });
    until("the insert stands in line", async || {
        let waits = shown("all slots of the warehouse are taken").await;
        waits.iter().any(|row| row.contains("INSERT")).then_some(())
    })
    .await;

    cluster
        .client
        .execute(&[&format!("ALTER SYSTEM DRAIN COMPUTE NODE {id}")])
        .await;
    for row in shown("lake.facts a").await {
        let connection = row.split('|').nth(1).expect("Id").to_owned();
        cluster.client.execute(&[&format!("KILL QUERY {connection}")]).await;
    }
    until("nothing holds the node any more", async || {
        let nodes = cluster.client.rows("SHOW COMPUTE NODES").await;
        nodes[0].contains("|DRAINED|").then_some(())
    })
    .await;
    assert!(!insert.is_finished(), "no node takes work");
    cluster
        .client
        .execute(&[&format!("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE {id}")])
        .await;
    insert.await.expect("the insert is not cut off");
    assert_eq!(
        cluster
            .client
            .rows("SELECT count(*) FROM lake.facts WHERE payload = 'late'")
            .await,
        ["1"]
    );
}
