//! A whole frontend in this process, and what it answers.

use std::{fs, sync::Arc, time::Duration};

use mysql_async::{Conn, OptsBuilder, Row, Value, prelude::Queryable};
use object_store::local::LocalFileSystem;
use springtide_contract::config::{ComputeConfig, EngineConfig, FORMAT_VERSION, FrontendConfig, StorageConfig};
use springtide_fe::{FrontendOptions, core::Dirs, run};
use springtide_rpc::ClusterToken;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) struct Frontend {
    directory: TempDir,
    port: u16,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), springtide_fe::FrontendError>>,
}

/// Time that statements have to end when a test stops the frontend.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(2);

pub(crate) const ADMIN: (&str, &str) = ("admin", "admin-password");
pub(crate) const OPERATOR: (&str, &str) = ("springtide-operator", "operator-password");

fn account(directory: &std::path::Path, (user, password): (&str, &str)) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("username"), user).unwrap();
    fs::write(directory.join("password"), password).unwrap();
}

impl Frontend {
    pub(crate) async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    pub(crate) async fn start_in(directory: TempDir) -> Self {
        Self::start_that_stops(directory, STOP_GRACE, Duration::ZERO).await
    }

    /// With so much time for what runs when it is told to stop, in the first part of which it takes new things, too.
    pub(crate) async fn start_that_stops(directory: TempDir, stop_grace: Duration, lame_duck: Duration) -> Self {
        let root = directory.path();
        let (admin, operator) = (root.join("admin"), root.join("operator"));
        account(&admin, ADMIN);
        account(&operator, OPERATOR);
        for folder in ["data", "meta"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let data = root.join("data");
        let mysql = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = mysql.local_addr().unwrap().port();
        let shutdown = CancellationToken::new();
        let options = FrontendOptions {
            config: EngineConfig {
                format_version: FORMAT_VERSION,
                cluster_name: "test".into(),
                cluster_id: "6a1b1b0e-6f0e-4c8e-9a57-4d6a5d7b0001".into(),
                storage: StorageConfig::Directory {
                    path: data.display().to_string(),
                },
                frontend: FrontendConfig::default(),
                compute: ComputeConfig::default(),
                tls: false,
            },
            dirs: Dirs {
                meta: root.join("meta"),
                admin_account: admin,
                operator_account: operator,
            },
            store: Arc::new(LocalFileSystem::new_with_prefix(&data).unwrap()),
            token: ClusterToken::new("test-token").unwrap(),
            advertised_host: "127.0.0.1".into(),
            mysql,
            http: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            rpc: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            tls: None,
            local_files: true,
            audit: true,
            sole_compute_node: None,
            stop_grace,
            lame_duck,
            shutdown: shutdown.clone(),
        };
        let task = tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(run(options)));
        Self {
            directory,
            port,
            shutdown,
            task,
        }
    }

    pub(crate) async fn connect_as(&self, (user, password): (&str, &str)) -> Result<Conn, mysql_async::Error> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .prefer_socket(false)
            .user(Some(user))
            .pass(Some(password));
        Conn::new(opts).await
    }

    pub(crate) async fn connect(&self) -> Conn {
        self.try_connect().await.unwrap()
    }

    /// Tells it to stop, and does not wait for it.
    pub(crate) fn tell_to_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn try_connect(&self) -> Result<Conn, mysql_async::Error> {
        self.connect_as(ADMIN).await
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.directory
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::NULL => "NULL".into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.as_sql(true),
    }
}

/// Column names, then rows, as text.
pub(crate) async fn rows(connection: &mut Conn, sql: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut result = connection
        .query_iter(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = result
        .columns_ref()
        .iter()
        .map(|column| column.name_str().into_owned())
        .collect();
    let rows: Vec<Row> = result.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = rows
        .into_iter()
        .map(|row| row.unwrap().iter().map(text).collect())
        .collect();
    (columns, rows)
}

pub(crate) async fn cell(connection: &mut Conn, sql: &str) -> String {
    rows(connection, sql).await.1.remove(0).remove(0)
}
