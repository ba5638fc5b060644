//! Secrets in a text, by what they look like and by what stands before them: log lines, messages, settings.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use super::{REDACTED, names};

/// A name whose value may be a secret; [`names::is_secret`] has the last word.
const NAME: &str = r"(?:[A-Za-z0-9_.\-]*(?:pass[_.\-]?(?:word|wd|phrase)|pwd|token|secret|credential|access[_.\-]?key|signature|authorization|cookie|bearer|docker[_.\-]?config|connection[_.\-]?string)[A-Za-z0-9_.\-]*|(?-u:\b)(?:pass|auths?|dsn)|[A-Za-z0-9_.\-]+keys?)";
/// A text in quotation marks: those of JSON within JSON, of JSON, and of SQL and shells.
const QUOTED: &str = r#"\\+"[^"]*"|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'"#;
/// What stands after a name: quoted, wrapped as in `Some("…")`, or up to the next space.
const UNQUOTED: &str = r#"[A-Za-z_]+\((?:[^()"]|"(?:[^"\\]|\\.)*")*\)[^\s&]*|[^\s&]+"#;
/// What else belongs to a quoted value in a shell: `'it'\''s'`.
const TAIL: &str = r"[^\s,;:&)}\]]*";
/// What `password:` says of whether there was one.
const ANSWERS: &[&str] = &["yes", "no", "true", "false", "null", "none"];

