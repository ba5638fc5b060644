//! Clients that load and query without a pause. What they were told is committed is in their ledger; a statement that fails is told,
//! and repeated where its label makes that exact.

use std::{collections::BTreeMap, time::Duration};

use super::{STATEMENT_LIMIT, Trial};
use crate::{
    Result,
    sql::Session,
    stream_load::{StreamLoad, Way},
};

/// Between two statements of one client.
const PAUSE: Duration = Duration::from_millis(60);
/// Before a client goes on after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Rows of the table that queries read.
const SEED_ROWS: u32 = 40_000;
/// How long a long query runs at least.
const LONG: Duration = Duration::from_secs(3);
/// More work than this per row is not tried.
const MOST_WORK: u32 = 1 << 20;
/// Queries of one connection before the client logs in anew.
const QUERIES_PER_LOGIN: u32 = 25;

/// Loads into one table: nothing puts small ones together yet, and this is no trial of that.
const LOADS_PER_TABLE: u64 = 150;

/// Rows that clients were told are committed, by table; each client has tables of its own.
pub(super) type Ledger = BTreeMap<String, u64>;

/// What the clients read.
#[derive(Clone, Debug)]
pub(super) struct Seeded {
    /// A query that takes a while.
    long_query: String,
    /// Its answer.
    long_answer: String,
}

/// Makes the tables, and finds out how much work takes a while here.
pub(super) async fn prepare(trial: &Trial, session: &mut Session, warehouse: &str) -> Result<Seeded> {
    let database = &trial.database;
    let digits: Vec<String> = (0..200).map(|digit| format!("({digit})")).collect();
    for statement in [
        format!("SET warehouse = '{warehouse}'"),
        format!("DROP DATABASE IF EXISTS {database}"),
        format!("CREATE DATABASE {database}"),
        format!("CREATE TABLE {database}.digits (d INT) DUPLICATE KEY(d) DISTRIBUTED BY HASH(d) BUCKETS 1"),
        format!("CREATE TABLE {database}.seed (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 8"),
        format!("INSERT INTO {database}.digits VALUES {}", digits.join(",")),
        format!("INSERT INTO {database}.seed SELECT a.d * 200 + b.d FROM {database}.digits a, {database}.digits b"),
    ] {
        session.execute(&statement, STATEMENT_LIMIT).await?;
    }
    let mut work = 16;
    loop {
        let long_query =
            format!("SELECT count(*) FROM {database}.seed WHERE md5(repeat(concat('x', id), {work})) < '8'");
        let began = std::time::Instant::now();
        let long_answer = session.value(&long_query, STATEMENT_LIMIT).await?;
        if began.elapsed() >= LONG || work >= MOST_WORK {
            return Ok(Seeded {
                long_query,
                long_answer,
            });
        }
        work *= 2;
    }
}

/// All clients, until the trial ends and each has finished what it was at.
pub(super) async fn work(trial: &Trial, warehouse: &str, seeded: &Seeded) -> Result<Ledger> {
    let client = |number| Client {
        trial: trial.clone(),
        warehouse: warehouse.to_owned(),
        seeded: seeded.clone(),
        number,
        batch: 0,
        ledger: Ledger::new(),
    };
    let numbers = 0..u32::try_from(KINDS.len()).unwrap_or(u32::MAX);
    let own = futures::future::try_join_all(numbers.map(|number| client(number).work())).await;
    if own.is_err() {
        // The others must not go on without it.
        trial.end();
    }
    Ok(own?.into_iter().flatten().collect())
}

/// Rows that are missing or too many.
pub(super) async fn difference(trial: &Trial, session: &mut Session, ledger: &Ledger) -> Result<u64> {
    let mut difference = 0;
    for (table, committed) in ledger {
        let count = format!(
            "SELECT count(*), count(DISTINCT concat(batch, '-', line)) FROM {}.{table}",
            trial.database
        );
        let rows = session.rows(&count, STATEMENT_LIMIT).await?;
        let number = |column: usize| -> u64 {
            let text = rows.first().and_then(|row| row.get(column));
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let (rows, distinct) = (number(0), number(1));
        difference += rows.abs_diff(*committed) + rows.abs_diff(distinct);
    }
    Ok(difference)
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    StreamLoad(Way),
    Insert,
    InsertSelect,
    ShortQuery,
    LongQuery,
}

/// The clients.
const KINDS: &[Kind] = &[
    Kind::StreamLoad(Way::Redirect),
    Kind::StreamLoad(Way::Redirect),
    Kind::StreamLoad(Way::Proxy),
    Kind::Insert,
    Kind::InsertSelect,
    Kind::ShortQuery,
    Kind::ShortQuery,
    Kind::LongQuery,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::StreamLoad(Way::Redirect) => "Stream Loads by redirect",
            Self::StreamLoad(Way::Proxy) => "Stream Loads by proxy",
            Self::Insert => "inserts",
            Self::InsertSelect => "inserts from a query",
            Self::ShortQuery => "short queries",
            Self::LongQuery => "long queries",
        }
    }
}

struct Client {
    trial: Trial,
    warehouse: String,
    seeded: Seeded,
    number: u32,
    batch: u64,
    ledger: Ledger,
}

