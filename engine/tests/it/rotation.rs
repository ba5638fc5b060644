//! Secrets that are replaced while a cluster works: nothing fails, nothing is started again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Conn, Opts, SslOpts, prelude::Queryable};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::StatusCode;
use springtide_contract::{paths, ports};
use springtide_rpc::message::HEARTBEAT;
use tokio::task::JoinSet;

use crate::{
    client::{Client, rows},
    load::put,
    object_storage::S3,
    processes::{Cluster, TOKEN, cluster, until},
};

/// Between the kubelet of one pod and that of the next.
const PAUSE: Duration = Duration::from_secs(2);
/// Work goes on for this long after each step.
const A_WHILE: Duration = Duration::from_secs(3);
/// Between two statements or loads of one client, so that the tables stay small.
const BREATH: Duration = Duration::from_millis(150);

const KEYS_READ: &str = "storage credentials were read anew";
const KEYS_REFUSED: &str = "the store refuses the new storage credentials";
const TOKEN_READ: &str = "the cluster token was read anew";

/// Clients that query, insert and load until they are told to stop. Nothing of that may fail.
struct Work {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<(Kind, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Queries,
    Rows,
}

impl Work {
    async fn begin(cluster: &Cluster) -> Self {
        cluster
            .client
            .execute(&[
                "CREATE DATABASE lake",
                "CREATE TABLE lake.facts (id BIGINT NOT NULL, name VARCHAR(9)) DISTRIBUTED BY HASH(id) BUCKETS 4",
                "INSERT INTO lake.facts VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
            ])
            .await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(query(cluster.client.clone(), Arc::clone(&stop)));
        tasks.spawn(insert(cluster.client.clone(), Arc::clone(&stop)));
        let url = cluster.load_url("lake", "facts");
        tasks.spawn(load(url, cluster.client.clone(), Arc::clone(&stop)));
        Self { stop, tasks }
    }

    /// Goes on for a while, in which nothing may have ended.
    async fn go_on(&mut self) {
        let ended = tokio::time::timeout(A_WHILE, self.tasks.join_next()).await;
        if let Ok(Some(ended)) = ended {
            ended.expect("work goes on");
            panic!("work ended by itself");
        }
    }

