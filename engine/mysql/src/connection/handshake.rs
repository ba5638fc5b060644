//! The greeting, TLS, and the exchange that proves a password.

use std::time::Duration;

use mysql_common::packets::{AuthMoreData, AuthSwitchRequest};
use mysql_common::proto::MySerialize;
use mysql_common::proto::codec::packet_to_chunks;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{CLOSE_PATIENCE, Connection, End};
use crate::auth::{NATIVE_BYTES, new_salt};
use crate::error::codes;
use crate::login::{self, CACHING_SHA2_PLUGIN, Login, MAX_LOGIN_PACKET, Method, NATIVE_PLUGIN};
use crate::packet::{Packet, ReadError, ReadLimits, Transport, read_first_packet};
use crate::result::write_error_packet;
use crate::server::ServerOptions;
use crate::{Handler, HandlerFactory, LoginAttempt, MysqlError, Proof};

/// Answer to the first half of `caching_sha2_password`: "send the password itself".
const PERFORM_FULL_AUTHENTICATION: u8 = 4;

/// The whole login has one deadline, which the caller holds; single packets need no other.
const NO_OTHER_LIMIT: Duration = Duration::from_secs(24 * 3600);

const LOGIN_LIMITS: ReadLimits = ReadLimits {
    idle: NO_OTHER_LIMIT,
    stall: NO_OTHER_LIMIT,
    bytes: MAX_LOGIN_PACKET,
};

/// A client that has answered the greeting.
pub(super) struct Greeted {
    pub(super) transport: Box<dyn Transport>,
    pub(super) tls: bool,
    /// Its login, where it sent that rather than asking for TLS.
    pub(super) login: Option<Packet>,
}

/// Greets the client and, where it asks, makes the connection encrypted.
pub(super) async fn greet(
    mut stream: TcpStream,
    salt: &[u8; NATIVE_BYTES],
    connection_id: u32,
    options: &ServerOptions,
) -> Result<Greeted, String> {
    let greeting = login::greeting(&options.server_version, connection_id, salt, options.tls.is_some());
    send(&mut stream, 0, &greeting)
        .await
        .map_err(|error| error.to_string())?;
    let first = match read_first_packet(&mut stream, 1, MAX_LOGIN_PACKET).await {
        Ok(Some(packet)) => packet,
        Ok(None) => return Err("closed by the client".to_owned()),
        Err(ReadError::Io(error)) => return Err(error.to_string()),
        Err(error) => {
            let refusal = MysqlError::bad_handshake("this port speaks the MySQL protocol");
            refuse(stream, 1, &refusal).await;
            return Err(error.to_string());
        }
    };
    if !login::is_ssl_request(&first.payload) {
        return Ok(Greeted {
            transport: Box::new(stream),
            tls: false,
            login: Some(first),
        });
    }
    let Some(source) = &options.tls else {
        let refusal = MysqlError::bad_handshake("this server has no TLS");
        refuse(stream, first.next_sequence, &refusal).await;
        return Err("asked for TLS that was not offered".to_owned());
    };
    match TlsAcceptor::from(source.current()).accept(stream).await {
        Ok(encrypted) => Ok(Greeted {
            transport: Box::new(encrypted),
            tls: true,
            login: None,
        }),
        Err(error) => Err(format!("the TLS handshake failed: {error}")),
    }
}

async fn send(stream: &mut TcpStream, sequence: u8, mut payload: &[u8]) -> std::io::Result<()> {
    let mut packet = bytes::BytesMut::new();
    packet_to_chunks(sequence, &mut payload, &mut packet);
    stream.write_all(&packet).await
}

/// An error, and then the end: read by the client if it still reads.
async fn refuse(mut stream: TcpStream, sequence: u8, error: &MysqlError) {
    let mut payload = Vec::new();
    write_error_packet(error, &mut payload);
    let _ = timeout(CLOSE_PATIENCE, async {
        if send(&mut stream, sequence, &payload).await.is_ok() && stream.shutdown().await.is_ok() {
            let mut drained = [0; 4096];
            while matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut drained).await, Ok(count) if count > 0) {}
        }
    })
    .await;
}

