//! The journal in a directory of this machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{ImageWriter, Journal, MAX_RECORD_BYTES, error::JournalError, image, record::Record, segment};

#[cfg(test)]
mod tests;

/// Images that are kept: the newest, and one to fall back to.
const KEPT_IMAGES: usize = 2;
const LOCK: &str = "LOCK";

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Whose journal this is: a UUID as text. Files of another cluster are refused.
    pub cluster: String,
    /// Bytes after which a new segment file begins.
    pub segment_bytes: u64,
}

impl LocalOptions {
    /// Options with segments of 64 MiB.
    #[must_use]
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            segment_bytes: 64 << 20,
        }
    }
}

/// What was in the journal when it was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest valid image: the id of its last record, and its payload.
    pub image: Option<(u64, Vec<u8>)>,
    /// The records after it, in order.
    pub records: Vec<(u64, Vec<u8>)>,
    /// What was found amiss and dealt with, for the log.
    pub notes: Vec<String>,
}

impl Recovered {
    /// Whether there never was a durable record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.image.is_none() && self.records.is_empty()
    }
}

/// Segment files and images in one directory.
#[derive(Debug)]
pub struct LocalJournal {
    directory: PathBuf,
    options: LocalOptions,
    /// First ids of the segment files; the last is written to.
    segments: Vec<u64>,
    file: File,
    file_bytes: u64,
    /// The group: records that are not written yet.
    group: Vec<u8>,
    last_id: u64,
    durable_id: u64,
    failure: Option<String>,
    /// Held as long as the journal is open; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl LocalJournal {
    /// Opens the journal in `directory`, which is made if it is not there, and reads what it holds.
    ///
    /// # Errors
    /// When another process has it open, the file system fails, or the files are damaged, of another cluster or of a newer
    /// engine. Damaged files are never changed.
    pub fn open(directory: &Path, options: LocalOptions) -> Result<(Self, Recovered), JournalError> {
        fs::create_dir_all(directory).map_err(JournalError::io("create", directory))?;
        let lock = take_lock(directory)?;
        let files = list(directory)?;
        let mut recovered = Recovered::default();
        read_newest_image(directory, &files, &options.cluster, &mut recovered)?;
        let tail = read_segments(directory, &files, &options.cluster, &mut recovered)?;
        if recovered.is_empty()
            && let Some(id) = files.images.last()
        {
            // An image says that there were records. Without them, going on would be starting anew over someone's data.
            image::read(&image::path(directory, *id), *id, &options.cluster)?;
        }
        // Everything could be read: only now the directory is changed.
        for name in &files.temporary {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
        }
        let image_id = recovered.image.as_ref().map_or(0, |(id, _)| *id);
        let last_id = recovered.records.last().map_or(image_id, |(id, _)| *id);
        let mut segments = files.segments;
        if tail.unused_last
            && let Some(first_id) = segments.pop()
        {
            let path = segment::path(directory, first_id);
            fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
        }
        let (file, file_bytes) = match segments.last() {
            Some(first_id) if tail.last_id == last_id => {
                let path = segment::path(directory, *first_id);
                (cut(&path, tail.valid_bytes)?, tail.valid_bytes)
            }
            _ => {
                let file = segment::create(directory, last_id + 1, &options.cluster)?;
                segments.push(last_id + 1);
                (file, segment::HEADER_BYTES as u64)
            }
        };
        let journal = Self {
            directory: directory.to_owned(),
            options,
            segments,
            file,
            file_bytes,
            group: Vec::new(),
            last_id,
            durable_id: last_id,
            failure: None,
            _lock: lock,
        };
        Ok((journal, recovered))
    }

    fn check(&self) -> Result<(), JournalError> {
        match &self.failure {
            Some(first) => Err(JournalError::Failed { first: first.clone() }),
            None => Ok(()),
        }
    }

    fn write_group(&mut self) -> Result<(), JournalError> {
        let path = segment::path(&self.directory, self.segments.last().copied().unwrap_or_default());
        self.file
            .write_all(&self.group)
            .and_then(|()| self.file.sync_data())
            .map_err(JournalError::io("write to", &path))?;
        self.file_bytes += self.group.len() as u64;
        self.group.clear();
        self.durable_id = self.last_id;
        if self.file_bytes >= self.options.segment_bytes {
            self.begin_segment()?;
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        let first_id = self.last_id + 1;
        if self.segments.last() == Some(&first_id) {
            return Ok(());
        }
        self.file = segment::create(&self.directory, first_id, &self.options.cluster)?;
        self.file_bytes = segment::HEADER_BYTES as u64;
        self.segments.push(first_id);
        Ok(())
    }

    /// After a failed write the system may have dropped what it could not write, and may say that all is well at the next
    /// try: so there is no next try.
    fn remember_failure<T>(&mut self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        if let Err(error) = &result {
            self.failure = Some(error.to_string());
        }
        result
    }
}

impl Journal for LocalJournal {
    fn append(&mut self, payload: &[u8]) -> Result<u64, JournalError> {
        self.check()?;
        if payload.len() > MAX_RECORD_BYTES {
            return Err(JournalError::TooLong { bytes: payload.len() });
        }
        let record = Record {
            id: self.last_id + 1,
            durable: self.durable_id,
            payload,
        };
        record.encode_into(&mut self.group);
        self.last_id = record.id;
        Ok(record.id)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.group.is_empty() {
            return Ok(());
        }
        let result = self.write_group();
        self.remember_failure(result)
    }

