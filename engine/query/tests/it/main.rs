//! The query layer over real workers on loopback, with tables on a store in memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod cluster;
mod failures;
mod files;
mod inserts;
mod statements;
mod tpch;
