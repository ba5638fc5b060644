//! `CREATE TABLE` and `ALTER TABLE`.

use std::collections::HashSet;

use springtide_model::{Column, DataType, Distribution, TableSchema};
use sqlparser::tokenizer::Token;

use super::{columns, partition, table_name};
use crate::{AlterTableAction, CreateTable, SqlError, Statement, tokens::Cursor};

/// Tablets of a partition when `BUCKETS` is not given.
const DEFAULT_BUCKETS: u32 = 4;
/// Most tablets of a partition.
const MAX_BUCKETS: u32 = 1024;
/// Columns of a table.
const MAX_COLUMNS: usize = 10_000;
/// Key columns when `DUPLICATE KEY` is not given, as in StarRocks.
const DEFAULT_KEY_COLUMNS: usize = 3;

pub(super) fn create_table(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let table = table_name(cursor)?;
    if cursor.is_word("LIKE") {
        return Err(SqlError::unsupported("CREATE TABLE … LIKE", "write its columns"));
    }
    if cursor.is_word("AS") || cursor.is_word("SELECT") {
        return Err(SqlError::unsupported(
            "CREATE TABLE … AS SELECT",
            "create it and INSERT INTO it",
        ));
    }
    let columns = column_list(cursor)?;
    if cursor.take("ENGINE") {
        cursor.take_token(&Token::Eq);
        let engine = cursor.name()?;
        if !engine.eq_ignore_ascii_case("OLAP") {
            return Err(SqlError::unsupported(format!("ENGINE={engine}"), "use ENGINE=OLAP"));
        }
    }
    let mut clauses = Clauses::default();
    while !cursor.at_end() {
        clauses.take_one(cursor)?;
    }
    let (schema, partitions) = clauses.schema(columns)?;
    Ok(Statement::CreateTable(CreateTable {
        table,
        if_not_exists,
        schema,
        partitions,
        comment: clauses.comment,
        properties: clauses.properties,
    }))
}

