//! The tokens of one text, and a cursor over those of one statement.

use sqlparser::{
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

use crate::{SqlError, dialect::StarRocksDialect};

/// Bytes of a text that is parsed; longer loads belong into Stream Load.
pub(crate) const MAX_TEXT_BYTES: usize = 64 << 20;
/// Parentheses, brackets and `CASE` within each other.
const MAX_NESTING: usize = 100;
/// Tokens between two commas or parentheses of one level: an expression of `n` operators is a tree of depth `n`, and
/// whoever walks it needs stack.
const MAX_CHAIN: usize = 2000;
/// Depth to which sqlparser descends.
const PARSER_DEPTH: usize = 120;

const DIALECT: StarRocksDialect = StarRocksDialect;

/// Splits `sql` into the tokens of its statements; white space and comments are left out, and each `?` has a number.
pub(crate) fn split(sql: &str) -> Result<Vec<Vec<TokenWithSpan>>, SqlError> {
    if sql.len() > MAX_TEXT_BYTES {
        return Err(SqlError::TooComplex(
            "it has more than 64 MiB; use Stream Load or FILES for data",
        ));
    }
    let tokens = Tokenizer::new(&DIALECT, sql)
        .tokenize_with_location()
        .map_err(|error| SqlError::Syntax {
            line: error.location.line.max(1),
            column: error.location.column.saturating_sub(1),
            detail: format!("{}.", error.message),
        })?;
    let mut statements = vec![Vec::new()];
    let mut parameters = 0_usize;
    for mut token in tokens {
        match &mut token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon => {
                statements.push(Vec::new());
                parameters = 0;
                continue;
            }
            Token::Placeholder(text) if text == "?" => {
                parameters += 1;
                *text = format!("?{parameters}");
            }
            _ => {}
        }
        if let Some(statement) = statements.last_mut() {
            statement.push(token);
        }
    }
    for statement in &statements {
        check_depth(statement)?;
    }
    Ok(statements)
}

/// How many `?` the tokens have.
pub(crate) fn count_parameters(tokens: &[TokenWithSpan]) -> usize {
    tokens
        .iter()
        .filter(|token| matches!(&token.token, Token::Placeholder(text) if text.starts_with('?')))
        .count()
}

fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut chains = vec![0_usize];
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma => {
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
            }
            _ => {}
        }
        if chains.len() > MAX_NESTING {
            return Err(SqlError::TooComplex("its parentheses are nested more than 100 deep"));
        }
        if let Some(chain) = chains.last_mut() {
            *chain += 1;
            if *chain > MAX_CHAIN {
                return Err(SqlError::TooComplex(
                    "it has an expression of more than 2000 words without a comma; use IN (…) for long lists",
                ));
            }
        }
    }
    Ok(())
}

/// Reads the tokens of one statement.
#[derive(Debug)]
pub(crate) struct Cursor {
    tokens: Vec<TokenWithSpan>,
    next: usize,
    end: Location,
}

impl Cursor {
    pub(crate) fn new(tokens: Vec<TokenWithSpan>) -> Self {
        let end = tokens
            .last()
            .map_or(Location { line: 1, column: 1 }, |token| token.span.end);
        Self { tokens, next: 0, end }
    }

    /// The token at `offset` from here, `EOF` past the end.
    pub(crate) fn peek_at(&self, offset: usize) -> &Token {
        self.tokens
            .get(self.next + offset)
            .map_or(&Token::EOF, |token| &token.token)
    }

    pub(crate) fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    pub(crate) fn at_end(&self) -> bool {
        self.next >= self.tokens.len()
    }

    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    pub(crate) fn position(&self) -> usize {
        self.next
    }

    pub(crate) fn rewind(&mut self, position: usize) {
        self.next = position;
    }

    /// A syntax error at the next token.
    pub(crate) fn expected<T>(&self, expected: &str) -> Result<T, SqlError> {
        let (location, found) = match self.tokens.get(self.next) {
            Some(token) => (token.span.start, token.token.to_string()),
            None => (self.end, "<EOF>".to_owned()),
        };
        Err(unexpected(location, &found, expected))
    }

    /// Whether the word at `offset` is `word`, in any case, and not quoted.
    pub(crate) fn is_word_at(&self, offset: usize, word: &str) -> bool {
        matches!(self.peek_at(offset), Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    /// Takes `word` where it is next.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next += 1;
        }
        found
    }

