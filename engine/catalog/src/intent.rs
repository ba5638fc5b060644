//! From what a statement wants to the edits that do it, or a refusal in words for the client.
//!
//! Intents look at the newest catalog, so they must run where edits are put in order; their edits then always apply.

use springtide_model::{ComputeNode, DEFAULT_WAREHOUSE, DatabaseId, NodeId, TableId, TxnId};

use crate::{
    catalog::Catalog,
    edit::{Edit, PartitionVersion},
    entity::{Database, Identity, PasswordHash, Role, User},
    error::{CatalogError, ErrorKind},
};

mod range;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use range::bound_is_less;
pub use table::{MAX_BUCKETS, MAX_COLUMNS, MAX_PARTITIONS, NewPartition, NewRange, NewTable};

/// Most bytes of a name of a database, table, partition, user or warehouse.
pub const MAX_NAME_BYTES: usize = 256;
/// Most bytes of a label.
pub const MAX_LABEL_BYTES: usize = 128;
/// Databases that the frontend shows without keeping them here.
pub const SYSTEM_DATABASES: [&str; 4] = ["information_schema", "sys", "_statistics_", "mysql"];

/// A transaction that is complete.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Which.
    pub txn: TxnId,
    /// Whose label.
    pub database: DatabaseId,
    /// What it wrote to.
    pub table: TableId,
    /// Its label.
    pub label: String,
    /// Partitions that it wrote to; all must still be there.
    pub partitions: Vec<springtide_model::PartitionId>,
    /// The data objects that it wrote.
    pub objects: Vec<String>,
    /// Rows that it wrote.
    pub rows: u64,
    /// When, milliseconds since 1970.
    pub committed_ms: u64,
}

impl Catalog {
    /// The first edits of a cluster: who it is, and its administrator.
    ///
    /// # Errors
    /// When the catalog is not empty, or the user's name or password breaks a rule.
    pub fn bootstrap(
        &self,
        identity: Identity,
        admin: &str,
        admin_password: PasswordHash,
    ) -> Result<Vec<Edit>, CatalogError> {
        let created_ms = identity.created_ms;
        let mut edits = vec![Edit::Bootstrap { identity }];
        edits.extend(self.create_user(admin, admin_password.clone(), Role::Admin, false, created_ms)?);
        edits.push(Edit::SetPassword {
            user: admin.to_owned(),
            mounted: Some(admin_password.clone()),
            password: admin_password,
        });
        Ok(edits)
    }

    /// `CREATE DATABASE [IF NOT EXISTS]`.
    ///
    /// # Errors
    /// When it is there, or the name breaks a rule.
    pub fn create_database(&self, name: &str, if_not_exists: bool, now_ms: u64) -> Result<Vec<Edit>, CatalogError> {
        check_name("database", name)?;
        if self.database(name).is_some() || is_system_database(name) {
            return if if_not_exists {
                Ok(Vec::new())
            } else {
                Err(CatalogError::new(
                    ErrorKind::DatabaseExists,
                    format!("Can't create database '{name}'; database exists"),
                ))
            };
        }
        let database = Database {
            id: DatabaseId(self.next_id),
            name: name.to_owned(),
            created_ms: now_ms,
        };
        Ok(vec![Edit::CreateDatabase { database }])
    }

    /// `DROP DATABASE [IF EXISTS]`, with all its tables.
    ///
    /// # Errors
    /// When it is not there, or is a system database.
    pub fn drop_database(&self, name: &str, if_exists: bool) -> Result<Vec<Edit>, CatalogError> {
        if is_system_database(name) {
            return Err(CatalogError::invalid(format!("cannot drop system database '{name}'")));
        }
        match self.database(name) {
            Some(database) => Ok(vec![Edit::DropDatabase { id: database.id }]),
            None if if_exists => Ok(Vec::new()),
            None => Err(CatalogError::new(
                ErrorKind::DropUnknownDatabase,
                format!("Can't drop database '{name}'; database doesn't exist"),
            )),
        }
    }

    /// `CREATE USER [IF NOT EXISTS]`. The empty password is refused by its hash.
    ///
    /// # Errors
    /// When the user is there, the name breaks a rule, or the password is empty.
    pub fn create_user(
        &self,
        name: &str,
        password: PasswordHash,
        role: Role,
        if_not_exists: bool,
        now_ms: u64,
    ) -> Result<Vec<Edit>, CatalogError> {
        check_name("user", name)?;
        if name == "root" {
            return Err(CatalogError::invalid(
                "there is no user 'root' here; choose another name and give it the role it needs",
            ));
        }
        check_password(&password)?;
        if self.user(name).is_some() {
            return if if_not_exists {
                Ok(Vec::new())
            } else {
                Err(CatalogError::new(
                    ErrorKind::UserExists,
                    format!("Operation CREATE USER failed for '{name}'@'%' : user already exists."),
                ))
            };
        }
        let user = User {
            name: name.to_owned(),
            password,
            role,
            created_ms: now_ms,
            mounted: None,
        };
        Ok(vec![Edit::CreateUser { user }])
    }