    /// Ends it. What was acknowledged is there, once.
    async fn end(mut self, client: &Client) {
        self.stop.store(true, Relaxed);
        let mut queries = 0;
        // The rows of the beginning.
        let mut written = 4;
        while let Some(ended) = self.tasks.join_next().await {
            match ended.expect("nothing fails") {
                (Kind::Queries, count) => queries += count,
                (Kind::Rows, count) => written += count,
            }
        }
        assert!(queries > 10 && written > 20, "{queries} queries and {written} rows");
        assert_eq!(
            client.rows("SELECT count(*) FROM lake.facts").await,
            [written.to_string()]
        );
    }
}

async fn query(client: Client, stop: Arc<AtomicBool>) -> (Kind, u64) {
    let mut connection = client.connect().await;
    let mut done = 0;
    while !stop.load(Relaxed) {
        let asked = rows(
            &mut connection,
            "SELECT name, count(*), sum(id) FROM lake.facts GROUP BY name",
        )
        .await;
        asked.unwrap_or_else(|error| panic!("query {done}: {error}"));
        done += 1;
        tokio::time::sleep(BREATH).await;
    }
    (Kind::Queries, done)
}

async fn insert(client: Client, stop: Arc<AtomicBool>) -> (Kind, u64) {
    let mut connection = client.connect().await;
    let mut done = 0;
    while !stop.load(Relaxed) {
        let statement = format!("INSERT INTO lake.facts VALUES ({}, 'insert')", 1_000_000 + done);
        let inserted = connection.query_drop(&statement).await;
        inserted.unwrap_or_else(|error| panic!("{statement}: {error}"));
        done += 1;
        tokio::time::sleep(BREATH).await;
    }
    (Kind::Rows, done)
}

async fn load(url: String, client: Client, stop: Arc<AtomicBool>) -> (Kind, u64) {
    let mut done = 0;
    while !stop.load(Relaxed) {
        let body = format!("{},load\n", 2_000_000 + done).into_bytes();
        let separator = [("column_separator", ",")];
        let (status, reply) = put(&url, &client.user, &client.password, &separator, body).await;
        assert!(
            status == StatusCode::OK && reply["Status"] == "Success",
            "load {done}: {status} {reply}"
        );
        done += 1;
        tokio::time::sleep(BREATH).await;
    }
    (Kind::Rows, done)
}

/// Waits until every process has logged this so often.
async fn until_all_logged(cluster: &Cluster, what: &str, times: usize) {
    until(&format!("all have logged {times} times: {what}"), async || {
        cluster.logged(what).iter().all(|count| *count >= times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_to_the_store_are_replaced_while_queries_and_loads_run() {
    let s3 = S3::start().await;
    let keys = [
        ("first", "the-secret-of-the-first"),
        ("second", "the-secret-of-the-second"),
        ("third", "the-secret-of-the-third"),
        ("fourth", "the-secret-of-the-fourth"),
    ];
    let files = |(id, secret): (&'static str, &'static str)| {
        [(paths::ACCESS_KEY_ID_FILE, id), (paths::SECRET_ACCESS_KEY_FILE, secret)]
    };
    s3.add_account(keys[0]).await;
    let mut cluster = cluster()
        .storage(s3.storage("lake", "departments/retail"), Some(keys[0]))
        .compute(2)
        .start()
        .await;
    let mut work = Work::begin(&cluster).await;
    work.go_on().await;

    // As it should be: both keys are good until all processes have the new one.
    s3.add_account(keys[1]).await;
    cluster.rotate(paths::STORAGE_CREDENTIALS, &files(keys[1]), PAUSE).await;
    until_all_logged(&cluster, KEYS_READ, 1).await;
    s3.remove_account(keys[0].0).await;
    work.go_on().await;

    // In a hurry: the old key goes as soon as the files are there, before anybody has looked at them.
    s3.add_account(keys[2]).await;
    cluster
        .rotate(paths::STORAGE_CREDENTIALS, &files(keys[2]), Duration::ZERO)
        .await;
    s3.remove_account(keys[1].0).await;
    work.go_on().await;
    until_all_logged(&cluster, KEYS_READ, 2).await;

    // The wrong way round: the store does not know the key yet.
    cluster.rotate(paths::STORAGE_CREDENTIALS, &files(keys[3]), PAUSE).await;
    until_all_logged(&cluster, KEYS_REFUSED, 1).await;
    work.go_on().await;
    s3.add_account(keys[3]).await;
    s3.remove_account(keys[2].0).await;
    work.go_on().await;

    work.end(&cluster.client).await;
    for (_, secret) in keys {
        assert!(
            cluster.logged(secret).iter().all(|count| *count == 0),
            "a key is logged"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_token_is_replaced_in_three_steps_while_queries_and_loads_run() {
    let mut cluster = cluster().compute(2).start().await;
    let mut work = Work::begin(&cluster).await;
    let new = "the-next-token-of-this-cluster";
    let (token, second) = (paths::TOKEN_FILE, paths::SECOND_TOKEN_FILE);
    let steps = [
        &[(token, TOKEN), (second, new)][..],
        &[(token, new), (second, TOKEN)],
        &[(token, new)],
    ];
    for (files, times) in steps.into_iter().zip(1..) {
        cluster.rotate(paths::INTERNAL, files, PAUSE).await;
        until_all_logged(&cluster, TOKEN_READ, times).await;
        work.go_on().await;
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let heartbeat = format!("http://{}:{}{HEARTBEAT}", cluster.nodes[0].host, ports::CN_HEARTBEAT);
    for (given, is_let_in) in [(TOKEN, false), (new, true)] {
        let request = client.post(&heartbeat).bearer_auth(given).json(&serde_json::json!({}));
        let status = request.send().await.expect("an answer").status();
        assert_eq!(status != StatusCode::UNAUTHORIZED, is_let_in, "{status}");
    }
    work.end(&cluster.client).await;
    assert!(
        cluster.logged(new).iter().all(|count| *count == 0),
        "the token is logged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_password_is_replaced_by_its_secret_and_by_sql() {
    let mut cluster = cluster().start().await;
    let mut open = cluster.client.connect().await;
    let account = |password| [(paths::USERNAME_FILE, "admin"), (paths::PASSWORD_FILE, password)];
    let by_secret = cluster.client.as_user("admin", "by the Secret");
    cluster
        .rotate(paths::ADMIN_ACCOUNT, &account("by the Secret"), Duration::ZERO)
        .await;
    until("the new password opens", async || by_secret.try_connect().await.ok()).await;
    assert!(cluster.client.try_connect().await.is_err(), "the old one opens nothing");
    open.query_drop("SELECT 1").await.expect("who is in stays in");

    open.query_drop("ALTER USER 'admin'@'%' IDENTIFIED BY 'by SQL'")
        .await
        .expect("it is changed");
    cluster.kill_frontend();
    cluster.start_frontend();
    let by_sql = cluster.client.as_user("admin", "by SQL");
    until("the password of SQL opens", async || by_sql.try_connect().await.ok()).await;
    // Longer than it takes to look at the Secret.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        assert!(by_sql.try_connect().await.is_ok(), "the Secret has not changed");
        assert!(by_secret.try_connect().await.is_err());
        tokio::time::sleep(BREATH).await;
    }
}

/// A certificate for `localhost`, good until the beginning of this year, and its key.
fn certificate(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// A client that trusts this certificate alone.
async fn connect_trusting(client: &Client, certificate: &str) -> Result<Conn, mysql_async::Error> {
    let tls = SslOpts::default()
        .with_root_certs(vec![certificate.as_bytes().to_vec().into()])
        .with_disable_built_in_roots(true)
        .with_danger_tls_hostname_override(Some("localhost"));
    Conn::new(Opts::from(client.options().ssl_opts(tls))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_see_a_renewed_certificate_and_open_ones_go_on() {
    let (old, old_key) = certificate(2031);
    let (new, new_key) = certificate(2032);
    let mut cluster = cluster().certificate(old.clone(), old_key.clone()).start().await;
    let mut open = connect_trusting(&cluster.client, &old).await.expect("a connection");
    let expiry = "starrocks_fe_certificate_expiry_seconds";
    // 2031-01-01 and 2032-01-01.
    assert_eq!(cluster.frontend_metric(expiry).await, 1_924_992_000);

    // A certificate with the key of another one changes nothing.
    cluster
        .rotate(paths::TLS, &[("tls.crt", &new), ("tls.key", &old_key)], Duration::ZERO)
        .await;
    until_all_logged(&cluster, "the renewed certificate cannot be used", 1).await;
    assert!(connect_trusting(&cluster.client, &old).await.is_ok());

    cluster
        .rotate(paths::TLS, &[("tls.crt", &new), ("tls.key", &new_key)], Duration::ZERO)
        .await;
    until("the new certificate is shown", async || {
        connect_trusting(&cluster.client, &new).await.ok()
    })
    .await;
    assert!(connect_trusting(&cluster.client, &old).await.is_err());
    let one: Option<i64> = open.query_first("SELECT 1").await.expect("an open connection goes on");
    assert_eq!(one, Some(1));
    assert_eq!(cluster.frontend_metric(expiry).await, 1_956_528_000);
    assert!(!cluster.frontend_log().contains("PRIVATE KEY"));
}
