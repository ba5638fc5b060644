//! A server on a loopback port with a small handler whose statements are named after what they do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mysql_async::{Conn, Opts, OptsBuilder};
use springtide_mysql::{
    Column, ColumnType, ConnectionInfo, ConnectionRegistry, Handler, LoginAttempt, MysqlError, OkResult, Parameter,
    PreparedStatement, ResultWriter, ServerOptions, Value, async_trait, native_stage2, serve, verify_native,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const USER: &str = "ana";
pub(crate) const PASSWORD: &str = "spring tide";

/// What happened to the handlers of a server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connected: AtomicUsize,
    pub(crate) disconnected: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
    pub(crate) open_statements: AtomicUsize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) registry: ConnectionRegistry,
    pub(crate) seen: Arc<Seen>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

pub(crate) async fn server() -> Server {
    server_with(ServerOptions::default()).await
}

pub(crate) async fn server_with(options: ServerOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let address = listener.local_addr().expect("its address");
    let registry = options.registry.clone();
    let shutdown = CancellationToken::new();
    let seen = Arc::new(Seen::default());
    let for_handlers = seen.clone();
    let factory = move |info: ConnectionInfo| {
        for_handlers.connected.fetch_add(1, Ordering::SeqCst);
        Session {
            info,
            user: String::new(),
            database: String::new(),
            seen: for_handlers.clone(),
        }
    };
    let serving = tokio::spawn(serve(listener, options, factory, shutdown.clone()));
    Server {
        address,
        registry,
        seen,
        shutdown,
        serving,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(crate) fn options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.address.ip().to_string())
            .tcp_port(self.address.port())
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .prefer_socket(false)
            .max_allowed_packet(Some(64 * 1024 * 1024))
            .wait_timeout(Some(28_800))
    }

    pub(crate) async fn connect(&self) -> Conn {
        Conn::new(Opts::from(self.options())).await.expect("a login")
    }
}

/// The number and message of a server's error.
#[track_caller]
pub(crate) fn server_error<T>(result: Result<T, mysql_async::Error>) -> (u16, String) {
    match result {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        Err(other) => panic!("expected an error of the server, got {other:?}"),
        Ok(_) => panic!("expected an error of the server, got a success"),
    }
}

struct Session {
    info: ConnectionInfo,
    user: String,
    database: String,
    seen: Arc<Seen>,
}

#[async_trait]
impl Handler for Session {
    async fn authenticate(&mut self, attempt: &LoginAttempt<'_>) -> Result<(), MysqlError> {
        if attempt.user != USER || !verify_native(&native_stage2(PASSWORD.as_bytes()), &attempt.proof) {
            return Err(attempt.denied());
        }
        self.user = format!("{} {:?} tls={}", attempt.user, attempt.proof, attempt.tls);
        Ok(())
    }

    async fn init_db(&mut self, database: &str) -> Result<(), MysqlError> {
        if database == "nosuch" {
            return Err(MysqlError::new(1049, b"42000", "Unknown database 'nosuch'"));
        }
        database.clone_into(&mut self.database);
        Ok(())
    }

    async fn query(&mut self, sql: &str, out: &mut ResultWriter) -> Result<(), MysqlError> {
        let (name, argument) = sql.split_once(' ').unwrap_or((sql, ""));
        match name {
            "values" => {
                out.result_set(&every_column()).await?;
                out.row(&every_value()).await?;
                out.row(&vec![Value::Null; every_value().len()]).await?;
                Ok(out.finish().await?)
            }
            "big" => {
                let bytes = vec![b'x'; argument.parse().expect("a number of bytes")];
                one_value(out, Column::text("big"), Value::bytes(&bytes)).await
            }
            "length" => {
                let length = Value::UInt(sql.len() as u64);
                one_value(
                    out,
                    Column::new("length", ColumnType::MYSQL_TYPE_LONGLONG).unsigned(),
                    length,
                )
                .await
            }
            "rows" => self.rows(argument.parse().expect("a number of rows"), out).await,
            "who" => {
                let text = format!("{} db={}", self.user, self.database);
                one_value(out, Column::text("who"), text.into()).await
            }
            "id" => {
                let id = Value::UInt(self.info.connection_id.into());
                one_value(out, Column::new("id", ColumnType::MYSQL_TYPE_LONG).unsigned(), id).await
            }
            "several" => {
                for number in 1..=3 {
                    if number < 3 {
                        out.more_results();
                    }
                    one_value(out, Column::new("n", ColumnType::MYSQL_TYPE_TINY), Value::Int(number)).await?;
                }
                Ok(())
            }
            "insert" => {
                let result = OkResult {
                    affected_rows: 3,
                    info: "label-1".to_owned(),
                    ..OkResult::default()
                };
                Ok(out.ok(result).await?)
            }
            "sleep" => {
                out.cancelled().clone().cancelled().await;
                self.seen.cancelled.fetch_add(1, Ordering::SeqCst);
                Err(MysqlError::interrupted())
            }
            "stubborn" => std::future::pending().await,
            "linger" => {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                Ok(out.ok(OkResult::default()).await?)
            }
            "nothing" => Ok(()),
            "unfinished" => {
                out.result_set(&[Column::text("t")]).await?;
                Ok(out.row(&[Value::bytes("only")]).await?)
            }
            "panic" => panic!("a deliberate panic"),
            _ => Err(MysqlError::new(1064, b"42000", "no such statement")),
        }
    }

