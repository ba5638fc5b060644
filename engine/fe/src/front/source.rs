//! The catalog as one statement sees it: looked up before planning, since metadata objects are read from the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use springtide_catalog::{Catalog, Table};
use springtide_mysql::MysqlError;
use springtide_query::{SnapshotPartition, SourceTable, TableSnapshot, TableSource};
use springtide_sql::TableName;

use super::{
    errors::{self, from_core},
    information_schema::{self, InformationSchema},
    session::Session,
};
use crate::core::Core;

/// Metadata objects that one statement reads at a time.
const CONCURRENT_READS: usize = 16;

/// The tables of one statement.
#[derive(Debug)]
pub(crate) struct StatementSource {
    catalog: Arc<Catalog>,
    tables: BTreeMap<(String, String), SourceTable>,
    rows: u64,
}

impl StatementSource {
    /// Looks up `tables`.
    ///
    /// # Errors
    /// Unknown names; a metadata object that cannot be read.
    pub(crate) async fn load(
        core: &Core,
        session: &Session,
        information: &InformationSchema<'_>,
        names: &[TableName],
    ) -> Result<Self, MysqlError> {
        let catalog = core.catalog();
        let mut tables = BTreeMap::new();
        let mut rows = 0;
        for name in names {
            let database = session.database_or(name.database.as_deref())?;
            let key = (database.to_owned(), name.table.clone());
            if information_schema::is_system_database(database) {
                let table = information
                    .table(database, &name.table)
                    .await?
                    .ok_or_else(|| errors::unknown_table(database, &name.table))?;
                tables.insert(key, SourceTable::Memory(table));
                continue;
            }
            let owner = catalog
                .database(database)
                .ok_or_else(|| errors::unknown_database(database))?;
            let table = catalog
                .table(owner.id, &name.table)
                .ok_or_else(|| errors::unknown_table(database, &name.table))?;
            let snapshot = snapshot(core, database, table).await?;
            rows += snapshot.rows();
            tables.insert(key, SourceTable::Lake(snapshot));
        }
        Ok(Self { catalog, tables, rows })
    }

    /// Whether it reads a table of the lake, which nodes do.
    pub(crate) fn reads_lake(&self) -> bool {
        self.tables.values().any(|table| matches!(table, SourceTable::Lake(_)))
    }

    /// Rows of all lake tables: what the statement may have to scan.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

async fn snapshot(core: &Core, database: &str, table: &Table) -> Result<TableSnapshot, MysqlError> {
    let partitions = stream::iter(table.partitions.iter().cloned())
        .map(|partition| async move {
            let metadata = core
                .partition_metadata(&partition)
                .await
                .map_err(|error| from_core(&error))?;
            Ok::<_, MysqlError>(SnapshotPartition {
                id: partition.id,
                name: partition.name.clone(),
                range: partition.range.clone(),
                metadata,
            })
        })
        .buffered(CONCURRENT_READS)
        .try_collect()
        .await?;
    Ok(TableSnapshot {
        database: database.to_owned(),
        name: table.name.clone(),
        schema: Arc::clone(&table.schema),
        partitions,
    })
}

impl TableSource for StatementSource {
    fn databases(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.catalog.databases().map(|database| database.name.clone()).collect();
        names.extend(
            information_schema::SYSTEM_DATABASES
                .iter()
                .map(|name| (*name).to_owned()),
        );
        names.into_iter().collect()
    }

    fn tables(&self, database: &str) -> Option<Vec<String>> {
        if information_schema::is_system_database(database) {
            return Some(information_schema::table_names(database));
        }
        let owner = self.catalog.database(database)?;
        Some(
            self.catalog
                .tables_of(owner.id)
                .map(|table| table.name.clone())
                .collect(),
        )
    }

    fn table(&self, database: &str, name: &str) -> Option<SourceTable> {
        self.tables.get(&(database.to_owned(), name.to_owned())).cloned()
    }
}
