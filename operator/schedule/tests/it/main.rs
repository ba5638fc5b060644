//! The schedule against a second implementation of the same rules, and against what is known to go wrong elsewhere.

mod cron_crate;
mod oracle;
mod peers;
mod random;
mod zones;
