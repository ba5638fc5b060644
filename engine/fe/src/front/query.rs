//! Queries: rewritten, planned, run on the nodes of the session's warehouse, and written row by row.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use springtide_model::NodeId;
use springtide_mysql::{Column, ColumnType, MysqlError, Parameter, ResultWriter, Value};
use springtide_query::{QueryError, QueryPlan, QuerySession, SessionRequest, SessionSettings};
use springtide_sql::{
    ExplainMode, OUTPUT_SUFFIX, Parsed, Statement, bind, calls_table_function, output_names, referenced_tables,
    rewrite,
    sqlparser::ast::{Expr, LimitClause, Query as QueryAst, Statement as AstStatement, Value as AstValue},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Shared, encode,
    errors::{self, Kind, from_query, from_sql},
    information_schema::InformationSchema,
    session::Session,
    source::StatementSource,
};
use crate::core::{Admission, Core, NodeView, Patience, Route, Wait};

/// The default of `sql_select_limit`: none.
const NO_SELECT_LIMIT: u64 = i64::MAX as u64;
/// The variable with the seconds that a statement waits for compute.
const PATIENCE_VARIABLE: &str = "query_queue_pending_timeout_second";

/// How much a statement read and answered, for the audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Rows of the tables that it read, before any filter.
    pub(super) scan_rows: u64,
    /// Rows that the client got, or that were inserted.
    pub(super) returned_rows: u64,
}

/// A query in DataFusion's words, with the tables that it reads.
#[derive(Clone, Debug)]
pub(super) struct PreparedQuery {
    statement: AstStatement,
    source: Arc<StatementSource>,
    names: Option<Vec<String>>,
    needs_compute: bool,
}

/// Rewrites a query and looks its tables up.
pub(super) async fn prepare(shared: &Shared, session: &Session, ast: &QueryAst) -> Result<PreparedQuery, MysqlError> {
    let mut query = ast.clone();
    let names = output_names(&mut query);
    rewrite(&mut query, session).map_err(|error| from_sql(&error))?;
    let information = InformationSchema::new(&shared.core, session);
    let source = StatementSource::load(&shared.core, session, &information, &referenced_tables(&query)).await?;
    let needs_compute = source.reads_lake() || calls_table_function(&query);
    Ok(PreparedQuery {
        needs_compute,
        statement: AstStatement::Query(Box::new(query)),
        source: Arc::new(source),
        names,
    })
}

/// The nodes that a statement may use: fixed for its time. They are not drained before it ends.
#[derive(Debug, Default)]
pub(super) struct Workers {
    nodes: Vec<(NodeId, Url)>,
    _route: Option<Route>,
}

impl Workers {
    pub(super) fn of(core: &Core, session: &Session) -> Self {
        Self::along(core.route(&session.warehouse, &statement_of(session)))
    }

    /// Those that a query may use as soon as it may: it waits for a slot, and for a node where none takes work. A query that
    /// makes no sense, or that no node is needed for, waits for nothing.
    pub(super) async fn admitted(
        shared: &Shared,
        session: &Session,
        prepared: &PreparedQuery,
        writes: bool,
    ) -> Result<Self, MysqlError> {
        if !prepared.needs_compute && !writes {
            return Ok(Self::of(&shared.core, session));
        }
        let core = &shared.core;
        if let Some(route) = core.admit_now(&session.warehouse, &statement_of(session)) {
            bound(shared, session);
            return Ok(Self::along(route));
        }
        let alone = Self::default();
        let possible = async {
            let query = open(shared, session, prepared, &alone, SessionSettings::default())?;
            query.check(&plan(&query, prepared).await?).await
        };
        match possible.await {
            Ok(()) if !writes => Ok(alone),
            Ok(()) | Err(QueryError::NoWorkers(_)) => admit(shared, session).await.map(Self::along),
            Err(error) => Err(describe_error(shared, session, &error)),
        }
    }

    fn along(route: Route) -> Self {
        let nodes = route
            .nodes()
            .iter()
            .filter_map(|view| {
                let port = view.reply.as_ref()?.worker_port;
                Some((
                    view.node.id,
                    Url::parse(&format!("http://{}", view.authority(port))).ok()?,
                ))
            })
            .collect();
        Self {
            nodes,
            _route: Some(route),
        }
    }

    /// Takes out a node that was lost, and tells the core.
    pub(super) fn lose(&mut self, core: &Core, url: &str) {
        let lost = |known: &Url| known.as_str().trim_end_matches('/') == url.trim_end_matches('/');
        self.nodes.retain(|(id, known)| {
            let is_lost = lost(known);
            if is_lost {
                core.report_unreachable(*id);
            }
            !is_lost
        });
    }

