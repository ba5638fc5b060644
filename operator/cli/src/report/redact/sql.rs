//! Literals in the statements of a text: they are what a statement says about people and money, and its shape is what helps.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// How a statement, or the part of one that an error quotes, begins. Words that prose has, too, count only with what SQL has after them.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    let beginnings = [
        r#"select\s+(?:distinct\s+|all\s+)?(?:['"@*(\-]|\d|[a-z_][a-z0-9_]*\s*\()"#,
        r"select\b.*?\bfrom\b",
        r"insert\s+(?:into|overwrite)\b",
        r"(?:replace|copy)\s+into\b",
        r"update\s+\S+\s+set\b",
        r"delete\s+from\b",
        r"(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:temporary\s+|external\s+|materialized\s+)?(?:table|view|database|schema|user|role|index|function|warehouse|catalog|resource|pipe|storage)\b",
        r"set\s+(?:global\s+|session\s+|local\s+)?(?:password\b|@{1,2}\w|\w+\s*:?=)",
        r"grant\s+.*?\s(?:on|to)\s",
        r"values\s*\(",
        r"(?:where|having)\s+\S+\s*(?:=|<|>|!|in\s*\(|like\b|between\b)",
        r#"(?:like|in\s*\(|between)\s*['"]"#,
        r"with\s+\S+\s+as\s*\(",
        r"call\s+\S+\s*\(",
        r"(?:prepare|execute)\s+\S+\s+(?:from|using)\b",
        r"show\s+.*?\b(?:like|where)\b",
        r"load\s+(?:label|data)\b",
        r"submit\s+task\b",
        // What the engine says of a value that it cannot read.
        r"string\s+'",
    ];
    Regex::new(&format!(r"(?is)\b(?:{})", beginnings.join("|")))
        .expect("a constant pattern, which every test of this module compiles")
});

/// Words after which a number is a literal; a name may end in a number.
const BEFORE_NUMBERS: &[&str] = &[
    "and", "or", "not", "between", "limit", "offset", "like", "in", "case", "when", "then", "else", "select",
    "interval", "values", "return",
];
/// What follows the apostrophe in `doesn't` and its like.
const CONTRACTIONS: &[&str] = &["t", "s", "re", "ve", "ll", "d", "m"];

/// The text with `?` for every literal, from the first statement on.
pub(super) fn without_literals(text: &str) -> Cow<'_, str> {
    let Some(found) = STATEMENT.find(text) else {
        return Cow::Borrowed(text);
    };
    let (before, statement) = text.split_at(found.start());
    let mut scan = Scan {
        rest: statement,
        out: before.to_owned(),
        word: String::new(),
        last: ' ',
        is_quoted: before.ends_with('"') && !before.ends_with("\\\""),
    };
    while scan.step() {}
    let Scan { rest, mut out, .. } = scan;
    out.push_str(&without_literals(rest));
    Cow::Owned(out)
}

/// What is left of a statement, and what was said last.
struct Scan<'a> {
    rest: &'a str,
    out: String,
    /// The word before, in lower case.
    word: String,
    /// The last character that is no space; part of `word`, or what ended it.
    last: char,
    /// Whether the statement itself stands in quotation marks, as in `message="SELECT …"`.
    is_quoted: bool,
}