    fn last_id(&self) -> u64 {
        self.last_id
    }

    fn image_writer(&self) -> Box<dyn ImageWriter> {
        Box::new(image::LocalImageWriter {
            directory: self.directory.clone(),
            cluster: self.options.cluster.clone(),
        })
    }

    fn trim(&mut self) -> Result<Vec<String>, JournalError> {
        self.sync()?;
        let begun = self.begin_segment();
        self.remember_failure(begun)?;
        let mut images: Vec<u64> = list(&self.directory)?.images;
        let kept = images.split_off(images.len().saturating_sub(KEPT_IMAGES));
        let mut gone: Vec<PathBuf> = images.iter().map(|id| image::path(&self.directory, *id)).collect();
        // One image alone may be damaged: as long as there is no second, every record stays.
        if let [older, ..] = kept[..]
            && kept.len() == KEPT_IMAGES
        {
            let needed = self.segments.partition_point(|first_id| *first_id <= older + 1);
            // Oldest first, so that whatever remains after a crash has no gap.
            let dropped = self.segments.drain(..needed.saturating_sub(1));
            gone.extend(dropped.map(|first_id| segment::path(&self.directory, first_id)));
        }
        for path in &gone {
            fs::remove_file(path).map_err(JournalError::io("remove", path))?;
        }
        Ok(gone
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }
}

fn take_lock(directory: &Path) -> Result<File, JournalError> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(JournalError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(JournalError::io("lock", &path)(source)),
    }
}

/// The files of a journal, each kind in ascending order. Other files are left alone.
#[derive(Default)]
struct Files {
    segments: Vec<u64>,
    images: Vec<u64>,
    temporary: Vec<String>,
}

fn list(directory: &Path) -> Result<Files, JournalError> {
    let mut files = Files::default();
    for entry in fs::read_dir(directory).map_err(JournalError::io("list", directory))? {
        let entry = entry.map_err(JournalError::io("list", directory))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(first_id) = segment::parse_name(&name) {
            files.segments.push(first_id);
        } else if let Some(id) = image::parse_name(&name) {
            files.images.push(id);
        } else if image::is_temporary(&name) {
            files.temporary.push(name);
        }
    }
    files.segments.sort_unstable();
    files.images.sort_unstable();
    Ok(files)
}

/// A damaged image is passed over, not refused: an older one and the records after it give the same state.
fn read_newest_image(
    directory: &Path,
    files: &Files,
    cluster: &str,
    recovered: &mut Recovered,
) -> Result<(), JournalError> {
    for id in files.images.iter().rev() {
        match image::read(&image::path(directory, *id), *id, cluster) {
            Ok(payload) => {
                recovered.image = Some((*id, payload));
                return Ok(());
            }
            Err(damage @ JournalError::Damaged { .. }) => {
                recovered.notes.push(format!("passed over an image: {damage}"));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Where appending goes on.
struct Tail {
    /// Id of the last record in the last segment that is used; the one before its first where it has none.
    last_id: u64,
    valid_bytes: u64,
    /// Whether the last segment file ends within its header.
    unused_last: bool,
}

fn read_segments(
    directory: &Path,
    files: &Files,
    cluster: &str,
    recovered: &mut Recovered,
) -> Result<Tail, JournalError> {
    let image_id = recovered.image.as_ref().map_or(0, |(id, _)| *id);
    let mut tail = Tail {
        last_id: 0,
        valid_bytes: 0,
        unused_last: false,
    };
    // Segments that end before the image are there for the image before it, and are not needed now.
    let start = files
        .segments
        .partition_point(|first_id| *first_id <= image_id + 1)
        .saturating_sub(1);
    let mut following: Option<u64> = None;
    for (position, first_id) in files.segments.iter().enumerate().skip(start) {
        let path = segment::path(directory, *first_id);
        let is_last = position + 1 == files.segments.len();
        let next = following.unwrap_or(image_id + 1);
        // The first may begin before the image ends; every other must go on where the one before it ended.
        let fits = match following {
            None => *first_id <= next,
            Some(next) => *first_id == next,
        };
        if !fits {
            return Err(JournalError::Gap {
                path,
                expected: next,
                found: *first_id,
            });
        }
        let Some(contents) = segment::read(&path, *first_id, cluster, is_last)? else {
            tail.unused_last = true;
            recovered
                .notes
                .push(format!("removed {}, which was never used", path.display()));
            break;
        };
        if contents.valid_bytes < contents.file_bytes {
            recovered.notes.push(format!(
                "cut a torn tail of {} bytes off {} at byte {}",
                contents.file_bytes - contents.valid_bytes,
                path.display(),
                contents.valid_bytes
            ));
        }
        let end = *first_id + contents.records.len() as u64;
        following = Some(end);
        tail.last_id = end - 1;
        tail.valid_bytes = contents.valid_bytes;
        recovered
            .records
            .extend(contents.records.into_iter().filter(|(id, _)| *id > image_id));
    }
    Ok(tail)
}

/// Opens a segment for appending after its valid bytes; a torn tail is gone for good when this returns.
fn cut(path: &Path, valid_bytes: u64) -> Result<File, JournalError> {
    let mut file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(JournalError::io("open", path))?;
    file.set_len(valid_bytes)
        .and_then(|()| std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)))
        .and_then(|_| file.sync_all())
        .map_err(JournalError::io("cut", path))?;
    Ok(file)
}
