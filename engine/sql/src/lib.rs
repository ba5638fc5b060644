#![doc = include_str!("../README.md")]

mod dialect;
mod display;
mod error;
mod names;
mod parse;
mod redact;
mod rewrite;
mod statement;
mod tokens;

pub use dialect::StarRocksDialect;
pub use display::{TableDescription, column_type_name, create_table_text, full_type_name, quote_identifier};
pub use error::SqlError;
pub use names::{OUTPUT_SUFFIX, calls_table_function, output_names, referenced_tables};
pub use parse::{check_bound, parse};
pub use redact::{redact, redact_unread};
pub use rewrite::{Parameter, SessionValues, bind, rewrite};
pub use sqlparser;
pub use statement::*;
