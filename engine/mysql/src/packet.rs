//! Packets: a MySQL packet is cut into chunks of at most 16 MiB - 1 bytes, each behind three bytes of length and one of
//! sequence number. The cutting and joining is mysql_common's; limits, timeouts and sequence checks are here.

mod reader;
mod writer;

pub(crate) use reader::{Packet, PacketReader, ReadError, ReadLimits, read_first_packet};
pub(crate) use writer::{PacketWriter, Position};

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection before or after its TLS handshake.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// Buffers that a large packet has grown beyond this are given back after it.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;
