//! Intents about tables and partitions.

use std::{collections::BTreeMap, collections::HashSet, sync::Arc};

use springtide_model::{
    Column, DataType, PartitionBound, PartitionId, PartitionRange, TableId, TableSchema, TabletId, Version,
};

use super::{
    check_name,
    range::{canonical_range, check_overlap, check_partition_column, position},
};
use crate::{
    catalog::Catalog,
    edit::Edit,
    entity::{Partition, Table},
    error::{CatalogError, ErrorKind},
};

/// Most columns of a table.
pub const MAX_COLUMNS: usize = 4096;
/// Most tablets of a partition.
pub const MAX_BUCKETS: u32 = 1024;
/// Most partitions of a table.
pub const MAX_PARTITIONS: usize = 4096;

/// `CREATE TABLE`.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Database by name.
    pub database: String,
    /// Name.
    pub name: String,
    /// Columns, keys, distribution.
    pub schema: TableSchema,
    /// Partitions in order of declaration; empty for an unpartitioned table.
    pub partitions: Vec<NewPartition>,
    /// `COMMENT`; may be empty.
    pub comment: String,
    /// `PROPERTIES`.
    pub properties: BTreeMap<String, String>,
}

/// A partition to be made.
#[derive(Clone, Debug)]
pub struct NewPartition {
    /// Name.
    pub name: String,
    /// Which rows.
    pub range: NewRange,
}

/// How a partition's range was written.
#[derive(Clone, Debug)]
pub enum NewRange {
    /// `VALUES [lower, upper)`.
    Fixed(PartitionRange),
    /// `VALUES LESS THAN (upper)`: from the greatest upper bound of the partitions before it.
    LessThan(PartitionBound),
}

impl Catalog {
    /// `CREATE TABLE [IF NOT EXISTS]`.
    ///
    /// # Errors
    /// When the database is unknown, the table is there, or the schema breaks a rule.
    pub fn create_table(&self, table: &NewTable, if_not_exists: bool, now_ms: u64) -> Result<Vec<Edit>, CatalogError> {
        let database = self.resolve_database(&table.database)?;
        check_name("table", &table.name)?;
        if self.table(database.id, &table.name).is_some() {
            return if if_not_exists {
                Ok(Vec::new())
            } else {
                Err(table_exists(&table.name))
            };
        }
        check_schema(&table.schema)?;
        let mut ids = self.next_id..;
        let id = TableId(take(&mut ids));
        let partitions = match table.schema.partition_column {
            None if table.partitions.is_empty() => {
                vec![make_partition(
                    &mut ids,
                    &table.name,
                    None,
                    table.schema.distribution.buckets,
                    now_ms,
                )]
            }
            None => {
                return Err(CatalogError::invalid(
                    "partitions need PARTITION BY RANGE(column); without it leave them out",
                ));
            }
            Some(_) if table.partitions.is_empty() => {
                return Err(CatalogError::invalid(
                    "a table with PARTITION BY RANGE needs at least one partition",
                ));
            }
            Some(column) => add_partitions(&table.schema.columns[column], &[], &table.partitions)?
                .into_iter()
                .map(|(name, range)| {
                    make_partition(&mut ids, &name, Some(range), table.schema.distribution.buckets, now_ms)
                })
                .collect(),
        };
        let mut table = Table {
            id,
            database: database.id,
            name: table.name.clone(),
            schema: Arc::new(table.schema.clone()),
            partitions: partitions.into_iter().map(Arc::new).collect(),
            comment: table.comment.clone(),
            properties: table.properties.clone(),
            created_ms: now_ms,
        };
        table.partitions.sort_by(|a, b| lower(a).cmp(&lower(b)));
        Ok(vec![Edit::CreateTable { table }])
    }

