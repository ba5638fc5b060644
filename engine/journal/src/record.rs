//! Records as bytes, and telling a torn tail from damage.

use std::fmt;

use crate::{
    MAX_RECORD_BYTES,
    bytes::{crc32, u32_at, u64_at},
};

#[cfg(test)]
mod tests;

/// Bytes before a record's payload: length, the payload's checksum, id, durable, and the checksum of these.
pub(crate) const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 4;
const HEADER_CHECKSUM_AT: usize = HEADER_BYTES - 4;
/// What a disk writes as a whole. A power cut leaves a sector written, or as it was: zeros, since the file grew over it.
const SECTOR_BYTES: usize = 512;

/// A record as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) id: u64,
    /// The last id that was durable when this record was written.
    pub(crate) durable: u64,
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    pub(crate) fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    pub(crate) fn encode_into(&self, buffer: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len())
            .expect("append has refused payloads beyond MAX_RECORD_BYTES")
            .to_le_bytes();
        let (id, durable) = (self.id.to_le_bytes(), self.durable.to_le_bytes());
        let payload = crc32(&[self.payload]).to_le_bytes();
        let header = crc32(&[&length, &payload, &id, &durable]).to_le_bytes();
        for part in [&length[..], &payload, &id, &durable, &header, self.payload] {
            buffer.extend_from_slice(part);
        }
    }
}

/// Why there is no record where one should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The file ends within the header.
    HeaderCut,
    /// The header's checksum is wrong.
    HeaderWrong,
    /// The header is right, and tells of more than a record may hold.
    LengthImpossible,
    /// The header is right, and the file ends within the payload.
    PayloadCut,
    /// The header is right, and the payload's checksum is wrong.
    PayloadWrong {
        /// Bytes of the payload.
        length: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::HeaderCut => "the file ends within its header",
            Self::HeaderWrong => "its header's checksum is wrong",
            Self::LengthImpossible => "its length is impossible",
            Self::PayloadCut => "the file ends within its payload",
            Self::PayloadWrong { .. } => "its payload's checksum is wrong",
        })
    }
}

impl Flaw {
    /// Whether a write that never ended can have left this at `offset` of a file, where `bytes` begin: the file ends too
    /// early, or a whole sector of what is wrong is still zeros. Any other wrong bit came later.
    pub(crate) fn is_torn(self, offset: u64, bytes: &[u8]) -> bool {
        let wrong = match self {
            Self::HeaderCut | Self::PayloadCut => return true,
            Self::LengthImpossible => return false,
            Self::HeaderWrong => 0..HEADER_BYTES,
            Self::PayloadWrong { length } => HEADER_BYTES..HEADER_BYTES + length,
        };
        let sector = |at: usize| (offset + at as u64) / SECTOR_BYTES as u64;
        let mut places = wrong;
        while let Some(first) = places.next() {
            let rest = places.clone().take_while(|at| sector(*at) == sector(first));
            let count = 1 + rest.count();
            if bytes[first..first + count].iter().all(|byte| *byte == 0) {
                return true;
            }
            places.start = first + count;
        }
        false
    }
}

/// The record at the start of `bytes`, or why there is none.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record<'_>, Flaw> {
    let (Some(length), Some(payload_checksum), Some(id), Some(durable), Some(header_checksum)) = (
        u32_at(bytes, 0),
        u32_at(bytes, 4),
        u64_at(bytes, 8),
        u64_at(bytes, 16),
        u32_at(bytes, HEADER_CHECKSUM_AT),
    ) else {
        return Err(Flaw::HeaderCut);
    };
    if crc32(&[&bytes[..HEADER_CHECKSUM_AT]]) != header_checksum {
        return Err(Flaw::HeaderWrong);
    }
    let length = length as usize;
    if length > MAX_RECORD_BYTES {
        return Err(Flaw::LengthImpossible);
    }
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(Flaw::PayloadCut)?;
    if crc32(&[payload]) != payload_checksum {
        return Err(Flaw::PayloadWrong { length });
    }
    Ok(Record { id, durable, payload })
}

/// Whether somewhere in `bytes`, which begin with a record `expected` that cannot be read, there is a valid record that was
/// written when `expected` was durable: then `expected` was acknowledged, and its loss is damage.
///
/// Every byte may begin a record. Ids tell most of them apart before a checksum has to be computed.
pub(crate) fn was_durable(expected: u64, bytes: &[u8]) -> bool {
    // Each record takes at least a header, so ids cannot run further ahead than this.
    let most = expected.saturating_add((bytes.len() / HEADER_BYTES) as u64);
    (0..bytes.len().saturating_sub(HEADER_BYTES - 1)).any(|at| {
        let rest = &bytes[at..];
        let plausible = u64_at(rest, 8).is_some_and(|id| id >= expected && id <= most)
            && u64_at(rest, 16).is_some_and(|durable| durable >= expected && durable <= most);
        plausible && decode(rest).is_ok()
    })
}