impl<F: HandlerFactory> Connection<F> {
    /// Reads the login (unless it has come already) and checks it; the client then has its OK.
    pub(super) async fn log_in(
        &mut self,
        handler: &mut F::Handler,
        login: Option<Packet>,
        salt: &[u8; NATIVE_BYTES],
    ) -> Result<(), End> {
        let packet = match login {
            Some(packet) => packet,
            // Behind the TLS handshake: number 2, after the greeting and the request for TLS.
            None => {
                self.out.packets().set_sequence(3);
                self.login_packet(2).await?
            }
        };
        self.out.packets().set_sequence(packet.next_sequence);
        let (claimed, login) = login::read_login(&packet.payload)?;
        self.capabilities = claimed & login::offered_capabilities(self.options().tls.is_some());
        self.out.set_capabilities(self.capabilities);
        if self.options().require_tls && !self.info.tls {
            return Err(End::Told(MysqlError::new(
                codes::SECURE_TRANSPORT_REQUIRED,
                b"HY000",
                "Connections using insecure transport are prohibited; connect with TLS",
            )));
        }
        self.prove(handler, &login, Some(salt)).await
    }

    /// `COM_CHANGE_USER`: a fresh session and a fresh proof.
    pub(super) async fn change_user(&mut self, handler: &mut F::Handler, payload: &[u8]) -> Result<(), End> {
        let login = login::read_change_user(payload, self.capabilities)?;
        self.statements.close_all();
        handler.reset().await?;
        self.prove(handler, &login, None).await
    }

    /// Gets a proof from the client, by the method that suits it and the connection, and has it checked. `greeted_with`
    /// is the salt that a native response in `login` answers.
    async fn prove(
        &mut self,
        handler: &mut F::Handler,
        login: &Login,
        greeted_with: Option<&[u8; NATIVE_BYTES]>,
    ) -> Result<(), End> {
        match (login.method, greeted_with) {
            (Method::Native, Some(salt)) => {
                let proof = Proof::Native {
                    scramble_response: &login.response,
                    salt,
                };
                self.check(handler, login, proof).await
            }
            (Method::Other, _) if self.info.tls => {
                let password = self.clear_password().await?;
                self.check(handler, login, Proof::ClearPassword(&password)).await
            }
            _ => {
                let salt = new_salt(&mut rand::rng());
                let scramble_response = self.switch_to(NATIVE_PLUGIN, &salt).await?;
                let proof = Proof::Native {
                    scramble_response: &scramble_response,
                    salt: &salt,
                };
                self.check(handler, login, proof).await
            }
        }
    }

    /// The password itself, over TLS only. The first half of `caching_sha2_password` serves a cache that this server
    /// does not have; it tells only whether there is a password.
    async fn clear_password(&mut self) -> Result<Vec<u8>, End> {
        let salt = new_salt(&mut rand::rng());
        let scramble = self.switch_to(CACHING_SHA2_PLUGIN, &salt).await?;
        if scramble.is_empty() || scramble == [0] {
            return Ok(Vec::new());
        }
        let mut payload = Vec::new();
        AuthMoreData::new([PERFORM_FULL_AUTHENTICATION].as_slice()).serialize(&mut payload);
        let mut password = self.ask(&payload).await?;
        if password.last() == Some(&0) {
            password.pop();
        }
        Ok(password)
    }

    async fn switch_to(&mut self, plugin: &'static [u8], salt: &[u8; NATIVE_BYTES]) -> Result<Vec<u8>, End> {
        let mut payload = Vec::new();
        AuthSwitchRequest::new(plugin, login::with_zero(salt)).serialize(&mut payload);
        self.ask(&payload).await
    }

    /// Sends one packet of the login and returns the client's answer.
    async fn ask(&mut self, payload: &[u8]) -> Result<Vec<u8>, End> {
        let packets = self.out.packets();
        packets.push(payload)?;
        packets.flush().await?;
        let expected = packets.sequence();
        let answer = self.login_packet(expected).await?;
        self.out.packets().set_sequence(answer.next_sequence);
        Ok(answer.payload)
    }

    async fn login_packet(&mut self, expected_sequence: u8) -> Result<Packet, End> {
        match self.reader.next(expected_sequence, LOGIN_LIMITS).await {
            Ok(Some(packet)) => Ok(packet),
            Ok(None) => Err(End::Silent("closed by the client during the login")),
            Err(ReadError::TooLarge { .. }) => Err(End::Told(MysqlError::bad_handshake(
                "a packet of the login is too large",
            ))),
            Err(error) => Err(End::of_read(&error)),
        }
    }

    async fn check(&mut self, handler: &mut F::Handler, login: &Login, proof: Proof<'_>) -> Result<(), End> {
        let attempt = LoginAttempt {
            user: &login.user,
            database: login.database.as_deref(),
            peer: self.info.peer,
            tls: self.info.tls,
            attributes: &login.attributes,
            proof,
        };
        handler.authenticate(&attempt).await.inspect_err(|error| {
            tracing::info!(peer = %self.info.peer, user = login.user, code = error.code, "a login was refused");
        })?;
        if let Some(database) = &login.database {
            handler.init_db(database).await?;
        }
        self.out.plain_ok().await?;
        Ok(())
    }
}
