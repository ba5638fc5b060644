//! The frontend's side: plans statements and runs them on workers.

use std::{
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::DataFusionError,
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        object_store::ObjectStoreUrl,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::{LogicalPlan, ScalarUDF},
    physical_plan::{ExecutionPlan, execute_stream},
    prelude::SessionConfig,
    sql::{parser::Statement as ParsedStatement, sqlparser::ast::Statement},
};
use datafusion_distributed::{DistributedExt, SessionStateBuilderExt, display_plan_ascii};
use futures::{Stream, StreamExt};
use object_store::ObjectStore;

use springtide_model::{DataObject, LoadTarget, TableSchema};
use springtide_tablet::{SegmentReaderOptions, WriterOptions, original_name};
use url::Url;

use crate::{
    catalog::{DEFAULT_CATALOG, SessionCatalog},
    channel::{ChannelOptions, Channels, Resolver, WorkerToken},
    codec::LakeCodec,
    delivery::{Delivery, WatchedRows},
    error::QueryError,
    files::{self, ExternalStores},
    placement::{FixedWorkers, desired_tasks, route, scale_up},
    resources::NodeResources,
    session::{
        arithmetic::MySqlDivision,
        physical::{keep_off_frontend, needs_workers},
        text::MySqlText,
    },
    sink::{SinkPlanner, TaskOutcome},
    snapshot::{SourceTable, TableSource},
    statement::{FILES_DATABASE, NamedTable, PreparedStatement, prepare},
    table::{LakeTable, SEGMENTS_URL},
    turns::take_turns,
};

mod arithmetic;
mod insert;
pub(crate) mod physical;
#[cfg(test)]
mod tests;
mod text;

/// Consumers of memory that an out-of-memory error names.
pub(crate) const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");
/// With one partition the planner sees no reason to repartition, hence makes no stages, and the frontend would do it all.
const LEAST_PARTITIONS: usize = 2;

/// Local disk for rows that outgrow the memory of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillSpace {
    /// A folder of this process alone.
    pub folder: PathBuf,
    /// Bytes that all queries together may have there; one that needs more fails.
    pub limit_bytes: u64,
}

/// Bounds of a frontend's part in queries.
#[derive(Clone, Debug)]
pub struct CoordinatorOptions {
    /// Shown to workers at each call.
    pub token: WorkerToken,
    /// Bytes that queries may use in this process; work on tables is done by workers, this is for final merges. Nothing spills.
    pub memory_limit_bytes: usize,
    /// Partitions per worker: its processor cores. At least 2 is used.
    pub partitions_per_worker: usize,
    /// Whether `FILES` may read this machine's disk: only `standalone` may.
    pub local_files: bool,
    /// Connections to workers.
    pub channels: ChannelOptions,
}

impl CoordinatorOptions {
    /// Defaults: 1 GiB, 2 partitions per worker, no local files.
    #[must_use]
    pub fn new(token: WorkerToken) -> Self {
        Self {
            token,
            memory_limit_bytes: 1 << 30,
            partitions_per_worker: LEAST_PARTITIONS,
            local_files: false,
            channels: ChannelOptions::default(),
        }
    }
}

/// Plans and runs statements. One per frontend; cheap to clone.
#[derive(Clone, Debug)]
pub struct Coordinator {
    runtime: Arc<RuntimeEnv>,
    resources: Arc<NodeResources>,
    channels: Arc<Channels>,
    partitions_per_worker: usize,
}

/// What a statement runs with.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// The compute nodes that may be used, as `http://host:worker_port`: a snapshot, fixed for the session.
    pub workers: Vec<Url>,
    /// The catalog.
    pub source: Arc<dyn TableSource>,
    /// Database of names without one.
    pub default_database: Option<String>,
    /// Session variables that matter for planning.
    pub settings: SessionSettings,
    /// Functions of the frontend (`database()`, `version()`, …). They are not known to workers: they must fold to
    /// constants while planning (volatility immutable or stable, no columns as arguments).
    pub functions: Vec<Arc<ScalarUDF>>,
}

