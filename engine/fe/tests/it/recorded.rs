//! What a real StarRocks was recorded to answer, and what BI tools ask when they connect.

use mysql_async::prelude::Queryable;

use crate::frontend::{Frontend, cell, rows};

/// A statement, a tab, and the columns of StarRocks' answer.
const COLUMNS: &str = include_str!("recorded/columns.txt");
/// Statements of clients and BI tools at connect and while they list what there is: a client's name, a tab, a statement.
const CLIENTS: &str = include_str!("recorded/clients.txt");

/// What we tell beyond StarRocks, after its columns: images, drains and the queue.
const OUR_COLUMNS: &[(&str, &str)] = &[
    ("SHOW FRONTENDS", "ImageJournalId"),
    ("SHOW PROC '/frontends'", "ImageJournalId"),
    (
        "SHOW COMPUTE NODES",
        "DrainState,DrainWaitingFor,DrainOrder,DrainOrderLastsSeconds,DrainSeconds",
    ),
    (
        "SHOW PROC '/compute_nodes'",
        "DrainState,DrainWaitingFor,DrainOrder,DrainOrderLastsSeconds,DrainSeconds",
    ),
    ("SHOW WAREHOUSES", "RequiredNodes"),
    ("SHOW PROC '/warehouses'", "RequiredNodes"),
];

#[tokio::test]
async fn answers_have_the_columns_that_starrocks_answers_with() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    for statement in [
        "CREATE DATABASE d0",
        "CREATE TABLE d0.t (id BIGINT NOT NULL, v VARCHAR(9)) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2",
    ] {
        connection.query_drop(statement).await.expect(statement);
    }
    let mut checked = 0;
    for line in COLUMNS.lines() {
        let (statement, columns) = line.split_once('\t').expect("a statement, a tab, columns");
        let (found, _) = rows(&mut connection, statement).await;
        let ours = OUR_COLUMNS.iter().find(|(shown, _)| *shown == statement);
        let expected = [Some(columns), ours.map(|(_, columns)| *columns)];
        let expected: Vec<&str> = expected.into_iter().flatten().collect();
        assert_eq!(found.join(","), expected.join(","), "{statement}");
        checked += 1;
    }
    assert!(checked > 40, "{checked} statements");
    frontend.stop().await;
}

#[tokio::test]
async fn clients_and_bi_tools_are_answered_at_connect() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    for statement in [
        "CREATE DATABASE d0",
        "CREATE TABLE d0.t (id BIGINT NOT NULL, v VARCHAR(9)) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2",
    ] {
        connection.query_drop(statement).await.expect(statement);
    }
    let mut failed = Vec::new();
    for line in CLIENTS.lines().filter(|line| !line.starts_with('#')) {
        let (client, statement) = line.split_once('\t').expect("a client, a tab, a statement");
        if let Err(error) = connection.query_drop(statement).await {
            failed.push(format!("{client}: {statement}\n    {error}"));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert_eq!(cell(&mut connection, "SELECT 1").await, "1");
    frontend.stop().await;
}

#[tokio::test]
async fn a_driver_may_ask_for_the_first_rows_alone() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    let all = "SELECT VARIABLE_NAME FROM information_schema.global_variables";
    let count = rows(&mut connection, all).await.1.len();
    assert!(count > 100, "{count}");
    connection.query_drop("SET SQL_SELECT_LIMIT = 7").await.unwrap();
    assert_eq!(rows(&mut connection, all).await.1.len(), 7);
    assert_eq!(rows(&mut connection, &format!("{all} LIMIT 9")).await.1.len(), 9);
    for none in ["DEFAULT", "18446744073709551615"] {
        connection
            .query_drop(format!("SET SQL_SELECT_LIMIT = {none}"))
            .await
            .unwrap();
        assert_eq!(rows(&mut connection, all).await.1.len(), count, "{none}");
    }
    frontend.stop().await;
}
