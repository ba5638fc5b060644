//! Every statement into a table: `starrocks_audit_db__.starrocks_audit_tbl__`, in StarRocks' basic columns, one partition a
//! day. Records wait in a bounded queue and are written in batches by the same way as every insert; a statement never waits
//! for the audit, and what the queue cannot hold is counted.
//!
//! What never happens here: a record of the audit's own writes; a password; a statement held up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use springtide_catalog::NewRange;
use springtide_model::{DEFAULT_WAREHOUSE, Literal, PartitionBound, PartitionRange};
use springtide_mysql::MysqlError;
use springtide_sql::Statement;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Shared, client_ip, connection::query_type, errors::from_core, insert, query::Figures, session::Session,
    statements::new_table,
};
use crate::core::NodeView;

/// Database of the audit table.
pub const AUDIT_DATABASE: &str = "starrocks_audit_db__";
/// The audit table.
pub const AUDIT_TABLE: &str = "starrocks_audit_tbl__";

/// Records that wait for their write; more are dropped and counted.
const QUEUE: usize = 10_000;
/// Records of one write.
const BATCH: usize = 2000;
/// A batch is written when it is full, and at the latest this long after its first record.
const INTERVAL: Duration = Duration::from_secs(5);
/// Wait after a write that failed: no compute node at night, for example.
const RETRY: Duration = Duration::from_secs(10);
/// Bytes of a statement that are kept.
const MAX_STATEMENT_BYTES: usize = 64 * 1024;
const DAY_MS: u64 = 86_400_000;

const CREATE_TABLE: &str = include_str!("audit/table.sql");

/// Counters of the audit.
#[derive(Debug, Default)]
pub struct AuditMetrics {
    /// Records that are in the table.
    pub written: AtomicU64,
    /// Records that the queue could not hold.
    pub dropped: AtomicU64,
    /// Writes that failed and were tried again.
    pub failed_writes: AtomicU64,
}

/// StarRocks' `queryType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryType {
    Query,
    Dml,
    Ddl,
    Other,
}

impl QueryType {
    fn as_str(self) -> &'static str {
        match self {
            QueryType::Query => "Query",
            QueryType::Dml => "DML",
            QueryType::Ddl => "DDL",
            QueryType::Other => "Other",
        }
    }
}

/// What is kept of one statement.
#[derive(Clone, Debug)]
pub(crate) struct AuditRecord {
    query_id: Uuid,
    begun_ms: u64,
    query_type: QueryType,
    client_ip: String,
    user: String,
    database: String,
    warehouse: String,
    statement_number: u64,
    statement: String,
    /// Whether it is worth a record: see [`AuditRecord::begin`].
    is_kept: bool,
    state: &'static str,
    error_code: String,
    millis: u64,
    figures: Figures,
}

impl AuditRecord {
    /// `statement` is `None` for a text that is none; `shown` has no secrets. What the operator asks to watch the cluster is
    /// not kept: an idle cluster would never stop writing.
    pub(super) fn begin(
        shared: &Shared,
        session: &Session,
        query_id: Uuid,
        number: u64,
        statement: Option<&Statement>,
        shown: String,
    ) -> Self {
        let is_watch =
            session.account.is_operator && matches!(statement, Some(Statement::Show(_) | Statement::Query(_)));
        let mut shown = shown;
        let mut end = shown.len().min(MAX_STATEMENT_BYTES);
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        shown.truncate(end);
        Self {
            query_id,
            begun_ms: shared.core.now_ms(),
            query_type: query_type(statement),
            client_ip: client_ip(session.peer),
            user: session.account.name.clone(),
            database: session.database.clone().unwrap_or_default(),
            warehouse: session.warehouse.clone(),
            statement_number: number,
            statement: shown,
            is_kept: !is_watch,
            state: "OK",
            error_code: String::new(),
            millis: 0,
            figures: Figures::default(),
        }
    }

    pub(super) fn end(&mut self, took: Duration, result: &Result<Figures, MysqlError>) {
        self.millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(figures) => {
                self.state = if self.query_type == QueryType::Query {
                    "EOF"
                } else {
                    "OK"
                };
                self.figures = *figures;
            }
            Err(error) => {
                self.state = "ERR";
                self.error_code = error.code.to_string();
            }
        }
    }
}

/// Where connections put their records.
#[derive(Debug)]
pub(crate) struct AuditSender {
    queue: Option<mpsc::Sender<AuditRecord>>,
    metrics: Arc<AuditMetrics>,
}

