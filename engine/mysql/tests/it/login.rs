//! Who gets in, and how.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, SslOpts};
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::{AuthPlugin, SslRequest};
use mysql_common::proto::MySerialize;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use springtide_mysql::{ServerOptions, TlsConfigSource};
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use crate::fixture::{PASSWORD, Server, USER, server, server_error, server_with};
use crate::wire::{Wire, error_code, login};

#[tokio::test]
async fn the_right_password_and_a_database() {
    let server = server().await;
    let options = server.options().db_name(Some("sales"));
    let mut connection = Conn::new(Opts::from(options)).await.expect("a login");
    assert_eq!(connection.server_version(), (8, 0, 33));
    let who: String = connection.query_first("who").await.expect("sent").expect("a row");
    assert_eq!(who, "ana Native(…) tls=false db=sales");
}

#[tokio::test]
async fn wrong_user_password_database_or_none_at_all() {
    let server = server().await;
    let code = async |options| server_error(Conn::new(Opts::from(options)).await).0;
    assert_eq!(code(server.options().pass(Some("wrong"))).await, 1045);
    assert_eq!(code(server.options().pass(None::<String>)).await, 1045);
    assert_eq!(code(server.options().pass(Some(""))).await, 1045);
    assert_eq!(code(server.options().user(Some("bob"))).await, 1045);
    assert_eq!(code(server.options().user(None::<String>)).await, 1045);
    assert_eq!(code(server.options().db_name(Some("nosuch"))).await, 1049);
    let (_, message) = server_error(Conn::new(Opts::from(server.options().pass(Some("wrong")))).await);
    assert_eq!(
        message,
        "Access denied for user 'ana'@'127.0.0.1' (using password: YES)"
    );
}

/// MySQL 8 clients begin with caching_sha2_password; without TLS they are switched to native, with a fresh salt.
#[tokio::test]
async fn another_method_without_tls_is_switched_to_native() {
    let server = server().await;
    for (password, accepted) in [(PASSWORD, true), ("wrong", false)] {
        let mut wire = Wire::connect(server.address).await;
        let greeted_with = wire.greeting().await;
        wire.answer(&login(
            AuthPlugin::CachingSha2Password,
            vec![1; 32],
            CapabilityFlags::empty(),
        ))
        .await;
        let request = wire.read().await.expect("a switch");
        let salt = request.strip_prefix(b"\xfemysql_native_password\0").expect("to native");
        let salt = salt.strip_suffix(&[0]).expect("as a C string");
        assert_ne!(salt, greeted_with);
        wire.answer(&scramble_native(salt, password.as_bytes()).expect("a scramble"))
            .await;
        let answer = wire.read().await.expect("an answer");
        if accepted {
            assert_eq!(answer[0], 0);
        } else {
            assert_eq!(error_code(&answer), 1045);
        }
    }
}

#[tokio::test]
async fn a_change_of_user_asks_for_a_fresh_proof() {
    let server = server().await;
    let mut connection = server.connect().await;
    let options = mysql_async::ChangeUserOpts::default();
    connection.change_user(options).await.expect("the same user again");
    connection.ping().await.expect("usable");
    let wrong = mysql_async::ChangeUserOpts::default().with_pass(Some("wrong".to_owned()));
    assert!(connection.change_user(wrong).await.is_err());
}

struct Certified {
    server: Server,
    roots: rustls::RootCertStore,
    pem: String,
}

async fn tls_server(require_tls: bool) -> Certified {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("its key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a usable certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let (sender, receiver) = tokio::sync::watch::channel(Arc::new(config));
    drop(sender);
    let options = ServerOptions {
        tls: Some(TlsConfigSource::from(receiver)),
        require_tls,
        ..ServerOptions::default()
    };
    Certified {
        server: server_with(options).await,
        roots,
        pem: cert.pem(),
    }
}

#[tokio::test]
async fn a_client_checks_the_certificate_and_logs_in_over_tls() {
    let certified = tls_server(true).await;
    let tls = SslOpts::default()
        .with_root_certs(vec![certified.pem.clone().into_bytes().into()])
        .with_disable_built_in_roots(true)
        .with_danger_tls_hostname_override(Some("localhost"));
    let options = certified.server.options().ssl_opts(tls);
    let mut connection = Conn::new(Opts::from(options)).await.expect("a login");
    let who: String = connection.query_first("who").await.expect("sent").expect("a row");
    assert_eq!(who, "ana Native(…) tls=true db=");
    let received: Vec<u8> = connection
        .query_first("big 17000000")
        .await
        .expect("sent")
        .expect("a row");
    assert_eq!(received.len(), 17_000_000);
}

#[tokio::test]
async fn a_login_without_tls_is_refused_where_tls_is_required() {
    let certified = tls_server(true).await;
    assert_eq!(
        server_error(Conn::new(Opts::from(certified.server.options())).await).0,
        3159
    );
}

#[tokio::test]
async fn a_request_for_tls_that_was_not_offered_is_refused() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    wire.greeting().await;
    wire.answer(&ssl_request()).await;
    assert_eq!(error_code(&wire.read().await.expect("an answer")), 1043);
}

