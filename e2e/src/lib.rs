//! Springtide on a real Kubernetes: what the demo, the local cluster and the tests of the whole are made of.
//!
//! Nouns: a [`timeline::Timeline`] shows steps as they run; [`places::Places`] says where things are on this machine; a
//! [`target::Target`] is the Kubernetes that a run works on, with the way by which images get there; [`storage`] is the S3
//! server in the cluster; [`tpch`] is the data, its queries and the answers they must give; [`platform`] is what departments stand on; [`demo`] puts them together;
//! [`bench`] measures; a [`mishap`] befalls a pod;
//! [`soak`] tries a promise for hours, with the clients of [`sql_client`].

pub mod bench;
pub mod cli;
pub mod cluster;
pub mod demo;
pub mod departments;
pub mod error;
pub mod images;
pub mod mishap;
pub mod places;
pub mod platform;
pub mod process;
pub mod soak;
pub mod sql;
pub mod sql_client;
pub mod standalone;
pub mod storage;
pub mod stream_load;
pub mod target;
pub mod timeline;
pub mod tpch;

pub use error::{Error, Result};
