//! The client side of every internal call: token, timeouts, errors that name the callee.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use reqwest::Body;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ClusterToken,
    message::{HEARTBEAT, HeartbeatReply, HeartbeatRequest, INGEST, IngestReply, IngestRequest},
};

/// Time to open a connection to another process of the cluster. A resolver asks again after 5 s where a packet was lost, and no statement
/// must fail for that.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time for a heartbeat, connection included.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an error body that are kept for the message.
const ERROR_BODY_LIMIT: usize = 2048;

/// Why an internal call failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The callee could not be reached, or the connection broke: it may or may not have done the work.
    #[error("cannot reach {url}: {source}")]
    Unreachable {
        /// Called URL.
        url: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The callee refused the token.
    #[error("{url} refused the cluster token")]
    Unauthorized {
        /// Called URL.
        url: String,
    },
    /// The callee answered with an error.
    #[error("{message}")]
    Remote {
        /// HTTP status.
        status: u16,
        /// The callee's message.
        message: String,
    },
    /// The answer is not what was agreed.
    #[error("{url} answered with something else than agreed: {source}")]
    Malformed {
        /// Called URL.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl RpcError {
    /// Whether the callee may be dead: the call may be repeated on another node.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, RpcError::Unreachable { .. })
    }
}

/// Calls other processes of the cluster. Cheap to clone; keeps connections.
#[derive(Clone, Debug)]
pub struct RpcClient {
    http: reqwest::Client,
    token: ClusterToken,
}

impl RpcClient {
    /// Makes a client that shows `token` at each call.
    ///
    /// # Errors
    /// When the HTTP client cannot be built (no TLS provider).
    pub fn new(token: ClusterToken) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { http, token })
    }

    /// Posts `request` as JSON to `base` + `path`.
    ///
    /// # Errors
    /// See [`RpcError`]; nothing is repeated here.
    pub async fn call<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        base: &str,
        path: &str,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        let url = format!("{base}{path}");
        let body = encoded(&url, request)?;
        self.post(url, Body::from(body), timeout)
            .await
            .map(|(answer, _)| answer)
    }

    /// Heartbeat to the node at `host:port`; with its answer comes the address at which it answered, where the name leads to now.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn heartbeat(
        &self,
        host: &str,
        port: u16,
        request: &HeartbeatRequest,
    ) -> Result<(HeartbeatReply, Option<IpAddr>), RpcError> {
        let url = format!("http://{host}:{port}{HEARTBEAT}");
        let body = encoded(&url, request)?;
        self.post(url, Body::from(body), HEARTBEAT_TIMEOUT).await
    }

    /// Sends rows, an Arrow IPC stream in pieces, to the node at `authority` (`host:port`), which writes them to the store.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn ingest(
        &self,
        authority: &str,
        request: &IngestRequest,
        rows: Vec<Bytes>,
        timeout: Duration,
    ) -> Result<IngestReply, RpcError> {
        let url = format!("http://{authority}{INGEST}");
        let mut head = encoded(&url, request)?;
        head.push(b'\n');
        let pieces = std::iter::once(Bytes::from(head))
            .chain(rows)
            .map(Ok::<_, std::convert::Infallible>);
        let body = Body::wrap_stream(futures::stream::iter(pieces));
        self.post(url, body, timeout).await.map(|(reply, _)| reply)
    }

    /// The answer, and the address that it came from.
    async fn post<A: DeserializeOwned>(
        &self,
        url: String,
        body: Body,
        timeout: Duration,
    ) -> Result<(A, Option<IpAddr>), RpcError> {
        let unreachable = |source: reqwest::Error| RpcError::Unreachable {
            url: url.clone(),
            source: source.without_url(),
        };
        let answer = self
            .http
            .post(&url)
            .header("authorization", self.token.header())
            .header("content-type", "application/json")
            .timeout(timeout)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        let address = answer.remote_addr().map(|address| address.ip());
        let bytes = answer.bytes().await.map_err(unreachable)?;
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(RpcError::Unauthorized { url });
        }
        if !status.is_success() {
            let message = String::from_utf8_lossy(&bytes[..bytes.len().min(ERROR_BODY_LIMIT)]).into_owned();
            return Err(RpcError::Remote {
                status: status.as_u16(),
                message,
            });
        }
        let answer = serde_json::from_slice(&bytes).map_err(|source| RpcError::Malformed { url, source })?;
        Ok((answer, address))
    }
}

fn encoded(url: &str, request: &impl Serialize) -> Result<Vec<u8>, RpcError> {
    serde_json::to_vec(request).map_err(|source| RpcError::Malformed {
        url: url.to_owned(),
        source,
    })
}
