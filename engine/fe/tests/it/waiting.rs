//! How long statements wait for compute, over MySQL, with a compute node that is played by a server of this test.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mysql_async::prelude::Queryable;
use springtide_query::PLAN_VERSION;
use springtide_rpc::message::HeartbeatReply;

use crate::{
    core::nodes,
    frontend::{Frontend, STOP_GRACE, cell, rows},
};

#[tokio::test]
async fn a_statement_waits_through_the_drain_of_the_only_node_unless_the_session_has_said_how_long() {
    let frontend = Frontend::start().await;
    let script = Arc::new(Mutex::new(Some(HeartbeatReply {
        draining: true,
        drain_timeout_s: 600,
        ..nodes::reply(1)
    })));
    let port = nodes::start_node(script).await;
    let mut connection = frontend.connect().await;
    let add = format!("ALTER SYSTEM ADD COMPUTE NODE \"127.0.0.1:{port}\" INTO WAREHOUSE etl");
    for sql in [add.as_str(), "CREATE DATABASE d", "CREATE TABLE d.t (a INT)"] {
        connection.query_drop(sql).await.unwrap();
    }
    loop {
        let (_, listed) = rows(&mut connection, "SHOW COMPUTE NODES").await;
        if listed[0].iter().any(|value| value == "LEAVING") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (said, bound) in [
        (None, "660 s at most"),
        (Some("SET query_queue_pending_timeout_second = 45"), "45 s at most"),
    ] {
        for statement in ["SELECT a FROM d.t", "INSERT INTO d.t VALUES (1)"] {
            let mut waiting = frontend.connect().await;
            waiting.query_drop("SET warehouse = 'etl'").await.unwrap();
            if let Some(said) = said {
                waiting.query_drop(said).await.unwrap();
            }
            let id = cell(&mut waiting, "SELECT CONNECTION_ID()").await;
            let waits = tokio::spawn(async move { waiting.query_drop(statement).await });
            let state = loop {
                let (_, connections) = rows(&mut connection, "SHOW PROCESSLIST").await;
                let state = connections
                    .into_iter()
                    .find(|row| row[1] == id)
                    .map(|mut row| row.remove(8));
                match state {
                    Some(state) if !state.is_empty() => break state,
                    _ => assert!(!waits.is_finished(), "{statement} does not wait"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert!(state.contains(bound), "{statement} after {said:?}: {state}");
            connection.query_drop(format!("KILL QUERY {id}")).await.unwrap();
            assert!(waits.await.unwrap().is_err());
        }
    }
    frontend.stop().await;
}

#[tokio::test]
async fn a_statement_whose_only_node_does_not_read_its_plan_waits_and_then_says_so() {
    let frontend = Frontend::start().await;
    let script = Arc::new(Mutex::new(Some(HeartbeatReply {
        plans: nodes::only(PLAN_VERSION - 1),
        ..nodes::reply(1)
    })));
    let port = nodes::start_node(script).await;
    let mut connection = frontend.connect().await;
    let add = format!("ALTER SYSTEM ADD COMPUTE NODE \"127.0.0.1:{port}\" INTO WAREHOUSE etl");
    for sql in [
        add.as_str(),
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a INT)",
        "SET warehouse = 'etl'",
        "SET query_queue_pending_timeout_second = 1",
    ] {
        connection.query_drop(sql).await.unwrap();
    }
    let why = format!("this frontend writes {PLAN_VERSION}; upgrade the node first");
    // ErrMsg, beside an Alive that is true.
    let listed = loop {
        let (columns, mut listed) = rows(&mut connection, "SHOW COMPUTE NODES").await;
        let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let (alive, told) = (column("Alive"), column("ErrMsg"));
        let row = listed.remove(0);
        if row[alive] == "true" {
            break row[told].clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        listed.starts_with("reads plans of versions") && listed.ends_with(&why),
        "{listed}"
    );
    for statement in [
        "SELECT a FROM d.t",
        "INSERT INTO d.t VALUES (1)",
        "INSERT INTO d.t SELECT a FROM d.t",
    ] {
        let began = std::time::Instant::now();
        let error = match connection.query_drop(statement).await {
            Err(mysql_async::Error::Server(error)) => error,
            other => panic!("{statement}: {other:?}"),
        };
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "{statement} waits as for a node that is away"
        );
        assert_eq!(error.code, 5904, "{statement}: {}", error.message);
        assert!(error.message.contains(&why), "{statement}: {}", error.message);
    }
    frontend.stop().await;
}

#[tokio::test]
async fn a_statement_that_outlasts_the_grace_of_a_frontend_that_stops_is_interrupted() {
    let frontend = Frontend::start().await;
    // A node that never answers.
    let port = nodes::start_node(Arc::new(Mutex::new(None))).await;
    let mut connection = frontend.connect().await;
    let add = format!("ALTER SYSTEM ADD COMPUTE NODE \"127.0.0.1:{port}\" INTO WAREHOUSE etl");
    for sql in [
        add.as_str(),
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a INT)",
        "SET warehouse = 'etl'",
    ] {
        connection.query_drop(sql).await.unwrap();
    }
    let id = cell(&mut connection, "SELECT CONNECTION_ID()").await;
    let waits = tokio::spawn(async move { connection.query_drop("SELECT a FROM d.t").await });
    let mut other = frontend.connect().await;
    loop {
        let (_, connections) = rows(&mut other, "SHOW PROCESSLIST").await;
        if connections.iter().any(|row| row[1] == id && !row[8].is_empty()) {
            break;
        }
        assert!(!waits.is_finished(), "it does not wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = std::time::Instant::now();
    frontend.stop().await;
    assert!(told.elapsed() >= STOP_GRACE, "it had its time");
    match waits.await.unwrap() {
        Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1317, "{}", error.message),
        other => panic!("{other:?}"),
    }
}
