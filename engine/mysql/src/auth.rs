//! Proofs of a password, and how to check them.
//!
//! Without TLS the client proves its password by `mysql_native_password`: it answers a salt with
//! `sha1(password) xor sha1(salt + sha1(sha1(password)))`, so the server needs only the *stage 2 hash*
//! `sha1(sha1(password))`. Over TLS it may send the password itself (full authentication of `caching_sha2_password`),
//! which can be checked against any hash, the stage 2 hash too. There is no RSA key exchange: without TLS a password
//! never travels.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Bytes of a salt, of a stage 2 hash and of a native response.
pub const NATIVE_BYTES: usize = 20;

/// Who wants to log in, and how it is proven.
pub struct LoginAttempt<'a> {
    /// Name of the user; may be empty, which no account should be.
    pub user: &'a str,
    /// Database named at login. [`crate::Handler::init_db`] is called with it after a successful login.
    pub database: Option<&'a str>,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// What the client says about itself (`_client_name`, `program_name`, …); never to be trusted.
    pub attributes: &'a HashMap<String, String>,
    /// The proof of the password.
    pub proof: Proof<'a>,
}

impl fmt::Debug for LoginAttempt<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginAttempt")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("peer", &self.peer)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl LoginAttempt<'_> {
    /// Error 1045 for this attempt: the one answer to an unknown user, a wrong password and a missing one.
    pub fn denied(&self) -> crate::MysqlError {
        crate::MysqlError::access_denied(self.user, &self.peer.ip().to_string(), !self.proof.is_empty())
    }
}

/// What the client sent to prove its password.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// `mysql_native_password`: a response of [`NATIVE_BYTES`] to the salt, or nothing where there is no password.
    Native {
        /// The client's answer.
        scramble_response: &'a [u8],
        /// What the server had sent.
        salt: &'a [u8; NATIVE_BYTES],
    },
    /// `caching_sha2_password` over TLS: the password itself, without the closing zero byte.
    ClearPassword(&'a [u8]),
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Native { .. } => "Native(…)",
            Self::ClearPassword(_) => "ClearPassword(…)",
        })
    }
}

impl Proof<'_> {
    /// Whether the client has sent no password at all. Such an attempt verifies against nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Native { scramble_response, .. } => scramble_response.is_empty(),
            Self::ClearPassword(password) => password.is_empty(),
        }
    }
}

/// `sha1(sha1(password))`: what a catalog stores for a user.
pub fn native_stage2(password: &[u8]) -> [u8; NATIVE_BYTES] {
    Sha1::digest(Sha1::digest(password)).into()
}

/// Whether `proof`, of either kind, comes from the password of this stage 2 hash. An empty proof never does, not even
/// against the hash of the empty password. Takes the same time for every wrong proof.
pub fn verify_native(stage2_hash: &[u8; NATIVE_BYTES], proof: &Proof<'_>) -> bool {
    if proof.is_empty() {
        return false;
    }
    let candidate = match proof {
        Proof::ClearPassword(password) => native_stage2(password),
        Proof::Native {
            scramble_response,
            salt,
        } => {
            let Ok(response) = <&[u8; NATIVE_BYTES]>::try_from(*scramble_response) else {
                return false;
            };
            let mask: [u8; NATIVE_BYTES] = Sha1::new()
                .chain_update(salt)
                .chain_update(stage2_hash)
                .finalize()
                .into();
            let mut stage1 = [0; NATIVE_BYTES];
            for ((byte, answered), masked) in stage1.iter_mut().zip(response).zip(mask) {
                *byte = answered ^ masked;
            }
            Sha1::digest(stage1).into()
        }
    };
    candidate.ct_eq(stage2_hash).into()
}

/// A salt as clients accept it: seven bits, no zero byte (it is sent as a C string) and no `$`.
pub(crate) fn new_salt(random: &mut impl rand::Rng) -> [u8; NATIVE_BYTES] {
    std::array::from_fn(|_| match random.random_range(1..127_u8) {
        b'$' => 127,
        byte => byte,
    })
}

#[cfg(test)]
mod tests;
