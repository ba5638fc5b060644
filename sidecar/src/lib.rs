//! What stands beside an engine process in its pod. One binary, one sub-command for each task; today there is one:
//!
//! - [`drain`] answers the `preStop` hook of a compute node, and withholds the answer until the node is idle or a deadline comes.

pub mod drain;
