//! `FILES(...)`: Parquet and CSV files on S3, or on the local disk of a standalone engine, as a table.

pub(crate) mod arguments;
pub(crate) mod external;
pub(crate) mod listing;
pub(crate) mod provider;

pub(crate) use arguments::FilesArguments;
pub(crate) use external::ExternalLocation;
pub use external::ExternalStores;
pub(crate) use provider::open;

#[cfg(test)]
mod tests;
