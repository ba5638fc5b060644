//! `SHOW` and `ADMIN`.

use sqlparser::tokenizer::Token;

use super::{account, table_name};
use crate::{ColumnFilter, Show, ShowFilter, ShowKind, SqlError, Statement, TableName, tokens::Cursor};

pub(super) fn show(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let what = kind(cursor)?;
    let filter = filter(cursor)?;
    skip_limit(cursor)?;
    Ok(Statement::Show(Show { what, filter }))
}

/// `ADMIN SHOW FRONTEND CONFIG [LIKE …]`, `ADMIN SET FRONTEND CONFIG ("name" = "value")`.
pub(super) fn admin(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take_all(&["SET", "FRONTEND", "CONFIG"]) {
        cursor.require_token(&Token::LParen)?;
        let name = cursor.name()?;
        cursor.require_token(&Token::Eq)?;
        let value = value(cursor)?;
        cursor.require_token(&Token::RParen)?;
        return Ok(Statement::SetFrontendConfig { name, value });
    }
    if !cursor.take_all(&["SHOW", "FRONTEND", "CONFIG"]) {
        return cursor.expected("'SHOW FRONTEND CONFIG', 'SET FRONTEND CONFIG'");
    }
    Ok(Statement::Show(Show {
        what: ShowKind::FrontendConfig,
        filter: filter(cursor)?,
    }))
}

/// Statements of one word or a fixed run of words.
const FIXED: &[(&[&str], ShowKind)] = &[
    (&["FRONTENDS"], ShowKind::Frontends),
    (&["COMPUTE", "NODES"], ShowKind::ComputeNodes),
    (&["BACKENDS"], ShowKind::Backends),
    (&["BROKER"], ShowKind::Brokers),
    (&["PROCESSLIST"], ShowKind::Processlist { full: false }),
    (&["FULL", "PROCESSLIST"], ShowKind::Processlist { full: true }),
    (&["GLOBAL", "VARIABLES"], ShowKind::Variables { global: true }),
    (&["SESSION", "VARIABLES"], ShowKind::Variables { global: false }),
    (&["LOCAL", "VARIABLES"], ShowKind::Variables { global: false }),
    (&["VARIABLES"], ShowKind::Variables { global: false }),
    (&["GLOBAL", "STATUS"], ShowKind::Status),
    (&["SESSION", "STATUS"], ShowKind::Status),
    (&["STATUS"], ShowKind::Status),
    (&["WAREHOUSES"], ShowKind::Warehouses),
    (&["STORAGE", "ENGINES"], ShowKind::Engines),
    (&["ENGINES"], ShowKind::Engines),
    (&["CHARACTER", "SET"], ShowKind::Charsets),
    (&["CHARSET"], ShowKind::Charsets),
    (&["COLLATION"], ShowKind::Collations),
    (&["WARNINGS"], ShowKind::Warnings),
    (&["ERRORS"], ShowKind::Errors),
    (&["USERS"], ShowKind::Users),
    (&["ROLES"], ShowKind::Roles),
    (&["PRIVILEGES"], ShowKind::Privileges),
    (&["ALL", "AUTHENTICATION"], ShowKind::Authentication),
    (&["AUTHENTICATION"], ShowKind::Authentication),
    (&["CATALOGS"], ShowKind::Catalogs),
    (&["PLUGINS"], ShowKind::Plugins),
    (&["STORAGE", "VOLUMES"], ShowKind::StorageVolumes),
];

/// Statements that take `FROM database`, which changes nothing in what they show here.
const PER_DATABASE: &[(&[&str], ShowKind)] = &[
    (&["TRIGGERS"], ShowKind::Triggers),
    (&["EVENTS"], ShowKind::Events),
    (&["FULL", "FUNCTIONS"], ShowKind::Functions),
    (&["FUNCTIONS"], ShowKind::Functions),
    (&["FUNCTION", "STATUS"], ShowKind::Procedures),
    (&["PROCEDURE", "STATUS"], ShowKind::Procedures),
    (&["OPEN", "TABLES"], ShowKind::OpenTables),
];

fn kind(cursor: &mut Cursor) -> Result<ShowKind, SqlError> {
    for (words, kind) in FIXED {
        if cursor.take_all(words) {
            return Ok(kind.clone());
        }
    }
    for (words, kind) in PER_DATABASE {
        if cursor.take_all(words) {
            from_database(cursor)?;
            return Ok(kind.clone());
        }
    }
    if cursor.take("DATABASES") || cursor.take("SCHEMAS") {
        from_database(cursor)?;
        return Ok(ShowKind::Databases);
    }
    if cursor.take("GRANTS") {
        let user = if cursor.take("FOR") {
            Some(account::user_name(cursor)?)
        } else {
            None
        };
        return Ok(ShowKind::Grants { user });
    }
    if cursor.take("PROC") {
        return cursor.string().map(ShowKind::Proc);
    }
    if cursor.take("LOAD") {
        return Ok(ShowKind::Load {
            database: from_database(cursor)?,
        });
    }
    if cursor.take_all(&["TABLE", "STATUS"]) {
        return Ok(ShowKind::TableStatus {
            database: from_database(cursor)?,
        });
    }
    if cursor.take("CREATE") {
        return created(cursor);
    }
    of_table(cursor)
}

