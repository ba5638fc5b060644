//! One connection, from the accepted socket to its end.

mod commands;
mod handshake;
mod supervise;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::auth::{NATIVE_BYTES, new_salt};
use crate::error::codes;
use crate::packet::{PacketReader, PacketWriter, ReadError, ReadLimits};
use crate::registry::Registration;
use crate::server::{ServerOptions, Shared};
use crate::statement::Statements;
use crate::{ConnectionInfo, Handler, HandlerFactory, MysqlError, ResultWriter, WriteError};

/// How long a client may take to read the last packet, and how much of what it still sends is read meanwhile, so that
/// it learns why the connection ends.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
const CLOSE_DRAIN_BYTES: usize = 64 * 1024 * 1024;

/// The same at a shutdown: pools hold connections that nobody reads, and a server that waits for all of them comes back later. It is as
/// long as a command that was sent before the client could know may take to arrive.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(250);

/// How long a handler may take to tidy up.
const DISCONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection ends before the client quits.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The client is told this error first.
    #[error(transparent)]
    Told(#[from] MysqlError),
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Nothing more can be said, or nobody listens.
    #[error("{0}")]
    Silent(&'static str),
}

impl End {
    /// What a client is told of its own packet, where it can still be told.
    fn of_read(error: &ReadError) -> Self {
        match error {
            ReadError::Io(_) | ReadError::Truncated => Self::Silent("the client's connection broke"),
            ReadError::TooLarge { limit, .. } => Self::Told(MysqlError::packet_too_large(*limit)),
            ReadError::OutOfOrder { .. } => Self::Told(MysqlError::new(
                codes::PACKETS_OUT_OF_ORDER,
                b"08S01",
                "Got packets out of order",
            )),
            ReadError::Idle(_) => Self::Told(MysqlError::new(
                codes::IDLE_TIMEOUT,
                b"HY000",
                "The client was disconnected by the server because of inactivity",
            )),
            ReadError::Slow(_) => Self::Told(MysqlError::new(
                codes::READ_INTERRUPTED,
                b"08S01",
                "Got timeout reading communication packets",
            )),
        }
    }
}

/// Everything of a connection but its handler.
struct Connection<F> {
    reader: PacketReader,
    out: ResultWriter,
    statements: Statements,
    capabilities: CapabilityFlags,
    info: ConnectionInfo,
    registration: Registration,
    shared: Arc<Shared<F>>,
}

/// Serves one client to the end.
pub(crate) async fn run<F: HandlerFactory>(
    stream: TcpStream,
    peer: SocketAddr,
    registration: Registration,
    shared: Arc<Shared<F>>,
) {
    let connection_id = registration.connection_id;
    let deadline = Instant::now() + shared.options.handshake_timeout;
    let salt: [u8; NATIVE_BYTES] = new_salt(&mut rand::rng());
    let greeted = tokio::select! {
        greeted = timeout_at(deadline, handshake::greet(stream, &salt, connection_id, &shared.options)) => greeted,
        () = shared.shutdown.cancelled() => return,
        () = registration.killed.cancelled() => return,
    };
    let greeted = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(reason)) => {
            tracing::debug!(connection_id, %peer, %reason, "a client did not get through the handshake");
            return;
        }
        Err(_) => {
            tracing::debug!(connection_id, %peer, "a client did not answer the greeting in time");
            return;
        }
    };
    let info = ConnectionInfo {
        connection_id,
        peer,
        tls: greeted.tls,
        killed: registration.killed.clone(),
    };
    let mut handler = shared.factory.connect(info.clone());
    let (read_half, write_half) = tokio::io::split(greeted.transport);
    let options = &shared.options;
    let mut connection = Connection {
        reader: PacketReader::new(read_half),
        out: ResultWriter::new(
            PacketWriter::new(
                Box::new(write_half),
                options.max_allowed_packet,
                options.write_timeout,
                registration.killed.clone(),
            ),
            options.result_hold_bytes,
        ),
        statements: Statements::new(options.max_prepared_statements, options.max_allowed_packet),
        capabilities: CapabilityFlags::empty(),
        info,
        registration,
        shared,
    };
    connection.live(&mut handler, greeted.login, &salt, deadline).await;
}

impl<F: HandlerFactory> Connection<F> {
    async fn live(
        &mut self,
        handler: &mut F::Handler,
        login: Option<crate::packet::Packet>,
        salt: &[u8; NATIVE_BYTES],
        deadline: Instant,
    ) {
        let killed = self.info.killed.clone();
        let logged_in = tokio::select! {
            logged_in = timeout_at(deadline, self.log_in(handler, login, salt)) => logged_in.unwrap_or_else(|_| {
                Err(End::Told(MysqlError::bad_handshake("the login took too long")))
            }),
            () = killed.cancelled() => Err(End::Silent("killed before the login")),
        };
        let ended = match logged_in {
            Ok(()) => {
                tracing::debug!(connection_id = self.info.connection_id, peer = %self.info.peer, "logged in");
                self.answer_commands(handler).await
            }
            Err(end) => Err(end),
        };
        let panicked = matches!(ended, Err(End::Silent(supervise::PANICKED)));
        self.say_goodbye(ended).await;
        if !panicked && timeout(DISCONNECT_PATIENCE, handler.on_disconnect()).await.is_err() {
            tracing::warn!(
                connection_id = self.info.connection_id,
                "a handler did not tidy up in time"
            );
        }
    }

    async fn say_goodbye(&mut self, ended: Result<(), End>) {
        let connection_id = self.info.connection_id;
        if let Err(end) = ended {
            tracing::debug!(connection_id, reason = %end, "ending a connection");
            if let End::Told(error) = end {
                let patience = if self.shared.shutdown.is_cancelled() {
                    SHUTDOWN_PATIENCE
                } else {
                    CLOSE_PATIENCE
                };
                // Only buffered here: close() sends it, on a killed connection too.
                let _ = self.out.buffer_error(&error);
                self.out.packets().close(CLOSE_PATIENCE).await;
                self.reader.drain(patience, CLOSE_DRAIN_BYTES).await;
                return;
            }
        }
        self.out.packets().close(CLOSE_PATIENCE).await;
    }

    fn options(&self) -> &ServerOptions {
        &self.shared.options
    }

    /// Limits of a packet after the login.
    fn read_limits(&self) -> ReadLimits {
        ReadLimits {
            idle: self.options().idle_timeout,
            stall: self.options().read_timeout,
            bytes: self.options().max_allowed_packet,
        }
    }
}