    /// `ALTER USER … IDENTIFIED BY`, `SET PASSWORD`.
    ///
    /// # Errors
    /// When the user is not there, or the password is empty.
    pub fn set_password(&self, name: &str, password: PasswordHash) -> Result<Vec<Edit>, CatalogError> {
        check_password(&password)?;
        if self.user(name).is_none() {
            return Err(unknown_user("ALTER USER", name));
        }
        Ok(vec![Edit::SetPassword {
            user: name.to_owned(),
            password,
            mounted: None,
        }])
    }

    /// The administrator's mounted Secret holds `password`. It is taken over once for each content of the Secret: what was changed by SQL
    /// since stays until the Secret changes again. A catalog of an engine that took nothing over only remembers what the Secret holds: it
    /// is not known which of the two passwords is the newer.
    ///
    /// # Errors
    /// When there is no administrator of this name, or the password is empty.
    pub fn take_over_password(&self, name: &str, password: &PasswordHash) -> Result<Vec<Edit>, CatalogError> {
        check_password(password)?;
        let user = self.user(name).ok_or_else(|| unknown_user("ALTER USER", name))?;
        if user.role != Role::Admin {
            return Err(CatalogError::invalid(format!(
                "user '{name}' is no administrator; the Secret names the one that was made with the cluster"
            )));
        }
        let new = match &user.mounted {
            Some(mounted) if mounted == password => return Ok(Vec::new()),
            Some(_) => password,
            None => &user.password,
        };
        Ok(vec![Edit::SetPassword {
            user: name.to_owned(),
            password: new.clone(),
            mounted: Some(password.clone()),
        }])
    }

    /// `DROP USER [IF EXISTS]`. The last administrator stays.
    ///
    /// # Errors
    /// When the user is not there, or is the last administrator.
    pub fn drop_user(&self, name: &str, if_exists: bool) -> Result<Vec<Edit>, CatalogError> {
        let Some(user) = self.user(name) else {
            return if if_exists {
                Ok(Vec::new())
            } else {
                Err(unknown_user("DROP USER", name))
            };
        };
        let admins = self.users().filter(|user| user.role == Role::Admin).count();
        if user.role == Role::Admin && admins == 1 {
            return Err(CatalogError::invalid(format!(
                "user '{name}' is the last administrator; create another one first"
            )));
        }
        Ok(vec![Edit::DropUser { user: name.to_owned() }])
    }

    /// `ALTER SYSTEM ADD COMPUTE NODE "host:port" [, …] [INTO WAREHOUSE w]`. A warehouse begins with its first node.
    ///
    /// # Errors
    /// When one of the nodes is there, or a name breaks a rule; then none is added.
    pub fn add_compute_nodes(
        &self,
        nodes: &[(String, u16)],
        warehouse: Option<&str>,
    ) -> Result<Vec<Edit>, CatalogError> {
        let warehouse = warehouse.unwrap_or(DEFAULT_WAREHOUSE);
        check_name("warehouse", warehouse)?;
        let mut edits = Vec::with_capacity(nodes.len());
        for (position, (host, port)) in nodes.iter().enumerate() {
            check_name("host", host)?;
            if *port == 0 {
                return Err(CatalogError::invalid(format!(
                    "port of compute node {host} must not be 0"
                )));
            }
            let again = nodes[..position].iter().any(|(h, p)| h == host && p == port);
            if again || self.compute_node_at(host, *port).is_some() {
                return Err(CatalogError::new(
                    ErrorKind::ComputeNodeExists,
                    format!("Compute node already exists with same host {host} and port {port}"),
                ));
            }
            let node = ComputeNode {
                id: NodeId(self.next_id + position as u64),
                host: host.clone(),
                heartbeat_port: *port,
                warehouse: warehouse.to_owned(),
            };
            edits.push(Edit::AddComputeNode { node });
        }
        Ok(edits)
    }

    /// `ALTER SYSTEM DROP COMPUTE NODE "host:port" [, …] [FROM WAREHOUSE w]`. Without a warehouse the node is dropped from
    /// whichever it serves.
    ///
    /// # Errors
    /// When one of the nodes is not there, or serves another warehouse; then none is dropped.
    pub fn drop_compute_nodes(
        &self,
        nodes: &[(String, u16)],
        warehouse: Option<&str>,
    ) -> Result<Vec<Edit>, CatalogError> {
        let mut edits = Vec::with_capacity(nodes.len());
        for (host, port) in nodes {
            let unknown = || {
                CatalogError::new(
                    ErrorKind::UnknownComputeNode,
                    format!("compute node does not exists[{host}:{port}]"),
                )
            };
            let node = self.compute_node_at(host, *port).ok_or_else(unknown)?;
            if let Some(warehouse) = warehouse
                && node.warehouse != warehouse
            {
                return Err(CatalogError::new(
                    ErrorKind::UnknownComputeNode,
                    format!(
                        "compute node {host}:{port} is in warehouse {}, not in {warehouse}",
                        node.warehouse
                    ),
                ));
            }
            edits.push(Edit::DropComputeNode { id: node.id });
        }
        Ok(edits)
    }

