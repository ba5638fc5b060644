//! The trailer of a data object: the transaction log of what the object holds.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use springtide_model::TabletWrite;

use crate::{
    FORMAT_VERSION,
    error::{FormatError, crc32, u32_at},
};

#[cfg(test)]
mod tests;

/// Bytes from the end of a data object that hold most trailers.
pub const SUFFIX_BYTES: u64 = 64 << 10;
/// Last bytes of every data object.
pub const MAGIC: &[u8; 8] = b"SPRTDATA";
/// Bytes after the payload: length, checksum, version, magic.
pub const FOOTER_BYTES: usize = 4 + 4 + 4 + MAGIC.len();

const WHAT: &str = "the trailer of a data object";

#[derive(Serialize)]
struct PayloadToWrite<'a> {
    writes: &'a [TabletWrite],
}

#[derive(Deserialize)]
struct Payload {
    writes: Vec<TabletWrite>,
}

/// The trailer to append after the last segment.
///
/// # Errors
/// [`FormatError::Damaged`] when the list is too long for a 32-bit length, which no sane load reaches.
pub fn encode_trailer(writes: &[TabletWrite]) -> Result<Bytes, FormatError> {
    let mut bytes = serde_json::to_vec(&PayloadToWrite { writes })
        .map_err(|error| FormatError::damaged(WHAT, error.to_string()))?;
    let length = u32::try_from(bytes.len())
        .map_err(|_| FormatError::damaged(WHAT, format!("{} bytes do not fit", bytes.len())))?
        .to_le_bytes();
    let version = FORMAT_VERSION.to_le_bytes();
    let checksum = crc32(&[&bytes, &length, &version]).to_le_bytes();
    for part in [&length[..], &checksum, &version, MAGIC] {
        bytes.extend_from_slice(part);
    }
    Ok(bytes.into())
}

/// What an object holds, from its last bytes.
///
/// # Errors
/// [`FormatError::Short`] when `suffix` does not reach back to the trailer's start and there may be more of the object;
/// [`FormatError::TooNew`] and [`FormatError::Damaged`] as their names say.
pub fn decode_trailer(suffix: &[u8]) -> Result<Vec<TabletWrite>, FormatError> {
    let damaged = |why: &str| FormatError::damaged(WHAT, why);
    let footer_at = suffix
        .len()
        .checked_sub(FOOTER_BYTES)
        .ok_or_else(|| damaged("it has fewer bytes than a trailer"))?;
    let (before, footer) = suffix.split_at(footer_at);
    let field = |offset| u32_at(footer, offset).ok_or_else(|| damaged("it has fewer bytes than a trailer"));
    let (length, checksum, version) = (field(0)?, field(4)?, field(8)?);
    if &footer[12..] != MAGIC {
        return Err(damaged("it does not end as a data object does"));
    }
    if version > FORMAT_VERSION {
        return Err(FormatError::TooNew {
            what: WHAT,
            found: version,
        });
    }
    let Some(payload_at) = before.len().checked_sub(length as usize) else {
        return Err(FormatError::Short {
            needed: u64::from(length) + FOOTER_BYTES as u64,
        });
    };
    let payload = &before[payload_at..];
    if crc32(&[payload, &footer[..4], &footer[8..12]]) != checksum {
        return Err(damaged("its checksum is wrong"));
    }
    let payload: Payload =
        serde_json::from_slice(payload).map_err(|error| FormatError::damaged(WHAT, error.to_string()))?;
    Ok(payload.writes)
}
