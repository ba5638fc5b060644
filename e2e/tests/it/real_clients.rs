//! The clients of the trials, each against a standalone engine: what people's programs see. No Kubernetes.

use std::time::Duration;

use springtide_e2e::{
    Error,
    places::Places,
    sql_client::{Answer, Installed, Kind, Login, SqlClient, Value},
    standalone::Standalone,
    timeline::Progress,
};
use tempfile::TempDir;

use crate::scenario::Scenario;

/// One statement; a JVM on a busy machine takes a while to begin.
const LIMIT: Duration = Duration::from_secs(90);
/// What a client must not garble.
const TEXT: &str = "Zoë's \"tab\" \\ \t日本\n";
const DATABASE: &str = "people";
/// What each scenario begins with.
const AN_ENGINE: &str = "an engine of its own, and clients";

struct Engine {
    standalone: Standalone,
    installed: Installed,
    _folder: TempDir,
}

impl Engine {
    async fn start() -> Self {
        let places = Places::find().expect("the tests run inside the checkout");
        let folder = tempfile::tempdir().expect("a folder");
        let quiet = Progress::default();
        let installed = Installed::on(&places, &quiet)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let mut standalone = Standalone::start(&places, &folder.path().join("engine"), &quiet)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let created = standalone
            .session
            .execute(&format!("CREATE DATABASE {DATABASE}"), LIMIT)
            .await;
        created.unwrap_or_else(|error| panic!("{error}"));
        Self {
            standalone,
            installed,
            _folder: folder,
        }
    }

    fn client(&self, kind: Kind) -> Tried {
        let Standalone {
            door, user, password, ..
        } = &self.standalone;
        let login = Login::new(door, user, password)
            .database(DATABASE)
            .opening("SET query_timeout = 77");
        Tried(SqlClient::new(kind, &self.installed, &login))
    }

