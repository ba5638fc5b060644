//! A MySQL client of one engine, in the words that tests use.

use mysql_async::{Conn, OptsBuilder, Row, Value, prelude::Queryable};

/// Where an engine answers, and as whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Client {
    pub(crate) fn options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(&self.host)
            .tcp_port(self.port)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .prefer_socket(false)
    }

    /// The same engine, as somebody else.
    pub(crate) fn as_user(&self, user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) async fn try_connect(&self) -> Result<Conn, mysql_async::Error> {
        Conn::new(self.options()).await
    }

    pub(crate) async fn connect(&self) -> Conn {
        self.try_connect().await.expect("a connection")
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
        rows(&mut self.connect().await, statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// As [`Self::rows`], on a connection of its own, where it may fail.
    pub(crate) async fn try_rows(&self, statement: &str) -> Result<Vec<String>, mysql_async::Error> {
        rows(&mut self.try_connect().await?, statement).await
    }

    /// The error that a statement must end with: its code and message.
    pub(crate) async fn error(&self, statement: &str) -> (u16, String) {
        match self.connect().await.query_drop(statement).await {
            Err(mysql_async::Error::Server(error)) => (error.code, error.message),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

/// The rows of a statement on this connection, as text.
pub(crate) async fn rows(connection: &mut Conn, statement: &str) -> Result<Vec<String>, mysql_async::Error> {
    let rows: Vec<Row> = connection.query(statement).await?;
    Ok(rows
        .into_iter()
        .map(|row| row.unwrap().iter().map(text).collect::<Vec<_>>().join("|"))
        .collect())
}

pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.as_sql(true),
    }
}