impl AuditSender {
    /// Never waits.
    pub(super) fn send(&self, record: AuditRecord) {
        let Some(queue) = self.queue.as_ref().filter(|_| record.is_kept) else {
            return;
        };
        if queue.try_send(record).is_err() {
            self.metrics.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn metrics(&self) -> &AuditMetrics {
        &self.metrics
    }
}

pub(super) fn channel(enabled: bool) -> (AuditSender, AuditWriter) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let metrics = Arc::new(AuditMetrics::default());
    let sender = AuditSender {
        queue: enabled.then_some(sender),
        metrics: Arc::clone(&metrics),
    };
    let writer = AuditWriter {
        queue: receiver,
        metrics,
        newest_day: 0,
    };
    (sender, writer)
}

/// Takes records from the queue and writes them.
#[derive(Debug)]
pub(super) struct AuditWriter {
    queue: mpsc::Receiver<AuditRecord>,
    metrics: Arc<AuditMetrics>,
    /// The newest day that is known to have a partition, in days since 1970.
    newest_day: u64,
}

impl AuditWriter {
    pub(super) async fn run(mut self, shared: Arc<Shared>, shutdown: CancellationToken) {
        let mut batch = Vec::new();
        let mut due = tokio::time::interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_before = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                received = self.queue.recv_many(&mut batch, BATCH), if batch.len() < BATCH => {
                    if received == 0 {
                        break;
                    }
                    if batch.len() < BATCH {
                        continue;
                    }
                }
                _ = due.tick() => {}
            }
            if batch.is_empty() || Instant::now() < not_before {
                continue;
            }
            match self.write(&shared, &batch).await {
                Ok(()) => {
                    self.metrics.written.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    batch.clear();
                }
                Err(error) => {
                    self.metrics.failed_writes.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, records = batch.len(), "the audit could not be written yet");
                    not_before = Instant::now() + RETRY;
                }
            }
        }
        self.finish(&shared, batch).await;
    }

    /// What was not written at the end is counted; one last try is worth it where nodes are still there.
    async fn finish(&mut self, shared: &Shared, mut batch: Vec<AuditRecord>) {
        while let Ok(record) = self.queue.try_recv() {
            batch.push(record);
        }
        if batch.is_empty() {
            return;
        }
        let last = tokio::time::timeout(INTERVAL, self.write(shared, &batch)).await;
        if !matches!(last, Ok(Ok(()))) {
            self.metrics.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }

    async fn write(&mut self, shared: &Shared, batch: &[AuditRecord]) -> Result<(), MysqlError> {
        let Some(warehouse) = serving_warehouse(shared) else {
            return Err(super::query::no_workers(&shared.core, DEFAULT_WAREHOUSE));
        };
        for day in days(batch) {
            self.ensure_day(shared, day).await?;
        }
        let rows = rows(&shared.options.advertised_host, batch)
            .map_err(|error| super::errors::Kind::Internal.error(error.to_string()))?;
        let catalog = shared.core.catalog();
        let table = catalog
            .resolve_table(AUDIT_DATABASE, AUDIT_TABLE)
            .map_err(|error| super::errors::from_catalog(&error))?;
        let rows = springtide_tablet::cast_batch(&rows, &table.schema)
            .map_err(|error| super::errors::Kind::Internal.error(error.to_string()))?;
        let label = format!("audit_{}", Uuid::now_v7());
        insert::write_rows(shared, &warehouse, AUDIT_DATABASE, AUDIT_TABLE, &label, &rows).await
    }

    /// Makes the table and the partition of `day` where they are not there.
    async fn ensure_day(&mut self, shared: &Shared, day: u64) -> Result<(), MysqlError> {
        let core = &shared.core;
        let now = core.now_ms();
        let exists = core.catalog().resolve_table(AUDIT_DATABASE, AUDIT_TABLE).is_ok();
        if exists && day == self.newest_day {
            return Ok(());
        }
        let (name, range) = day_partition(day);
        if !exists {
            core.edit(move |catalog| catalog.create_database(AUDIT_DATABASE, true, now))
                .await
                .map_err(|error| from_core(&error))?;
            let mut new = audit_table()?;
            new.partitions = vec![springtide_catalog::NewPartition {
                name: name.clone(),
                range: NewRange::Fixed(range.clone()),
            }];
            core.edit(move |catalog| catalog.create_table(&new, true, now))
                .await
                .map_err(|error| from_core(&error))?;
        }
        let partition = springtide_catalog::NewPartition {
            name,
            range: NewRange::Fixed(range),
        };
        core.edit(move |catalog| catalog.add_partition(AUDIT_DATABASE, AUDIT_TABLE, &partition, true, now))
            .await
            .map_err(|error| from_core(&error))?;
        self.newest_day = self.newest_day.max(day);
        Ok(())
    }
}

