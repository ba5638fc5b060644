//! Tests of the frontend against its public interfaces.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod core;
mod doors;
mod formats;
mod front;
mod frontend;
mod recorded;
mod settings;
mod stopping;
mod waiting;
