//! Settings that are changed while a frontend runs.

use mysql_async::{Conn, prelude::Queryable};

use crate::{
    front::fails,
    frontend::{Frontend, OPERATOR, cell, rows},
};

/// Key, aliases, value and whether it can be changed.
async fn shown(connection: &mut Conn, name: &str) -> [String; 4] {
    let sql = format!("ADMIN SHOW FRONTEND CONFIG LIKE '{name}'");
    let (_, mut found) = rows(connection, &sql).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let row = found.remove(0);
    [0, 1, 2, 4].map(|column| row[column].clone())
}

#[tokio::test]
async fn a_setting_counts_at_once_also_for_sessions_that_are_open() {
    let frontend = Frontend::start().await;
    let mut open = frontend.connect().await;
    let mut own = frontend.connect().await;
    own.query_drop("SET query_timeout = 5").await.unwrap();
    let mut operator = frontend.connect_as(OPERATOR).await.unwrap();
    assert_eq!(
        shown(&mut operator, "query_timeout_s").await,
        ["query_timeout_s", "[queryTimeoutS]", "300", "true"]
    );
    assert_eq!(cell(&mut open, "SELECT @@query_timeout").await, "300");

    for sql in [
        r#"ADMIN SET FRONTEND CONFIG ("queryTimeoutS" = "77")"#,
        "ADMIN SET FRONTEND CONFIG ('query_timeout_s' = '77')",
        "admin set frontend config (query_timeout_s = 77)",
    ] {
        operator
            .query_drop(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(shown(&mut operator, "query_timeout_s").await[2], "77");
    }
    assert_eq!(cell(&mut open, "SELECT @@query_timeout").await, "77");
    assert_eq!(
        cell(&mut own, "SELECT @@query_timeout").await,
        "5",
        "it has said so itself"
    );
    let mut fresh = frontend.connect().await;
    assert_eq!(cell(&mut fresh, "SELECT @@query_timeout").await, "77");

    let no_limit = "ADMIN SET FRONTEND CONFIG ('queryTimeoutS' = '0')";
    operator.query_drop(no_limit).await.unwrap();
    let longest: u64 = cell(&mut open, "SELECT @@query_timeout").await.parse().unwrap();
    assert!(
        longest > 365 * 24 * 3600,
        "{longest} s is no time that a statement takes"
    );
    assert_eq!(cell(&mut open, "SELECT 1").await, "1");
    frontend.stop().await;
}

#[tokio::test]
async fn another_limit_of_connections_counts_at_once_and_those_that_are_open_stay() {
    let frontend = Frontend::start().await;
    let mut admin = frontend.connect().await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(frontend.connect().await);
    }
    admin
        .query_drop("ADMIN SET FRONTEND CONFIG ('maxConnections' = '10')")
        .await
        .unwrap();
    match frontend.connect_as(OPERATOR).await {
        Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1040),
        other => panic!("it got in: {}", other.is_ok()),
    }
    for connection in &mut open {
        assert_eq!(cell(connection, "SELECT 1").await, "1");
    }
    admin
        .query_drop("ADMIN SET FRONTEND CONFIG ('maxConnections' = '12')")
        .await
        .unwrap();
    assert!(frontend.connect_as(OPERATOR).await.is_ok());
    frontend.stop().await;
}

#[tokio::test]
async fn the_next_process_begins_with_what_its_configuration_says() {
    let frontend = Frontend::start().await;
    let mut admin = frontend.connect().await;
    let sql = "ADMIN SET FRONTEND CONFIG ('resultHoldBytes' = '1024')";
    admin.query_drop(sql).await.unwrap();
    assert_eq!(shown(&mut admin, "result_hold_bytes").await[2], "1024");
    let frontend = Frontend::start_in(frontend.stop().await).await;
    let mut admin = frontend.connect().await;
    assert_eq!(shown(&mut admin, "result_hold_bytes").await[2], "4194304");
    frontend.stop().await;
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_with_what_can() {
    let frontend = Frontend::start().await;
    let mut admin = frontend.connect().await;
    for (setting, told) in [
        (
            "'qe_max_connection' = '5'",
            "Config 'qe_max_connection' does not exist or is not mutable; those that can be set are",
        ),
        (
            "'run_mode' = 'shared_nothing'",
            "maxConnections, queryTimeoutS, resultHoldBytes",
        ),
        (
            "'queryTimeoutS' = 'soon'",
            "queryTimeoutS: \"soon\" is not a whole number of seconds",
        ),
        ("'maxConnections' = '0'", "from 10 to 1000000"),
        ("'queryTimeoutS' = '1', 'maxConnections' = '50'", "Unexpected input ','"),
    ] {
        let (code, message) = fails(&mut admin, &format!("ADMIN SET FRONTEND CONFIG ({setting})")).await;
        assert_eq!(code, 1064, "{setting}: {message}");
        assert!(message.contains(told), "{setting}: {message}");
    }
    assert_eq!(shown(&mut admin, "query_timeout_s").await[2], "300");
    assert_eq!(
        shown(&mut admin, "run_mode").await,
        ["run_mode", "[]", "shared_data", "false"]
    );
    frontend.stop().await;
}

#[tokio::test]
async fn only_administrators_and_the_operator_see_and_change_settings() {
    let frontend = Frontend::start().await;
    let mut admin = frontend.connect().await;
    admin
        .query_drop("CREATE USER 'ana' IDENTIFIED BY 'secret'")
        .await
        .unwrap();
    let mut ana = frontend.connect_as(("ana", "secret")).await.unwrap();
    for sql in [
        "ADMIN SET FRONTEND CONFIG ('queryTimeoutS' = '1')",
        "ADMIN SHOW FRONTEND CONFIG",
    ] {
        assert_eq!(fails(&mut ana, sql).await.0, 5203, "{sql}");
    }
    assert_eq!(shown(&mut admin, "query_timeout_s").await[2], "300");
    frontend.stop().await;
}
