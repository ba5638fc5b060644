//! Databases, tables and what is in them.

use std::sync::Arc;

use springtide_catalog::{Catalog, Database, Table};
use springtide_model::{Column, Literal, TableSchema};
use springtide_mysql::MysqlError;
use springtide_sql::{TableDescription, TableName, column_type_name, create_table_text, quote_identifier};

use super::{Context, bytes_text, distribution_key, range_text, time_text};
use crate::core::LoadState;
use crate::front::{
    errors::{self, Kind, from_core},
    information_schema::{self, InformationSchema, SYSTEM_DATABASES},
    rows::Rows,
};

const PARTITIONS: &[&str] = &[
    "PartitionId",
    "PartitionName",
    "CompactVersion",
    "VisibleVersion",
    "NextVersion",
    "State",
    "PartitionKey",
    "Range",
    "DistributionKey",
    "Buckets",
    "DataSize",
    "StorageSize",
    "RowCount",
    "EnableDataCache",
    "AsyncWrite",
    "AvgCS",
    "P50CS",
    "MaxCS",
    "DataVersion",
    "VersionEpoch",
    "VersionTxnType",
    "MetaSwitchVersion",
];
const TABLE_STATUS: &[&str] = &[
    "Name",
    "Engine",
    "Version",
    "Row_format",
    "Rows",
    "Avg_row_length",
    "Data_length",
    "Max_data_length",
    "Index_length",
    "Data_free",
    "Auto_increment",
    "Create_time",
    "Update_time",
    "Check_time",
    "Collation",
    "Checksum",
    "Create_options",
    "Comment",
];
const LOADS: &[&str] = &[
    "JobId",
    "Label",
    "State",
    "Progress",
    "Type",
    "Priority",
    "ScanRows",
    "FilteredRows",
    "UnselectedRows",
    "SinkRows",
    "EtlInfo",
    "TaskInfo",
    "ErrorMsg",
    "CreateTime",
    "EtlStartTime",
    "EtlFinishTime",
    "LoadStartTime",
    "LoadFinishTime",
    "TrackingSQL",
    "JobDetails",
    "Warehouse",
];

fn database_named(context: Context<'_>, name: Option<&str>) -> Result<(Arc<Catalog>, Arc<Database>), MysqlError> {
    let name = context.session.database_or(name)?;
    let catalog = context.shared.core.catalog();
    let database = catalog
        .database(name)
        .cloned()
        .ok_or_else(|| errors::unknown_database(name))?;
    Ok((catalog, database))
}

fn table_named(context: Context<'_>, name: &TableName) -> Result<Arc<Table>, MysqlError> {
    let (catalog, database) = database_named(context, name.database.as_deref())?;
    catalog
        .table(database.id, &name.table)
        .cloned()
        .ok_or_else(|| Kind::UnknownTable.analyzing(&format!("Unknown table '{}.{}'", database.name, name.table)))
}

pub(super) fn databases(context: Context<'_>) -> Rows {
    let catalog = context.shared.core.catalog();
    let mut names: Vec<String> = catalog.databases().map(|database| database.name.clone()).collect();
    names.extend(SYSTEM_DATABASES.iter().map(|name| (*name).to_owned()));
    names.sort();
    let mut rows = Rows::new(&["Database"]);
    for name in names {
        rows.push_text([name]);
    }
    rows
}

pub(super) fn tables(context: Context<'_>, database: Option<&str>, full: bool) -> Result<Rows, MysqlError> {
    let name = context.session.database_or(database)?;
    let (names, kind) = if information_schema::is_system_database(name) {
        (information_schema::table_names(name), "SYSTEM VIEW")
    } else {
        let (catalog, database) = database_named(context, Some(name))?;
        let names = catalog.tables_of(database.id).map(|table| table.name.clone()).collect();
        (names, "BASE TABLE")
    };
    let mut rows = Rows::new(if full { &["", "Table_type"] } else { &[""] });
    rows.columns[0] = format!("Tables_in_{name}").into();
    for name in names {
        if full {
            rows.push_text([name, kind.to_owned()]);
        } else {
            rows.push_text([name]);
        }
    }
    Ok(rows)
}

