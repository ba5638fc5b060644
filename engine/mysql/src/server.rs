//! Accepting connections, and ending them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection;
use crate::error::codes;
use crate::result::error_packet_before_greeting;
use crate::{ConnectionRegistry, HandlerFactory, MysqlError};

/// Wait before accepting again after a failure to accept (too many open files, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A client that is refused for want of room has this long to take the message.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(200);

/// What is left for killed connections to say goodbye at shutdown, beyond `cancel_grace`.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

/// Where the certificate of the next connection comes from: asked at each TLS handshake, so that a renewed certificate
/// serves new connections without a restart.
#[derive(Clone)]
pub struct TlsConfigSource {
    current: Arc<dyn Fn() -> Arc<rustls::ServerConfig> + Send + Sync>,
}

impl std::fmt::Debug for TlsConfigSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsConfigSource(…)")
    }
}

impl TlsConfigSource {
    /// Always this one.
    pub fn fixed(config: Arc<rustls::ServerConfig>) -> Self {
        Self::from_fn(move || config.clone())
    }

    /// Whatever the function says; it must not block.
    pub fn from_fn(current: impl Fn() -> Arc<rustls::ServerConfig> + Send + Sync + 'static) -> Self {
        Self {
            current: Arc::new(current),
        }
    }

    pub(crate) fn current(&self) -> Arc<rustls::ServerConfig> {
        (self.current)()
    }
}

impl From<watch::Receiver<Arc<rustls::ServerConfig>>> for TlsConfigSource {
    fn from(receiver: watch::Receiver<Arc<rustls::ServerConfig>>) -> Self {
        Self::from_fn(move || receiver.borrow().clone())
    }
}

/// How many connections may be open. It is asked at each one, so that it may change while the server runs.
#[derive(Clone)]
pub struct ConnectionLimit {
    current: Arc<dyn Fn() -> usize + Send + Sync>,
}

impl std::fmt::Debug for ConnectionLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ConnectionLimit").field(&self.current()).finish()
    }
}

impl ConnectionLimit {
    /// Whatever the function says; it must not block. Connections that are open stay when it says less.
    pub fn from_fn(current: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self {
            current: Arc::new(current),
        }
    }

    fn current(&self) -> usize {
        (self.current)()
    }
}

impl From<usize> for ConnectionLimit {
    fn from(limit: usize) -> Self {
        Self::from_fn(move || limit)
    }
}

/// Settings of a server. `Default` gives MySQL's values where MySQL has one.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Version that clients see; begins with a MySQL version, since clients derive features from it.
    pub server_version: String,
    /// Open connections, those that have not logged in yet included; one more is refused with error 1040.
    pub max_connections: ConnectionLimit,
    /// From the accepted connection to the successful login.
    pub handshake_timeout: Duration,
    /// Without a command; then error 4031 and the end.
    pub idle_timeout: Duration,
    /// Without a byte within a packet of the client; then error 1159 and the end.
    pub read_timeout: Duration,
    /// Without a byte taken by the client; then the end.
    pub write_timeout: Duration,
    /// Bytes of one packet in either direction, and of the long data of all prepared statements of a connection.
    pub max_allowed_packet: usize,
    /// A result is held back until so many bytes of it are buffered, or it ends. See [`crate::ResultWriter::hold`].
    pub result_hold_bytes: usize,
    /// Open prepared statements of one connection.
    pub max_prepared_statements: usize,
    /// How long a call of a handler may go on after its statement was cancelled, before its future is dropped.
    pub cancel_grace: Duration,
    /// How long statements may go on after the shutdown began, before they are cancelled.
    pub shutdown_grace: Duration,
    /// Cancels them earlier, once the shutdown has begun: for who has to be gone by a certain time, whenever it began.
    pub cut_off: CancellationToken,
    /// TLS; without it clients that ask for encryption are refused.
    pub tls: Option<TlsConfigSource>,
    /// Refuse logins without TLS with error 3159. Needs `tls`.
    pub require_tls: bool,
    /// The connections that will be open; keep a clone to kill or list them.
    pub registry: ConnectionRegistry,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            server_version: concat!("8.0.33-springtide-", env!("CARGO_PKG_VERSION")).to_owned(),
            max_connections: 4_096_usize.into(),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(28_800),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            max_allowed_packet: 64 * 1024 * 1024,
            result_hold_bytes: 64 * 1024,
            max_prepared_statements: 16_382,
            cancel_grace: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(30),
            cut_off: CancellationToken::new(),
            tls: None,
            require_tls: false,
            registry: ConnectionRegistry::starting_at(1),
        }
    }
}

/// What all connections of a server share.
pub(crate) struct Shared<F> {
    pub(crate) options: ServerOptions,
    pub(crate) factory: F,
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
}

/// Serves until `shutdown` is cancelled. Then accepts no more, ends idle connections, lets statements end for
/// `shutdown_grace` or until `cut_off`, cancels the others, and returns when the last connection is gone.
pub async fn serve<F: HandlerFactory>(
    listener: TcpListener,
    options: ServerOptions,
    factory: F,
    shutdown: CancellationToken,
) {
    let shared = Arc::new(Shared {
        options,
        factory,
        shutdown,
        started: Instant::now(),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &shared, &mut connections).await,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    end_all(&shared.options, connections).await;
}

async fn admit<F: HandlerFactory>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<F>>,
    connections: &mut JoinSet<()>,
) {
    // Results are written in large pieces; waiting to join small ones only delays answers.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was gone before it began");
        return;
    }
    let limit = shared.options.max_connections.current();
    if let Some(registration) = shared.options.registry.enter(peer, limit) {
        connections.spawn(connection::run(stream, peer, registration, shared.clone()));
        return;
    }
    tracing::warn!(%peer, limit, "refused a connection: max_connections are open");
    refuse(stream).await;
}

/// Error 1040 in place of a greeting. Small enough for the socket's buffer, so this does not hold up the next client.
async fn refuse(mut stream: TcpStream) {
    let error = MysqlError::new(codes::TOO_MANY_CONNECTIONS, b"08004", "Too many connections");
    let payload = error_packet_before_greeting(&error);
    let mut packet = bytes::BytesMut::new();
    mysql_common::proto::codec::packet_to_chunks(0, &mut payload.as_slice(), &mut packet);
    let _ = timeout(REFUSAL_PATIENCE, async {
        let _ = stream.write_all(&packet).await;
        let _ = stream.shutdown().await;
    })
    .await;
}

async fn end_all(options: &ServerOptions, mut connections: JoinSet<()>) {
    let all_ended = async |connections: &mut JoinSet<()>| {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    let have_ended = tokio::select! {
        biased;
        () = all_ended(&mut connections) => true,
        () = tokio::time::sleep(options.shutdown_grace) => false,
        () = options.cut_off.cancelled() => false,
    };
    if have_ended {
        return;
    }
    tracing::warn!(
        open = connections.len(),
        "cancelling the statements that outlasted the shutdown's grace"
    );
    options.registry.kill_all();
    let patience = options.cancel_grace + GOODBYE_PATIENCE;
    if timeout(patience, all_ended(&mut connections)).await.is_err() {
        tracing::error!(open = connections.len(), "dropping connections that do not end");
        connections.shutdown().await;
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended by a panic");
    }
}
