//! The frontend: catalog, transactions, planning and coordination of queries, and its doors (MySQL, HTTP, RPC).

pub mod core;
pub mod doors;
pub mod front;
mod run;

pub use run::{FrontendError, FrontendOptions, Tls, run};
