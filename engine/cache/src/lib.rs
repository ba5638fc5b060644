//! Blocks of immutable objects, kept in memory in front of a store.

pub mod store;

pub use store::{CacheMetrics, CacheOptions, CachingStore};