/// Session variables that matter for planning.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// Time zone of `now()` and the like, as `Asia/Tokyo` or `+08:00`; UTC when `None`.
    pub time_zone: Option<String>,
    /// Partitions per worker for this session.
    pub partitions_per_worker: Option<usize>,
    /// Joins sort both sides, which goes to disk where memory ends, instead of holding one side in memory: slower, for a statement
    /// that does not fit otherwise.
    pub frugal: bool,
}

/// Plans and runs statements of one session state. Make one per statement: it sees the catalog and the workers as they
/// were when it was made.
pub struct QuerySession {
    request: SessionRequest,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    catalog: SessionCatalog,
    state: SessionState,
    delivery: Delivery,
    files: AtomicUsize,
}

impl fmt::Debug for QuerySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuerySession")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A statement that makes sense.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// DataFusion's plan, not yet optimised.
    pub logical: LogicalPlan,
    /// Names of the result's columns for the client: aliases and names in the spelling of the statement or the table.
    pub column_names: Vec<String>,
}

impl QueryPlan {
    /// Types of the result's columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::new(self.logical.schema().as_arrow().clone())
    }
}

/// Rows collected in the frontend.
#[derive(Debug)]
pub enum Collected {
    /// All of them.
    All(Vec<RecordBatch>),
    /// There are more than were asked for; none are given.
    TooMany,
}

/// What an insert wrote; nothing of it is visible before the commit.
#[derive(Clone, Debug, Default)]
pub struct InsertOutcome {
    /// Objects of all tasks.
    pub objects: Vec<DataObject>,
    /// Rows of all tasks.
    pub rows: u64,
}

/// Result rows. Dropping it cancels the statement on all workers.
pub struct QueryStream {
    schema: SchemaRef,
    rows: WatchedRows,
}

impl QueryStream {
    /// Types of the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryStream")
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(context).map_err(QueryError::from)
    }
}

impl Coordinator {
    /// `store` is rooted at the cluster's data prefix.
    ///
    /// # Errors
    /// When the spill folder cannot be used.
    pub fn new(store: Arc<dyn ObjectStore>, options: CoordinatorOptions) -> Result<Self, QueryError> {
        let runtime = runtime_env(&store, options.memory_limit_bytes, None)?;
        let resources = NodeResources::new(
            store,
            &SegmentReaderOptions::default(),
            WriterOptions::default(),
            ExternalStores::new(options.local_files),
        );
        Ok(Self {
            runtime,
            resources: Arc::new(resources),
            channels: Arc::new(Channels::new(options.token, options.channels, None)),
            partitions_per_worker: options.partitions_per_worker,
        })
    }

    /// A session over a snapshot of workers and catalog.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a setting that DataFusion does not take.
    pub fn session(&self, request: SessionRequest) -> Result<QuerySession, QueryError> {
        let partitions = request
            .settings
            .partitions_per_worker
            .unwrap_or(self.partitions_per_worker)
            .max(LEAST_PARTITIONS);
        let default_database = request.default_database.as_deref().unwrap_or_default().to_lowercase();
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(DEFAULT_CATALOG, default_database)
            .with_extension(Arc::clone(&self.resources));
        // `0.1` is a decimal in SQL: sums of prices are exact.
        config.options_mut().sql_parser.parse_float_as_decimal = true;
        config.options_mut().optimizer.prefer_hash_join = !request.settings.frugal;
        if let Some(zone) = &request.settings.time_zone {
            config.options_mut().execution.time_zone = Some(zone.clone());
        }
        let delivery = Delivery::default();
        if !request.workers.is_empty() {
            config = config
                .with_distributed_worker_resolver(FixedWorkers::new(request.workers.clone()))
                .with_distributed_channel_resolver(Resolver::new(Arc::clone(&self.channels), delivery.clone()))
                .with_distributed_user_codec(LakeCodec)
                .with_distributed_desired_task_count_handler(desired_tasks)
                .with_distributed_scale_up_leaf_node_handler(scale_up)
                .with_distributed_route_tasks_handler(route);
        }
        let catalog = SessionCatalog::default();
        let state = build_state(&request, &config, &self.runtime, &catalog, None);
        Ok(QuerySession {
            delivery,
            request,
            config,
            runtime: Arc::clone(&self.runtime),
            catalog,
            state,
            files: AtomicUsize::new(0),
        })
    }

