//! What goes wrong: [`MysqlError`] is told to the client, [`WriteError`] is told to the handler.

use std::time::Duration;

/// Error codes that the protocol itself raises. Codes of statements (unknown table, syntax error) belong to the frontend.
pub mod codes {
    /// More connections than `max_connections`.
    pub const TOO_MANY_CONNECTIONS: u16 = 1040;
    /// The client's part of the handshake cannot be read.
    pub const BAD_HANDSHAKE: u16 = 1043;
    /// User and password do not fit together.
    pub const ACCESS_DENIED: u16 = 1045;
    /// A command this server does not know.
    pub const UNKNOWN_COMMAND: u16 = 1047;
    /// The server is being stopped.
    pub const SERVER_SHUTDOWN: u16 = 1053;
    /// A packet larger than `max_allowed_packet`, in either direction.
    pub const PACKET_TOO_LARGE: u16 = 1153;
    /// Sequence numbers of packets have a gap.
    pub const PACKETS_OUT_OF_ORDER: u16 = 1156;
    /// The client did not send the rest of a packet in time.
    pub const READ_INTERRUPTED: u16 = 1159;
    /// The client is gone.
    pub const WRITE_FAILED: u16 = 1160;
    /// The client did not take the result in time.
    pub const WRITE_INTERRUPTED: u16 = 1161;
    /// A feature that this server does not have.
    pub const NOT_SUPPORTED: u16 = 1235;
    /// A prepared statement that this connection does not have.
    pub const UNKNOWN_STATEMENT: u16 = 1243;
    /// The client speaks only the authentication of before MySQL 4.1.
    pub const OLD_AUTHENTICATION: u16 = 1251;
    /// Text that is not UTF-8.
    pub const INVALID_CHARACTERS: u16 = 1300;
    /// The statement was cancelled.
    pub const QUERY_INTERRUPTED: u16 = 1317;
    /// More prepared statements on one connection than allowed.
    pub const TOO_MANY_STATEMENTS: u16 = 1461;
    /// A defect of the server.
    pub const INTERNAL: u16 = 1815;
    /// A packet whose content does not fit its command.
    pub const MALFORMED_PACKET: u16 = 1835;
    /// A login without TLS where TLS is required.
    pub const SECURE_TRANSPORT_REQUIRED: u16 = 3159;
    /// The connection was ended by KILL.
    pub const SESSION_KILLED: u16 = 3169;
    /// The connection was idle for longer than allowed.
    pub const IDLE_TIMEOUT: u16 = 4031;
}

/// Messages are cut to this many bytes: a client's buffer for them is small, and an error must never grow with user data.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// An error as the client sees it: an ERR packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (error {code})")]
pub struct MysqlError {
    /// MySQL error number.
    pub code: u16,
    /// Five characters of SQLSTATE, for example `*b"42000"`.
    pub sqlstate: [u8; 5],
    /// For people; cut to [`MAX_MESSAGE_BYTES`] on the wire.
    pub message: String,
}

impl MysqlError {
    /// An error with its number, SQLSTATE and message, for example `MysqlError::new(1064, b"42000", "…")`.
    pub fn new(code: u16, sqlstate: &[u8; 5], message: impl Into<String>) -> Self {
        Self {
            code,
            sqlstate: *sqlstate,
            message: message.into(),
        }
    }

    /// Error 1045 in MySQL's words; says neither whether the user exists nor what was wrong.
    pub fn access_denied(user: &str, host: &str, using_password: bool) -> Self {
        let using = if using_password { "YES" } else { "NO" };
        Self::new(
            codes::ACCESS_DENIED,
            b"28000",
            format!("Access denied for user '{user}'@'{host}' (using password: {using})"),
        )
    }

    /// Error 1317: the statement was cancelled, by KILL or by the client going away.
    pub fn interrupted() -> Self {
        Self::new(codes::QUERY_INTERRUPTED, b"70100", "Query execution was interrupted")
    }

    pub(crate) fn bad_handshake(reason: &str) -> Self {
        Self::new(codes::BAD_HANDSHAKE, b"08S01", format!("Bad handshake: {reason}"))
    }

    pub(crate) fn malformed(what: &str) -> Self {
        Self::new(
            codes::MALFORMED_PACKET,
            b"HY000",
            format!("Malformed communication packet: {what}"),
        )
    }

    pub(crate) fn unknown_command(command: u8) -> Self {
        Self::new(codes::UNKNOWN_COMMAND, b"08S01", format!("Unknown command ({command})"))
    }

    pub(crate) fn internal(message: &str) -> Self {
        Self::new(codes::INTERNAL, b"HY000", format!("Internal error: {message}"))
    }

    pub(crate) fn packet_too_large(limit: usize) -> Self {
        Self::new(
            codes::PACKET_TOO_LARGE,
            b"08S01",
            format!("Got a packet bigger than 'max_allowed_packet' bytes ({limit})"),
        )
    }

    /// The message as it goes on the wire: at most [`MAX_MESSAGE_BYTES`], cut between characters.
    pub(crate) fn message_on_the_wire(&self) -> &str {
        let mut end = self.message.len().min(MAX_MESSAGE_BYTES);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        &self.message[..end]
    }
}

/// Why a result could not be written. A handler passes it on with `?`; the connection knows by itself what is broken.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The client is gone; nothing can be sent any more.
    #[error("the client's connection is lost: {0}")]
    ConnectionLost(String),
    /// The client took nothing for this long; nothing can be sent any more.
    #[error("the client took no data for {0:?}")]
    TimedOut(Duration),
    /// The connection was killed; nothing can be sent any more.
    #[error("the connection was killed")]
    Killed,
    /// One row or message is larger than `max_allowed_packet`; it was not sent, the statement may go on.
    #[error("a packet of {size} bytes exceeds max_allowed_packet ({limit} bytes)")]
    PacketTooLarge {
        /// Bytes of the packet.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The value does not fit the type of its column; the row was not sent.
    #[error("column '{column}': {reason}")]
    Value {
        /// Name of the column.
        column: String,
        /// What does not fit.
        reason: String,
    },
    /// The calls came in an order that the protocol does not have: a defect of the caller.
    #[error("result written in the wrong order: {0}")]
    OutOfOrder(&'static str),
}

impl From<WriteError> for MysqlError {
    fn from(error: WriteError) -> Self {
        match &error {
            WriteError::ConnectionLost(_) => Self::new(codes::WRITE_FAILED, b"08S01", error.to_string()),
            WriteError::TimedOut(_) => Self::new(codes::WRITE_INTERRUPTED, b"08S01", error.to_string()),
            WriteError::Killed => Self::interrupted(),
            WriteError::PacketTooLarge { limit, .. } => Self::packet_too_large(*limit),
            WriteError::Value { .. } | WriteError::OutOfOrder(_) => Self::internal(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
