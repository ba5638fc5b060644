//! Segment files: a header, then records.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    FORMAT_VERSION,
    bytes::{crc32, u32_at, u64_at},
    error::JournalError,
    record,
};

pub(crate) const MAGIC: &[u8; 8] = b"SPRTJRNL";
/// Bytes of a cluster id as text.
pub(crate) const CLUSTER_BYTES: usize = 36;
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + CLUSTER_BYTES + 4;
const NAME: &str = "journal.";

/// Path of the segment that begins with `first_id`.
pub(crate) fn path(directory: &Path, first_id: u64) -> PathBuf {
    directory.join(format!("{NAME}{first_id:020}"))
}

/// The first id in a segment's file name; `None` for other files.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    numbered(name, NAME)
}

/// The number of `<prefix><20 digits>`.
pub(crate) fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The cluster id as its fixed-width field.
pub(crate) fn cluster_field(cluster: &str) -> [u8; CLUSTER_BYTES] {
    let mut field = [b' '; CLUSTER_BYTES];
    for (place, byte) in field.iter_mut().zip(cluster.bytes()) {
        *place = byte;
    }
    field
}

pub(crate) fn header(first_id: u64, cluster: &str) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&first_id.to_le_bytes());
    header[20..20 + CLUSTER_BYTES].copy_from_slice(&cluster_field(cluster));
    let checksum = crc32(&[&header[..HEADER_BYTES - 4]]);
    header[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Creates a segment whose header and name are durable when this returns.
pub(crate) fn create(directory: &Path, first_id: u64, cluster: &str) -> Result<File, JournalError> {
    let path = path(directory, first_id);
    let mut file = File::create_new(&path).map_err(JournalError::io("create", &path))?;
    file.write_all(&header(first_id, cluster))
        .and_then(|()| file.sync_all())
        .map_err(JournalError::io("write the header of", &path))?;
    sync_directory(directory)?;
    Ok(file)
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(JournalError::io("sync directory", directory))
}

/// The readable part of a segment.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Ids and payloads, in order.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    /// Bytes of header and records; the rest of the file, if any, is a torn tail.
    pub(crate) valid_bytes: u64,
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
}

/// Reads a segment that should begin with `first_id`. `Ok(None)` is a last segment that ends within its header.
///
/// # Errors
/// When anything is wrong that is not the torn tail of the last segment.
pub(crate) fn read(path: &Path, first_id: u64, cluster: &str, is_last: bool) -> Result<Option<Contents>, JournalError> {
    let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
    if is_last && bytes.len() < HEADER_BYTES {
        return Ok(None);
    }
    check_header(path, &bytes, first_id, cluster)?;
    let mut records = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let expected = first_id + records.len() as u64;
        let rest = &bytes[at..];
        let damaged = |why: String| JournalError::Damaged {
            path: path.to_owned(),
            offset: at as u64,
            why: format!("record {expected} should be here, {why}"),
        };
        match record::decode(rest) {
            Ok(record) if record.id == expected => {
                at += record.encoded_bytes();
                records.push((record.id, record.payload.to_vec()));
                continue;
            }
            Ok(record) => return Err(damaged(format!("not {}", record.id))),
            Err(flaw) if !is_last => return Err(damaged(format!("but {flaw}, and another file follows"))),
            Err(flaw) if !flaw.is_torn(at as u64, rest) => {
                return Err(damaged(format!("but {flaw}, and no interrupted write leaves that")));
            }
            Err(flaw) if record::was_durable(expected, rest) => {
                return Err(damaged(format!("but {flaw}, and later records knew it")));
            }
            Err(_) => {}
        }
        break;
    }
    Ok(Some(Contents {
        records,
        valid_bytes: at as u64,
        file_bytes: bytes.len() as u64,
    }))
}

fn check_header(path: &Path, bytes: &[u8], first_id: u64, cluster: &str) -> Result<(), JournalError> {
    let damaged = |offset, why: &str| JournalError::Damaged {
        path: path.to_owned(),
        offset,
        why: why.to_owned(),
    };
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return Err(damaged(bytes.len() as u64, "the header is cut off"));
    };
    if !header.starts_with(MAGIC) {
        return Err(damaged(0, "it does not begin as a journal does"));
    }
    let version = u32_at(header, 8).unwrap_or_default();
    if version > FORMAT_VERSION {
        return Err(JournalError::TooNew {
            path: path.to_owned(),
            found: version,
        });
    }
    if u32_at(header, HEADER_BYTES - 4) != Some(crc32(&[&header[..HEADER_BYTES - 4]])) {
        return Err(damaged(0, "the header's checksum is wrong"));
    }
    let found = &header[20..20 + CLUSTER_BYTES];
    if found != cluster_field(cluster) {
        return Err(JournalError::ForeignCluster {
            path: path.to_owned(),
            found: String::from_utf8_lossy(found).trim_end().to_owned(),
            expected: cluster.to_owned(),
        });
    }
    match u64_at(header, 12) {
        Some(found) if found != first_id => Err(JournalError::Gap {
            path: path.to_owned(),
            expected: first_id,
            found,
        }),
        _ => Ok(()),
    }
}