impl Scan<'_> {
    /// Takes one token. `false` at the end of the statement.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        match first {
            '"' if self.is_quoted => {
                self.copy(1);
                return false;
            }
            '\'' if self.is_apostrophe() => self.copy(1),
            '\'' => self.literal(quoted(self.rest, '\'').unwrap_or(self.rest.len())),
            '"' => match quoted(self.rest, '"') {
                Some(length) => self.literal(length),
                None => self.copy(1),
            },
            // A quotation mark of JSON in text that is no JSON as a whole.
            '\\' if self.rest.starts_with("\\\"") => {
                let length = self.rest[2..].find("\\\"").map_or(self.rest.len(), |end| end + 4);
                self.literal(length);
            }
            '\\' => {
                let escaped = self.rest.chars().nth(1).map_or(0, char::len_utf8);
                self.copy(1 + escaped);
            }
            '`' => {
                let length = self.rest[1..].find('`').map_or(1, |end| end + 2);
                self.copy(length);
            }
            '-' if self.rest.starts_with("--") => self.comment("--", self.rest.find('\n').unwrap_or(self.rest.len())),
            '/' if self.rest.starts_with("/*") => {
                let length = self.rest.find("*/").map_or(self.rest.len(), |end| end + 2);
                self.comment("/**/", length);
            }
            '0'..='9' => self.number(),
            letter if is_word(letter) => self.word(),
            space if space.is_whitespace() => {
                self.out.push(space);
                self.rest = &self.rest[space.len_utf8()..];
            }
            other => self.copy(other.len_utf8()),
        }
        true
    }

    /// Takes so many bytes as they are.
    fn copy(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.out.push_str(taken);
        self.last = taken.chars().next_back().unwrap_or(self.last);
        self.word.clear();
        self.rest = rest;
    }

    fn literal(&mut self, length: usize) {
        self.out.push('?');
        self.last = '?';
        self.word.clear();
        self.rest = &self.rest[length..];
    }

    /// A comment may have anything in it.
    fn comment(&mut self, mark: &str, length: usize) {
        self.out.push_str(mark);
        self.rest = &self.rest[length..];
    }

    fn word(&mut self) {
        let length = self
            .rest
            .find(|letter: char| !is_word(letter))
            .unwrap_or(self.rest.len());
        let word = self.rest[..length].to_ascii_lowercase();
        self.copy(length);
        self.word = word;
    }

    /// A number where a value stands; one in a name or a position stays.
    fn number(&mut self) {
        let mut end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '_')
            .unwrap_or(self.rest.len());
        // The sign of an exponent.
        if self.rest[..end].ends_with(['e', 'E']) && self.rest[end..].starts_with(['+', '-']) {
            let digits = &self.rest[end + 1..];
            end += 1 + digits
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(digits.len());
        }
        let is_value = if self.word.is_empty() {
            "=<>(,+-*/%|&!".contains(self.last)
        } else {
            BEFORE_NUMBERS.contains(&self.word.as_str())
        };
        if is_value {
            self.literal(end);
        } else {
            self.copy(end);
        }
    }

    /// Whether the quotation mark is the apostrophe of an English word.
    fn is_apostrophe(&self) -> bool {
        let after = &self.rest[1..];
        let length = after
            .find(|letter: char| !letter.is_alphanumeric())
            .unwrap_or(after.len());
        self.out.ends_with(char::is_alphabetic)
            && CONTRACTIONS.contains(&&after[..length])
            && !after[length..].starts_with('\'')
    }
}

/// Length of the literal that begins the text, with both marks; a mark inside it is doubled or escaped. `None` where it does not end.
fn quoted(text: &str, mark: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == mark {
            if letters.peek().is_none_or(|(_, next)| *next != mark) {
                return Some(at + 1);
            }
            letters.next();
        }
    }
    None
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(without_literals(text), expected, "{text}");
    }

    #[test]
    fn values_go_and_the_shape_stays() {
        check(
            "SELECT name FROM t1 WHERE iban = 'DE12 3456' AND age > 42 LIMIT 10",
            "SELECT name FROM t1 WHERE iban = ? AND age > ? LIMIT ?",
        );
        check(
            "insert into d.t values (1, 'it''s', -2.5e-3, x'AB', NULL)",
            "insert into d.t values (?, ?, -?, x?, NULL)",
        );
        check(
            r#"update t set a = "b", c=0x1F where d like'%e\'f%'"#,
            "update t set a = ?, c=? where d like?",
        );
        check(
            "CREATE USER 'ada'@'%' IDENTIFIED BY 'pw'",
            "CREATE USER ?@? IDENTIFIED BY ?",
        );
        check("select `a'b`, 'c' from `t 1`", "select `a'b`, ? from `t 1`");
        check("select 1", "select ?");
        check(
            "cannot cast string 'Smith' to value of Int32 type",
            "cannot cast string ? to value of Int32 type",
        );
    }

    #[test]
    fn comments_of_a_statement_go() {
        check(
            "select a -- of Mr Smith\nfrom t /* born 1970 */ where b = 1",
            "select a --\nfrom t /**/ where b = ?",
        );
    }

    #[test]
    fn a_literal_that_was_cut_off_goes_to_the_end() {
        check("SELECT a FROM t WHERE b = 'Smi", "SELECT a FROM t WHERE b = ?");
    }

    #[test]
    fn prose_and_what_stands_around_a_statement_stay() {
        for text in [
            "could not select a node: it doesn't answer after 12 s",
            "group 'etl' wants 3 nodes",
            "updated 5 objects in 120 ms",
            "",
        ] {
            check(text, text);
        }
        check(
            r#"WARN statement failed connection=7 message="select * from t where a = 'b'" code=1064 other="x""#,
            r#"WARN statement failed connection=7 message="select * from t where a = ?" code=1064 other="x""#,
        );
        check(
            r#"message: "select * from t where a = \"b\" and c='d'" took 5"#,
            r#"message: "select * from t where a = ? and c=?" took 5"#,
        );
        check(
            "cannot run SELECT a FROM t WHERE b = 'c': the node doesn't answer",
            "cannot run SELECT a FROM t WHERE b = ?: the node doesn't answer",
        );
    }

    #[test]
    fn the_second_statement_of_a_line_is_one_too() {
        check(
            r#"first="select 'a' from t" second="select 'b' from u""#,
            r#"first="select ? from t" second="select ? from u""#,
        );
    }

    #[test]
    fn letters_of_all_languages_are_kept_whole() {
        check(
            "SELECT größe FROM t WHERE ort = 'Köln' OR ñ=1",
            "SELECT größe FROM t WHERE ort = ? OR ñ=?",
        );
    }
}
