//! The node's local volume: spilled data of queries, and bodies of loads that have to be whole before they can be read.
//! Together they stay below one limit, since the kubelet kills a pod that outgrows its volume. Nothing on it matters.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};
use springtide_query::SpillSpace;

#[cfg(test)]
mod tests;

/// Share of the volume that is used when no limit is configured.
const VOLUME_SHARE_PERCENT: u64 = 85;
/// Share of the limit that queries may spill; the rest is for bodies.
const SPILL_PERCENT: u64 = 75;

/// A body that is larger than what is left for bodies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(
        "bodies of loads may take {limit_bytes} bytes of a compute node's local volume, which this one would exceed: load the file with INSERT INTO … SELECT FROM FILES(…), which keeps nothing, or give the ComputeGroup a larger cacheSize"
    )]
    Full { limit_bytes: u64 },
    #[error("cannot keep the body on the local volume: {0}")]
    Io(#[from] io::Error),
}

/// The volume and what is taken of it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LocalVolume {
    directory: PathBuf,
    spill_bytes: u64,
    bodies_limit: u64,
    bodies: Arc<AtomicU64>,
}

impl LocalVolume {
    /// Uses `directory`, which is made if it is not there, up to `limit_bytes`; 0 takes a share of the volume. What an
    /// earlier process of this pod spilled is removed.
    pub(crate) fn open(directory: &Path, limit_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let limit_bytes = if limit_bytes > 0 {
            limit_bytes
        } else {
            let volume = rustix::fs::statvfs(directory)?;
            (volume.f_blocks.saturating_mul(volume.f_frsize)) / 100 * VOLUME_SHARE_PERCENT
        };
        let spill_bytes = limit_bytes / 100 * SPILL_PERCENT;
        let opened = Self {
            directory: directory.to_owned(),
            spill_bytes,
            bodies_limit: limit_bytes - spill_bytes,
            bodies: Arc::default(),
        };
        let folder = opened.spill().folder;
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir(&folder)?,
        }
        Ok(opened)
    }

    /// Where queries spill, and how much.
    pub(crate) fn spill(&self) -> SpillSpace {
        SpillSpace {
            folder: self.directory.join("spill"),
            limit_bytes: self.spill_bytes,
        }
    }

    /// A file without a name, gone with its last handle, however the process ends.
    pub(crate) fn body(&self) -> Result<BodyFile, KeepError> {
        Ok(BodyFile {
            file: tempfile::tempfile_in(&self.directory)?,
            bytes: 0,
            volume: self.clone(),
        })
    }

    /// Bytes of bodies that are kept now.
    #[cfg(test)]
    fn body_bytes(&self) -> u64 {
        self.bodies.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: u64) -> Result<(), KeepError> {
        self.bodies
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= self.bodies_limit)
            })
            .map(drop)
            .map_err(|_| KeepError::Full {
                limit_bytes: self.bodies_limit,
            })
    }
}

/// A body that is kept until it is whole, then read as Parquet.
#[derive(Debug)]
pub(crate) struct BodyFile {
    file: File,
    bytes: u64,
    volume: LocalVolume,
}

impl BodyFile {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), KeepError> {
        self.volume.reserve(bytes.len() as u64)?;
        self.bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes)?)
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        self.volume.bodies.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Length for BodyFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for BodyFile {
    type T = <File as ChunkReader>::T;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}
