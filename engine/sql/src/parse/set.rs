//! `SET`.

use sqlparser::tokenizer::Token;

use super::account;
use crate::{SetItem, SetValue, SqlError, Statement, tokens::Cursor};

pub(super) fn set(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    Ok(Statement::Set(cursor.comma_separated(item)?))
}

fn item(cursor: &mut Cursor) -> Result<SetItem, SqlError> {
    if cursor.take("NAMES") {
        return names(cursor);
    }
    if cursor.take_all(&["CHARACTER", "SET"]) || (cursor.is_word("CHARSET") && *cursor.peek_at(1) != Token::Eq) {
        cursor.take("CHARSET");
        return names(cursor);
    }
    if cursor.is_word("PASSWORD") {
        cursor.advance();
        return password(cursor);
    }
    if cursor.take("CATALOG") {
        cursor.take_token(&Token::Eq);
        return cursor.name().map(SetItem::Catalog);
    }
    if cursor.is_word("WAREHOUSE") && *cursor.peek_at(1) != Token::Eq {
        cursor.advance();
        return cursor.name().map(SetItem::Warehouse);
    }
    let global = cursor.take("GLOBAL") || cursor.take("PERSIST");
    if !global && !cursor.take("SESSION") {
        cursor.take("LOCAL");
    }
    if cursor.is_word("ROLE")
        || cursor.is_word_at(1, "ROLE")
        || cursor.is_word("PROPERTY")
        || cursor.is_word("TRANSACTION")
    {
        while !cursor.at_end() {
            cursor.advance();
        }
        return Ok(SetItem::Ignored);
    }
    assignment(cursor, global)
}

fn names(cursor: &mut Cursor) -> Result<SetItem, SqlError> {
    let charset = if cursor.take("DEFAULT") {
        "utf8".to_owned()
    } else {
        cursor.name()?.to_ascii_lowercase()
    };
    if cursor.take("COLLATE") {
        cursor.name()?;
    }
    Ok(SetItem::Names { charset })
}

/// `[FOR user] = PASSWORD('clear')` or `= '*hash'`.
fn password(cursor: &mut Cursor) -> Result<SetItem, SqlError> {
    let user = if cursor.take("FOR") {
        Some(account::user_name(cursor)?)
    } else {
        None
    };
    cursor.require_token(&Token::Eq)?;
    let password = if cursor.take("PASSWORD") {
        cursor.require_token(&Token::LParen)?;
        let clear = account::clear(cursor.string()?)?;
        cursor.require_token(&Token::RParen)?;
        clear
    } else {
        account::hash(&cursor.string()?)?
    };
    Ok(SetItem::Password { user, password })
}

fn assignment(cursor: &mut Cursor, global: bool) -> Result<SetItem, SqlError> {
    let Token::Word(word) = cursor.peek() else {
        return cursor.expected("a variable's name");
    };
    let mut name = word.value.to_ascii_lowercase();
    cursor.advance();
    let mut global = global;
    // `@@global.x` comes as one word up to the point.
    while cursor.take_token(&Token::Period) {
        global |= name == "@@global";
        name = cursor.identifier()?.to_ascii_lowercase();
    }
    if !cursor.take_token(&Token::Eq) {
        cursor.require_token(&Token::Assignment)?;
    }
    let value = value(cursor)?;
    if let Some(user_variable) = name.strip_prefix('@').filter(|name| !name.starts_with('@')) {
        return Ok(SetItem::UserVariable {
            name: user_variable.to_owned(),
            value: value.unwrap_or(SetValue::Null),
        });
    }
    let name = name.trim_start_matches('@').to_owned();
    Ok(match (name.as_str(), value) {
        ("warehouse", Some(SetValue::Text(warehouse))) => SetItem::Warehouse(warehouse),
        (_, value) => SetItem::Variable { global, name, value },
    })
}

/// `None` is `DEFAULT`. An expression in parentheses or a function is not taken.
fn value(cursor: &mut Cursor) -> Result<Option<SetValue>, SqlError> {
    if cursor.take("DEFAULT") {
        return Ok(None);
    }
    if cursor.take("NULL") {
        return Ok(Some(SetValue::Null));
    }
    let negative = cursor.take_token(&Token::Minus);
    let text = match cursor.peek() {
        Token::Number(digits, _) => {
            let sign = if negative { "-" } else { "" };
            format!("{sign}{digits}")
        }
        _ if negative => return cursor.expected("a number"),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text.clone(),
        Token::Word(word) => {
            let word = word.value.clone();
            if word.starts_with('@') {
                cursor.advance();
                return variable(cursor, &word).map(Some);
            }
            word
        }
        _ => return cursor.expected("a value"),
    };
    cursor.advance();
    // Collations and the like: `SET character_set_results = utf8mb4`, `SET time_zone = '+00:00'`.
    if *cursor.peek() == Token::LParen {
        return Err(SqlError::unsupported("A function in SET", "write its value"));
    }
    Ok(Some(SetValue::Text(text)))
}

fn variable(cursor: &mut Cursor, word: &str) -> Result<SetValue, SqlError> {
    let mut name = word.trim_start_matches('@').to_ascii_lowercase();
    while cursor.take_token(&Token::Period) {
        name = cursor.identifier()?.to_ascii_lowercase();
    }
    if word.starts_with("@@") {
        return Ok(SetValue::Variable(name));
    }
    Ok(SetValue::UserVariable(name))
}
