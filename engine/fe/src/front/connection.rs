//! One client: login, statements in order, prepared statements.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use springtide_mysql::{
    Column, ConnectionInfo, Handler, LoginAttempt, MysqlError, OkResult, Parameter, PreparedStatement, ResultWriter,
};
use springtide_sql::{Parsed, Statement, redact, redact_unread};
use uuid::Uuid;

use super::{
    Shared,
    audit::{AuditRecord, QueryType},
    errors::{self, Kind, from_sql},
    query,
    rows::Rows,
    session::Session,
    statement_clock::StatementClock,
    statements,
    variables::{NO_LIMIT_S, Variables},
};
use crate::core::{Core, SessionGuard};

/// The handler of one connection.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    info: ConnectionInfo,
    login: Option<Login>,
    prepared: HashMap<u32, Arc<Parsed>>,
    statements: u64,
}

/// A connection that has logged in.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) session: Session,
    pub(super) guard: SessionGuard,
}

/// What a statement answers.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has done its work.
    Done(OkResult),
    /// Rows that the frontend made.
    Rows(Rows),
    /// Rows that are written already, and how much they were.
    Written(query::Figures),
}

impl Outcome {
    pub(super) fn done() -> Self {
        Outcome::Done(OkResult::default())
    }
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, info: ConnectionInfo) -> Self {
        Self {
            shared,
            info,
            login: None,
            prepared: HashMap::new(),
            statements: 0,
        }
    }

    fn login(&mut self) -> Result<&mut Login, MysqlError> {
        self.login
            .as_mut()
            .ok_or_else(|| Kind::AccessDenied.error("Access denied: no user has logged in"))
    }

    /// Runs one statement and keeps its record.
    async fn run(&mut self, parsed: &Parsed, out: &mut ResultWriter) -> Result<(), MysqlError> {
        self.statements += 1;
        let number = self.statements;
        let shared = Arc::clone(&self.shared);
        let login = self.login()?;
        let shown = redact(&parsed.text);
        let statement = login.guard.begin(&shown, out.cancelled().clone());
        let mut record = AuditRecord::begin(
            &shared,
            &login.session,
            statement.query_id(),
            number,
            Some(&parsed.statement),
            shown,
        );
        let began = Instant::now();
        shared.core.metrics().query_total.inc();
        login.session.variables.follow(&shared.core.settings());
        let asked = time_limit(&login.session, &parsed.statement);
        let cancelled = out.cancelled().clone();
        let clock = Arc::new(StatementClock::start(asked));
        login.session.clock = Arc::clone(&clock);
        query::bound(&shared, &login.session);
        let result = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(MysqlError::interrupted()),
            result = execute(&shared, login, parsed, out) => result,
            limit = clock.runs_out() => {
                shared.core.metrics().query_timeout.inc();
                let advice = if limit < asked {
                    ", after which a drain of its compute nodes would cut it off; have drain.timeout of the ComputeGroup raised"
                } else {
                    ""
                };
                Err(Kind::Timeout.error(format!("Query exceeded its time limit of {} seconds{advice}", limit.as_secs())))
            }
        };
        if let Err(error) = &result {
            let metrics = shared.core.metrics();
            metrics.query_err.inc();
            if matches!(error.code, code if code == Kind::Internal.code().0 || code == Kind::Retryable.code().0) {
                metrics.query_internal_err.inc();
                tracing::warn!(connection = login.session.connection_id, code = error.code, message = %error.message, "statement failed");
            }
        }
        let took = began.elapsed();
        shared.core.metrics().statement_seconds.observe(took);
        record.end(took, &result);
        shared.audit.send(record);
        result.map(|_| ())
    }

    /// Keeps the record of a text that is no statement, and gives its error back.
    fn refuse(&mut self, sql: &str, error: MysqlError) -> MysqlError {
        self.statements += 1;
        let shared = &self.shared;
        shared.core.metrics().query_total.inc();
        shared.core.metrics().query_err.inc();
        if let Some(login) = &self.login {
            let (id, number) = (Uuid::now_v7(), self.statements);
            let mut record = AuditRecord::begin(shared, &login.session, id, number, None, redact_unread(sql));
            record.end(Duration::ZERO, &Err(error.clone()));
            shared.audit.send(record);
        }
        error
    }

    fn one_prepared(&self, statement_id: u32) -> Result<Arc<Parsed>, MysqlError> {
        self.prepared.get(&statement_id).cloned().ok_or_else(|| {
            Kind::UnknownStatement.error(format!(
                "Unknown prepared statement handler ({statement_id}) given to EXECUTE"
            ))
        })
    }
}

/// The one statement that a client prepares.
fn one_statement(sql: &str) -> Result<Parsed, MysqlError> {
    let mut statements = springtide_sql::parse(sql).map_err(|error| from_sql(&error))?;
    let (Some(parsed), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Kind::Invalid.analyzing("A prepared statement is one statement"));
    };
    if parsed.parameters > 0 && !matches!(parsed.statement, Statement::Query(_) | Statement::Insert(_)) {
        return Err(Kind::Invalid.analyzing("A '?' is allowed in queries and INSERT only"));
    }
    Ok(parsed)
}

/// Runs one statement and writes its answer.
async fn execute(
    shared: &Shared,
    login: &mut Login,
    parsed: &Parsed,
    out: &mut ResultWriter,
) -> Result<query::Figures, MysqlError> {
    match statements::run(shared, login, &parsed.statement, out).await? {
        Outcome::Done(result) => {
            let rows = result.affected_rows;
            out.ok(result).await?;
            Ok(query::Figures {
                returned_rows: rows,
                ..query::Figures::default()
            })
        }
        Outcome::Rows(rows) => {
            rows.write(out).await?;
            Ok(query::Figures {
                returned_rows: rows.rows.len() as u64,
                ..query::Figures::default()
            })
        }
        Outcome::Written(figures) => Ok(figures),
    }
}

