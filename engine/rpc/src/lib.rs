//! What frontends and compute nodes say to each other over HTTP: messages, paths, the cluster token, and a client with
//! timeouts. The servers live in `fe` and `cn`; neither needs the other's code.

pub mod client;
pub mod message;
pub mod token;

pub use client::{RpcClient, RpcError};
pub use token::ClusterToken;
