//! How much memory the operator takes: a real `springtide-operator` process on a real API server, with few and with many
//! ComputeGroups that all serve. Kubelet and frontends are those of the tests.
//!
//! ```text
//! cargo build --workspace --bins --example operator-memory && target/debug/examples/operator-memory [COUNT...]
//! ```
//!
//! Prints a table and, as its last line, one JSON object.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made ends with what is in the way"
)]
#![allow(dead_code, reason = "the tests use more of their parts than this")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use serde_json::{Value, json};
use springtide_crds::ComputeGroup;

#[path = "../../tests/it/harness/api_server.rs"]
mod api_server;
#[path = "../../tests/it/harness/charts.rs"]
mod charts;
#[path = "../../tests/it/harness/faults.rs"]
mod faults;
#[path = "../../tests/it/harness/frontend.rs"]
mod frontend;
#[path = "../../tests/it/harness/kubelet.rs"]
mod kubelet;
#[path = "../../tests/it/harness/rights.rs"]
mod rights;

use api_server::{Identity, api_server};
use frontend::Frontend;
use kubelet::Script;

/// Groups of one cluster; more groups are more clusters, each in a namespace of its own.
const GROUPS_PER_CLUSTER: usize = 10;
/// Longest wait until all groups serve.
const PATIENCE: Duration = Duration::from_secs(600);
/// After that everything that is made at the start has been given back.
const REST: Duration = Duration::from_secs(20);
const OPERATOR_NAMESPACE: &str = "springtide-memory";
/// Long enough that a busy machine does not take the Lease away, which would end the process that is measured.
const LEASE_SECONDS: &str = "60";

/// What `/proc` says of a process, in KiB.
#[derive(Clone, Copy, Debug)]
struct Memory {
    resident: u64,
    peak: u64,
}

