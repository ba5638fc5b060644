//! From text to [`Statement`]: queries by sqlparser, everything else by descent over its tokens.

#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a method is not general enough in its lifetimes"
)]

mod account;
mod columns;
mod partition;
mod set;
mod show;
mod system;
mod table;

pub use partition::check_bound;
use sqlparser::tokenizer::Token;

use crate::{
    ExplainMode, Insert, Parsed, SqlError, Statement, TableName,
    tokens::{Cursor, SourceMap, count_parameters, split},
};

/// Parses all statements of `sql`, which are separated by semicolons. A text without any gives one [`Statement::Empty`].
///
/// # Errors
/// The first error in the text; nothing is to be run then.
pub fn parse(sql: &str) -> Result<Vec<Parsed>, SqlError> {
    let map = SourceMap::new(sql);
    let mut statements = Vec::new();
    for tokens in split(sql)? {
        if tokens.is_empty() {
            continue;
        }
        let text = map.slice(&tokens).to_owned();
        let parameters = count_parameters(&tokens);
        let mut cursor = Cursor::new(tokens);
        let statement = statement(&mut cursor)?;
        statements.push(Parsed {
            statement,
            text,
            parameters,
        });
    }
    if statements.is_empty() {
        statements.push(Parsed {
            statement: Statement::Empty,
            text: String::new(),
            parameters: 0,
        });
    }
    Ok(statements)
}

/// What a statement may begin with, for error messages.
const STATEMENTS: &str = "'SELECT', 'INSERT', 'CREATE', 'DROP', 'ALTER', 'SHOW', 'DESC', 'EXPLAIN', 'SET', 'USE', \
                          'KILL', 'TRUNCATE', 'BEGIN', 'COMMIT', 'ROLLBACK', '(', ';'";

fn statement(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let Token::Word(word) = cursor.peek() else {
        return if *cursor.peek() == Token::LParen {
            query(cursor)
        } else {
            cursor.expected(STATEMENTS)
        };
    };
    let first = word.value.to_ascii_uppercase();
    if matches!(first.as_str(), "SELECT" | "WITH" | "VALUES") {
        return query(cursor);
    }
    cursor.advance();
    let statement = match first.as_str() {
        "EXPLAIN" => return explain(cursor),
        "INSERT" => return insert(cursor),
        "DESC" | "DESCRIBE" => return describe(cursor),
        "CREATE" => create(cursor),
        "DROP" => drop(cursor),
        "TRUNCATE" => {
            cursor.take("TABLE");
            Ok(Statement::TruncateTable {
                table: table_name(cursor)?,
            })
        }
        "ALTER" => alter(cursor),
        "SHOW" => show::show(cursor),
        "ADMIN" => show::admin(cursor),
        "SET" => set::set(cursor),
        "USE" => use_database(cursor),
        "KILL" => system::kill(cursor),
        "GRANT" => account::grant(cursor, false),
        "REVOKE" => account::grant(cursor, true),
        "BEGIN" => {
            cursor.take("WORK");
            Ok(Statement::Begin)
        }
        "START" => {
            cursor.require("TRANSACTION")?;
            while !cursor.at_end() {
                cursor.advance();
            }
            Ok(Statement::Begin)
        }
        "COMMIT" => {
            cursor.take("WORK");
            Ok(Statement::Commit)
        }
        "ROLLBACK" => {
            cursor.take("WORK");
            Ok(Statement::Rollback)
        }
        "UNLOCK" | "LOCK" => {
            if !cursor.take("TABLES") {
                cursor.require("TABLE")?;
            }
            while !cursor.at_end() {
                cursor.advance();
            }
            Ok(Statement::NoOperation)
        }
        "DELETE" | "UPDATE" => Err(SqlError::unsupported(
            first.as_str(),
            "DUPLICATE KEY tables only grow; load into a new table or drop a partition",
        )),
        _ => {
            cursor.rewind(0);
            cursor.expected(STATEMENTS)
        }
    }?;
    cursor.require_end()?;
    Ok(statement)
}

fn query(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.rest(|parser| parser.parse_query()).map(Statement::Query)
}

fn explain(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    // Some clients say EXPLAIN for DESC.
    if matches!(cursor.peek(), Token::Word(word) if word.quote_style.is_some()) {
        return describe(cursor);
    }
    let mode = if cursor.take("ANALYZE") {
        ExplainMode::Analyze
    } else if cursor.take("VERBOSE") || cursor.take("COSTS") {
        ExplainMode::Verbose
    } else {
        cursor.take("LOGICAL");
        ExplainMode::Plan
    };
    if cursor.is_word("INSERT") {
        cursor.advance();
        let Statement::Insert(Insert { source, .. }) = insert(cursor)? else {
            return cursor.expected("'SELECT'");
        };
        return Ok(Statement::Explain { mode, query: source });
    }
    let query = cursor.rest(|parser| parser.parse_query())?;
    Ok(Statement::Explain { mode, query })
}

fn describe(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.is_word("SELECT") || cursor.is_word("WITH") {
        let query = cursor.rest(|parser| parser.parse_query())?;
        return Ok(Statement::Explain {
            mode: ExplainMode::Plan,
            query,
        });
    }
    let table = table_name(cursor)?;
    cursor.take("ALL");
    cursor.require_end()?;
    Ok(Statement::Describe { table })
}

