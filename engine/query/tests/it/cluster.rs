//! A small cluster in this process: workers with runtimes of their own, a coordinator, tables written by `TabletWriter`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::DataType as ArrowType, util::pretty::pretty_format_batches},
    datasource::MemTable,
    sql::sqlparser::{ast::Statement, dialect::MySqlDialect, parser::Parser},
};
use futures::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory};
use springtide_model::{
    Column, DataObject, DataType, DatabaseId, Distribution, Epoch, LoadTarget, PartitionId, PartitionMetadata,
    PartitionRange, TableId, TableSchema, TabletId, TabletMetadata, TargetPartition, TxnId, Version,
};
use springtide_query::{
    Coordinator, CoordinatorOptions, QueryError, QuerySession, SessionRequest, SessionSettings, SnapshotPartition,
    SourceTable, TableSnapshot, TableSource, WorkerOptions, WorkerService, WorkerToken,
};
use springtide_tablet::{TabletWriter, WriterOptions, arrow_schema, cast_batch, model_type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use url::Url;

pub(crate) const DATABASE: &str = "tpch";
pub(crate) const TOKEN: &str = "Bearer the-token-of-this-test";

/// What a [`Gate`] does to the first connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum First {
    /// Closes it as soon as something is said.
    Breaks,
    /// Keeps it, and says nothing.
    Hangs,
}

/// Stands before a worker and passes on all connections but the first, which is the coordinator's: it is there before any
/// worker knows of the statement.
pub(crate) struct Gate {
    pub(crate) url: Url,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    pub(crate) async fn before(worker: &Url, first: First) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let behind = format!("{}:{}", worker.host_str().unwrap(), worker.port().unwrap());
        let task = tokio::spawn(async move {
            let (mut held, _) = listener.accept().await.unwrap();
            match first {
                First::Breaks => {
                    held.readable().await.unwrap();
                    drop(held);
                }
                First::Hangs => {
                    tokio::spawn(async move {
                        // Until the other side gives it up, in whatever way.
                        let _ended = tokio::io::copy(&mut held, &mut tokio::io::sink()).await;
                    });
                }
            }
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = TcpStream::connect(&behind).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
            }
        });
        Self { url, task }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A worker that can be killed: its connections live on a runtime of its own.
pub(crate) struct TestWorker {
    pub(crate) url: Url,
    pub(crate) service: Arc<WorkerService>,
    network: Option<Runtime>,
}

impl TestWorker {
    pub(crate) fn start(store: &Arc<dyn ObjectStore>, change: impl FnOnce(&mut WorkerOptions)) -> Self {
        let mut options = WorkerOptions::new(token(TOKEN));
        options.local_files = true;
        options.shutdown_timeout = Duration::from_secs(1);
        change(&mut options);
        let service = Arc::new(WorkerService::new(Arc::clone(store), options).unwrap());
        let network = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serving = Arc::clone(&service);
        network.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serving.serve(listener, std::future::pending()).await.unwrap();
        });
        Self {
            url,
            service,
            network: Some(network),
        }
    }

    /// As SIGKILL does: connections break, nothing is answered.
    pub(crate) fn kill(&mut self) {
        if let Some(network) = self.network.take() {
            network.shutdown_background();
        }
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn token(header: &str) -> WorkerToken {
    WorkerToken::new(header).unwrap()
}

#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<HashMap<String, SourceTable>>);

impl TableSource for Tables {
    fn databases(&self) -> Vec<String> {
        vec![DATABASE.to_owned()]
    }

    fn tables(&self, database: &str) -> Option<Vec<String>> {
        (database == DATABASE).then(|| self.0.lock().unwrap().keys().cloned().collect())
    }

    fn table(&self, database: &str, name: &str) -> Option<SourceTable> {
        (database == DATABASE)
            .then(|| self.0.lock().unwrap().get(name).cloned())
            .flatten()
    }
}

pub(crate) struct Cluster {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) workers: Vec<TestWorker>,
    pub(crate) coordinator: Coordinator,
    pub(crate) tables: Arc<Tables>,
    next_id: Mutex<u64>,
}

impl Cluster {
    pub(crate) fn start(workers: usize) -> Self {
        Self::start_with(workers, |_| {})
    }

