//! TPC-H: data made by `tpchgen`, its tables and queries in SQL, and the answers that the queries must give.
//!
//! The data is written once for a scale factor, as Parquet, streamed: memory holds a few row groups, whatever the scale. A
//! manifest object, written last, says that all of it is there, so that a second run finds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub mod answers;
pub mod generate;
#[cfg(test)]
mod tests;

/// The tables, largest first: the order in which they are made and loaded.
pub const TABLES: [&str; 8] = [
    "lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region",
];

/// How many times the data of scale factor 1 (about 1 GB of text, 6 million rows of `lineitem`).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ScaleFactor(f64);

impl std::str::FromStr for ScaleFactor {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<f64>() {
            Ok(factor) if (0.001..=1000.0).contains(&factor) => Ok(Self(factor)),
            _ => Err(format!(
                "SF must be a number from 0.001 to 1000, such as 0.1, 1 or 10; not '{text}'"
            )),
        }
    }
}

impl std::fmt::Display for ScaleFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ScaleFactor {
    /// The factor as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The folder of its data: `sf1`, `sf0.01`.
    pub fn folder(self) -> String {
        format!("sf{self}")
    }
}

/// What was made: the object `<folder>/manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Scale factor of the data.
    pub scale_factor: f64,
    /// Program and version that made it.
    pub generator: String,
    /// What there is of each table.
    pub tables: BTreeMap<String, Table>,
}

/// One table's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Rows in all files.
    pub rows: u64,
    /// Files, each `<folder>/<table>/<number>.parquet`.
    pub files: u32,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Manifest {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.tables.values().map(|table| table.bytes).sum()
    }

    /// One table.
    pub fn table(&self, name: &str) -> Result<Table> {
        self.tables.get(name).copied().ok_or_else(|| {
            Error::Missing(format!(
                "the TPC-H manifest has no table {name}; remove the data's folder from the bucket and run again"
            ))
        })
    }
}

/// The statement that makes a table, in StarRocks' SQL.
pub fn create_table(table: &str) -> Option<&'static str> {
    Some(match table {
        "customer" => include_str!("../tpch/schema/customer.sql"),
        "lineitem" => include_str!("../tpch/schema/lineitem.sql"),
        "nation" => include_str!("../tpch/schema/nation.sql"),
        "orders" => include_str!("../tpch/schema/orders.sql"),
        "part" => include_str!("../tpch/schema/part.sql"),
        "partsupp" => include_str!("../tpch/schema/partsupp.sql"),
        "region" => include_str!("../tpch/schema/region.sql"),
        "supplier" => include_str!("../tpch/schema/supplier.sql"),
        _ => return None,
    })
}