    /// Counters of this process's own scans.
    #[must_use]
    pub fn resources(&self) -> &NodeResources {
        &self.resources
    }
}

/// A runtime with a bounded memory pool that names who holds what when it is spent. Without `spill` nothing goes to disk: a
/// frontend has none to give.
pub(crate) fn runtime_env(
    store: &Arc<dyn ObjectStore>,
    memory: usize,
    spill: Option<SpillSpace>,
) -> Result<Arc<RuntimeEnv>, QueryError> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory), NAMED_CONSUMERS);
    let mut builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool));
    builder = match spill {
        Some(SpillSpace { folder, limit_bytes }) => builder
            .with_temp_file_path(folder)
            .with_max_temp_directory_size(limit_bytes),
        None => builder.with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled)),
    };
    let runtime = builder.build_arc()?;
    runtime.register_object_store(ObjectStoreUrl::parse(SEGMENTS_URL)?.as_ref(), Arc::clone(store));
    Ok(runtime)
}

fn build_state(
    request: &SessionRequest,
    config: &SessionConfig,
    runtime: &Arc<RuntimeEnv>,
    catalog: &SessionCatalog,
    target: Option<Arc<LoadTarget>>,
) -> SessionState {
    let mut builder = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config.clone())
        .with_runtime_env(Arc::clone(runtime))
        .with_catalog_list(Arc::new(catalog.clone()))
        .with_analyzer_rule(Arc::new(MySqlText));
    builder
        .scalar_functions()
        .get_or_insert_default()
        .extend(request.functions.iter().cloned());
    let planners = builder.expr_planners().get_or_insert_default();
    planners.insert(0, Arc::new(MySqlDivision));
    if let Some(target) = target {
        builder = builder.with_query_planner(Arc::new(SinkPlanner { target }));
    }
    if !request.workers.is_empty() {
        builder = builder.with_distributed_planner();
    }
    let mut state = builder.build();
    // The time of `now()`: one for the statement. Without it DataFusion cannot say what time it is.
    state.mark_start_execution();
    state
}

impl QuerySession {
    /// Plans a query (`SELECT`, `WITH`, `VALUES`, set operations).
    ///
    /// # Errors
    /// See [`QueryError`]: unknown names, wrong types, `FILES` that cannot be read.
    pub async fn plan(&self, statement: Statement) -> Result<QueryPlan, QueryError> {
        let prepared = prepare(statement, self.files.load(Ordering::Relaxed))?;
        self.files.fetch_add(prepared.files.len(), Ordering::Relaxed);
        for named in &prepared.tables {
            self.resolve(named)?;
        }
        for (name, arguments) in &prepared.files {
            let table = files::open(arguments, &self.state).await?;
            self.catalog.insert(FILES_DATABASE, name, table);
        }
        let PreparedStatement { statement, .. } = &prepared;
        let parsed = ParsedStatement::Statement(Box::new(statement.clone()));
        let logical = self.state.statement_to_plan(parsed).await?;
        let planned: Vec<String> = logical
            .schema()
            .fields()
            .iter()
            .map(|field| original_name(field).to_owned())
            .collect();
        Ok(QueryPlan {
            column_names: prepared.column_names(&planned),
            logical,
        })
    }

    fn resolve(&self, named: &NamedTable) -> Result<(), QueryError> {
        let Some(database) = named.database.as_ref().or(self.request.default_database.as_ref()) else {
            return Err(QueryError::NoDatabase);
        };
        if self.catalog.contains(database, &named.table) {
            return Ok(());
        }
        let source = &self.request.source;
        let Some(table) = source.table(database, &named.table) else {
            return Err(if source.tables(database).is_none() {
                QueryError::UnknownDatabase {
                    database: database.clone(),
                }
            } else {
                QueryError::UnknownTable {
                    database: database.clone(),
                    table: named.table.clone(),
                }
            });
        };
        let provider = match table {
            SourceTable::Lake(snapshot) => Arc::new(LakeTable::new(snapshot)),
            SourceTable::Memory(provider) => provider,
        };
        self.catalog.insert(database, &named.table, provider);
        Ok(())
    }

