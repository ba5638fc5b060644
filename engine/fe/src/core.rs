//! The durable heart of the frontend: catalog, transactions, compute nodes, accounts, running statements.
//!
//! Nouns:
//! - [`Core`]: a handle; clones share one heart.
//! - *edit*: a change of the catalog. It is durable in the journal before anyone sees it.
//! - *transaction*: a load. Begun in memory, committed by an edit, made visible by a publish.
//! - *publish*: a new version of every partition that a transaction wrote to, visible in one edit.
//!
//! What never happens here: memory is never ahead of the disk. When the journal fails, nothing more is acknowledged, and
//! [`Core::failed`] tells the process to end.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{ObjectStore, prefix::PrefixStore};
use springtide_catalog::{Catalog, CatalogError, Edit, Partition};
use springtide_contract::{
    config::{EngineConfig, FrontendConfig, Refusal},
    paths,
    settings::SettingError,
};
use springtide_model::{ClusterId, Epoch, PartitionMetadata};
use springtide_rpc::RpcClient;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub mod accounts;
mod bootstrap;
pub mod clock;
pub mod error;
pub mod metrics;
pub mod nodes;
mod partitions;
pub mod patience;
mod publisher;
pub mod queue;
pub mod removal;
pub mod sessions;
pub mod transactions;
mod writer;

pub use accounts::Account;
pub use bootstrap::{JournalOpener, local_journal};
pub use clock::{Clock, SystemClock};
pub use error::CoreError;
pub use metrics::Metrics;
pub use nodes::{DrainState, NodeView, Route};
pub use patience::Patience;
pub use queue::{Admission, Demand, Wait};
pub use sessions::{Kill, KillError, SessionGuard, SessionView, Sessions, StatementGuard};
pub use transactions::{BeginTransaction, Begun, LabelStatus, LoadState, LoadView};

/// Where a frontend finds its files.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// Journal and images.
    pub meta: PathBuf,
    /// `username` and `password` of the administrator; a new password is taken over into the catalog.
    pub admin_account: PathBuf,
    /// `username` and `password` of the operator; read at each login.
    pub operator_account: PathBuf,
}

impl Default for Dirs {
    /// Where the operator mounts them.
    fn default() -> Self {
        Self {
            meta: paths::FE_META.into(),
            admin_account: paths::ADMIN_ACCOUNT.into(),
            operator_account: paths::OPERATOR_ACCOUNT.into(),
        }
    }
}

/// What a core is made of.
pub struct CoreParts {
    /// Cluster id, intervals, whom to adopt.
    pub config: EngineConfig,
    /// Files.
    pub dirs: Dirs,
    /// The object store, rooted at the configured storage prefix: where the `CLUSTER` object is.
    pub store: Arc<dyn ObjectStore>,
    /// For heartbeats.
    pub rpc: RpcClient,
    /// Base URL of this frontend's RPC port, as compute nodes reach it.
    pub rpc_url: String,
    /// Time for records and deadlines.
    pub clock: Arc<dyn Clock>,
    /// Opens the journal; [`local_journal`] outside of tests.
    pub journal: JournalOpener,
}

impl fmt::Debug for CoreParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreParts")
            .field("dirs", &self.dirs)
            .field("rpc_url", &self.rpc_url)
            .finish_non_exhaustive()
    }
}

/// The durable heart of a frontend. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

