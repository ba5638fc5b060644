//! Paths with wildcards.

use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

/// Most files that one call may name.
pub(crate) const MOST_FILES: usize = 100_000;

/// What a path names.
#[derive(Debug)]
pub(crate) enum Listing {
    Files(Vec<ObjectMeta>),
    TooMany,
}

/// The files that `pattern` names, in order of name, without empty ones.
pub(crate) async fn list(store: &dyn ObjectStore, pattern: &str) -> Result<Listing, StoreError> {
    let pattern = pattern.trim_start_matches('/');
    let Some(wildcard) = pattern.find(['*', '?', '{']) else {
        let path = Path::parse(pattern)?;
        return Ok(Listing::Files(vec![store.head(&path).await?]));
    };
    let folder = pattern[..wildcard]
        .rfind('/')
        .map(|end| Path::parse(&pattern[..end]))
        .transpose()?;
    let Some(patterns) = expand_braces(pattern) else {
        return Ok(Listing::TooMany);
    };
    let mut listed = store.list(folder.as_ref());
    let mut files = Vec::new();
    while let Some(meta) = listed.try_next().await? {
        let name = meta.location.as_ref();
        if meta.size > 0
            && patterns
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
        {
            files.push(meta);
            if files.len() > MOST_FILES {
                return Ok(Listing::TooMany);
            }
        }
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(Listing::Files(files))
}

/// Most patterns that braces may make of one path.
pub(crate) const MOST_ALTERNATIVES: usize = 1_000;
/// Longest path with wildcards, in bytes: S3's own keys end there.
pub(crate) const LONGEST_PATH: usize = 1_024;

/// `a{b,c}d` as `abd` and `acd`; one level of braces, several of them. `None` where that makes more than
/// [`MOST_ALTERNATIVES`].
pub(crate) fn expand_braces(pattern: &str) -> Option<Vec<String>> {
    let mut made = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, choices, after)) = rest
        .split_once('{')
        .and_then(|(before, inner)| inner.split_once('}').map(|(choices, after)| (before, choices, after)))
    {
        let choices: Vec<&str> = choices.split(',').collect();
        if made.len() * choices.len() > MOST_ALTERNATIVES {
            return None;
        }
        made = made
            .iter()
            .flat_map(|head| choices.iter().map(move |choice| format!("{head}{before}{choice}")))
            .collect();
        rest = after;
    }
    made.iter_mut().for_each(|head| head.push_str(rest));
    Some(made)
}

/// `*` and `?` as in a shell: they do not match `/`.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one character further in the name.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(b'?') if name[n] != b'/' => {
                p += 1;
                n += 1;
                continue;
            }
            Some(byte) if *byte == name[n] && *byte != b'?' => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after_star, at)) if name[at] != b'/' => {
                p = after_star;
                n = at + 1;
                retry = Some((after_star, at + 1));
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
