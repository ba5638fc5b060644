//! The query layer over real workers on loopback, with tables on a store in memory.

mod cluster;
mod failures;
mod files;
mod inserts;
mod statements;
mod tpch;
