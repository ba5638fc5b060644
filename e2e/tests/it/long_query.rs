//! A query that runs for some seconds on all nodes of a warehouse, whatever machine this is.

use std::time::{Duration, Instant};

use springtide_e2e::sql::Session;

use crate::department::{execute, value};

/// Rows of the table that the queries read: several batches for each thread that works on them.
pub(crate) const ROWS: u32 = 120_000;
/// How long the queries run at least, so that something can happen in the middle of it.
const RUNS: Duration = Duration::from_secs(5);
/// More work than this per row is not tried.
const MOST_WORK: f64 = 1e6;

/// Makes `numbers(id)` in a database of its own, by the nodes of `warehouse`, which the session keeps.
pub(crate) async fn table(session: &mut Session, database: &str, warehouse: &str) {
    let digits: Vec<String> = (0..400).map(|digit| format!("({digit})")).collect();
    let statements = [
        format!("SET warehouse = '{warehouse}'"),
        format!("DROP DATABASE IF EXISTS {database}"),
        format!("CREATE DATABASE {database}"),
        format!("CREATE TABLE {database}.digits (d INT) DUPLICATE KEY(d) DISTRIBUTED BY HASH(d) BUCKETS 1"),
        format!("CREATE TABLE {database}.numbers (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 8"),
        format!("INSERT INTO {database}.digits VALUES {}", digits.join(",")),
        format!(
            "INSERT INTO {database}.numbers SELECT a.d * 400 + b.d FROM {database}.digits a, {database}.digits b WHERE a.d < {}",
            ROWS / 400
        ),
    ];
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    execute(session, &statements).await;
    assert_eq!(
        value(session, &format!("SELECT count(DISTINCT id) FROM {database}.numbers")).await,
        ROWS.to_string()
    );
}

/// A query of the table that takes a while, and its answer where nothing disturbs it.
pub(crate) struct LongQuery {
    /// An expression that takes this while for all rows of the table together, where they are read.
    pub(crate) hash: String,
    pub(crate) text: String,
    pub(crate) answer: String,
}

/// Finds a query that runs long enough for something to happen in its middle.
pub(crate) async fn long_work(session: &mut Session, database: &str) -> LongQuery {
    let mut work = 16.0;
    loop {
        let hash = format!("md5(repeat(concat('x', id), {work}))");
        let text = format!("SELECT count(*) FROM {database}.numbers WHERE {hash} < '8'");
        let began = Instant::now();
        let answer = value(session, &text).await;
        let took = began.elapsed();
        if took >= RUNS {
            return LongQuery { hash, text, answer };
        }
        assert!(work < MOST_WORK, "{took:?} at {work} repetitions");
        let missing = RUNS.as_secs_f64() / took.as_secs_f64();
        work = f64::ceil(work * (1.2 * missing).min(16.0));
    }
}
