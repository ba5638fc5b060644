//! Which statement does what.

use springtide_catalog::{Catalog, CatalogError, ErrorKind, NewPartition, NewRange, NewTable};
use springtide_model::{ComputeNode, PartitionBound};
use springtide_mysql::{MysqlError, OkResult, ResultWriter};
use springtide_sql::{
    AlterSystem, AlterTableAction, CreateTable, ExplainMode, NodeReference, PartitionDefinition, Statement, TableName,
    check_bound,
};

use super::{
    Shared, accounts,
    audit::AUDIT_DATABASE,
    connection::{Login, Outcome},
    errors::{self, Kind, from_catalog, from_core, from_sql},
    information_schema, insert, query,
    rows::Rows,
    session::Session,
    set, show,
    show::Context,
};
use crate::core::{Kill, KillError};

pub(super) async fn run(
    shared: &Shared,
    login: &mut Login,
    statement: &Statement,
    out: &mut ResultWriter,
) -> Result<Outcome, MysqlError> {
    let context = Context {
        shared,
        session: &login.session,
    };
    match statement {
        Statement::Empty => Err(Kind::Invalid.error(
            "Getting syntax error at line 1, column 0. Detail message: Unexpected input '<EOF>', the most similar input is \
             {a statement}.",
        )),
        Statement::Query(ast) => query::run(shared, &login.session, ast, out).await.map(Outcome::Written),
        Statement::Explain { mode, query } => explain(shared, login, *mode, query, out).await,
        Statement::Insert(statement) => insert::run(shared, &login.session, statement).await.map(Outcome::Done),
        Statement::Show(statement) => show::run(context, statement).await.map(Outcome::Rows),
        Statement::Describe { table } => show::describe(context, table).map(Outcome::Rows),
        Statement::Set(items) => {
            for item in items {
                set::run(shared, login, item).await?;
            }
            Ok(Outcome::done())
        }
        Statement::Use { catalog, database } => {
            use_database(shared, login, catalog.as_deref(), database)?;
            Ok(Outcome::done())
        }
        Statement::Kill { connection, query_only } => kill(shared, login, *connection, *query_only),
        Statement::AlterSystem(action) => alter_system(shared, login, action).await,
        Statement::SetFrontendConfig { name, value } => set_frontend_config(shared, login, name, value),
        Statement::CreateWarehouse { .. } | Statement::DropWarehouse { .. } => warehouse(shared, login, statement),
        Statement::CreateUser { .. } | Statement::AlterUser { .. } | Statement::DropUser { .. } | Statement::Grant { .. } => {
            accounts::run(shared, &login.session, statement).await
        }
        // A statement is a transaction of its own; what drivers send around them has nothing to do.
        Statement::Begin | Statement::Commit | Statement::Rollback | Statement::NoOperation => Ok(Outcome::done()),
        Statement::CreateDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::CreateTable(_)
        | Statement::DropTable { .. }
        | Statement::TruncateTable { .. }
        | Statement::AlterTable { .. } => define(shared, login, statement).await,
    }
}

async fn define(shared: &Shared, login: &mut Login, statement: &Statement) -> Result<Outcome, MysqlError> {
    let core = &shared.core;
    let now = core.now_ms();
    let session = &login.session;
    let edited = match statement.clone() {
        Statement::CreateDatabase { name, if_not_exists } => {
            core.edit(move |catalog| catalog.create_database(&name, if_not_exists, now))
                .await
        }
        Statement::DropDatabase { name, if_exists } => {
            refuse_system(&name)?;
            protect_audit(session, &name)?;
            let dropped = name.clone();
            let edited = core.edit(move |catalog| catalog.drop_database(&name, if_exists)).await;
            if edited.is_ok() && session.database.as_deref() == Some(&dropped) {
                login.session.database = None;
                login.guard.set_database(None);
            }
            edited
        }
        Statement::CreateTable(table) => {
            let database = session.database_or(table.table.database.as_deref())?.to_owned();
            protect_audit(session, &database)?;
            let (new, if_not_exists) = new_table(&database, table)?;
            core.edit(move |catalog| catalog.create_table(&new, if_not_exists, now))
                .await
        }
        Statement::DropTable { table, if_exists } => {
            let (database, table) = qualified(session, &table)?;
            core.edit(move |catalog| catalog.drop_table(&database, &table, if_exists))
                .await
        }
        Statement::TruncateTable { table } => {
            let (database, table) = qualified(session, &table)?;
            core.edit(move |catalog| catalog.truncate_table(&database, &table, now))
                .await
        }
        Statement::AlterTable { table, action } => {
            let (database, table) = qualified(session, &table)?;
            match action {
                AlterTableAction::DropPartition { name, if_exists } => {
                    core.edit(move |catalog| catalog.drop_partition(&database, &table, &name, if_exists))
                        .await
                }
                AlterTableAction::Rename { name } => {
                    core.edit(move |catalog| catalog.rename_table(&database, &table, &name))
                        .await
                }
                AlterTableAction::AddPartition(definition) => {
                    let definition = fitted_partition(shared, &database, &table, definition)?;
                    let if_not_exists = definition.if_not_exists;
                    let partition = new_partition(definition);
                    core.edit(move |catalog| catalog.add_partition(&database, &table, &partition, if_not_exists, now))
                        .await
                }
            }
        }
        other => return Err(Kind::Internal.error(format!("{other:?} defines nothing"))),
    };
    edited.map_err(|error| from_core(&error))?;
    Ok(Outcome::done())
}