    /// `SET GLOBAL name = value`; `None` is `DEFAULT`. Whether the variable exists is the caller's to know.
    ///
    /// # Errors
    /// When the name breaks a rule.
    pub fn set_global(&self, name: &str, value: Option<String>) -> Result<Vec<Edit>, CatalogError> {
        check_name("variable", name)?;
        Ok(vec![Edit::SetGlobal {
            name: name.to_ascii_lowercase(),
            value,
        }])
    }

    /// Commits a transaction, if the table and the partitions that it wrote to are still there.
    ///
    /// # Errors
    /// When one of them is gone, or the label was used by another transaction.
    pub fn commit(&self, commit: Commit) -> Result<Vec<Edit>, CatalogError> {
        if let Some(other) = self.transaction_by_label(commit.database, &commit.label) {
            return Err(label_exists(&commit.label, other.id));
        }
        let table = self.table_by_id(commit.table).ok_or_else(|| {
            CatalogError::new(
                ErrorKind::UnknownTable,
                format!(
                    "the table of transaction {} was dropped while it was loaded",
                    commit.txn
                ),
            )
        })?;
        for partition in &commit.partitions {
            if table.partition(*partition).is_none() {
                return Err(CatalogError::new(
                    ErrorKind::UnknownPartition,
                    format!(
                        "a partition of table '{}' was dropped while transaction {} loaded into it",
                        table.name, commit.txn
                    ),
                ));
            }
        }
        Ok(vec![Edit::Commit {
            txn: commit.txn,
            database: commit.database,
            table: commit.table,
            label: commit.label,
            objects: commit.objects,
            rows: commit.rows,
            committed_ms: commit.committed_ms,
        }])
    }

    /// Makes committed transactions visible. Partitions that were dropped since `versions` was built are left out, and so are
    /// all when the table is gone: there is nothing left to see.
    #[must_use]
    pub fn publish(
        &self,
        table: TableId,
        txns: Vec<TxnId>,
        mut versions: Vec<PartitionVersion>,
        visible_ms: u64,
    ) -> Vec<Edit> {
        let current = self.table_by_id(table);
        versions.retain(|version| current.is_some_and(|table| table.partition(version.partition).is_some()));
        vec![Edit::Publish {
            table,
            txns,
            partitions: versions,
            visible_ms,
        }]
    }

    /// Refuses a label that is empty, too long, or has characters that cannot be a part of a path or a log line.
    ///
    /// # Errors
    /// When it breaks that rule.
    pub fn check_label(label: &str) -> Result<(), CatalogError> {
        let allowed = |c: char| c.is_alphanumeric() || "-_.:@ ".contains(c);
        if label.is_empty() || label.len() > MAX_LABEL_BYTES || !label.chars().all(allowed) {
            return Err(CatalogError::invalid(format!(
                "label must have 1 to {MAX_LABEL_BYTES} bytes of letters, digits, '-', '_', '.', ':' and '@'"
            )));
        }
        Ok(())
    }
}

/// The refusal of a label that transaction `other` has.
pub(crate) fn label_exists(label: &str, other: TxnId) -> CatalogError {
    CatalogError::new(
        ErrorKind::LabelExists,
        format!("Label [{label}] has already been used by transaction {other}"),
    )
}

fn unknown_user(operation: &str, name: &str) -> CatalogError {
    CatalogError::new(
        ErrorKind::UnknownUser,
        format!("Operation {operation} failed for '{name}'@'%' : user not exists."),
    )
}

fn is_system_database(name: &str) -> bool {
    SYSTEM_DATABASES.iter().any(|system| system.eq_ignore_ascii_case(name))
}

/// Names appear in messages, paths of HTTP and results, so they hold no control characters and no slash.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), CatalogError> {
    let plain = !name.chars().any(|c| c.is_control() || c == '/' || c == '`') && name.trim() == name;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !plain {
        return Err(CatalogError::invalid(format!(
            "Incorrect {what} name '{}': use 1 to {MAX_NAME_BYTES} bytes without control characters, '/' and '`'",
            name.escape_debug()
        )));
    }
    Ok(())
}

fn check_password(password: &PasswordHash) -> Result<(), CatalogError> {
    if *password == PasswordHash::of_password(b"") {
        return Err(CatalogError::invalid("password must not be empty"));
    }
    Ok(())
}
