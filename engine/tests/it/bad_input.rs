//! Input that cannot be right: each says what is wrong, and nothing is lost or half done.

use reqwest::StatusCode;

use crate::{
    engine::Engine,
    load::{parquet_file, put, stream_load, stream_load_as, with_table},
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
async fn a_parquet_file_that_was_cut_off_loads_nothing_wherever_it_was_cut() {
    let (engine, folder) = with_table().await;
    let whole = parquet_file();
    for length in [0, 3, 4, 12, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        check_load(
            &engine,
            &[("format", "parquet")],
            &whole[..length],
            &["whole Parquet file"],
        )
        .await;
    }
    // The same through FILES, which names the file.
    let path = folder.path().join("cut.parquet");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("a file");
    let insert = format!(
        r#"INSERT INTO shop.item (id, name) SELECT id, name FROM FILES("path" = "file://{}", "format" = "parquet")"#,
        path.display()
    );
    let (code, message) = engine.error(&insert).await;
    assert_eq!(code, 1064, "{message}");
    assert!(message.contains("cut.parquet"), "{message}");
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["0"]);
    // Whole, it is loaded.
    std::fs::write(&path, whole).expect("a file");
    engine.execute(&[&insert]).await;
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_into_a_table_that_is_not_there_says_so() {
    let (engine, _folder) = with_table().await;
    for (database, table, part) in [("shop", "nothing", "shop.nothing"), ("nowhere", "item", "nowhere")] {
        let url = format!(
            "http://127.0.0.1:{}/api/{database}/{table}/_stream_load",
            engine.http_port
        );
        let comma = [("column_separator", ",")];
        let (status, reply) = put(&url, &engine.user, &engine.password, &comma, b"1,a,1\n".to_vec()).await;
        assert_eq!(
            (status, reply["Status"].as_str()),
            (StatusCode::OK, Some("Fail")),
            "{reply}"
        );
        let message = reply["Message"].as_str().unwrap_or_default();
        assert!(message.contains("Unknown") && message.contains(part), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_was_used_before_inserts_nothing() {
    let (engine, _folder) = with_table().await;
    let insert = "INSERT INTO shop.item WITH LABEL tuesday VALUES (1, 'a', 1)";
    engine.execute(&[insert]).await;
    let (code, message) = engine.error(insert).await;
    assert_eq!(code, 5602, "{message}");
    assert!(
        message.contains("Label [tuesday] has already been used") && message.contains("FINISHED"),
        "{message}"
    );
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["1"]);
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