fn created(cursor: &mut Cursor) -> Result<ShowKind, SqlError> {
    if cursor.take("TABLE") || cursor.take("VIEW") {
        return table_name(cursor).map(ShowKind::CreateTable);
    }
    if cursor.take("DATABASE") || cursor.take("SCHEMA") {
        cursor.take_all(&["IF", "NOT", "EXISTS"]);
        return cursor.identifier().map(ShowKind::CreateDatabase);
    }
    cursor.expected("'TABLE', 'DATABASE'")
}

fn of_table(cursor: &mut Cursor) -> Result<ShowKind, SqlError> {
    if cursor.take("PARTITIONS") {
        cursor.require("FROM")?;
        return table_name(cursor).map(ShowKind::Partitions);
    }
    if cursor.take("TABLETS") || cursor.take("TABLET") {
        cursor.require("FROM")?;
        return table_name(cursor).map(ShowKind::Tablets);
    }
    if cursor.take("INDEX") || cursor.take("INDEXES") || cursor.take("KEYS") || cursor.take("KEY") {
        let table = from_table(cursor)?;
        return Ok(ShowKind::Indexes { table });
    }
    cursor.take("EXTENDED");
    let full = cursor.take("FULL");
    if cursor.take("TABLES") {
        let database = from_database(cursor)?;
        return Ok(ShowKind::Tables { database, full });
    }
    if cursor.take("COLUMNS") || cursor.take("FIELDS") {
        let table = from_table(cursor)?;
        return Ok(ShowKind::Columns { table, full });
    }
    cursor.expected(
        "'FRONTENDS', 'COMPUTE NODES', 'DATABASES', 'TABLES', 'COLUMNS', 'CREATE TABLE', 'PARTITIONS', 'PROCESSLIST', \
         'VARIABLES', 'WAREHOUSES', 'GRANTS', 'PROC'",
    )
}

/// `FROM|IN [catalog.]database`.
fn from_database(cursor: &mut Cursor) -> Result<Option<String>, SqlError> {
    if !cursor.take("FROM") && !cursor.take("IN") {
        return Ok(None);
    }
    let mut name = cursor.identifier()?;
    if cursor.take_token(&Token::Period) {
        name = cursor.identifier()?;
    }
    Ok(Some(name))
}

/// `FROM table [FROM database]`.
fn from_table(cursor: &mut Cursor) -> Result<TableName, SqlError> {
    if !cursor.take("FROM") && !cursor.take("IN") {
        return cursor.expected("'FROM'");
    }
    let mut table = table_name(cursor)?;
    if let Some(database) = from_database(cursor)? {
        table.database = Some(database);
    }
    Ok(table)
}

fn filter(cursor: &mut Cursor) -> Result<Option<ShowFilter>, SqlError> {
    if cursor.take("LIKE") {
        return Ok(Some(ShowFilter::Like(cursor.string()?)));
    }
    if !cursor.take("WHERE") {
        return Ok(None);
    }
    let mut filters = Vec::new();
    loop {
        let parentheses = cursor.take_token(&Token::LParen);
        let column = cursor.identifier()?;
        if cursor.take("IN") {
            for value in cursor.parenthesized(value)? {
                filters.push(ColumnFilter {
                    column: column.clone(),
                    like: false,
                    pattern: value,
                });
            }
        } else {
            let like = cursor.take("LIKE");
            if !like && !cursor.take_token(&Token::Eq) {
                return cursor.expected("'=', 'LIKE', 'IN'");
            }
            let pattern = value(cursor)?;
            filters.push(ColumnFilter { column, like, pattern });
        }
        if parentheses {
            cursor.require_token(&Token::RParen)?;
        }
        if cursor.is_word("AND") {
            return Err(SqlError::unsupported(
                "AND in SHOW … WHERE",
                "query information_schema instead",
            ));
        }
        if !cursor.take("OR") {
            return Ok(Some(ShowFilter::AnyOf(filters)));
        }
    }
}

fn value(cursor: &mut Cursor) -> Result<String, SqlError> {
    match cursor.peek() {
        Token::Number(digits, _) => {
            let digits = digits.clone();
            cursor.advance();
            Ok(digits)
        }
        Token::Word(word) if word.quote_style.is_none() => {
            let text = word.value.clone();
            cursor.advance();
            Ok(text)
        }
        _ => cursor.string(),
    }
}

/// `ORDER BY … LIMIT n` of clients that page through lists: all rows are shown.
fn skip_limit(cursor: &mut Cursor) -> Result<(), SqlError> {
    if cursor.take("LIMIT") {
        cursor.integer::<u64>()?;
        if cursor.take_token(&Token::Comma) || cursor.take("OFFSET") {
            cursor.integer::<u64>()?;
        }
    }
    Ok(())
}
