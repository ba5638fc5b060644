//! Commands and results.

use std::sync::atomic::Ordering;

use mysql_async::prelude::Queryable;
use springtide_mysql::ServerOptions;

use crate::fixture::{server, server_error, server_with};
use crate::wire::Wire;

#[tokio::test]
async fn many_rows_are_streamed() {
    let server = server().await;
    let mut connection = server.connect().await;
    let rows: Vec<(i64, String)> = connection.query("rows 50000").await.expect("rows");
    assert_eq!(rows.len(), 50_000);
    assert!(rows.iter().zip(0..).all(|((number, _), expected)| *number == expected));
}

#[tokio::test]
async fn several_results_of_one_text() {
    let server = server().await;
    let mut connection = server.connect().await;
    let mut result = connection.query_iter("several").await.expect("results");
    for expected in 1..=3_i64 {
        let rows: Vec<i64> = result.collect().await.expect("rows");
        assert_eq!(rows, [expected]);
    }
    assert!(result.is_empty());
}

#[tokio::test]
async fn an_ok_carries_its_figures() {
    let server = server().await;
    let mut connection = server.connect().await;
    connection.query_drop("insert").await.expect("done");
    assert_eq!(
        (connection.affected_rows(), connection.info().into_owned()),
        (3, "label-1".to_owned())
    );
}

/// The connection is as good as before after each of them.
#[tokio::test]
async fn a_failed_statement_leaves_the_connection_usable() {
    let server = server().await;
    let mut connection = server.connect().await;
    assert_eq!(
        server_error(connection.query_drop("nonsense").await),
        (1064, "no such statement".to_owned())
    );
    assert_eq!(server_error(connection.query_drop("nothing").await).0, 1815);
    assert_eq!(server_error(connection.query::<String, _>("unfinished").await).0, 1815);
    let length: u64 = connection.query_first("length").await.expect("sent").expect("a row");
    assert_eq!(length, 6);
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let server = server().await;
    let mut other = server.connect().await;
    assert_eq!(server_error(server.connect().await.query_drop("panic").await).0, 1815);
    assert!(server.connect().await.prep("panic").await.is_err());
    other.ping().await.expect("still served");
}

#[tokio::test]
async fn a_packet_over_the_limit_is_error_1153() {
    let server = server_with(ServerOptions {
        max_allowed_packet: 1024 * 1024,
        ..ServerOptions::default()
    })
    .await;
    let mut connection = server.connect().await;
    assert_eq!(server_error(connection.query_drop("big 2000000").await).0, 1153);
    connection
        .ping()
        .await
        .expect("a large result does not end the connection");
    let large = format!("length {}", "x".repeat(2_000_000));
    assert_eq!(server_error(connection.query_drop(large).await).0, 1153);
}

#[tokio::test]
async fn statements_are_closed_and_forgotten_on_reset() {
    let server = server().await;
    let mut connection = server.connect().await;
    let open = || server.seen.open_statements.load(Ordering::SeqCst);
    let first = connection.prep("echo ?").await.expect("prepared");
    let _second = connection.prep("echo ? ?").await.expect("prepared");
    assert_eq!(open(), 2);
    connection.close(first).await.expect("closed");
    connection
        .ping()
        .await
        .expect("closing has no answer; this one comes after it");
    assert_eq!(open(), 1);
    connection.reset().await.expect("reset");
    assert_eq!(open(), 0);
}

/// The commands that mysql_async does not send, byte by byte.
#[tokio::test]
async fn the_other_commands() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    assert_eq!(wire.command(b"\x0e").await, [0, 0, 0, 2, 0, 0, 0], "COM_PING");
    assert_eq!(wire.command(b"\x02d1").await[0], 0, "COM_INIT_DB");
    assert_eq!(wire.error(b"\x02nosuch").await, 1049);
    assert!(wire.command(b"\x09").await.starts_with(b"Uptime: "), "COM_STATISTICS");
    assert_eq!(wire.command(b"\x1b\0\0").await, [0xfe, 0, 0, 2, 0], "COM_SET_OPTION");
    assert_eq!(wire.command(b"\x1f").await[0], 0, "COM_RESET_CONNECTION");
    assert_eq!(wire.error(b"\x7f").await, 1047);
    assert_eq!(wire.error(b"\x1c\0\0\0\0\0\0\0\0").await, 1047, "COM_STMT_FETCH");
    assert_eq!(wire.error(b"\x03\xff\xfe").await, 1300, "not UTF-8");
    assert_eq!(
        wire.error(b"\x17\x63\0\0\0\0\x01\0\0\0").await,
        1243,
        "COM_STMT_EXECUTE of nothing"
    );
    assert_eq!(wire.error(b"\x1a\x63\0\0\0").await, 1243, "COM_STMT_RESET of nothing");

    assert!(wire.command(b"\x04t\0%").await.ends_with(b"\xfb"), "COM_FIELD_LIST");
    assert_eq!(wire.read().await.expect("its end"), [0xfe, 0, 0, 2, 0]);

    let prepared = wire.command(b"\x16echo ?").await;
    assert_eq!(&prepared[..9], [0, 1, 0, 0, 0, 0, 0, 1, 0], "COM_STMT_PREPARE");
    wire.read().await.expect("the parameter");
    wire.read().await.expect("the end of the parameters");
    wire.send(b"\x18\x01\0\0\0\0\0long ").await;
    wire.send(b"\x18\x01\0\0\0\0\0data").await;
    assert_eq!(
        wire.command(b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfc\0").await,
        [1],
        "one column"
    );
    for _ in ["the column", "its end"] {
        wire.read().await.expect("a packet");
    }
    assert_eq!(wire.read().await.expect("the row"), b"\0\0\x09long data");
}
