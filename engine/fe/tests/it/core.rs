//! The core on a real directory and a store in memory.

pub(crate) mod fixture;
mod kill_points;
mod nodes;
mod opening;
mod transactions;
