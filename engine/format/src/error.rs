//! Why bytes are refused.

use crate::FORMAT_VERSION;

/// A reader's refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A newer engine wrote it.
    #[error(
        "{what} was written by a newer engine (version {found}; this one reads up to {FORMAT_VERSION}); run at least that engine version"
    )]
    TooNew {
        /// What was read.
        what: &'static str,
        /// Its format version.
        found: u32,
    },
    /// The bytes do not add up.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// What does not fit.
        why: String,
    },
    /// The end of the object that was given is too short to hold the trailer: read this many bytes and try again.
    #[error("the trailer needs the last {needed} bytes of the object")]
    Short {
        /// Bytes from the end of the object.
        needed: u64,
    },
}

impl FormatError {
    pub(crate) fn damaged(what: &'static str, why: impl Into<String>) -> Self {
        Self::Damaged { what, why: why.into() }
    }
}

/// The four bytes at `offset` as a little-endian number.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// The checksum of these parts, one after the other.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
