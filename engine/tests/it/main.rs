//! The whole engine, asked as clients ask: standalone in this process, and frontend and compute nodes as processes of the
//! binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod audit;
mod bad_input;
mod client;
mod doors;
mod drained;
mod engine;
mod killed_frontend;
mod load;
mod lost_nodes;
mod metadata;
mod object_storage;
mod processes;
mod removal;
mod rotation;
mod selects;
mod slt;
mod statements;
mod stopped_frontend;
mod tpch;
