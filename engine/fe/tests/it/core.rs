//! The core on a real directory and a store in memory.

mod accounts;
mod faults;
pub(crate) mod fixture;
mod kill_points;
mod lost_loads;
pub(crate) mod nodes;
mod opening;
mod queue;
mod removal;
mod transactions;