    /// Whether none is left to run on.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn urls(&self) -> Vec<Url> {
        self.nodes.iter().map(|(_, url)| url.clone()).collect()
    }
}

/// How long a statement waits for compute: as long as somebody has said, for the session or for all, or as long as the variable's default
/// says, and through the drain of a node then.
fn patience_of(session: &Session) -> Patience {
    let time = Duration::from_secs(session.variables.number(PATIENCE_VARIABLE));
    if session.variables.is_set(PATIENCE_VARIABLE) {
        Patience::Exactly(time)
    } else {
        Patience::AtLeast(time)
    }
}

/// Waits for a slot and nodes of the session's warehouse, at most as long as the session has patience.
pub(super) async fn admit(shared: &Shared, session: &Session) -> Result<Route, MysqlError> {
    let core = &shared.core;
    let (warehouse, id) = (&session.warehouse, session.connection_id);
    let waits = |wait: Wait, longest: Duration| core.sessions().set_state(id, &wait.told(longest));
    let (pause, began) = (session.clock.pause(), Instant::now());
    let admission = core
        .admit(warehouse, &statement_of(session), patience_of(session), waits)
        .await;
    drop(pause);
    core.sessions().set_state(id, "");
    match admission {
        Admission::Admitted(route) => {
            bound(shared, session);
            Ok(route)
        }
        Admission::NoNodes | Admission::TimedOut(Wait::AllAway) => Err(no_workers(core, warehouse)),
        Admission::TimedOut(Wait::AllBusy) => Err(Kind::Retryable.error(format!(
            "all slots of warehouse {warehouse} were taken for {} s ({PATIENCE_VARIABLE}); repeat the statement later, or let the ComputeGroup have more nodes",
            began.elapsed().as_secs()
        ))),
    }
}

/// Has the statement end before a drain of its nodes would cut it off. They say so with their first heartbeat, which a statement that
/// waited for them did not know when it began.
pub(super) fn bound(shared: &Shared, session: &Session) {
    if let Some(longest) = shared.core.longest_statement(&session.warehouse) {
        session.clock.at_most(longest);
    }
}

/// A statement by what `KILL` knows it by, for those who wait for a drain.
pub(super) fn statement_of(session: &Session) -> String {
    format!("statement of connection {}", session.connection_id)
}

/// A planning session on these nodes.
pub(super) fn open(
    shared: &Shared,
    session: &Session,
    prepared: &PreparedQuery,
    workers: &Workers,
    settings: SessionSettings,
) -> Result<QuerySession, QueryError> {
    shared.coordinator.session(SessionRequest {
        workers: workers.urls(),
        source: Arc::clone(&prepared.source) as _,
        default_database: session.database.clone(),
        settings,
        functions: Vec::new(),
    })
}

/// Plans, with the names that the client asked for.
pub(super) async fn plan(query: &QuerySession, prepared: &PreparedQuery) -> Result<QueryPlan, QueryError> {
    let mut plan = query.plan(prepared.statement.clone()).await?;
    match &prepared.names {
        Some(names) if names.len() == plan.column_names.len() => plan.column_names.clone_from(names),
        _ => {
            for name in &mut plan.column_names {
                if let Some(end) = name.find(OUTPUT_SUFFIX) {
                    name.truncate(end);
                }
            }
        }
    }
    Ok(plan)
}

/// Why an attempt failed.
enum Failure {
    Query(QueryError),
    /// Nothing that another attempt could help.
    Client(MysqlError),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Failure::Query(error)
    }
}

impl From<MysqlError> for Failure {
    fn from(error: MysqlError) -> Self {
        Failure::Client(error)
    }
}

/// `sql_select_limit` bounds queries that have no `LIMIT` of their own: drivers set it when they want a result's first rows.
fn with_select_limit(session: &Session, ast: &QueryAst) -> Option<QueryAst> {
    let limit = session.variables.number("sql_select_limit");
    if limit >= NO_SELECT_LIMIT || ast.limit_clause.is_some() || ast.fetch.is_some() {
        return None;
    }
    let mut limited = ast.clone();
    limited.limit_clause = Some(LimitClause::LimitOffset {
        limit: Some(Expr::Value(AstValue::Number(limit.to_string(), false).into())),
        offset: None,
        limit_by: Vec::new(),
    });
    Some(limited)
}

