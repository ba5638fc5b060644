//! From the bytes of a body to batches of rows: one decoder per format, all with the same two calls.

#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a method is not general enough in its lifetimes"
)]

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    csv::reader::{Decoder as CsvDecoder, Format as CsvFormat, ReaderBuilder as CsvBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    json::reader::{Decoder as JsonDecoder, ReaderBuilder as JsonBuilder},
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{
    json::OuterArray,
    options::{Format, LoadOptions},
};
use crate::local::{BodyFile, KeepError, LocalVolume};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Why a body could not be read; the message is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the body is not CSV of the expected shape: {0}")]
    Csv(String),
    #[error("the body is not JSON of the expected shape: {0}")]
    Json(String),
    #[error("the body is not a whole Parquet file: {0}")]
    Parquet(String),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

/// Decodes a body piece by piece. Text formats give all columns as text; the table's types come later, in one place.
pub(crate) enum Source {
    Csv {
        decoder: Box<CsvDecoder>,
        columns: usize,
    },
    Json {
        decoder: Box<JsonDecoder>,
        outer: Option<OuterArray>,
    },
    Parquet {
        file: BodyFile,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Csv { .. } => "Source::Csv",
            Source::Json { .. } => "Source::Json",
            Source::Parquet { .. } => "Source::Parquet",
        })
    }
}

/// What is left when the body has ended.
pub(crate) enum Rest {
    Batch(Option<RecordBatch>),
    File(ParquetRecordBatchReader),
}

impl Source {
    /// A decoder for a body whose columns are `columns`, in order for CSV, by name for JSON. Parquet is kept on the local
    /// volume until it is whole, since its index is at its end.
    pub(crate) fn new(options: &LoadOptions, columns: &[String], volume: &LocalVolume) -> Result<Self, SourceError> {
        let schema: SchemaRef = Arc::new(Schema::new(
            columns
                .iter()
                .map(|name| Field::new(name, DataType::Utf8, true))
                .collect::<Vec<_>>(),
        ));
        Ok(match options.format {
            Format::Csv => Source::Csv {
                decoder: Box::new(csv_decoder(options, schema)),
                columns: columns.len(),
            },
            Format::Json => Source::Json {
                decoder: Box::new(
                    JsonBuilder::new(schema)
                        .with_batch_size(BATCH_ROWS)
                        .with_coerce_primitive(true)
                        .build_decoder()
                        .map_err(|error| json_error(&error))?,
                ),
                outer: options.strip_outer_array.then(OuterArray::default),
            },
            Format::Parquet => Source::Parquet { file: volume.body()? },
        })
    }

    /// Takes the next piece of the body and gives the batches that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>, SourceError> {
        match self {
            Source::Csv { decoder, columns } => {
                let columns = *columns;
                drive(
                    bytes,
                    &mut **decoder,
                    |d, b| d.decode(b),
                    |d| d.capacity() == 0,
                    CsvDecoder::flush,
                )
                .map_err(|error| csv_error(&error, columns))
            }
            Source::Json { decoder, outer } => {
                let stripped = match outer {
                    Some(outer) => outer.strip(bytes).map_err(SourceError::Json)?,
                    None => bytes.into(),
                };
                drive(
                    &stripped,
                    &mut **decoder,
                    |d, b| d.decode(b),
                    |_| false,
                    JsonDecoder::flush,
                )
                .map_err(|error| json_error(&error))
            }
            Source::Parquet { file } => {
                file.append(bytes)?;
                Ok(Vec::new())
            }
        }
    }

    /// The body has ended.
    pub(crate) fn finish(self) -> Result<Rest, SourceError> {
        match self {
            Source::Csv { mut decoder, columns } => {
                // An empty slice tells the decoder that a last line without delimiter is complete.
                decoder
                    .decode(&[])
                    .and_then(|_| decoder.flush())
                    .map(Rest::Batch)
                    .map_err(|e| csv_error(&e, columns))
            }
            Source::Json { mut decoder, outer } => {
                if let Some(outer) = outer {
                    outer.finish().map_err(SourceError::Json)?;
                }
                decoder.flush().map(Rest::Batch).map_err(|error| json_error(&error))
            }
            Source::Parquet { file } => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                    .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
                    .map_err(|error| SourceError::Parquet(error.to_string()))?;
                Ok(Rest::File(reader))
            }
        }
    }
}

fn csv_decoder(options: &LoadOptions, schema: SchemaRef) -> CsvDecoder {
    let null = regex::Regex::new(r"^\\N$").expect("a constant expression");
    let mut format = CsvFormat::default()
        .with_delimiter(options.column_separator)
        .with_null_regex(null);
    if let Some(terminator) = options.row_delimiter {
        format = format.with_terminator(terminator);
    }
    // Without `enclose` a quote is a character like any other, as in StarRocks; a byte that text cannot hold stands in.
    format = format.with_quote(options.enclose.unwrap_or(0xFF));
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    CsvBuilder::new(schema)
        .with_format(format)
        .with_batch_size(BATCH_ROWS)
        .with_bounds(options.skip_header, usize::MAX)
        .build_decoder()
}

/// Feeds `bytes` to a decoder of Arrow until it has taken all of them.
fn drive<D>(
    mut bytes: &[u8],
    decoder: &mut D,
    decode: impl Fn(&mut D, &[u8]) -> Result<usize, ArrowError>,
    full: impl Fn(&D) -> bool,
    flush: impl Fn(&mut D) -> Result<Option<RecordBatch>, ArrowError>,
) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let taken = decode(decoder, bytes)?;
        bytes = &bytes[taken..];
        // A decoder takes less than it is given only when its batch is full.
        if !bytes.is_empty() || full(decoder) {
            batches.extend(flush(decoder)?);
        }
    }
    Ok(batches)
}

fn csv_error(error: &ArrowError, columns: usize) -> SourceError {
    let text = error.to_string();
    let hint = if text.contains("incorrect number of fields") {
        format!("; {columns} columns are loaded: check the header columns and column_separator")
    } else {
        String::new()
    };
    SourceError::Csv(format!("{}{hint}", text.trim_start_matches("Csv error: ")))
}

fn json_error(error: &ArrowError) -> SourceError {
    let text = error.to_string();
    let text = text.trim_start_matches("Json error: ");
    let hint = if text.contains("got ArrayStart") || text.contains("expected {") || text.contains("got [") {
        "; set the header strip_outer_array to true when the body is one array"
    } else {
        ""
    };
    SourceError::Json(format!("{text}{hint}"))
}
