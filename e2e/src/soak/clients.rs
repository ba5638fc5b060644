//! Clients that load and query without a pause. What they were told is committed is in their ledger; a statement that fails is told,
//! and repeated where its label makes that exact.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{STATEMENT_LIMIT, Trial};
use crate::{
    Error, Result,
    sql::Session,
    sql_client::{self, Installed, SqlClient, Value},
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
/// How long the rows of a slow load take to come.
const SLOW_LOAD: Duration = Duration::from_secs(3);
/// More work than this per row is not tried.
const MOST_WORK: u32 = 1 << 20;
/// Statements of one connection, before the next client has its turn.
const STATEMENTS_PER_TURN: u32 = 25;
/// Of those that take a while.
const LONG_PER_TURN: u32 = 4;
/// Clients of each kind: with fewer than all workers together have, one would always get back what it has given.
const OF_EACH_KIND: usize = 2;

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
pub(super) async fn work(trial: &Trial, installed: &Installed, warehouse: &str, seeded: &Seeded) -> Result<Ledger> {
    let login = trial.login.clone().opening(&format!("SET warehouse = '{warehouse}'"));
    let all = std::iter::repeat_n(sql_client::Kind::ALL, OF_EACH_KIND).flatten();
    let turns = Turns {
        waiting: Arc::new(Mutex::new(
            all.map(|kind| SqlClient::new(kind, installed, &login)).collect(),
        )),
    };
    let client = |number| Client {
        trial: trial.clone(),
        turns: turns.clone(),
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
    /// Its rows come so slowly that nodes are told to go meanwhile; by either way in turn.
    SlowStreamLoad,
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
    Kind::SlowStreamLoad,
    Kind::Insert,
    Kind::InsertSelect,
    Kind::ShortQuery,
    Kind::ShortQuery,
    Kind::LongQuery,
];

/// What the clients send, by name.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name())
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::StreamLoad(Way::Redirect) => "Stream Loads by redirect",
            Self::StreamLoad(Way::Proxy) => "Stream Loads by proxy",
            Self::SlowStreamLoad => "slow Stream Loads",
            Self::Insert => "inserts",
            Self::InsertSelect => "inserts from a query",
            Self::ShortQuery => "short queries",
            Self::LongQuery => "long queries",
        }
    }
}

/// Clients of SQL that wait for their turn, so that each kind of statement is sent by every one of them.
#[derive(Clone)]
struct Turns {
    waiting: Arc<Mutex<VecDeque<SqlClient>>>,
}

impl Turns {
    fn take(&self) -> Result<SqlClient> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.pop_front();
        next.ok_or_else(|| Error::Missing("a client of SQL: there are fewer than workers".into()))
    }

    /// The next one, for one whose turn is over: it closes its connection as people do, and waits.
    async fn next(&self, mut before: SqlClient) -> Result<SqlClient> {
        before.close().await?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back(before);
        drop(waiting);
        self.take()
    }
}

struct Client {
    trial: Trial,
    turns: Turns,
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
            Kind::StreamLoad(way) => self.stream_loads(kind, &[way], Duration::ZERO).await?,
            Kind::SlowStreamLoad => self.stream_loads(kind, &[Way::Redirect, Way::Proxy], SLOW_LOAD).await?,
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

    /// Loads, each of which goes by the next of these ways.
    async fn stream_loads(&mut self, kind: Kind, ways: &[Way], lasts: Duration) -> Result<()> {
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
            let way = ways[usize::try_from(self.batch).unwrap_or_default() % ways.len()];
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
                match http.load_slowly(table, &headers, &body, way, lasts).await {
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
        let mut client = self.turns.take()?;
        while !trial.has_ended() {
            let own = self.next_table().await?;
            let (number, batch, database) = (self.number, self.batch, &trial.database);
            let label = format!("{database}_{}_{number}_{batch}", trial.run);
            let takes_values = client.kind().takes_values();
            let (rows, source, values) = if kind == Kind::Insert {
                let rows = 1 + batch % 7;
                let (source, values) = listed(number, batch, rows, takes_values);
                (rows, source, values)
            } else {
                let rows = 100 + batch % 1900;
                let source = format!("SELECT {number}, {batch}, id FROM {database}.seed WHERE id < {rows}");
                (rows, source, Vec::new())
            };
            let statement = format!("INSERT INTO {database}.{own} WITH LABEL {label} {source}");
            loop {
                let done = client.run_with(&statement, &values, STATEMENT_LIMIT).await;
                let failure = match done {
                    // It was committed, and its answer was lost.
                    Err(error) if error.to_string().contains("has already been used") => None,
                    done => done.err(),
                };
                trial.tally.sent(client.kind(), failure.is_some());
                let Some(failure) = failure else { break };
                trial.tally.failed(kind.name(), failure);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            trial.tally.done(kind.name());
            self.committed(&own, rows);
            if batch.is_multiple_of(STATEMENTS_PER_TURN.into()) {
                client = self.turns.next(client).await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn queries(&mut self, kind: Kind) -> Result<()> {
        let trial = self.trial.clone();
        let short = format!("SELECT concat(count(*), ' ', sum(id)) FROM {}.seed", trial.database);
        let sum = u64::from(SEED_ROWS) * (u64::from(SEED_ROWS) - 1) / 2;
        let (query, expected, per_turn) = if kind == Kind::ShortQuery {
            (short, format!("{SEED_ROWS} {sum}"), STATEMENTS_PER_TURN)
        } else {
            let Seeded {
                long_query,
                long_answer,
            } = self.seeded.clone();
            (long_query, long_answer, LONG_PER_TURN)
        };
        let mut client = self.turns.take()?;
        let mut sent = 0;
        while !trial.has_ended() {
            let answer = if kind == Kind::ShortQuery && client.kind().takes_values() {
                let query = format!("{query} WHERE id >= ?");
                client.run_with(&query, &[Value::Int(0)], STATEMENT_LIMIT).await
            } else {
                client.run(&query, STATEMENT_LIMIT).await
            };
            trial.tally.sent(client.kind(), answer.is_err());
            match answer {
                Ok(found) if found.value() == Some(&expected) => trial.tally.done(kind.name()),
                Ok(found) => {
                    let found = format!("{found:?} by {}", client.kind().name());
                    trial.tally.wrong(kind.name(), &found, &expected);
                }
                Err(error) => {
                    let failure = format!("{error} by {}", client.kind().name());
                    trial.tally.failed(kind.name(), failure);
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
            sent += 1;
            if sent % per_turn == 0 {
                client = self.turns.next(client).await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Rows for an INSERT: in its text, or as values apart from it.
fn listed(number: u32, batch: u64, rows: u64, apart: bool) -> (String, Vec<Value>) {
    if !apart {
        let rows: Vec<String> = (0..rows).map(|line| format!("({number}, {batch}, {line})")).collect();
        return (format!("VALUES {}", rows.join(", ")), Vec::new());
    }
    let int = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let marks = vec!["(?, ?, ?)"; usize::try_from(rows).unwrap_or_default()];
    let values = (0..rows).flat_map(|line| [int(number.into()), int(batch), int(line)]);
    (format!("VALUES {}", marks.join(", ")), values.collect())
}
