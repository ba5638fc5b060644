//! The operator: the only place that talks to Kubernetes.

mod backoff;
pub mod clock;
pub mod election;
mod engine;
mod events;
pub mod health;
mod kubernetes;
pub mod logging;
pub mod metrics;
mod secrets;
pub mod settings;