    /// `DROP TABLE [IF EXISTS]`.
    ///
    /// # Errors
    /// When the database or the table is unknown.
    pub fn drop_table(&self, database: &str, name: &str, if_exists: bool) -> Result<Vec<Edit>, CatalogError> {
        match self.resolve_table(database, name) {
            Ok(table) => Ok(vec![Edit::DropTable { id: table.id }]),
            Err(error) if if_exists && error.kind() == ErrorKind::UnknownTable => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// `ALTER TABLE … RENAME`.
    ///
    /// # Errors
    /// When the table is unknown, or one of the new name is there.
    pub fn rename_table(&self, database: &str, name: &str, new_name: &str) -> Result<Vec<Edit>, CatalogError> {
        let table = self.resolve_table(database, name)?;
        check_name("table", new_name)?;
        if self.table(table.database, new_name).is_some() {
            return Err(table_exists(new_name));
        }
        Ok(vec![Edit::RenameTable {
            id: table.id,
            name: new_name.to_owned(),
        }])
    }

    /// `TRUNCATE TABLE`: every partition is replaced by an empty one of the same name and range. Loads that run into the table
    /// fail at their commit.
    ///
    /// # Errors
    /// When the table is unknown.
    pub fn truncate_table(&self, database: &str, name: &str, now_ms: u64) -> Result<Vec<Edit>, CatalogError> {
        let table = self.resolve_table(database, name)?;
        let mut ids = self.next_id..;
        let mut edits = Vec::with_capacity(table.partitions.len() * 2);
        for partition in &table.partitions {
            edits.push(Edit::DropPartition {
                table: table.id,
                partition: partition.id,
            });
            edits.push(Edit::AddPartition {
                table: table.id,
                partition: make_partition(
                    &mut ids,
                    &partition.name,
                    partition.range.clone(),
                    table.schema.distribution.buckets,
                    now_ms,
                ),
            });
        }
        Ok(edits)
    }

    /// `ALTER TABLE … ADD PARTITION [IF NOT EXISTS]`.
    ///
    /// # Errors
    /// When the table is unknown or unpartitioned, the partition is there, or its range overlaps another.
    pub fn add_partition(
        &self,
        database: &str,
        name: &str,
        partition: &NewPartition,
        if_not_exists: bool,
        now_ms: u64,
    ) -> Result<Vec<Edit>, CatalogError> {
        let table = self.resolve_table(database, name)?;
        let Some(column) = table.schema.partition_column else {
            return Err(CatalogError::invalid(format!("table '{name}' is not partitioned")));
        };
        if if_not_exists && table.partition_by_name(&partition.name).is_some() {
            return Ok(Vec::new());
        }
        let added = add_partitions(
            &table.schema.columns[column],
            &table.partitions,
            std::slice::from_ref(partition),
        )?;
        let mut ids = self.next_id..;
        Ok(added
            .into_iter()
            .map(|(partition_name, range)| Edit::AddPartition {
                table: table.id,
                partition: make_partition(
                    &mut ids,
                    &partition_name,
                    Some(range),
                    table.schema.distribution.buckets,
                    now_ms,
                ),
            })
            .collect())
    }

    /// `ALTER TABLE … DROP PARTITION [IF EXISTS]`.
    ///
    /// # Errors
    /// When the table is unknown or unpartitioned, or the partition is.
    pub fn drop_partition(
        &self,
        database: &str,
        name: &str,
        partition: &str,
        if_exists: bool,
    ) -> Result<Vec<Edit>, CatalogError> {
        let table = self.resolve_table(database, name)?;
        if table.schema.partition_column.is_none() {
            return Err(CatalogError::invalid(format!(
                "table '{name}' is not partitioned; use TRUNCATE TABLE to empty it"
            )));
        }
        match table.partition_by_name(partition) {
            Some(found) => Ok(vec![Edit::DropPartition {
                table: table.id,
                partition: found.id,
            }]),
            None if if_exists => Ok(Vec::new()),
            None => Err(CatalogError::new(
                ErrorKind::UnknownPartition,
                format!("Error in list of partitions to [{partition}]"),
            )),
        }
    }
}

fn table_exists(name: &str) -> CatalogError {
    CatalogError::new(ErrorKind::TableExists, format!("Table '{name}' already exists"))
}

fn lower(partition: &Partition) -> Option<(u8, Option<&springtide_model::Literal>)> {
    partition.range.as_ref().map(|range| position(&range.lower))
}

fn take(ids: &mut std::ops::RangeFrom<u64>) -> u64 {
    let id = ids.start;
    ids.start += 1;
    id
}

fn make_partition(
    ids: &mut std::ops::RangeFrom<u64>,
    name: &str,
    range: Option<PartitionRange>,
    buckets: u32,
    now_ms: u64,
) -> Partition {
    Partition {
        id: PartitionId(take(ids)),
        name: name.to_owned(),
        range,
        tablets: (0..buckets).map(|_| TabletId(take(ids))).collect(),
        visible_version: Version::INITIAL,
        metadata: None,
        visible_ms: now_ms,
    }
}

/// Names and canonical ranges of `new`, checked against each other and against `existing`.
fn add_partitions(
    column: &Column,
    existing: &[Arc<Partition>],
    new: &[NewPartition],
) -> Result<Vec<(String, PartitionRange)>, CatalogError> {
    if existing.len() + new.len() > MAX_PARTITIONS {
        return Err(CatalogError::invalid(format!(
            "a table has at most {MAX_PARTITIONS} partitions"
        )));
    }
    let mut greatest = existing
        .iter()
        .filter_map(|partition| partition.range.as_ref())
        .map(|range| range.upper.clone())
        .max_by(|a, b| position(a).cmp(&position(b)))
        .unwrap_or(PartitionBound::MinValue);
    let mut names: HashSet<String> = existing.iter().map(|p| p.name.to_ascii_lowercase()).collect();
    let mut added: Vec<(String, PartitionRange)> = Vec::with_capacity(new.len());
    for partition in new {
        check_name("partition", &partition.name)?;
        if !names.insert(partition.name.to_ascii_lowercase()) {
            return Err(CatalogError::new(
                ErrorKind::PartitionExists,
                format!("Duplicate partition name {}", partition.name),
            ));
        }
        let written = match &partition.range {
            NewRange::Fixed(range) => range.clone(),
            NewRange::LessThan(upper) => PartitionRange {
                lower: greatest.clone(),
                upper: upper.clone(),
            },
        };
        let range = canonical_range(column, &partition.name, &written)?;
        if position(&range.upper) > position(&greatest) {
            greatest = range.upper.clone();
        }
        added.push((partition.name.clone(), range));
    }
    let all: Vec<(&str, Option<&PartitionRange>)> = existing
        .iter()
        .map(|partition| (partition.name.as_str(), partition.range.as_ref()))
        .chain(added.iter().map(|(name, range)| (name.as_str(), Some(range))))
        .collect();
    check_overlap(&all)?;
    Ok(added)
}

fn check_schema(schema: &TableSchema) -> Result<(), CatalogError> {
    if schema.columns.is_empty() || schema.columns.len() > MAX_COLUMNS {
        return Err(CatalogError::invalid(format!(
            "a table must have 1 to {MAX_COLUMNS} columns"
        )));
    }
    let mut names = HashSet::new();
    for column in &schema.columns {
        check_name("column", &column.name)?;
        check_type(column)?;
        if !names.insert(column.name.to_lowercase()) {
            return Err(CatalogError::new(
                ErrorKind::DuplicateColumn,
                format!("Duplicate column name '{}'", column.name),
            ));
        }
    }
    if schema.key_columns == 0 || schema.key_columns > schema.columns.len() {
        return Err(CatalogError::invalid(
            "DUPLICATE KEY must name at least one of the leading columns",
        ));
    }
    for key in &schema.columns[..schema.key_columns] {
        if matches!(
            key.data_type,
            DataType::Float | DataType::Double | DataType::Json | DataType::Varbinary
        ) {
            return Err(CatalogError::invalid(format!(
                "key column '{}' must not be FLOAT, DOUBLE, JSON or VARBINARY: they have no order to sort by",
                key.name
            )));
        }
    }
    if let Some(column) = schema.partition_column {
        let column = schema
            .columns
            .get(column)
            .ok_or_else(|| CatalogError::invalid("the partition column is not a column of the table"))?;
        check_partition_column(column)?;
    }
    check_distribution(schema)
}

fn check_type(column: &Column) -> Result<(), CatalogError> {
    let name = &column.name;
    match column.data_type {
        DataType::Decimal { precision, scale }
            if !(1..=38).contains(&precision) || scale < 0 || i16::from(scale) > i16::from(precision) =>
        {
            Err(CatalogError::invalid(format!(
                "column '{name}' must be DECIMAL(1 to 38, 0 to the precision)"
            )))
        }
        DataType::Char { length } if !(1..=255).contains(&length) => {
            Err(CatalogError::invalid(format!("column '{name}' must be CHAR(1 to 255)")))
        }
        DataType::Varchar { length } if !(1..=1_048_576).contains(&length) => Err(CatalogError::invalid(format!(
            "column '{name}' must be VARCHAR(1 to 1048576)"
        ))),
        _ => Ok(()),
    }
}

fn check_distribution(schema: &TableSchema) -> Result<(), CatalogError> {
    let distribution = &schema.distribution;
    if !(1..=MAX_BUCKETS).contains(&distribution.buckets) {
        return Err(CatalogError::invalid(format!("BUCKETS must be 1 to {MAX_BUCKETS}")));
    }
    let mut seen = HashSet::new();
    for index in &distribution.columns {
        let column = schema
            .columns
            .get(*index)
            .ok_or_else(|| CatalogError::invalid("a column of DISTRIBUTED BY HASH is not a column of the table"))?;
        if !seen.insert(*index) {
            return Err(CatalogError::invalid(format!(
                "DISTRIBUTED BY HASH names column '{}' twice",
                column.name
            )));
        }
        if matches!(column.data_type, DataType::Float | DataType::Double | DataType::Json) {
            return Err(CatalogError::invalid(format!(
                "column '{}' cannot be hashed: FLOAT, DOUBLE and JSON have more than one spelling of a value",
                column.name
            )));
        }
    }
    Ok(())
}
