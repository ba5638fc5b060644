//! Programs that use a cluster over TLS, by a user of their own, until they are told to end: one that keeps its connection, one that
//! connects for each statement, and one that loads. They count what failed, and what is to be there in the end.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use springtide_e2e::{
    Result,
    sql::{Door, Session},
    stream_load::{self, StreamLoad},
};
use tokio::task::JoinSet;

use crate::department::{Department, LAKE, STATEMENT_LIMIT, execute, value};

/// The programs' user.
pub(crate) const PROGRAM: &str = "program";
const PASSWORD: &str = "of-the-programs";
const DATABASE: &str = "programs";
const TABLE: &str = "ledger";
/// Between two statements of one program: nothing puts small loads together.
const PAUSE: Duration = Duration::from_millis(1500);
/// Rows of one load or insert.
const ROWS: u64 = 3;
/// Far below what they do in the time of a scenario.
const FEWEST_STATEMENTS: u64 = 20;
/// Failures that are told in full.
const TOLD: usize = 5;

/// How the programs reach the cluster.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) door: Arc<Door>,
    /// The Service of the frontends.
    pub(crate) service: String,
    /// The name that the certificate has to be for.
    pub(crate) host: String,
    /// Certificates of the authorities that are trusted.
    pub(crate) authorities: String,
}

impl Way {
    /// To a cluster whose certificate nobody trusts yet.
    pub(crate) fn to(door: Door, service: &str) -> Self {
        Self {
            door: Arc::new(door),
            service: service.to_owned(),
            host: String::new(),
            authorities: String::new(),
        }
    }

    /// A session over TLS.
    pub(crate) async fn connect(&self) -> Result<Session> {
        Session::open_with_tls(&self.door, PROGRAM, PASSWORD, &self.authorities, &self.host).await
    }
}

/// What programs did.
#[derive(Default)]
pub(crate) struct Told {
    statements: u64,
    rows: u64,
    failures: Vec<String>,
}

impl Told {
    /// Counts a statement that should have written so many rows.
    fn count(&mut self, rows: u64, failure: Option<String>) {
        self.statements += 1;
        match failure {
            Some(failure) => self.failures.push(failure),
            None => self.rows += rows,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            statements,
            rows,
            failures,
        } = self;
        write!(f, "{statements} statements, {rows} rows, {} failed", failures.len())?;
        failures.iter().take(TOLD).try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// The programs that run.
pub(crate) struct Programs {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Told>,
}

impl Programs {
    pub(crate) async fn begin(department: &Department, way: &Way) -> Self {
        let mut session = department.session(LAKE).await;
        execute(
            &mut session,
            &[
                &format!("CREATE USER {PROGRAM} IDENTIFIED BY '{PASSWORD}'"),
                &format!("CREATE DATABASE {DATABASE}"),
                &format!(
                    "CREATE TABLE {DATABASE}.{TABLE} (id BIGINT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2"
                ),
            ],
        )
        .await;
        let cluster = &department.cluster;
        let http = StreamLoad::open(
            &cluster.target,
            &cluster.client,
            &department.name,
            &way.service,
            PROGRAM,
            PASSWORD,
        );
        let http = http.await.expect("the way of loads");
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let connected = way.connect().await.unwrap_or_else(|error| panic!("{error}"));
        tasks.spawn(query(connected, Arc::clone(&stop)));
        tasks.spawn(insert(way.clone(), Arc::clone(&stop)));
        tasks.spawn(load(http, Arc::clone(&stop)));
        Self { stop, tasks }
    }

    /// Ends them. None of their statements failed, and every row is there once.
    pub(crate) async fn end(mut self, department: &Department) -> Told {
        self.stop.store(true, Relaxed);
        let mut all = Told::default();
        while let Some(told) = self.tasks.join_next().await {
            let told = told.expect("a program");
            assert!(told.statements > FEWEST_STATEMENTS, "a program hardly worked: {told}");
            all.statements += told.statements;
            all.rows += told.rows;
            all.failures.extend(told.failures);
        }
        assert!(all.failures.is_empty(), "{all}");
        let count = format!("SELECT count(*) FROM {DATABASE}.{TABLE}");
        let found = value(&mut department.session(LAKE).await, &count).await;
        assert_eq!(found, all.rows.to_string(), "rows");
        all
    }
}

/// On one connection, which is never opened again.
async fn query(mut session: Session, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut before = 0;
    while !stop.load(Relaxed) {
        let counted = session
            .value(&format!("SELECT count(*) FROM {DATABASE}.{TABLE}"), STATEMENT_LIMIT)
            .await;
        let failure = match counted.map(|count| count.parse::<u64>()) {
            // Others write: rows may come, and none may go.
            Ok(Ok(count)) if count >= before => {
                before = count;
                None
            }
            Ok(other) => Some(format!("{other:?} rows after {before}")),
            Err(error) => Some(error.to_string()),
        };
        told.count(0, failure);
        tokio::time::sleep(PAUSE).await;
    }
    told
}

/// On a connection of its own for each statement.
async fn insert(way: Way, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let statement = format!("INSERT INTO {DATABASE}.{TABLE} VALUES (1), (2), (3)");
    while !stop.load(Relaxed) {
        let inserted = async {
            let mut session = way.connect().await?;
            session.execute(&statement, STATEMENT_LIMIT).await
        };
        let failure = match inserted.await {
            Ok(ROWS) => None,
            Ok(other) => Some(format!("{other} rows were inserted")),
            Err(error) => Some(error.to_string()),
        };
        told.count(ROWS, failure);
        tokio::time::sleep(PAUSE).await;
    }
    told
}

/// By redirect and through the frontend in turn.
async fn load(http: StreamLoad, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let ways = [stream_load::Way::Redirect, stream_load::Way::Proxy];
    for way in ways.into_iter().cycle() {
        if stop.load(Relaxed) {
            break;
        }
        let failure = match http.load((DATABASE, TABLE), &[], "4\n5\n6", way).await {
            Ok(answer) if answer["Status"] == "Success" => None,
            Ok(answer) => Some(answer.to_string()),
            Err(error) => Some(error.to_string()),
        };
        told.count(ROWS, failure);
        tokio::time::sleep(PAUSE).await;
    }
    told
}