struct Inner {
    config: EngineConfig,
    /// What of the configuration may change while the frontend runs, as it is now.
    settings: watch::Sender<FrontendConfig>,
    cluster_id: ClusterId,
    epoch: Epoch,
    dirs: Dirs,
    clock: Arc<dyn Clock>,
    started_ms: u64,
    data_store: Arc<dyn ObjectStore>,
    rpc: RpcClient,
    rpc_url: String,
    writer: writer::EditWriter,
    transactions: transactions::Transactions,
    publisher: publisher::Publisher,
    partitions: partitions::PartitionCache,
    nodes: nodes::Nodes,
    queue: queue::Queue,
    sessions: Sessions,
    metrics: Metrics,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("cluster_id", &self.inner.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Replays the journal, or makes a cluster where there is none; checks that the data prefix is this cluster's; takes up
    /// the transactions that were committed and not yet visible; begins heartbeats.
    ///
    /// # Errors
    /// A [`Refusal`] for the operator: see [`springtide_contract::config::RefusalReason`].
    pub async fn open(parts: CoreParts) -> Result<Core, Refusal> {
        let opened = bootstrap::open(
            &parts.config,
            &parts.dirs,
            &parts.store,
            parts.clock.as_ref(),
            parts.journal,
        )
        .await?;
        let metrics = Metrics::default();
        let (settings, of_writer) = watch::channel(parts.config.frontend.clone());
        let data_store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(
            Arc::clone(&parts.store),
            springtide_format::names::data_prefix(opened.cluster_id),
        ));
        let inner = Arc::new(Inner {
            cluster_id: opened.cluster_id,
            epoch: opened.epoch,
            dirs: parts.dirs,
            started_ms: parts.clock.now_ms(),
            clock: parts.clock,
            data_store,
            rpc: parts.rpc,
            rpc_url: parts.rpc_url,
            transactions: transactions::Transactions::new(opened.catalog.next_txn()),
            publisher: publisher::Publisher::default(),
            partitions: partitions::PartitionCache::default(),
            nodes: nodes::Nodes::default(),
            queue: queue::Queue::default(),
            sessions: Sessions::default(),
            writer: writer::EditWriter::start(
                opened.journal,
                opened.catalog,
                opened.image_id,
                of_writer,
                metrics.clone(),
            ),
            config: parts.config,
            settings,
            metrics,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let core = Core { inner };
        core.resume_publishing();
        core.spawn(nodes::watch_nodes(core.clone()));
        core.spawn(transactions::keep_house(core.clone()));
        core.spawn(accounts::follow_administrator(core.clone()));
        Ok(core)
    }

    /// Ends all tasks and closes the journal. What is under way is left as a crash would leave it; the next start takes it up.
    pub async fn shutdown(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.writer.stop().await;
    }

    /// Resolves, with the reason, when nothing more may be acknowledged: the process must exit.
    pub async fn failed(&self) -> String {
        self.inner.writer.failed().await
    }

    /// Whether nothing more may be acknowledged.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.inner.writer.has_failed()
    }

    /// The engine's configuration as it was at the start. What may change since then: [`Self::settings`].
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> FrontendConfig {
        self.inner.settings.borrow().clone()
    }

    /// The settings in force, for who has to notice when they change.
    #[must_use]
    pub fn watch_settings(&self) -> watch::Receiver<FrontendConfig> {
        self.inner.settings.subscribe()
    }

    /// Changes a setting, at once and until the process ends: the next one starts with what its configuration says.
    ///
    /// # Errors
    /// There is no such setting that can be changed, or the value makes no sense.
    pub fn change_setting(&self, name: &str, value: &str) -> Result<(), SettingError> {
        let mut changed = Ok(());
        self.inner.settings.send_if_modified(|settings| {
            let before = settings.clone();
            changed = settings.change(name, value);
            *settings != before
        });
        if changed.is_ok() {
            tracing::info!(name, value, "a setting was changed");
        }
        changed
    }

    /// Identity of the cluster.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.inner.cluster_id
    }

    /// The timeline.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Milliseconds since 1970, by the core's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// When this core was opened, milliseconds since 1970.
    #[must_use]
    pub fn started_ms(&self) -> u64 {
        self.inner.started_ms
    }

    /// Id of the last durable journal record.
    #[must_use]
    pub fn journal_id(&self) -> u64 {
        self.inner.writer.durable_id()
    }

    /// Id of the last journal record that is in the newest image; 0 without one.
    #[must_use]
    pub fn image_id(&self) -> u64 {
        self.inner.writer.image_id()
    }

    /// Writes an image of the catalog as it is now, unless there is one, and reads it back. Answers its last journal record.
    ///
    /// # Errors
    /// When the file system refuses; or that the journal has failed or is closed.
    pub async fn write_image(&self) -> Result<u64, CoreError> {
        self.inner.writer.write_image().await
    }

    /// Counters of this frontend.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The object store, rooted at the cluster's data prefix: names in segments and in the catalog are relative to it.
    #[must_use]
    pub fn data_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.data_store)
    }

    /// The newest durable catalog.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.inner.writer.catalog()
    }

    /// Decides and makes a change. `intent` sees the newest catalog, in the order of the journal; its edits take effect
    /// together, or not at all. Answers a catalog that has them, once they are durable.
    ///
    /// # Errors
    /// What `intent` refuses; or that the journal has failed or is closed, when it is not known whether the edits took effect.
    pub async fn edit<F>(&self, intent: F) -> Result<Arc<Catalog>, CoreError>
    where
        F: FnOnce(&Catalog) -> Result<Vec<Edit>, CatalogError> + Send + 'static,
    {
        self.inner.writer.edit(Box::new(intent)).await
    }

    /// The tablets and segments of a partition at its visible version.
    ///
    /// # Errors
    /// When the store fails, or the metadata object is damaged or of a newer engine.
    pub async fn partition_metadata(&self, partition: &Partition) -> Result<Arc<PartitionMetadata>, CoreError> {
        self.inner
            .partitions
            .visible(&self.inner.data_store, self.inner.epoch, partition)
            .await
    }

    /// Connections and what they run.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// Runs a task until it ends or the core is shut down.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = task => {}
            }
        });
    }
}

/// Time for one call to the object store; its client repeats what fails within it.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(30);