fn insert(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take("OVERWRITE") {
        return Err(SqlError::unsupported(
            "INSERT OVERWRITE",
            "use TRUNCATE TABLE and INSERT INTO",
        ));
    }
    cursor.require("INTO")?;
    cursor.take("TABLE");
    let target = table_name(cursor)?;
    let mut label = None;
    if cursor.take("PARTITION") || cursor.take("PARTITIONS") {
        return Err(SqlError::unsupported(
            "INSERT INTO … PARTITION",
            "rows find their partition by themselves",
        ));
    }
    if cursor.is_word("WITH") && cursor.is_word_at(1, "LABEL") {
        cursor.advance();
        cursor.advance();
        label = Some(cursor.name()?);
    }
    let columns = if is_column_list(cursor) {
        cursor.parenthesized(Cursor::identifier)?
    } else {
        Vec::new()
    };
    let source = cursor.rest(|parser| parser.parse_query())?;
    Ok(Statement::Insert(Insert {
        target,
        label,
        columns,
        source,
    }))
}

/// `(a, b)` begins a list of columns, `(SELECT` and `((` begin a query.
fn is_column_list(cursor: &Cursor) -> bool {
    *cursor.peek() == Token::LParen
        && matches!(cursor.peek_at(1), Token::Word(_))
        && !["SELECT", "WITH", "VALUES"]
            .iter()
            .any(|word| cursor.is_word_at(1, word))
}

fn create(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take("DATABASE") || cursor.take("SCHEMA") {
        let if_not_exists = if_not_exists(cursor);
        let name = cursor.identifier()?;
        skip_database_options(cursor)?;
        return Ok(Statement::CreateDatabase { name, if_not_exists });
    }
    cursor.take("EXTERNAL");
    if cursor.take("TABLE") {
        return table::create_table(cursor);
    }
    if cursor.take("USER") {
        return account::create_user(cursor);
    }
    if cursor.take("WAREHOUSE") {
        let mut if_not = if_not_exists(cursor);
        let name = cursor.name()?;
        if_not |= if_not_exists(cursor);
        if cursor.take("COMMENT") {
            cursor.string()?;
        }
        cursor.take("WITH");
        if cursor.take("PROPERTIES") {
            table::property_list(cursor)?;
        }
        return Ok(Statement::CreateWarehouse {
            name,
            if_not_exists: if_not,
        });
    }
    for feature in [
        "VIEW",
        "MATERIALIZED",
        "FUNCTION",
        "CATALOG",
        "ROLE",
        "INDEX",
        "RESOURCE",
        "STORAGE",
    ] {
        if cursor.is_word(feature) {
            return Err(SqlError::unsupported(format!("CREATE {feature}"), ""));
        }
    }
    cursor.expected("'DATABASE', 'TABLE', 'USER', 'WAREHOUSE'")
}

fn skip_database_options(cursor: &mut Cursor) -> Result<(), SqlError> {
    loop {
        if cursor.take("PROPERTIES") {
            table::property_list(cursor)?;
        } else if cursor.take("COMMENT") {
            cursor.string()?;
        } else if cursor.take("DEFAULT") {
        } else if cursor.take_all(&["CHARACTER", "SET"]) || cursor.take("CHARSET") || cursor.take("COLLATE") {
            cursor.take_token(&Token::Eq);
            cursor.name()?;
        } else {
            return Ok(());
        }
    }
}

fn drop(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take("DATABASE") || cursor.take("SCHEMA") {
        let if_exists = if_exists(cursor);
        let name = cursor.identifier()?;
        cursor.take("FORCE");
        return Ok(Statement::DropDatabase { name, if_exists });
    }
    if cursor.take("TABLE") {
        let if_exists = if_exists(cursor);
        let table = table_name(cursor)?;
        cursor.take("FORCE");
        return Ok(Statement::DropTable { table, if_exists });
    }
    if cursor.take("USER") {
        let if_exists = if_exists(cursor);
        let user = account::user_name(cursor)?;
        return Ok(Statement::DropUser { user, if_exists });
    }
    if cursor.take("WAREHOUSE") {
        let if_exists = if_exists(cursor);
        let name = cursor.name()?;
        return Ok(Statement::DropWarehouse { name, if_exists });
    }
    cursor.expected("'DATABASE', 'TABLE', 'USER', 'WAREHOUSE'")
}

fn alter(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take("SYSTEM") {
        return system::alter_system(cursor);
    }
    if cursor.take("TABLE") {
        return table::alter_table(cursor);
    }
    if cursor.take("USER") {
        return account::alter_user(cursor);
    }
    cursor.expected("'SYSTEM', 'TABLE', 'USER'")
}

fn use_database(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let first = cursor.name()?;
    if cursor.take_token(&Token::Period) {
        return Ok(Statement::Use {
            catalog: Some(first),
            database: cursor.identifier()?,
        });
    }
    // Clients that think in catalogs quote both together: USE 'catalog.database'.
    Ok(match first.split_once('.') {
        Some((catalog, database)) if catalog == "default_catalog" => Statement::Use {
            catalog: Some(catalog.to_owned()),
            database: database.to_owned(),
        },
        _ => Statement::Use {
            catalog: None,
            database: first,
        },
    })
}

fn if_exists(cursor: &mut Cursor) -> bool {
    cursor.take_all(&["IF", "EXISTS"])
}

fn if_not_exists(cursor: &mut Cursor) -> bool {
    cursor.take_all(&["IF", "NOT", "EXISTS"])
}

/// `table`, `database.table` or `default_catalog.database.table`.
fn table_name(cursor: &mut Cursor) -> Result<TableName, SqlError> {
    let mut parts = vec![cursor.identifier()?];
    while cursor.take_token(&Token::Period) {
        parts.push(cursor.identifier()?);
    }
    let mut parts = parts.into_iter().rev();
    let (Some(table), database, catalog, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return cursor.expected("[database.]table");
    };
    match catalog {
        Some(catalog) if catalog != "default_catalog" => Err(SqlError::unsupported(
            format!("Catalog '{catalog}'"),
            "there is only default_catalog",
        )),
        _ => Ok(TableName { database, table }),
    }
}

#[cfg(test)]
mod tests;
