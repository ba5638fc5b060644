//! Partition metadata objects: all tablets of a partition at one version.

use bytes::Bytes;
use springtide_model::PartitionMetadata;

use crate::{
    FORMAT_VERSION,
    error::{FormatError, crc32, u32_at},
};

#[cfg(test)]
mod tests;

/// First bytes of every partition metadata object.
pub const MAGIC: &[u8; 8] = b"SPRTMETA";
/// Bytes before the payload: magic, version, length, checksum.
pub const HEADER_BYTES: usize = MAGIC.len() + 4 + 4 + 4;

const WHAT: &str = "a partition metadata object";

/// The object's bytes.
///
/// # Errors
/// [`FormatError::Damaged`] when the metadata is too long for a 32-bit length.
pub fn encode_partition_metadata(metadata: &PartitionMetadata) -> Result<Bytes, FormatError> {
    let payload = serde_json::to_vec(metadata).map_err(|error| FormatError::damaged(WHAT, error.to_string()))?;
    let length = u32::try_from(payload.len())
        .map_err(|_| FormatError::damaged(WHAT, format!("{} bytes do not fit", payload.len())))?
        .to_le_bytes();
    let version = FORMAT_VERSION.to_le_bytes();
    let checksum = crc32(&[&version, &length, &payload]).to_le_bytes();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    for part in [&MAGIC[..], &version, &length, &checksum, &payload] {
        bytes.extend_from_slice(part);
    }
    Ok(bytes.into())
}

/// The metadata in an object's bytes.
///
/// # Errors
/// [`FormatError::TooNew`] and [`FormatError::Damaged`] as their names say.
pub fn decode_partition_metadata(bytes: &[u8]) -> Result<PartitionMetadata, FormatError> {
    let damaged = |why: String| FormatError::damaged(WHAT, why);
    if bytes.len() < HEADER_BYTES {
        return Err(damaged(format!("it has {} bytes, fewer than its header", bytes.len())));
    }
    let (header, payload) = bytes.split_at(HEADER_BYTES);
    if !header.starts_with(MAGIC) {
        return Err(damaged("it does not begin as one does".to_owned()));
    }
    let field = |offset| u32_at(header, offset).ok_or_else(|| damaged("its header is cut".to_owned()));
    let (version, length, checksum) = (field(8)?, field(12)?, field(16)?);
    if version > FORMAT_VERSION {
        return Err(FormatError::TooNew {
            what: WHAT,
            found: version,
        });
    }
    if payload.len() as u64 != u64::from(length) {
        return Err(damaged(format!("it has {} bytes of {length}", payload.len())));
    }
    if crc32(&[&header[8..16], payload]) != checksum {
        return Err(damaged("its checksum is wrong".to_owned()));
    }
    serde_json::from_slice(payload).map_err(|error| damaged(error.to_string()))
}
