//! The headers of a Stream Load, checked before a byte of the body is read.

use std::{str::FromStr, time::Duration};

use axum::http::HeaderMap;

/// Longest label, in bytes; StarRocks' bound.
const LABEL_LIMIT: usize = 128;
/// Longest time that a client may ask for.
const TIMEOUT_LIMIT_S: u64 = 259_200;
/// Taken when the client names no time.
const DEFAULT_TIMEOUT_S: u64 = 600;

/// Headers of StarRocks' Stream Load that change what is loaded, and that are not supported: refused, not ignored.
const UNSUPPORTED: [&str; 10] = [
    "where",
    "partitions",
    "temporary_partitions",
    "jsonpaths",
    "json_root",
    "merge_condition",
    "partial_update",
    "transmission_compression_type",
    "compression",
    "negative",
];

/// The form of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Json,
    Parquet,
}

/// What the client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadOptions {
    /// `None`: the node makes one up.
    pub(crate) label: Option<String>,
    pub(crate) format: Format,
    /// Names of the body's columns in order; `None` is the table's.
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) column_separator: u8,
    /// `None` takes both `\n` and `\r\n`.
    pub(crate) row_delimiter: Option<u8>,
    pub(crate) enclose: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) skip_header: usize,
    pub(crate) trim_space: bool,
    pub(crate) strip_outer_array: bool,
    pub(crate) timeout: Duration,
}

/// A header that cannot be honoured; names it and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {header}: {message}")]
pub(crate) struct OptionError {
    header: &'static str,
    message: String,
}

impl LoadOptions {
    /// Reads the headers of a request.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, OptionError> {
        for header in UNSUPPORTED {
            if headers.contains_key(header) {
                return Err(refuse(
                    header,
                    "is not supported; load into a table first and INSERT INTO … SELECT from it",
                ));
            }
        }
        if let Some(ratio) = text(headers, "max_filter_ratio")? {
            match f64::from_str(ratio) {
                Ok(0.0) => {}
                Ok(_) => {
                    return Err(refuse(
                        "max_filter_ratio",
                        "only 0 is supported: a row that does not fit fails the load",
                    ));
                }
                Err(_) => {
                    return Err(refuse(
                        "max_filter_ratio",
                        format!("`{ratio}` is not a number; write 0"),
                    ));
                }
            }
        }
        let timeout = match number(headers, "timeout")? {
            None => DEFAULT_TIMEOUT_S,
            Some(seconds) if (1..=TIMEOUT_LIMIT_S).contains(&seconds) => seconds,
            Some(seconds) => {
                return Err(refuse(
                    "timeout",
                    format!("{seconds} is not between 1 and {TIMEOUT_LIMIT_S} seconds"),
                ));
            }
        };
        Ok(Self {
            label: label(headers)?,
            format: format(headers)?,
            columns: columns(headers)?,
            column_separator: byte(headers, "column_separator")?.unwrap_or(b'\t'),
            row_delimiter: byte(headers, "row_delimiter")?.filter(|delimiter| *delimiter != b'\n'),
            enclose: byte(headers, "enclose")?,
            escape: byte(headers, "escape")?,
            skip_header: usize::try_from(number(headers, "skip_header")?.unwrap_or(0))
                .map_err(|_| refuse("skip_header", "is too large"))?,
            trim_space: boolean(headers, "trim_space")?.unwrap_or(false),
            strip_outer_array: boolean(headers, "strip_outer_array")?.unwrap_or(false),
            timeout: Duration::from_secs(timeout),
        })
    }
}

fn refuse(header: &'static str, message: impl Into<String>) -> OptionError {
    OptionError {
        header,
        message: message.into(),
    }
}

fn text<'a>(headers: &'a HeaderMap, header: &'static str) -> Result<Option<&'a str>, OptionError> {
    let Some(value) = headers.get(header) else {
        return Ok(None);
    };
    let value = std::str::from_utf8(value.as_bytes())
        .map_err(|_| refuse(header, "is not UTF-8"))?
        .trim();
    Ok((!value.is_empty()).then_some(value))
}

fn number(headers: &HeaderMap, header: &'static str) -> Result<Option<u64>, OptionError> {
    text(headers, header)?
        .map(|value| {
            value
                .parse()
                .map_err(|_| refuse(header, format!("`{value}` is not a whole number")))
        })
        .transpose()
}

fn boolean(headers: &HeaderMap, header: &'static str) -> Result<Option<bool>, OptionError> {
    text(headers, header)?
        .map(|value| match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(refuse(header, format!("`{value}` is neither true nor false"))),
        })
        .transpose()
}

/// One byte, as itself, as an escape (`\t`, `\n`, `\r`, `\\`) or in hexadecimal (`\x01`). White space counts here.
fn byte(headers: &HeaderMap, header: &'static str) -> Result<Option<u8>, OptionError> {
    let Some(value) = headers.get(header).map(axum::http::HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let decoded = match value {
        [] => return Ok(None),
        [one] => Some(*one),
        b"\\t" => Some(b'\t'),
        b"\\n" => Some(b'\n'),
        b"\\r" => Some(b'\r'),
        b"\\\\" => Some(b'\\'),
        [b'\\', b'x' | b'X', digits @ ..] if digits.len() == 2 => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        _ => None,
    };
    decoded.map(Some).ok_or_else(|| {
        refuse(
            header,
            format!(
                "`{}` is not one byte; write it as itself or as \\x01",
                String::from_utf8_lossy(value)
            ),
        )
    })
}

fn label(headers: &HeaderMap) -> Result<Option<String>, OptionError> {
    let Some(label) = text(headers, "label")? else {
        return Ok(None);
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if label.len() > LABEL_LIMIT || !label.chars().all(allowed) {
        return Err(refuse(
            "label",
            format!("write at most {LABEL_LIMIT} letters, digits, `-`, `_` and `.`"),
        ));
    }
    Ok(Some(label.to_owned()))
}

fn format(headers: &HeaderMap) -> Result<Format, OptionError> {
    match text(headers, "format")?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("csv") => Ok(Format::Csv),
        Some("json") => Ok(Format::Json),
        Some("parquet") => Ok(Format::Parquet),
        Some(other) => Err(refuse(
            "format",
            format!("`{other}` is not known; write csv, json or parquet"),
        )),
    }
}

fn columns(headers: &HeaderMap) -> Result<Option<Vec<String>>, OptionError> {
    let Some(list) = text(headers, "columns")? else {
        return Ok(None);
    };
    let names: Vec<String> = list
        .split(',')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(refuse("columns", format!("name number {} is empty", index + 1)));
        }
        if name.contains(['=', '(']) {
            return Err(refuse(
                "columns",
                format!("`{name}`: expressions are not supported; name the body's columns only"),
            ));
        }
        if names[..index].iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            return Err(refuse("columns", format!("`{name}` is named twice")));
        }
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests;