/// Runs a query. Where a node is lost before the client got anything, it is run once more on the others; where memory is spent, once
/// more with joins that go to disk.
pub(super) async fn run(
    shared: &Shared,
    session: &Session,
    ast: &QueryAst,
    out: &mut ResultWriter,
) -> Result<Figures, MysqlError> {
    let prepared = match with_select_limit(session, ast) {
        Some(limited) => prepare(shared, session, &limited).await?,
        None => prepare(shared, session, ast).await?,
    };
    let hold = shared.core.settings().result_hold_bytes;
    out.hold(usize::try_from(hold).unwrap_or(usize::MAX));
    let mut attempts = Attempts::on(Workers::admitted(shared, session, &prepared, false).await?);
    loop {
        let settings = attempts.settings.clone();
        let error = match attempt(shared, session, &prepared, &attempts.workers, settings, out).await {
            Ok(figures) => return Ok(figures),
            Err(Failure::Client(error)) => return Err(error),
            Err(Failure::Query(error)) => error,
        };
        attempts.after(shared, session, &error, || out.restart())?;
    }
}

/// What a query runs with: anew after each attempt that failed.
#[derive(Debug)]
struct Attempts {
    workers: Workers,
    settings: SessionSettings,
    is_retry: bool,
}

impl Attempts {
    fn on(workers: Workers) -> Self {
        Self {
            workers,
            settings: SessionSettings::default(),
            is_retry: false,
        }
    }

    /// Makes the next attempt ready, if there may be one; `restart` takes back what the client was to get of the one that failed, and
    /// says whether it could.
    fn after(
        &mut self,
        shared: &Shared,
        session: &Session,
        error: &QueryError,
        mut restart: impl FnMut() -> bool,
    ) -> Result<(), MysqlError> {
        if error.is_out_of_memory() && !self.settings.frugal && restart() {
            tracing::info!(%error, "running the query once more with joins that go to disk");
            shared.core.metrics().query_retry.inc();
            self.settings.frugal = true;
            return Ok(());
        }
        let Some(url) = error.lost_worker() else {
            return Err(describe_error(shared, session, error));
        };
        let node = name_of(&shared.core, url);
        self.workers.lose(&shared.core, url);
        // With no other node the error is the lost node's, too: it may be repeated once a node is back.
        if self.is_retry || self.workers.is_empty() || !restart() {
            return Err(describe_error(shared, session, error));
        }
        shared.core.metrics().query_retry.inc();
        tracing::warn!(
            node,
            "a compute node was lost; running the query once more on the others"
        );
        self.is_retry = true;
        Ok(())
    }
}

async fn attempt(
    shared: &Shared,
    session: &Session,
    prepared: &PreparedQuery,
    workers: &Workers,
    settings: SessionSettings,
    out: &mut ResultWriter,
) -> Result<Figures, Failure> {
    let query = open(shared, session, prepared, workers, settings)?;
    let plan = plan(&query, prepared).await?;
    let mut stream = query.execute_stream(&plan).await?;
    let columns = encode::columns(&stream.schema(), Some(&plan.column_names));
    out.result_set(&columns).await.map_err(MysqlError::from)?;
    while let Some(batch) = stream.next().await {
        encode::write_batch(&batch?, out).await?;
    }
    out.finish().await.map_err(MysqlError::from)?;
    Ok(Figures {
        scan_rows: prepared.source.rows(),
        returned_rows: out.rows_written(),
    })
}

/// An error of the engine in the client's words.
pub(super) fn describe_error(shared: &Shared, session: &Session, error: &QueryError) -> MysqlError {
    match error {
        QueryError::NoWorkers(_) => no_workers(&shared.core, &session.warehouse),
        other => {
            let mut told = from_query(other);
            if let Some(url) = other.lost_worker() {
                told.message = told.message.replace(url, &name_of(&shared.core, url));
            }
            told
        }
    }
}

/// A node as `SHOW COMPUTE NODES` has it, by the URL that it is reached at; the URL where no such node is known.
fn name_of(core: &Core, url: &str) -> String {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let is_it = |view: &NodeView| {
        let port = view.reply.as_ref().map(|reply| reply.worker_port);
        port.is_some_and(|port| view.authority(port) == authority)
    };
    let node = core.nodes().into_iter().find(is_it);
    node.map_or_else(|| url.to_owned(), |view| view.node.host.clone())
}

/// 5904 where the warehouse has nodes and none serves, 5905 where it has none, as StarRocks numbers them.
pub(super) fn no_workers(core: &Core, warehouse: &str) -> MysqlError {
    let instead = core.instead_of(warehouse, "SET warehouse to");
    if core.catalog().compute_nodes().any(|node| node.warehouse == warehouse) {
        Kind::WarehouseNotAvailable.error(format!("Warehouse {warehouse} is not available; {instead}."))
    } else {
        Kind::NoComputeNode.error(format!(
            "No alive backend or compute node in warehouse {warehouse}; {instead}."
        ))
    }
}

