//! Loads from begin to visible.
//!
//! ```text
//! begin ─► running ─┬─ commit ─► Commit edit (acknowledged) ─► publisher ─► Publish edit (visible)
//!                   └─ abort, time-out, restart, end of the process that began it ─► gone; its objects are never referred to
//! ```
//! A running transaction is in memory only. Its label is taken from begin on, and stays taken once it is committed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use springtide_catalog::{Catalog, Commit, Edit, Table, Transaction, TransactionStatus};
use springtide_format::names::DataObjectName;
use springtide_model::{
    DataObject, DatabaseId, Epoch, LoadTarget, NodeId, PartitionId, TableId, TabletId, TargetPartition, TxnId,
};
use springtide_rpc::message::NodeProcess;

use super::{Core, CoreError, publisher::Pending};

/// Loads that run at once, of all databases.
pub const MAX_RUNNING: usize = 1000;
/// Why loads are aborted.
const NODE_RESTARTED: &str = "its compute node was restarted before the load was committed";
const NODE_DROPPED: &str = "its compute node was dropped before the load was committed";
/// Time that a load has when it asks for none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Most time that a load may ask for: 3 days, as StarRocks' `max_load_timeout_second`.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(259_200);
/// Transaction ids that one journal record reserves.
const RESERVE: u64 = 1000;
/// Aborted loads that are remembered, for `SHOW LOAD` and for late commits.
const REMEMBERED: usize = 1000;
/// How often time-outs are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A load that wants to begin.
#[derive(Clone, Debug)]
pub struct BeginTransaction {
    /// Database by name.
    pub database: String,
    /// Table by name.
    pub table: String,
    /// Used at most once per database.
    pub label: String,
    /// After this time the load is aborted; capped at [`MAX_TIMEOUT`], zero is [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
    /// The compute node's process that will commit, if one will: the load ends with it.
    pub process: Option<NodeProcess>,
}

/// Answer of [`Core::begin`].
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// Write to it, then commit or abort.
    Target(LoadTarget),
    /// The label was used before; nothing is to be written.
    LabelAlreadyExists {
        /// The transaction that has it.
        txn: TxnId,
        /// How far it is.
        status: LabelStatus,
    },
}

/// How far the load with a label is, in StarRocks' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelStatus {
    /// It runs, or is committed and not yet visible.
    Running,
    /// It is visible.
    Finished,
}

impl LabelStatus {
    /// `ExistingJobStatus` of a Stream Load.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LabelStatus::Running => "RUNNING",
            LabelStatus::Finished => "FINISHED",
        }
    }
}

/// A load as `SHOW LOAD` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadView {
    /// Its transaction.
    pub txn: TxnId,
    /// Its label.
    pub label: String,
    /// Its database.
    pub database: DatabaseId,
    /// Its table.
    pub table: TableId,
    /// How far it is.
    pub state: LoadState,
    /// When it began, milliseconds since 1970; unknown of loads that were committed.
    pub begun_ms: Option<u64>,
    /// When it was committed or aborted, milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// Rows, once it is committed.
    pub rows: Option<u64>,
}

