//! Every type of value, both protocols, large ones too.

use mysql_async::Value as Received;
use mysql_async::prelude::Queryable;

use crate::fixture::{every_column, server};

fn bytes(text: &str) -> Received {
    Received::Bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn every_type_as_text() {
    let server = server().await;
    let rows: Vec<mysql_async::Row> = server.connect().await.query("values").await.expect("rows");
    let expected = vec![
        bytes("-128"),
        bytes("-32768"),
        bytes("-2147483648"),
        bytes("-9223372036854775808"),
        bytes("18446744073709551615"),
        bytes("1.5"),
        bytes("0.1"),
        bytes("-12345678901234567890.123456"),
        bytes("2026-11-22"),
        bytes("2026-11-22 08:09:10.000011"),
        bytes("-26:03:04.000005"),
        bytes("Flut \u{1f30a} 'quoted' \\ \0 end"),
        Received::Bytes(vec![0, 255, 251, 254]),
        bytes(r#"{"a": [1, null]}"#),
    ];
    let nulls = vec![Received::NULL; expected.len()];
    let received: Vec<_> = rows.into_iter().map(mysql_async::Row::unwrap).collect();
    assert_eq!(received, [expected, nulls]);
}

#[tokio::test]
async fn every_type_in_binary() {
    let server = server().await;
    let mut connection = server.connect().await;
    let rows: Vec<mysql_async::Row> = connection.exec("values", ()).await.expect("rows");
    let names: Vec<_> = rows[0]
        .columns_ref()
        .iter()
        .map(|column| column.name_str().into_owned())
        .collect();
    let expected_names: Vec<_> = every_column().into_iter().map(|column| column.name).collect();
    assert_eq!(names, expected_names);
    let expected = vec![
        Received::Int(-128),
        Received::Int(-32_768),
        Received::Int(i32::MIN.into()),
        Received::Int(i64::MIN),
        Received::UInt(u64::MAX),
        Received::Float(1.5),
        Received::Double(0.1),
        bytes("-12345678901234567890.123456"),
        Received::Date(2026, 11, 22, 0, 0, 0, 0),
        Received::Date(2026, 11, 22, 8, 9, 10, 11),
        Received::Time(true, 1, 2, 3, 4, 5),
        bytes("Flut \u{1f30a} 'quoted' \\ \0 end"),
        Received::Bytes(vec![0, 255, 251, 254]),
        bytes(r#"{"a": [1, null]}"#),
    ];
    let nulls = vec![Received::NULL; expected.len()];
    let received: Vec<_> = rows.into_iter().map(mysql_async::Row::unwrap).collect();
    assert_eq!(received, [expected, nulls]);
}

#[tokio::test]
async fn parameters_come_back_as_they_were_sent() {
    let server = server().await;
    let mut connection = server.connect().await;
    let sent = vec![
        Received::NULL,
        Received::Int(-7),
        Received::UInt(u64::MAX),
        Received::Float(1.25),
        Received::Double(-0.1),
        bytes("text \u{1f30a}"),
        Received::Bytes(vec![0, 255]),
        Received::Date(2026, 11, 22, 1, 2, 3, 4),
        Received::Time(false, 3, 4, 5, 6, 7),
        Received::NULL,
    ];
    let row: mysql_async::Row = connection
        .exec_first(
            "echo ? ? ? ? ? ? ? ? ? ?",
            mysql_async::Params::Positional(sent.clone()),
        )
        .await
        .expect("executed")
        .expect("a row");
    assert_eq!(row.unwrap(), sent);
}

/// More than one packet of 16 MiB, down and up, as text and as a parameter.
#[tokio::test]
async fn values_of_17_megabytes() {
    const SIZE: usize = 17_000_000;
    let server = server().await;
    let mut connection = server.connect().await;
    let received: Vec<u8> = connection
        .query_first(format!("big {SIZE}"))
        .await
        .expect("sent")
        .expect("a row");
    assert!(received.len() == SIZE && received.iter().all(|byte| *byte == b'x'));

    let statement = format!("length {}", "y".repeat(SIZE));
    let length: usize = connection.query_first(&statement).await.expect("sent").expect("a row");
    assert_eq!(length, statement.len());

    let parameter = vec![7_u8; SIZE];
    let echoed: Vec<u8> = connection
        .exec_first("echo ?", (&parameter,))
        .await
        .expect("sent")
        .expect("a row");
    assert!(echoed == parameter);
}

/// A packet of exactly 16 MiB - 1 is followed by an empty one.
#[tokio::test]
async fn a_statement_that_fills_a_packet_exactly() {
    const LARGEST_CHUNK: usize = 0xff_ffff;
    let server = server().await;
    // One byte of the packet is the command.
    let padding = LARGEST_CHUNK - 1 - "length ".len();
    let statement = format!("length {}", "z".repeat(padding));
    let length: usize = server
        .connect()
        .await
        .query_first(&statement)
        .await
        .expect("sent")
        .expect("a row");
    assert_eq!(length, LARGEST_CHUNK - 1);
}
