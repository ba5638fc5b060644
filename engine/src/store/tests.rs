use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Instant,
};

use object_store::ObjectStoreExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// More than all buffers on the way hold.
const BODY_BYTES: usize = 64 << 20;
/// How long a thread that waits for an answer does something else.
const BUSY: Duration = Duration::from_secs(20);

/// Answers one request with [`BODY_BYTES`], and says when the client has taken them.
async fn serve(listener: TcpListener, taken: Arc<AtomicBool>) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await.unwrap());
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\nETag: \"1\"\r\nLast-Modified: Sat, 28 Nov 2026 08:00:00 GMT\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![7; 1 << 20];
    for _ in 0..BODY_BYTES / piece.len() {
        client.write_all(&piece).await.unwrap();
    }
    taken.store(true, SeqCst);
    // The connection stays open until the client has done with it.
    let _closed = client.read_u8().await;
}

#[test]
fn a_query_that_computes_for_long_does_not_lose_what_it_asked_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::below(folder.path());
    let keys = place.path(paths::STORAGE_CREDENTIALS);
    std::fs::create_dir_all(&keys).unwrap();
    for file in [paths::ACCESS_KEY_ID_FILE, paths::SECRET_ACCESS_KEY_FILE] {
        std::fs::write(keys.join(file), "key").unwrap();
    }
    let network = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = network.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let config = StorageConfig::S3 {
        bucket: "lake".to_owned(),
        prefix: String::new(),
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        region: "us-east-1".to_owned(),
        path_style: true,
    };
    let taken = Arc::new(AtomicBool::new(false));
    network.spawn(serve(listener, Arc::clone(&taken)));
    let store = open(&config, &place, network.handle().clone()).unwrap();

    let compute = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    compute.block_on(async {
        let answer = store.get(&"segment".into()).await.unwrap();
        // It computes: its only thread polls nothing.
        let busy_until = Instant::now() + BUSY;
        while !taken.load(SeqCst) && Instant::now() < busy_until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(taken.load(SeqCst), "nobody read the answer");
        assert_eq!(answer.bytes().await.unwrap().len(), BODY_BYTES);
    });
}
