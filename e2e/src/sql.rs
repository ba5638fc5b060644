//! SQL over the MySQL protocol, as an analyst's client speaks it, and the way to a Service from this machine.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use mysql_async::{
    Conn, OptsBuilder, QueryResult, SslOpts, Value,
    prelude::{Protocol, Queryable},
};
use tokio::process::Child;

use crate::{Error, Result, cluster, process::Run, target::Target};

/// Opening a connection, with login.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Until a forwarded port answers.
const FORWARD_LIMIT: Duration = Duration::from_secs(20);
/// Characters of a statement that an error shows.
const STATEMENT_IN_ERROR: usize = 120;
/// Larger packets are not taken; naming it spares a question to the server at connect.
const MAX_PACKET_BYTES: usize = 64 << 20;
/// A session that was idle this long may be closed; naming it spares a question to the server at connect.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);

/// A Service of the cluster, reachable from this machine: by its ClusterIP where the cluster is this machine, else by a
/// forwarded port that is closed when the door is dropped.
#[derive(Debug)]
pub struct Door {
    host: String,
    port: u16,
    _forward: Option<Child>,
}

impl Door {
    /// Opens the way to a port of a Service.
    pub async fn open(target: &Target, client: &Client, namespace: &str, service: &str, port: u16) -> Result<Self> {
        if !target.is_local() {
            let forward: Run = target
                .kubectl(FORWARD_LIMIT)
                .args(["--namespace", namespace, "port-forward"])
                .args([format!("service/{service}"), format!(":{port}")]);
            let (child, line) = forward.serve().await?;
            let local = forwarded_port(&line)
                .ok_or_else(|| Error::Missing(format!("kubectl port-forward said '{line}', not a port")))?;
            return Ok(Self {
                host: "127.0.0.1".into(),
                port: local,
                _forward: Some(child),
            });
        }
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let host = cluster::get(&services, service)
            .await?
            .and_then(|service| service.spec?.cluster_ip)
            .filter(|address| address != "None")
            .ok_or_else(|| Error::Missing(format!("Service {namespace}/{service} has no address")))?;
        Ok(Self {
            host,
            port,
            _forward: None,
        })
    }

    /// The way to a server that listens on this machine's loopback address.
    pub fn on_this_machine(port: u16) -> Self {
        Self::at("127.0.0.1", port)
    }

    /// The way to an address that this machine reaches as it is.
    pub fn at(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            _forward: None,
        }
    }

    /// `host:port` for clients on this machine.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The port of `Forwarding from 127.0.0.1:43067 -> 9030`.
