use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;
use crate::column::ColumnType;

/// A writer in the middle of a statement, and what a client reads of it.
struct Client {
    out: ResultWriter,
    stream: DuplexStream,
}

fn client(protocol: RowProtocol, capabilities: CapabilityFlags) -> Client {
    let (stream, server) = tokio::io::duplex(16 * 1024 * 1024);
    let packets = PacketWriter::new(
        Box::new(server),
        1024 * 1024,
        Duration::from_secs(5),
        CancellationToken::new(),
    );
    let mut out = ResultWriter::new(packets, 64 * 1024);
    out.set_capabilities(capabilities);
    out.begin(protocol, 1, CancellationToken::new());
    Client { out, stream }
}

impl Client {
    /// Payloads of all packets so far.
    async fn packets(mut self) -> Vec<Vec<u8>> {
        self.out.flush().await.expect("sent");
        drop(self.out);
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.expect("read");
        let mut packets = Vec::new();
        let mut rest = bytes.as_slice();
        let mut sequence = 1;
        while let [low, middle, high, number, tail @ ..] = rest {
            assert_eq!(*number, sequence, "sequence of packets");
            sequence = sequence.wrapping_add(1);
            let length = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
            packets.push(tail[..length].to_vec());
            rest = &tail[length..];
        }
        packets
    }
}

fn number_column() -> Vec<Column> {
    vec![Column::new("n", ColumnType::MYSQL_TYPE_TINY), Column::text("t")]
}

#[tokio::test]
async fn a_text_result_with_eof_packets() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    client.out.result_set(&number_column()).await.expect("begun");
    client.out.row(&[Value::Int(-7), Value::Null]).await.expect("written");
    client.out.finish_with_warnings(3).await.expect("ended");
    let packets = client.packets().await;
    assert_eq!(packets.len(), 6);
    assert_eq!(packets[0], [2]);
    assert_eq!(packets[3], [0xfe, 0, 0, 2, 0]);
    assert_eq!(packets[4], b"\x02-7\xfb");
    assert_eq!(packets[5], [0xfe, 3, 0, 2, 0]);
}

#[tokio::test]
async fn a_binary_result_for_a_client_without_eof_packets() {
    let mut client = client(RowProtocol::Binary, CapabilityFlags::CLIENT_DEPRECATE_EOF);
    client.out.result_set(&number_column()).await.expect("begun");
    client
        .out
        .row(&[Value::Int(-1), Value::bytes("a")])
        .await
        .expect("written");
    client.out.row(&[Value::Null, Value::Null]).await.expect("written");
    client.out.finish().await.expect("ended");
    let packets = client.packets().await;
    assert_eq!(packets.len(), 6);
    assert_eq!(packets[3], b"\0\0\xff\x01a");
    assert_eq!(packets[4], [0, 0b1100]);
    assert_eq!(packets[5], [0xfe, 0, 0, 2, 0, 0, 0]);
}

#[tokio::test]
async fn an_ok_tells_rows_and_says_whether_more_comes() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    client.out.set_in_transaction(true);
    client.out.more_results();
    let first = OkResult {
        affected_rows: 300,
        last_insert_id: 1,
        warnings: 2,
        info: "label".to_owned(),
    };
    client.out.ok(first).await.expect("written");
    assert!(!client.out.is_done());
    client.out.ok(OkResult::default()).await.expect("written");
    assert!(client.out.is_done());
    assert_eq!(
        client.packets().await,
        [
            b"\0\xfc\x2c\x01\x01\x0b\0\x02\0\x05label".to_vec(),
            b"\0\0\0\x03\0\0\0".to_vec()
        ]
    );
}

#[tokio::test]
async fn an_error_may_end_rows() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    client.out.result_set(&number_column()).await.expect("begun");
    client
        .out
        .error(&MysqlError::new(1105, b"HY000", "lost"))
        .await
        .expect("sent");
    assert!(client.out.error(&MysqlError::interrupted()).await.is_err(), "only once");
    let packets = client.packets().await;
    assert_eq!(packets.last().expect("an error"), b"\xff\x51\x04#HY000lost");
}

#[tokio::test]
async fn calls_out_of_order_are_refused() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    let out = &mut client.out;
    assert!(out.row(&[Value::Null]).await.is_err());
    assert!(out.finish().await.is_err());
    assert!(out.result_set(&[]).await.is_err());
    out.result_set(&number_column()).await.expect("begun");
    assert!(out.row(&[Value::Null]).await.is_err(), "one value for two columns");
    assert!(out.ok(OkResult::default()).await.is_err());
    out.finish().await.expect("ended");
    assert!(out.ok(OkResult::default()).await.is_err());
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_left_out_and_rows_may_go_on() {
    let mut client = client(RowProtocol::Binary, CapabilityFlags::CLIENT_DEPRECATE_EOF);
    client.out.result_set(&number_column()).await.expect("begun");
    let error = client
        .out
        .row(&[Value::Int(1_000), Value::Null])
        .await
        .expect_err("not a TINYINT");
    assert_eq!(
        error.to_string(),
        "column 'n': this integer does not fit MYSQL_TYPE_TINY"
    );
    let large = "x".repeat(2 * 1024 * 1024);
    let error = client
        .out
        .row(&[Value::Null, Value::bytes(&large)])
        .await
        .expect_err("too large");
    assert_eq!(MysqlError::from(error).code, 1153);
    client.out.row(&[Value::Int(1), Value::Null]).await.expect("written");
    assert_eq!(client.out.rows_written(), 1);
    client.out.finish().await.expect("ended");
    assert_eq!(client.packets().await.len(), 5);
}

#[tokio::test]
async fn an_unsent_result_can_be_begun_anew() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    client.out.more_results();
    client.out.ok(OkResult::default()).await.expect("the first result");
    client.out.result_set(&number_column()).await.expect("begun");
    client.out.row(&[Value::Int(1), Value::Null]).await.expect("written");
    assert!(!client.out.any_byte_sent());
    assert!(client.out.restart());
    client.out.ok(OkResult::default()).await.expect("another answer");
    assert_eq!(
        client.packets().await.len(),
        2,
        "the first result, and the second's other answer"
    );
}

#[tokio::test]
async fn rows_are_held_to_the_limit_and_then_cannot_be_taken_back() {
    let mut client = client(RowProtocol::Text, CapabilityFlags::empty());
    client.out.hold(256 * 1024);
    client.out.result_set(&number_column()).await.expect("begun");
    let text = "x".repeat(1024);
    let mut rows_held = 0;
    while !client.out.any_byte_sent() {
        client
            .out
            .row(&[Value::Int(1), Value::bytes(&text)])
            .await
            .expect("written");
        rows_held += 1;
    }
    assert!((250..=256).contains(&rows_held), "{rows_held} rows of a kilobyte held");
    assert!(!client.out.restart());
}
