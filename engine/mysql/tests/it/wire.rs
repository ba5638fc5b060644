//! A client that sends what it is told to, packet by packet.

use std::net::SocketAddr;
use std::time::Duration;

use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse};
use mysql_common::proto::MySerialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{PASSWORD, USER};

/// Nothing in these tests takes longer, except where the server hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    sequence: u8,
}

impl Wire<TcpStream> {
    /// Connected, not greeted.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, sequence: 0 }
    }

    /// Logged in by native password.
    pub(crate) async fn log_in(address: SocketAddr) -> Self {
        let mut wire = Self::connect(address).await;
        let salt = wire.greeting().await;
        let proof = scramble_native(&salt, PASSWORD.as_bytes())
            .expect("a scramble")
            .to_vec();
        wire.answer(&login(AuthPlugin::MysqlNativePassword, proof, CapabilityFlags::empty()))
            .await;
        assert_eq!(wire.read().await.expect("an answer")[0], 0, "the login is accepted");
        wire
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Goes on with this stream where another stopped.
    pub(crate) fn resume(stream: S, sequence: u8) -> Self {
        Self { stream, sequence }
    }

    /// The salt of the greeting.
    pub(crate) async fn greeting(&mut self) -> Vec<u8> {
        let payload = self.read().await.expect("a greeting");
        let greeting: HandshakePacket<'_> = ParseBuf(&payload).parse(()).expect("a greeting");
        greeting.nonce()
    }

    /// A packet; `None` where the server has closed.
    pub(crate) async fn read(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, async {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header).await.ok()?;
            let [low, middle, high, sequence] = header;
            self.sequence = sequence.wrapping_add(1);
            let mut payload = vec![0; u32::from_le_bytes([low, middle, high, 0]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(payload)
        })
        .await
        .expect("the server answers or closes")
    }

    /// A packet that goes on with the sequence of the last one read.
    pub(crate) async fn answer(&mut self, payload: &[u8]) {
        let mut packet = (payload.len() as u32).to_le_bytes();
        packet[3] = self.sequence;
        self.stream.write_all(&[&packet, payload].concat()).await.expect("sent");
    }

    /// A packet that begins a command.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.sequence = 0;
        self.answer(payload).await;
    }

    /// A command and the first packet of its answer.
    pub(crate) async fn command(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(payload).await;
        self.read().await.expect("an answer")
    }

    /// A command that fails, and the error's number.
    pub(crate) async fn error(&mut self, payload: &[u8]) -> u16 {
        error_code(&self.command(payload).await)
    }
}

#[track_caller]
pub(crate) fn error_code(packet: &[u8]) -> u16 {
    assert_eq!(packet.first(), Some(&0xff), "expected an error, got {packet:?}");
    u16::from_le_bytes([packet[1], packet[2]])
}

/// The client's answer to the greeting.
pub(crate) fn login(plugin: AuthPlugin<'static>, proof: Vec<u8>, more: CapabilityFlags) -> Vec<u8> {
    let capabilities = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SECURE_CONNECTION | more;
    let mut payload = Vec::new();
    HandshakeResponse::new(
        Some(proof),
        (8, 0, 33),
        Some(USER.as_bytes().to_vec()),
        None::<Vec<u8>>,
        Some(plugin),
        capabilities,
        None,
        1 << 24,
    )
    .serialize(&mut payload);
    payload
}
