//! Tables and files on a real S3 server (versitygw), and what is said where bucket or key are wrong.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder};
use springtide_contract::config::{RefusalReason, StorageConfig};
use tempfile::TempDir;

use crate::{
    load::parquet_file,
    processes::{Process, address, cluster, until},
};

/// Keys of the server's root account.
pub(crate) const KEYS: (&str, &str) = ("the-key", "the-secret-of-the-key");
const REGION: &str = "us-east-1";
const PORT: u16 = 7070;
/// The bucket of tables, and the one of files.
const BUCKETS: [&str; 2] = ["lake", "files"];

/// A server with two empty buckets.
pub(crate) struct S3 {
    endpoint: String,
    program: PathBuf,
    _process: Process,
    _folder: TempDir,
}

/// Builds the server where it is not in the cache yet; its program.
fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/tools/build");
        let run = |argument: &str| {
            let output = Command::new(script)
                .arg(argument)
                .output()
                .expect("e2e/tools/build runs");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "e2e/tools/build {argument}: {error}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        run("versitygw");
        Path::new(&run("bin")).join("versitygw")
    };
    BUILT.get_or_init(build).clone()
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let program = tokio::task::spawn_blocking(program).await.expect("the server is built");
        let folder = tempfile::tempdir().expect("a folder");
        let (root, accounts) = (folder.path().join("buckets"), folder.path().join("accounts"));
        // A bucket is a folder there.
        for bucket in BUCKETS {
            std::fs::create_dir_all(root.join(bucket)).expect("a bucket");
        }
        std::fs::create_dir_all(&accounts).expect("a folder");
        let listen = format!("{}:{PORT}", address());
        let (accounts, root) = (accounts.to_string_lossy(), root.to_string_lossy());
        let arguments = [
            "--port",
            &*listen,
            "--region",
            REGION,
            "--iam-dir",
            &*accounts,
            "--health",
            "/healthz",
            "--quiet",
            "posix",
            &*root,
        ];
        let environment = [("ROOT_ACCESS_KEY_ID", KEYS.0), ("ROOT_SECRET_ACCESS_KEY", KEYS.1)];
        let log = folder.path().join("s3.log");
        let mut process = Process::start(&program, &arguments, &environment, &log);
        let health = format!("http://{listen}/healthz");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        until("the S3 server serves", async || {
            if let Some(status) = process.ended() {
                panic!("the S3 server ended with {status}: {}", process.log());
            }
            client
                .get(&health)
                .send()
                .await
                .ok()
                .filter(|answer| answer.status().is_success())
        })
        .await;
        Self {
            endpoint: format!("http://{listen}"),
            program,
            _process: process,
            _folder: folder,
        }
    }

    /// Makes an account that may use all buckets.
    pub(crate) async fn add_account(&self, (id, secret): (&str, &str)) {
        self.administer(&["create-user", "--role", "admin", "--access", id, "--secret", secret])
            .await;
    }

    /// Removes an account: its keys open nothing any more.
    pub(crate) async fn remove_account(&self, id: &str) {
        self.administer(&["delete-user", "--access", id]).await;
    }

    async fn administer(&self, arguments: &[&str]) {
        let output = tokio::process::Command::new(&self.program)
            .arg("admin")
            .args(arguments)
            .env("ADMIN_ACCESS_KEY_ID", KEYS.0)
            .env("ADMIN_SECRET_ACCESS_KEY", KEYS.1)
            .env("ADMIN_REGION", REGION)
            .env("ADMIN_ENDPOINT_URL", &self.endpoint)
            .output()
            .await
            .expect("versitygw admin runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", arguments[0]);
    }

    pub(crate) fn storage(&self, bucket: &str, prefix: &str) -> StorageConfig {
        StorageConfig::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: REGION.to_owned(),
            path_style: true,
        }
    }

    pub(crate) fn store(&self, bucket: &str) -> impl ObjectStore + use<> {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region(REGION)
            .with_bucket_name(bucket)
            .with_access_key_id(KEYS.0)
            .with_secret_access_key(KEYS.1)
            .build()
            .expect("a store")
    }

    /// `FILES(…)` with these keys and whatever `more` says.
    fn files(&self, path: &str, (id, secret): (&str, &str), more: &str) -> String {
        format!(
            r#"FILES("path" = "{path}", "aws.s3.endpoint" = "{}", "aws.s3.region" = "{REGION}", "aws.s3.access_key" = "{id}", "aws.s3.secret_key" = "{secret}", {more})"#,
            self.endpoint
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_live_in_a_bucket_and_outlive_every_process() {
    let s3 = S3::start().await;
    let mut cluster = cluster()
        .storage(s3.storage("lake", "departments/retail"), Some(KEYS))
        .compute(2)
        .start()
        .await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.item (id BIGINT NOT NULL, name VARCHAR(9)) DISTRIBUTED BY HASH(id) BUCKETS 4",
            "INSERT INTO shop.item VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "INSERT INTO shop.item SELECT id + 10, name FROM shop.item",
        ])
        .await;
    let select = "SELECT count(*), sum(id), max(name) FROM shop.item";
    assert_eq!(cluster.client.rows(select).await, ["6|42|c"]);
    // Everything is killed, and other nodes take over: nothing that matters was on any of them.
    cluster.kill_frontend();
    cluster.nodes.clear();
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    for row in cluster.client.rows("SHOW COMPUTE NODES").await {
        let id = row.split('|').next().expect("an id").to_owned();
        cluster
            .client
            .execute(&[&format!("ALTER SYSTEM DROP COMPUTE NODE {id}")])
            .await;
    }
    cluster.add_node("default_warehouse").await;
    cluster.wait_for_nodes().await;
    assert_eq!(cluster.client.rows(select).await, ["6|42|c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_and_csv_files_of_a_bucket_are_read_by_all_nodes() {
    let s3 = S3::start().await;
    let bucket = s3.store("files");
    for part in 0..4 {
        let path = format!("daily/part-{part}.parquet").into();
        bucket.put(&path, parquet_file().into()).await.expect("a file");
    }
    let (more, less) = ("id,city\n1,Bonn\n2,Ulm\n", "id,city\n3,Jena\n");
    for (name, text) in [("cities/a.csv", more), ("cities/b.csv", less)] {
        bucket.put(&name.into(), text.into()).await.expect("a file");
    }
    let cluster = cluster()
        .storage(s3.storage("lake", ""), Some(KEYS))
        .compute(2)
        .start()
        .await;
    let parquet = s3.files("s3://files/daily/*.parquet", KEYS, r#""format" = "parquet""#);
    cluster
        .client
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.item (id BIGINT NOT NULL, name VARCHAR(8)) DISTRIBUTED BY HASH(id) BUCKETS 2",
            &format!("INSERT INTO shop.item SELECT id, name FROM {parquet}"),
        ])
        .await;
    // Each file has the rows 7 and 8.
    assert_eq!(
        cluster
            .client
            .rows("SELECT id, count(*), max(name) FROM shop.item GROUP BY id ORDER BY id")
            .await,
        ["7|4|p", "8|4|NULL"]
    );
    for node in &cluster.nodes {
        assert!(node.scanned_rows().await > 0, "compute node {} read no file", node.host);
    }
    let csv = s3.files(
        "s3://files/cities/*.csv",
        KEYS,
        r#""format" = "csv", "csv.skip_header" = "1""#,
    );
    assert_eq!(
        cluster
            .client
            .rows(&format!("SELECT city FROM {csv} ORDER BY id DESC"))
            .await,
        ["Jena", "Ulm", "Bonn"]
    );
    // Keys are in no plan and in no list of statements.
    let explained = cluster
        .client
        .rows(&format!("EXPLAIN SELECT city FROM {csv}"))
        .await
        .join("\n");
    assert!(
        explained.contains("s3://files/cities/*.csv") && !explained.contains(KEYS.1),
        "{explained}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_named_with_the_reason() {
    let s3 = S3::start().await;
    let bucket = s3.store("files");
    let whole = parquet_file();
    bucket
        .put(&"cut.parquet".into(), whole[..whole.len() / 2].to_vec().into())
        .await
        .expect("a file");
    bucket.put(&"whole.parquet".into(), whole.into()).await.expect("a file");
    let cluster = cluster()
        .storage(s3.storage("lake", ""), Some(KEYS))
        .compute(1)
        .start()
        .await;
    let parquet = r#""format" = "parquet""#;
    for (path, keys, expected) in [
        (
            "s3://files/none.parquet",
            KEYS,
            "'s3://files/none.parquet' does not exist",
        ),
        ("s3://files/none-*.parquet", KEYS, "names no file"),
        (
            "s3://nowhere/*.parquet",
            KEYS,
            "the bucket of 's3://nowhere/*.parquet' does not exist",
        ),
        ("s3://nowhere/whole.parquet", KEYS, "does not exist"),
        (
            "s3://files/*.parquet",
            ("the-key", "a-guess"),
            "the keys do not open 's3://files/*.parquet'",
        ),
        (
            "s3://files/whole.parquet",
            ("the-key", "a-guess"),
            "the keys do not open 's3://files/whole.parquet'",
        ),
        (
            "s3://files/whole.parquet",
            ("another-key", "a-guess"),
            "the keys do not open",
        ),
        (
            "s3://files/cut.parquet",
            KEYS,
            "cannot read 'cut.parquet' of 's3://files/cut.parquet'",
        ),
    ] {
        let (code, message) = cluster
            .client
            .error(&format!("SELECT * FROM {}", s3.files(path, keys, parquet)))
            .await;
        assert_eq!(code, 1064, "{path}: {message}");
        assert!(message.contains(expected), "{path}: {message}");
        assert!(!message.contains(keys.1), "a key is shown: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_a_bucket_or_key_that_is_wrong_says_which_and_starts_nothing() {
    let s3 = S3::start().await;
    let (refusal, _cluster) = cluster()
        .storage(s3.storage("nowhere", "p"), Some(KEYS))
        .refused()
        .await;
    assert_eq!(refusal.reason, RefusalReason::BucketNotFound, "{}", refusal.message);
    assert!(refusal.message.contains("nowhere"), "{}", refusal.message);
    for keys in [("the-key", "a-guess"), ("another-key", "a-guess")] {
        let (refusal, _cluster) = cluster().storage(s3.storage("lake", "p"), Some(keys)).refused().await;
        assert_eq!(
            refusal.reason,
            RefusalReason::StorageAccessDenied,
            "{}",
            refusal.message
        );
        assert!(!refusal.message.contains("a-guess"), "{}", refusal.message);
    }
    // What was refused has taken nothing: the right keys make the cluster.
    let cluster = cluster().storage(s3.storage("lake", "p"), Some(KEYS)).start().await;
    cluster.client.execute(&["CREATE DATABASE d"]).await;
    let same_prefix = s3.storage("lake", "p");
    let (refusal, _second) = crate::processes::cluster()
        .cluster_id(crate::processes::OTHER_CLUSTER_ID)
        .storage(same_prefix, Some(KEYS))
        .refused()
        .await;
    assert_eq!(refusal.reason, RefusalReason::ForeignCluster, "{}", refusal.message);
}