pub(super) async fn table_status(context: Context<'_>, database: Option<&str>) -> Result<Rows, MysqlError> {
    let (catalog, database) = database_named(context, database)?;
    let information = InformationSchema::new(&context.shared.core, context.session);
    let mut rows = Rows::new(TABLE_STATUS);
    for table in catalog.tables_of(database.id) {
        let (count, bytes) = information.size(table).await?;
        let updated = table.partitions.iter().map(|partition| partition.visible_ms).max();
        rows.push(vec![
            Some(table.name.clone()),
            Some("StarRocks".to_owned()),
            None,
            Some(String::new()),
            Some(count.to_string()),
            Some(bytes.checked_div(count).unwrap_or(0).to_string()),
            Some(bytes.to_string()),
            None,
            None,
            None,
            None,
            time_text(Some(table.created_ms)),
            time_text(updated),
            None,
            Some("utf8_general_ci".to_owned()),
            None,
            Some(String::new()),
            Some(table.comment.clone()),
        ]);
    }
    Ok(rows)
}

/// Columns of a table of the catalog or of `information_schema`.
fn schema_of(context: Context<'_>, name: &TableName) -> Result<Arc<TableSchema>, MysqlError> {
    let database = context.session.database_or(name.database.as_deref())?;
    if information_schema::is_system_database(database) {
        return information_schema::definition(database, &name.table)
            .ok_or_else(|| errors::unknown_table(database, &name.table));
    }
    Ok(Arc::clone(&table_named(context, name)?.schema))
}

fn default_text(column: &Column) -> Option<String> {
    match &column.default {
        None | Some(Literal::Null) => None,
        Some(Literal::Text(text)) => Some(text.clone()),
        Some(Literal::Int(value)) => Some(value.to_string()),
        Some(Literal::Boolean(value)) => Some(if *value { "1" } else { "0" }.to_owned()),
    }
}

fn yes_no(yes: bool) -> String {
    if yes { "YES" } else { "NO" }.to_owned()
}

pub(super) fn describe(context: Context<'_>, name: &TableName) -> Result<Rows, MysqlError> {
    let schema = schema_of(context, name)?;
    let mut rows = Rows::new(&["Field", "Type", "Null", "Key", "Default", "Extra"]);
    for (index, column) in schema.columns.iter().enumerate() {
        let is_key = index < schema.key_columns;
        rows.push(vec![
            Some(column.name.clone()),
            Some(column_type_name(&column.data_type)),
            Some(yes_no(column.nullable)),
            Some(is_key.to_string()),
            default_text(column),
            Some(if is_key { "" } else { "NONE" }.to_owned()),
        ]);
    }
    Ok(rows)
}

pub(super) fn columns(context: Context<'_>, name: &TableName, full: bool) -> Result<Rows, MysqlError> {
    let schema = schema_of(context, name)?;
    let mut rows = Rows::new(if full {
        &[
            "Field",
            "Type",
            "Collation",
            "Null",
            "Key",
            "Default",
            "Extra",
            "Privileges",
            "Comment",
        ]
    } else {
        &["Field", "Type", "Null", "Key", "Default", "Extra"]
    });
    for (index, column) in schema.columns.iter().enumerate() {
        let key = if index < schema.key_columns { "YES" } else { "NO" }.to_owned();
        let (field, kind) = (Some(column.name.clone()), Some(column_type_name(&column.data_type)));
        let (null, default) = (Some(yes_no(column.nullable)), default_text(column));
        rows.push(if full {
            let (collation, comment) = (Some("utf8_general_ci".to_owned()), Some(column.comment.clone()));
            let empty = || Some(String::new());
            vec![
                field,
                kind,
                collation,
                null,
                Some(key),
                default,
                empty(),
                empty(),
                comment,
            ]
        } else {
            vec![field, kind, null, Some(key), default, Some(String::new())]
        });
    }
    Ok(rows)
}

pub(super) fn indexes(context: Context<'_>, name: &TableName) -> Result<Rows, MysqlError> {
    schema_of(context, name)?;
    Ok(Rows::new(&[
        "Table",
        "Non_unique",
        "Key_name",
        "Seq_in_index",
        "Column_name",
        "Collation",
        "Cardinality",
        "Sub_part",
        "Packed",
        "Null",
        "Index_type",
        "Comment",
    ]))
}

