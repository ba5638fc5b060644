//! `SHOW` and `DESC`, in StarRocks' columns.

mod cluster;
mod proc;
mod schema;
mod server;

use springtide_model::{Literal, PartitionBound, PartitionRange, TableSchema};
use springtide_mysql::MysqlError;
use springtide_sql::{Show, ShowKind, TableName};

use super::{Shared, errors::Kind, rows::Rows, session::Session};

/// What a `SHOW` needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) session: &'a Session,
}

pub(crate) async fn run(context: Context<'_>, show: &Show) -> Result<Rows, MysqlError> {
    let mut rows = rows_of(context, &show.what).await?;
    rows.filter(show.filter.as_ref());
    Ok(rows)
}

async fn rows_of(context: Context<'_>, what: &ShowKind) -> Result<Rows, MysqlError> {
    Ok(match what {
        ShowKind::Frontends => cluster::frontends(context),
        ShowKind::ComputeNodes => cluster::compute_nodes(context),
        ShowKind::Backends => Rows::new(cluster::BACKENDS),
        ShowKind::Warehouses => cluster::warehouses(context),
        ShowKind::Processlist { full } => cluster::processlist(context, *full),
        ShowKind::Proc(path) => proc::proc(context, path)?,
        ShowKind::Databases => schema::databases(context),
        ShowKind::Tables { database, full } => schema::tables(context, database.as_deref(), *full)?,
        ShowKind::TableStatus { database } => schema::table_status(context, database.as_deref()).await?,
        ShowKind::Columns { table, full } => schema::columns(context, table, *full)?,
        ShowKind::Indexes { table } => schema::indexes(context, table)?,
        ShowKind::CreateTable(table) => schema::create_table(context, table)?,
        ShowKind::CreateDatabase(name) => schema::create_database(context, name)?,
        ShowKind::Partitions(table) => schema::partitions(context, table).await?,
        ShowKind::Tablets(table) => schema::tablets(context, table).await?,
        ShowKind::Load { database } => schema::loads(context, database.as_deref())?,
        other => server::rows_of(context, other)?,
    })
}

pub(crate) fn describe(context: Context<'_>, table: &TableName) -> Result<Rows, MysqlError> {
    schema::describe(context, table)
}

/// A time as StarRocks shows it; `NULL` for none.
pub(crate) fn time_text(ms: Option<u64>) -> Option<String> {
    let ms = i64::try_from(ms.filter(|ms| *ms > 0)?).ok()?;
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Bytes as StarRocks shows them, for example `8.000GB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    #[allow(clippy::cast_precision_loss, reason = "shown with three digits after the point")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.3}{}", UNITS[unit])
}

/// Names of the hashed columns, `ALL KEY` for random distribution.
pub(crate) fn distribution_key(schema: &TableSchema) -> String {
    let names: Vec<&str> = schema
        .distribution
        .columns
        .iter()
        .filter_map(|index| schema.columns.get(*index))
        .map(|column| column.name.as_str())
        .collect();
    if names.is_empty() {
        "ALL KEY".to_owned()
    } else {
        names.join(", ")
    }
}

/// `[types: [DATE]; keys: [2024-01-01]; ..types: [DATE]; keys: [2024-02-01]; )`, empty without a range.
pub(crate) fn range_text(schema: &TableSchema, range: Option<&PartitionRange>) -> String {
    let (Some(range), Some(column)) = (
        range,
        schema.partition_column.and_then(|index| schema.columns.get(index)),
    ) else {
        return String::new();
    };
    let type_name = springtide_sql::column_type_name(&column.data_type).to_uppercase();
    let type_name = type_name.split('(').next().unwrap_or_default();
    let bound = |bound: &PartitionBound| {
        let key = match bound {
            PartitionBound::MinValue => "MINVALUE".to_owned(),
            PartitionBound::MaxValue => "MAXVALUE".to_owned(),
            PartitionBound::Value(Literal::Text(text)) => text.clone(),
            PartitionBound::Value(Literal::Int(value)) => value.to_string(),
            PartitionBound::Value(Literal::Boolean(value)) => value.to_string(),
            PartitionBound::Value(Literal::Null) => "NULL".to_owned(),
        };
        format!("types: [{type_name}]; keys: [{key}]; ")
    };
    format!("[{}..{})", bound(&range.lower), bound(&range.upper))
}

pub(crate) fn unknown_path(path: &str) -> MysqlError {
    Kind::Invalid.analyzing(&format!(
        "Unknown proc node path: {path}. msg: Cannot find path: {path}"
    ))
}

#[cfg(test)]
mod tests;
