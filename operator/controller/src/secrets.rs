//! Secrets that the operator makes up: passwords and the clusters' internal tokens.

use rand::{Rng, TryRngCore, rngs::OsRng};

/// 62 characters that need no quoting in SQL, URLs, shells or YAML.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// About 190 bits.
const PASSWORD_CHARACTERS: usize = 32;

/// A new password from the operating system's source of randomness.
pub(crate) fn new_password() -> String {
    let mut source = OsRng.unwrap_err();
    (0..PASSWORD_CHARACTERS)
        .map(|_| char::from(ALPHABET[source.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests;
