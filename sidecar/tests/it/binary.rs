//! The binary itself: its log, and SIGTERM.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use springtide_contract::drain::drain_key;

use crate::node::{Node, TOKEN, request};

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(engine: SocketAddr, token_file: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_springtide-sidecar"))
            .args([
                "--log-format",
                "json",
                "drain",
                "--listen",
                "127.0.0.1:0",
                "--timeout",
                "5m",
            ])
            .args([
                "--engine-url",
                &format!("http://{engine}"),
                "--token-file",
                &token_file.to_string_lossy(),
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it logs where it listens").unwrap();
            let entry: serde_json::Value = serde_json::from_str(&line).expect("each line is JSON");
            if let Some(address) = entry["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        // The rest of the log must be read, or the process could block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn sigterm_waits_for_the_answer() {
    let node = Node::start(1).await;
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let mut process = Process::start(node.address, &token_file);
    let (address, path) = (process.address, format!("/drain/{}", drain_key(TOKEN)));
    let hook = tokio::spawn(async move { request(address, &path).await });
    node.until(|facts| facts.looks > 0).await;
    process.terminate();
    let looks = node.see(|facts| facts.looks);
    node.until(|facts| facts.looks > looks + 1).await;
    assert!(process.child.try_wait().unwrap().is_none(), "it still waits");
    node.change(|facts| (facts.status.running_fragments, facts.status.observed_by_frontend) = (0, true));
    assert!(hook.await.unwrap().1.contains(r#""outcome":"idle""#));
    assert!(process.child.wait().unwrap().success());
}

#[tokio::test]
async fn sigterm_at_rest_ends_the_process() {
    let node = Node::start(0).await;
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let mut process = Process::start(node.address, &token_file);
    process.terminate();
    assert!(process.child.wait().unwrap().success());
}

#[test]
fn a_missing_token_is_one_clear_line_and_a_failure() {
    let output = Command::new(env!("CARGO_BIN_EXE_springtide-sidecar"))
        .args([
            "--log-format",
            "human",
            "drain",
            "--listen",
            "127.0.0.1:0",
            "--token-file",
            "/nowhere/token",
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("--token-file: cannot read /nowhere/token"), "{log}");
}
