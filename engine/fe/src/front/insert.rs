//! `INSERT`: rows are written by compute nodes, then committed here, then waited for until they are visible.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, compute::concat_batches, ipc::writer::StreamWriter};
use bytes::Bytes;
use springtide_model::{DataObject, LoadTarget, TableSchema, TxnId};
use springtide_mysql::{MysqlError, OkResult};
use springtide_query::{Collected, QueryError, QueryPlan, SessionSettings};
use springtide_rpc::{
    RpcError,
    message::{IngestRequest, label_advice},
};
use springtide_sql::{
    Insert, referenced_tables,
    sqlparser::ast::{Expr, Query as QueryAst, SetExpr, UnaryOperator, Value},
};

use super::{
    Shared,
    errors::{Kind, from_catalog, from_core, from_query},
    query::{self, Workers},
    session::Session,
    statements::protect_audit,
};
use crate::core::{BeginTransaction, Begun, Core, NodeView, Route};

/// Rows that the frontend takes into its memory to send them to one node; more are written by the nodes, as those of a query.
const MOST_ROWS_HERE: usize = 100_000;
/// Time for one node to take and write the rows of a small insert.
const INGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Time to wait for rows to be visible; they are committed by then, and will be.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Aborts its transaction unless it was committed: statements end early by `KILL`, time-outs and errors.
#[derive(Debug)]
struct OpenTransaction<'a> {
    core: &'a Core,
    txn: TxnId,
    committed: bool,
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.core.abort(self.txn, "the statement ended before its commit");
        }
    }
}

pub(super) async fn run(shared: &Shared, session: &Session, insert: &Insert) -> Result<OkResult, MysqlError> {
    let database = session.database_or(insert.target.database.as_deref())?;
    query::refuse_system_database(database)?;
    protect_audit(session, database)?;
    let catalog = shared.core.catalog();
    let table = catalog
        .resolve_table(database, &insert.target.table)
        .map_err(|error| from_catalog(&error))?;
    let schema = Arc::clone(&table.schema);
    check_columns(&schema, &insert.columns)?;
    let mut source = insert.source.clone();
    fill_defaults(&mut source, &schema, &insert.columns)?;
    let is_small = reads_nothing(&source);
    let prepared = query::prepare(shared, session, &source).await?;
    let timeout = Duration::from_secs(session.variables.number("insert_timeout"));
    let label = insert
        .label
        .clone()
        .unwrap_or_else(|| format!("insert_{}", uuid::Uuid::now_v7()));

    // The rows of a small one go to a node when they are known to be right. Until then it holds none: one that is to leave would wait
    // for this statement, and this statement for another one. Neither kind has a transaction in line, whose time would run there.
    let mut workers = if is_small {
        Workers::default()
    } else {
        Workers::admitted(shared, session, &prepared, true).await?
    };
    let mut settings = SessionSettings::default();
    let session_here =
        query::open(shared, session, &prepared, &workers, settings.clone()).map_err(|error| from_query(&error))?;
    let plan = arranged(&session_here, &prepared, &schema, &insert.columns)
        .await
        .map_err(|error| query::describe_error(shared, session, &error))?;
    let small = if is_small {
        collect(&session_here, &plan, &schema)
            .await
            .map_err(|error| query::describe_error(shared, session, &error))?
    } else {
        None
    };
    let small = match small {
        Some(batch) => Some((batch, query::admit(shared, session).await?)),
        // Too many to be sent from here: nodes write them, as they write the rows of a query.
        None if is_small => {
            workers = Workers::admitted(shared, session, &prepared, true).await?;
            None
        }
        None => None,
    };

    let target = begin(&shared.core, database, &insert.target.table, &label, timeout).await?;
    let mut transaction = OpenTransaction {
        core: &shared.core,
        txn: target.txn,
        committed: false,
    };
    if *target.schema != *schema {
        return Err(
            Kind::Retryable.error("the table was changed while the statement was planned; repeat the statement")
        );
    }
    let (objects, rows) = match small {
        Some((batch, route)) => ingest(shared, &session.warehouse, &route, &target, &batch).await?,
        None => {
            let mut is_retry = false;
            loop {
                let query = query::open(shared, session, &prepared, &workers, settings.clone())
                    .map_err(|error| from_query(&error))?;
                let inserted = match arranged(&query, &prepared, &schema, &insert.columns).await {
                    Ok(plan) => query.insert(target.clone(), &plan).await,
                    Err(error) => Err(error),
                };
                match inserted {
                    Ok(outcome) => break (outcome.objects, outcome.rows),
                    // Objects of the first attempt are never referred to: their names are not committed.
                    Err(error) if error.is_out_of_memory() && !settings.frugal => {
                        tracing::info!(%error, "running the insert once more with joins that go to disk");
                        settings.frugal = true;
                    }
                    Err(error) => {
                        let lost = error.lost_worker().map(str::to_owned);
                        if let Some(url) = &lost {
                            workers.lose(&shared.core, url);
                        }
                        if is_retry || lost.is_none() || workers.is_empty() {
                            return Err(query::describe_error(shared, session, &error));
                        }
                        is_retry = true;
                    }
                }
            }
        }
    };
    // No node has anything left to do: one that is to leave need not wait for this statement.
    drop(workers);
    // From here on the statement has an end, which its time must not hide: who was told that it failed would run it again.
    let longest = VISIBLE_TIMEOUT.min(session.clock.left());
    let decided = session.clock.pause();
    let visible = commit(&mut transaction, objects, longest).await?;
    drop(decided);
    let status = if visible { "VISIBLE" } else { "COMMITTED" };
    Ok(OkResult {
        affected_rows: rows,
        info: format!("{{'label':'{label}', 'status':'{status}', 'txnId':'{}'}}", target.txn),
        ..OkResult::default()
    })
}

