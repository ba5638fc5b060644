//! A standalone engine for one test, and its clients.

use std::{ops::Deref, path::Path, thread::JoinHandle, time::Duration};

use springtide_engine::standalone::{Standalone, StandalonePorts};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Time for the engine to answer its first statement.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running engine, on a thread and a runtime of its own. It ends, and is waited for, when it is dropped.
pub(crate) struct Engine {
    pub(crate) http_port: u16,
    client: Client,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts on a folder of its own and waits until its compute node serves.
    pub(crate) async fn start() -> (Self, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        (Self::start_on(folder.path()).await, folder)
    }

    /// Starts on a folder that may hold an earlier engine's data.
    pub(crate) async fn start_on(folder: &Path) -> Self {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shutdown = CancellationToken::new();
        let (stop, folder) = (shutdown.clone(), folder.to_owned());
        let (ready, opened) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let ports = StandalonePorts {
                    mysql: 0,
                    http: 0,
                    compute_http: 0,
                };
                let standalone = Standalone::open(&folder, ports).await.expect("a folder and ports");
                let account = standalone.administrator().expect("an administrator");
                let ports = (
                    standalone.mysql_port().expect("a port"),
                    standalone.http_port().expect("a port"),
                );
                // A test that is over does not want to know.
                let _ = ready.send((account, ports));
                standalone.run(stop).await.expect("the engine runs");
            });
        });
        let ((user, password), (mysql_port, http_port)) = opened.await.expect("the engine starts");
        let engine = Self {
            http_port,
            client: Client {
                host: "127.0.0.1".to_owned(),
                port: mysql_port,
                user,
                password,
            },
            shutdown,
            thread: Some(thread),
        };
        engine.wait_for_compute().await;
        engine
    }

    async fn wait_for_compute(&self) {
        let serving = async {
            loop {
                let nodes = self.try_rows("SHOW COMPUTE NODES").await.unwrap_or_default();
                if nodes.iter().any(|row| row.split('|').nth(8) == Some("true")) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, serving)
            .await
            .expect("a compute node serves in time");
    }

    /// Ends the engine and waits for it.
    pub(crate) fn stop(mut self) {
        self.end().expect("the engine ends without a panic");
    }

    fn end(&mut self) -> std::thread::Result<()> {
        self.shutdown.cancel();
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Deref for Engine {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whether it ended well is for tests that call `stop`.
        let _ = self.end();
    }
}
