//! The client's packets.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use mysql_common::proto::codec::ChunkDecoder;
use mysql_common::proto::codec::ChunkInfo;
use mysql_common::proto::codec::error::PacketCodecError;
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};
use tokio::time::timeout;

use super::{KEPT_BUFFER_BYTES, Transport};

/// Free space made before each read. Memory follows the bytes that have come, never a length that a client claims.
const READ_STEP_BYTES: usize = 8 * 1024;

/// While a statement runs, what the client sends ahead is kept up to this size; beyond it TCP holds the client back.
const READ_AHEAD_BYTES: usize = 64 * 1024;

impl ReadError {
    /// The sequence number under which the client expects an answer to what could not be read, where it is known.
    pub(crate) fn answer_sequence(&self) -> Option<u8> {
        match self {
            Self::TooLarge { answer_sequence, .. } => Some(*answer_sequence),
            Self::OutOfOrder { got, .. } => Some(got.wrapping_add(1)),
            Self::Io(_) | Self::Truncated | Self::Idle(_) | Self::Slow(_) => None,
        }
    }
}

/// A packet and the sequence number of the answer to it.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) payload: Vec<u8>,
    pub(crate) next_sequence: u8,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    #[error("a packet is larger than {limit} bytes")]
    TooLarge { limit: usize, answer_sequence: u8 },
    #[error("packets out of order: expected number {expected}, got {got}")]
    OutOfOrder { expected: u8, got: u8 },
    #[error("the connection ended within a packet")]
    Truncated,
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    #[error("the rest of a packet did not come within {0:?}")]
    Slow(Duration),
}

/// How long to wait for a packet, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    /// Wait for the first byte.
    pub(crate) idle: Duration,
    /// Wait between two reads of one packet.
    pub(crate) stall: Duration,
    /// Bytes of a whole packet.
    pub(crate) bytes: usize,
}

pub(crate) struct PacketReader {
    transport: ReadHalf<Box<dyn Transport>>,
    buffer: BytesMut,
}

impl PacketReader {
    pub(crate) fn new(transport: ReadHalf<Box<dyn Transport>>) -> Self {
        Self {
            transport,
            buffer: BytesMut::new(),
        }
    }

    /// The next packet, whose first chunk must have this sequence number; `None` where the client has closed.
    pub(crate) async fn next(
        &mut self,
        expected_sequence: u8,
        limits: ReadLimits,
    ) -> Result<Option<Packet>, ReadError> {
        let mut payload = Vec::new();
        let mut decoder = ChunkDecoder::default();
        let mut expected = expected_sequence;
        loop {
            let chunk = decoder
                .decode(&mut self.buffer, &mut payload, limits.bytes)
                .map_err(|error| match error {
                    PacketCodecError::Io(error) => ReadError::Io(error),
                    _ => ReadError::TooLarge {
                        limit: limits.bytes,
                        answer_sequence: expected.wrapping_add(1),
                    },
                })?;
            if let Some(chunk) = chunk {
                let (ChunkInfo::Middle(got) | ChunkInfo::Last(got)) = chunk;
                if got != expected {
                    return Err(ReadError::OutOfOrder { expected, got });
                }
                expected = expected.wrapping_add(1);
                if matches!(chunk, ChunkInfo::Last(_)) {
                    self.give_back_memory();
                    return Ok(Some(Packet {
                        payload,
                        next_sequence: expected,
                    }));
                }
                continue;
            }
            let fresh = self.buffer.is_empty() && payload.is_empty();
            let wait = if fresh { limits.idle } else { limits.stall };
            match timeout(wait, self.read_more()).await {
                Err(_) if fresh => return Err(ReadError::Idle(wait)),
                Err(_) => return Err(ReadError::Slow(wait)),
                Ok(Err(error)) => return Err(ReadError::Io(error)),
                Ok(Ok(0)) if fresh => return Ok(None),
                Ok(Ok(0)) => return Err(ReadError::Truncated),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Returns when the client has closed the connection or it broke; waits for ever where the client sends ahead more
    /// than is kept. Loses no byte when dropped.
    pub(crate) async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            match self.read_more().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reads and forgets what still comes, so that closing does not reset the connection before the client has read
    /// why; ends with the client, after `patience`, or after `most` bytes.
    pub(crate) async fn drain(&mut self, patience: Duration, most: usize) {
        let mut drained = 0;
        let _ = timeout(patience, async {
            while drained < most {
                self.buffer.clear();
                match self.read_more().await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => drained += count,
                }
            }
        })
        .await;
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_STEP_BYTES);
        self.transport.read_buf(&mut self.buffer).await
    }

    fn give_back_memory(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = BytesMut::new();
        }
    }
}

/// The client's first packet, read to its last byte and not one further: what follows may be a TLS handshake, and
/// nothing that came before it in clear may count as if it had come encrypted.
pub(crate) async fn read_first_packet(
    transport: &mut (impl AsyncRead + Unpin),
    expected_sequence: u8,
    limit: usize,
) -> Result<Option<Packet>, ReadError> {
    let mut header = [0; 4];
    let mut have = 0;
    while have < header.len() {
        match transport.read(&mut header[have..]).await? {
            0 if have == 0 => return Ok(None),
            0 => return Err(ReadError::Truncated),
            count => have += count,
        }
    }
    let [low, middle, high, sequence] = header;
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if length > limit {
        return Err(ReadError::TooLarge {
            limit,
            answer_sequence: sequence.wrapping_add(1),
        });
    }
    if sequence != expected_sequence {
        return Err(ReadError::OutOfOrder {
            expected: expected_sequence,
            got: sequence,
        });
    }
    let mut payload = Vec::new();
    let mut rest = transport.take(length as u64);
    while payload.len() < length {
        if rest.read_buf(&mut payload).await? == 0 {
            return Err(ReadError::Truncated);
        }
    }
    Ok(Some(Packet {
        payload,
        next_sequence: sequence.wrapping_add(1),
    }))
}

#[cfg(test)]
mod tests;
