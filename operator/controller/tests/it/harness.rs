//! A real API server, a frontend that speaks the real protocol, and the parts of Kubernetes that are played.

pub(crate) mod api_server;
pub(crate) mod certificates;
pub(crate) mod charts;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod frontend;
pub(crate) mod jobs;
pub(crate) mod kubelet;
pub(crate) mod relay;
pub(crate) mod rights;
pub(crate) mod sleep;
pub(crate) mod starrocks;
mod starrocks_cluster;
pub(crate) mod state;
pub(crate) mod world;
