//! The server against real clients (mysql_async, MariaDB's `mysql`) and against bytes that no client sends.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod fixture;
mod garbage;
mod login;
mod results;
mod stopping;
mod values;
mod wire;
