use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

const LIMITS: ReadLimits = ReadLimits {
    idle: Duration::from_secs(60),
    stall: Duration::from_secs(5),
    bytes: 20_000_000,
};

const HASTY: ReadLimits = ReadLimits {
    idle: Duration::from_millis(30),
    stall: Duration::from_millis(30),
    bytes: 20_000_000,
};

fn reader() -> (PacketReader, DuplexStream) {
    let (client, server) = tokio::io::duplex(1024 * 1024);
    let transport: Box<dyn Transport> = Box::new(server);
    (PacketReader::new(tokio::io::split(transport).0), client)
}

async fn read_bytes(bytes: &[u8]) -> Result<Option<Packet>, ReadError> {
    let (mut reader, mut client) = reader();
    client.write_all(bytes).await.expect("room in the pipe");
    drop(client);
    reader.next(0, LIMITS).await
}

#[tokio::test]
async fn a_packet_of_two_chunks_is_joined() {
    const CHUNK: usize = 0xff_ffff;
    let (mut reader, mut client) = reader();
    let sender = tokio::spawn(async move {
        client.write_all(&[0xff, 0xff, 0xff, 0]).await.expect("sent");
        client.write_all(&vec![b'a'; CHUNK]).await.expect("sent");
        client.write_all(&[1, 0, 0, 1, b'z']).await.expect("sent");
        client
    });
    let packet = reader.next(0, LIMITS).await.expect("well formed").expect("a packet");
    assert_eq!((packet.payload.len(), packet.next_sequence), (CHUNK + 1, 2));
    assert_eq!(packet.payload.last(), Some(&b'z'));
    assert!(reader.buffer.capacity() <= KEPT_BUFFER_BYTES, "memory is given back");
    sender.await.expect("the sender ended");
}

#[tokio::test]
async fn what_is_wrong_with_a_packet_is_told_apart() {
    assert!(matches!(read_bytes(b"").await, Ok(None)));
    assert!(matches!(read_bytes(b"\x01\0").await, Err(ReadError::Truncated)));
    assert!(matches!(read_bytes(b"\x02\0\0\0a").await, Err(ReadError::Truncated)));
    assert!(matches!(
        read_bytes(b"\x01\0\0\x07a").await,
        Err(ReadError::OutOfOrder { expected: 0, got: 7 })
    ));
    let (mut reader, mut client) = reader();
    client.write_all(b"\x05\0\0\0hello").await.expect("room in the pipe");
    let small = ReadLimits { bytes: 4, ..LIMITS };
    assert!(matches!(
        reader.next(0, small).await,
        Err(ReadError::TooLarge {
            limit: 4,
            answer_sequence: 1
        })
    ));
}

#[tokio::test]
async fn an_idle_client_and_a_slow_one_are_told_apart() {
    let (mut reader, mut client) = reader();
    assert!(matches!(reader.next(0, HASTY).await, Err(ReadError::Idle(_))));
    client.write_all(b"\x09\0\0\0half").await.expect("room in the pipe");
    assert!(matches!(reader.next(0, HASTY).await, Err(ReadError::Slow(_))));
}

/// A client that claims 16 MiB and sends ten bytes costs no more than one that sends ten bytes.
#[tokio::test]
async fn a_claimed_length_allocates_nothing() {
    let (mut reader, mut client) = reader();
    client
        .write_all(b"\xff\xff\xff\0abcdef")
        .await
        .expect("room in the pipe");
    assert!(matches!(reader.next(0, HASTY).await, Err(ReadError::Slow(_))));
    assert!(
        reader.buffer.capacity() <= 2 * READ_STEP_BYTES,
        "{}",
        reader.buffer.capacity()
    );
}

#[tokio::test]
async fn watching_for_the_end_loses_no_byte() {
    let (mut reader, mut client) = reader();
    client.write_all(b"\x05\0\0\0early").await.expect("room in the pipe");
    assert!(
        timeout(Duration::from_millis(50), reader.closed()).await.is_err(),
        "still open"
    );
    drop(client);
    reader.closed().await;
    let packet = reader.next(0, LIMITS).await.expect("well formed").expect("kept");
    assert_eq!(packet.payload, b"early");
}

/// What comes in clear behind the request for TLS must stay in the socket, for the TLS handshake to choke on.
#[tokio::test]
async fn the_first_packet_is_read_to_its_end_and_no_further() {
    let (mut client, mut server) = tokio::io::duplex(1024);
    client
        .write_all(b"\x03\0\0\x01sslinjected")
        .await
        .expect("room in the pipe");
    let packet = read_first_packet(&mut server, 1, 100)
        .await
        .expect("well formed")
        .expect("a packet");
    assert_eq!(packet.payload, b"ssl");
    let mut rest = [0; 8];
    server.read_exact(&mut rest).await.expect("the rest is still there");
    assert_eq!(&rest, b"injected");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = runtime.block_on(read_bytes(&bytes));
    }
}
