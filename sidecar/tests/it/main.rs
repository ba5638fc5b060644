//! The drain sidecar against a compute node that is played by an HTTP server in this process.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod binary;
mod hook;
mod node;
