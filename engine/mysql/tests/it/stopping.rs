//! Limits, kills and the shutdown.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use springtide_mysql::{ConnectionLimit, ServerOptions};
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::{Server, server, server_error, server_with};
use crate::wire::{Wire, error_code};

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the condition holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A connection that runs `statement`, and its id.
async fn busy(
    server: &Server,
    statement: &'static str,
) -> (u32, tokio::task::JoinHandle<Result<(), mysql_async::Error>>) {
    let mut connection = server.connect().await;
    let id: u32 = connection.query_first("id").await.expect("sent").expect("a row");
    let running = tokio::spawn(async move { connection.query_drop(statement).await });
    eventually("the statement runs", || {
        server.registry.list().iter().any(|c| c.connection_id == id && c.busy)
    })
    .await;
    (id, running)
}

#[tokio::test]
async fn one_connection_too_many() {
    let server = server_with(ServerOptions {
        max_connections: 2_usize.into(),
        ..ServerOptions::default()
    })
    .await;
    let first = server.connect().await;
    let _second = server.connect().await;
    let refused = Conn::new(Opts::from(server.options())).await;
    assert_eq!(server_error(refused), (1040, "Too many connections".to_owned()));
    first.disconnect().await.expect("it leaves");
    eventually("its place is free", || server.registry.len() == 1).await;
    server.connect().await;
}

#[tokio::test]
async fn the_limit_of_connections_changes_while_the_server_runs() {
    let limit = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&limit);
    let server = server_with(ServerOptions {
        max_connections: ConnectionLimit::from_fn(move || asked.load(Ordering::Relaxed)),
        ..ServerOptions::default()
    })
    .await;
    let mut first = server.connect().await;
    let refused = Conn::new(Opts::from(server.options())).await;
    assert_eq!(server_error(refused).0, 1040);
    limit.store(2, Ordering::Relaxed);
    let _second = server.connect().await;
    limit.store(1, Ordering::Relaxed);
    let refused = Conn::new(Opts::from(server.options())).await;
    assert_eq!(server_error(refused).0, 1040);
    first.ping().await.expect("what is open stays");
}

#[tokio::test]
async fn kill_query_ends_the_statement_and_keeps_the_connection() {
    let server = server().await;
    let mut connection = server.connect().await;
    let id: u32 = connection.query_first("id").await.expect("sent").expect("a row");
    let registry = server.registry.clone();
    let killer = tokio::spawn(async move {
        eventually("the statement runs", || registry.list()[0].busy).await;
        assert!(registry.kill_query(id));
    });
    assert_eq!(server_error(connection.query_drop("sleep").await).0, 1317);
    killer.await.expect("killed");
    connection.ping().await.expect("the connection lives");
}

#[tokio::test]
async fn kill_ends_a_busy_connection() {
    let server = server().await;
    let (id, running) = busy(&server, "sleep").await;
    assert!(server.registry.kill_connection(id));
    assert_eq!(server_error(running.await.expect("joined")).0, 1317);
    eventually("it is gone", || server.registry.is_empty()).await;
    assert!(!server.registry.kill_connection(id));
}

#[tokio::test]
async fn kill_ends_an_idle_connection() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    let id = server.registry.list()[0].connection_id;
    assert!(server.registry.kill_connection(id));
    assert_eq!(error_code(&wire.read().await.expect("why it ends")), 3169);
    assert_eq!(wire.read().await, None);
}

/// A handler that does not listen is dropped after the grace, and its connection with it.
#[tokio::test]
async fn a_stubborn_statement_is_dropped() {
    let options = ServerOptions {
        cancel_grace: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let server = server_with(options).await;
    let (id, running) = busy(&server, "stubborn").await;
    assert!(server.registry.kill_query(id));
    assert_eq!(server_error(running.await.expect("joined")).0, 1317);
    eventually("it is gone", || server.registry.is_empty()).await;
    eventually("its handler has tidied up", || {
        server.seen.disconnected.load(Ordering::SeqCst) == 1
    })
    .await;
}

/// Somebody pressed Ctrl-C: nobody is left to read the result.
#[tokio::test]
async fn a_client_that_leaves_cancels_its_statement() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    wire.send(b"\x03sleep").await;
    eventually("the statement runs", || server.registry.list()[0].busy).await;
    drop(wire);
    eventually("the statement is cancelled", || {
        server.seen.cancelled.load(Ordering::SeqCst) == 1
    })
    .await;
    eventually("the connection is gone", || server.registry.is_empty()).await;
}

