use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use object_store::memory::InMemory;
use springtide_contract::drain::{longest_commit, longest_work};
use springtide_model::{
    ClusterId, Column, DataType, DatabaseId, Distribution, Epoch, LoadTarget, NodeId, PartitionId, TableId,
    TableSchema, TabletId, TargetPartition, TxnId,
};
use springtide_rpc::{
    ClusterToken, RpcClient,
    message::{
        BEGIN_LOAD, BeginLoadReply, BeginLoadRequest, COMMIT_LOAD, CommitLoadReply, HeartbeatRequest, NodeProcess,
        PROTOCOL_VERSION, Secret,
    },
};
use springtide_tablet::WriterOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{FRONTEND_TIMEOUT, LoadRequest, Loader};
use crate::{drain::Node, local::LocalVolume, metrics::Metrics};

/// Of the node.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
const START_TIME_MS: u64 = 11;

/// A table of one column, one partition and one bucket.
fn target() -> LoadTarget {
    let column = Column {
        name: "id".to_owned(),
        data_type: DataType::BigInt,
        nullable: false,
        default: None,
        comment: String::new(),
    };
    LoadTarget {
        txn: TxnId(7),
        epoch: Epoch(1),
        database: DatabaseId(1),
        table: TableId(2),
        table_name: "t".to_owned(),
        schema: Arc::new(TableSchema {
            schema_id: 0,
            columns: vec![column],
            key_columns: 1,
            partition_column: None,
            distribution: Distribution {
                columns: vec![0],
                buckets: 1,
            },
        }),
        partitions: vec![TargetPartition {
            id: PartitionId(3),
            name: "t".to_owned(),
            range: None,
            tablets: vec![TabletId(4)],
        }],
    }
}

async fn begin() -> Json<BeginLoadReply> {
    Json(BeginLoadReply::Begun { target: target() })
}

async fn hang() -> Json<CommitLoadReply> {
    std::future::pending().await
}

/// A node whose frontend begins each load and answers no commit.
async fn loader(directory: &Path) -> Loader {
    let frontend = Router::new()
        .route(BEGIN_LOAD, post(begin))
        .route(COMMIT_LOAD, post(hang));
    loader_of(directory, frontend).await
}

/// A frontend that answers so many begins with this status and all others well, and how often it was asked to begin.
fn frontend_that_refuses(refusals: usize, status: StatusCode) -> (Router, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let begin = move || async move {
        if count.fetch_add(1, Ordering::Relaxed) < refusals {
            Err(status)
        } else {
            Ok(begin().await)
        }
    };
    let commit = || async { Json(CommitLoadReply::Visible) };
    let router = Router::new()
        .route(BEGIN_LOAD, post(begin))
        .route(COMMIT_LOAD, post(commit));
    (router, asked)
}

/// A node of this frontend.
async fn loader_of(directory: &Path, frontend: Router) -> Loader {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, frontend).await });
    loader_at(directory, address)
}

/// A node whose frontend is at this address.
fn loader_at(directory: &Path, frontend: SocketAddr) -> Loader {
    // Another test of this binary may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let heartbeat = HeartbeatRequest {
        cluster_id: ClusterId(Uuid::nil()),
        epoch: Epoch(1),
        node_id: NodeId(5),
        frontend_rpc_url: format!("http://{frontend}"),
        known_draining: false,
        settled: false,
        cut_off: false,
        protocol: PROTOCOL_VERSION,
    };
    let node = Node::new(heartbeat.cluster_id);
    node.heartbeat(&heartbeat).unwrap();
    Loader {
        node,
        start_time_ms: START_TIME_MS,
        rpc: RpcClient::new(ClusterToken::new("a token").unwrap()).unwrap(),
        store: Arc::new(InMemory::new()),
        writer: WriterOptions::default(),
        volume: LocalVolume::open(directory, 1 << 20).unwrap(),
        longest: longest_work(DRAIN_TIMEOUT).unwrap(),
        longest_commit: longest_commit(DRAIN_TIMEOUT).unwrap(),
        metrics: Metrics::new(),
    }
}

