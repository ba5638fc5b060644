//! What the frontend implements: one [`Handler`] per connection.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::column::{Column, ColumnType};
use crate::error::codes;
use crate::{LoginAttempt, MysqlError, ResultWriter, Value};

/// What is known of a connection before anyone has logged in.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Unique among the open connections of this server; what `KILL` and `CONNECTION_ID()` speak of.
    pub connection_id: u32,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Cancelled when the connection is killed or the server gives up waiting for it at shutdown.
    pub killed: CancellationToken,
}

/// Makes the handler of a connection, after the TLS handshake and before the login.
pub trait HandlerFactory: Send + Sync + 'static {
    /// The handler it makes.
    type Handler: Handler;

    /// Makes one; must not block.
    fn connect(&self, info: ConnectionInfo) -> Self::Handler;
}

impl<F, H> HandlerFactory for F
where
    F: Fn(ConnectionInfo) -> H + Send + Sync + 'static,
    H: Handler,
{
    type Handler = H;

    fn connect(&self, info: ConnectionInfo) -> H {
        self(info)
    }
}

/// A statement that was prepared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreparedStatement {
    /// One for each `?`; at most 65,535.
    pub parameters: Vec<Column>,
    /// The columns of its result; empty where it has none.
    pub columns: Vec<Column>,
}

/// The value of one `?` in an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The value. Text and decimal numbers are [`Value::Bytes`].
    pub value: Value<'static>,
    /// The type that the client declared: tells a decimal or a blob from text.
    pub column_type: ColumnType,
}

/// The server's side of one connection. Calls never overlap.
///
/// The future of a call is dropped, and the connection closed, where it does not return within
/// [`crate::ServerOptions::cancel_grace`] after its statement was cancelled (see [`ResultWriter::cancelled`]), and at
/// a shutdown that has waited long enough.
#[async_trait]
pub trait Handler: Send + 'static {
    /// Checks user and password; [`crate::verify_native`] does the arithmetic. Must refuse an empty proof
    /// ([`crate::Proof::is_empty`]) with [`LoginAttempt::denied`]. Called again for `COM_CHANGE_USER`, after
    /// [`Handler::reset`].
    async fn authenticate(&mut self, attempt: &LoginAttempt<'_>) -> Result<(), MysqlError>;

    /// Makes `database` the current one: `COM_INIT_DB`, and the database named at login.
    async fn init_db(&mut self, database: &str) -> Result<(), MysqlError>;

    /// Runs a text, which may hold several statements where the client said so; then [`ResultWriter::more_results`]
    /// comes before each result but the last. An error returned is sent as the end of the current result. Returning
    /// `Ok` without a whole result is a defect and answered by error 1815.
    async fn query(&mut self, sql: &str, out: &mut ResultWriter) -> Result<(), MysqlError>;

    /// Prepares one statement under an id that this connection has not in use.
    async fn prepare(&mut self, statement_id: u32, sql: &str) -> Result<PreparedStatement, MysqlError>;

    /// Runs a prepared statement, with as many parameters as [`Handler::prepare`] said. Results as in
    /// [`Handler::query`].
    async fn execute(
        &mut self,
        statement_id: u32,
        parameters: &[Parameter],
        out: &mut ResultWriter,
    ) -> Result<(), MysqlError>;

    /// Forgets a prepared statement. Not called for those still open at [`Handler::reset`] or the connection's end.
    async fn close_statement(&mut self, statement_id: u32);

    /// Columns of a table of the current database, for `COM_FIELD_LIST` (name completion of old clients).
    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<Column>, MysqlError> {
        let _ = (table, wildcard);
        Err(MysqlError::new(
            codes::NOT_SUPPORTED,
            b"42000",
            "COM_FIELD_LIST is not supported; use SHOW COLUMNS",
        ))
    }

    /// Back to a fresh session (`COM_RESET_CONNECTION`, and before the login of `COM_CHANGE_USER`): variables,
    /// temporary state and all prepared statements are gone; the user and the database stay.
    async fn reset(&mut self) -> Result<(), MysqlError>;

    /// The last call, whatever ended the connection: after a failed login too, and after a call whose future was
    /// dropped. Not made after a panic of the handler.
    async fn on_disconnect(&mut self) {}
}
