//! What each edit does. Pure, and total over replay: an edit that does not fit is an error and leaves the catalog as it was.

use std::sync::Arc;

use springtide_model::{DatabaseId, PartitionId, TableId, TxnId, Version};

use super::Catalog;
use crate::{
    edit::{Edit, PartitionVersion, Record},
    entity::{Database, Partition, Table, Transaction, TransactionStatus},
    error::CatalogError,
};

impl Catalog {
    /// Applies all edits of a record, or none.
    ///
    /// # Errors
    /// Kind `DoesNotApply` when an edit does not fit the state.
    pub fn apply_record(&mut self, record: &Record) -> Result<(), CatalogError> {
        let mut next = self.clone();
        for edit in &record.edits {
            next.apply(edit)?;
        }
        *self = next;
        Ok(())
    }

    /// Applies one edit.
    ///
    /// # Errors
    /// Kind `DoesNotApply` when the edit does not fit the state, which is then unchanged.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), CatalogError> {
        if self.identity.is_none() && !matches!(edit, Edit::Bootstrap { .. }) {
            return Err(CatalogError::does_not_apply("the first edit must be a bootstrap"));
        }
        match edit {
            Edit::Bootstrap { identity } => {
                require(self.identity.is_none(), || "a second bootstrap".to_owned())?;
                self.identity = Some(identity.clone());
            }
            Edit::Claim => self.with_identity(|identity| identity.claimed = true),
            Edit::BeginEpoch { epoch } => {
                let current = self.identity.as_ref().map(|identity| identity.epoch);
                require(Some(*epoch) > current, || {
                    format!("epoch {epoch} is not after the current one")
                })?;
                self.with_identity(|identity| identity.epoch = *epoch);
            }
            Edit::ReserveTransactions { below } => self.next_txn = self.next_txn.max(*below),
            Edit::CreateDatabase { database } => self.create_database_edit(database)?,
            Edit::DropDatabase { id } => self.drop_database_edit(*id)?,
            Edit::CreateTable { table } => self.create_table_edit(table)?,
            Edit::DropTable { id } => self.drop_table_edit(*id)?,
            Edit::RenameTable { id, name } => self.rename_table_edit(*id, name)?,
            Edit::AddPartition { table, partition } => self.add_partition_edit(*table, partition)?,
            Edit::DropPartition { table, partition } => self.drop_partition_edit(*table, *partition)?,
            Edit::CreateUser { user } => {
                require(!self.users.contains_key(&user.name), || {
                    format!("user {} is there already", user.name)
                })?;
                self.users.insert_mut(user.name.clone(), Arc::new(user.clone()));
            }
            Edit::SetPassword {
                user,
                password,
                mounted,
            } => {
                let mut changed = self.user(user).ok_or_else(|| missing("user", user))?.as_ref().clone();
                changed.password = password.clone();
                if mounted.is_some() {
                    changed.mounted.clone_from(mounted);
                }
                self.users.insert_mut(user.clone(), Arc::new(changed));
            }
            Edit::DropUser { user } => require(self.users.remove_mut(user), || format!("user {user} is not there"))?,
            Edit::AddComputeNode { node } => {
                require(!self.nodes.contains_key(&node.id), || {
                    format!("compute node {} is there already", node.id)
                })?;
                self.use_id(node.id.0);
                self.nodes.insert_mut(node.id, Arc::new(node.clone()));
            }
            Edit::DropComputeNode { id } => {
                require(self.nodes.remove_mut(id), || format!("compute node {id} is not there"))?;
            }
            Edit::SetGlobal {
                name,
                value: Some(value),
            } => {
                self.globals.insert_mut(name.clone(), value.clone());
            }
            Edit::SetGlobal { name, value: None } => {
                self.globals.remove_mut(name);
            }
            Edit::Commit {
                txn,
                database,
                table,
                label,
                objects,
                rows,
                committed_ms,
            } => self.commit_edit(Transaction {
                id: *txn,
                database: *database,
                table: *table,
                label: label.clone(),
                objects: objects.clone(),
                rows: *rows,
                committed_ms: *committed_ms,
                status: TransactionStatus::Committed,
            })?,
            Edit::Publish {
                table,
                txns,
                partitions,
                visible_ms,
            } => self.publish_edit(*table, txns, partitions, *visible_ms)?,
            Edit::ForgetTransactions { txns } => self.forget_edit(txns)?,
        }
        Ok(())
    }

    fn with_identity(&mut self, change: impl FnOnce(&mut crate::Identity)) {
        if let Some(identity) = &mut self.identity {
            change(identity);
        }
    }

    /// Ids are never given out again, whatever edits carry them.
    fn use_id(&mut self, id: u64) {
        self.next_id = self.next_id.max(id.saturating_add(1));
    }

    fn create_database_edit(&mut self, database: &Database) -> Result<(), CatalogError> {
        require(
            !self.databases.contains_key(&database.id) && !self.database_names.contains_key(&database.name),
            || format!("database {} is there already", database.name),
        )?;
        self.use_id(database.id.0);
        self.database_names.insert_mut(database.name.clone(), database.id);
        self.databases.insert_mut(database.id, Arc::new(database.clone()));
        Ok(())
    }

    fn drop_database_edit(&mut self, id: DatabaseId) -> Result<(), CatalogError> {
        let database = self.databases.get(&id).ok_or_else(|| missing("database", id))?.clone();
        let tables: Vec<TableId> = self.tables_of(id).map(|table| table.id).collect();
        for table in tables {
            self.drop_table_edit(table)?;
        }
        self.databases.remove_mut(&id);
        self.database_names.remove_mut(&database.name);
        Ok(())
    }

    fn create_table_edit(&mut self, table: &Table) -> Result<(), CatalogError> {
        require(self.databases.contains_key(&table.database), || {
            format!("database {} is not there", table.database)
        })?;
        let name = (table.database, table.name.clone());
        require(
            !self.tables.contains_key(&table.id) && !self.table_names.contains_key(&name),
            || format!("table {} is there already", table.name),
        )?;
        self.use_id(table.id.0);
        for partition in &table.partitions {
            self.use_ids_of(partition);
        }
        self.table_names.insert_mut(name, table.id);
        self.tables.insert_mut(table.id, Arc::new(table.clone()));
        Ok(())
    }

    fn use_ids_of(&mut self, partition: &Partition) {
        self.use_id(partition.id.0);
        for tablet in &partition.tablets {
            self.use_id(tablet.0);
        }
    }

    fn drop_table_edit(&mut self, id: TableId) -> Result<(), CatalogError> {
        let table = self.tables.get(&id).ok_or_else(|| missing("table", id))?.clone();
        self.tables.remove_mut(&id);
        self.table_names.remove_mut(&(table.database, table.name.clone()));
        Ok(())
    }

    fn rename_table_edit(&mut self, id: TableId, name: &str) -> Result<(), CatalogError> {
        let mut table = self.table_to_change(id)?;
        let new_name = (table.database, name.to_owned());
        require(!self.table_names.contains_key(&new_name), || {
            format!("table {name} is there already")
        })?;
        self.table_names.remove_mut(&(table.database, table.name.clone()));
        self.table_names.insert_mut(new_name, id);
        name.clone_into(&mut table.name);
        self.tables.insert_mut(id, Arc::new(table));
        Ok(())
    }

    fn table_to_change(&self, id: TableId) -> Result<Table, CatalogError> {
        Ok(self
            .tables
            .get(&id)
            .ok_or_else(|| missing("table", id))?
            .as_ref()
            .clone())
    }

    fn add_partition_edit(&mut self, id: TableId, partition: &Partition) -> Result<(), CatalogError> {
        let mut table = self.table_to_change(id)?;
        require(table.partition(partition.id).is_none(), || {
            format!("partition {} is there already", partition.id)
        })?;
        let lower = partition.range.as_ref().map(|range| &range.lower);
        let position = table
            .partitions
            .iter()
            .position(|other| crate::intent::bound_is_less(lower, other.range.as_ref().map(|range| &range.lower)))
            .unwrap_or(table.partitions.len());
        table.partitions.insert(position, Arc::new(partition.clone()));
        self.use_ids_of(partition);
        self.tables.insert_mut(id, Arc::new(table));
        Ok(())
    }

    fn drop_partition_edit(&mut self, id: TableId, partition: PartitionId) -> Result<(), CatalogError> {
        let mut table = self.table_to_change(id)?;
        let before = table.partitions.len();
        table.partitions.retain(|other| other.id != partition);
        require(table.partitions.len() < before, || {
            format!("partition {partition} is not there")
        })?;
        self.tables.insert_mut(id, Arc::new(table));
        Ok(())
    }

    fn commit_edit(&mut self, txn: Transaction) -> Result<(), CatalogError> {
        let label = (txn.database, txn.label.clone());
        require(
            !self.transactions.contains_key(&txn.id) && !self.labels.contains_key(&label),
            || format!("transaction {} or its label {} is there already", txn.id, txn.label),
        )?;
        self.next_txn = self.next_txn.max(TxnId(txn.id.0.saturating_add(1)));
        self.labels.insert_mut(label, txn.id);
        self.transactions.insert_mut(txn.id, Arc::new(txn));
        Ok(())
    }

    fn publish_edit(
        &mut self,
        id: TableId,
        txns: &[TxnId],
        versions: &[PartitionVersion],
        visible_ms: u64,
    ) -> Result<(), CatalogError> {
        let mut published = Vec::with_capacity(txns.len());
        for txn in txns {
            let txn = self.transactions.get(txn).ok_or_else(|| missing("transaction", txn))?;
            require(!txn.is_visible() && txn.table == id, || {
                format!("transaction {} is visible already, or of another table", txn.id)
            })?;
            published.push(Transaction {
                objects: Vec::new(),
                status: TransactionStatus::Visible { at_ms: visible_ms },
                ..txn.as_ref().clone()
            });
        }
        if !versions.is_empty() {
            let mut table = self.table_to_change(id)?;
            for version in versions {
                publish_partition(&mut table, version, visible_ms)?;
            }
            self.tables.insert_mut(id, Arc::new(table));
        }
        for txn in published {
            self.transactions.insert_mut(txn.id, Arc::new(txn));
        }
        Ok(())
    }

    fn forget_edit(&mut self, txns: &[TxnId]) -> Result<(), CatalogError> {
        for id in txns {
            let txn = self.transactions.get(id).ok_or_else(|| missing("transaction", id))?;
            require(txn.is_visible(), || format!("transaction {id} is not visible yet"))?;
        }
        for id in txns {
            if let Some(txn) = self.transactions.get(id).cloned() {
                self.transactions.remove_mut(id);
                self.labels.remove_mut(&(txn.database, txn.label.clone()));
            }
        }
        Ok(())
    }
}

fn publish_partition(table: &mut Table, next: &PartitionVersion, visible_ms: u64) -> Result<(), CatalogError> {
    let partition = table
        .partitions
        .iter_mut()
        .find(|partition| partition.id == next.partition)
        .ok_or_else(|| missing("partition", next.partition))?;
    let visible: Version = partition.visible_version;
    require(next.version == visible.next(), || {
        format!(
            "version {} of partition {} does not follow {visible}",
            next.version, next.partition
        )
    })?;
    let partition = Arc::make_mut(partition);
    partition.visible_version = next.version;
    partition.metadata = Some(next.metadata.clone());
    partition.visible_ms = visible_ms;
    Ok(())
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), CatalogError> {
    if holds {
        Ok(())
    } else {
        Err(CatalogError::does_not_apply(otherwise()))
    }
}

fn missing(what: &str, which: impl std::fmt::Display) -> CatalogError {
    CatalogError::does_not_apply(format!("{what} {which} is not there"))
}