    /// How the plan would run: stages, tasks, and who scans what. Shows no credentials.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn explain(&self, plan: &QueryPlan) -> Result<String, QueryError> {
        let physical = self.physical(&self.state, plan).await?;
        Ok(display_plan_ascii(physical.as_ref(), false))
    }

    /// Whether a plan can be run with the workers of this session: one that scans nothing needs none.
    ///
    /// # Errors
    /// [`QueryError::NoWorkers`] when it needs some and there are none; others as in [`Self::execute_stream`].
    pub async fn check(&self, plan: &QueryPlan) -> Result<(), QueryError> {
        self.physical(&self.state, plan).await.map(drop)
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// See [`QueryError`]; most come with the rows. [`QueryError::WorkerLost`] names the node.
    pub async fn execute_stream(&self, plan: &QueryPlan) -> Result<QueryStream, QueryError> {
        let physical = self.physical(&self.state, plan).await?;
        self.start(physical, &self.state)
    }

    fn start(&self, physical: Arc<dyn ExecutionPlan>, state: &SessionState) -> Result<QueryStream, QueryError> {
        let rows = execute_stream(physical, state.task_ctx())?;
        Ok(QueryStream {
            schema: rows.schema(),
            rows: self.delivery.watch(rows),
        })
    }

    /// Runs a plan and keeps the rows, as long as they are no more than `most_rows`: for inserts of a few rows, which the
    /// caller sends to one node.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn collect_batches(&self, plan: &QueryPlan, most_rows: usize) -> Result<Collected, QueryError> {
        let mut stream = self.execute_stream(plan).await?;
        let mut batches = Vec::new();
        let mut rows = 0;
        while let Some(batch) = stream.next().await.transpose()? {
            rows += batch.num_rows();
            if rows > most_rows {
                return Ok(Collected::TooMany);
            }
            batches.push(batch);
        }
        Ok(Collected::All(batches))
    }

    /// Runs a plan whose columns are the table's in order (see [`Self::arrange`]) and writes its rows, on workers.
    ///
    /// # Errors
    /// See [`QueryError`]; [`QueryError::Rows`] names column and value. Objects of a failed insert are unreferenced.
    pub async fn insert(&self, target: LoadTarget, plan: &QueryPlan) -> Result<InsertOutcome, QueryError> {
        if self.request.workers.is_empty() {
            return Err(QueryError::NoWorkers(String::new()));
        }
        let target = Some(Arc::new(target));
        let state = build_state(&self.request, &self.config, &self.runtime, &self.catalog, target);
        let physical = self.physical(&state, plan).await?;
        let mut answers = self.start(physical, &state)?;
        let mut outcome = InsertOutcome::default();
        while let Some(batch) = answers.next().await.transpose()? {
            for task in TaskOutcome::from_batch(&batch)? {
                outcome.rows += task.rows;
                outcome.objects.extend(task.objects);
            }
        }
        Ok(outcome)
    }

    /// Gives a plan the columns of a table, in its order: `columns` says which column each of the plan's goes to (empty:
    /// all in order); others take their default, or `NULL`.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a wrong number of columns or one named twice, [`QueryError::UnknownColumn`],
    /// [`QueryError::Rows`] for a column without value or default that is `NOT NULL`.
    pub fn arrange(&self, plan: QueryPlan, table: &TableSchema, columns: &[String]) -> Result<QueryPlan, QueryError> {
        insert::arrange(plan, table, columns)
    }

    async fn physical(&self, state: &SessionState, plan: &QueryPlan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let physical = state.create_physical_plan(&plan.logical).await?;
        if !needs_workers(&physical).map_err(QueryError::from)? {
            return Ok(physical);
        }
        if self.request.workers.is_empty() {
            return Err(QueryError::NoWorkers(String::new()));
        }
        let placed: Result<_, DataFusionError> = keep_off_frontend(physical).and_then(take_turns);
        Ok(placed?)
    }
}
