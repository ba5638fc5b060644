//! The arguments of `FILES(...)`.

use std::collections::BTreeMap;

use crate::{
    error::QueryError,
    files::{
        external::S3Location,
        listing::{LONGEST_PATH, MOST_ALTERNATIVES, expand_braces},
    },
};

/// The function's name.
pub(crate) const FUNCTION_NAME: &str = "files";

/// What the files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilesFormat {
    Parquet,
    Csv(CsvArguments),
}

/// How CSV is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvArguments {
    pub(crate) separator: u8,
    pub(crate) enclose: u8,
    pub(crate) escape: Option<u8>,
    /// The first line has the names of the columns.
    pub(crate) header: bool,
}

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilesPlace {
    /// The key may be a glob.
    S3 { location: S3Location, key: String },
    /// An absolute path without its leading slash; may be a glob.
    Local { path: String },
}

/// A call of `FILES(...)` that makes sense as far as can be said without looking at the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilesArguments {
    /// As written, for messages and plans. Holds no secret.
    pub(crate) path: String,
    pub(crate) place: FilesPlace,
    pub(crate) format: FilesFormat,
}

const S3_ENDPOINT: &str = "aws.s3.endpoint";
const S3_REGION: &str = "aws.s3.region";
const S3_ACCESS_KEY: &str = "aws.s3.access_key";
const S3_SECRET_KEY: &str = "aws.s3.secret_key";
const S3_PATH_STYLE: &str = "aws.s3.enable_path_style_access";
const S3_SSL: &str = "aws.s3.enable_ssl";
const CSV_SEPARATOR: &str = "csv.column_separator";
const CSV_ENCLOSE: &str = "csv.enclose";
const CSV_ESCAPE: &str = "csv.escape";
const CSV_SKIP_HEADER: &str = "csv.skip_header";
const DEFAULT_REGION: &str = "us-east-1";

impl FilesArguments {
    /// Reads `name = value` pairs; names are lower-case.
    ///
    /// # Errors
    /// Names the argument that is missing, unknown, given twice or wrong, and what to write; never shows a key.
    pub(crate) fn parse(pairs: Vec<(String, String)>) -> Result<Self, QueryError> {
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in pairs {
            if given.insert(name.clone(), value).is_some() {
                return Err(QueryError::Files(format!("'{name}' is given twice")));
            }
        }
        let path = given
            .remove("path")
            .ok_or_else(|| fault("'path' is missing; write \"path\" = \"s3://bucket/folder/*.parquet\""))?;
        let format = match given.remove("format").map(|format| format.to_lowercase()) {
            Some(format) if format == "parquet" => FilesFormat::Parquet,
            Some(format) if format == "csv" => FilesFormat::Csv(csv(&mut given)?),
            Some(format) => return Err(fault(&format!("'format' is '{format}'; it can be parquet or csv"))),
            None => return Err(fault("'format' is missing; write \"format\" = \"parquet\" or \"csv\"")),
        };
        check_wildcards(&path)?;
        let place = place(&path, &mut given)?;
        if let Some(name) = given.keys().next() {
            return Err(fault(&format!("'{name}' is no argument for this format and path")));
        }
        Ok(Self { path, place, format })
    }
}

fn fault(message: &str) -> QueryError {
    QueryError::Files(message.to_owned())
}

/// Everything that a path stands for is looked up, so that is bounded before anything is.
fn check_wildcards(path: &str) -> Result<(), QueryError> {
    if path.len() > LONGEST_PATH {
        return Err(fault(&format!("'path' is longer than {LONGEST_PATH} bytes")));
    }
    match expand_braces(path) {
        Some(_) => Ok(()),
        None => Err(fault(&format!(
            "the braces in 'path' stand for more than {MOST_ALTERNATIVES} paths; use * or several statements"
        ))),
    }
}

fn place(path: &str, given: &mut BTreeMap<String, String>) -> Result<FilesPlace, QueryError> {
    let s3 = ["s3://", "s3a://", "s3n://"]
        .iter()
        .find_map(|scheme| path.strip_prefix(scheme));
    let Some(rest) = s3 else {
        let local = path.strip_prefix("file://").unwrap_or(path);
        return match local.strip_prefix('/') {
            Some(local) if !local.is_empty() => Ok(FilesPlace::Local { path: local.to_owned() }),
            _ => Err(fault(&format!(
                "path '{path}' is neither s3://bucket/key nor file:///folder/file"
            ))),
        };
    };
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || key.is_empty() {
        return Err(fault(&format!(
            "path '{path}' names no object; write s3://bucket/folder/*.parquet"
        )));
    }
    let access_key = given.remove(S3_ACCESS_KEY);
    let secret_key = given.remove(S3_SECRET_KEY);
    let (Some(access_key), Some(secret_key)) = (access_key, secret_key) else {
        return Err(fault(&format!(
            "'{S3_ACCESS_KEY}' and '{S3_SECRET_KEY}' are needed to read '{path}': the cluster's own keys are not lent to statements"
        )));
    };
    let ssl = flag(given, S3_SSL)?.unwrap_or(true);
    let endpoint = given
        .remove(S3_ENDPOINT)
        .map(|endpoint| match endpoint.split_once("://") {
            Some(_) => endpoint,
            None if ssl => format!("https://{endpoint}"),
            None => format!("http://{endpoint}"),
        });
    Ok(FilesPlace::S3 {
        location: S3Location {
            bucket: bucket.to_owned(),
            // With an endpoint of their own, most stores know only path style.
            path_style: flag(given, S3_PATH_STYLE)?.unwrap_or(endpoint.is_some()),
            endpoint,
            region: given.remove(S3_REGION).unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            access_key,
            secret_key,
        },
        key: key.to_owned(),
    })
}

fn flag(given: &mut BTreeMap<String, String>, name: &str) -> Result<Option<bool>, QueryError> {
    match given.remove(name).map(|value| value.to_lowercase()).as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(fault(&format!("'{name}' is '{other}'; it can be true or false"))),
    }
}

fn csv(given: &mut BTreeMap<String, String>) -> Result<CsvArguments, QueryError> {
    let header = match given.remove(CSV_SKIP_HEADER).as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(other) => {
            return Err(fault(&format!(
                "'{CSV_SKIP_HEADER}' is '{other}'; it can be 0, or 1 when the first line has the column names"
            )));
        }
    };
    Ok(CsvArguments {
        separator: byte(given, CSV_SEPARATOR)?.unwrap_or(b','),
        enclose: byte(given, CSV_ENCLOSE)?.unwrap_or(b'"'),
        escape: byte(given, CSV_ESCAPE)?,
        header,
    })
}

fn byte(given: &mut BTreeMap<String, String>, name: &str) -> Result<Option<u8>, QueryError> {
    match given.remove(name).as_deref() {
        None | Some("") => Ok(None),
        Some("\\t") => Ok(Some(b'\t')),
        Some(text) => match text.as_bytes() {
            [byte] => Ok(Some(*byte)),
            _ => Err(fault(&format!("'{name}' is '{text}'; it can be one ASCII character"))),
        },
    }
}
