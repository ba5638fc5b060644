//! A real API server, a frontend that speaks the real protocol, and the parts of Kubernetes that are played.

pub mod api_server;
pub mod frontend;
pub mod kubelet;
pub mod world;
