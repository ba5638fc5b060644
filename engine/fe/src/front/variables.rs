//! System variables: StarRocks' names and defaults, so that its clients and tools find what they ask for. Only those in
//! [`EFFECTIVE`] change what the engine does.

use std::{collections::BTreeMap, sync::LazyLock};

use springtide_contract::config::FrontendConfig;
use springtide_mysql::MysqlError;
use springtide_sql::Parameter;

use super::errors::Kind;

/// Name and default, one a line.
const DEFAULTS: &str = include_str!("variables.txt");

/// Variables with a meaning here, their least value where they are numbers.
const EFFECTIVE: &[(&str, i64)] = &[("query_timeout", 1), ("insert_timeout", 1), ("sql_select_limit", 0)];

/// Variables that cannot be set.
const READ_ONLY: &[&str] = &[
    "version",
    "version_comment",
    "license",
    "system_time_zone",
    "hostname",
    "lower_case_table_names",
];

/// Names that clients of MySQL set and StarRocks does not have; they are accepted.
const ACCEPTED: &[(&str, &str)] = &[
    ("collation", "utf8_general_ci"),
    ("foreign_key_checks", "1"),
    ("information_schema_stats_expiry", "86400"),
    ("lock_wait_timeout", "31536000"),
    ("max_execution_time", "0"),
    ("net_write_timeout", "60"),
    ("query_cache_size", "0"),
    ("session_track_schema", "1"),
    ("socket", ""),
    ("sql_auto_is_null", "0"),
    ("sql_log_bin", "1"),
    ("sql_notes", "1"),
    ("sql_quote_show_create", "1"),
    ("sql_warnings", "0"),
    ("tx_read_only", "false"),
    ("unique_checks", "1"),
    ("have_profiling", "NO"),
    ("profiling", "0"),
];

/// Defaults by lower-case name, with the name as StarRocks writes it.
static VARIABLES: LazyLock<BTreeMap<String, (&'static str, &'static str)>> = LazyLock::new(|| {
    let own = [
        ("catalog", "default_catalog"),
        ("license", "Apache License 2.0"),
        ("query_timeout", "300"),
        ("version", SERVER_VERSION),
        ("version_comment", VERSION_COMMENT),
        ("warehouse", springtide_model::DEFAULT_WAREHOUSE),
    ];
    ACCEPTED
        .iter()
        .copied()
        .chain(DEFAULTS.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))))
        .chain(own)
        .map(|(name, value)| (name.to_ascii_lowercase(), (name, value)))
        .collect()
});

/// The MySQL version that clients derive features from, and ours behind it.
pub const SERVER_VERSION: &str = concat!("8.0.33-springtide-", env!("CARGO_PKG_VERSION"));
/// `@@version_comment`.
pub(crate) const VERSION_COMMENT: &str = concat!("Springtide ", env!("CARGO_PKG_VERSION"));

/// Character sets whose text is UTF-8 for us.
const CHARSETS: &[&str] = &["utf8", "utf8mb3", "utf8mb4", "gbk", "binary", "ascii"];

/// Seconds that no statement runs: ten years. More than this a clock cannot count from every moment.
pub(crate) const NO_LIMIT_S: u64 = 10 * 365 * 24 * 3600;

/// The values of one session: what it has set, on top of what was global when it began, on top of the settings of the frontend, which
/// change while the session lasts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    settings: BTreeMap<&'static str, String>,
    globals: BTreeMap<String, String>,
    own: BTreeMap<String, String>,
}

impl Variables {
    pub(crate) fn new<'a>(globals: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            settings: BTreeMap::new(),
            globals: globals
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            own: BTreeMap::new(),
        }
    }

    /// Takes the settings of the frontend as they are now.
    pub(crate) fn follow(&mut self, settings: &FrontendConfig) {
        let limit_s = match settings.query_timeout_s {
            0 => NO_LIMIT_S,
            limit_s => limit_s.min(NO_LIMIT_S),
        };
        self.settings.insert("query_timeout", limit_s.to_string());
    }

    /// The value, or `None` where there is no such variable. `name` is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, default) = VARIABLES.get(name)?;
        Some(
            self.own
                .get(name)
                .or_else(|| self.globals.get(name))
                .or_else(|| self.settings.get(name))
                .map_or(default, String::as_str),
        )
    }

    /// Whether somebody has set it, for the session or globally: otherwise it has its default, or what the frontend's settings say.
    /// `name` is in lower case.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.own.contains_key(name) || self.globals.contains_key(name)
    }

    /// As a constant in a query: booleans are numbers there.
    pub(crate) fn constant(&self, name: &str) -> Option<Parameter> {
        Some(match self.get(name)? {
            "true" => Parameter::Int(1),
            "false" => Parameter::Int(0),
            value => value
                .parse()
                .map_or_else(|_| Parameter::Text(value.to_owned()), Parameter::Int),
        })
    }

    /// A number, at least 0.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Sets a checked value (see [`checked`]); `None` is the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.own.insert(name.to_owned(), value),
            None => self.own.remove(name),
        };
    }

    pub(crate) fn set_global(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.globals.insert(name.to_owned(), value),
            None => self.globals.remove(name),
        };
    }

    /// All, in order of name.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&'static str, &str)> {
        VARIABLES
            .iter()
            .map(|(key, (name, default))| (*name, self.get(key).unwrap_or(default)))
    }
}

/// The value in the form in which the variable is kept.
pub(crate) fn checked(name: &str, value: &str) -> Result<String, MysqlError> {
    let Some((_, default)) = VARIABLES.get(name) else {
        return Err(unknown(name));
    };
    if READ_ONLY.contains(&name) {
        return Err(Kind::ReadOnlyVariable.error(format!("Variable '{name}' is a read only variable")));
    }
    if let Some((_, least)) = EFFECTIVE.iter().find(|(known, _)| *known == name) {
        let number: i128 = value
            .parse()
            .map_err(|_| Kind::Invalid.analyzing(&format!("{name} is not a number")))?;
        if number < i128::from(*least) {
            return Err(Kind::Invalid.analyzing(&format!("{name} must be equal or greater than {least}")));
        }
        // MySQL's "no limit" has all 64 bits set, which is beyond what is kept here.
        return Ok(number.min(i64::MAX.into()).to_string());
    }
    if matches!(*default, "true" | "false") {
        return match value.to_ascii_lowercase().as_str() {
            "1" | "on" | "true" => Ok("true".to_owned()),
            "0" | "off" | "false" => Ok("false".to_owned()),
            _ => Err(Kind::Invalid.analyzing(&format!("{name} is not a boolean"))),
        };
    }
    Ok(value.to_owned())
}

pub(crate) fn unknown(name: &str) -> MysqlError {
    let similar: Vec<&str> = similar(name);
    Kind::UnknownVariable.error(format!(
        "Unknown system variable '{name}', the most similar variables are {{{}}}",
        similar
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ")
    ))
}

/// Names with the longest common beginning.
fn similar(name: &str) -> Vec<&'static str> {
    let common = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let mut names: Vec<&'static str> = VARIABLES.values().map(|(name, _)| *name).collect();
    names.sort_by_key(|other| std::cmp::Reverse(common(other)));
    names.truncate(3);
    names
}

/// Whether `SET NAMES` may say so.
pub(crate) fn check_charset(charset: &str) -> Result<(), MysqlError> {
    if CHARSETS.contains(&charset) {
        return Ok(());
    }
    Err(Kind::UnknownCharset.analyzing(&format!("Unknown character set: '{charset}'")))
}

#[cfg(test)]
mod tests;