/// A warehouse with a node that takes rows, the default one before the others.
fn serving_warehouse(shared: &Shared) -> Option<String> {
    let (catalog, nodes) = (shared.core.catalog(), shared.core.nodes());
    let serves = |warehouse: &String| {
        let mut of_warehouse = nodes.iter().filter(|view| view.node.warehouse == *warehouse);
        of_warehouse.any(NodeView::takes_loads)
    };
    std::iter::once(DEFAULT_WAREHOUSE.to_owned())
        .chain(catalog.warehouses())
        .find(serves)
}

fn days(batch: &[AuditRecord]) -> std::collections::BTreeSet<u64> {
    batch.iter().map(|record| record.begun_ms / DAY_MS).collect()
}

fn day_text(day: u64) -> String {
    let ms = i64::try_from(day * DAY_MS).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp_millis(ms).map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string())
}

/// `p20260131` from midnight to midnight, UTC.
fn day_partition(day: u64) -> (String, PartitionRange) {
    let bound = |day| PartitionBound::Value(Literal::Text(format!("{} 00:00:00", day_text(day))));
    let range = PartitionRange {
        lower: bound(day),
        upper: bound(day + 1),
    };
    (format!("p{}", day_text(day).replace('-', "")), range)
}

fn audit_table() -> Result<springtide_catalog::NewTable, MysqlError> {
    let parsed = springtide_sql::parse(CREATE_TABLE).map_err(|error| super::errors::from_sql(&error))?;
    match parsed.into_iter().next().map(|parsed| parsed.statement) {
        Some(Statement::CreateTable(table)) => new_table(AUDIT_DATABASE, table).map(|(table, _)| table),
        _ => Err(super::errors::Kind::Internal.error("the audit table's definition is no CREATE TABLE")),
    }
}

/// The records as rows, in the order of the table's columns.
fn rows(host: &str, batch: &[AuditRecord]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |get: &dyn Fn(&AuditRecord) -> String| -> ArrayRef {
        Arc::new(
            batch
                .iter()
                .map(|record| Some(get(record)))
                .collect::<StringViewArray>(),
        )
    };
    let number = |get: &dyn Fn(&AuditRecord) -> u64| -> ArrayRef {
        Arc::new(
            batch
                .iter()
                .map(|record| i64::try_from(get(record)).ok())
                .collect::<Int64Array>(),
        )
    };
    let zero = || -> ArrayRef { Arc::new(Float64Array::from(vec![0.0; batch.len()])) };
    let empty = || text(&|_| String::new());
    let time: TimestampMicrosecondArray = batch
        .iter()
        .map(|record| i64::try_from(record.begun_ms).ok().map(|ms| ms * 1000))
        .collect();
    let numbers: Int32Array = batch
        .iter()
        .map(|record| i32::try_from(record.statement_number).ok())
        .collect();
    let is_query = |record: &AuditRecord| u64::from(record.query_type == QueryType::Query);
    RecordBatch::try_from_iter_with_nullable([
        ("queryId", text(&|record| record.query_id.to_string()), true),
        ("timestamp", Arc::new(time) as ArrayRef, true),
        ("queryType", text(&|record| record.query_type.as_str().to_owned()), true),
        ("clientIp", text(&|record| record.client_ip.clone()), true),
        ("user", text(&|record| record.user.clone()), true),
        ("authorizedUser", text(&|record| format!("'{}'@'%'", record.user)), true),
        ("resourceGroup", empty(), true),
        ("catalog", text(&|_| "default_catalog".to_owned()), true),
        ("db", text(&|record| record.database.clone()), true),
        ("state", text(&|record| record.state.to_owned()), true),
        ("errorCode", text(&|record| record.error_code.clone()), true),
        ("queryTime", number(&|record| record.millis), true),
        ("scanBytes", number(&|_| 0), true),
        ("scanRows", number(&|record| record.figures.scan_rows), true),
        ("returnRows", number(&|record| record.figures.returned_rows), true),
        ("cpuCostNs", number(&|_| 0), true),
        ("memCostBytes", number(&|_| 0), true),
        ("stmtId", Arc::new(numbers) as ArrayRef, true),
        ("isQuery", number(&is_query), true),
        ("feIp", text(&|_| host.to_owned()), true),
        ("stmt", text(&|record| record.statement.clone()), true),
        ("digest", empty(), true),
        ("planCpuCosts", zero(), true),
        ("planMemCosts", zero(), true),
        ("pendingTimeMs", number(&|_| 0), true),
        ("candidateMvs", empty(), true),
        ("hitMVs", empty(), true),
        ("warehouse", text(&|record| record.warehouse.clone()), true),
    ])
}

#[cfg(test)]
mod tests;
