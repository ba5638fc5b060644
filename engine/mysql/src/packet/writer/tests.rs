use tokio::io::AsyncReadExt;

use super::*;

const STALL: Duration = Duration::from_millis(200);

fn writer(capacity: usize, max_packet: usize) -> (PacketWriter, tokio::io::DuplexStream, CancellationToken) {
    let (client, server) = tokio::io::duplex(capacity);
    let killed = CancellationToken::new();
    (
        PacketWriter::new(Box::new(server), max_packet, STALL, killed.clone()),
        client,
        killed,
    )
}

#[tokio::test]
async fn packets_carry_length_and_sequence() {
    let (mut writer, mut client, _killed) = writer(1024, 1024);
    writer.set_sequence(255);
    writer.push(b"ab").expect("buffered");
    writer.push(b"").expect("buffered");
    writer.flush().await.expect("sent");
    let mut bytes = [0; 10];
    client.read_exact(&mut bytes).await.expect("ten bytes");
    assert_eq!(bytes, [2, 0, 0, 255, b'a', b'b', 0, 0, 0, 0]);
}

#[tokio::test]
async fn unsent_output_can_be_taken_back_and_sent_output_cannot() {
    let (mut writer, _client, _killed) = writer(1024, 1024);
    writer.push(b"earlier result").expect("buffered");
    let start = writer.position();
    writer.push(b"row").expect("buffered");
    assert_eq!(writer.buffered_since(start), 7);
    assert!(writer.take_back_to(start));
    assert_eq!((writer.sequence(), writer.buffered_since(start)), (1, 0));

    writer.flush().await.expect("the earlier result is sent");
    assert!(
        !writer.has_sent_since(start),
        "what went out belongs to the earlier result"
    );
    writer.push(b"row").expect("buffered");
    writer.flush().await.expect("sent");
    assert!(writer.has_sent_since(start));
    assert!(!writer.take_back_to(start));
}

#[tokio::test]
async fn a_packet_over_the_limit_is_refused_and_the_next_is_not() {
    let (mut writer, _client, _killed) = writer(1024, 3);
    assert!(matches!(
        writer.push(b"abcd"),
        Err(WriteError::PacketTooLarge { size: 4, limit: 3 })
    ));
    writer.push(b"abc").expect("within the limit");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (mut writer, _client, _killed) = writer(4, 1024);
    writer.push(b"more than four bytes").expect("buffered");
    assert!(matches!(writer.flush().await, Err(WriteError::TimedOut(STALL))));
    assert!(matches!(writer.push(b"x"), Err(WriteError::TimedOut(STALL))));
}

#[tokio::test]
async fn a_kill_ends_a_write_that_hangs() {
    let (mut writer, _client, killed) = writer(4, 1024);
    writer.push(b"more than four bytes").expect("buffered");
    killed.cancel();
    assert!(matches!(writer.flush().await, Err(WriteError::Killed)));
}
