//! The journal: checksummed records that are durable before anyone hears of them, and images that shorten the replay. See
//! `RFC.md`. Plain files and threads; what the records mean is the caller's business.
//!
//! Nouns:
//! - *record*: bytes with an id; ids count from 1 without gaps.
//! - *group*: records between two [`Journal::sync`]s; they become durable together.
//! - *image*: the caller's whole state after one record.
//! - *torn tail*: what a crash left of a group that was never durable.

mod bytes;
mod error;
mod image;
mod local;
mod record;
mod segment;

pub use error::JournalError;
pub use local::{LocalJournal, LocalOptions, Recovered};

/// The newest format version that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Most bytes of a record's payload.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Where records go, one writer at a time.
pub trait Journal: Send + std::fmt::Debug {
    /// Adds a record to the group. It is not durable, and not to be acknowledged, before [`Journal::sync`] returns.
    /// Answers its id.
    ///
    /// # Errors
    /// When the payload is too long, or an earlier call failed.
    fn append(&mut self, payload: &[u8]) -> Result<u64, JournalError>;

    /// Makes the group durable.
    ///
    /// # Errors
    /// When writing fails. It is not known then what is durable: every later call fails too, and the process should end.
    fn sync(&mut self) -> Result<(), JournalError>;

    /// Id of the last record appended; 0 before the first.
    fn last_id(&self) -> u64;

    /// What writes images, from any thread, beside the appends.
    fn image_writer(&self) -> Box<dyn ImageWriter>;

    /// Removes images and segments that the newest images make superfluous; call it after an image was written. Answers
    /// the names of the files that are gone.
    ///
    /// # Errors
    /// When the file system refuses; the journal stays usable.
    fn trim(&mut self) -> Result<Vec<String>, JournalError>;
}

/// Writes images.
pub trait ImageWriter: Send + std::fmt::Debug {
    /// Writes the state after record `id`, durable and read back when this returns.
    ///
    /// # Errors
    /// When the file system refuses, or gives back something else; no image is there then, and the journal stays usable.
    fn write(&self, id: u64, payload: &[u8]) -> Result<(), JournalError>;
}
