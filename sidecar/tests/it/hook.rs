use std::time::{Duration, Instant};

use springtide_contract::drain::{NodeState, drain_key};
use springtide_sidecar::drain::{DrainOptions, serve};
use tokio::net::TcpListener;

use crate::node::{Node, PATIENCE, POLL, Sidecar, TOKEN, request};

const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_answer_is_withheld_until_the_frontend_knows_and_nothing_runs() {
    let node = Node::start(2).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    let hook = sidecar.hook();
    node.until(|facts| !facts.drains.is_empty()).await;

    node.change(|facts| facts.status.running_fragments = 0);
    tokio::time::sleep(A_WHILE).await;
    assert!(!hook.is_finished(), "idle, but the frontend still sends work");
    node.change(|facts| (facts.status.observed_by_frontend, facts.status.running_loads) = (true, 1));
    tokio::time::sleep(A_WHILE).await;
    assert!(!hook.is_finished(), "a load runs");
    node.change(|facts| facts.status.running_loads = 0);

    let (status, body) = hook.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(r#""outcome":"idle""#), "{body}");
    assert_eq!(
        node.see(|facts| facts.drains.clone()),
        ["preStop"],
        "cordoned once, then only looked at"
    );
    assert_eq!(
        node.see(|facts| facts.status.state),
        NodeState::Draining,
        "the hook never takes the node back"
    );
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_drains_nothing() {
    let node = Node::start(0).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    for key in [
        "x",
        TOKEN,
        &drain_key("another token"),
        &drain_key(TOKEN).to_uppercase(),
        "%00",
        &"a".repeat(5_000),
    ] {
        let (status, body) = request(sidecar.address, &format!("/drain/{key}")).await;
        assert_eq!(status, 403, "{key}");
        assert!(!body.contains(TOKEN), "{body}");
    }
    for path in ["/drain", "/drain/", "/", "/drain/a/b"] {
        assert_eq!(request(sidecar.address, path).await.0, 404, "{path}");
    }
    assert_eq!(node.see(|facts| (facts.drains.len(), facts.looks)), (0, 0));
}

#[tokio::test]
async fn health_is_answered_also_while_a_drain_runs() {
    let node = Node::start(1).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    assert_eq!(request(sidecar.address, "/healthz").await, (200, "ok\n".to_owned()));
    let _hook = sidecar.hook();
    node.until(|facts| !facts.drains.is_empty()).await;
    assert_eq!(request(sidecar.address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_deadline_answers_and_names_what_still_runs() {
    let node = Node::start(7).await;
    let sidecar = Sidecar::beside(node.address, Duration::from_secs(1)).await;
    let asked = Instant::now();
    let (status, body) = sidecar.hook().await.unwrap();
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(status, 200);
    assert!(
        body.contains(r#""outcome":"deadline""#) && body.contains(r#""runningFragments":7"#),
        "{body}"
    );
}

#[tokio::test]
async fn an_engine_that_dies_in_the_middle_is_not_waited_for() {
    let node = Node::start(1).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE * 10).await;
    let hook = sidecar.hook();
    node.until(|facts| facts.looks > 0).await;
    node.die().await;
    let (_, body) = hook.await.unwrap();
    assert!(
        body.contains(r#""outcome":"engineGone""#) && body.contains(r#""runningFragments":1"#),
        "{body}"
    );
}

#[tokio::test]
async fn an_engine_that_never_was_is_not_waited_for() {
    // A port that was free a moment ago: the engine crashed at its start.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sidecar = Sidecar::beside(address, PATIENCE * 10).await;
    let (_, body) = sidecar.hook().await.unwrap();
    assert!(
        body.contains(r#""outcome":"engineGone""#) && body.contains("nothing listens"),
        "{body}"
    );
}

#[tokio::test]
async fn an_engine_that_accepts_and_says_nothing_is_waited_for_until_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = Sidecar::beside(silent.local_addr().unwrap(), Duration::from_secs(1)).await;
    let (_, body) = sidecar.hook().await.unwrap();
    assert!(body.contains(r#""outcome":"deadline""#), "{body}");
}

#[tokio::test]
async fn repeated_calls_share_one_drain() {
    let node = Node::start(1).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    let hooks: Vec<_> = (0..5).map(|_| sidecar.hook()).collect();
    node.until(|facts| facts.looks > 0).await;
    let late = sidecar.hook();
    tokio::time::sleep(A_WHILE).await;
    node.change(|facts| (facts.status.running_fragments, facts.status.observed_by_frontend) = (0, true));
    for hook in hooks.into_iter().chain([late]) {
        assert!(hook.await.unwrap().1.contains(r#""outcome":"idle""#));
    }
    assert_eq!(node.see(|facts| facts.drains.len()), 1);
}

#[tokio::test]
async fn a_call_after_the_answer_drains_again() {
    let node = Node::start(0).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    for drains in 1..=2 {
        let hook = sidecar.hook();
        node.until(|facts| facts.drains.len() == drains).await;
        node.change(|facts| facts.status.observed_by_frontend = true);
        assert!(hook.await.unwrap().1.contains(r#""outcome":"idle""#));
        // The engine's container was started again in the same pod.
        node.change(|facts| facts.status.state = NodeState::Ready);
    }
}

#[tokio::test]
async fn an_engine_that_forgot_the_drain_is_told_again() {
    let node = Node::start(1).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    let hook = sidecar.hook();
    node.until(|facts| facts.looks > 0).await;
    node.change(|facts| facts.status.state = NodeState::Ready);
    node.until(|facts| facts.drains.len() == 2).await;
    node.change(|facts| (facts.status.running_fragments, facts.status.observed_by_frontend) = (0, true));
    assert!(hook.await.unwrap().1.contains(r#""outcome":"idle""#));
}

#[tokio::test]
async fn a_hook_that_hangs_up_leaves_the_node_draining() {
    let node = Node::start(1).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    let hook = sidecar.hook();
    node.until(|facts| facts.looks > 0).await;
    hook.abort();
    let looks = node.see(|facts| facts.looks);
    node.until(|facts| facts.looks > looks + 2).await;
    node.change(|facts| (facts.status.running_fragments, facts.status.observed_by_frontend) = (0, true));
    assert!(sidecar.hook().await.unwrap().1.contains(r#""outcome":"idle""#));
}

#[tokio::test]
async fn a_token_that_was_replaced_does_not_make_a_node_leave_undrained() {
    let node = Node::start(0).await;
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    assert_eq!(
        request(sidecar.address, "/healthz").await.0,
        200,
        "it has read the token of the start"
    );
    std::fs::write(&sidecar.token_file, "a newer token").unwrap();
    // The pod's hook and its engine were started with the token of the start.
    let hook = sidecar.hook();
    node.until(|facts| !facts.drains.is_empty()).await;
    // Now the engine has read the newer one.
    node.change(|facts| (facts.token, facts.status.observed_by_frontend) = ("a newer token".into(), true));
    assert!(hook.await.unwrap().1.contains(r#""outcome":"idle""#));
    assert_eq!(
        request(sidecar.address, &format!("/drain/{}", drain_key("a third token")))
            .await
            .0,
        403
    );
    assert_eq!(
        request(sidecar.address, &format!("/drain/{}", drain_key("a newer token")))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn the_second_token_of_the_secret_counts_as_well() {
    let node = Node::start(0).await;
    node.change(|facts| facts.token = "a second token".into());
    let sidecar = Sidecar::beside(node.address, PATIENCE).await;
    std::fs::write(sidecar.token_file.with_file_name("second-token"), "a second token\n").unwrap();
    let key = drain_key("a second token");
    let address = sidecar.address;
    let hook = tokio::spawn(async move { request(address, &format!("/drain/{key}")).await });
    node.until(|facts| !facts.drains.is_empty()).await;
    node.change(|facts| facts.status.observed_by_frontend = true);
    let (status, body) = hook.await.unwrap();
    assert!(status == 200 && body.contains(r#""outcome":"idle""#), "{status} {body}");
}

#[tokio::test]
async fn an_engine_that_refuses_the_token_is_reported() {
    let node = Node::start(0).await;
    node.change(|facts| facts.token = "something else".into());
    let sidecar = Sidecar::beside(node.address, Duration::from_secs(1)).await;
    let (_, body) = sidecar.hook().await.unwrap();
    assert!(
        body.contains(r#""outcome":"deadline""#) && body.contains("401"),
        "{body}"
    );
    assert!(!body.contains(TOKEN), "{body}");
}

#[tokio::test]
async fn told_to_stop_it_ends_at_once_or_after_the_answer() {
    let node = Node::start(1).await;
    let mut at_rest = Sidecar::beside(node.address, PATIENCE).await;
    at_rest.tell_to_stop();
    tokio::time::timeout(PATIENCE, at_rest.ended)
        .await
        .expect("it ends")
        .unwrap();

    let mut sidecar = Sidecar::beside(node.address, PATIENCE).await;
    let hook = sidecar.hook();
    node.until(|facts| facts.looks > 0).await;
    sidecar.tell_to_stop();
    tokio::time::sleep(A_WHILE).await;
    assert!(!sidecar.ended.is_finished() && !hook.is_finished());
    node.change(|facts| (facts.status.running_fragments, facts.status.observed_by_frontend) = (0, true));
    assert!(
        hook.await.unwrap().1.contains(r#""outcome":"idle""#),
        "the answer was sent before the end"
    );
    tokio::time::timeout(PATIENCE, sidecar.ended)
        .await
        .expect("it ends")
        .unwrap();
}

#[tokio::test]
async fn wrong_options_are_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    let refused = async |url: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = DrainOptions::new(url.into(), token_file.clone(), PATIENCE).poll_interval(POLL);
        serve(listener, options, std::future::pending())
            .await
            .expect_err("the options are wrong")
            .to_string()
    };
    assert!(
        refused("http://127.0.0.1:9050")
            .await
            .contains("--token-file: cannot read")
    );
    std::fs::write(&token_file, " \n").unwrap();
    assert!(refused("http://127.0.0.1:9050").await.contains("is empty"));
    std::fs::write(&token_file, "x".repeat(5_000)).unwrap();
    assert!(refused("http://127.0.0.1:9050").await.contains("larger than"));
    std::fs::write(&token_file, TOKEN).unwrap();
    for url in [
        "",
        "127.0.0.1:9050",
        "https://127.0.0.1:9050",
        "http://",
        "http://127.0.0.1:9050/path",
        "http://a b",
    ] {
        let message = refused(url).await;
        assert!(
            message.starts_with("--engine-url: ") && message.contains("http://127.0.0.1:9050"),
            "{url}: {message}"
        );
    }
}