    /// Takes all of `words`, in this order, or none.
    pub(crate) fn take_all(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(offset, word)| self.is_word_at(offset, word));
        if found {
            self.next += words.len();
        }
        found
    }

    pub(crate) fn require(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take(word) {
            Ok(())
        } else {
            self.expected(&format!("'{word}'"))
        }
    }

    pub(crate) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.next += 1;
        }
        found
    }

    pub(crate) fn require_token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.take_token(token) {
            Ok(())
        } else {
            self.expected(&format!("'{token}'"))
        }
    }

    pub(crate) fn require_end(&self) -> Result<(), SqlError> {
        if self.at_end() {
            Ok(())
        } else {
            self.expected("<EOF>, ';'")
        }
    }

    /// An identifier, quoted or not. Words that begin clauses are not identifiers unless quoted.
    pub(crate) fn identifier(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Token::Word(word)
                if !word.value.is_empty() && (word.quote_style.is_some() || !is_reserved(word.keyword)) =>
            {
                let name = word.value.clone();
                self.next += 1;
                Ok(name)
            }
            _ => self.expected("a legal identifier"),
        }
    }

    /// An identifier or a string: StarRocks takes both where a name of an account, catalog or warehouse stands.
    pub(crate) fn name(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => self.string(),
            _ => self.identifier(),
        }
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self.peek(), Token::SingleQuotedString(_) | Token::DoubleQuotedString(_))
    }

    pub(crate) fn string(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => self.expected("a string"),
        }
    }

    pub(crate) fn integer<N: std::str::FromStr>(&mut self) -> Result<N, SqlError> {
        let number = match self.peek() {
            Token::Number(digits, _) => digits.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => {
                self.next += 1;
                Ok(number)
            }
            None => self.expected("an integer"),
        }
    }

    /// `(item, item, …)`, at least one.
    pub(crate) fn parenthesized<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        self.require_token(&Token::LParen)?;
        let items = self.comma_separated(&mut item)?;
        self.require_token(&Token::RParen)?;
        Ok(items)
    }

    pub(crate) fn comma_separated<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut items = vec![item(self)?];
        while self.take_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Hands the rest of the statement to sqlparser; all of it must be one `parse`d thing.
    pub(crate) fn rest<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> Result<T, SqlError> {
        let rest = self.tokens.split_off(self.next.min(self.tokens.len()));
        let mut parser = Parser::new(&DIALECT)
            .with_recursion_limit(PARSER_DEPTH)
            .with_tokens_with_locations(rest);
        let parsed = match parse(&mut parser) {
            Ok(parsed) => parsed,
            Err(error) => {
                // Some of its errors have no place: they are about this token or the one before.
                let near = [parser.peek_token_ref(), parser.get_current_token()];
                return Err(self.translate(error, &near));
            }
        };
        let left = parser.peek_token();
        if left.token == Token::EOF {
            Ok(parsed)
        } else {
            Err(unexpected(left.span.start, &left.token.to_string(), "<EOF>, ';'"))
        }
    }

    /// sqlparser's errors are text: `Expected: X, found: Y at Line: 1, Column: 8`, now and then without the place.
    fn translate(&self, error: ParserError, near: &[&TokenWithSpan]) -> SqlError {
        let text = match error {
            ParserError::RecursionLimitExceeded => return SqlError::TooComplex("it is nested too deeply"),
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        };
        let (message, location) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => (message.to_owned(), parse_location(place)),
            None => (text, None),
        };
        let parts = message
            .strip_prefix("Expected: ")
            .or_else(|| message.strip_prefix("Expected "))
            .and_then(|message| message.split_once(", found: "));
        let place_of = |found: &str| {
            near.iter()
                .find(|token| token.token.to_string() == found && token.span.start.line > 0)
                .map(|token| token.span.start)
        };
        let location = location
            .or_else(|| parts.and_then(|(_, found)| place_of(found)))
            .unwrap_or(self.end);
        match parts {
            Some((expected, found)) => {
                let found = if found == "EOF" { "<EOF>" } else { found };
                let expected = expected.replace("identifier", "a legal identifier");
                unexpected(location, found, &expected)
            }
            None => SqlError::Syntax {
                line: location.line.max(1),
                column: location.column.saturating_sub(1),
                detail: format!("{}.", message.trim_end_matches('.')),
            },
        }
    }
}

fn parse_location(place: &str) -> Option<Location> {
    let (line, column) = place.split_once(", Column: ")?;
    let location = Location {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    };
    (location.line > 0).then_some(location)
}

fn unexpected(location: Location, found: &str, expected: &str) -> SqlError {
    let mut found = found.to_owned();
    if found.chars().count() > 64 {
        found = found.chars().take(61).chain("...".chars()).collect();
    }
    SqlError::Syntax {
        line: location.line.max(1),
        column: location.column.saturating_sub(1),
        detail: format!("Unexpected input '{found}', the most similar input is {{{expected}}}."),
    }
}

fn is_reserved(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::ORDER
            | Keyword::HAVING
            | Keyword::LIMIT
            | Keyword::UNION
            | Keyword::VALUES
            | Keyword::INTO
            | Keyword::INSERT
            | Keyword::CREATE
            | Keyword::DROP
            | Keyword::ALTER
            | Keyword::TABLE
            | Keyword::PRIMARY
            | Keyword::NOT
            | Keyword::NULL
            | Keyword::LIKE
            | Keyword::ON
            | Keyword::AND
            | Keyword::OR
            | Keyword::BY
            | Keyword::SET
            | Keyword::IN
            | Keyword::EXISTS
            | Keyword::WITH
            | Keyword::AS
            | Keyword::SHOW
    )
}

/// Byte offsets of the locations of tokens in their text.
#[derive(Debug)]
pub(crate) struct SourceMap<'a> {
    sql: &'a str,
    lines: Vec<usize>,
}

impl<'a> SourceMap<'a> {
    pub(crate) fn new(sql: &'a str) -> Self {
        let lines = std::iter::once(0)
            .chain(
                sql.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| at + 1),
            )
            .collect();
        Self { sql, lines }
    }

    /// Byte offset of a location, cut to the text.
    pub(crate) fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.lines.get(line) else {
            return self.sql.len();
        };
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = &self.sql[*start..];
        // Most texts are ASCII up to the location, where columns are bytes.
        if rest.as_bytes().get(..column).is_some_and(<[u8]>::is_ascii) {
            return start + column;
        }
        rest.char_indices()
            .nth(column)
            .map_or(self.sql.len(), |(at, _)| start + at)
    }

    /// The text from the first to the last of `tokens`.
    pub(crate) fn slice(&self, tokens: &[TokenWithSpan]) -> &'a str {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            return "";
        };
        let (start, end) = (self.offset(first.span.start), self.offset(last.span.end));
        self.sql.get(start..end).unwrap_or(self.sql).trim()
    }
}
