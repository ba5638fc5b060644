//! Administrative SQL to frontends: one connection per cluster, kept while it works.
//!
//! Addresses are pod addresses from the Kubernetes API and not DNS names, so the operator works outside of the cluster too, and
//! a frontend is asked before its Service has endpoints. Where the frontend's pod has a certificate, the connection is encrypted, and
//! opened only to who is known by it ([`Trust`]); one that is open goes on when the certificate is renewed. A call connects,
//! asks and answers within [`CALL_TIMEOUT`]; a connection on which anything failed is never used again.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mysql_async::{Conn, OptsBuilder, Value, prelude::Queryable};
use sha2::{Digest, Sha256};

use crate::metrics::Metrics;

mod trust;

pub(crate) use trust::Trust;

/// Longest time for opening a connection, with login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for one statement and its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer with more rows than this is refused: no cluster has as many nodes.
const MOST_ROWS: usize = 10_000;
/// Larger packets are not taken; also spares the question to the server at each connect.
const MAX_PACKET_BYTES: usize = 16 << 20;
/// A connection that was not used for this long is opened anew; also spares the question to the server at each connect.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Comes after the name of a cluster where a further frontend of it is asked, and then which one. It is in no name of Kubernetes.
pub(crate) const BESIDE: char = '@';

/// Where a frontend listens and as whom to log in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// Address of the frontend's pod.
    pub(crate) address: IpAddr,
    /// Port of the MySQL protocol.
    pub(crate) port: u16,
    /// Name of the account.
    pub(crate) user: String,
    /// Its password; never logged.
    pub(crate) password: String,
    /// How the frontend is known; `None`: it does not speak TLS.
    pub(crate) trust: Option<Trust>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}:{}", self.user, self.address, self.port)
    }
}

/// Rows with the names of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Column names in order.
    pub(crate) columns: Vec<String>,
    /// One entry per column; `None` is NULL.
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// What went wrong with a statement; the kind says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nobody answers: the frontend is not there yet, or not any more. Wait.
    #[error("the frontend at {address} cannot be reached: {reason}")]
    Unreachable { address: String, reason: String },
    /// Somebody answers, but too slowly. Wait.
    #[error("the frontend at {address} did not answer within {} s", limit.as_secs())]
    Timeout { address: String, limit: Duration },
    /// The account is refused: its password is another one for the engine, or it lacks a privilege there.
    #[error("the frontend at {address} refuses the operator's account: {reason}")]
    Refused { address: String, reason: String },
    /// The frontend is not known by its certificate. The operator does not log in there.
    #[error("the frontend at {address} is not trusted: {reason}; {remedy}")]
    NotTrusted {
        address: String,
        reason: String,
        remedy: String,
    },
    /// The statement failed with a MySQL error.
    #[error("`{statement}` failed with error {code}: {message}")]
    Statement {
        statement: &'static str,
        code: u16,
        message: String,
    },
    /// The answer is not one that a frontend gives.
    #[error("`{statement}` was answered with {what}")]
    Answer { statement: &'static str, what: String },
}

impl EngineError {
    /// The kind, as a metric's label.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Refused { .. } => "refused",
            Self::NotTrusted { .. } => "not_trusted",
            Self::Statement { .. } => "statement",
            Self::Answer { .. } => "answer",
        }
    }
}

/// The connections to all clusters' frontends.
#[derive(Debug)]
pub(crate) struct Engines {
    lines: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Line>>>>>,
    metrics: Arc<Metrics>,
}

/// An open connection and what it was opened with.
#[derive(Debug)]
struct Line {
    conn: Conn,
    fingerprint: [u8; 32],
    used: Instant,
}

