//! Accounts and grants.

use sqlparser::tokenizer::Token;

use crate::{Password, SqlError, Statement, UserName, tokens::Cursor};

/// `name`, `'name'`, `'name'@'host'`, `name@host`; the tokenizer takes `@` for a part of words.
pub(super) fn user_name(cursor: &mut Cursor) -> Result<UserName, SqlError> {
    let text = match cursor.peek() {
        Token::Word(word) if word.quote_style.is_none() => {
            let text = word.value.clone();
            cursor.advance();
            text
        }
        _ => cursor.name()?,
    };
    let (name, host) = match text.split_once('@') {
        Some((name, "")) => (name.to_owned(), Some(cursor.name()?)),
        Some((name, host)) => (name.to_owned(), Some(host.to_owned())),
        None => (text, host_part(cursor)?),
    };
    if name.is_empty() {
        return Err(SqlError::invalid("A user's name must not be empty."));
    }
    Ok(UserName {
        name,
        host: host.unwrap_or_else(|| "%".to_owned()),
    })
}

fn host_part(cursor: &mut Cursor) -> Result<Option<String>, SqlError> {
    if cursor.take_token(&Token::AtSign) {
        return cursor.name().map(Some);
    }
    match cursor.peek() {
        Token::Word(word) if word.quote_style.is_none() && word.value.starts_with('@') => {
            let host = word.value[1..].to_owned();
            cursor.advance();
            if host.is_empty() {
                cursor.name().map(Some)
            } else {
                Ok(Some(host))
            }
        }
        _ => Ok(None),
    }
}

pub(super) fn create_user(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let user = user_name(cursor)?;
    let password = if cursor.is_word("IDENTIFIED") {
        Some(identified(cursor)?)
    } else {
        None
    };
    if cursor.take_all(&["DEFAULT", "ROLE"]) {
        cursor.comma_separated(Cursor::name)?;
    }
    if cursor.take("PROPERTIES") {
        super::table::property_list(cursor)?;
    }
    Ok(Statement::CreateUser {
        user,
        password,
        if_not_exists,
    })
}

pub(super) fn alter_user(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    cursor.take_all(&["IF", "EXISTS"]);
    let user = user_name(cursor)?;
    if cursor.take_all(&["DEFAULT", "ROLE"]) {
        cursor.comma_separated(Cursor::name)?;
        return Ok(Statement::NoOperation);
    }
    let password = identified(cursor)?;
    Ok(Statement::AlterUser { user, password })
}

/// `IDENTIFIED [WITH plugin] BY [PASSWORD] '…'`.
fn identified(cursor: &mut Cursor) -> Result<Password, SqlError> {
    cursor.require("IDENTIFIED")?;
    if cursor.take("WITH") {
        let plugin = cursor.name()?.to_ascii_lowercase();
        if !matches!(plugin.as_str(), "mysql_native_password" | "caching_sha2_password") {
            return Err(SqlError::unsupported(
                format!("IDENTIFIED WITH {plugin}"),
                "use IDENTIFIED BY 'password'",
            ));
        }
    }
    if cursor.take("AS") {
        return hash(&cursor.string()?);
    }
    cursor.require("BY")?;
    if cursor.take("PASSWORD") {
        return hash(&cursor.string()?);
    }
    clear(cursor.string()?)
}

pub(super) fn clear(password: String) -> Result<Password, SqlError> {
    if password.is_empty() {
        return Err(SqlError::invalid("A password must not be empty."));
    }
    Ok(Password::Clear(password))
}

/// `*` and 40 hexadecimal digits.
pub(super) fn hash(text: &str) -> Result<Password, SqlError> {
    let wrong = || SqlError::invalid("A password hash is '*' and 40 hexadecimal digits.");
    let digits = text
        .strip_prefix('*')
        .filter(|digits| digits.len() == 40)
        .ok_or_else(wrong)?;
    let mut bytes = [0; 20];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .ok_or_else(wrong)?;
    }
    Ok(Password::NativeHash(bytes))
}

/// `privileges ON object TO [USER] user`, `roles TO [USER] user`; with `FROM` for `REVOKE`.
pub(super) fn grant(cursor: &mut Cursor, revoke: bool) -> Result<Statement, SqlError> {
    let end = if revoke { "FROM" } else { "TO" };
    let mut privileges = Vec::new();
    let mut object: Option<Vec<String>> = None;
    let mut word = Vec::new();
    while !cursor.is_word(end) {
        if cursor.at_end() {
            return cursor.expected(&format!("'{end}'"));
        }
        if object.is_none() && cursor.take("ON") {
            object = Some(Vec::new());
            continue;
        }
        let text = match cursor.peek() {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text.clone(),
            Token::Word(word) => word.value.clone(),
            token => token.to_string(),
        };
        match &mut object {
            Some(object) => object.push(text),
            None if text == "," => privileges.push(std::mem::take(&mut word).join(" ")),
            None => word.push(text),
        }
        cursor.advance();
    }
    privileges.push(word.join(" "));
    cursor.require(end)?;
    if cursor.is_word("ROLE") {
        return Err(SqlError::unsupported("GRANT … TO ROLE", "grant to a user"));
    }
    cursor.take("USER");
    let user = user_name(cursor)?;
    cursor.take_all(&["WITH", "GRANT", "OPTION"]);
    if privileges.iter().any(String::is_empty) {
        return Err(SqlError::invalid("A privilege or role is missing."));
    }
    Ok(Statement::Grant {
        privileges,
        object: object.map(|words| words.join(" ").replace(" . ", ".")),
        user,
        revoke,
    })
}
