//! Loading from files on a real S3 server, and by HTTP.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use object_store::{ObjectStoreExt, path::Path};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use springtide_e2e::{
    sql::Session,
    storage::{ENDPOINT, Keys},
    stream_load::{StreamLoad, Way},
};

use crate::{
    department::{Department, LAKE, STATEMENT_LIMIT, execute, shared, value},
    harness::unique,
    scenario::Scenario,
};

const BUCKET: &str = "it-files";
const ROWS: i64 = 5000;

#[tokio::test(flavor = "multi_thread")]
async fn files_on_s3_are_loaded_by_insert_select() {
    let scenario = Scenario::begin("files on S3 are loaded by INSERT ... SELECT");
    let department = shared(&scenario).await;
    let folder = unique("files");
    let mut session = department.session(LAKE).await;
    let reader = scenario
        .given(
            "files of an account that lets another one read, and a table",
            async || {
                let owner = department.storage.account(BUCKET).await.expect("an account");
                department.storage.bucket(BUCKET, &owner).await.expect("a bucket");
                let reader = department.storage.account("it-reader").await.expect("an account");
                department
                    .storage
                    .let_read(BUCKET, &owner, &[&reader.id])
                    .await
                    .expect("a policy");
                let store = department.storage.store(BUCKET, &owner).expect("the bucket");
                for part in 0..2 {
                    let (parquet, csv) = (parquet_file(part * ROWS), csv_file(part * ROWS));
                    for (name, bytes) in [("parquet", parquet), ("csv", csv)] {
                        let place = Path::from(format!("{folder}/{name}/{part}.{name}"));
                        store.put(&place, bytes.into()).await.expect("put");
                    }
                }
                table(&mut session, "it_files").await;
                reader
            },
        )
        .await;
    for format in ["parquet", "csv"] {
        scenario
            .when(&format!("files of {format} are loaded"), async || {
                let path = format!("s3://{BUCKET}/{folder}/{format}/*.{format}");
                let load = format!(
                    "INSERT INTO it_files.item SELECT * FROM {}",
                    files(&path, format, &reader)
                );
                let loaded = session.execute(&load, STATEMENT_LIMIT).await.expect("load");
                assert_eq!(loaded, 2 * ROWS as u64);
            })
            .await;
        scenario
            .and("all rows are there, once", async || {
                let sums = "SELECT concat(count(*), ' ', sum(id), ' ', max(name)) FROM it_files.item";
                let all = 2 * ROWS;
                let expected = format!("{all} {} name {}", all * (all - 1) / 2, all - 1);
                assert_eq!(value(&mut session, sums).await, expected, "{format}");
                execute(&mut session, &["TRUNCATE TABLE it_files.item"]).await;
            })
            .await;
    }
    let path = format!("s3://{BUCKET}/{folder}/parquet/*.parquet");
    let wrong = Keys {
        secret: "wrong".into(),
        ..reader.clone()
    };
    let nothing = format!("s3://{BUCKET}/{folder}/nothing/*.parquet");
    // The cluster can read its own bucket; the statement cannot.
    let of_the_cluster = format!("s3://{}/{LAKE}/*.parquet", department.name);
    for (path, keys, says) in [
        (path.as_str(), &wrong, "the keys do not open"),
        ("s3://it-no-such-bucket/a/*.parquet", &reader, "it-no-such-bucket"),
        (nothing.as_str(), &reader, "names no file"),
        (of_the_cluster.as_str(), &reader, "the keys do not open"),
    ] {
        scenario
            .and(&format!("it is said of {path}: {says}"), async || {
                let query = format!("SELECT count(*) FROM {}", files(path, "parquet", keys));
                let error = session
                    .value(&query, STATEMENT_LIMIT)
                    .await
                    .expect_err("an error")
                    .to_string();
                assert!(error.contains(says), "{path}: {error}");
                assert!(
                    !error.contains(&keys.secret) || keys.secret == "wrong",
                    "the key is in the message: {error}"
                );
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_load_goes_by_redirect_or_through_the_frontend_and_its_label_counts_once() {
    let scenario = Scenario::begin("a Stream Load goes by either way, and its label counts once");
    let department = shared(&scenario).await;
    let mut session = department.session(LAKE).await;
    let count = "SELECT concat(count(*), ' ', coalesce(sum(id), 0)) FROM it_stream.item";
    let http = scenario
        .given("a table, and a client of HTTP", async || {
            table(&mut session, "it_stream").await;
            Http::new(&department).await
        })
        .await;
    let label = unique("label");
    let body = "1,one\n2,two\n3,three\n";

    scenario
        .when("three rows are loaded by redirect", async || {
            let first = http.load(&[("label", &label)], body, Way::Redirect).await;
            assert_eq!(
                (first["Status"].as_str(), &first["NumberLoadedRows"]),
                (Some("Success"), &Value::from(3)),
                "{first}"
            );
            assert_eq!(value(&mut session, count).await, "3 6");
        })
        .await;
    // The answer was lost, say: the client repeats, by either way, and nothing is loaded twice.
    for (way, name) in [(Way::Redirect, "redirect"), (Way::Proxy, "the frontend")] {
        scenario
            .when(&format!("they are loaded again by {name}"), async || {
                let again = http.load(&[("label", &label)], body, way).await;
                assert_eq!(again["Status"], "Label Already Exists", "{again}");
                assert_eq!(again["ExistingJobStatus"], "FINISHED", "{again}");
            })
            .await;
    }
    scenario
        .and("nothing is loaded twice", async || {
            assert_eq!(value(&mut session, count).await, "3 6");
        })
        .await;
    scenario
        .when("another row is loaded through the frontend", async || {
            let other = http.load(&[("label", &unique("label"))], "10,ten\n", Way::Proxy).await;
            assert_eq!(other["Status"], "Success", "{other}");
            assert_eq!(value(&mut session, count).await, "4 16");
        })
        .await;
    scenario
        .when("one is loaded with one that is none", async || {
            let wrong = http
                .load(&[("label", &unique("label"))], "11,eleven\nx,y\n", Way::Proxy)
                .await;
            assert_eq!(wrong["Status"], "Fail", "{wrong}");
        })
        .await;
    scenario
        .and("nothing of it is seen", async || {
            assert_eq!(
                value(&mut session, count).await,
                "4 16",
                "nothing of a failed load is seen"
            );
        })
        .await;
}

async fn table(session: &mut Session, database: &str) {
    let statements = [
        format!("DROP DATABASE IF EXISTS {database}"),
        format!("CREATE DATABASE {database}"),
        format!(
            "CREATE TABLE {database}.item (id BIGINT NOT NULL, name VARCHAR(32))
             DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 4"
        ),
    ];
    execute(session, &statements.each_ref().map(String::as_str)).await;
}

fn parquet_file(first: i64) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]));
    let ids = first..first + ROWS;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter_values(ids.map(name))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.into_inner().expect("a file")
}

