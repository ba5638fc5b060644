use tokio::net::TcpListener;

use super::*;

const HOST: &str = "127.0.0.1";

#[tokio::test]
async fn a_client_finds_a_server_that_listens_again_and_gives_up_where_nobody_does() {
    let server = TcpListener::bind((HOST, 0)).await.expect("a port");
    let port = server.local_addr().expect("an address").port();
    assert!(listens(HOST, port, Duration::from_secs(10)).await);
    drop(server);
    assert!(!listens(HOST, port, Duration::from_millis(50)).await);
    let (found, server) = tokio::join!(listens(HOST, port, Duration::from_secs(10)), async {
        TcpListener::bind((HOST, port)).await.expect("the same port")
    });
    assert!(found, "{server:?}");
}