fn check_columns(schema: &TableSchema, columns: &[String]) -> Result<(), MysqlError> {
    match columns.iter().find(|name| schema.column_index(name).is_none()) {
        Some(name) => Err(Kind::Invalid.analyzing(&format!("Unknown column '{name}' in the table"))),
        None => Ok(()),
    }
}

/// Whether a query has its rows in its text alone.
fn reads_nothing(source: &QueryAst) -> bool {
    let is_values = matches!(source.body.as_ref(), SetExpr::Values(_));
    let has_from = match source.body.as_ref() {
        SetExpr::Select(select) => !select.from.is_empty(),
        SetExpr::Values(_) => false,
        _ => true,
    };
    referenced_tables(source).is_empty() && (is_values || !has_from)
}

/// Puts defaults in place of the word `DEFAULT` in `VALUES`, and checks that every row is as long as the columns.
fn fill_defaults(source: &mut QueryAst, schema: &TableSchema, columns: &[String]) -> Result<(), MysqlError> {
    let SetExpr::Values(values) = source.body.as_mut() else {
        return Ok(());
    };
    let targets: Vec<usize> = if columns.is_empty() {
        (0..schema.columns.len()).collect()
    } else {
        columns.iter().filter_map(|name| schema.column_index(name)).collect()
    };
    for (number, row) in values.rows.iter_mut().enumerate() {
        let row = row_expressions(row);
        if row.len() != targets.len() {
            return Err(Kind::Invalid.analyzing(&format!(
                "Column count doesn't match value count: row {} has {} values for {} columns",
                number + 1,
                row.len(),
                targets.len()
            )));
        }
        for (value, index) in row.iter_mut().zip(&targets) {
            let is_default = matches!(value, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"));
            if !is_default {
                continue;
            }
            let column = &schema.columns[*index];
            *value = match &column.default {
                Some(literal) => literal_expr(literal),
                None if column.nullable => Expr::Value(Value::Null.into()),
                None => {
                    return Err(Kind::Invalid.analyzing(&format!(
                        "Column has no default value, column={}, row={}",
                        column.name,
                        number + 1
                    )));
                }
            };
        }
    }
    Ok(())
}

fn row_expressions(row: &mut springtide_sql::sqlparser::ast::Parens<Vec<Expr>>) -> &mut Vec<Expr> {
    &mut row.content
}

fn literal_expr(literal: &springtide_model::Literal) -> Expr {
    use springtide_model::Literal;
    let number = |digits: String| Expr::Value(Value::Number(digits, false).into());
    match literal {
        Literal::Null => Expr::Value(Value::Null.into()),
        Literal::Boolean(value) => Expr::Value(Value::Boolean(*value).into()),
        Literal::Int(value) if *value < 0 => Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(number(value.unsigned_abs().to_string())),
        },
        Literal::Int(value) => number(value.to_string()),
        Literal::Text(text) => Expr::Value(Value::SingleQuotedString(text.clone()).into()),
    }
}

async fn arranged(
    session: &springtide_query::QuerySession,
    prepared: &query::PreparedQuery,
    schema: &TableSchema,
    columns: &[String],
) -> Result<QueryPlan, QueryError> {
    let plan = query::plan(session, prepared).await?;
    session.arrange(plan, schema, columns)
}