    async fn kill(&mut self, connection: &str) {
        let killed = self
            .standalone
            .session
            .execute(&format!("KILL {connection}"), LIMIT)
            .await;
        killed.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A client whose failures are the test's, with its name.
struct Tried(SqlClient);

impl Tried {
    async fn run(&mut self, statement: &str) -> Answer {
        self.run_with(statement, &[]).await
    }

    async fn run_with(&mut self, statement: &str, values: &[Value]) -> Answer {
        let answer = self.0.run_with(statement, values, LIMIT).await;
        answer.unwrap_or_else(|error| panic!("{}: {error}", self.0.kind().name()))
    }

    async fn value(&mut self, statement: &str) -> String {
        let answer = self.run(statement).await;
        let value = answer.value().map(ToOwned::to_owned);
        value.unwrap_or_else(|| panic!("{}: {statement}: {answer:?}", self.0.kind().name()))
    }
}

fn rows(rows: &[&[Option<&str>]]) -> Answer {
    let owned = |row: &&[Option<&str>]| row.iter().map(|value| value.map(ToOwned::to_owned)).collect();
    Answer::Rows(rows.iter().map(owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_writes_reads_fails_and_connects_again() {
    let scenario = Scenario::begin("every client writes, reads, fails and connects again");
    let mut engine = scenario.given(AN_ENGINE, async || Engine::start().await).await;
    for kind in Kind::ALL {
        let mut client = engine.client(kind);
        scenario
            .and(&format!("{} works with it", kind.name()), async || {
                values_of_many_types_arrive_as_they_were_written(&mut client).await;
                a_failure_has_the_servers_code_and_is_not_the_last_word(&mut client).await;
                if kind.takes_values() {
                    values_go_apart_from_the_statement(&mut client).await;
                }
                a_killed_connection_is_opened_again(&mut client, &mut engine).await;
                a_late_answer_is_not_taken_for_that_of_the_next_statement(&mut client).await;
            })
            .await;
    }
}

async fn values_of_many_types_arrive_as_they_were_written(client: &mut Tried) {
    client.run("DROP TABLE IF EXISTS t").await;
    let created = client
        .run(
            "CREATE TABLE t (id INT, big BIGINT, price DECIMAL(10, 2), ratio DOUBLE, name VARCHAR(60), day DATE, at DATETIME, \
             yes BOOLEAN) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        )
        .await;
    let says_counts = client.0.kind() != Kind::CommandLine;
    let affected = |rows| Answer::Affected(says_counts.then_some(rows));
    assert_eq!(created, affected(0), "{}", client.0.kind().name());
    let name = TEXT.replace('\\', r"\\").replace('\'', r"\'");
    let inserted = client
        .run(&format!(
            "INSERT INTO t VALUES (1, 9223372036854775807, 12.50, 0.25, '{name}', '2026-11-28', '2026-11-28 08:00:00', true), \
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        ))
        .await;
    assert_eq!(inserted, affected(2), "{}", client.0.kind().name());
    let read = client.run("SELECT * FROM t ORDER BY id").await;
    let (one, nothing) = (
        [
            Some("1"),
            Some("9223372036854775807"),
            Some("12.50"),
            Some("0.25"),
            Some(TEXT),
            Some("2026-11-28"),
            Some("2026-11-28 08:00:00"),
            Some("1"),
        ],
        [Some("2"), None, None, None, None, None, None, None],
    );
    assert_eq!(read, rows(&[&one, &nothing]), "{}", client.0.kind().name());
}

async fn a_failure_has_the_servers_code_and_is_not_the_last_word(client: &mut Tried) {
    for (statement, code, word) in [
        ("SELEC 1", 1064, "SELEC"),
        ("SELECT nope FROM t", 1064, "nope"),
        ("SELECT * FROM missing", 5502, "missing"),
    ] {
        let failed = client.0.run(statement, LIMIT).await;
        let error = failed.expect_err("such a statement fails");
        assert_eq!(error.sql_code(), Some(code), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(client.value("SELECT 1 + 1").await, "2");
}

async fn values_go_apart_from_the_statement(client: &mut Tried) {
    let name = client.0.kind().name();
    let inserted = client
        .run_with(
            "INSERT INTO t (id, big, name) VALUES (?, ?, ?), (?, ?, ?)",
            &[
                Value::Int(3),
                Value::Int(-5_000_000_000),
                Value::Text(TEXT.into()),
                Value::Int(4),
                Value::Null,
                Value::Text(String::new()),
            ],
        )
        .await;
    assert_eq!(inserted, Answer::Affected(Some(2)), "{name}");
    // Twice: the second time a client uses what it has prepared.
    for (least, expected) in [
        (3, rows(&[&[Some("3"), Some("-5000000000")], &[Some("4"), None]])),
        (4, rows(&[&[Some("4"), None]])),
    ] {
        let read = client
            .run_with("SELECT id, big FROM t WHERE id >= ? ORDER BY id", &[Value::Int(least)])
            .await;
        assert_eq!(read, expected, "{name}");
    }
    let read = client
        .run_with(
            "SELECT id FROM t WHERE name = ? ORDER BY id",
            &[Value::Text(TEXT.into())],
        )
        .await;
    assert_eq!(read, rows(&[&[Some("1")], &[Some("3")]]), "{name}");
    let page = client
        .run_with(
            "SELECT id FROM t ORDER BY id LIMIT ? OFFSET ?",
            &[Value::Int(2), Value::Int(1)],
        )
        .await;
    assert_eq!(page, rows(&[&[Some("2")], &[Some("3")]]), "{name}");
}

async fn a_killed_connection_is_opened_again(client: &mut Tried, engine: &mut Engine) {
    let name = client.0.kind().name();
    let before = client.value("SELECT connection_id()").await;
    if client.0.kind() != Kind::CommandLine {
        assert_eq!(
            client.value("SELECT connection_id()").await,
            before,
            "{name} keeps its connection"
        );
        engine.kill(&before).await;
    }
    assert_ne!(client.value("SELECT connection_id()").await, before, "{name}");
    assert_eq!(
        client.value("SELECT @@query_timeout").await,
        "77",
        "{name} begins each connection alike"
    );
    let again = client.value("SELECT connection_id()").await;
    client.0.close().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_ne!(client.value("SELECT connection_id()").await, again, "{name}");
    assert_eq!(client.value("SELECT database()").await, DATABASE, "{name}");
}

async fn a_late_answer_is_not_taken_for_that_of_the_next_statement(client: &mut Tried) {
    // Too short for nearly every machine; where it is not, the answer came in time.
    let late = client.0.run("SELECT 'late'", Duration::from_micros(1)).await;
    if let Err(error) = late {
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }
    assert_eq!(
        client.value("SELECT 'next'").await,
        "next",
        "{}",
        client.0.kind().name()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_with_the_servers_code() {
    let scenario = Scenario::begin("a wrong password is refused with the code of the server");
    let engine = scenario.given(AN_ENGINE, async || Engine::start().await).await;
    for kind in Kind::ALL {
        scenario
            .and(
                &format!("{} is refused with another password", kind.name()),
                async || {
                    let login = Login::new(&engine.standalone.door, &engine.standalone.user, "wrong");
                    let mut client = SqlClient::new(kind, &engine.installed, &login);
                    let error = client
                        .run("SELECT 1", LIMIT)
                        .await
                        .expect_err("nobody is let in with it");
                    assert_eq!(error.sql_code(), Some(1045), "{}: {error}", kind.name());
                    assert!(
                        !error.to_string().contains("wrong"),
                        "no password in a message: {error}"
                    );
                },
            )
            .await;
    }
}
