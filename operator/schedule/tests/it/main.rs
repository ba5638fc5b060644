//! The schedule against a second implementation of the same rules, and against what is known to go wrong elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod cron_crate;
mod oracle;
mod peers;
mod random;
mod size;
mod tzdata;
mod zones;