/// How far a load is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadState {
    /// It runs.
    Loading,
    /// It is acknowledged and not yet visible.
    Committed,
    /// It is visible.
    Finished,
    /// It was aborted.
    Cancelled {
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
pub(super) struct Transactions {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Next id to give out.
    next: u64,
    /// First id that the journal does not know as reserved.
    reserved_below: u64,
    running: BTreeMap<TxnId, Running>,
    labels: HashMap<(DatabaseId, String), TxnId>,
    aborted: VecDeque<LoadView>,
}

#[derive(Clone, Debug)]
struct Running {
    target: Arc<LoadTarget>,
    label: String,
    begun_ms: u64,
    deadline_ms: u64,
    process: Option<NodeProcess>,
    committing: bool,
}

impl Running {
    /// Whether it ended with its process: on this node only the one that started then runs, or none.
    fn has_ended_on(&self, node: NodeId, runs_since_ms: Option<u64>) -> bool {
        self.process
            .is_some_and(|process| process.node == node && Some(process.start_time_ms) != runs_since_ms)
    }
}

impl Transactions {
    /// `next` is the catalog's: ids below it may have been given out before the start.
    pub(super) fn new(next: TxnId) -> Self {
        Self {
            state: Mutex::new(State {
                next: next.0,
                reserved_below: next.0,
                running: BTreeMap::new(),
                labels: HashMap::new(),
                aborted: VecDeque::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, txn: TxnId) -> Option<Running> {
        let running = self.running.remove(&txn)?;
        self.labels.remove(&(running.target.database, running.label.clone()));
        Some(running)
    }

    fn abort(&mut self, txn: TxnId, reason: &str, now_ms: u64) -> bool {
        let Some(running) = self.remove(txn) else {
            return false;
        };
        if self.aborted.len() == REMEMBERED {
            self.aborted.pop_front();
        }
        self.aborted.push_back(running.view(
            txn,
            LoadState::Cancelled {
                reason: reason.to_owned(),
            },
            Some(now_ms),
        ));
        true
    }

    fn reason_of_abort(&self, txn: TxnId) -> Option<String> {
        let view = self.aborted.iter().rev().find(|view| view.txn == txn)?;
        match &view.state {
            LoadState::Cancelled { reason } => Some(reason.clone()),
            _ => None,
        }
    }
}

impl Running {
    fn view(&self, txn: TxnId, state: LoadState, ended_ms: Option<u64>) -> LoadView {
        LoadView {
            txn,
            label: self.label.clone(),
            database: self.target.database,
            table: self.target.table,
            state,
            begun_ms: Some(self.begun_ms),
            ended_ms,
            rows: None,
        }
    }
}

impl Core {
    /// Labels of the loads that a compute node has begun and that have not ended.
    #[must_use]
    pub fn labels_at(&self, node: NodeId) -> Vec<String> {
        let state = self.inner.transactions.lock();
        let is_there = |running: &&Running| running.process.is_some_and(|process| process.node == node);
        let there = state.running.values().filter(is_there);
        there.map(|running| running.label.clone()).collect()
    }

    /// Loads that run, or are committed and not yet visible.
    #[must_use]
    pub fn open_loads(&self) -> BTreeSet<TxnId> {
        let running: Vec<TxnId> = self.inner.transactions.lock().running.keys().copied().collect();
        let unpublished = self.catalog().unpublished().map(|txn| txn.id).collect::<Vec<_>>();
        running.into_iter().chain(unpublished).collect()
    }

    /// Begins a load of a table.
    ///
    /// # Errors
    /// When database or table are unknown, the label breaks a rule, or too many loads run.
    pub async fn begin(&self, request: BeginTransaction) -> Result<Begun, CoreError> {
        Catalog::check_label(&request.label)?;
        let txn = self.next_txn().await?;
        let now_ms = self.now_ms();
        let mut state = self.inner.transactions.lock();
        // The catalog is looked at under the lock: a commit leaves `labels` only after the catalog has its label.
        let catalog = self.catalog();
        let table = catalog.resolve_table(&request.database, &request.table)?;
        let existing = match state.labels.get(&(table.database, request.label.clone())) {
            Some(other) => Some((*other, LabelStatus::Running)),
            None => catalog
                .transaction_by_label(table.database, &request.label)
                .map(|other| (other.id, label_status(other))),
        };
        if let Some((txn, status)) = existing {
            self.inner.metrics.txn_reject.inc();
            return Ok(Begun::LabelAlreadyExists { txn, status });
        }
        if state.running.len() >= MAX_RUNNING {
            self.inner.metrics.txn_reject.inc();
            return Err(CoreError::TooManyTransactions { limit: MAX_RUNNING });
        }
        let timeout = if request.timeout.is_zero() {
            DEFAULT_TIMEOUT
        } else {
            request.timeout.min(MAX_TIMEOUT)
        };
        let target = load_target(table, txn, self.inner.epoch);
        state.labels.insert((table.database, request.label.clone()), txn);
        state.running.insert(
            txn,
            Running {
                target: Arc::new(target.clone()),
                label: request.label,
                begun_ms: now_ms,
                deadline_ms: now_ms.saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
                process: request.process,
                committing: false,
            },
        );
        self.inner.metrics.txn_begin.inc();
        drop(state);
        // Whoever looked for the loads of that process before did not see this one.
        if let Some(reason) = request.process.and_then(|process| self.end_of(process)) {
            self.abort(txn, reason);
            return Err(CoreError::Aborted {
                txn,
                reason: reason.to_owned(),
            });
        }
        Ok(Begun::Target(target))
    }

    /// Why the process will not commit what it began, if that is known.
    fn end_of(&self, process: NodeProcess) -> Option<&'static str> {
        let nodes = self.nodes();
        let node = nodes.iter().find(|view| view.node.id == process.node)?;
        node.last_start_ms
            .is_some_and(|latest| latest > process.start_time_ms)
            .then_some(NODE_RESTARTED)
    }

    /// Commits a load: when this returns, it is durable and will be visible. Committing again what is committed does nothing.
    ///
    /// # Errors
    /// When the transaction is gone, its table or a partition was dropped, or the objects do not fit it: then nothing of it
    /// will ever be visible. [`CoreError::JournalFailed`] leaves open which of the two it is.
    pub async fn commit(&self, txn: TxnId, objects: Vec<DataObject>) -> Result<(), CoreError> {
        let core = self.clone();
        // A caller that goes away in the middle must not leave a transaction that is committed and never published.
        let committed = self
            .inner
            .tasks
            .spawn(async move { core.commit_to_the_end(txn, objects).await })
            .await;
        committed.unwrap_or(Err(CoreError::Stopping))
    }

    async fn commit_to_the_end(&self, txn: TxnId, objects: Vec<DataObject>) -> Result<(), CoreError> {
        let Some(running) = self.start_commit(txn)? else {
            return Ok(());
        };
        let target = &running.target;
        if let Err(why) = check_objects(target, &objects) {
            self.end_failed(txn, &why);
            return Err(CoreError::ObjectsRefused { txn, why });
        }
        let partitions: BTreeSet<PartitionId> = objects
            .iter()
            .flat_map(|object| object.writes.iter().map(|write| write.partition))
            .collect();
        let object_names: Vec<String> = objects.iter().map(|object| object.name.clone()).collect();
        let commit = Commit {
            txn,
            database: target.database,
            table: target.table,
            label: running.label.clone(),
            partitions: partitions.into_iter().collect(),
            objects: object_names.clone(),
            rows: objects.iter().map(DataObject::rows).sum(),
            committed_ms: self.now_ms(),
        };
        match self.edit(move |catalog| catalog.commit(commit)).await {
            Ok(_) => {}
            Err(refused @ CoreError::Catalog(_)) => {
                self.end_failed(txn, &refused.to_string());
                return Err(refused);
            }
            // The journal may have it: whether it is committed shows after the restart.
            Err(unknown) => return Err(unknown),
        }
        let writes = objects.into_iter().flat_map(|object| object.writes).collect();
        let pending = Pending {
            txn,
            objects: object_names,
            writes: Some(Arc::new(writes)),
        };
        self.publish_later(target.table, pending);
        self.inner.transactions.lock().remove(txn);
        Ok(())
    }

    /// Marks a running transaction as being committed; `None` when it is committed already.
    fn start_commit(&self, txn: TxnId) -> Result<Option<Running>, CoreError> {
        let mut state = self.inner.transactions.lock();
        match state.running.get_mut(&txn) {
            Some(running) if running.committing => Err(CoreError::Committing(txn)),
            Some(running) => {
                running.committing = true;
                Ok(Some(running.clone()))
            }
            None if self.catalog().transaction(txn).is_some() => Ok(None),
            None => Err(match state.reason_of_abort(txn) {
                Some(reason) => CoreError::Aborted { txn, reason },
                None => CoreError::UnknownTransaction(txn),
            }),
        }
    }

    fn end_failed(&self, txn: TxnId, reason: &str) {
        if self.inner.transactions.lock().abort(txn, reason, self.now_ms()) {
            self.inner.metrics.txn_failed.inc();
            tracing::info!(%txn, reason, "aborted a load");
        }
    }

    /// Gives a load up; nothing of it will be visible. Does nothing to one that is gone, committed or being committed.
    pub fn abort(&self, txn: TxnId, reason: &str) {
        let now_ms = self.now_ms();
        let mut state = self.inner.transactions.lock();
        let is_abortable = state.running.get(&txn).is_some_and(|running| !running.committing);
        if is_abortable && state.abort(txn, reason, now_ms) {
            self.inner.metrics.txn_failed.inc();
            tracing::info!(%txn, reason, "aborted a load");
        }
    }

    /// Gives up what a node has begun and not committed, but for the loads of the process that runs there since then; of a node that was
    /// dropped, all. What is being committed goes on. Says how many there were.
    pub(super) fn abort_loads_of(&self, node: NodeId, runs_since_ms: Option<u64>) -> usize {
        let ended: Vec<TxnId> = {
            let state = self.inner.transactions.lock();
            state
                .running
                .iter()
                .filter(|(_, running)| running.has_ended_on(node, runs_since_ms))
                .map(|(txn, _)| *txn)
                .collect()
        };
        let reason = match runs_since_ms {
            Some(_) => NODE_RESTARTED,
            None => NODE_DROPPED,
        };
        ended.iter().for_each(|txn| self.abort(*txn, reason));
        ended.len()
    }

    /// Waits until a committed transaction is visible. `false` when it is not within the time; it will be later.
    ///
    /// # Errors
    /// When it is not committed, or the core is stopped meanwhile.
    pub async fn wait_visible(&self, txn: TxnId, timeout: Duration) -> Result<bool, CoreError> {
        let mut catalogs = self.inner.writer.watch();
        if catalogs.borrow().transaction(txn).is_none() {
            return Err(CoreError::UnknownTransaction(txn));
        }
        // What is forgotten was visible.
        let visible = catalogs.wait_for(|catalog| catalog.transaction(txn).is_none_or(|txn| txn.is_visible()));
        match tokio::time::timeout(timeout, visible).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) => Err(CoreError::Stopping),
            Err(_) => Ok(false),
        }
    }

    /// Loads that run, are committed, or were aborted lately, in order of their transactions.
    #[must_use]
    pub fn loads(&self, database: Option<DatabaseId>) -> Vec<LoadView> {
        let (mut views, catalog) = {
            let state = self.inner.transactions.lock();
            let running = state
                .running
                .iter()
                .map(|(txn, running)| running.view(*txn, LoadState::Loading, None));
            let views: Vec<LoadView> = running.chain(state.aborted.iter().cloned()).collect();
            (views, self.catalog())
        };
        // A commit is in both for a moment; what the catalog says is newer.
        views.retain(|view| catalog.transaction(view.txn).is_none());
        views.extend(catalog.transactions().map(|txn| committed_view(txn)));
        views.retain(|view| database.is_none_or(|database| view.database == database));
        views.sort_by_key(|view| view.txn);
        views
    }

    async fn next_txn(&self) -> Result<TxnId, CoreError> {
        loop {
            {
                let mut state = self.inner.transactions.lock();
                if state.next < state.reserved_below {
                    state.next += 1;
                    return Ok(TxnId(state.next - 1));
                }
            }
            // An id that was given out must not be given out again after a restart, so the journal hears of it first.
            let catalog = self
                .edit(|catalog| {
                    let below = TxnId(catalog.next_txn().0.saturating_add(RESERVE));
                    Ok(vec![Edit::ReserveTransactions { below }])
                })
                .await?;
            let mut state = self.inner.transactions.lock();
            state.reserved_below = state.reserved_below.max(catalog.next_txn().0);
        }
    }
}

fn label_status(txn: &Transaction) -> LabelStatus {
    if txn.is_visible() {
        LabelStatus::Finished
    } else {
        LabelStatus::Running
    }
}

fn committed_view(txn: &Transaction) -> LoadView {
    LoadView {
        txn: txn.id,
        label: txn.label.clone(),
        database: txn.database,
        table: txn.table,
        state: match txn.status {
            TransactionStatus::Committed => LoadState::Committed,
            TransactionStatus::Visible { .. } => LoadState::Finished,
        },
        begun_ms: None,
        ended_ms: Some(txn.committed_ms),
        rows: Some(txn.rows),
    }
}

fn load_target(table: &Table, txn: TxnId, epoch: Epoch) -> LoadTarget {
    LoadTarget {
        txn,
        epoch,
        database: table.database,
        table: table.id,
        table_name: table.name.clone(),
        schema: Arc::clone(&table.schema),
        partitions: table
            .partitions
            .iter()
            .map(|partition| TargetPartition {
                id: partition.id,
                name: partition.name.clone(),
                range: partition.range.clone(),
                tablets: partition.tablets.clone(),
            })
            .collect(),
    }
}

/// Whether what a writer reports can be what this transaction wrote: after a restart only names are left, so everything must
/// follow from them.
fn check_objects(target: &LoadTarget, objects: &[DataObject]) -> Result<(), String> {
    let tablets: HashMap<TabletId, PartitionId> = target
        .partitions
        .iter()
        .flat_map(|partition| partition.tablets.iter().map(|tablet| (*tablet, partition.id)))
        .collect();
    let mut seen = BTreeSet::new();
    for object in objects {
        let name = &object.name;
        let parsed = DataObjectName::parse(name).ok_or_else(|| format!("{name:?} is not a name of a data object"))?;
        if (parsed.table, parsed.txn, parsed.epoch) != (target.table, target.txn, target.epoch) {
            return Err(format!("{name} is of another table, transaction or epoch"));
        }
        if !seen.insert(name) {
            return Err(format!("{name} is there twice"));
        }
        for write in &object.writes {
            let segment = &write.segment;
            if tablets.get(&write.tablet) != Some(&write.partition) {
                return Err(format!(
                    "{name} has rows of tablet {}, which is not the table's",
                    write.tablet
                ));
            }
            let end = segment.offset.checked_add(segment.length);
            if segment.object != *name || end.is_none_or(|end| end > object.size) {
                return Err(format!("{name} has a segment that is not within it"));
            }
        }
    }
    Ok(())
}

/// Aborts loads whose time is over, and forgets old labels, again and again.
pub(super) async fn keep_house(core: Core) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now_ms = core.now_ms();
        let late: Vec<TxnId> = {
            let state = core.inner.transactions.lock();
            let over = |running: &Running| !running.committing && running.deadline_ms <= now_ms;
            state
                .running
                .iter()
                .filter(|(_, running)| over(running))
                .map(|(txn, _)| *txn)
                .collect()
        };
        for txn in late {
            core.abort(txn, "timeout: the load was not committed in time");
        }
        if core.catalog().forgettable(now_ms).is_empty() {
            continue;
        }
        let forgotten = core
            .edit(move |catalog| match catalog.forgettable(now_ms) {
                txns if txns.is_empty() => Ok(Vec::new()),
                txns => Ok(vec![Edit::ForgetTransactions { txns }]),
            })
            .await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "cannot forget old labels");
        }
    }
}
