//! Records as bytes, and telling a torn tail from damage.

use crate::{
    MAX_RECORD_BYTES,
    bytes::{crc32, u32_at, u64_at},
};

#[cfg(test)]
mod tests;

/// Bytes before a record's payload: length, checksum, id, durable.
pub(crate) const HEADER_BYTES: usize = 4 + 4 + 8 + 8;

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
        let checksum = crc32(&[&length, &id, &durable, self.payload]).to_le_bytes();
        for part in [&length[..], &checksum, &id, &durable, self.payload] {
            buffer.extend_from_slice(part);
        }
    }
}

/// The record at the start of `bytes`, or why there is none.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    let (Some(length), Some(checksum), Some(id), Some(durable)) =
        (u32_at(bytes, 0), u32_at(bytes, 4), u64_at(bytes, 8), u64_at(bytes, 16))
    else {
        return Err("the record's header is cut off");
    };
    let length = length as usize;
    if length > MAX_RECORD_BYTES {
        return Err("the record's length is impossible");
    }
    let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
        return Err("the record is cut off");
    };
    if crc32(&[&bytes[..4], &bytes[8..HEADER_BYTES], payload]) != checksum {
        return Err("the record's checksum is wrong");
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
