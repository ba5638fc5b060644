//! The frontend's process is killed again and again while clients write: what was acknowledged is there, what was not is there
//! whole or not at all, and every label counts once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use mysql_async::{Conn, prelude::Queryable};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    client::Client,
    processes::{PATIENCE, cluster, until},
};

/// Lives of the frontend.
const LIVES: usize = 8;
/// Rows of each insert, in both partitions and all buckets.
const ROWS: u32 = 8;
const WRITERS: u32 = 3;
/// Number of MySQL's error for a label that was used before.
const LABEL_EXISTS: u16 = 5602;
/// Pause of a client after a failure.
const PAUSE: Duration = Duration::from_millis(20);

/// What a client knows of one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Acknowledged,
    /// The answer was an error, or there was none.
    Open,
}

#[derive(Debug, Default)]
struct Ledger {
    inserts: Mutex<BTreeMap<u32, Known>>,
    databases: Mutex<Vec<String>>,
    next: AtomicU32,
    stop: AtomicBool,
}

impl Ledger {
    fn note(&self, batch: u32, known: Known) {
        self.inserts.lock().unwrap().insert(batch, known);
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn insert(batch: u32) -> String {
    let rows: Vec<String> = (0..ROWS).map(|row| format!("({batch}, {row})")).collect();
    format!(
        "INSERT INTO shop.sales WITH LABEL batch_{batch} (batch, half) VALUES {}",
        rows.join(", ")
    )
}

/// Inserts batch after batch; where the outcome is open it repeats some of them under the same label until it is known.
async fn write(client: Client, ledger: Arc<Ledger>, mut random: StdRng) {
    let mut connection: Option<Conn> = None;
    let mut again: Option<u32> = None;
    while !ledger.is_over() {
        let Some(open) = &mut connection else {
            connection = client.try_connect().await.ok();
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let batch = again
            .take()
            .unwrap_or_else(|| ledger.next.fetch_add(1, Ordering::Relaxed));
        match open.query_drop(insert(batch)).await {
            Ok(()) => ledger.note(batch, Known::Acknowledged),
            // It was committed by an earlier try, whose answer was lost.
            Err(mysql_async::Error::Server(error)) if error.code == LABEL_EXISTS => {
                ledger.note(batch, Known::Acknowledged);
            }
            Err(error) => {
                ledger.note(batch, Known::Open);
                if !matches!(error, mysql_async::Error::Server(_)) {
                    connection = None;
                }
                if random.random_bool(0.7) {
                    again = Some(batch);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Loads batch after batch through a compute node, which asks the frontend to begin and to commit.
async fn load(url: String, user: Client, ledger: Arc<Ledger>, mut random: StdRng) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    let mut again: Option<u32> = None;
    while !ledger.is_over() {
        let batch = again
            .take()
            .unwrap_or_else(|| ledger.next.fetch_add(1, Ordering::Relaxed));
        let rows: String = (0..ROWS).map(|row| format!("{batch},{row}\n")).collect();
        let answer = client
            .put(&url)
            .basic_auth(&user.user, Some(&user.password))
            .header("label", format!("batch_{batch}"))
            .header("column_separator", ",")
            .body(rows)
            .send()
            .await
            .expect("the compute node lives");
        let reply: serde_json::Value = answer.json().await.expect("a reply in JSON");
        let known = match (reply["Status"].as_str(), reply["ExistingJobStatus"].as_str()) {
            (Some("Success" | "Publish Timeout"), _) | (Some("Label Already Exists"), Some("FINISHED")) => {
                Known::Acknowledged
            }
            _ => Known::Open,
        };
        ledger.note(batch, known);
        if known == Known::Open {
            if random.random_bool(0.7) {
                again = Some(batch);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Makes databases: changes of the catalog alone.
async fn define(client: Client, ledger: Arc<Ledger>) {
    let mut number = 0;
    while !ledger.is_over() {
        number += 1;
        let name = format!("made_{number}");
        let made = async {
            let mut connection = client.try_connect().await?;
            connection.query_drop(format!("CREATE DATABASE {name}")).await
        };
        if made.await.is_ok() {
            ledger.databases.lock().unwrap().push(name);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks for inserts that are visible in part, and counts the looks.
async fn watch(client: Client, ledger: Arc<Ledger>) -> usize {
    let mut looks = 0;
    while !ledger.is_over() {
        let torn = format!("SELECT batch, count(*) FROM shop.sales GROUP BY batch HAVING count(*) <> {ROWS}");
        if let Ok(found) = client.try_rows(&torn).await {
            assert!(found.is_empty(), "visible in part: {found:?}");
            looks += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    looks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_is_killed_at_any_moment_loses_nothing_and_shows_nothing_in_part() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = cluster().compute(2).start().await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.sales (batch BIGINT, half INT) DUPLICATE KEY(batch) PARTITION BY RANGE(half) \
             (PARTITION low VALUES LESS THAN ('4'), PARTITION high VALUES LESS THAN MAXVALUE) \
             DISTRIBUTED BY HASH(half) BUCKETS 2",
        ])
        .await;
    let ledger = Arc::new(Ledger::default());
    let mut clients = Vec::new();
    for _ in 0..WRITERS {
        let random = StdRng::seed_from_u64(random.random());
        clients.push(tokio::spawn(write(cluster.client.clone(), Arc::clone(&ledger), random)));
    }
    let url = format!("http://{}:8040/api/shop/sales/_stream_load", cluster.nodes[0].host);
    let loader = load(
        url,
        cluster.client.clone(),
        Arc::clone(&ledger),
        StdRng::seed_from_u64(random.random()),
    );
    clients.push(tokio::spawn(loader));
    clients.push(tokio::spawn(define(cluster.client.clone(), Arc::clone(&ledger))));
    let watcher = tokio::spawn(watch(cluster.client.clone(), Arc::clone(&ledger)));
    for _ in 0..LIVES {
        let life = Duration::from_millis(random.random_range(100..1500));
        tokio::time::sleep(life).await;
        cluster.kill_frontend();
        cluster.start_frontend();
        cluster.wait_for_frontend().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    ledger.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client does not panic");
    }
    assert!(watcher.await.expect("nothing was torn") > 0, "nobody looked");
    cluster.kill_frontend();
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    cluster.wait_for_nodes().await;

    // What was committed before the kill is published by the next frontend.
    let (committed, visible) = ("COMMITTED", "SHOW LOAD FROM shop");
    until("all commits are visible", async || {
        let loads = cluster.client.try_rows(visible).await.ok()?;
        (!loads.iter().any(|load| load.contains(committed))).then_some(())
    })
    .await;
    let counts: BTreeMap<u32, u32> = cluster
        .client
        .rows("SELECT batch, count(*) FROM shop.sales GROUP BY batch")
        .await
        .iter()
        .filter_map(|row| row.split_once('|'))
        .map(|(batch, count)| (batch.parse().expect("a batch"), count.parse().expect("a count")))
        .collect();
    let inserts = ledger.inserts.lock().unwrap().clone();
    let acknowledged = inserts.values().filter(|known| **known == Known::Acknowledged).count();
    println!(
        "{} inserts, {acknowledged} acknowledged, {} there, {} databases",
        inserts.len(),
        counts.len(),
        ledger.databases.lock().unwrap().len()
    );
    assert!(acknowledged > LIVES, "the clients got little done: {acknowledged}");
    for (batch, known) in &inserts {
        match (counts.get(batch), known) {
            (Some(count), _) => assert_eq!(*count, ROWS, "batch {batch} ({known:?}) is there in part or twice"),
            (None, Known::Open) => {}
            (None, Known::Acknowledged) => panic!("batch {batch} was acknowledged and is lost"),
        }
    }
    assert!(
        counts.keys().all(|batch| inserts.contains_key(batch)),
        "rows that nobody wrote"
    );
    let databases = cluster.client.rows("SHOW DATABASES").await;
    for made in ledger.databases.lock().unwrap().iter() {
        assert!(databases.contains(made), "database {made} was acknowledged and is lost");
    }
}
