//! Files of a mounted Secret: read together, and noticed when they change.
//!
//! Nouns:
//! - *version*: what a Secret held at one moment, a folder of its own. The link `..data` leads to the newest; the kubelet turns it round in
//!   one step, and removes the folder before.
//! - [`read_together`]: all files, of one version.
//! - [`Watched`]: a value that is made of such files, and when there is another one.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub mod kubelet;
#[cfg(test)]
mod tests;

/// The link to the newest version.
const DATA: &str = "..data";
/// Longest file, in bytes: a Secret holds no more.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// How often a version is looked for that does not go while it is read.
const TRIES: usize = 3;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// It is not there, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what was meant to be mounted.
    #[error("{} is longer than {MAX_FILE_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// Names of the files of a Secret.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Those that must be there.
    pub required: &'static [&'static str],
    /// Those that may be there.
    pub optional: &'static [&'static str],
}

impl Names {
    /// Files that all must be there.
    #[must_use]
    pub const fn all(required: &'static [&'static str]) -> Self {
        Self {
            required,
            optional: &[],
        }
    }
}

/// Reads files of a directory, all of the same version: the required ones in their order, then the optional ones. An optional one that
/// is not there is empty.
///
/// # Errors
/// When a required one cannot be read.
pub fn read_together(directory: &Path, names: Names) -> Result<Vec<Vec<u8>>, MountError> {
    let mut version = newest_version(directory);
    for _ in 1..TRIES {
        let read = read_version(directory, version.as_deref(), names);
        let now = newest_version(directory);
        // A version never changes, but it goes when the next one is there, and its optional files then look as if they had never been.
        if now == version || (read.is_ok() && names.optional.is_empty()) {
            return read;
        }
        version = now;
    }
    read_version(directory, version.as_deref(), names)
}

/// The folder that `..data` leads to now, as the link names it; `None` without such a link.
fn newest_version(directory: &Path) -> Option<PathBuf> {
    fs::read_link(directory.join(DATA)).ok()
}

fn read_version(directory: &Path, version: Option<&Path>, names: Names) -> Result<Vec<Vec<u8>>, MountError> {
    let folder = match version {
        Some(version) => directory.join(version),
        None => directory.to_owned(),
    };
    let mut contents = Vec::with_capacity(names.required.len() + names.optional.len());
    for name in names.required {
        contents.push(read_file(&folder.join(name), || directory.join(name))?);
    }
    for name in names.optional {
        let read = read_file(&folder.join(name), || directory.join(name));
        contents.push(match read {
            Err(MountError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        });
    }
    Ok(contents)
}

/// Messages name the file as people know it, without its version.
fn read_file(path: &Path, known_as: impl Fn() -> PathBuf) -> Result<Vec<u8>, MountError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(count) if count as u64 <= MAX_FILE_BYTES => Ok(bytes),
        Ok(_) => Err(MountError::TooLong { path: known_as() }),
        Err(source) => Err(MountError::Unreadable {
            path: known_as(),
            source,
        }),
    }
}

/// Makes a value of the contents of files, in the order of [`read_together`]. An error says what is wrong, without any content.
pub type Parse<T> = fn(&[Vec<u8>]) -> Result<T, String>;

/// Files that a value is made of, as they were when they could last be used.
pub struct Watched<T> {
    directory: PathBuf,
    names: Names,
    parse: Parse<T>,
    seen: Vec<Vec<u8>>,
    problem: Option<String>,
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watched")
            .field("directory", &self.directory)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl<T> Watched<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be read, or no value can be made of them; in words for people.
    pub fn open(directory: &Path, names: Names, parse: Parse<T>) -> Result<(Self, T), String> {
        let seen = read_together(directory, names).map_err(|error| error.to_string())?;
        let value = parse(&seen)?;
        let watched = Self {
            directory: directory.to_owned(),
            names,
            parse,
            seen,
            problem: None,
        };
        Ok((watched, value))
    }

    /// Looks at the files again. `None` is nothing new: they are as before, or the problem with them has been told.
    pub fn look(&mut self) -> Option<Result<T, String>> {
        let found = read_together(&self.directory, self.names)
            .map_err(|error| error.to_string())
            .and_then(|contents| {
                if contents == self.seen {
                    return Ok(None);
                }
                (self.parse)(&contents).map(|value| Some((contents, value)))
            });
        match found {
            Ok(None) => {
                self.problem = None;
                None
            }
            Ok(Some((contents, value))) => {
                self.problem = None;
                self.seen = contents;
                Some(Ok(value))
            }
            Err(problem) if self.problem.as_ref() == Some(&problem) => None,
            Err(problem) => {
                self.problem = Some(problem.clone());
                Some(Err(problem))
            }
        }
    }
}
