//! A standalone engine for one test, and its clients.

use std::{ops::Deref, path::Path, time::Duration};

use springtide_engine::standalone::{Standalone, StandalonePorts};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Time for the engine to answer its first statement.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running engine. Dropping it tells it to end; [`Engine::stop`] waits until it has, too.
pub(crate) struct Engine {
    pub(crate) http_port: u16,
    client: Client,
    shutdown: CancellationToken,
    running: Option<JoinHandle<()>>,
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
        let ports = StandalonePorts {
            mysql: 0,
            http: 0,
            compute_http: 0,
        };
        let standalone = Standalone::open(folder, ports).await.expect("a folder and ports");
        let (user, password) = standalone.administrator().expect("an administrator");
        let (mysql_port, http_port) = (
            standalone.mysql_port().expect("a port"),
            standalone.http_port().expect("a port"),
        );
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::task::spawn_blocking(move || {
            let ended = tokio::runtime::Handle::current().block_on(standalone.run(stop));
            ended.expect("the engine runs");
        });
        let engine = Self {
            http_port,
            client: Client {
                host: "127.0.0.1".to_owned(),
                port: mysql_port,
                user,
                password,
            },
            shutdown,
            running: Some(running),
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
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let running = self.running.take().expect("an engine is stopped once");
        running.await.expect("the engine ends");
    }
}

impl Deref for Engine {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A test that ends without [`Engine::stop`] must not leave an engine that its runtime waits for.
impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