/// The plan as text. `ANALYZE` runs it, too, and is let in, bounded and run once more as a query is; the others wait for nothing.
pub(super) async fn explain(
    shared: &Shared,
    session: &Session,
    mode: ExplainMode,
    ast: &QueryAst,
    cancelled: &CancellationToken,
) -> Result<String, MysqlError> {
    let prepared = prepare(shared, session, ast).await?;
    let explained = async {
        let workers = if mode == ExplainMode::Analyze {
            Workers::admitted(shared, session, &prepared, false).await?
        } else {
            Workers::of(&shared.core, session)
        };
        let mut attempts = Attempts::on(workers);
        loop {
            let settings = attempts.settings.clone();
            let error = match explain_once(shared, session, mode, &prepared, &attempts.workers, settings).await {
                Ok(text) => return Ok::<_, MysqlError>(text),
                Err(error) => error,
            };
            // The client has got nothing yet.
            attempts.after(shared, session, &error, || true)?;
        }
    };
    tokio::select! {
        () = cancelled.cancelled() => Err(MysqlError::interrupted()),
        text = explained => text,
    }
}

async fn explain_once(
    shared: &Shared,
    session: &Session,
    mode: ExplainMode,
    prepared: &PreparedQuery,
    workers: &Workers,
    settings: SessionSettings,
) -> Result<String, QueryError> {
    let query = open(shared, session, prepared, workers, settings)?;
    let plan = plan(&query, prepared).await?;
    let mut text = String::new();
    if mode == ExplainMode::Verbose {
        text.push_str(&format!(
            "LOGICAL PLAN\n{}\n\nPHYSICAL PLAN\n",
            plan.logical.display_indent()
        ));
    }
    text.push_str(&query.explain(&plan).await?);
    if mode == ExplainMode::Analyze {
        let began = std::time::Instant::now();
        let mut stream = query.execute_stream(&plan).await?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
        }
        text.push_str(&format!("\nROWS: {rows}\nTIME: {} ms\n", began.elapsed().as_millis()));
    }
    Ok(text)
}

/// The columns that a prepared statement will answer with, as far as they can be told before its parameters are known.
pub(super) async fn describe(shared: &Shared, session: &Session, parsed: &Parsed) -> Vec<Column> {
    let Statement::Query(ast) = &parsed.statement else {
        return Vec::new();
    };
    let mut ast = ast.clone();
    let nulls = vec![springtide_sql::Parameter::Null; parsed.parameters];
    if bind(&mut ast, &nulls).is_err() {
        return Vec::new();
    }
    let Ok(prepared) = prepare(shared, session, &ast).await else {
        return Vec::new();
    };
    let Ok(query) = open(
        shared,
        session,
        &prepared,
        &Workers::default(),
        SessionSettings::default(),
    ) else {
        return Vec::new();
    };
    match plan(&query, &prepared).await {
        Ok(plan) => encode::columns(&plan.schema(), Some(&plan.column_names)),
        Err(_) => Vec::new(),
    }
}

/// A parameter of an execution as a constant.
pub(super) fn constant(parameter: &Parameter) -> Result<springtide_sql::Parameter, MysqlError> {
    use springtide_sql::Parameter as Constant;
    Ok(match &parameter.value {
        Value::Null => Constant::Null,
        Value::Int(value) => Constant::Int(*value),
        Value::UInt(value) => Constant::UnsignedInt(*value),
        Value::Float(value) => Constant::Double(f64::from(*value)),
        Value::Double(value) => Constant::Double(*value),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(digits) if parameter.column_type == ColumnType::MYSQL_TYPE_NEWDECIMAL => {
                let is_number = digits.parse::<f64>().is_ok_and(f64::is_finite);
                if !is_number {
                    return Err(Kind::Invalid.error("a parameter declared as a decimal is not a number"));
                }
                Constant::Decimal(digits.trim_start_matches('+').to_owned())
            }
            Ok(text) => Constant::Text(text.to_owned()),
            Err(_) => Constant::Bytes(bytes.to_vec()),
        },
        Value::Date { year, month, day } => Constant::Text(format!("{year:04}-{month:02}-{day:02}")),
        Value::DateTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
        } => Constant::Text(format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{microsecond:06}"
        )),
        Value::Time {
            negative,
            days,
            hours,
            minutes,
            seconds,
            microseconds,
        } => {
            let sign = if *negative { "-" } else { "" };
            let hours = u64::from(*days) * 24 + u64::from(*hours);
            Constant::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{microseconds:06}"))
        }
    })
}

pub(super) fn refuse_system_database(database: &str) -> Result<(), MysqlError> {
    if super::information_schema::is_system_database(database) {
        return Err(errors::access_denied("INSERT", &format!("DATABASE {database}")));
    }
    Ok(())
}
