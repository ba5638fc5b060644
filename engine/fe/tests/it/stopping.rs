//! A frontend that is told to stop while a statement runs: others are served meanwhile, and for how long.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mysql_async::{Conn, prelude::Queryable};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    core::nodes,
    frontend::{Frontend, cell, rows},
};

/// On a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// A statement that waits for a node that never answers, and the id of its connection.
async fn running(frontend: &Frontend) -> (String, JoinHandle<Result<(), mysql_async::Error>>) {
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
            return (id, waits);
        }
        assert!(!waits.is_finished(), "it does not wait");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until nobody is let in any more.
async fn closes(frontend: &Frontend) {
    let since = Instant::now();
    while frontend.try_connect().await.is_ok() {
        assert!(since.elapsed() < PATIENCE, "it still takes connections");
        tokio::time::sleep(LOOK).await;
    }
}

/// The number of the error with which the connection ends.
async fn is_told(connection: &mut Conn) -> u16 {
    match connection.query_drop("SELECT 1").await {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn others_are_served_until_what_ran_when_it_was_told_has_ended() {
    let frontend = Frontend::start_that_stops(TempDir::new().unwrap(), PATIENCE * 2, PATIENCE).await;
    let (id, waits) = running(&frontend).await;
    let mut idle = frontend.connect().await;
    let told = Instant::now();
    frontend.tell_to_stop();
    // Far longer than it takes to close.
    while told.elapsed() < Duration::from_secs(1) {
        assert_eq!(cell(&mut idle, "SELECT 1").await, "1");
        assert_eq!(cell(&mut frontend.connect().await, "SELECT 2").await, "2");
        tokio::time::sleep(LOOK).await;
    }
    assert!(!waits.is_finished() && !frontend.has_ended());
    idle.query_drop(format!("KILL QUERY {id}")).await.unwrap();
    assert!(waits.await.unwrap().is_err());
    closes(&frontend).await;
    assert_eq!(is_told(&mut idle).await, 1053);
    frontend.stop().await;
    assert!(told.elapsed() < PATIENCE, "{:?}", told.elapsed());
}

#[tokio::test]
async fn what_begins_after_it_was_told_is_not_waited_for_before_it_closes() {
    let frontend = Frontend::start_that_stops(TempDir::new().unwrap(), PATIENCE * 2, PATIENCE).await;
    let (first, waits) = running(&frontend).await;
    let mut later = frontend.connect().await;
    later.query_drop("SET warehouse = 'etl'").await.unwrap();
    let second = cell(&mut later, "SELECT CONNECTION_ID()").await;
    let mut other = frontend.connect().await;
    frontend.tell_to_stop();
    // The look at what runs is taken at once; what is begun now must not be in it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let later = tokio::spawn(async move { later.query_drop("SELECT a FROM d.t").await });
    loop {
        let (_, connections) = rows(&mut other, "SHOW PROCESSLIST").await;
        if connections.iter().any(|row| row[1] == second && !row[8].is_empty()) {
            break;
        }
        assert!(!later.is_finished(), "it does not wait");
        tokio::time::sleep(LOOK).await;
    }
    other.query_drop(format!("KILL QUERY {first}")).await.unwrap();
    assert!(waits.await.unwrap().is_err());
    closes(&frontend).await;
    assert!(!later.is_finished() && !frontend.has_ended(), "what runs may end");
    later.abort();
    frontend.stop().await;
}

#[tokio::test]
async fn it_closes_after_a_time_whatever_runs() {
    let (stop_grace, lame_duck) = (Duration::from_secs(6), Duration::from_secs(5));
    let frontend = Frontend::start_that_stops(TempDir::new().unwrap(), stop_grace, lame_duck).await;
    let (_, waits) = running(&frontend).await;
    let told = Instant::now();
    frontend.tell_to_stop();
    closes(&frontend).await;
    assert!(told.elapsed() >= lame_duck, "{:?}", told.elapsed());
    frontend.stop().await;
    match waits.await.unwrap() {
        Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1317, "{}", error.message),
        other => panic!("{other:?}"),
    }
    assert!(told.elapsed() >= stop_grace, "{:?}", told.elapsed());
    // It counts from when it was told, and not from when it closed.
    let too_long = stop_grace + lame_duck;
    assert!(
        told.elapsed() < too_long - Duration::from_secs(2),
        "{:?}",
        told.elapsed()
    );
}
