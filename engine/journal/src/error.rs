//! Why the journal refuses.

use std::{io, path::PathBuf};

use crate::{FORMAT_VERSION, MAX_RECORD_BYTES};

/// A refusal. Each names the file, and says what to do where there is something to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("{} is held by another process: only one frontend may use a metadata volume; stop the other one", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The bytes do not add up, and this is not the tail of a crash.
    #[error(
        "{} is damaged at byte {offset}: {why}; nothing was changed: restore the metadata volume from a backup, or put back the intact file",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        why: String,
    },
    /// Records are missing between two files.
    #[error(
        "{} should begin with record {expected}, but begins with {found}: records are missing; nothing was changed: put back the missing files or restore the metadata volume from a backup",
        path.display()
    )]
    Gap {
        /// The file after the gap.
        path: PathBuf,
        /// The record that should come.
        expected: u64,
        /// The record that comes.
        found: u64,
    },
    /// A newer engine wrote it.
    #[error(
        "{} was written by a newer engine (version {found}; this one reads up to {FORMAT_VERSION}); run at least that engine version",
        path.display()
    )]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its format version.
        found: u32,
    },
    /// The files belong to another cluster.
    #[error("{} belongs to cluster {found}, this is cluster {expected}: the wrong metadata volume is mounted; where this one continues that cluster, name {found} in bootstrap.adopt", path.display())]
    ForeignCluster {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// A record's payload is too long.
    #[error("a journal record has {bytes} bytes, at most {MAX_RECORD_BYTES} are allowed")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// An earlier write failed, so that it is not known what is durable.
    #[error("the journal failed earlier and takes no more records: {first}")]
    Failed {
        /// The earlier failure.
        first: String,
    },
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
