//! MySQL statements on top of [`crate::core`]: one [`Connection`] per client, which parses, checks, runs and answers.
//!
//! Nouns:
//! - *front*: what all connections share.
//! - *connection*: the handler of one client; it has a *session* once the client has logged in.
//! - *outcome*: what a statement answers; queries write their rows themselves, everything else is small.
//!
//! What never happens here: a change that is acknowledged before the core says that it is durable; a password in a log, in
//! `SHOW PROCESSLIST` or in the audit.

mod accounts;
mod audit;
mod connection;
mod encode;
mod errors;
mod information_schema;
mod insert;
mod query;
mod rows;
mod session;
mod set;
mod show;
mod source;
mod statement_clock;
mod statements;
mod variables;

use std::{net::SocketAddr, sync::Arc};

use springtide_mysql::{ConnectionInfo, HandlerFactory};
use springtide_query::Coordinator;
use springtide_rpc::RpcClient;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use audit::{AUDIT_DATABASE, AUDIT_TABLE, AuditMetrics};
pub use connection::Connection;
pub use variables::SERVER_VERSION;

use crate::core::Core;

/// Ports as clients reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// MySQL protocol.
    pub mysql: u16,
    /// HTTP.
    pub http: u16,
    /// Calls of compute nodes.
    pub rpc: u16,
}

/// Settings of the front.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// This frontend's host name or address, for `SHOW FRONTENDS` and the audit.
    pub advertised_host: String,
    /// Its ports.
    pub ports: Ports,
    /// Whether statements are kept in the audit table.
    pub audit: bool,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Core,
    pub(crate) coordinator: Coordinator,
    pub(crate) rpc: RpcClient,
    pub(crate) options: FrontOptions,
    pub(crate) audit: audit::AuditSender,
}

/// Makes the handlers of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Front {
    /// Starts the audit's writer, which ends with `shutdown`: when the last statement has ended.
    #[must_use]
    pub fn new(
        core: Core,
        coordinator: Coordinator,
        rpc: RpcClient,
        options: FrontOptions,
        shutdown: CancellationToken,
    ) -> Self {
        let (audit, writer) = audit::channel(options.audit);
        let shared = Arc::new(Shared {
            core,
            coordinator,
            rpc,
            options,
            audit,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(writer.run(Arc::clone(&shared), shutdown));
        tasks.close();
        Self { shared, tasks }
    }

    /// Waits until the audit has written, or given up, what it still had.
    pub async fn finish(&self) {
        self.tasks.wait().await;
    }

    /// Counters of the audit.
    #[must_use]
    pub fn audit_metrics(&self) -> &AuditMetrics {
        self.shared.audit.metrics()
    }
}

impl HandlerFactory for Front {
    type Handler = Connection;

    fn connect(&self, info: ConnectionInfo) -> Connection {
        Connection::new(Arc::clone(&self.shared), info)
    }
}

/// Where a client comes from, as the audit has it.
pub(crate) fn client_ip(peer: SocketAddr) -> String {
    peer.ip().to_string()
}
