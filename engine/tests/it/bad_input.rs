//! Input that cannot be right: each says what is wrong, and nothing is lost or half done.

use reqwest::StatusCode;

use crate::{
    engine::Engine,
    load::{stream_load, stream_load_as, with_table},
};

/// Loads `body`, which must fail with a message that holds all of `expected`, and leave no row.
async fn check_load(engine: &Engine, headers: &[(&str, &str)], body: &[u8], expected: &[&str]) {
    let (status, reply) = stream_load(engine, headers, body.to_vec()).await;
    assert_eq!(
        (status, reply["Status"].as_str()),
        (StatusCode::OK, Some("Fail")),
        "{reply}"
    );
    let message = reply["Message"].as_str().unwrap_or_default();
    for part in expected {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_does_not_fit_names_column_and_row_and_leaves_nothing() {
    let (engine, _folder) = with_table().await;
    let comma = ("column_separator", ",");
    check_load(&engine, &[comma], b"1,a,1\nx,b,2\n", &["column `id`", "row 2", "x"]).await;
    check_load(
        &engine,
        &[comma],
        b"1,a,1\n2,b,2,too,many\n",
        &["line 2", "3 columns are loaded"],
    )
    .await;
    check_load(
        &engine,
        &[comma],
        b"1,a name that is long,1\n",
        &["column `name`", "row 1"],
    )
    .await;
    check_load(&engine, &[comma], b"\\N,a,1\n", &["column `id`", "NULL"]).await;
    check_load(
        &engine,
        &[comma, ("columns", "id,nmae")],
        b"1,a\n",
        &["`nmae`", "id, name, price"],
    )
    .await;
    check_load(&engine, &[("format", "parquet")], b"PAR1 but cut off", &["Parquet"]).await;
    check_load(&engine, &[("format", "json")], br#"{"id": "#, &["JSON"]).await;
    check_load(&engine, &[("format", "avro")], b"", &["csv, json or parquet"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_loads_nothing() {
    let (engine, _folder) = with_table().await;
    let (status, _) = stream_load_as(&engine, "wrong", &[("column_separator", ",")], b"1,a,1\n".to_vec()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_cannot_run_say_why() {
    let (engine, _folder) = with_table().await;
    for (statement, code, part) in [
        ("SELEKT 1", 1064, "SELEKT"),
        ("SELECT * FROM shop.nothing", 5502, "nothing"),
        ("INSERT INTO shop.item VALUES (1, 'a', 2, 3)", 1064, "column"),
        ("INSERT INTO shop.item VALUES ('x', 'a', 2)", 1064, "id"),
        ("INSERT INTO shop.item VALUES (NULL, 'a', 2)", 1064, "id"),
        ("USE nowhere", 5501, "nowhere"),
    ] {
        let (found, message) = engine.error(statement).await;
        assert!(message.contains(part), "{statement}: {message}");
        assert_eq!(found, code, "{statement}: {message}");
    }
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["0"]);
}