#[tokio::main]
async fn main() {
    let counts: Vec<usize> = std::env::args()
        .skip(1)
        .map(|count| count.parse().expect("COUNT is a number of groups"))
        .collect();
    let counts = if counts.is_empty() { vec![2, 200] } else { counts };
    let mut stage = Stage::set().await;
    let mut measured = BTreeMap::new();
    println!("{:>8} {:>12} {:>12} {:>14}", "groups", "resident", "peak", "all serve");
    for count in counts {
        let (memory, serving_after) = stage.measure(count).await;
        println!(
            "{count:>8} {:>8.1} MiB {:>8.1} MiB {:>12.1} s",
            mebibytes(memory.resident),
            mebibytes(memory.peak),
            serving_after.as_secs_f64()
        );
        measured.insert(format!("rss_mb_{count}"), json!(mebibytes(memory.resident)));
        measured.insert(format!("peak_mb_{count}"), json!(mebibytes(memory.peak)));
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!(
        "{}",
        json!({"bench": "operator-memory", "commit": commit(), "cores": cores, "metrics": measured})
    );
}

/// The API server with everything but the operator.
struct Stage {
    client: Client,
    script: Arc<Mutex<Script>>,
    groups: usize,
}

impl Stage {
    async fn set() -> Self {
        let client = api_server().client().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in springtide_crds::schema::definitions() {
            let name = definition.name_any();
            rights::apply(
                &client,
                &typed(&definition, "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            )
            .await;
            await_condition(definitions.clone(), &name, is_crd_established())
                .await
                .expect("the kind is served");
        }
        make_namespace(&client, OPERATOR_NAMESPACE).await;
        let operator = api_server().client_of(Identity::Operator);
        rights::grant(&client, &operator, OPERATOR_NAMESPACE).await;
        let script = Arc::new(Mutex::new(Script::default()));
        tokio::spawn(kubelet::play(client.clone(), Arc::clone(&script)));
        Self {
            client,
            script,
            groups: 0,
        }
    }

    /// Starts an operator over `count` groups and reads its memory once all serve and nothing happens any more.
    async fn measure(&mut self, count: usize) -> (Memory, Duration) {
        while self.groups < count {
            self.add_group().await;
        }
        // The one before was killed, and would keep the Lease for its whole duration.
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let _absent = leases.delete("springtide-operator", &DeleteParams::default()).await;
        let begun = Instant::now();
        let mut operator = Operator::start();
        while self.serving().await < count {
            operator.is_there();
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {count} groups serve",
                self.serving().await
            );
            self.share_passwords().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let serving_after = begun.elapsed();
        tokio::time::sleep(REST).await;
        operator.is_there();
        (operator.memory(), serving_after)
    }

    async fn add_group(&mut self) {
        let namespace = format!("memory-{}", self.groups / GROUPS_PER_CLUSTER);
        if self.groups.is_multiple_of(GROUPS_PER_CLUSTER) {
            make_namespace(&self.client, &namespace).await;
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "storage", "namespace": namespace},
                "stringData": {"access-key-id": "key", "secret-access-key": "secret"},
            });
            rights::apply(&self.client, &secret).await;
            let frontend = Frontend::start().await;
            self.script
                .lock()
                .unwrap()
                .frontends
                .insert(namespace.clone(), frontend);
            let cluster = json!({
                "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
                "metadata": {"name": "lake", "namespace": namespace},
                "spec": {
                    "engine": {"version": "0.1.0"},
                    "storage": {"bucket": "memory", "prefix": namespace, "credentials": {"secretRef": {"name": "storage"}}},
                },
            });
            rights::apply(&self.client, &cluster).await;
        }
        let group = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
            "metadata": {"name": format!("group-{}", self.groups), "namespace": namespace},
            "spec": {
                "cluster": "lake",
                "schedules": [{
                    "name": "opening-hours", "start": "30 7 * * MON-SAT", "until": "18:00", "timeZone": "Europe/Berlin",
                    "minReplicas": 1, "leadTime": "5m",
                }],
            },
        });
        rights::apply(&self.client, &group).await;
        self.groups += 1;
    }

    async fn serving(&self) -> usize {
        let groups: Api<ComputeGroup> = Api::all(self.client.clone());
        let groups = groups.list(&ListParams::default()).await.unwrap();
        groups
            .iter()
            .filter(|group| group.status.as_ref().is_some_and(|status| status.serving_replicas == 1))
            .count()
    }

    /// What the kubelet would mount into the frontends: the operator's passwords.
    async fn share_passwords(&self) {
        let frontends = self.script.lock().unwrap().frontends.clone();
        for (namespace, frontend) in frontends {
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
            let secret = secrets.get_opt("lake-operator").await.unwrap();
            if let Some(password) = secret.and_then(|secret| secret.data?.remove("password")) {
                frontend.catalog.lock().unwrap().password = String::from_utf8(password.0).unwrap();
            }
        }
    }
}

/// The process that is measured; it ends with this.
struct Operator {
    process: Child,
    folder: tempfile::TempDir,
}

impl Operator {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, api_server().kubeconfig_of(Identity::Operator)).unwrap();
        let program = program();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(&program)
            .env("KUBECONFIG", &kubeconfig)
            .args(["--pod-namespace", OPERATOR_NAMESPACE, "--lease-seconds", LEASE_SECONDS])
            .args(["--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"])
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; build it with cargo build --workspace --bins",
                    program.display()
                )
            });
        Self { process, folder }
    }

    /// Ends the measurement when the process has ended, with what it logged last.
    fn is_there(&mut self) {
        if let Some(ended) = self.process.try_wait().unwrap() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            panic!(
                "the operator has ended ({ended}):\n{}",
                lines[lines.len().saturating_sub(10)..].join("\n")
            );
        }
    }

    fn memory(&self) -> Memory {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let kibibytes = |field: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(field));
            let line = line.unwrap_or_else(|| panic!("{path} has no {field}: the operator has ended"));
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Memory {
            resident: kibibytes("VmRSS:"),
            peak: kibibytes("VmHWM:"),
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// The operator's program, which Cargo puts one folder above its examples.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().with_file_name("springtide-operator")
}

async fn make_namespace(client: &Client, name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    rights::apply(client, &namespace).await;
}

/// An object with the two fields that its type leaves out.
fn typed(object: &impl serde::Serialize, api_version: &str, kind: &str) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object
}

fn mebibytes(kibibytes: u64) -> f64 {
    (kibibytes as f64 / 1024.0 * 10.0).round() / 10.0
}

/// The commit that was measured, where the sources are a checkout.
fn commit() -> String {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"])
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
