//! What the operator, the sidecar and the engine agree on: ports, paths, the engine's configuration and the drain protocol.
//! Pure values: nothing here opens a file or a socket.

pub mod config;
pub mod drain;
pub mod paths;
pub mod ports;
pub mod settings;
