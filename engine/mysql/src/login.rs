//! From the greeting to the proof of a password.
//!
//! ```text
//!  server                                             client
//!    │ greeting: version, salt, native password         │
//!    │─────────────────────────────────────────────────►│
//!    │ (SSL request, then the TLS handshake)            │
//!    │◄────────────────────────────────────────────────►│
//!    │ user, database, the client's method, its answer  │
//!    │◄─────────────────────────────────────────────────│
//!    │ no TLS, another method: "use native", fresh salt │
//!    │ TLS, another method: "use caching_sha2", and the │
//!    │ password itself                                  │
//!    │◄────────────────────────────────────────────────►│
//!    │ OK, or an error and the end                      │
//!    │─────────────────────────────────────────────────►│
//! ```

use std::collections::HashMap;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, ComChangeUser, HandshakePacket, HandshakeResponse};
use mysql_common::proto::MySerialize;

use crate::MysqlError;
use crate::auth::NATIVE_BYTES;
use crate::column::CHARSET_UTF8MB4;
use crate::error::codes;

pub(crate) const NATIVE_PLUGIN: &[u8] = b"mysql_native_password";
pub(crate) const CACHING_SHA2_PLUGIN: &[u8] = b"caching_sha2_password";

/// Largest packet before the login. MySQL bounds a client's attributes by 64 KiB, and little else is in it.
pub(crate) const MAX_LOGIN_PACKET: usize = 128 * 1024;

/// Length of the packet by which a client asks for TLS: the head of its login.
const SSL_REQUEST_BYTES: usize = 32;

/// What this server can do; what a client claims beyond it is ignored.
pub(crate) fn offered_capabilities(tls: bool) -> CapabilityFlags {
    let mut offered = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_FOUND_ROWS
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_CONNECT_WITH_DB
        | CapabilityFlags::CLIENT_IGNORE_SPACE
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_INTERACTIVE
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_MULTI_STATEMENTS
        | CapabilityFlags::CLIENT_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PS_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_DEPRECATE_EOF;
    offered.set(CapabilityFlags::CLIENT_SSL, tls);
    offered
}

/// The first packet: protocol version 10.
pub(crate) fn greeting(server_version: &str, connection_id: u32, salt: &[u8; NATIVE_BYTES], tls: bool) -> Vec<u8> {
    let (head, tail) = salt.split_at(8);
    let mut scramble_1 = [0; 8];
    scramble_1.copy_from_slice(head);
    let scramble_2 = with_zero(tail);
    let mut payload = Vec::new();
    HandshakePacket::new(
        10,
        server_version.as_bytes(),
        connection_id,
        scramble_1,
        Some(scramble_2),
        offered_capabilities(tls),
        // Collation ids above 255 do not fit here; this one does.
        CHARSET_UTF8MB4 as u8,
        StatusFlags::SERVER_STATUS_AUTOCOMMIT,
        Some(NATIVE_PLUGIN),
    )
    .serialize(&mut payload);
    payload
}

/// Clients read a salt as a C string of twenty characters.
pub(crate) fn with_zero(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0]].concat()
}

/// Whether the client's first packet asks for TLS.
pub(crate) fn is_ssl_request(payload: &[u8]) -> bool {
    payload.len() == SSL_REQUEST_BYTES
        && ParseBuf(payload)
            .checked_eat_u32_le()
            .is_some_and(|bits| bits & CapabilityFlags::CLIENT_SSL.bits() != 0)
}

/// How a client wants to prove its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Native,
    /// `caching_sha2_password`, or anything else.
    Other,
}

/// Who the client says it is.
#[derive(PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) database: Option<String>,
    pub(crate) method: Method,
    /// The client's answer to the greeting's salt, if its method is native.
    pub(crate) response: Vec<u8>,
    pub(crate) attributes: HashMap<String, String>,
}

/// Reads the client's login, and what it can do.
pub(crate) fn read_login(payload: &[u8]) -> Result<(CapabilityFlags, Login), MysqlError> {
    let claimed = ParseBuf(payload)
        .checked_eat_u32_le()
        .map(CapabilityFlags::from_bits_truncate)
        .ok_or_else(|| MysqlError::bad_handshake("the login packet is too short"))?;
    if !claimed.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
        return Err(MysqlError::bad_handshake("this is not a MySQL 4.1 client or later"));
    }
    if !claimed.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        return Err(old_authentication());
    }
    let response = ParseBuf(payload)
        .parse::<HandshakeResponse<'_>>(())
        .map_err(|_| MysqlError::bad_handshake("the login packet cannot be read"))?;
    let login = Login {
        user: name(response.user())?,
        database: response
            .db_name()
            .filter(|name| !name.is_empty())
            .map(name)
            .transpose()?,
        method: method(response.auth_plugin()),
        response: response.scramble_buf().to_vec(),
        attributes: response.connect_attributes().unwrap_or_default(),
    };
    Ok((response.capabilities(), login))
}

/// Reads `COM_CHANGE_USER`. Its answer to the old salt is thrown away: the client is asked again.
pub(crate) fn read_change_user(payload: &[u8], capabilities: CapabilityFlags) -> Result<Login, MysqlError> {
    // mysql_common reads this packet but does not show its parts, so it only checks the form.
    ParseBuf(payload)
        .parse::<ComChangeUser<'_>>(capabilities)
        .map_err(|_| MysqlError::malformed("COM_CHANGE_USER"))?;
    if !capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) {
        return Err(old_authentication());
    }
    let malformed = || MysqlError::malformed("COM_CHANGE_USER");
    let mut buffer = ParseBuf(payload);
    buffer.checked_eat_u8().ok_or_else(malformed)?;
    let user = name(buffer.eat_null_str())?;
    buffer.checked_eat_u8_str().ok_or_else(malformed)?;
    let database = Some(buffer.eat_null_str())
        .filter(|name| !name.is_empty())
        .map(name)
        .transpose()?;
    buffer.checked_eat_u16_le();
    let plugin = AuthPlugin::from_bytes(buffer.eat_null_str());
    Ok(Login {
        user,
        database,
        method: method(Some(&plugin)),
        response: Vec::new(),
        attributes: HashMap::new(),
    })
}

fn method(plugin: Option<&AuthPlugin<'_>>) -> Method {
    match plugin {
        None | Some(AuthPlugin::MysqlNativePassword) => Method::Native,
        Some(_) => Method::Other,
    }
}

fn name(bytes: &[u8]) -> Result<String, MysqlError> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| MysqlError::bad_handshake("the names of user and database must be UTF-8"))
}

fn old_authentication() -> MysqlError {
    MysqlError::new(
        codes::OLD_AUTHENTICATION,
        b"08004",
        "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
    )
}

#[cfg(test)]
mod tests;
