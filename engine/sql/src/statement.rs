//! What a statement says, after parsing: names are as written, nothing is looked up.

use springtide_model::{PartitionRange, TableSchema};
use sqlparser::ast::Query as QueryAst;

/// A statement with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Its own text, without those of other statements sent with it and without the closing semicolon.
    pub text: String,
    /// How many `?` it has.
    pub parameters: usize,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "statements are parsed one at a time and never kept in bulk"
)]
pub enum Statement {
    /// Nothing but comments.
    Empty,
    /// `SELECT`, `VALUES`, `WITH … SELECT`.
    Query(Box<QueryAst>),
    /// `EXPLAIN` of a query.
    Explain {
        /// How much to show.
        mode: ExplainMode,
        /// The query.
        query: Box<QueryAst>,
    },
    /// `INSERT INTO`.
    Insert(Insert),
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// Its name.
        name: String,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `DROP DATABASE`.
    DropDatabase {
        /// Its name.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE TABLE`.
    CreateTable(CreateTable),
    /// `DROP TABLE`.
    DropTable {
        /// Its name.
        table: TableName,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `TRUNCATE TABLE`.
    TruncateTable {
        /// Its name.
        table: TableName,
    },
    /// `ALTER TABLE`.
    AlterTable {
        /// Its name.
        table: TableName,
        /// What to change.
        action: AlterTableAction,
    },
    /// `SHOW …`.
    Show(Show),
    /// `DESC table`.
    Describe {
        /// The table.
        table: TableName,
    },
    /// `SET …`: in the order written.
    Set(Vec<SetItem>),
    /// `USE database` or `USE catalog.database`.
    Use {
        /// The catalog, where it is named.
        catalog: Option<String>,
        /// The database.
        database: String,
    },
    /// `KILL [QUERY|CONNECTION] id`.
    Kill {
        /// The connection.
        connection: u64,
        /// Only what it runs, not the connection itself.
        query_only: bool,
    },
    /// `ALTER SYSTEM …`.
    AlterSystem(AlterSystem),
    /// `ADMIN SET FRONTEND CONFIG ("name" = "value")`.
    SetFrontendConfig {
        /// Name of the setting, as written.
        name: String,
        /// Its value, as text.
        value: String,
    },
    /// `CREATE WAREHOUSE`.
    CreateWarehouse {
        /// Its name.
        name: String,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `DROP WAREHOUSE`.
    DropWarehouse {
        /// Its name.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE USER`.
    CreateUser {
        /// Who.
        user: UserName,
        /// The password; `None` where the statement has none.
        password: Option<Password>,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `ALTER USER … IDENTIFIED BY`.
    AlterUser {
        /// Who.
        user: UserName,
        /// The new password.
        password: Password,
    },
    /// `DROP USER`.
    DropUser {
        /// Who.
        user: UserName,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `GRANT privileges|role … TO`.
    Grant {
        /// Role names or privileges, as written.
        privileges: Vec<String>,
        /// What they are on, as written; `None` for roles.
        object: Option<String>,
        /// To whom.
        user: UserName,
        /// Whether it is `REVOKE … FROM`.
        revoke: bool,
    },
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// A statement that is accepted and does nothing, such as `UNLOCK TABLES`.
    NoOperation,
}

/// `[database.]table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The database, where it is named.
    pub database: Option<String>,
    /// The table.
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        f.write_str(&self.table)
    }
}

/// What `EXPLAIN` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainMode {
    /// The plan.
    Plan,
    /// `EXPLAIN VERBOSE`: the logical plan too.
    Verbose,
    /// `EXPLAIN ANALYZE`: runs the query and shows its metrics.
    Analyze,
}

/// `INSERT INTO target [WITH LABEL label] [(columns)] source`.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Where the rows go.
    pub target: TableName,
    /// The label; it is loaded at most once.
    pub label: Option<String>,
    /// Named columns; empty for all, in order.
    pub columns: Vec<String>,
    /// `VALUES` or a query.
    pub source: Box<QueryAst>,
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub table: TableName,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns, key, partition column, distribution; `schema_id` is 0.
    pub schema: TableSchema,
    /// Range partitions in order of range, without overlap; empty when `schema.partition_column` is `None`.
    pub partitions: Vec<PartitionDefinition>,
    /// `COMMENT`; may be empty.
    pub comment: String,
    /// `PROPERTIES`, keys in lower case.
    pub properties: Vec<(String, String)>,
}

/// A range partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDefinition {
    /// Its name.
    pub name: String,
    /// Its range.
    pub range: PartitionRange,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
}

/// What `ALTER TABLE` changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterTableAction {
    /// `ADD PARTITION name VALUES …`. For `VALUES LESS THAN` the lower bound is `MinValue`: the end of the partition
    /// before it takes its place.
    AddPartition(PartitionDefinition),
    /// `DROP PARTITION [IF EXISTS] name`.
    DropPartition {
        /// Its name.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `RENAME new_name`, in the same database.
    Rename {
        /// The new name.
        name: String,
    },
}

/// `ALTER SYSTEM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterSystem {
    /// `ADD COMPUTE NODE "host:port", … [INTO WAREHOUSE w]`.
    AddComputeNodes {
        /// Hosts and heartbeat ports.
        nodes: Vec<HostPort>,
        /// The warehouse, where it is named.
        warehouse: Option<String>,
    },
    /// `DROP COMPUTE NODE "host:port"|id, … [FROM WAREHOUSE w]`.
    DropComputeNodes {
        /// Which.
        nodes: Vec<NodeReference>,
        /// The warehouse, where it is named; the nodes must be in it.
        warehouse: Option<String>,
    },
    /// `[CANCEL] DRAIN COMPUTE NODE "host:port"|id, … [FORCE]`: nothing new is sent there, and what runs there ends.
    DrainComputeNodes {
        /// Which.
        nodes: Vec<NodeReference>,
        /// What is ordered.
        order: DrainOrder,
    },
    /// `CREATE IMAGE`.
    CreateImage,
}