/// Only an administrator changes what is written of everybody's statements.
pub(super) fn protect_audit(session: &Session, database: &str) -> Result<(), MysqlError> {
    if database == AUDIT_DATABASE {
        session.require_admin("DROP", &format!("DATABASE {database}"))?;
    }
    Ok(())
}

fn refuse_system(database: &str) -> Result<(), MysqlError> {
    if information_schema::is_system_database(database) {
        return Err(errors::access_denied("DROP", &format!("DATABASE {database}")));
    }
    Ok(())
}

fn qualified(session: &Session, name: &TableName) -> Result<(String, String), MysqlError> {
    let database = session.database_or(name.database.as_deref())?;
    refuse_system(database)?;
    protect_audit(session, database)?;
    Ok((database.to_owned(), name.table.clone()))
}

pub(super) fn new_table(database: &str, table: CreateTable) -> Result<(NewTable, bool), MysqlError> {
    refuse_system(database)?;
    let CreateTable {
        table: name,
        if_not_exists,
        schema,
        partitions,
        comment,
        properties,
    } = table;
    let new = NewTable {
        database: database.to_owned(),
        name: name.table,
        schema,
        partitions: partitions
            .into_iter()
            .map(|partition| NewPartition {
                name: partition.name,
                range: NewRange::Fixed(partition.range),
            })
            .collect(),
        comment,
        properties: properties.into_iter().collect(),
    };
    Ok((new, if_not_exists))
}

/// `VALUES LESS THAN` begins where the partition before it ends.
fn new_partition(definition: PartitionDefinition) -> NewPartition {
    let PartitionDefinition { name, range, .. } = definition;
    let range = match range.lower {
        PartitionBound::MinValue => NewRange::LessThan(range.upper),
        _ => NewRange::Fixed(range),
    };
    NewPartition { name, range }
}

/// Bounds in the form of the column's type, which the parser of `ALTER TABLE` does not know.
fn fitted_partition(
    shared: &Shared,
    database: &str,
    table: &str,
    mut definition: PartitionDefinition,
) -> Result<PartitionDefinition, MysqlError> {
    let catalog = shared.core.catalog();
    let table = catalog
        .resolve_table(database, table)
        .map_err(|error| errors::from_catalog(&error))?;
    if let Some(column) = table
        .schema
        .partition_column
        .and_then(|index| table.schema.columns.get(index))
    {
        let fit = |bound: &PartitionBound| check_bound(bound, &column.data_type).map_err(|error| from_sql(&error));
        definition.range.lower = fit(&definition.range.lower)?;
        definition.range.upper = fit(&definition.range.upper)?;
    }
    Ok(definition)
}

pub(super) fn use_database(
    shared: &Shared,
    login: &mut Login,
    catalog: Option<&str>,
    database: &str,
) -> Result<(), MysqlError> {
    if let Some(catalog) = catalog
        && catalog != "default_catalog"
    {
        return Err(Kind::UnknownCatalog.error(format!("Unknown catalog '{catalog}'")));
    }
    if !information_schema::is_system_database(database) && shared.core.catalog().database(database).is_none() {
        return Err(Kind::UnknownDatabase.error(format!("Unknown database '{database}'")));
    }
    login.session.database = Some(database.to_owned());
    login.guard.set_database(Some(database));
    Ok(())
}

fn kill(shared: &Shared, login: &Login, connection: u64, query_only: bool) -> Result<Outcome, MysqlError> {
    let unknown = || Kind::UnknownThread.error(format!("Unknown thread id: {connection}"));
    let id = u32::try_from(connection).map_err(|_| unknown())?;
    let what = if query_only { Kill::Query } else { Kill::Connection };
    match shared.core.sessions().kill(id, &login.session.account, what) {
        Ok(()) => Ok(Outcome::done()),
        Err(KillError::UnknownSession(_)) => Err(unknown()),
        Err(error @ KillError::NotOwner(_)) => Err(Kind::NotOwner.error(error.to_string())),
    }
}