fn forwarded_port(line: &str) -> Option<u16> {
    line.strip_prefix("Forwarding from 127.0.0.1:")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// A SQL session.
#[derive(Debug)]
pub struct Session {
    connection: Conn,
}

impl Session {
    /// Logs in.
    pub async fn open(door: &Door, user: &str, password: &str) -> Result<Self> {
        Self::opened(door, user, options(door, user, password)).await
    }

    /// Logs in over TLS, to a server whose certificate is for `host` and has one of these `authorities` (PEM) behind it.
    pub async fn open_with_tls(door: &Door, user: &str, password: &str, authorities: &str, host: &str) -> Result<Self> {
        let tls = SslOpts::default()
            .with_root_certs(vec![authorities.as_bytes().to_vec().into()])
            .with_disable_built_in_roots(true)
            .with_danger_tls_hostname_override(Some(host.to_owned()));
        Self::opened(door, user, options(door, user, password).ssl_opts(tls)).await
    }

    async fn opened(door: &Door, user: &str, options: OptsBuilder) -> Result<Self> {
        let what = || format!("log in as {user} at {}", door.address());
        match tokio::time::timeout(CONNECT_LIMIT, Conn::new(options)).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(source)) => Err(Error::Sql {
                statement: what(),
                source: Box::new(source),
            }),
            Err(_) => Err(Error::Timeout {
                what: what(),
                seconds: CONNECT_LIMIT.as_secs(),
                last: String::new(),
            }),
        }
    }

    /// Runs a statement that returns no rows, within `limit`.
    pub async fn execute(&mut self, statement: &str, limit: Duration) -> Result<u64> {
        let work = async {
            self.connection.query_drop(statement).await?;
            Ok(self.connection.affected_rows())
        };
        finished(statement, limit, work).await
    }

    /// Runs a query within `limit` and returns its rows as text; NULL is `NULL`.
    pub async fn rows(&mut self, statement: &str, limit: Duration) -> Result<Vec<Vec<String>>> {
        let rows: Vec<mysql_async::Row> = finished(statement, limit, self.connection.query(statement)).await?;
        Ok(rows
            .into_iter()
            .map(|row| row.unwrap().into_iter().map(text).collect())
            .collect())
    }

    /// Runs a query within `limit` and returns its rows as text by column name, for `SHOW`.
    pub async fn named_rows(&mut self, statement: &str, limit: Duration) -> Result<Vec<BTreeMap<String, String>>> {
        let rows: Vec<mysql_async::Row> = finished(statement, limit, self.connection.query(statement)).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let names: Vec<String> = row
                    .columns_ref()
                    .iter()
                    .map(|column| column.name_str().into_owned())
                    .collect();
                names.into_iter().zip(row.unwrap().into_iter().map(text)).collect()
            })
            .collect())
    }

    /// Whether the server answers on its connection.
    pub async fn is_alive(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.connection.ping())
            .await
            .is_ok_and(|answered| answered.is_ok())
    }

    /// Runs any statement, within `limit`: as a text or, with values for its `?`, prepared. Gives its rows where it returns any,
    /// else how many it changed.
    pub async fn run(&mut self, statement: &str, values: Vec<Value>, limit: Duration) -> Result<Answer> {
        let work = async {
            if values.is_empty() {
                answered(self.connection.query_iter(statement).await?).await
            } else {
                answered(self.connection.exec_iter(statement, values).await?).await
            }
        };
        finished(statement, limit, work).await
    }

    /// Runs a query that returns one value.
    pub async fn value(&mut self, statement: &str, limit: Duration) -> Result<String> {
        let rows = self.rows(statement, limit).await?;
        match rows.as_slice() {
            [row] if row.len() == 1 => Ok(row[0].clone()),
            _ => Err(Error::Wrong {
                what: short(statement),
                expected: "one value".into(),
                found: format!("{} rows", rows.len()),
            }),
        }
    }
}

fn options(door: &Door, user: &str, password: &str) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(door.host())
        .tcp_port(door.port())
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(Some(false))
        .max_allowed_packet(Some(MAX_PACKET_BYTES))
        .wait_timeout(Some(IDLE_LIMIT.as_secs() as usize))
}

/// What a statement answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows, each value as text; `None` is NULL.
    Rows(Vec<Vec<Option<String>>>),
    /// How many rows it changed, where the client says so.
    Affected(Option<u64>),
}

impl Answer {
    /// The only value; `None` where there is more or less.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Rows(rows) => match rows.as_slice() {
                [row] if row.len() == 1 => row[0].as_deref(),
                _ => None,
            },
            Self::Affected(_) => None,
        }
    }
}

async fn answered<P: Protocol>(result: QueryResult<'_, '_, P>) -> mysql_async::Result<Answer> {
    if result.columns_ref().is_empty() {
        let affected = result.affected_rows();
        result.drop_result().await?;
        return Ok(Answer::Affected(Some(affected)));
    }
    let rows: Vec<mysql_async::Row> = result.collect_and_drop().await?;
    let rows = rows.into_iter().map(|row| {
        let values = row.unwrap().into_iter();
        values
            .map(|value| (value != Value::NULL).then(|| text(value)))
            .collect()
    });
    Ok(Answer::Rows(rows.collect()))
}

async fn finished<T>(
    statement: &str,
    limit: Duration,
    work: impl Future<Output = mysql_async::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Sql {
            statement: short(statement),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::Timeout {
            what: short(statement),
            seconds: limit.as_secs(),
            last: String::new(),
        }),
    }
}

/// The beginning of a statement, up to its first credential: `FILES(...)` names keys further on.
pub(crate) fn short(statement: &str) -> String {
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = line.find("aws.s3").unwrap_or(line.len());
    line[..end].chars().take(STATEMENT_IN_ERROR).collect()
}

fn text(value: Value) -> String {
    match value {
        Value::NULL => "NULL".into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(true).trim_matches('\'').to_owned(),
    }
}

#[cfg(test)]
mod tests;
