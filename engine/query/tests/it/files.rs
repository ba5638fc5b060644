//! `FILES(...)` over Parquet and CSV in a local folder.

use std::{fs::File, path::Path, sync::Arc};

use datafusion::{
    arrow::{
        array::{Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    parquet::arrow::ArrowWriter,
};
use springtide_query::QueryError;
use tempfile::TempDir;

use crate::cluster::{Cluster, parse, rows};

fn write_parquet(path: &Path, first: i64, rows: i64) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("Id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]));
    let ids = first..first + rows;
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(Int64Array::from_iter_values(ids.clone())),
            Arc::new(StringArray::from_iter_values(ids.map(|id| format!("name {id}")))),
        ],
    )
    .unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn files(path: &Path, rest: &str) -> String {
    format!("FILES(\"path\" = \"file://{}\", {rest})", path.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parquet_files_of_a_folder_are_one_table_read_by_all_workers() {
    let folder = TempDir::new().unwrap();
    for part in 0..4 {
        write_parquet(&folder.path().join(format!("part-{part}.parquet")), part * 1000, 1000);
    }
    std::fs::write(folder.path().join("notes.txt"), "not a table").unwrap();
    let cluster = Cluster::start(2);
    let table = files(&folder.path().join("part-*.parquet"), "\"format\" = \"parquet\"");
    let sql = format!("select count(name), sum(id), min(Id), max(name) from {table} where id % 2 = 1");
    assert_eq!(rows(&cluster.query(&sql).await.unwrap()), ["2000|4000000|1|name 999"]);
    assert!(
        cluster.scanned_rows().iter().all(|rows| *rows > 0),
        "{:?}",
        cluster.scanned_rows()
    );
    let joined = format!("select count(*) from {table} a join {table} b on a.id = b.id + 1");
    assert_eq!(rows(&cluster.query(&joined).await.unwrap()), ["3999"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_files_have_numbered_or_named_columns() {
    let folder = TempDir::new().unwrap();
    let plain = folder.path().join("plain.csv");
    std::fs::write(&plain, "1|a\n2|b\n3|\"c|d\"\n").unwrap();
    let cluster = Cluster::start(1);
    let table = files(&plain, "'format' = 'csv', 'csv.column_separator' = '|'");
    let sql = format!("select `$2`, `$1` + 1 from {table} order by 2");
    assert_eq!(rows(&cluster.query(&sql).await.unwrap()), ["a|2", "b|3", "c|d|4"]);
    let named = folder.path().join("named.csv");
    std::fs::write(&named, "Id,City\n1,Bonn\n2,Ulm\n").unwrap();
    let table = files(&named, "'format' = 'csv', 'csv.skip_header' = '1'");
    let sql = format!("select city from {table} where ID = 2");
    assert_eq!(rows(&cluster.query(&sql).await.unwrap()), ["Ulm"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole.parquet");
    write_parquet(&whole, 0, 1000);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(folder.path().join("cut.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    let cluster = Cluster::start(1);
    let check = async |name: &str, rest: &str, expected: &str| {
        let sql = format!("select * from {}", files(&folder.path().join(name), rest));
        let error = cluster.query(&sql).await.unwrap_err();
        assert!(matches!(error, QueryError::Files(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    };
    check("none.parquet", "'format' = 'parquet'", "none.parquet' does not exist").await;
    check(
        "none-*.parquet",
        "'format' = 'parquet'",
        "names no file that is not empty",
    )
    .await;
    check("cut.parquet", "'format' = 'parquet'", "cut.parquet").await;
    check("whole.parquet", "'format' = 'orc'", "it can be parquet or csv").await;
    check(
        "whole.parquet",
        "'format' = 'parquet', 'colour' = 'red'",
        "'colour' is no argument",
    )
    .await;
    check(
        "whole.parquet",
        "'format' = 'parquet', 'aws.s3.secret_key' = 'hunter2'",
        "no argument",
    )
    .await;
    check("whole.parquet", "'format' = 'parquet', 'hunter2'", "not of the form").await;
    let missing_keys = cluster
        .query("select * from files('path' = 's3://b/k', 'format' = 'csv')")
        .await;
    assert!(
        missing_keys
            .unwrap_err()
            .to_string()
            .contains("'aws.s3.access_key' and")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_while_it_is_read_is_named() {
    let folder = TempDir::new().unwrap();
    write_parquet(&folder.path().join("a.parquet"), 0, 1000);
    let broken = folder.path().join("b.parquet");
    write_parquet(&broken, 0, 1000);
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let cluster = Cluster::start(1);
    let table = files(&folder.path().join("*.parquet"), "'format' = 'parquet'");
    let error = cluster
        .query(&format!("select sum(id) from {table}"))
        .await
        .unwrap_err();
    assert!(matches!(error, QueryError::Files(_)), "{error}");
    assert!(error.to_string().contains("*.parquet"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_shown_nowhere() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, 0, 10);
    let cluster = Cluster::start(1);
    let session = cluster.session();
    let sql = format!("select id from {}", files(&path, "'format' = 'parquet'"));
    let plan = session.plan(parse(&sql)).await.unwrap();
    let text = session.explain(&plan).await.unwrap();
    assert!(text.contains("LakeScan: files=file://"), "{text}");
    let unreachable = "select * from files('path' = 's3://bucket/k', 'format' = 'csv', 'aws.s3.access_key' = 'alice',
        'aws.s3.secret_key' = 'hunter2', 'aws.s3.endpoint' = 'http://127.0.0.1:9')";
    let error = tokio::time::timeout(std::time::Duration::from_secs(60), cluster.query(unreachable)).await;
    let text = format!("{:?}", error.unwrap().unwrap_err());
    assert!(
        text.contains("s3://bucket/k") && !text.contains("hunter2") && !text.contains("alice"),
        "{text}"
    );
}