impl Engines {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            lines: Mutex::default(),
            metrics,
        }
    }

    /// Runs one statement on the frontend of `cluster` (any name that is unique to it). `label` is the statement's kind for
    /// metrics and messages; statements with literals are never logged.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(crate) async fn ask(
        &self,
        cluster: &str,
        login: &Login,
        label: &'static str,
        sql: &str,
    ) -> Result<Answer, EngineError> {
        let begun = Instant::now();
        let line = self.line(cluster);
        // Statements to one cluster follow each other: each waits for those before it, and each of them has a time limit.
        let mut slot = line.lock().await;
        // Taken out while it is used: when the caller is cancelled in the middle of an answer, the connection goes with it.
        let mut open = slot.take();
        let result = ask_over(&mut open, login, label, sql).await;
        match &result {
            Ok(_) => self.metrics.statement(label, begun.elapsed()),
            Err(error) => self.metrics.statement_failed(label, error.kind()),
        }
        // A refused statement leaves a usable connection; after anything else its state is unknown.
        if matches!(result, Ok(_) | Err(EngineError::Statement { .. })) {
            *slot = open;
        }
        result
    }

    /// Whether a frontend lets somebody in. The connection is closed again at once.
    ///
    /// # Errors
    /// See [`EngineError`]; that it does not is no error.
    pub(crate) async fn admits(&self, login: &Login) -> Result<bool, EngineError> {
        const LABEL: &str = "log in";
        let begun = Instant::now();
        match connect(login, fingerprint(login)).await {
            Ok(line) => {
                self.metrics.statement(LABEL, begun.elapsed());
                // Whether it hears of it changes nothing.
                let _closed = tokio::time::timeout(CONNECT_TIMEOUT, line.conn.disconnect()).await;
                Ok(true)
            }
            Err(EngineError::Refused { .. }) => Ok(false),
            Err(error) => {
                self.metrics.statement_failed(LABEL, error.kind());
                Err(error)
            }
        }
    }

    /// Closes the connections to a cluster that is gone, or to one that is not needed any more.
    pub(crate) fn forget(&self, cluster: &str) {
        let beside = format!("{cluster}{BESIDE}");
        self.lock()
            .retain(|line, _| line != cluster && !line.starts_with(&beside));
    }

    fn line(&self, cluster: &str) -> Arc<tokio::sync::Mutex<Option<Line>>> {
        Arc::clone(self.lock().entry(cluster.to_owned()).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Option<Line>>>>> {
        self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn ask_over(
    line: &mut Option<Line>,
    login: &Login,
    label: &'static str,
    sql: &str,
) -> Result<Answer, EngineError> {
    let fingerprint = fingerprint(login);
    let is_usable = |line: &Line| line.fingerprint == fingerprint && line.used.elapsed() < IDLE_LIMIT;
    let was_open = line.as_ref().is_some_and(is_usable);
    if !was_open {
        *line = Some(connect(login, fingerprint).await?);
    }
    match run(line, login, label, sql).await {
        // The frontend may have closed a connection that was kept: that says nothing about the frontend of now. Every
        // administrative statement may be repeated.
        Err(EngineError::Unreachable { .. }) if was_open => {
            *line = Some(connect(login, fingerprint).await?);
            run(line, login, label, sql).await
        }
        result => result,
    }
}

async fn connect(login: &Login, fingerprint: [u8; 32]) -> Result<Line, EngineError> {
    let options = OptsBuilder::default()
        .ip_or_hostname(login.address.to_string())
        .tcp_port(login.port)
        .user(Some(&login.user))
        .pass(Some(&login.password))
        .ssl_opts(login.trust.as_ref().map(Trust::options))
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(MAX_PACKET_BYTES))
        .wait_timeout(Some(usize::try_from(IDLE_LIMIT.as_secs()).unwrap_or(usize::MAX)));
    match tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(options)).await {
        Ok(Ok(conn)) => Ok(Line {
            conn,
            fingerprint,
            used: Instant::now(),
        }),
        Ok(Err(error)) => Err(sorted(error, login, "connect")),
        Err(_) => Err(EngineError::Timeout {
            address: address(login),
            limit: CONNECT_TIMEOUT,
        }),
    }
}

async fn run(line: &mut Option<Line>, login: &Login, label: &'static str, sql: &str) -> Result<Answer, EngineError> {
    let Some(line) = line else {
        return Err(EngineError::Unreachable {
            address: address(login),
            reason: "no connection".to_owned(),
        });
    };
    let answer = async {
        let mut result = line.conn.query_iter(sql).await?;
        let columns = result
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        let mut rows = Vec::new();
        while let Some(row) = result.next().await? {
            if rows.len() == MOST_ROWS {
                return Ok(Err(EngineError::Answer {
                    statement: label,
                    what: format!("more than {MOST_ROWS} rows"),
                }));
            }
            rows.push(row.unwrap().into_iter().map(text).collect());
        }
        result.drop_result().await?;
        Ok::<_, mysql_async::Error>(Ok(Answer { columns, rows }))
    };
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(Ok(answer)) => {
            line.used = Instant::now();
            answer
        }
        Ok(Err(error)) => Err(sorted(error, login, label)),
        Err(_) => Err(EngineError::Timeout {
            address: address(login),
            limit: CALL_TIMEOUT,
        }),
    }
}

/// Sorts the client's errors by what to do about them.
fn sorted(error: mysql_async::Error, login: &Login, label: &'static str) -> EngineError {
    /// MySQL's ER_ACCESS_DENIED_ERROR, and what StarRocks says to an account that lacks the privilege for a statement.
    const ACCESS_DENIED: [u16; 2] = [1045, 5203];
    match error {
        mysql_async::Error::Server(error) if ACCESS_DENIED.contains(&error.code) => EngineError::Refused {
            address: address(login),
            reason: error.message,
        },
        mysql_async::Error::Server(error) => EngineError::Statement {
            statement: label,
            code: error.code,
            message: error.message,
        },
        other => match (trust::distrust(&other), &login.trust) {
            (Some(reason), Some(trust)) => EngineError::NotTrusted {
                address: address(login),
                reason,
                remedy: trust.remedy(),
            },
            _ => EngineError::Unreachable {
                address: address(login),
                reason: other.to_string(),
            },
        },
    }
}

fn address(login: &Login) -> String {
    std::net::SocketAddr::new(login.address, login.port).to_string()
}

fn fingerprint(login: &Login) -> [u8; 32] {
    let Login {
        address,
        port,
        user,
        password,
        // Whoever was trusted once is, as long as the connection lasts: a renewed certificate does not break it.
        trust,
    } = login;
    let mut hash = Sha256::new();
    let tls = if trust.is_some() { "tls" } else { "" };
    for part in [
        address.to_string().as_str(),
        port.to_string().as_str(),
        user,
        password,
        tls,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A value of the text protocol as text.
fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}