/// The patterns, in the order in which they are applied.
struct Rules {
    private_key: Regex,
    drain_key: Regex,
    sql_password: Regex,
    url: Regex,
    data_source: Regex,
    header: Regex,
    bearer: Regex,
    entry: Regex,
    pair: Regex,
    element: Regex,
    flag: Regex,
    word: Regex,
    mysql_flag: Regex,
    known: Regex,
    after_secret: Regex,
    before_secret: Regex,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let value = format!("(?:{QUOTED}){TAIL}|{UNQUOTED}");
    Rules {
        // One that is cut at either end is a key, too.
        private_key: pattern(
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)|\A[A-Za-z0-9+/=\s]*-----END [A-Z0-9 ]*PRIVATE KEY-----",
        ),
        drain_key: pattern(r#"(/drain/)[^/\s"'\\?#&]+"#),
        sql_password: pattern(&format!(
            r#"(?is)(identified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?|set\s+password\s+for\s+\S+\s*=\s*(?:password\s*\(\s*)?|password\s*\(\s*)({QUOTED}|["'].*|[^\s()]+)"#
        )),
        url: pattern(r#"(?i)([a-z][a-z0-9+.\-]*://)([^\s"]+)"#),
        data_source: pattern(r"(?i)([a-z0-9_.\-]+:)\S*(@(?:tcp|unix)\()"),
        header: pattern(&format!(
            r#"(?is)((?:proxy-)?authorization|(?:set-)?cookie)(\\*["']?[ \t]*[:=][ \t]*)({QUOTED}|[^\r\n]+)"#
        )),
        bearer: pattern(r#"(?i)((?-u:\b)bearer[ \t]+)[^\s"',;\\]+"#),
        entry: pattern(&format!(
            r#"(?is)((?-u:\b)name\\*["']?[ \t]*[:=][ \t]*\\*["']?)({NAME})(\\*["']?[ \t]*,?\s*\\*["']?value\\*["']?[ \t]*[:=][ \t]*)({value})"#
        )),
        pair: pattern(&format!(
            r#"(?is)({NAME})(\\*["']?\]?[ \t]*(?:=>|:=|==?|:)[ \t]*)({value})"#
        )),
        element: pattern(&format!(r"(?is)(<({NAME})(?:\s[^<>]*)?>)[^<]+(</)")),
        flag: pattern(&format!(
            r#"(?is)((?:\A|[\s"'\[(,=])--?)({NAME})(\\*["']?,?[ \t]+)({value})"#
        )),
        word: pattern(&format!(
            r"(?is)((?-u:\b)(?:password|passphrase|token)\s+(?:is\s+|was\s+)?)({QUOTED})"
        )),
        mysql_flag: pattern(r"(?i)((?-u:\b)mysql(?:dump|admin)?(?-u:\b)[^\r\n]*?\s-p)\S+"),
        // Keys of AWS, tokens of Kubernetes and other JWTs, of GitHub, GitLab, Slack and Vault.
        known: pattern(
            r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{12,}|eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)*|(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hvs\.)[A-Za-z0-9_\-]{10,}",
        ),
        after_secret: pattern(r"(?i)(secret[^\r\n]{0,60}?)[A-Za-z0-9/+=]{40,}"),
        before_secret: pattern(r"(?i)[A-Za-z0-9/+=]{40,}([^\r\n]{0,20}?secret)"),
    }
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern, which every test of this module compiles")
}

/// The text without its secrets.
pub(super) fn redacted(text: &str) -> String {
    let rules = &*RULES;
    let text = without_private_keys(text);
    let text = each(text, &rules.drain_key, |found| format!("{}{REDACTED}", &found[1]));
    let text = each(text, &rules.sql_password, |found| {
        format!("{}{}", &found[1], hidden(&found[2]))
    });
    let text = urls(&text);
    let text = each(text, &rules.data_source, |found| {
        format!("{}{REDACTED}{}", &found[1], &found[2])
    });
    let text = each(text, &rules.header, |found| {
        format!("{}{}{}", &found[1], &found[2], hidden(&found[3]))
    });
    let text = each(text, &rules.bearer, |found| format!("{}{REDACTED}", &found[1]));
    let text = each(text, &rules.entry, |found| {
        let value = judged(&found[2], &found[4]);
        format!("{}{}{}{value}", &found[1], &found[2], &found[3])
    });
    let text = pairs(&text);
    let text = each(text, &rules.element, |found| {
        if names::is_secret(&found[2]) {
            format!("{}{REDACTED}{}", &found[1], &found[3])
        } else {
            found[0].to_owned()
        }
    });
    let text = each(text, &rules.flag, |found| {
        // The next flag is no value.
        if found[4].trim_start_matches(['\\', '"', '\'']).starts_with('-') {
            return found[0].to_owned();
        }
        let value = judged(&found[2], &found[4]);
        format!("{}{}{}{value}", &found[1], &found[2], &found[3])
    });
    let text = each(text, &rules.word, |found| format!("{}{}", &found[1], hidden(&found[2])));
    let text = each(text, &rules.mysql_flag, |found| format!("{}{REDACTED}", &found[1]));
    let text = each(text, &rules.known, |_| REDACTED.to_owned());
    let text = each(text, &rules.after_secret, |found| format!("{}{REDACTED}", &found[1]));
    each(text, &rules.before_secret, |found| format!("{REDACTED}{}", &found[1]))
}

/// The text without private keys, which go over many lines.
pub(super) fn without_private_keys(text: &str) -> String {
    each(text.to_owned(), &RULES.private_key, |_| REDACTED.to_owned())
}

fn each(text: String, rule: &Regex, replace: impl FnMut(&Captures<'_>) -> String) -> String {
    let changed = match rule.replace_all(&text, replace) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    changed.unwrap_or(text)
}

/// `name=value`, `"name": "value"` and the like.
fn pairs(text: &str) -> String {
    each(text.to_owned(), &RULES.pair, |found| {
        let (name, between, value) = (&found[1], &found[2], &found[3]);
        // `secret::read` is a path of Rust.
        let is_path = between == ":" && value.starts_with(':');
        let value = if is_path { pairs(value) } else { judged(name, value) };
        format!("{name}{between}{value}")
    })
}

/// The value as it may be shown under this name. One that may be shown can hold pairs of its own.
fn judged(name: &str, value: &str) -> String {
    let answer = value.trim_end_matches([')', ',', '.', ';', '"', '}']);
    if !names::is_secret(name) {
        return pairs(value);
    }
    if ANSWERS.iter().any(|known| answer.eq_ignore_ascii_case(known)) {
        return value.to_owned();
    }
    hidden(value)
}

/// The mark in the quotation marks of the value.
fn hidden(value: &str) -> String {
    let quoted = value.trim_start_matches('\\');
    let escape = &value[..value.len() - quoted.len()];
    match quoted.chars().next() {
        Some(mark @ ('"' | '\'')) => format!("{escape}{mark}{REDACTED}{escape}{mark}"),
        _ => REDACTED.to_owned(),
    }
}

/// Users stay in URLs, passwords do not. A user without one may be a token.
fn urls(text: &str) -> String {
    each(text.to_owned(), &RULES.url, |found| {
        let rest = &found[2];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (user, host) = match (authority.rfind('@'), authority.find(':'), rest.rfind('@')) {
            (Some(at), ..) => (Some(&rest[..at]), &rest[at + 1..]),
            // A password with a slash in it.
            (None, Some(_), Some(at)) => (Some(&rest[..at]), &rest[at + 1..]),
            (None, ..) => (None, rest),
        };
        let user = match user.map(|user| user.split_once(':')) {
            Some(Some((user, _))) => format!("{user}:{REDACTED}@"),
            Some(None) => format!("{REDACTED}@"),
            None => String::new(),
        };
        format!("{}{user}{}", &found[1], urls(host))
    })
}