fn ssl_request() -> Vec<u8> {
    let capabilities = CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_SSL;
    let mut payload = Vec::new();
    SslRequest::new(capabilities, 1 << 24, 45).serialize(&mut payload);
    payload
}

/// Full authentication of caching_sha2_password: the password itself, over TLS.
#[tokio::test]
async fn caching_sha2_over_tls() {
    let certified = tls_server(false).await;
    let client = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_root_certificates(certified.roots.clone())
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    for (password, expected) in [(PASSWORD, None), ("wrong", Some(1045)), ("", Some(1045))] {
        let mut plain = Wire::connect(certified.server.address).await;
        plain.greeting().await;
        plain.answer(&ssl_request()).await;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, plain.stream).await.expect("a TLS handshake");
        let mut wire = Wire::resume(stream, 2);
        wire.answer(&login(
            AuthPlugin::CachingSha2Password,
            Vec::new(),
            CapabilityFlags::CLIENT_SSL,
        ))
        .await;
        let request = wire.read().await.expect("a switch");
        assert!(request.starts_with(b"\xfecaching_sha2_password\0"), "{request:?}");
        if password.is_empty() {
            wire.answer(&[0]).await;
        } else {
            wire.answer(&[1; 32]).await;
            assert_eq!(wire.read().await.expect("an answer"), [1, 4], "full authentication");
            wire.answer(&[password.as_bytes(), &[0]].concat()).await;
        }
        let answer = wire.read().await.expect("an answer");
        match expected {
            None => assert_eq!(answer[0], 0),
            Some(code) => assert_eq!(error_code(&answer), code),
        }
    }
}

/// What someone in the middle adds in clear behind the request for TLS must not count as a login.
#[tokio::test]
async fn bytes_injected_before_tls_are_not_read_as_encrypted() {
    let certified = tls_server(false).await;
    let mut wire = Wire::connect(certified.server.address).await;
    let salt = wire.greeting().await;
    let proof = scramble_native(&salt, PASSWORD.as_bytes())
        .expect("a scramble")
        .to_vec();
    let injected = login(AuthPlugin::MysqlNativePassword, proof, CapabilityFlags::CLIENT_SSL);
    let mut bytes = [&[32, 0, 0, 1], ssl_request().as_slice()].concat();
    bytes.extend_from_slice(&[injected.len() as u8, 0, 0, 2]);
    bytes.extend_from_slice(&injected);
    tokio::io::AsyncWriteExt::write_all(&mut wire.stream, &bytes)
        .await
        .expect("sent");
    // A TLS alert or the end, but no OK packet.
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut wire.stream, &mut answer).await;
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[tokio::test]
async fn a_silent_client_is_dropped() {
    let options = ServerOptions {
        handshake_timeout: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let server = server_with(options).await;
    let mut silent = Wire::connect(server.address).await;
    silent.greeting().await;
    assert_eq!(silent.read().await, None, "after the greeting");
}

/// MariaDB's own client, as an operator at a terminal uses it.
#[tokio::test]
async fn the_mysql_command() {
    let certified = tls_server(false).await;
    let run = async |more: &[&str], statement: &str| {
        let output = Command::new("mysql")
            .args([
                "--no-defaults",
                "--protocol=tcp",
                "--host=127.0.0.1",
                "--batch",
                "--skip-column-names",
            ])
            .arg(format!("--port={}", certified.server.address.port()))
            .arg(format!("--user={USER}"))
            .arg(format!("--password={PASSWORD}"))
            .args(more)
            .arg(format!("--execute={statement}"))
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(30), output)
            .await
            .expect("it ends")
            .expect("it runs");
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let plain = ["--skip-ssl"].as_slice();
    let who = "ana Native(…) tls=false db=\n";
    assert_eq!(run(plain, "who").await, (who.to_owned(), String::new()));
    let (rows, _) = run(plain, "rows 3").await;
    assert_eq!(rows.lines().count(), 3);
    let (_, error) = run(plain, "nonsense").await;
    assert!(
        error
            .trim()
            .ends_with("ERROR 1064 (42000) at line 1: no such statement"),
        "{error}"
    );
    let tls = run(&["--ssl"], "who").await.0;
    assert_eq!(tls, "ana Native(…) tls=true db=\n");
    let sha2 = run(&["--ssl", "--default-auth=caching_sha2_password"], "who").await;
    assert!(sha2.0.starts_with("ana "), "{sha2:?}");
}