fn request() -> LoadRequest {
    LoadRequest {
        database: "d".to_owned(),
        table: "t".to_owned(),
        user: "ana".to_owned(),
        password: Secret("secret".to_owned()),
        client_ip: "127.0.0.1".to_owned(),
        redirect: None,
        headers: HeaderMap::new(),
        body: Body::from("1\n2\n"),
    }
}

#[tokio::test]
async fn a_load_says_which_process_it_ends_with_and_whether_to_repeat_a_label_that_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    for (status, advice) in [("RUNNING", true), ("FINISHED", false)] {
        let begun_by = Arc::new(Mutex::new(None));
        let note = Arc::clone(&begun_by);
        let taken = move |Json(request): Json<BeginLoadRequest>| async move {
            *note.lock().unwrap() = request.process;
            Json(BeginLoadReply::LabelAlreadyExists {
                txn: TxnId(3),
                existing_job_status: status.to_owned(),
            })
        };
        let frontend = Router::new().route(BEGIN_LOAD, post(taken));
        let reply = loader_of(directory.path(), frontend).await.stream_load(request()).await;
        assert_eq!(
            *begun_by.lock().unwrap(),
            Some(NodeProcess {
                node: NodeId(5),
                start_time_ms: START_TIME_MS,
            })
        );
        assert_eq!(
            (reply.status.as_str(), reply.existing_job_status.as_deref()),
            ("Label Already Exists", Some(status)),
            "{reply:?}"
        );
        assert_eq!(
            reply
                .message
                .ends_with("which is RUNNING; repeat in a moment: it counts once"),
            advice,
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_load_whose_commit_nobody_answers_ends_in_time_and_says_that_it_may_be_committed() {
    let directory = tempfile::tempdir().unwrap();
    let loader = loader(directory.path()).await;
    let load = loader.stream_load(request());
    // A busy machine may be late, but not by what one call may take.
    let reply = tokio::time::timeout(FRONTEND_TIMEOUT, load)
        .await
        .expect("it does not wait for the call's own time");
    assert_eq!(
        (reply.status.as_str(), reply.number_total_rows),
        ("Fail", 2),
        "{reply:?}"
    );
    assert!(
        reply
            .message
            .contains("whether the rows are committed is not known: load them again under the same label"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn a_load_waits_for_a_frontend_that_starts_or_stops_and_for_nothing_that_may_have_begun_it() {
    let directory = tempfile::tempdir().unwrap();
    for (status, outcome, times) in [
        (StatusCode::SERVICE_UNAVAILABLE, "Success", 3),
        // Its answer may have been lost on the way back.
        (StatusCode::INTERNAL_SERVER_ERROR, "Fail", 1),
    ] {
        let (frontend, asked) = frontend_that_refuses(2, status);
        let reply = loader_of(directory.path(), frontend).await.stream_load(request()).await;
        assert_eq!(reply.status, outcome, "{status}: {reply:?}");
        assert_eq!(asked.load(Ordering::Relaxed), times, "{status}");
    }
}

#[tokio::test]
async fn a_load_waits_for_a_frontend_that_nobody_can_reach_as_long_as_it_may_take() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gone = loader_at(directory.path(), address).stream_load(request()).await;
    assert_eq!(gone.status, "Fail", "{gone:?}");
    assert!(gone.message.contains("cannot reach"), "{gone:?}");
    assert!(gone.load_time_ms >= 2000, "it waits: {gone:?}");

    let loader = loader_at(directory.path(), address);
    let load = tokio::spawn(async move { loader.stream_load(request()).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!load.is_finished());
    let listener = TcpListener::bind(address).await.unwrap();
    let (frontend, _) = frontend_that_refuses(0, StatusCode::OK);
    tokio::spawn(async move { axum::serve(listener, frontend).await });
    let reply = load.await.unwrap();
    assert_eq!(reply.status, "Success", "{reply:?}");
}
