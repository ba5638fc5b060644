//! HTTP Basic authentication.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use springtide_mysql::Proof;

use crate::core::{Account, Core};

#[cfg(test)]
mod tests;

/// Most bytes of an `authorization` header.
const MAX_HEADER_BYTES: usize = 4096;

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no usable `authorization` header.
    NoCredentials,
    /// User or password are wrong.
    Wrong {
        /// Who was claimed.
        user: String,
    },
}

/// The account that the request's credentials open.
pub(super) fn authenticate(core: &Core, headers: &HeaderMap) -> Result<Account, Denied> {
    let (user, password) = credentials(headers).ok_or(Denied::NoCredentials)?;
    core.authenticate(&user, &Proof::ClearPassword(password.as_bytes()))
        .ok_or(Denied::Wrong { user })
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim_ascii()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