    pub(crate) fn start_with(workers: usize, change: impl Fn(&mut WorkerOptions)) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self {
            workers: (0..workers).map(|_| TestWorker::start(&store, &change)).collect(),
            coordinator: Self::coordinator(&store, TOKEN),
            tables: Arc::default(),
            next_id: Mutex::new(100),
            store,
        }
    }

    pub(crate) fn coordinator(store: &Arc<dyn ObjectStore>, header: &str) -> Coordinator {
        let mut options = CoordinatorOptions::new(token(header));
        options.local_files = true;
        Coordinator::new(Arc::clone(store), options).unwrap()
    }

    pub(crate) fn urls(&self) -> Vec<Url> {
        self.workers.iter().map(|worker| worker.url.clone()).collect()
    }

    pub(crate) fn request(&self) -> SessionRequest {
        SessionRequest {
            workers: self.urls(),
            source: Arc::clone(&self.tables) as Arc<dyn TableSource>,
            default_database: Some(DATABASE.to_owned()),
            settings: SessionSettings::default(),
            functions: Vec::new(),
        }
    }

    pub(crate) fn session(&self) -> QuerySession {
        self.coordinator.session(self.request()).unwrap()
    }

    pub(crate) async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        run(&self.session(), sql).await
    }

    /// Rows as text, sorted, for results without order.
    pub(crate) async fn sorted(&self, sql: &str) -> Vec<String> {
        sorted_rows(&self.query(sql).await.unwrap())
    }

    fn id(&self) -> u64 {
        let mut next = self.next_id.lock().unwrap();
        *next += 1;
        *next
    }

    /// A target with fresh ids for a table of `schema` with partitions of these names and ranges.
    pub(crate) fn target(
        &self,
        name: &str,
        schema: &Arc<TableSchema>,
        partitions: Vec<(&str, Option<PartitionRange>)>,
    ) -> LoadTarget {
        LoadTarget {
            txn: TxnId(self.id()),
            epoch: Epoch(1),
            database: DatabaseId(1),
            table: TableId(self.id()),
            table_name: name.to_owned(),
            schema: Arc::clone(schema),
            partitions: partitions
                .into_iter()
                .map(|(name, range)| TargetPartition {
                    id: PartitionId(self.id()),
                    name: name.to_owned(),
                    range,
                    tablets: (0..schema.distribution.buckets).map(|_| TabletId(self.id())).collect(),
                })
                .collect(),
        }
    }

    /// Makes the objects visible as the table of `target`: what commit and publish do.
    pub(crate) fn publish(&self, target: &LoadTarget, objects: &[DataObject]) {
        let snapshot = snapshot(target, objects);
        self.tables
            .0
            .lock()
            .unwrap()
            .insert(target.table_name.clone(), SourceTable::Lake(snapshot));
    }

    pub(crate) fn publish_memory(&self, name: &str, batches: Vec<RecordBatch>) {
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        self.tables
            .0
            .lock()
            .unwrap()
            .insert(name.to_owned(), SourceTable::Memory(Arc::new(table)));
    }

    pub(crate) async fn load(&self, target: &LoadTarget, batches: &[RecordBatch]) -> Vec<DataObject> {
        let mut writer = TabletWriter::new(target, Arc::clone(&self.store), WriterOptions::default()).unwrap();
        for batch in batches {
            writer.write(batch.clone()).await.unwrap();
        }
        let objects = writer.finish().await.unwrap();
        self.publish(target, &objects);
        objects
    }

    pub(crate) fn scanned_rows(&self) -> Vec<u64> {
        self.workers
            .iter()
            .map(|worker| worker.service.metrics().scanned_rows)
            .collect()
    }
}

fn snapshot(target: &LoadTarget, objects: &[DataObject]) -> TableSnapshot {
    let partitions = target.partitions.iter().map(|partition| {
        let tablets = partition.tablets.iter().map(|tablet| TabletMetadata {
            tablet: *tablet,
            segments: objects
                .iter()
                .flat_map(|object| &object.writes)
                .filter(|write| write.tablet == *tablet)
                .map(|write| write.segment.clone())
                .collect(),
        });
        SnapshotPartition {
            id: partition.id,
            name: partition.name.clone(),
            range: partition.range.clone(),
            metadata: Arc::new(PartitionMetadata {
                partition: partition.id,
                version: Version(2),
                epoch: target.epoch,
                tablets: tablets.collect(),
            }),
        }
    });
    TableSnapshot {
        database: DATABASE.to_owned(),
        name: target.table_name.clone(),
        schema: Arc::clone(&target.schema),
        partitions: partitions.collect(),
    }
}

pub(crate) async fn run(session: &QuerySession, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let plan = session.plan(parse(sql)).await?;
    session.execute_stream(&plan).await?.try_collect().await
}

pub(crate) fn parse(sql: &str) -> Statement {
    Parser::parse_sql(&MySqlDialect {}, sql).unwrap().remove(0)
}

pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    text.lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

pub(crate) fn sorted_rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = rows(batches);
    rows.sort();
    rows
}

/// A table with the columns of `batch`, hashed by the first.
pub(crate) fn schema_of(batch: &RecordBatch, buckets: u32) -> Arc<TableSchema> {
    let columns = batch.schema_ref().fields().iter().map(|field| Column {
        name: field.name().clone(),
        data_type: match field.data_type() {
            ArrowType::Date32 => DataType::Date,
            other => model_type(other).unwrap(),
        },
        nullable: false,
        default: None,
        comment: String::new(),
    });
    Arc::new(TableSchema {
        schema_id: 0,
        columns: columns.collect(),
        key_columns: 1,
        partition_column: None,
        distribution: Distribution {
            columns: vec![0],
            buckets,
        },
    })
}

/// The same rows as a table in memory with the table's types, for the answers that must be right.
pub(crate) fn memory_table(schema: &TableSchema, batches: &[RecordBatch]) -> MemTable {
    let batches: Vec<RecordBatch> = batches.iter().map(|batch| cast_batch(batch, schema).unwrap()).collect();
    MemTable::try_new(arrow_schema(schema), vec![batches]).unwrap()
}
