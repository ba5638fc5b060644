//! The operator as a process: probes, metrics, log lines, and its end when it is told to.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;

use crate::harness::{
    api_server::{Identity, api_server, free_ports},
    world::{PATIENCE, World},
};

/// Ends the process however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Status line and body of a GET, or nothing while nobody listens.
fn get(port: u16, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.lines().next()?.to_owned(), body.to_owned()))
}

#[tokio::test]
async fn the_process_answers_probes_tells_its_metrics_and_ends_in_order() {
    let world = World::alone().await;
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, log) = (folder.path().join("kubeconfig"), folder.path().join("log"));
    std::fs::write(&kubeconfig, api_server().kubeconfig_of(Identity::Operator)).unwrap();
    let [metrics, health, _] = free_ports();
    let mut process = Process(
        Command::new(env!("CARGO_BIN_EXE_springtide-operator"))
            .env("KUBECONFIG", &kubeconfig)
            .args([
                "--pod-namespace",
                &world.operator_namespace(),
                "--log",
                "info,springtide_controller=debug",
            ])
            .args(["--metrics-address", &format!("127.0.0.1:{metrics}")])
            .args(["--health-address", &format!("127.0.0.1:{health}")])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap(),
    );
    let is = |port, path, status: &'static str| async move {
        get(port, path)
            .filter(|(line, _)| line.contains(status))
            .map(|(_, body)| body)
    };
    world.eventually("it is ready", || is(health, "/readyz", " 200 ")).await;
    assert!(is(health, "/livez", " 200 ").await.is_some());
    assert!(is(health, "/secrets", " 404 ").await.is_some());

    world.make_cluster("lake").await;
    world
        .make_group("etl", "lake", serde_json::json!({"replicas": 2}))
        .await;
    world.group_serves("etl", 2).await;
    let group = format!("namespace=\"{}\",group=\"etl\"", world.namespace);
    let expected = [
        "springtide_operator_leader 1\n".to_owned(),
        "springtide_reconciles_total{kind=\"ComputeGroup\",outcome=\"ok\"} ".to_owned(),
        "springtide_reconcile_seconds_count{kind=\"LakeCluster\"} ".to_owned(),
        "springtide_kubernetes_writes_total{kind=\"StatefulSet\",verb=\"apply\"} ".to_owned(),
        "springtide_sql_seconds_count{statement=\"show compute nodes\"} ".to_owned(),
        format!("springtide_group_replicas{{{group},state=\"serving\"}} 2\n"),
    ];
    world
        .eventually("the metrics tell it", || async {
            let text = is(metrics, "/metrics", " 200 ").await?;
            expected.iter().all(|line| text.contains(line)).then_some(())
        })
        .await;

    let told = Command::new("kill").arg(process.0.id().to_string()).status().unwrap();
    assert!(told.success());
    let deadline = std::time::Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(ended) = process.0.try_wait().unwrap() {
            break ended;
        }
        assert!(std::time::Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(ended.success(), "{ended}: {log}");
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.operator_namespace());
    let holder = leases
        .get("springtide-operator")
        .await
        .unwrap()
        .spec
        .unwrap()
        .holder_identity;
    assert_eq!(holder.as_deref(), Some(""), "the lease is given back");

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let reconcile = lines
        .iter()
        .find(|line| line["message"] == "applied" && line["object"].as_str().unwrap_or_default().contains("etl-cn"))
        .unwrap_or_else(|| panic!("{log}"));
    assert!(
        reconcile["span"]["reconcile_id"].is_string(),
        "a line has the id of its reconcile: {reconcile}"
    );
    let password = {
        let catalog = world.frontend.catalog.lock().unwrap();
        catalog.password.clone()
    };
    assert!(!password.is_empty() && !log.contains(&password), "no secret is logged");
}

#[test]
fn a_start_that_fails_says_why_to_people_or_to_programs() {
    let log = |format: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_springtide-operator"))
            .env("KUBECONFIG", "/nowhere/kubeconfig")
            .args(["--log-format", format])
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let why = "cannot find the API server: neither in a pod nor by KUBECONFIG";
    let human = log("human");
    assert!(human.contains("ERROR") && human.contains(why), "{human}");
    assert!(
        serde_json::from_str::<Value>(human.trim()).is_err(),
        "it is for people: {human}"
    );
    let json: Value = serde_json::from_str(log("json").trim()).unwrap();
    assert_eq!(
        (&json["level"], json["error"].as_str().unwrap().starts_with(why)),
        (&"ERROR".into(), true),
        "{json}"
    );
}
