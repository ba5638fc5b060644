//! The engine's binary: reads configuration and mounted secrets, opens the store, and runs a frontend, a compute node, or both.

pub mod delete_data;
pub mod logging;
pub mod place;
pub mod process;
pub mod refusal;
pub mod standalone;
pub mod store;
pub mod tls;
pub mod token;
