//! The files of a report, and the archive of them.

use std::{
    io::{Result, Write},
    path::Path,
};

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::{
    collected::{Collected, Folder, Log, Redacted},
    summary,
};

/// Mode of the files in the archive, and of the archive.
pub(crate) const MODE: u32 = 0o600;
/// What to read first.
pub(crate) const SUMMARY: &str = "summary.md";
/// The screen of `kubectl springtide status`.
pub(crate) const STATUS: &str = "status.txt";
/// What could not be read.
pub(crate) const ERRORS: &str = "errors.txt";

/// A file of the bundle; its path is within the bundle's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The bundle's folder, and the archive's name without its ending: `springtide-report-retail-20261123T083000Z`.
pub(crate) fn name(namespace: Option<&str>, at: DateTime<Utc>) -> String {
    let namespace = namespace.unwrap_or("all");
    format!("springtide-report-{}-{}", part(namespace), at.format("%Y%m%dT%H%M%SZ"))
}

/// All files: what to read first, then by folder. `status` is the screen.
pub(crate) fn files(redacted: &Redacted, status: String) -> Vec<File> {
    let collected = redacted.get();
    let mut files = vec![
        file(SUMMARY, summary::render(collected)),
        file(STATUS, status),
        file(ERRORS, errors(collected)),
    ];
    let mut rest: Vec<File> = collected
        .listed
        .iter()
        .filter(|listed| !listed.objects.is_empty())
        .map(|listed| {
            let path = format!("{}/{}.yaml", path_of(&listed.folder), listed.plural);
            file(&path, documents(&listed.objects))
        })
        .collect();
    if let Some(version) = &collected.kubernetes {
        let path = format!("{}/version.txt", Folder::Cluster.path());
        rest.push(file(&path, format!("{version}\n")));
    }
    rest.extend(collected.logs.iter().map(|log| file(&log_path(log), log.text.clone())));
    rest.sort_by(|one, other| one.path.cmp(&other.path));
    files.extend(rest);
    files
}

/// The files below the folder `name`, as a compressed archive.
pub(crate) fn pack(name: &str, files: &[File], at: DateTime<Utc>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(MODE);
        header.set_mtime(u64::try_from(at.timestamp()).unwrap_or_default());
        header.set_size(file.text.len() as u64);
        archive.append_data(&mut header, Path::new(name).join(&file.path), file.text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// Writes the archive into a file that nobody else may read. One that is there is not replaced.
pub(crate) fn write(path: &Path, archive: &[u8]) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    let mut out = options.open(path)?;
    let written = out.write_all(archive).and_then(|()| out.sync_all());
    if written.is_err() {
        // The half of an archive would be taken for one.
        let _as_good_as_it_gets = std::fs::remove_file(path);
    }
    written
}

fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        text,
    }
}

fn path_of(folder: &Folder) -> String {
    match folder {
        Folder::Namespace(namespace) => Folder::Namespace(part(namespace)).path(),
        Folder::Cluster | Folder::Operator => folder.path(),
    }
}

fn log_path(log: &Log) -> String {
    let previous = if log.is_previous { ".previous" } else { "" };
    format!(
        "{}/logs/{}/{}{previous}.log",
        path_of(&log.folder),
        part(&log.pod),
        part(&log.container)
    )
}

/// A name as a part of a path: names are the API server's, and lead nowhere else.
fn part(name: &str) -> String {
    let kept = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if kept(letter) { letter } else { '_' })
        .collect();
    if name.is_empty() || name.starts_with('.') {
        format!("_{name}")
    } else {
        name
    }
}

/// Objects as people read them, one after the other.
fn documents(objects: &[Value]) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        // What YAML cannot say, JSON can, which is YAML.
        text.push_str(&serde_norway::to_string(object).unwrap_or_else(|_| format!("{object:#}\n")));
    }
    text
}

fn errors(collected: &Collected) -> String {
    if collected.unread.is_empty() {
        return "everything that was asked for could be read\n".to_owned();
    }
    collected
        .unread
        .iter()
        .map(|unread| format!("{}: {}\n", unread.what, unread.why.replace('\n', " ")))
        .collect()
}

#[cfg(test)]
mod tests;