/// The rows in the table's types, or `None` where they are too many for one node.
async fn collect(
    session: &springtide_query::QuerySession,
    plan: &QueryPlan,
    schema: &TableSchema,
) -> Result<Option<RecordBatch>, QueryError> {
    let batches = match session.collect_batches(plan, MOST_ROWS_HERE).await? {
        Collected::All(batches) => batches,
        Collected::TooMany => return Ok(None),
    };
    let given = batches.first().map_or_else(|| plan.schema(), RecordBatch::schema);
    let all = concat_batches(&given, &batches).map_err(|error| QueryError::Internal(error.to_string()))?;
    Ok(Some(springtide_tablet::cast_batch(&all, schema)?))
}

async fn begin(
    core: &Core,
    database: &str,
    table: &str,
    label: &str,
    timeout: Duration,
) -> Result<LoadTarget, MysqlError> {
    let begun = core
        .begin(BeginTransaction {
            database: database.to_owned(),
            table: table.to_owned(),
            label: label.to_owned(),
            timeout,
            process: None,
        })
        .await
        .map_err(|error| from_core(&error))?;
    match begun {
        Begun::Target(target) => Ok(target),
        Begun::LabelAlreadyExists { txn, status } => Err(Kind::LabelExists.error(format!(
            "Label [{label}] has already been used, relate to txn [{txn}], status [{}]{}.",
            status.as_str(),
            label_advice(status.as_str())
        ))),
    }
}

/// Commits; whether the rows were visible within `longest` after that.
async fn commit(
    transaction: &mut OpenTransaction<'_>,
    objects: Vec<DataObject>,
    longest: Duration,
) -> Result<bool, MysqlError> {
    transaction
        .core
        .commit(transaction.txn, objects)
        .await
        .map_err(|error| from_core(&error))?;
    transaction.committed = true;
    transaction
        .core
        .wait_visible(transaction.txn, longest)
        .await
        .map_err(|error| from_core(&error))
}

/// Sends rows to one node of the warehouse, to a second one where the first cannot be reached.
async fn ingest(
    shared: &Shared,
    warehouse: &str,
    route: &Route,
    target: &LoadTarget,
    batch: &RecordBatch,
) -> Result<(Vec<DataObject>, u64), MysqlError> {
    if batch.num_rows() == 0 {
        return Ok((Vec::new(), 0));
    }
    let mut nodes: Vec<&NodeView> = route.nodes().iter().collect();
    if nodes.is_empty() {
        return Err(query::no_workers(&shared.core, warehouse));
    }
    // Statements take turns, so that small inserts do not all go to one node.
    let count = nodes.len();
    nodes.rotate_left(usize::try_from(target.txn.0).unwrap_or(0) % count);
    let body = encoded(batch)?;
    let request = IngestRequest { target: target.clone() };
    let mut lost: Option<RpcError> = None;
    for view in nodes.iter().take(2) {
        let authority = view.authority(view.node.heartbeat_port);
        match shared
            .rpc
            .ingest(&authority, &request, vec![body.clone()], INGEST_TIMEOUT)
            .await
        {
            Ok(reply) => return Ok((reply.objects, reply.rows)),
            Err(error) if error.is_unreachable() => {
                tracing::warn!(node = %view.node.id, %error, "a compute node did not take the rows of an insert");
                shared.core.report_unreachable(view.node.id);
                lost = Some(error);
            }
            Err(RpcError::Remote { status, message }) if (400..500).contains(&status) => {
                return Err(Kind::Invalid.error(message));
            }
            Err(error) => return Err(Kind::Retryable.error(error.to_string())),
        }
    }
    let problem = lost.map(|error| error.to_string()).unwrap_or_default();
    Err(Kind::Retryable.error(format!(
        "no compute node took the rows: {problem}; the statement may be repeated"
    )))
}

fn encoded(batch: &RecordBatch) -> Result<Bytes, MysqlError> {
    let failed = |error: arrow::error::ArrowError| Kind::Internal.error(format!("cannot encode rows: {error}"));
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.finish().map_err(failed)?;
    writer.into_inner().map(Bytes::from).map_err(failed)
}

/// Writes rows that the frontend itself made, in the table's types.
pub(super) async fn write_rows(
    shared: &Shared,
    warehouse: &str,
    database: &str,
    table: &str,
    label: &str,
    batch: &RecordBatch,
) -> Result<(), MysqlError> {
    let target = begin(&shared.core, database, table, label, INGEST_TIMEOUT).await?;
    let mut transaction = OpenTransaction {
        core: &shared.core,
        txn: target.txn,
        committed: false,
    };
    let route = shared.core.load_route(warehouse, label);
    let (objects, _) = ingest(shared, warehouse, &route, &target, batch).await?;
    shared
        .core
        .commit(target.txn, objects)
        .await
        .map_err(|error| from_core(&error))?;
    transaction.committed = true;
    Ok(())
}
