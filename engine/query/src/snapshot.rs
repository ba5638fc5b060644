//! What a session sees of the catalog.

use std::{fmt, sync::Arc};

use datafusion::catalog::TableProvider;
use springtide_model::{PartitionId, PartitionMetadata, PartitionRange, TableSchema};

/// A table of the lake as it was when the statement was planned: immutable, so that a statement reads one state.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Database name.
    pub database: String,
    /// Table name.
    pub name: String,
    /// Columns and distribution.
    pub schema: Arc<TableSchema>,
    /// All partitions, each at its visible version.
    pub partitions: Vec<SnapshotPartition>,
}

/// A partition at its visible version.
#[derive(Clone, Debug)]
pub struct SnapshotPartition {
    /// Which partition.
    pub id: PartitionId,
    /// Its name.
    pub name: String,
    /// Its range; `None` takes every row.
    pub range: Option<PartitionRange>,
    /// Its tablets and segments.
    pub metadata: Arc<PartitionMetadata>,
}

impl TableSnapshot {
    /// Rows of all partitions.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.metadata.rows()).sum()
    }
}

/// What a name means.
#[derive(Clone)]
pub enum SourceTable {
    /// Rows on the object store, scanned by compute nodes.
    Lake(TableSnapshot),
    /// Rows that the frontend has itself (`information_schema` and the like), scanned by it.
    Memory(Arc<dyn TableProvider>),
}

impl fmt::Debug for SourceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceTable::Lake(snapshot) => f.debug_tuple("Lake").field(&snapshot.name).finish(),
            SourceTable::Memory(_) => f.write_str("Memory"),
        }
    }
}

/// The catalog, as one statement sees it. Names of databases and tables are compared exactly, as StarRocks does, except
/// where the implementation is more lenient (`information_schema`).
pub trait TableSource: fmt::Debug + Send + Sync {
    /// Names of all databases.
    fn databases(&self) -> Vec<String>;

    /// Names of the tables of a database; `None` when there is no such database.
    fn tables(&self, database: &str) -> Option<Vec<String>>;

    /// A table; `None` when there is no such database or table. Asked at most once per table and statement.
    fn table(&self, database: &str, name: &str) -> Option<SourceTable>;
}
