//! Images: the caller's whole state after one record.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    FORMAT_VERSION, ImageWriter,
    bytes::{crc32, u32_at, u64_at},
    error::JournalError,
    segment::{CLUSTER_BYTES, cluster_field, numbered, sync_directory},
};

#[cfg(test)]
mod tests;

pub(crate) const MAGIC: &[u8; 8] = b"SPRTIMAG";
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + CLUSTER_BYTES + 8 + 4;
const NAME: &str = "image.";
/// End of the name of an image that is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

pub(crate) fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{NAME}{id:020}"))
}

/// The id in an image's file name; `None` for other files.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    numbered(name, NAME)
}

/// Whether this is what a crash left of an image that was being written.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY).and_then(parse_name).is_some()
}

fn header(id: u64, cluster: &str, payload: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&id.to_le_bytes());
    header[20..20 + CLUSTER_BYTES].copy_from_slice(&cluster_field(cluster));
    header[56..64].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let checksum = crc32(&[&header[..HEADER_BYTES - 4], payload]);
    header[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Writes images into one directory.
#[derive(Debug)]
pub(crate) struct LocalImageWriter {
    pub(crate) directory: PathBuf,
    pub(crate) cluster: String,
}

impl ImageWriter for LocalImageWriter {
    fn write(&self, id: u64, payload: &[u8]) -> Result<(), JournalError> {
        let path = path(&self.directory, id);
        let mut temporary = path.clone().into_os_string();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        File::create(&temporary)
            .and_then(|mut file| {
                file.write_all(&header(id, &self.cluster, payload))?;
                file.write_all(payload)?;
                file.sync_all()
            })
            .map_err(JournalError::io("write", &temporary))?;
        // What cannot be read back is no image: the one before stays the newest.
        if read(&temporary, id, &self.cluster)? != payload {
            return Err(damaged(&temporary, 0, "it reads otherwise than it was written"));
        }
        fs::rename(&temporary, &path).map_err(JournalError::io("rename to", &path))?;
        sync_directory(&self.directory)
    }
}

fn damaged(path: &Path, offset: usize, why: &str) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        why: why.to_owned(),
    }
}

/// The payload of an image.
///
/// # Errors
/// `Damaged`, `TooNew`, `ForeignCluster` as their names say.
pub(crate) fn read(path: &Path, id: u64, cluster: &str) -> Result<Vec<u8>, JournalError> {
    let mut bytes = fs::read(path).map_err(JournalError::io("read", path))?;
    let damaged = |offset: usize, why: &str| damaged(path, offset, why);
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return Err(damaged(bytes.len(), "the header is cut off"));
    };
    if !header.starts_with(MAGIC) {
        return Err(damaged(0, "it does not begin as an image does"));
    }
    let version = u32_at(header, 8).unwrap_or_default();
    let payload = &bytes[HEADER_BYTES..];
    let checksum = crc32(&[&header[..HEADER_BYTES - 4], payload]);
    let is_whole = u64_at(header, 56) == Some(payload.len() as u64)
        && u64_at(header, 12) == Some(id)
        && u32_at(header, HEADER_BYTES - 4) == Some(checksum);
    if !is_whole && version <= FORMAT_VERSION {
        return Err(damaged(0, "its length, id or checksum is wrong"));
    }
    if version > FORMAT_VERSION {
        return Err(JournalError::TooNew {
            path: path.to_owned(),
            found: version,
        });
    }
    let found = &header[20..20 + CLUSTER_BYTES];
    if found != cluster_field(cluster) {
        return Err(JournalError::ForeignCluster {
            path: path.to_owned(),
            found: String::from_utf8_lossy(found).trim_end().to_owned(),
            expected: cluster.to_owned(),
        });
    }
    Ok(bytes.split_off(HEADER_BYTES))
}
