//! Bytes that no client sends. The server answers with an error or closes; it does not panic, and serves others on.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use springtide_mysql::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::fixture::{server, server_with};
use crate::wire::{Wire, error_code};

static PANICS: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// Counts panics of the server: all but those that a test asks for.
fn count_panics() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic
                .payload_as_str()
                .is_none_or(|message| !message.contains("deliberate"))
            {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(panic);
        }));
    });
}

fn seeded() -> StdRng {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_122);
    println!("SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn random_bytes(random: &mut StdRng, most: usize) -> Vec<u8> {
    let length = random.random_range(0..most);
    (0..length).map(|_| random.random()).collect()
}

/// A packet whose frame is right.
fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = (payload.len() as u32).to_le_bytes();
    header[3] = sequence;
    [&header, payload].concat()
}

/// Sends, says that nothing more comes, and reads what the server says until it closes.
async fn read_to_the_end(wire: &mut Wire<tokio::net::TcpStream>, bytes: &[u8]) -> Vec<u8> {
    // The server may have closed before it has read all.
    let _ = wire.stream.write_all(bytes).await;
    let _ = wire.stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), wire.stream.read_to_end(&mut answer))
        .await
        .expect("the server closes");
    answer
}

#[tokio::test]
async fn another_protocol_is_told_so() {
    let server = server().await;
    for greeting in [
        &b"GET / HTTP/1.1\r\nHost: fe\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut wire = Wire::connect(server.address).await;
        wire.greeting().await;
        wire.stream.write_all(greeting).await.expect("sent");
        assert_eq!(error_code(&wire.read().await.expect("an answer")), 1043);
        assert_eq!(wire.read().await, None);
    }
}

#[tokio::test]
async fn packets_out_of_order_end_the_connection() {
    let server = server().await;
    let mut wire = Wire::log_in(server.address).await;
    wire.stream.write_all(&framed(9, b"\x0e")).await.expect("sent");
    assert_eq!(error_code(&wire.read().await.expect("an answer")), 1156);
    assert_eq!(wire.read().await, None);
}

#[tokio::test]
async fn half_a_packet_ends_the_connection() {
    let server = server_with(ServerOptions {
        read_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    })
    .await;
    let mut wire = Wire::log_in(server.address).await;
    wire.stream.write_all(b"\xff\xff\xff\0\x03SELECT").await.expect("sent");
    assert_eq!(error_code(&wire.read().await.expect("an answer")), 1159);
    assert_eq!(wire.read().await, None);
}

#[tokio::test]
async fn garbage_before_the_login() {
    count_panics();
    let server = server().await;
    let mut random = seeded();
    for round in 0..300 {
        let mut wire = Wire::connect(server.address).await;
        wire.greeting().await;
        let mut bytes = random_bytes(&mut random, 400);
        if round % 2 == 0 {
            // The form of a login, and garbage from its flags on.
            if let [_, second, ..] = bytes.as_mut_slice() {
                *second |= 0x82;
            }
            bytes = framed(1, &bytes);
        }
        let answer = read_to_the_end(&mut wire, &bytes).await;
        assert!(
            answer.is_empty() || answer[4] == 0xff || answer[4] == 0xfe,
            "round {round}: {answer:?}"
        );
    }
    server.connect().await.ping().await.expect("others are served");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn garbage_after_the_login() {
    count_panics();
    let server = server().await;
    let mut random = seeded();
    // Commands whose packets have a form; what they would run is garbage too.
    let commands = [2, 3, 4, 17, 22, 23, 24, 25, 26, 27, 28, 31, 250];
    for round in 0..200 {
        let mut wire = Wire::log_in(server.address).await;
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(1..20) {
            let mut payload = random_bytes(&mut random, 60);
            if random.random_bool(0.5) {
                bytes.extend_from_slice(&framed(0, b"\x16echo ? ? ?"));
            }
            if let [first, id @ ..] = payload.as_mut_slice() {
                *first = commands[random.random_range(0..commands.len())];
                if let [one, two, three, four, ..] = id {
                    [*one, *two, *three, *four] = [random.random_range(1..4), 0, 0, 0];
                }
            }
            bytes.extend_from_slice(&framed(0, &payload));
        }
        if round % 4 == 0 {
            bytes.extend_from_slice(&random_bytes(&mut random, 400));
        }
        read_to_the_end(&mut wire, &bytes).await;
    }
    server.connect().await.ping().await.expect("others are served");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
