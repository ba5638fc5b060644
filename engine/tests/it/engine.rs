//! A standalone engine for one test, and its clients.

use std::{path::Path, time::Duration};

use mysql_async::{Conn, OptsBuilder, Row, prelude::Queryable};
use springtide_engine::standalone::{Standalone, StandalonePorts};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time for the engine to answer its first statement.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running engine. Dropping it tells it to end; [`Engine::stop`] waits until it has, too.
pub(crate) struct Engine {
    pub(crate) mysql_port: u16,
    pub(crate) http_port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    shutdown: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts on a folder of its own and waits until its compute node serves.
    pub(crate) async fn start() -> (Self, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        (Self::start_on(folder.path()).await, folder)
    }

    /// Starts on a folder that may hold an earlier engine's data.
    pub(crate) async fn start_on(folder: &Path) -> Self {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ports = StandalonePorts {
            mysql: 0,
            http: 0,
            compute_http: 0,
        };
        let standalone = Standalone::open(folder, ports).await.expect("a folder and ports");
        let (user, password) = standalone.administrator().expect("an administrator");
        let (mysql_port, http_port) = (
            standalone.mysql_port().expect("a port"),
            standalone.http_port().expect("a port"),
        );
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::task::spawn_blocking(move || {
            let ended = tokio::runtime::Handle::current().block_on(standalone.run(stop));
            ended.expect("the engine runs");
        });
        let engine = Self {
            mysql_port,
            http_port,
            user,
            password,
            shutdown,
            running: Some(running),
        };
        engine.wait_for_compute().await;
        engine
    }

    async fn wait_for_compute(&self) {
        let serving = async {
            loop {
                if let Ok(mut connection) = Conn::new(self.options()).await {
                    let rows: Vec<Row> = connection
                        .query("SHOW COMPUTE NODES")
                        .await
                        .expect("SHOW COMPUTE NODES");
                    if rows
                        .iter()
                        .any(|row| row.get::<String, _>("Alive").as_deref() == Some("true"))
                    {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, serving)
            .await
            .expect("a compute node serves in time");
    }

    fn options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.mysql_port)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .prefer_socket(false)
    }

    /// A connection of the administrator.
    pub(crate) async fn connect(&self) -> Conn {
        Conn::new(self.options()).await.expect("a connection")
    }

    /// Runs statements that answer with nothing.
    pub(crate) async fn execute(&self, statements: &[&str]) {
        let mut connection = self.connect().await;
        for statement in statements {
            connection
                .query_drop(*statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// The rows of a statement, each value as text, `NULL` as such, joined by `|`.
    pub(crate) async fn rows(&self, statement: &str) -> Vec<String> {
        let rows: Vec<Row> = self
            .connect()
            .await
            .query(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        rows.into_iter()
            .map(|row| row.unwrap().iter().map(text).collect::<Vec<_>>().join("|"))
            .collect()
    }

    /// The error that a statement must end with: its code and message.
    pub(crate) async fn error(&self, statement: &str) -> (u16, String) {
        match self.connect().await.query_drop(statement).await {
            Err(mysql_async::Error::Server(error)) => (error.code, error.message),
            other => panic!("{statement}: {other:?}"),
        }
    }

    /// Ends the engine and waits for it.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let running = self.running.take().expect("an engine is stopped once");
        running.await.expect("the engine ends");
    }
}

/// A test that ends without [`Engine::stop`] must not leave an engine that its runtime waits for.
impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn text(value: &mysql_async::Value) -> String {
    match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.as_sql(true),
    }
}
