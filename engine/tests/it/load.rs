//! Stream Load over HTTP: formats, labels, and what a client is told.

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::arrow::ArrowWriter;
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::Value;

use crate::engine::Engine;

pub(crate) async fn with_table() -> (Engine, tempfile::TempDir) {
    let (engine, folder) = Engine::start().await;
    engine
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.item (id BIGINT NOT NULL, name VARCHAR(8), price DECIMAL(8, 2) DEFAULT '0')
             DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2",
        ])
        .await;
    (engine, folder)
}

/// Sends `body` to the table of [`with_table`].
pub(crate) async fn stream_load(engine: &Engine, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, Value) {
    stream_load_as(engine, &engine.password, headers, body).await
}

pub(crate) async fn stream_load_as(
    engine: &Engine,
    password: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (StatusCode, Value) {
    let url = format!("http://127.0.0.1:{}/api/shop/item/_stream_load", engine.http_port);
    put(&url, &engine.user, password, headers, body).await
}

/// It follows no redirect by itself.
fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("a client")
}

/// Sends `body` the way that clients of StarRocks do: they ask the frontend first, without a byte of the body, and send it to
/// the compute node that the frontend names.
pub(crate) async fn put(
    url: &str,
    user: &str,
    password: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (StatusCode, Value) {
    let client = client();
    let mut url = url.to_owned();
    // The body's bytes would meet a door that closes behind its redirect.
    for sent in [Vec::new(), body] {
        let mut request = client
            .put(&url)
            .basic_auth(user, Some(password))
            .header("expect", "100-continue")
            .body(sent);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        if response.status() == StatusCode::TEMPORARY_REDIRECT {
            url = response.headers()["location"].to_str().expect("a URL").to_owned();
            continue;
        }
        let status = response.status();
        let text = response.text().await.expect("a body");
        return (status, serde_json::from_str(&text).unwrap_or(Value::String(text)));
    }
    panic!("redirected twice");
}

/// A file with the columns `name` and `id`, and the rows 7 and 8.
pub(crate) fn parquet_file() -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("id", DataType::Int64, false),
    ]));
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("p"), None])),
        Arc::new(Int64Array::from(vec![7, 8])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.into_inner().expect("a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_json_and_parquet_are_loaded() {
    let (engine, _folder) = with_table().await;
    let comma = [("column_separator", ",")];
    let (status, reply) = stream_load(&engine, &comma, b"1,a,1.5\n2,\\N,2\n".to_vec()).await;
    assert_eq!(
        (status, reply["Status"].as_str(), &reply["NumberLoadedRows"]),
        (StatusCode::OK, Some("Success"), &Value::from(2)),
        "{reply}"
    );
    let json = [("format", "json"), ("strip_outer_array", "true")];
    let (_, reply) = stream_load(
        &engine,
        &json,
        br#"[{"id": 3, "name": "j"}, {"id": 4, "price": 4.25}]"#.to_vec(),
    )
    .await;
    assert_eq!(reply["Status"], "Success", "{reply}");
    let (_, reply) = stream_load(&engine, &[("format", "parquet")], parquet_file()).await;
    assert_eq!(reply["Status"], "Success", "{reply}");
    assert_eq!(
        engine.rows("SELECT id, name, price FROM shop.item ORDER BY id").await,
        [
            "1|a|1.50",
            "2|NULL|2.00",
            "3|j|NULL",
            "4|NULL|4.25",
            "7|p|0.00",
            "8|NULL|0.00"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_loaded_once() {
    let (engine, _folder) = with_table().await;
    let headers = [("column_separator", ","), ("label", "monday")];
    let (_, first) = stream_load(&engine, &headers, b"1,a,1\n".to_vec()).await;
    assert_eq!(first["Status"], "Success", "{first}");
    let (_, second) = stream_load(&engine, &headers, b"1,a,1\n".to_vec()).await;
    assert_eq!(second["Status"], "Label Already Exists", "{second}");
    assert_eq!(second["ExistingJobStatus"], "FINISHED", "{second}");
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_reach_compute_nodes_loads_through_the_frontend() {
    let (engine, _folder) = with_table().await;
    let response = client()
        .put(format!(
            "http://127.0.0.1:{}/api/shop/item/_stream_load",
            engine.http_port
        ))
        .basic_auth(&engine.user, Some(&engine.password))
        .header("expect", "100-continue")
        .header("column_separator", ",")
        .header("x-springtide-proxy", "1")
        .body("1,a,1\n2,b,2\n")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let reply: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    assert_eq!(
        (reply["Status"].as_str(), &reply["NumberLoadedRows"]),
        (Some("Success"), &Value::from(2)),
        "{reply}"
    );
    assert_eq!(engine.rows("SELECT count(*) FROM shop.item").await, ["2"]);
}

/// Whether `DrainWaitingFor` of the only node names a redirected client.
async fn waits_for_redirects(engine: &Engine) -> bool {
    let nodes = engine.rows("SHOW COMPUTE NODES").await;
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    nodes[0].contains("redirected Stream Loads that have not begun: 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_load_that_has_begun_no_longer_keeps_its_node_from_leaving() {
    let (engine, _folder) = with_table().await;
    let client = client();
    let url = format!("http://127.0.0.1:{}/api/shop/item/_stream_load", engine.http_port);
    let response = client
        .put(&url)
        .basic_auth(&engine.user, Some(&engine.password))
        .header("expect", "100-continue")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(waits_for_redirects(&engine).await, "the client has not come yet");
    let node = response.headers()["location"].to_str().expect("a URL");
    let (_, reply) = put(
        node,
        &engine.user,
        &engine.password,
        &[("column_separator", ",")],
        b"1,tea,2\n".to_vec(),
    )
    .await;
    assert_eq!(reply["Status"], "Success", "{reply}");
    assert!(!waits_for_redirects(&engine).await, "it has come");
    engine.stop();
}