fn csv_file(first: i64) -> Vec<u8> {
    let lines = (first..first + ROWS).map(|id| format!("{id}|{}\n", name(id)));
    lines.collect::<String>().into_bytes()
}

/// As wide for all ids, so that the last is the largest.
fn name(id: i64) -> String {
    format!("name {id:04}")
}

fn files(path: &str, format: &str, keys: &Keys) -> String {
    let separator = if format == "csv" {
        r#", "csv.column_separator" = "|""#
    } else {
        ""
    };
    format!(
        r#"FILES("path" = "{path}", "format" = "{format}"{separator}, "aws.s3.endpoint" = "{ENDPOINT}",
           "aws.s3.enable_path_style_access" = "true", "aws.s3.access_key" = "{}", "aws.s3.secret_key" = "{}")"#,
        keys.id, keys.secret
    )
}

/// A client of Stream Load on this machine.
struct Http(StreamLoad);

impl Http {
    async fn new(department: &Department) -> Self {
        let account = department.login(LAKE).await.account;
        let password = department.secret(&account.secret, "password").await;
        let cluster = &department.cluster;
        let opened = StreamLoad::open(
            &cluster.target,
            &cluster.client,
            &department.name,
            &account.service,
            &account.user,
            &password,
        );
        Self(opened.await.expect("the Service"))
    }

    async fn load(&self, headers: &[(&str, &str)], body: &str, way: Way) -> Value {
        let answer = self.0.load(("it_stream", "item"), headers, body, way).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }
}
