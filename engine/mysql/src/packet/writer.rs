//! The server's packets, buffered: memory is bounded by the flush size and one packet.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use mysql_common::proto::codec::packet_to_chunks;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::KEPT_BUFFER_BYTES;
use crate::WriteError;

/// A place in the outgoing stream to which unsent output can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes since the connection began, sent and buffered.
    offset: u64,
    sequence: u8,
}

#[derive(Debug)]
enum Broken {
    Lost(String),
    TimedOut(Duration),
    Killed,
}

pub(crate) struct PacketWriter {
    transport: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    buffer: BytesMut,
    sequence: u8,
    bytes_sent: u64,
    max_packet: usize,
    stall: Duration,
    killed: CancellationToken,
    broken: Option<Broken>,
}

impl PacketWriter {
    /// Packets beyond `max_packet` bytes are refused; a client that takes nothing for `stall` is given up.
    pub(crate) fn new(
        transport: Box<dyn AsyncWrite + Send + Sync + Unpin>,
        max_packet: usize,
        stall: Duration,
        killed: CancellationToken,
    ) -> Self {
        Self {
            transport,
            buffer: BytesMut::new(),
            sequence: 0,
            bytes_sent: 0,
            max_packet,
            stall,
            killed,
            broken: None,
        }
    }

    pub(crate) fn sequence(&self) -> u8 {
        self.sequence
    }

    pub(crate) fn set_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            offset: self.bytes_sent + self.buffer.len() as u64,
            sequence: self.sequence,
        }
    }

    /// Whether bytes behind this position have been handed to the network. Bytes before it may still be unsent.
    pub(crate) fn has_sent_since(&self, position: Position) -> bool {
        self.bytes_sent > position.offset
    }

    /// Bytes behind this position that are still here.
    pub(crate) fn buffered_since(&self, position: Position) -> usize {
        let since = (self.bytes_sent + self.buffer.len() as u64).saturating_sub(position.offset);
        usize::try_from(since).unwrap_or(usize::MAX).min(self.buffer.len())
    }

    /// Takes back everything behind the position; `false` where some of it has been sent.
    pub(crate) fn take_back_to(&mut self, position: Position) -> bool {
        if self.has_sent_since(position) {
            return false;
        }
        let kept = self.buffer.len() - self.buffered_since(position);
        self.buffer.truncate(kept);
        self.sequence = position.sequence;
        true
    }

    /// Buffers one packet.
    pub(crate) fn push(&mut self, mut payload: &[u8]) -> Result<(), WriteError> {
        self.check()?;
        if payload.len() > self.max_packet {
            return Err(WriteError::PacketTooLarge {
                size: payload.len(),
                limit: self.max_packet,
            });
        }
        self.sequence = packet_to_chunks(self.sequence, &mut payload, &mut self.buffer);
        Ok(())
    }

    /// Sends what is buffered. Broken means broken for ever: a packet may have been cut in the middle.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        self.check()?;
        while !self.buffer.is_empty() {
            let step = tokio::select! {
                biased;
                step = self.transport.write(&self.buffer) => step,
                () = self.killed.cancelled() => return self.break_with(Broken::Killed),
                () = tokio::time::sleep(self.stall) => return self.break_with(Broken::TimedOut(self.stall)),
            };
            match step {
                Ok(0) => return self.break_with(Broken::Lost("the client closed it".to_owned())),
                Ok(count) => {
                    self.buffer.advance(count);
                    self.bytes_sent += count as u64;
                }
                Err(error) => return self.break_with(Broken::Lost(error.to_string())),
            }
        }
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = BytesMut::new();
        }
        // TLS keeps records back until it is flushed.
        let flushed = tokio::select! {
            biased;
            flushed = self.transport.flush() => flushed,
            () = tokio::time::sleep(self.stall) => return self.break_with(Broken::TimedOut(self.stall)),
        };
        match flushed {
            Ok(()) => Ok(()),
            Err(error) => self.break_with(Broken::Lost(error.to_string())),
        }
    }

    /// Sends what is buffered, even on a killed connection, and closes the sending side; all within `patience`.
    pub(crate) async fn close(&mut self, patience: Duration) {
        let _ = tokio::time::timeout(patience, async {
            if self.broken.is_none() {
                let _ = self.transport.write_all(&self.buffer).await;
                let _ = self.transport.flush().await;
            }
            self.buffer.clear();
            let _ = self.transport.shutdown().await;
        })
        .await;
    }

    fn check(&self) -> Result<(), WriteError> {
        match &self.broken {
            None => Ok(()),
            Some(Broken::Lost(reason)) => Err(WriteError::ConnectionLost(reason.clone())),
            Some(Broken::TimedOut(stall)) => Err(WriteError::TimedOut(*stall)),
            Some(Broken::Killed) => Err(WriteError::Killed),
        }
    }

    fn break_with(&mut self, broken: Broken) -> Result<(), WriteError> {
        self.broken = Some(broken);
        self.buffer = BytesMut::new();
        self.check()
    }
}

#[cfg(test)]
mod tests;