/// What a new session begins with: the catalog's globals, and the settings where they have none.
fn fresh_variables(core: &Core) -> Variables {
    let mut variables = Variables::new(core.catalog().globals());
    variables.follow(&core.settings());
    variables
}

fn time_limit(session: &Session, statement: &Statement) -> Duration {
    let name = match statement {
        Statement::Insert(_) => "insert_timeout",
        _ => "query_timeout",
    };
    Duration::from_secs(session.variables.number(name).clamp(1, NO_LIMIT_S))
}

#[async_trait]
impl Handler for Connection {
    async fn authenticate(&mut self, attempt: &LoginAttempt<'_>) -> Result<(), MysqlError> {
        self.login = None;
        let Some(account) = self.shared.core.authenticate(attempt.user, &attempt.proof) else {
            tracing::info!(user = attempt.user, peer = %attempt.peer, "login refused");
            return Err(attempt.denied());
        };
        let core = &self.shared.core;
        let guard = core.sessions().open(
            self.info.connection_id,
            &account.name,
            self.info.peer,
            self.info.killed.clone(),
            core.now_ms(),
        );
        let variables = fresh_variables(core);
        let session = Session::new(self.info.connection_id, self.info.peer, account, variables);
        guard.set_warehouse(&session.warehouse);
        self.login = Some(Login { session, guard });
        Ok(())
    }

    async fn init_db(&mut self, database: &str) -> Result<(), MysqlError> {
        let shared = Arc::clone(&self.shared);
        let login = self.login()?;
        // Drivers that think in catalogs name both.
        let database = database.strip_prefix("default_catalog.").unwrap_or(database);
        if database.is_empty() {
            return Ok(());
        }
        statements::use_database(&shared, login, None, database)
    }

    async fn query(&mut self, sql: &str, out: &mut ResultWriter) -> Result<(), MysqlError> {
        let statements = match springtide_sql::parse(sql) {
            Ok(statements) => statements,
            Err(error) => return Err(self.refuse(sql, from_sql(&error))),
        };
        let last = statements.len() - 1;
        for (position, parsed) in statements.iter().enumerate() {
            if parsed.parameters > 0 {
                return Err(Kind::Invalid.analyzing("A '?' is allowed in prepared statements only"));
            }
            if position < last {
                out.more_results();
            }
            self.run(parsed, out).await?;
        }
        Ok(())
    }

    async fn prepare(&mut self, statement_id: u32, sql: &str) -> Result<PreparedStatement, MysqlError> {
        let parsed = one_statement(sql).map_err(|error| self.refuse(sql, error))?;
        let shared = Arc::clone(&self.shared);
        let login = self.login()?;
        let columns = query::describe(&shared, &login.session, &parsed).await;
        let parameters = (0..parsed.parameters).map(|_| Column::text("?")).collect();
        self.prepared.insert(statement_id, Arc::new(parsed));
        Ok(PreparedStatement { parameters, columns })
    }

    async fn execute(
        &mut self,
        statement_id: u32,
        parameters: &[Parameter],
        out: &mut ResultWriter,
    ) -> Result<(), MysqlError> {
        let prepared = self.one_prepared(statement_id)?;
        let values = parameters.iter().map(query::constant).collect::<Result<Vec<_>, _>>()?;
        let mut parsed = Parsed::clone(&prepared);
        let bound = match &mut parsed.statement {
            Statement::Query(query) => springtide_sql::bind(query, &values),
            Statement::Insert(insert) => springtide_sql::bind(&mut insert.source, &values),
            _ => Ok(()),
        };
        bound.map_err(|error| from_sql(&error))?;
        self.run(&parsed, out).await
    }

    async fn close_statement(&mut self, statement_id: u32) {
        self.prepared.remove(&statement_id);
    }

    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<Column>, MysqlError> {
        let shared = Arc::clone(&self.shared);
        let login = self.login()?;
        let database = login.session.database_or(None)?.to_owned();
        let catalog = shared.core.catalog();
        let table = catalog
            .resolve_table(&database, table)
            .map_err(|error| errors::from_catalog(&error))?;
        let schema = springtide_tablet::arrow_schema(&table.schema);
        Ok(super::encode::columns(&schema, None)
            .into_iter()
            .filter(|column| wildcard.is_empty() || super::rows::like(wildcard, &column.name))
            .map(|column| column.of_table(&database, &table.name))
            .collect())
    }

    async fn reset(&mut self) -> Result<(), MysqlError> {
        self.prepared.clear();
        let globals = fresh_variables(&self.shared.core);
        if let Some(login) = &mut self.login {
            let database = login.session.database.take();
            let account = login.session.account.clone();
            login.session = Session::new(self.info.connection_id, self.info.peer, account, globals);
            login.session.database = database;
            login.guard.set_warehouse(&login.session.warehouse);
        }
        Ok(())
    }

    async fn on_disconnect(&mut self) {
        self.login = None;
    }
}

/// The kind of a statement, for the audit.
pub(super) fn query_type(statement: Option<&Statement>) -> QueryType {
    let Some(statement) = statement else {
        return QueryType::Other;
    };
    match statement {
        Statement::Query(_) | Statement::Explain { .. } => QueryType::Query,
        Statement::Insert(_) => QueryType::Dml,
        Statement::CreateDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::CreateTable(_)
        | Statement::DropTable { .. }
        | Statement::TruncateTable { .. }
        | Statement::AlterTable { .. } => QueryType::Ddl,
        _ => QueryType::Other,
    }
}