async fn alter_system(shared: &Shared, login: &Login, action: &AlterSystem) -> Result<Outcome, MysqlError> {
    login.session.require_admin("NODE", "SYSTEM")?;
    let core = &shared.core;
    let edited = match action.clone() {
        AlterSystem::AddComputeNodes { nodes, warehouse } => {
            let nodes: Vec<(String, u16)> = nodes.into_iter().map(|node| (node.host, node.port)).collect();
            core.edit(move |catalog| catalog.add_compute_nodes(&nodes, warehouse.as_deref()))
                .await
        }
        AlterSystem::DropComputeNodes { nodes, warehouse } => {
            core.edit(move |catalog| {
                let nodes = nodes.iter().map(|node| referenced_node(catalog, node));
                let nodes: Vec<_> = nodes.collect::<Result<_, _>>()?;
                let addresses: Vec<_> = nodes
                    .iter()
                    .map(|node| (node.host.clone(), node.heartbeat_port))
                    .collect();
                catalog.drop_compute_nodes(&addresses, warehouse.as_deref())
            })
            .await
        }
        AlterSystem::DrainComputeNodes { nodes, order } => {
            let catalog = core.catalog();
            let nodes = nodes.iter().map(|node| Ok(referenced_node(&catalog, node)?.id));
            let nodes: Result<Vec<_>, CatalogError> = nodes.collect();
            nodes
                .and_then(|nodes| core.order_drain(&nodes, order))
                .map_err(|error| from_catalog(&error))?;
            return Ok(Outcome::done());
        }
        AlterSystem::CreateImage => {
            core.write_image().await.map_err(|error| from_core(&error))?;
            return Ok(Outcome::done());
        }
    };
    edited.map_err(|error| from_core(&error))?;
    Ok(Outcome::done())
}

/// Counts at once, for statements that begin from now on.
fn set_frontend_config(shared: &Shared, login: &Login, name: &str, value: &str) -> Result<Outcome, MysqlError> {
    login.session.require_admin("OPERATE", "SYSTEM")?;
    let changed = shared.core.change_setting(name, value);
    changed.map_err(|error| Kind::Invalid.error(error.to_string()))?;
    Ok(Outcome::done())
}

fn referenced_node<'a>(catalog: &'a Catalog, node: &NodeReference) -> Result<&'a ComputeNode, CatalogError> {
    let (found, text) = match node {
        NodeReference::Id(id) => (catalog.compute_node((*id).into()), id.to_string()),
        NodeReference::Address(address) => (
            catalog.compute_node_at(&address.host, address.port),
            address.to_string(),
        ),
    };
    found.map(|node| &**node).ok_or_else(|| {
        CatalogError::new(
            ErrorKind::UnknownComputeNode,
            format!("compute node does not exists[{text}]"),
        )
    })
}

/// A warehouse begins with its first node and ends with its last: there is nothing to make or to drop.
fn warehouse(shared: &Shared, login: &Login, statement: &Statement) -> Result<Outcome, MysqlError> {
    login.session.require_admin("CREATE WAREHOUSE", "SYSTEM")?;
    let nodes = |name: &str| {
        shared
            .core
            .catalog()
            .compute_nodes()
            .filter(|node| node.warehouse == *name)
            .count()
    };
    if let Statement::DropWarehouse { name, if_exists } = statement {
        let count = nodes(name);
        if count > 0 {
            return Err(Kind::Invalid.error(format!("Warehouse {name} has {count} compute nodes; drop them first.")));
        }
        if !if_exists && !shared.core.catalog().warehouses().contains(name) {
            return Err(Kind::UnknownWarehouse.error(format!("Warehouse name: {name} not exist.")));
        }
    }
    Ok(Outcome::Done(OkResult {
        info: "a warehouse is made by ALTER SYSTEM ADD COMPUTE NODE … INTO WAREHOUSE".to_owned(),
        ..OkResult::default()
    }))
}

async fn explain(
    shared: &Shared,
    login: &Login,
    mode: ExplainMode,
    ast: &springtide_sql::sqlparser::ast::Query,
    out: &ResultWriter,
) -> Result<Outcome, MysqlError> {
    let text = query::explain(shared, &login.session, mode, ast, out.cancelled()).await?;
    let mut rows = Rows::new(&["Explain String"]);
    for line in text.lines() {
        rows.push_text([line.to_owned()]);
    }
    Ok(Outcome::Rows(rows))
}
