use std::{sync::Arc, time::Duration};

use axum::{Json, Router, body::Body, http::HeaderMap, routing::post};
use object_store::memory::InMemory;
use springtide_contract::drain::{longest_commit, longest_work};
use springtide_model::{
    ClusterId, Column, DataType, DatabaseId, Distribution, Epoch, LoadTarget, NodeId, PartitionId, TableId,
    TableSchema, TabletId, TargetPartition, TxnId,
};
use springtide_rpc::{
    ClusterToken, RpcClient,
    message::{BEGIN_LOAD, BeginLoadReply, COMMIT_LOAD, CommitLoadReply, HeartbeatRequest, Secret},
};
use springtide_tablet::WriterOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{FRONTEND_TIMEOUT, LoadRequest, Loader};
use crate::{drain::Node, local::LocalVolume, metrics::Metrics};

/// Of the node.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

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
async fn loader(directory: &std::path::Path) -> Loader {
    // Another test of this binary may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let heartbeat = HeartbeatRequest {
        cluster_id: ClusterId(Uuid::nil()),
        epoch: Epoch(1),
        node_id: NodeId(5),
        frontend_rpc_url: format!("http://{}", listener.local_addr().unwrap()),
        known_draining: false,
        settled: false,
        cut_off: false,
    };
    let frontend = Router::new()
        .route(BEGIN_LOAD, post(begin))
        .route(COMMIT_LOAD, post(hang));
    tokio::spawn(async move { axum::serve(listener, frontend).await });
    let node = Node::new(heartbeat.cluster_id);
    node.heartbeat(&heartbeat).unwrap();
    Loader {
        node,
        rpc: RpcClient::new(ClusterToken::new("a token").unwrap()).unwrap(),
        store: Arc::new(InMemory::new()),
        writer: WriterOptions::default(),
        volume: LocalVolume::open(directory, 1 << 20).unwrap(),
        longest: longest_work(DRAIN_TIMEOUT).unwrap(),
        longest_commit: longest_commit(DRAIN_TIMEOUT).unwrap(),
        metrics: Metrics::new(),
    }
}

#[tokio::test]
async fn a_load_whose_commit_nobody_answers_ends_in_time_and_says_that_it_may_be_committed() {
    let directory = tempfile::tempdir().unwrap();
    let loader = loader(directory.path()).await;
    let load = loader.stream_load(LoadRequest {
        database: "d".to_owned(),
        table: "t".to_owned(),
        user: "ana".to_owned(),
        password: Secret("secret".to_owned()),
        client_ip: "127.0.0.1".to_owned(),
        redirect: None,
        headers: HeaderMap::new(),
        body: Body::from("1\n2\n"),
    });
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