/// What is ordered of nodes that drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOrder {
    /// `DRAIN`: nothing new is sent there, and what runs there ends.
    Drain,
    /// `DRAIN … FORCE`: as before, and when the node is stopped, nobody waits for what runs there.
    Force,
    /// `CANCEL DRAIN`: they take work again.
    Cancel,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or address.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A compute node, by address or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeReference {
    /// As it was added.
    Address(HostPort),
    /// As `SHOW COMPUTE NODES` names it: cannot hit a node that was added later under the same address.
    Id(u64),
}

/// `'name'@'host'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// The name.
    pub name: String,
    /// Where it may come from; `%` is everywhere.
    pub host: String,
}

impl std::fmt::Display for UserName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{}'@'{}'", self.name, self.host)
    }
}

/// A password in a statement: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// In clear.
    Clear(String),
    /// `sha1(sha1(password))`, as `IDENTIFIED BY PASSWORD '*…'` gives it.
    NativeHash([u8; 20]),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

/// One assignment of `SET`.
#[derive(Clone, Debug, PartialEq)]
pub enum SetItem {
    /// A system variable.
    Variable {
        /// Whether it is for every session that begins from now on.
        global: bool,
        /// Its name in lower case.
        name: String,
        /// Its value; `None` is `DEFAULT`.
        value: Option<SetValue>,
    },
    /// `@name = value`; kept as text.
    UserVariable {
        /// Its name in lower case.
        name: String,
        /// Its value.
        value: SetValue,
    },
    /// `SET NAMES charset`, `SET CHARACTER SET charset`.
    Names {
        /// In lower case.
        charset: String,
    },
    /// `SET PASSWORD [FOR user] = PASSWORD('…')`.
    Password {
        /// Whose; `None` is the session's own user.
        user: Option<UserName>,
        /// The new one.
        password: Password,
    },
    /// `SET CATALOG name`.
    Catalog(String),
    /// `SET WAREHOUSE name`, `SET warehouse = 'name'`.
    Warehouse(String),
    /// `SET ROLE …`, `SET DEFAULT ROLE …`, `SET TRANSACTION …`: accepted, nothing to do.
    Ignored,
}

/// The right side of `SET x =`.
#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    /// A number, a string, a word or a boolean, as text.
    Text(String),
    /// `@@name`, the value of another system variable.
    Variable(String),
    /// `@name`, the value of a user variable.
    UserVariable(String),
    /// `NULL`.
    Null,
}

/// `SHOW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// What.
    pub what: ShowKind,
    /// Which of the rows.
    pub filter: Option<ShowFilter>,
}

/// Which rows of `SHOW` are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShowFilter {
    /// `LIKE 'pattern'`, on the first column.
    Like(String),
    /// `WHERE column = 'value'` or `WHERE column LIKE 'pattern'`, joined by `OR`: any of them.
    AnyOf(Vec<ColumnFilter>),
}

/// One comparison of `SHOW … WHERE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFilter {
    /// The column's name, compared without regard to case.
    pub column: String,
    /// Whether `pattern` is a pattern of `LIKE`, or a value to be equal to.
    pub like: bool,
    /// The value.
    pub pattern: String,
}

/// What `SHOW` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as its statement")]
pub enum ShowKind {
    Frontends,
    ComputeNodes,
    Backends,
    Brokers,
    Databases,
    Tables { database: Option<String>, full: bool },
    TableStatus { database: Option<String> },
    Columns { table: TableName, full: bool },
    Indexes { table: TableName },
    CreateTable(TableName),
    CreateDatabase(String),
    Partitions(TableName),
    Tablets(TableName),
    Processlist { full: bool },
    Variables { global: bool },
    Status,
    Warehouses,
    Engines,
    Charsets,
    Collations,
    Warnings,
    Errors,
    Grants { user: Option<UserName> },
    Users,
    Roles,
    Privileges,
    Authentication,
    Catalogs,
    Plugins,
    StorageVolumes,
    Proc(String),
    Load { database: Option<String> },
    Triggers,
    Events,
    Functions,
    Procedures,
    OpenTables,
    FrontendConfig,
}
