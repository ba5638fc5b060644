//! Keys of labels and annotations. The API server checks them only on the objects that the operator makes, where it is too late to
//! tell the person who wrote them.

use crate::finish::Rejection;

/// Longest domain before the slash of a key.
const PREFIX_MAX_LENGTH: usize = 253;
/// Longest name after it.
const NAME_MAX_LENGTH: usize = 63;

/// Refuses the first key that Kubernetes would refuse on a pod or a Service.
pub(crate) fn check_keys<'a>(field: &str, keys: impl IntoIterator<Item = &'a String>) -> Result<(), Rejection> {
    match keys.into_iter().find(|key| !is_key(key)) {
        None => Ok(()),
        Some(key) => Err(Rejection::field(
            field,
            format!(
                "{key:?} is not a key; write at most {NAME_MAX_LENGTH} letters, digits and - _ . with a letter or digit at both ends, and before them, where wanted, a domain and a slash, for example example.com/team"
            ),
        )),
    }
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_domain(prefix) && is_name(name),
        None => is_name(key),
    }
}

fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= NAME_MAX_LENGTH && name.bytes().all(is_inner) && has_ends(name)
}

fn is_domain(domain: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    domain.len() <= PREFIX_MAX_LENGTH
        && domain
            .split('.')
            .all(|part| part.bytes().all(is_inner) && has_ends(part))
}

/// Whether there is a letter or digit at both ends.
fn has_ends(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_end(text.bytes().next()) && is_end(text.bytes().next_back())
}

#[cfg(test)]
mod tests;
