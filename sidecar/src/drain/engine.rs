//! Calls to the compute node beside which the process runs.
//!
//! A plain HTTP client without pool, proxy or redirects: the engine is on the loopback of the same pod, and a connection that is kept
//! could not tell a stopped engine from a silent one.

use std::error::Error as _;
use std::time::Duration;

use axum::body::Body;
use http::uri::{Scheme, Uri};
use http::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use springtide_contract::drain::{DRAIN_PATH, DrainRequest, NodeStatus, STATUS_PATH};
use thiserror::Error;

use crate::drain::decide::Event;
use crate::drain::token::Tokens;

/// One question and its answer, connecting included.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The engine's URL cannot be used.
#[derive(Debug, Error)]
#[error("--engine-url: \"{url}\" is not an address; write http://host:port, for example http://127.0.0.1:9050")]
pub struct EngineUrlError {
    url: String,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
enum CallError {
    #[error("nothing listens at the engine's address: {0}")]
    Absent(String),
    #[error("the call to the engine failed: {0}")]
    Transport(String),
    #[error("no answer from the engine within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    #[error("the engine answered {0}")]
    Status(StatusCode),
    #[error("the engine's answer is not a node status: {0}")]
    Malformed(String),
}

#[derive(Clone, Debug)]
pub(crate) struct EngineClient {
    client: Client<HttpConnector, Body>,
    /// Without a trailing slash.
    base: String,
    tokens: Tokens,
}

impl EngineClient {
    pub(crate) fn new(url: &str, tokens: Tokens) -> Result<Self, EngineUrlError> {
        let base = url.trim_end_matches('/');
        let wrong = || EngineUrlError { url: url.to_owned() };
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        let plain = uri.scheme() == Some(&Scheme::HTTP)
            && uri.host().is_some()
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if !plain {
            return Err(wrong());
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        Ok(Self {
            client,
            base: base.to_owned(),
            tokens,
        })
    }

    pub(crate) async fn ask_to_drain(self) -> Event {
        let reason = DrainRequest {
            reason: "preStop".to_owned(),
        };
        let body = serde_json::to_vec(&reason).expect("a struct of one string is JSON");
        self.ask(Method::POST, DRAIN_PATH, body).await
    }

    pub(crate) async fn ask_status(self) -> Event {
        self.ask(Method::GET, STATUS_PATH, Vec::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Event {
        let mut refused = None;
        for token in self.tokens.current().await {
            let call = self.call(method.clone(), path, &token, body.clone());
            match tokio::time::timeout(CALL_TIMEOUT, call)
                .await
                .unwrap_or(Err(CallError::Timeout))
            {
                Ok(status) => return Event::Status(status),
                // The engine may still hold the other token.
                Err(error @ CallError::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                    refused = Some(error);
                }
                Err(error @ CallError::Absent(_)) => return Event::EngineAbsent(error.to_string()),
                Err(error) => return unclear(&error),
            }
        }
        unclear(&refused.unwrap_or(CallError::Status(StatusCode::UNAUTHORIZED)))
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: Vec<u8>) -> Result<NodeStatus, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            // The message names the token's header, not its value.
            .map_err(|error| CallError::Transport(error.to_string()))?;
        let response = self.client.request(request).await.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            if error.is_connect() {
                CallError::Absent(cause)
            } else {
                CallError::Transport(cause)
            }
        })?;
        if !response.status().is_success() {
            return Err(CallError::Status(response.status()));
        }
        let bytes = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER_BYTES)
            .await
            .map_err(|error| CallError::Transport(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::Malformed(error.to_string()))
    }
}

fn unclear(error: &CallError) -> Event {
    tracing::warn!(%error, "the engine gave no useful answer");
    Event::EngineUnclear(error.to_string())
}
