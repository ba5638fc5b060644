//! Statements as they may be logged and kept: passwords and keys are replaced by `***`.

use sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use crate::{dialect::StarRocksDialect, tokens::SourceMap};

/// Words one of which is in every statement that can hold a secret.
const SUSPICIOUS: &[&str] = &["identified", "password", "secret", "access_key", "token", "credential"];

/// Stands for a text of which nobody can say where the secret is.
const NOT_SHOWN: &str = "(not shown: cannot be read and may hold a password)";

fn is_suspicious(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    SUSPICIOUS.iter().any(|word| lower.contains(word))
}

/// A text that is no statement. A password that was mistyped, or written in a place where none belongs, cannot be told from
/// other words: where there may be one, nothing is shown.
#[must_use]
pub fn redact_unread(text: &str) -> String {
    if is_suspicious(text) {
        NOT_SHOWN.to_owned()
    } else {
        text.to_owned()
    }
}

/// The statement `sql` with passwords and keys replaced.
#[must_use]
pub fn redact(sql: &str) -> String {
    if !is_suspicious(sql) {
        return sql.to_owned();
    }
    let Ok(tokens) = Tokenizer::new(&StarRocksDialect, sql).tokenize_with_location() else {
        return NOT_SHOWN.to_owned();
    };
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let map = SourceMap::new(sql);
    let mut shown = String::with_capacity(sql.len());
    let mut kept = 0;
    let mut after_secret = false;
    for (position, token) in tokens.iter().enumerate() {
        // Strings that follow each other are one.
        after_secret = text(&token.token).is_some() && (after_secret || is_secret(&tokens[..position]));
        if !after_secret {
            continue;
        }
        let (start, end) = (map.offset(token.span.start), map.offset(token.span.end));
        if start < kept || end < start {
            continue;
        }
        shown.push_str(&sql[kept..start]);
        shown.push_str("'***'");
        kept = end;
    }
    shown.push_str(&sql[kept..]);
    shown
}

fn text(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::HexStringLiteral(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::DoubleQuotedByteStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// Whether the string after `before` is a secret.
fn is_secret(before: &[TokenWithSpan]) -> bool {
    let mut back = before.iter().rev().map(|token| &token.token);
    match back.next() {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            let by = word.value.eq_ignore_ascii_case("BY") || word.value.eq_ignore_ascii_case("AS");
            word.keyword == Keyword::PASSWORD
                || word.value.eq_ignore_ascii_case("PASSWORD")
                || (by && is_account_statement(before))
        }
        Some(Token::LParen) => {
            matches!(back.next(), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("PASSWORD"))
        }
        Some(Token::Eq | Token::Assignment) => match back.next() {
            Some(token) => {
                let name = match token {
                    Token::Word(word) => word.value.as_str(),
                    other => text(other).unwrap_or_default(),
                }
                .to_ascii_lowercase();
                SUSPICIOUS.iter().any(|word| name.contains(word)) || is_set_password(before)
            }
            None => false,
        },
        _ => false,
    }
}

fn has_word(tokens: &[TokenWithSpan], wanted: &str) -> bool {
    tokens
        .iter()
        .any(|token| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(wanted)))
}

fn is_account_statement(before: &[TokenWithSpan]) -> bool {
    has_word(before, "IDENTIFIED")
}

fn is_set_password(before: &[TokenWithSpan]) -> bool {
    has_word(before, "SET") && has_word(before, "PASSWORD")
}

#[cfg(test)]
mod tests;
