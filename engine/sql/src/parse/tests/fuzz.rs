use proptest::prelude::*;

use crate::redact;

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "VALUES",
    "CREATE",
    "TABLE",
    "PARTITION",
    "BY",
    "RANGE",
    "(",
    ")",
    "[",
    ",",
    ";",
    "'a'",
    "\"b\"",
    "`c`",
    "1",
    "-1",
    "1.5",
    "NULL",
    "SHOW",
    "SET",
    "@@x",
    "@y",
    "=",
    ":=",
    "LIKE",
    "ALTER",
    "SYSTEM",
    "COMPUTE",
    "NODE",
    "'h:1'",
    "LESS",
    "THAN",
    "MAXVALUE",
    "START",
    "END",
    "EVERY",
    "INTERVAL",
    "DAY",
    "USER",
    "IDENTIFIED",
    "/*!",
    "*/",
    "--",
    "#",
    "?",
    "t",
    "d.t",
    "KEY",
    "DUPLICATE",
    "DISTRIBUTED",
    "HASH",
    "BUCKETS",
    "99999999999999999999",
    "DIV",
    "CASE",
    "WHEN",
    "UNION",
    "ALL",
    "*",
    ".",
    "ü",
    "\u{0}",
    "'",
    "\\",
    "PASSWORD",
    "FOR",
    "WITH",
    "LABEL",
    "KILL",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = super::parse(&text);
        let _ = redact(&text);
    }

    #[test]
    fn no_run_of_words_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        let text = words.join(" ");
        if let Ok(parsed) = super::parse(&text) {
            for parsed in parsed {
                if let super::Statement::Query(mut query) = parsed.statement {
                    let _ = crate::output_names(&mut query);
                    let _ = query.to_string();
                }
            }
        }
        let _ = redact(&text);
    }
}
