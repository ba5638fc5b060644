//! The drain sidecar against a compute node that is played by an HTTP server in this process.

mod binary;
mod hook;
mod node;
