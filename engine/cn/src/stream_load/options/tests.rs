use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Format, LoadOptions};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}

fn check_refused(pairs: &[(&'static str, &str)], expected: &str) {
    let message = LoadOptions::from_headers(&headers(pairs)).unwrap_err().to_string();
    assert!(message.contains(expected), "{message:?} does not say {expected:?}");
}

#[test]
fn without_headers_the_defaults_are_those_of_starrocks() {
    let options = LoadOptions::from_headers(&HeaderMap::new()).unwrap();
    assert_eq!(options.format, Format::Csv);
    assert_eq!(options.column_separator, b'\t');
    assert_eq!(options.row_delimiter, None);
    assert_eq!(options.timeout, Duration::from_secs(600));
    assert_eq!(options.columns, None);
}

#[test]
fn separators_may_be_bytes_escapes_or_hexadecimal() {
    for (written, byte) in [(",", b','), ("\\t", b'\t'), ("\\x01", 1), ("|", b'|'), (" ", b' ')] {
        let options = LoadOptions::from_headers(&headers(&[("column_separator", written)])).unwrap();
        assert_eq!(options.column_separator, byte, "{written:?}");
    }
    check_refused(&[("column_separator", "||")], "not one byte");
    check_refused(&[("row_delimiter", "\\xZZ")], "not one byte");
}

#[test]
fn columns_are_names_only() {
    let options = LoadOptions::from_headers(&headers(&[("columns", "a, `b` ,c")])).unwrap();
    assert_eq!(options.columns.unwrap(), ["a", "b", "c"]);
    check_refused(&[("columns", "a,b=a+1")], "expressions are not supported");
    check_refused(&[("columns", "a,,b")], "name number 2 is empty");
    check_refused(&[("columns", "a,A")], "named twice");
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    check_refused(&[("where", "a > 1")], "header where");
    check_refused(&[("max_filter_ratio", "0.5")], "only 0 is supported");
    check_refused(&[("format", "avro")], "csv, json or parquet");
    check_refused(&[("label", "a b")], "letters, digits");
    check_refused(&[("timeout", "0")], "not between 1");
    check_refused(&[("timeout", "soon")], "not a whole number");
    check_refused(&[("strip_outer_array", "yes")], "neither true nor false");
}
