//! What the kubelet does to a mounted Secret, for tests of whoever reads one.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use crate::DATA;

/// Writes a new version of the files of `directory`, turns the link round to it, and removes the version before. Files that the new version
/// does not have are gone after that; their links stay and lead nowhere, as with the kubelet for a moment.
///
/// # Errors
/// What the file system says.
pub fn write(directory: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let data = directory.join(DATA);
    let before = fs::read_link(&data).ok();
    let number = before
        .as_deref()
        .and_then(|name| name.to_str()?.trim_start_matches('.').parse::<u32>().ok())
        .map_or(1, |number| number + 1);
    let version = format!("..{number}");
    fs::create_dir(directory.join(&version))?;
    for (name, text) in files {
        fs::write(directory.join(&version).join(name), text)?;
    }
    let unfinished = directory.join("..data_tmp");
    symlink(&version, &unfinished)?;
    fs::rename(&unfinished, &data)?;
    for (name, _) in files {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    match before {
        Some(before) => fs::remove_dir_all(directory.join(before)),
        None => Ok(()),
    }
}
