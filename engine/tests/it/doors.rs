//! Who gets in at which port: passwords, TLS, and the cluster's token.

use std::process::Command;

use hyper_util::rt::{TokioExecutor, TokioIo};
use mysql_async::{Conn, Opts, SslOpts, prelude::Queryable};
use reqwest::StatusCode;
use springtide_contract::{drain, ports};
use springtide_rpc::message;
use tokio::net::TcpStream;

use crate::processes::{TOKEN, cluster};

/// Sends a request that a stranger, or somebody with `token`, would send; the answer's status.
async fn knock(url: &str, token: Option<&str>) -> StatusCode {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = if url.ends_with(drain::STATUS_PATH) {
        client.get(url)
    } else {
        client.post(url).json(&serde_json::json!({}))
    };
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.expect("an answer").status()
}

/// Calls the port of distributed queries over HTTP/2, as gRPC does; answers gRPC's status.
async fn knock_grpc(host: &str, token: Option<&str>) -> String {
    let stream = TcpStream::connect((host, ports::CN_WORKER))
        .await
        .expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    let mut request = http::Request::post(format!(
        "http://{host}:{}/worker.Worker/GetWorkerInfo",
        ports::CN_WORKER
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = sender
        .send_request(request.body(String::new()).expect("a request"))
        .await
        .expect("an answer");
    answer.headers()["grpc-status"].to_str().expect("a number").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_ports_refuse_a_caller_without_the_clusters_token() {
    let cluster = cluster().compute(1).start().await;
    let node = &cluster.nodes[0].host;
    let internal = [
        format!("http://{}:{}{}", cluster.host, ports::FE_RPC, message::BEGIN_LOAD),
        format!("http://{}:{}{}", cluster.host, ports::FE_RPC, message::COMMIT_LOAD),
        format!("http://{}:{}{}", cluster.host, ports::FE_RPC, message::ABORT_LOAD),
        format!("http://{node}:{}{}", ports::CN_HEARTBEAT, message::HEARTBEAT),
        format!("http://{node}:{}{}", ports::CN_HEARTBEAT, message::INGEST),
        format!("http://{node}:{}{}", ports::CN_HEARTBEAT, drain::DRAIN_PATH),
        format!("http://{node}:{}{}", ports::CN_HEARTBEAT, drain::UNDRAIN_PATH),
        format!("http://{node}:{}{}", ports::CN_HEARTBEAT, drain::STATUS_PATH),
    ];
    for url in &internal {
        for token in [None, Some(""), Some("a-guess"), Some(&TOKEN[1..])] {
            assert_eq!(
                knock(url, token).await,
                StatusCode::UNAUTHORIZED,
                "{url} with {token:?}"
            );
        }
        assert_ne!(knock(url, Some(TOKEN)).await, StatusCode::UNAUTHORIZED, "{url}");
    }
    // UNAUTHENTICATED, and with the token UNIMPLEMENTED: there is no such call.
    assert_eq!(knock_grpc(node, None).await, "16");
    assert_eq!(knock_grpc(node, Some("a-guess")).await, "16");
    assert_eq!(knock_grpc(node, Some(TOKEN)).await, "12");
    // Nobody has made the node drain.
    assert_eq!(
        cluster
            .client
            .rows("SELECT count(*) FROM information_schema.engines")
            .await,
        ["1"]
    );
    cluster.wait_for_nodes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_password() {
    let cluster = cluster().start().await;
    for (user, password) in [
        ("admin", "wrong"),
        ("admin", ""),
        ("root", ""),
        ("root", "root"),
        ("", ""),
        ("nobody", "admin-password"),
        ("springtide-operator", "admin-password"),
    ] {
        match cluster.client.as_user(user, password).try_connect().await {
            Err(mysql_async::Error::Server(error)) => {
                assert_eq!((error.code, error.state.as_str()), (1045, "28000"), "{user}");
                assert!(error.message.contains("Access denied"), "{}", error.message);
            }
            other => panic!("{user} with {password:?} got in: {}", other.is_ok()),
        }
    }
    assert!(cluster.client.try_connect().await.is_ok());
    assert!(
        cluster
            .client
            .as_user("springtide-operator", "operator-password")
            .try_connect()
            .await
            .is_ok()
    );
    // HTTP has health and metrics for all, and loads for users.
    let load = cluster.load_url("d", "t");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for password in [None, Some("wrong"), Some("")] {
        let mut request = client.put(&load).header("expect", "100-continue").body("1");
        if let Some(password) = password {
            request = request.basic_auth("admin", Some(password));
        }
        let status = request.send().await.expect("an answer").status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{password:?}");
    }
}

/// What MariaDB's `mysql` prints, and what it says went wrong.
fn mysql_command(host: &str, more: &[&str], statement: &str) -> (String, String) {
    let output = Command::new("mysql")
        .args(["--no-defaults", "--protocol=tcp", "--batch", "--skip-column-names"])
        .args(["--user=admin", "--password=admin-password"])
        .arg(format!("--host={host}"))
        .arg(format!("--port={}", ports::FE_MYSQL))
        .args(more)
        .arg(format!("--execute={statement}"))
        .output()
        .expect("mysql runs; install mariadb-client");
    (
        String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_both_methods_and_the_clear_port_with_native_alone() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let cluster = cluster()
        .certificate(cert.pem(), signing_key.serialize_pem())
        .start()
        .await;

    let tls = SslOpts::default()
        .with_root_certs(vec![cert.pem().into_bytes().into()])
        .with_disable_built_in_roots(true)
        .with_danger_tls_hostname_override(Some("localhost"));
    let options = cluster.client.options().ssl_opts(tls);
    let mut connection = Conn::new(Opts::from(options)).await.expect("a login over TLS");
    let who: Option<String> = connection
        .query_first("SELECT current_user()")
        .await
        .expect("an answer");
    assert_eq!(who.as_deref(), Some("'admin'@'%'"));
    // A certificate that the client does not know is the client's to refuse.
    let strict = SslOpts::default().with_danger_tls_hostname_override(Some("localhost"));
    assert!(
        Conn::new(Opts::from(cluster.client.options().ssl_opts(strict)))
            .await
            .is_err()
    );

    let ask = "SELECT 40 + 2";
    for more in [
        &["--ssl"][..],
        &["--ssl", "--default-auth=caching_sha2_password"],
        &["--ssl", "--default-auth=mysql_native_password"],
        &["--skip-ssl"],
        &["--skip-ssl", "--default-auth=mysql_native_password"],
    ] {
        let (answer, error) = mysql_command(&cluster.host, more, ask);
        assert_eq!(answer, "42", "{more:?}: {error}");
    }
    let (_, error) = mysql_command(&cluster.host, &["--ssl", "--password=wrong"], ask);
    assert!(error.contains("ERROR 1045 (28000)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_client_that_sends_garbage_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = cluster().start().await;
    let mut other = cluster.client.connect().await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: frontend\r\n\r\n"[..],
        &[0xff; 4096],
        &[0; 64],
        b"\x01\x00\x00\x01\x00",
        b"\xff\xff\xff\x01",
        b"",
    ] {
        let mut stream = TcpStream::connect((cluster.host.as_str(), ports::FE_MYSQL))
            .await
            .expect("a connection");
        stream.write_all(garbage).await.expect("sent");
        // Nothing more comes: the server must not wait for it.
        stream.shutdown().await.expect("the end");
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let read = tokio::time::timeout(std::time::Duration::from_secs(30), reading).await;
        assert!(read.is_ok(), "the connection stays open after {garbage:?}");
    }
    let one: Option<i64> = other.query_first("SELECT 1").await.expect("others are served");
    assert_eq!(one, Some(1));
    assert!(cluster.client.try_connect().await.is_ok(), "new clients are let in");
    assert!(!cluster.frontend_log().contains("panic"), "{}", cluster.frontend_log());
}
