//! The state and how to look into it.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use springtide_model::{ComputeNode, DatabaseId, NodeId, TableId, TxnId};

use crate::{
    LABEL_KEEP_MAX, LABEL_KEEP_MS,
    entity::{Database, Identity, Table, Transaction, TransactionStatus, User},
    error::CatalogError,
};

mod apply;
#[cfg(test)]
pub(crate) mod tests;

/// All metadata at one moment. Maps share their structure with the catalogs they were made from, so that a clone costs a few
/// pointers and an edit a logarithm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    pub(crate) identity: Option<Identity>,
    pub(crate) next_id: u64,
    pub(crate) next_txn: TxnId,
    pub(crate) databases: RedBlackTreeMapSync<DatabaseId, Arc<Database>>,
    pub(crate) database_names: RedBlackTreeMapSync<String, DatabaseId>,
    pub(crate) tables: RedBlackTreeMapSync<TableId, Arc<Table>>,
    pub(crate) table_names: RedBlackTreeMapSync<(DatabaseId, String), TableId>,
    pub(crate) users: RedBlackTreeMapSync<String, Arc<User>>,
    pub(crate) nodes: RedBlackTreeMapSync<NodeId, Arc<ComputeNode>>,
    pub(crate) globals: RedBlackTreeMapSync<String, String>,
    pub(crate) transactions: RedBlackTreeMapSync<TxnId, Arc<Transaction>>,
    pub(crate) labels: RedBlackTreeMapSync<(DatabaseId, String), TxnId>,
}

/// First id of the sequence for databases, tables, partitions, tablets and nodes; below it there is room for built-in ones.
pub(crate) const FIRST_ID: u64 = 10_001;
/// First transaction id.
pub(crate) const FIRST_TXN: TxnId = TxnId(1);

impl Catalog {
    /// A catalog before its first edit.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            next_id: FIRST_ID,
            next_txn: FIRST_TXN,
            ..Self::default()
        }
    }

    /// Which cluster this is; `None` before [`crate::Edit::Bootstrap`].
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// First transaction id that was never given out.
    #[must_use]
    pub fn next_txn(&self) -> TxnId {
        self.next_txn
    }

    /// All databases, by id.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<Database>> {
        self.databases.values()
    }

    /// The database of this name; case matters.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases.get(self.database_names.get(name)?)
    }

    /// The database with this id.
    #[must_use]
    pub fn database_by_id(&self, id: DatabaseId) -> Option<&Arc<Database>> {
        self.databases.get(&id)
    }

    /// All tables of all databases, by id.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The tables of one database, by name.
    pub fn tables_of(&self, database: DatabaseId) -> impl Iterator<Item = &Arc<Table>> {
        self.table_names
            .range((database, String::new())..)
            .take_while(move |((owner, _), _)| *owner == database)
            .filter_map(|(_, id)| self.tables.get(id))
    }

    /// The table of this name; case matters.
    #[must_use]
    pub fn table(&self, database: DatabaseId, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(self.table_names.get(&(database, name.to_owned()))?)
    }

    /// The table with this id.
    #[must_use]
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables.get(&id)
    }

    /// The table `database.name`.
    ///
    /// # Errors
    /// When there is no such database, or no such table in it.
    pub fn resolve_table(&self, database: &str, name: &str) -> Result<&Arc<Table>, CatalogError> {
        let owner = self.resolve_database(database)?;
        self.table(owner.id, name)
            .ok_or_else(|| CatalogError::unknown_table(database, name))
    }

    /// The database called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn resolve_database(&self, name: &str) -> Result<&Arc<Database>, CatalogError> {
        self.database(name).ok_or_else(|| CatalogError::unknown_database(name))
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The user of this name; case matters.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All compute nodes, by id.
    pub fn compute_nodes(&self) -> impl Iterator<Item = &Arc<ComputeNode>> {
        self.nodes.values()
    }

    /// The compute node with this id.
    #[must_use]
    pub fn compute_node(&self, id: NodeId) -> Option<&Arc<ComputeNode>> {
        self.nodes.get(&id)
    }

    /// The compute node that was added as `host:port`.
    #[must_use]
    pub fn compute_node_at(&self, host: &str, heartbeat_port: u16) -> Option<&Arc<ComputeNode>> {
        self.nodes
            .values()
            .find(|node| node.host == host && node.heartbeat_port == heartbeat_port)
    }

    /// Names of all warehouses: the default one, and those that some node serves.
    #[must_use]
    pub fn warehouses(&self) -> Vec<String> {
        let mut names: std::collections::BTreeSet<&str> =
            self.nodes.values().map(|node| node.warehouse.as_str()).collect();
        names.insert(springtide_model::DEFAULT_WAREHOUSE);
        names.into_iter().map(str::to_owned).collect()
    }

    /// Values of `SET GLOBAL`, by lower-case name.
    pub fn globals(&self) -> impl Iterator<Item = (&str, &str)> {
        self.globals.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Value of `SET GLOBAL name`, name in lower case; `None` where it was never set.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<&str> {
        self.globals.get(name).map(String::as_str)
    }

    /// Committed and visible transactions, by id.
    pub fn transactions(&self) -> impl Iterator<Item = &Arc<Transaction>> {
        self.transactions.values()
    }

    /// The transaction with this id, if it was committed and is not forgotten.
    #[must_use]
    pub fn transaction(&self, id: TxnId) -> Option<&Arc<Transaction>> {
        self.transactions.get(&id)
    }

    /// The committed transaction with this label.
    #[must_use]
    pub fn transaction_by_label(&self, database: DatabaseId, label: &str) -> Option<&Arc<Transaction>> {
        self.transactions.get(self.labels.get(&(database, label.to_owned()))?)
    }

    /// Transactions that are committed and not yet visible, in order of id.
    pub fn unpublished(&self) -> impl Iterator<Item = &Arc<Transaction>> {
        self.transactions.values().filter(|txn| !txn.is_visible())
    }

    /// Visible transactions that may be forgotten at `now_ms`, oldest ids first, at most [`crate::FORGET_BATCH`].
    #[must_use]
    pub fn forgettable(&self, now_ms: u64) -> Vec<TxnId> {
        let too_many = self.transactions.size().saturating_sub(LABEL_KEEP_MAX);
        self.transactions
            .values()
            .enumerate()
            .filter_map(|(position, txn)| match txn.status {
                TransactionStatus::Visible { at_ms } => {
                    (position < too_many || at_ms.saturating_add(LABEL_KEEP_MS) <= now_ms).then_some(txn.id)
                }
                TransactionStatus::Committed => None,
            })
            .take(crate::FORGET_BATCH)
            .collect()
    }
}
