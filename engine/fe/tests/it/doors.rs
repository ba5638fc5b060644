//! HTTP 8030 and RPC 9020 over real sockets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::put};
use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use serde_json::Value;
use springtide_fe::{
    core::LoadState,
    doors::{CoreSlot, serve_http, serve_rpc},
};
use springtide_rpc::{
    ClusterToken, RpcClient, RpcError,
    message::{
        ABORT_LOAD, AbortLoadRequest, BEGIN_LOAD, BeginLoadReply, BeginLoadRequest, COMMIT_LOAD, CommitLoadReply,
        CommitLoadRequest, HeartbeatReply, NodeProcess, Secret,
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::{
    fixture::{Cluster, TOKEN, create_table, install_crypto, visible_rows},
    nodes,
};

async fn http(slot: CoreSlot) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve_http(slot, listener, CancellationToken::new()));
    url
}

async fn rpc(slot: CoreSlot) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = ClusterToken::new(TOKEN).unwrap();
    tokio::spawn(serve_rpc(slot, token, listener, CancellationToken::new()));
    url
}

fn client() -> Client {
    install_crypto();
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (
        response.status(),
        serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default(),
    )
}

#[tokio::test]
async fn health_says_not_ready_until_the_core_is_open() {
    let slot = CoreSlot::default();
    let url = http(slot.clone()).await;
    for path in ["/api/health", "/api/ready", "/api/bootstrap", "/metrics"] {
        let (status, _) = answer(client().get(format!("{url}{path}"))).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    let cluster = Cluster::new();
    let core = cluster.open().await;
    slot.fill(core.clone());
    let health = client()
        .get(format!("{url}/api/health"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(
        health,
        r#"{"online_backend_num":0,"total_backend_num":0,"status":"OK"}"#
    );
    let (status, ready) = answer(client().get(format!("{url}/api/ready"))).await;
    assert_eq!((status, &ready["status"]), (StatusCode::OK, &Value::from("OK")));
    create_table(&core, "t").await.unwrap();
    let metrics = client()
        .get(format!("{url}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("\nstarrocks_fe_table_num 1\n"), "{metrics}");
    assert!(metrics.contains("\nstarrocks_fe_query_total 0\n"), "{metrics}");
    for line in [
        r#"springtide_fe_statements_waiting{warehouse="default_warehouse"} 0"#,
        r#"springtide_fe_statements_oldest_wait_seconds{warehouse="default_warehouse"} 0.0"#,
        "springtide_fe_nodes_cut_off_total 0",
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line} is missing in\n{metrics}"
        );
    }
    assert!(
        metrics.contains("\nspringtide_fe_statement_seconds_count 0\n"),
        "{metrics}"
    );
    core.shutdown().await;
}

#[tokio::test]
async fn a_stream_load_is_let_in_checked_and_sent_to_a_node() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let url = http(core.clone().into()).await;
    let path = "/api/d/t/_stream_load";
    let load = || client().put(format!("{url}{path}?x=1")).header("label", "l");
    let expecting = |request: RequestBuilder| request.header("expect", "100-continue").body("1,2\n");

    let (status, body) = answer(expecting(load())).await;
    assert_eq!(
        (status, &body["msg"]),
        (StatusCode::UNAUTHORIZED, &"Need auth information.".into())
    );
    let (status, body) = answer(expecting(load().basic_auth("admin", Some("bad")))).await;
    assert_eq!(
        (status, &body["msg"]),
        (StatusCode::UNAUTHORIZED, &"Access denied for admin@127.0.0.1".into())
    );
    let admin = || load().basic_auth("admin", Some("admin's password"));
    let (status, body) = answer(admin().body("1,2\n")).await;
    assert_eq!(
        (status, &body["msg"]),
        (StatusCode::BAD_REQUEST, &"There is no 100-continue header".into())
    );
    let (status, body) = answer(expecting(admin())).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = body["msg"].as_str().unwrap();
    assert!(
        message.starts_with("Warehouse default_warehouse is not available"),
        "{message}"
    );

    let (taken, door) = start_load_door().await;
    let port = nodes::start_node(Arc::new(Mutex::new(Some(nodes::reply(door))))).await;
    // By name: a client's resolver may know another address of it, where the pod was that had the name before.
    core.edit(move |catalog| catalog.add_compute_nodes(&[("localhost".to_owned(), port)], Some("evening")))
        .await
        .unwrap();
    nodes::until(&core, "alive", |node| node.alive).await;
    let (_, body) = answer(expecting(admin())).await;
    assert_eq!(
        body["msg"],
        "Warehouse default_warehouse is not available; set the header 'warehouse' to one that has compute now: evening."
    );
    let response = expecting(admin().header("warehouse", "evening")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    let location = response.headers()["location"].to_str().unwrap();
    let (location, redirect) = location.split_once("&redirect=").unwrap();
    assert_eq!(location, format!("http://127.0.0.1:{door}{path}?x=1"));
    assert!(redirect.parse::<u64>().is_ok(), "{redirect}");
    assert!(taken.lock().unwrap().is_empty());

    let carried = admin().header("warehouse", "evening").header("x-springtide-proxy", "1");
    let (status, body) = answer(expecting(carried)).await;
    assert_eq!((status, &body["Status"]), (StatusCode::OK, &"Success".into()));
    let taken = taken.lock().unwrap().clone();
    assert_eq!(
        taken,
        [(
            "l".to_owned(),
            "Basic YWRtaW46YWRtaW4ncyBwYXNzd29yZA==".to_owned(),
            "1,2\n".to_owned()
        )]
    );
    core.shutdown().await;
}

/// Label, credentials and bytes of each load that a node took.
type Taken = Arc<Mutex<Vec<(String, String, String)>>>;

/// A compute node's HTTP door that notes what it is sent.
async fn start_load_door() -> (Taken, u16) {
    let taken = Taken::default();
    let notes = Arc::clone(&taken);
    let note = move |headers: HeaderMap, body: Bytes| async move {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let text = String::from_utf8(body.to_vec()).unwrap();
        notes
            .lock()
            .unwrap()
            .push((header("label"), header("authorization"), text));
        r#"{"Status":"Success"}"#
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/api/d/t/_stream_load", put(note));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (taken, port)
}

#[tokio::test]
async fn a_carried_load_whose_node_hangs_ends_before_the_nodes_drain_is_over_and_holds_no_other_node() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let url = http(core.clone().into()).await;
    // It takes connections, and never answers.
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let says = HeartbeatReply {
        drain_timeout_s: 8,
        ..nodes::reply(door.local_addr().unwrap().port())
    };
    for _ in 0..2 {
        let port = nodes::start_node(Arc::new(Mutex::new(Some(says.clone())))).await;
        nodes::add_node(&core, port, "w").await;
    }
    nodes::until(&core, "both alive", |_| core.workers("w").len() == 2).await;
    let load = client()
        .put(format!("{url}/api/d/t/_stream_load"))
        .basic_auth("admin", Some("admin's password"))
        .header("expect", "100-continue")
        .header("warehouse", "w")
        .header("x-springtide-proxy", "1")
        .header("timeout", "600")
        .body("1,2\n");
    let load = tokio::spawn(answer(load));
    let _connection = door.accept().await.unwrap();
    let waited_for: usize = core.nodes().iter().map(|view| view.routes.len()).sum();
    assert_eq!(waited_for, 1, "{:?}", core.nodes());

    let ended = tokio::time::timeout(Duration::from_secs(60), load).await;
    let (status, body) = ended.expect("the load ends long before its own time").unwrap();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let message = body["msg"].as_str().unwrap();
    assert!(
        message.contains("did not answer within 7 s") && message.contains("load again under the same label"),
        "{message}"
    );
    assert!(core.nodes().iter().all(|view| view.routes.is_empty()));
    core.shutdown().await;
}

fn begin_request(label: &str, password: &str) -> BeginLoadRequest {
    BeginLoadRequest {
        database: "d".to_owned(),
        table: "t".to_owned(),
        label: label.to_owned(),
        user: "admin".to_owned(),
        password: Secret(password.to_owned()),
        client_ip: "127.0.0.1".to_owned(),
        timeout_s: 60,
        redirect: None,
        process: None,
    }
}

#[tokio::test]
async fn a_label_that_a_compute_node_began_with_is_free_when_the_node_was_restarted() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let url = rpc(core.clone().into()).await;
    let (script, node) = nodes::only_node(&core).await;
    let client = RpcClient::new(ClusterToken::new(TOKEN).unwrap()).unwrap();
    let begin = async |process: NodeProcess| -> BeginLoadReply {
        let request = BeginLoadRequest {
            process: Some(process),
            ..begin_request("l", "admin's password")
        };
        client
            .call(&url, BEGIN_LOAD, &request, Duration::from_secs(30))
            .await
            .unwrap()
    };
    let process = |start_time_ms| NodeProcess { node, start_time_ms };
    let begun = begin(process(1)).await;
    assert!(matches!(begun, BeginLoadReply::Begun { .. }), "{begun:?}");
    let again = begin(process(1)).await;
    assert!(matches!(again, BeginLoadReply::LabelAlreadyExists { .. }), "{again:?}");
    script.lock().unwrap().as_mut().unwrap().start_time_ms = 2;
    nodes::until(&core, "restarted", |_| {
        core.loads(None)
            .iter()
            .all(|load| matches!(load.state, LoadState::Cancelled { .. }))
    })
    .await;
    let begun = begin(process(2)).await;
    assert!(matches!(begun, BeginLoadReply::Begun { .. }), "{begun:?}");
    core.shutdown().await;
}

#[tokio::test]
async fn a_frontend_that_stops_takes_no_connection_begins_no_load_and_commits_those_that_run() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let stop = CancellationToken::new();
    let slot = CoreSlot::until(stop.clone());
    slot.fill(core.clone());
    let (door, url) = (http(slot.clone()).await, rpc(slot).await);
    let rpc_client = RpcClient::new(ClusterToken::new(TOKEN).unwrap()).unwrap();
    let timeout = Duration::from_secs(30);
    let begin = async |label: &str| -> Result<BeginLoadReply, RpcError> {
        let request = begin_request(label, "admin's password");
        rpc_client.call(&url, BEGIN_LOAD, &request, timeout).await
    };
    let Ok(BeginLoadReply::Begun { target }) = begin("before").await else {
        panic!("not begun");
    };
    assert_eq!(core.open_loads().len(), 1);
    stop.cancel();
    let refused = begin("after").await;
    assert!(
        matches!(&refused, Err(RpcError::Remote { status: 503, message }) if message.contains("being stopped")),
        "{refused:?}"
    );
    let stopped = std::time::Instant::now();
    while client().get(format!("{door}/api/health")).send().await.is_ok() {
        assert!(stopped.elapsed() < timeout, "HTTP still takes connections");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let commit = CommitLoadRequest {
        txn: target.txn,
        objects: vec![cluster.write(&target, 3).await],
        publish_timeout_s: 30,
    };
    let reply: CommitLoadReply = rpc_client.call(&url, COMMIT_LOAD, &commit, timeout).await.unwrap();
    assert!(matches!(reply, CommitLoadReply::Visible), "{reply:?}");
    assert!(core.open_loads().is_empty());
    core.shutdown().await;
}

#[test]
fn a_compute_node_of_an_earlier_version_begins_loads() {
    let mut request = serde_json::to_value(begin_request("l", "admin's password")).unwrap();
    let fields = request.as_object_mut().unwrap();
    assert!(fields.remove("process").is_some());
    let request: BeginLoadRequest = serde_json::from_value(request).unwrap();
    assert_eq!(request.process, None);
}

#[tokio::test]
async fn a_compute_node_loads_by_rpc() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let url = rpc(core.clone().into()).await;
    let client = RpcClient::new(ClusterToken::new(TOKEN).unwrap()).unwrap();
    let timeout = Duration::from_secs(30);
    let begin = async |label: &str, password: &str| -> BeginLoadReply {
        client
            .call(&url, BEGIN_LOAD, &begin_request(label, password), timeout)
            .await
            .unwrap()
    };
    assert!(matches!(begin("l", "bad").await, BeginLoadReply::AccessDenied { .. }));
    assert!(matches!(
        begin("", "admin's password").await,
        BeginLoadReply::Refused { .. }
    ));
    let BeginLoadReply::Begun { target } = begin("l", "admin's password").await else {
        panic!("not begun");
    };
    let again = begin("l", "admin's password").await;
    assert!(
        matches!(&again, BeginLoadReply::LabelAlreadyExists { existing_job_status, .. } if existing_job_status == "RUNNING"),
        "{again:?}"
    );
    let commit = CommitLoadRequest {
        txn: target.txn,
        objects: vec![cluster.write(&target, 3).await],
        publish_timeout_s: 30,
    };
    let reply: CommitLoadReply = client.call(&url, COMMIT_LOAD, &commit, timeout).await.unwrap();
    assert!(matches!(reply, CommitLoadReply::Visible), "{reply:?}");
    assert_eq!(visible_rows(&core, "t").await, [3, 3]);

    let BeginLoadReply::Begun { target } = begin("aborted", "admin's password").await else {
        panic!("not begun");
    };
    let abort = AbortLoadRequest {
        txn: target.txn,
        reason: "of the test".to_owned(),
    };
    let _: Value = client.call(&url, ABORT_LOAD, &abort, timeout).await.unwrap();
    let commit = CommitLoadRequest {
        txn: target.txn,
        objects: Vec::new(),
        publish_timeout_s: 1,
    };
    let reply: CommitLoadReply = client.call(&url, COMMIT_LOAD, &commit, timeout).await.unwrap();
    assert!(
        matches!(&reply, CommitLoadReply::Refused { message } if message.contains("of the test")),
        "{reply:?}"
    );

    let stranger = RpcClient::new(ClusterToken::new("a guess").unwrap()).unwrap();
    let refused: Result<BeginLoadReply, RpcError> = stranger
        .call(&url, BEGIN_LOAD, &begin_request("x", "admin's password"), timeout)
        .await;
    assert!(matches!(refused, Err(RpcError::Unauthorized { .. })));
    core.shutdown().await;
}
