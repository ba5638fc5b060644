//! A compute node as the drain sidecar sees it, and the sidecar beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use springtide_contract::drain::{DRAIN_PATH, DrainRequest, NodeState, NodeStatus, STATUS_PATH, drain_key};
use springtide_sidecar::drain::{DrainOptions, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "the-cluster-token";
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// Longer than any test takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the node would answer and what it was asked.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) token: String,
    pub(crate) status: NodeStatus,
    pub(crate) drains: Vec<String>,
    pub(crate) looks: usize,
}

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    facts: Arc<Mutex<NodeFacts>>,
    server: JoinHandle<()>,
}

impl Node {
    /// A node that takes work and runs `fragments`.
    pub(crate) async fn start(fragments: u64) -> Self {
        let status = NodeStatus {
            state: NodeState::Ready,
            observed_by_frontend: true,
            running_fragments: fragments,
            running_loads: 0,
            cut_off: false,
        };
        let facts = NodeFacts {
            token: TOKEN.into(),
            status,
            drains: Vec::new(),
            looks: 0,
        };
        let facts = Arc::new(Mutex::new(facts));
        let router = Router::new()
            .route(DRAIN_PATH, post(drain))
            .route(STATUS_PATH, get(status_page))
            .with_state(Arc::clone(&facts));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, facts, server }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut NodeFacts)) {
        change(&mut self.facts.lock().unwrap());
    }

    pub(crate) fn see<T>(&self, see: impl FnOnce(&NodeFacts) -> T) -> T {
        see(&self.facts.lock().unwrap())
    }

    /// As after SIGKILL: nothing listens any more.
    pub(crate) async fn die(self) {
        self.server.abort();
        let _ = self.server.await;
    }

    /// Until the condition holds.
    pub(crate) async fn until(&self, condition: impl Fn(&NodeFacts) -> bool) {
        tokio::time::timeout(PATIENCE, async {
            while !self.see(&condition) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the node is asked in time");
    }
}

fn has_token(facts: &NodeFacts, headers: &HeaderMap) -> bool {
    headers
        .get("authorization")
        .is_some_and(|value| value.as_bytes() == format!("Bearer {}", facts.token).as_bytes())
}

async fn drain(State(facts): State<Arc<Mutex<NodeFacts>>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut facts = facts.lock().unwrap();
    if !has_token(&facts, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: DrainRequest = serde_json::from_slice(&body).unwrap();
    facts.drains.push(request.reason);
    if facts.status.state == NodeState::Ready {
        facts.status.state = NodeState::Draining;
        facts.status.observed_by_frontend = false;
    }
    Json(facts.status.clone()).into_response()
}

async fn status_page(State(facts): State<Arc<Mutex<NodeFacts>>>, headers: HeaderMap) -> Response {
    let mut facts = facts.lock().unwrap();
    if !has_token(&facts, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    facts.looks += 1;
    Json(facts.status.clone()).into_response()
}

/// A sidecar in this process.
pub(crate) struct Sidecar {
    pub(crate) address: SocketAddr,
    pub(crate) token_file: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Sidecar {
    pub(crate) async fn beside(engine: SocketAddr, timeout: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token_file = directory.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let options = DrainOptions::new(format!("http://{engine}"), token_file.clone(), timeout).poll_interval(POLL);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let stopped = async move { stopped.await.unwrap_or(()) };
            serve(listener, options, stopped).await.unwrap();
        });
        Self {
            address,
            token_file,
            stop: Some(stop),
            ended,
            _directory: directory,
        }
    }

    pub(crate) fn tell_to_stop(&mut self) {
        let _ = self.stop.take().expect("told once").send(());
    }

    /// A hook that is asked in the background.
    pub(crate) fn hook(&self) -> JoinHandle<(u16, String)> {
        let (address, path) = (self.address, format!("/drain/{}", drain_key(TOKEN)));
        tokio::spawn(async move { request(address, &path).await })
    }
}

/// A GET as the kubelet sends it: status and body.
pub(crate) async fn request(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-lifecycle/1.33\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole HTTP answer");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