impl Client {
    async fn work(mut self) -> Result<Ledger> {
        let kind = KINDS[self.number as usize];
        match kind {
            Kind::StreamLoad(way) => self.stream_loads(kind, way).await?,
            Kind::Insert | Kind::InsertSelect => self.inserts(kind).await?,
            Kind::ShortQuery | Kind::LongQuery => self.queries(kind).await?,
        }
        Ok(self.ledger)
    }

    /// Begins a load: the table that it goes to.
    async fn next_table(&mut self) -> Result<String> {
        self.batch += 1;
        let table = format!("ledger_{}_{}", self.number, self.batch / LOADS_PER_TABLE);
        if !self.ledger.contains_key(&table) {
            let statement = format!(
                "CREATE TABLE {}.{table} (client INT, batch BIGINT, line INT)
                 DUPLICATE KEY(client, batch) DISTRIBUTED BY HASH(batch) BUCKETS 4",
                self.trial.database
            );
            self.trial.session().await?.execute(&statement, STATEMENT_LIMIT).await?;
            self.ledger.insert(table.clone(), 0);
        }
        Ok(table)
    }

    fn committed(&mut self, table: &str, rows: u64) {
        *self.ledger.entry(table.to_owned()).or_default() += rows;
    }

    async fn session(&self) -> Result<Session> {
        let mut session = self.trial.session().await?;
        session
            .execute(&format!("SET warehouse = '{}'", self.warehouse), STATEMENT_LIMIT)
            .await?;
        Ok(session)
    }

    async fn stream_loads(&mut self, kind: Kind, way: Way) -> Result<()> {
        let trial = self.trial.clone();
        let http = StreamLoad::open(
            &trial.target,
            &trial.client,
            &trial.namespace(),
            &trial.account.service,
            &trial.account.user,
            &trial.password,
        )
        .await?;
        while !trial.has_ended() {
            let own = self.next_table().await?;
            let rows = 1 + self.batch * 37 % 200;
            let lines: Vec<String> = (0..rows)
                .map(|line| format!("{},{},{line}", self.number, self.batch))
                .collect();
            let body = lines.join("\n");
            let label = format!("{}-{}-{}-{}", trial.database, trial.run, self.number, self.batch);
            let headers = [("label", label.as_str()), ("warehouse", self.warehouse.as_str())];
            let table = (trial.database.as_str(), own.as_str());
            // A client repeats under the same label until it knows; every repetition is a failure that it saw.
            loop {
                match http.load(table, &headers, &body, way).await {
                    Ok(answer) if answer["Status"] == "Success" => break,
                    Ok(answer)
                        if answer["Status"] == "Label Already Exists" && answer["ExistingJobStatus"] == "FINISHED" =>
                    {
                        break;
                    }
                    Ok(answer) => trial.tally.failed(kind.name(), answer),
                    Err(error) => trial.tally.failed(kind.name(), error),
                }
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            trial.tally.done(kind.name());
            self.committed(&own, rows);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn inserts(&mut self, kind: Kind) -> Result<()> {
        let trial = self.trial.clone();
        let mut session = self.session().await?;
        while !trial.has_ended() {
            let own = self.next_table().await?;
            let (number, batch, database) = (self.number, self.batch, &trial.database);
            let label = format!("{database}_{}_{number}_{batch}", trial.run);
            let (rows, source) = if kind == Kind::Insert {
                let rows = 1 + batch % 7;
                let values: Vec<String> = (0..rows).map(|line| format!("({number}, {batch}, {line})")).collect();
                (rows, format!("VALUES {}", values.join(", ")))
            } else {
                let rows = 100 + batch % 1900;
                (
                    rows,
                    format!("SELECT {number}, {batch}, id FROM {database}.seed WHERE id < {rows}"),
                )
            };
            let statement = format!("INSERT INTO {database}.{own} WITH LABEL {label} {source}");
            loop {
                match session.execute(&statement, STATEMENT_LIMIT).await {
                    Ok(_) => break,
                    // It was committed, and its answer was lost.
                    Err(error) if error.to_string().contains("has already been used") => break,
                    Err(error) => {
                        trial.tally.failed(kind.name(), error);
                        tokio::time::sleep(AFTER_FAILURE).await;
                        session = self.session().await?;
                    }
                }
            }
            trial.tally.done(kind.name());
            self.committed(&own, rows);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn queries(&mut self, kind: Kind) -> Result<()> {
        let trial = self.trial.clone();
        let short = format!("SELECT concat(count(*), ' ', sum(id)) FROM {}.seed", trial.database);
        let sum = u64::from(SEED_ROWS) * (u64::from(SEED_ROWS) - 1) / 2;
        let (query, expected) = if kind == Kind::ShortQuery {
            (short, format!("{SEED_ROWS} {sum}"))
        } else {
            (self.seeded.long_query.clone(), self.seeded.long_answer.clone())
        };
        while !trial.has_ended() {
            let mut session = self.session().await?;
            for _ in 0..QUERIES_PER_LOGIN {
                if trial.has_ended() {
                    return Ok(());
                }
                match session.value(&query, STATEMENT_LIMIT).await {
                    Ok(found) if found == expected => trial.tally.done(kind.name()),
                    Ok(found) => trial.tally.wrong(kind.name(), &found, &expected),
                    Err(error) => {
                        trial.tally.failed(kind.name(), error);
                        tokio::time::sleep(AFTER_FAILURE).await;
                        break;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
