#![doc = include_str!("../README.md")]

mod auth;
mod column;
mod command;
mod connection;
mod error;
mod handler;
mod login;
mod packet;
mod registry;
mod result;
mod server;
mod statement;
mod value;

pub use async_trait::async_trait;
pub use auth::{LoginAttempt, NATIVE_BYTES, Proof, native_stage2, verify_native};
pub use column::{CHARSET_BINARY, CHARSET_UTF8MB4, Column, ColumnFlags, ColumnType};
pub use error::{MAX_MESSAGE_BYTES, MysqlError, WriteError, codes};
pub use handler::{ConnectionInfo, Handler, HandlerFactory, Parameter, PreparedStatement};
pub use registry::{ConnectionRegistry, OpenConnection};
pub use result::{OkResult, ResultWriter};
pub use server::{ConnectionLimit, ServerOptions, TlsConfigSource, serve};
pub use value::Value;