/// A client that sends commands ahead gets all answers, in order.
#[tokio::test]
async fn commands_sent_ahead_are_answered() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    for _ in 0..3 {
        wire.send(b"\x03linger").await;
        wire.send(b"\x0e").await;
    }
    for _ in 0..6 {
        assert_eq!(wire.read().await.expect("an answer")[0], 0);
    }
}

/// A client that reads nothing holds no more than a buffer of the server, and KILL ends it.
#[tokio::test]
async fn a_client_that_does_not_read_can_be_killed() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    wire.send(b"\x03rows 10000000").await;
    let id = server.registry.list()[0].connection_id;
    sleep(Duration::from_millis(300)).await;
    assert!(server.registry.list()[0].busy, "it waits for the client");
    assert!(server.registry.kill_connection(id));
    eventually("it is gone", || server.registry.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let options = ServerOptions {
        write_timeout: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let server = server_with(options).await;
    let mut wire = Wire::log_in(server.address).await;
    wire.send(b"\x03rows 10000000").await;
    eventually("it is gone", || server.registry.is_empty()).await;
}

#[tokio::test]
async fn an_idle_client_is_told_and_dropped() {
    let options = ServerOptions {
        idle_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let server = server_with(options).await;
    let mut wire = Wire::log_in(server.address).await;
    assert_eq!(error_code(&wire.read().await.expect("why it ends")), 4031);
    assert_eq!(wire.read().await, None);
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_waits_for_statements() {
    let mut server = server().await;
    let mut idle = Wire::log_in(server.address).await;
    let (_, running) = busy(&server, "linger").await;
    server.shutdown.cancel();
    assert_eq!(error_code(&idle.read().await.expect("why it ends")), 1053);
    running.await.expect("joined").expect("the statement ends well");
    timeout(PATIENCE, &mut server.serving)
        .await
        .expect("the server ends")
        .expect("without a panic");
    assert_eq!(
        server.seen.connected.load(Ordering::SeqCst),
        server.seen.disconnected.load(Ordering::SeqCst)
    );
    assert!(
        tokio::net::TcpStream::connect(server.address).await.is_err(),
        "nobody listens"
    );
}

/// A pool holds its connections open and reads nothing until somebody wants one.
#[tokio::test]
async fn a_connection_that_nobody_closes_does_not_hold_up_the_shutdown() {
    let mut server = server().await;
    let mut idle = Wire::log_in(server.address).await;
    let told = Instant::now();
    server.shutdown.cancel();
    timeout(PATIENCE, &mut server.serving)
        .await
        .expect("the server ends")
        .expect("without a panic");
    assert!(told.elapsed() < Duration::from_millis(1500), "{:?}", told.elapsed());
    assert_eq!(error_code(&idle.read().await.expect("why it ended")), 1053);
}

#[tokio::test]
async fn shutdown_cancels_what_is_to_be_cut_off_before_its_grace_is_over() {
    let options = ServerOptions {
        shutdown_grace: PATIENCE * 10,
        ..ServerOptions::default()
    };
    let cut_off = options.cut_off.clone();
    let mut server = server_with(options).await;
    let (_, running) = busy(&server, "sleep").await;
    server.shutdown.cancel();
    cut_off.cancel();
    assert_eq!(server_error(running.await.expect("joined")).0, 1317);
    timeout(PATIENCE, &mut server.serving)
        .await
        .expect("the server ends")
        .expect("without a panic");
}

#[tokio::test]
async fn shutdown_cancels_what_outlasts_its_grace() {
    let options = ServerOptions {
        shutdown_grace: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let mut server = server_with(options).await;
    let (_, running) = busy(&server, "sleep").await;
    server.shutdown.cancel();
    assert_eq!(server_error(running.await.expect("joined")).0, 1317);
    timeout(PATIENCE, &mut server.serving)
        .await
        .expect("the server ends")
        .expect("without a panic");
}