pub(super) fn create_table(context: Context<'_>, name: &TableName) -> Result<Rows, MysqlError> {
    let table = table_named(context, name)?;
    let text = create_table_text(&TableDescription {
        name: &table.name,
        schema: &table.schema,
        partitions: table
            .partitions
            .iter()
            .filter_map(|partition| Some((partition.name.as_str(), partition.range.as_ref()?)))
            .collect(),
        comment: &table.comment,
    });
    let mut rows = Rows::new(&["Table", "Create Table"]);
    rows.push_text([table.name.clone(), text]);
    Ok(rows)
}

pub(super) fn create_database(context: Context<'_>, name: &str) -> Result<Rows, MysqlError> {
    if !information_schema::is_system_database(name) {
        database_named(context, Some(name))?;
    }
    let mut rows = Rows::new(&["Database", "Create Database"]);
    rows.push_text([name.to_owned(), format!("CREATE DATABASE {}", quote_identifier(name))]);
    Ok(rows)
}

pub(super) async fn partitions(context: Context<'_>, name: &TableName) -> Result<Rows, MysqlError> {
    let table = table_named(context, name)?;
    let schema = &table.schema;
    let key = schema
        .partition_column
        .and_then(|index| schema.columns.get(index))
        .map(|column| column.name.clone());
    let mut rows = Rows::new(PARTITIONS);
    for partition in &table.partitions {
        let metadata = context
            .shared
            .core
            .partition_metadata(partition)
            .await
            .map_err(|error| from_core(&error))?;
        let version = partition.visible_version;
        let size = bytes_text(metadata.stored_bytes());
        rows.push_text([
            partition.id.to_string(),
            partition.name.clone(),
            "0".to_owned(),
            version.to_string(),
            version.next().to_string(),
            "NORMAL".to_owned(),
            key.clone().unwrap_or_default(),
            range_text(schema, partition.range.as_ref()),
            distribution_key(schema),
            partition.tablets.len().to_string(),
            size.clone(),
            size,
            metadata.rows().to_string(),
            "true".to_owned(),
            "false".to_owned(),
            "0.00".to_owned(),
            "0.00".to_owned(),
            "0.00".to_owned(),
            version.to_string(),
            metadata.epoch.to_string(),
            "TXN_NORMAL".to_owned(),
            "0".to_owned(),
        ]);
    }
    Ok(rows)
}

pub(super) async fn tablets(context: Context<'_>, name: &TableName) -> Result<Rows, MysqlError> {
    let table = table_named(context, name)?;
    let mut rows = Rows::new(&[
        "TabletId",
        "BackendId",
        "DataSize",
        "RowCount",
        "MinVersion",
        "VirtualBuckets",
    ]);
    for partition in &table.partitions {
        let metadata = context
            .shared
            .core
            .partition_metadata(partition)
            .await
            .map_err(|error| from_core(&error))?;
        for (bucket, tablet) in partition.tablets.iter().enumerate() {
            let segments = metadata
                .tablets
                .iter()
                .filter(|metadata| metadata.tablet == *tablet)
                .flat_map(|metadata| &metadata.segments);
            let (bytes, count) = segments.fold((0, 0), |(bytes, rows), segment| {
                (bytes + segment.length, rows + segment.rows)
            });
            rows.push_text([
                tablet.to_string(),
                "[]".to_owned(),
                bytes_text(bytes),
                count.to_string(),
                "0".to_owned(),
                format!("[{bucket}]"),
            ]);
        }
    }
    Ok(rows)
}

pub(super) fn loads(context: Context<'_>, database: Option<&str>) -> Result<Rows, MysqlError> {
    let (_, database) = database_named(context, database)?;
    let mut rows = Rows::new(LOADS);
    for load in context.shared.core.loads(Some(database.id)) {
        let mut row = vec![Some(String::new()); LOADS.len()];
        let (state, reason) = match &load.state {
            LoadState::Loading => ("LOADING", ""),
            LoadState::Committed => ("COMMITTED", ""),
            LoadState::Finished => ("FINISHED", ""),
            LoadState::Cancelled { reason } => ("CANCELLED", reason.as_str()),
        };
        row[0] = Some(load.txn.to_string());
        row[1] = Some(load.label.clone());
        row[2] = Some(state.to_owned());
        row[9] = Some(load.rows.unwrap_or(0).to_string());
        row[12] = Some(reason.to_owned());
        row[13] = time_text(load.begun_ms);
        row[16] = time_text(load.begun_ms);
        row[17] = time_text(load.ended_ms);
        rows.push(row);
    }
    Ok(rows)
}
