//! Tests of the frontend against its public interfaces.

mod core;
mod doors;
mod front;
mod recorded;