fn column_list(cursor: &mut Cursor) -> Result<Vec<Column>, SqlError> {
    cursor.require_token(&Token::LParen)?;
    let mut columns = Vec::new();
    loop {
        if cursor.is_word("INDEX") && matches!(cursor.peek_at(1), Token::Word(_)) && *cursor.peek_at(2) == Token::LParen
        {
            return Err(SqlError::unsupported("INDEX", "leave it out"));
        }
        columns.push(columns::column(cursor)?);
        if columns.len() > MAX_COLUMNS {
            return Err(SqlError::invalid(format!(
                "A table may have at most {MAX_COLUMNS} columns."
            )));
        }
        if !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    cursor.require_token(&Token::RParen)?;
    let mut names = HashSet::new();
    for column in &columns {
        if !names.insert(column.name.to_ascii_lowercase()) {
            return Err(SqlError::DuplicateColumn(column.name.clone()));
        }
    }
    Ok(columns)
}

/// What follows the columns.
#[derive(Default)]
struct Clauses {
    key: Option<Vec<String>>,
    partition: Option<partition::PartitionClause>,
    distribution: Option<(Vec<String>, Option<u32>)>,
    comment: String,
    properties: Vec<(String, String)>,
}

impl Clauses {
    fn take_one(&mut self, cursor: &mut Cursor) -> Result<(), SqlError> {
        for model in ["PRIMARY", "UNIQUE", "AGGREGATE"] {
            if cursor.is_word(model) && cursor.is_word_at(1, "KEY") {
                return Err(SqlError::unsupported(format!("{model} KEY"), "use DUPLICATE KEY"));
            }
        }
        if self.key.is_none() && cursor.take_all(&["DUPLICATE", "KEY"]) {
            self.key = Some(cursor.parenthesized(Cursor::identifier)?);
        } else if cursor.take("COMMENT") {
            cursor.take_token(&Token::Eq);
            self.comment = cursor.string()?;
        } else if self.partition.is_none() && cursor.take_all(&["PARTITION", "BY"]) {
            self.partition = Some(partition::partition_by(cursor)?);
        } else if self.distribution.is_none() && cursor.take_all(&["DISTRIBUTED", "BY"]) {
            self.distribution = Some(distributed_by(cursor)?);
        } else if cursor.is_word("ORDER") && cursor.is_word_at(1, "BY") {
            return Err(SqlError::unsupported(
                "ORDER BY in CREATE TABLE",
                "put the columns into DUPLICATE KEY, which is the sort order",
            ));
        } else if cursor.take("PROPERTIES") {
            self.properties = property_list(cursor)?;
        } else if cursor.take("DEFAULT") {
        } else if cursor.take("CHARSET") || cursor.take_all(&["CHARACTER", "SET"]) || cursor.take("COLLATE") {
            cursor.take_token(&Token::Eq);
            cursor.name()?;
        } else {
            return cursor
                .expected("'DUPLICATE KEY', 'COMMENT', 'PARTITION BY RANGE', 'DISTRIBUTED BY', 'PROPERTIES', <EOF>");
        }
        Ok(())
    }

    fn schema(&mut self, columns: Vec<Column>) -> Result<(TableSchema, Vec<crate::PartitionDefinition>), SqlError> {
        check_properties(&self.properties)?;
        let key_columns = match &self.key {
            Some(key) => declared_key(&columns, key)?,
            None => default_key(&columns)?,
        };
        let (names, buckets) = self.distribution.take().unwrap_or_default();
        let mut distributed = Vec::new();
        for name in &names {
            let index = index_of(&columns, name)
                .ok_or_else(|| SqlError::invalid(format!("Distribution column(s) {name} doesn't exist.")))?;
            if !is_hashable(&columns[index].data_type) {
                return Err(SqlError::invalid(format!(
                    "Column '{name}' of type FLOAT, DOUBLE or JSON cannot be a distribution column."
                )));
            }
            distributed.push(index);
        }
        let buckets = buckets.unwrap_or(DEFAULT_BUCKETS);
        if buckets == 0 || buckets > MAX_BUCKETS {
            return Err(SqlError::invalid(format!(
                "Number of buckets must be in [1, {MAX_BUCKETS}], but was {buckets}."
            )));
        }
        let (partition_column, partitions) = match self.partition.take() {
            Some(clause) => {
                let (column, partitions) = clause.resolve(&columns)?;
                (Some(column), partitions)
            }
            None => (None, Vec::new()),
        };
        let schema = TableSchema {
            schema_id: 0,
            columns,
            key_columns,
            partition_column,
            distribution: Distribution {
                columns: distributed,
                buckets,
            },
        };
        Ok((schema, partitions))
    }
}

fn index_of(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
}

fn declared_key(columns: &[Column], key: &[String]) -> Result<usize, SqlError> {
    for (position, name) in key.iter().enumerate() {
        let index =
            index_of(columns, name).ok_or_else(|| SqlError::invalid(format!("Key column({name}) doesn't exist.")))?;
        if index != position {
            return Err(SqlError::invalid(
                "Key columns must be the first few columns of the schema and the order of the key columns must be \
                 consistent with the order of the schema.",
            ));
        }
        if !is_key_type(&columns[index].data_type) {
            return Err(SqlError::invalid(format!(
                "Invalid data type of key column '{name}': FLOAT, DOUBLE, JSON and VARBINARY cannot be a key."
            )));
        }
    }
    Ok(key.len())
}

fn default_key(columns: &[Column]) -> Result<usize, SqlError> {
    let count = columns
        .iter()
        .take(DEFAULT_KEY_COLUMNS)
        .take_while(|column| is_key_type(&column.data_type))
        .count();
    if count == 0 {
        return Err(SqlError::invalid(
            "Data type of first column cannot be FLOAT, DOUBLE, JSON or VARBINARY.",
        ));
    }
    Ok(count)
}

fn is_key_type(data_type: &DataType) -> bool {
    !matches!(
        data_type,
        DataType::Float | DataType::Double | DataType::Json | DataType::Varbinary
    )
}

fn is_hashable(data_type: &DataType) -> bool {
    is_key_type(data_type)
}

/// `HASH(columns) [BUCKETS n]` or `RANDOM [BUCKETS n]`.
fn distributed_by(cursor: &mut Cursor) -> Result<(Vec<String>, Option<u32>), SqlError> {
    let columns = if cursor.take("HASH") {
        cursor.parenthesized(Cursor::identifier)?
    } else if cursor.take("RANDOM") {
        Vec::new()
    } else {
        return cursor.expected("'HASH', 'RANDOM'");
    };
    let buckets = if cursor.take("BUCKETS") {
        Some(cursor.integer()?)
    } else {
        None
    };
    Ok((columns, buckets))
}

/// `("key" = "value", …)`; keys in lower case.
pub(super) fn property_list(cursor: &mut Cursor) -> Result<Vec<(String, String)>, SqlError> {
    cursor.parenthesized(|cursor| {
        let key = cursor.name()?.to_ascii_lowercase();
        cursor.require_token(&Token::Eq)?;
        let value = if matches!(cursor.peek(), Token::Number(..)) {
            cursor.integer::<u64>()?.to_string()
        } else {
            cursor.name()?
        };
        Ok((key, value))
    })
}

/// Properties that StarRocks' tools write; what they say has no other meaning here.
const KNOWN_PROPERTIES: &[&str] = &[
    "bucket_size",
    "colocate_with",
    "compression",
    "datacache.enable",
    "datacache.partition_duration",
    "enable_async_write_back",
    "enable_persistent_index",
    "fast_schema_evolution",
    "in_memory",
    "persistent_index_type",
    "replicated_storage",
    "replication_num",
    "storage_format",
    "storage_medium",
    "storage_volume",
    "write_quorum",
];

fn check_properties(properties: &[(String, String)]) -> Result<(), SqlError> {
    match properties
        .iter()
        .find(|(key, _)| !KNOWN_PROPERTIES.contains(&key.as_str()))
    {
        Some((key, value)) => Err(SqlError::invalid(format!("Unknown properties: {{{key}={value}}}"))),
        None => Ok(()),
    }
}

pub(super) fn alter_table(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let table = table_name(cursor)?;
    let action = if cursor.take_all(&["ADD", "PARTITION"]) {
        AlterTableAction::AddPartition(partition::added(cursor)?)
    } else if cursor.take_all(&["DROP", "PARTITION"]) {
        let if_exists = cursor.take_all(&["IF", "EXISTS"]);
        let name = cursor.identifier()?;
        cursor.take("FORCE");
        AlterTableAction::DropPartition { name, if_exists }
    } else if cursor.is_word("RENAME")
        && !["COLUMN", "PARTITION", "ROLLUP"]
            .iter()
            .any(|part| cursor.is_word_at(1, part))
    {
        cursor.take("RENAME");
        // MySQL's spelling has a word between the two.
        if !cursor.take("TO") {
            cursor.take("AS");
        }
        AlterTableAction::Rename {
            name: cursor.identifier()?,
        }
    } else {
        for word in ["ADD", "DROP", "MODIFY", "RENAME", "SET", "COMPACT", "SWAP", "COMMENT"] {
            if cursor.is_word(word) {
                return Err(SqlError::unsupported(
                    format!("ALTER TABLE … {word}"),
                    "only ADD PARTITION, DROP PARTITION and RENAME are",
                ));
            }
        }
        return cursor.expected("'ADD PARTITION', 'DROP PARTITION', 'RENAME'");
    };
    Ok(Statement::AlterTable { table, action })
}