    /// `echo ? ? …`: a row of the parameters, in columns of their types.
    async fn prepare(&mut self, _statement_id: u32, sql: &str) -> Result<PreparedStatement, MysqlError> {
        if sql.starts_with("panic") {
            panic!("a deliberate panic");
        }
        self.seen.open_statements.fetch_add(1, Ordering::SeqCst);
        if sql == "values" {
            return Ok(PreparedStatement {
                parameters: Vec::new(),
                columns: every_column(),
            });
        }
        Ok(PreparedStatement {
            parameters: vec![Column::text("?"); sql.matches('?').count()],
            columns: Vec::new(),
        })
    }

    async fn execute(
        &mut self,
        _statement_id: u32,
        parameters: &[Parameter],
        out: &mut ResultWriter,
    ) -> Result<(), MysqlError> {
        if parameters.is_empty() {
            return self.query("values", out).await;
        }
        let columns: Vec<_> = parameters
            .iter()
            .map(|parameter| match parameter.value {
                Value::UInt(_) => Column::new("p", parameter.column_type).unsigned(),
                Value::Null => Column::text("p"),
                _ => Column::new("p", parameter.column_type),
            })
            .collect();
        let values: Vec<_> = parameters.iter().map(|parameter| parameter.value.clone()).collect();
        out.result_set(&columns).await?;
        out.row(&values).await?;
        Ok(out.finish().await?)
    }

    async fn close_statement(&mut self, _statement_id: u32) {
        self.seen.open_statements.fetch_sub(1, Ordering::SeqCst);
    }

    async fn field_list(&mut self, table: &str, _wildcard: &str) -> Result<Vec<Column>, MysqlError> {
        Ok(vec![Column::text("c").of_table("d", table)])
    }

    async fn reset(&mut self) -> Result<(), MysqlError> {
        self.seen.open_statements.store(0, Ordering::SeqCst);
        Ok(())
    }

    async fn on_disconnect(&mut self) {
        self.seen.disconnected.fetch_add(1, Ordering::SeqCst);
    }
}

impl Session {
    async fn rows(&mut self, count: i64, out: &mut ResultWriter) -> Result<(), MysqlError> {
        out.result_set(&[Column::new("n", ColumnType::MYSQL_TYPE_LONGLONG), Column::text("t")])
            .await?;
        let text = "x".repeat(100);
        for number in 0..count {
            out.row(&[Value::Int(number), Value::bytes(&text)]).await?;
        }
        Ok(out.finish().await?)
    }
}

async fn one_value(out: &mut ResultWriter, column: Column, value: Value<'_>) -> Result<(), MysqlError> {
    out.result_set(&[column]).await?;
    out.row(&[value]).await?;
    Ok(out.finish().await?)
}

/// A column of every type that the engine uses.
pub(crate) fn every_column() -> Vec<Column> {
    use ColumnType::*;
    vec![
        Column::new("tiny", MYSQL_TYPE_TINY),
        Column::new("small", MYSQL_TYPE_SHORT),
        Column::new("int", MYSQL_TYPE_LONG),
        Column::new("big", MYSQL_TYPE_LONGLONG),
        Column::new("unsigned", MYSQL_TYPE_LONGLONG).unsigned(),
        Column::new("float", MYSQL_TYPE_FLOAT),
        Column::new("double", MYSQL_TYPE_DOUBLE),
        Column::new("decimal", MYSQL_TYPE_NEWDECIMAL),
        Column::new("date", MYSQL_TYPE_DATE),
        Column::new("datetime", MYSQL_TYPE_DATETIME),
        Column::new("time", MYSQL_TYPE_TIME),
        Column::text("text"),
        Column::new("bytes", MYSQL_TYPE_BLOB).binary(),
        Column::new("json", MYSQL_TYPE_JSON),
    ]
}

pub(crate) fn every_value() -> Vec<Value<'static>> {
    vec![
        Value::Int(-128),
        Value::Int(-32_768),
        Value::Int(i32::MIN.into()),
        Value::Int(i64::MIN),
        Value::UInt(u64::MAX),
        Value::Float(1.5),
        Value::Double(0.1),
        Value::bytes("-12345678901234567890.123456"),
        Value::Date {
            year: 2026,
            month: 11,
            day: 22,
        },
        Value::DateTime {
            year: 2026,
            month: 11,
            day: 22,
            hour: 8,
            minute: 9,
            second: 10,
            microsecond: 11,
        },
        Value::Time {
            negative: true,
            days: 1,
            hours: 2,
            minutes: 3,
            seconds: 4,
            microseconds: 5,
        },
        Value::bytes("Flut \u{1f30a} 'quoted' \\ \0 end"),
        Value::bytes(&[0, 255, 251, 254]),
        Value::bytes(r#"{"a": [1, null]}"#),
    ]
}
