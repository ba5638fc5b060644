//! A real API server, with etcd and the few controllers whose work the operator relies on. No kubelet, no scheduler.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use kube::{Client, Config, client::ClientBuilder};
use serde_json::Value;

use super::faults::Faults;

/// The one server of this test binary. It ends when the process ends, because its standard input does.
pub(crate) struct ApiServer {
    _supervisor: Child,
    dir: PathBuf,
    port: u16,
}

/// Who may be whom: the one with all rights, the operator with the rights of its chart, and the administrator of a department.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Everything,
    Operator,
    /// An operator that watches some namespaces.
    NarrowOperator,
    DepartmentAdmin,
}

/// The ServiceAccount that the chart makes, as the API server calls it.
pub(crate) const OPERATOR: &str = "system:serviceaccount:springtide-release:springtide";
/// A member of the group that departments name as their administrators.
pub(crate) const ADMIN_GROUP: &str = "retail-admins";

impl Identity {
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Everything => "everything-of-a-test",
            Self::Operator => "operator-of-a-test",
            Self::NarrowOperator => "narrow-operator-of-a-test",
            Self::DepartmentAdmin => "admin-of-a-test",
        }
    }
}

/// What the operator asked for, and what anybody changed.
const AUDIT_POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "users": ["system:serviceaccount:springtide-release:springtide"]},
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"}
    ]
}
"#;

/// A place in the server's log; the default is its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AuditMark(u64);

/// A request that changes something, by whomever.
#[derive(Clone, Debug)]
pub(crate) struct AuditedWrite {
    pub(crate) user: String,
    pub(crate) what: String,
}

/// The server, started by the first test that asks.
pub(crate) fn api_server() -> &'static ApiServer {
    static SERVER: OnceLock<ApiServer> = OnceLock::new();
    SERVER.get_or_init(ApiServer::start)
}

impl ApiServer {
    fn start() -> Self {
        let binary = binary();
        let dir = tempfile::Builder::new()
            .prefix("springtide-api-server-")
            .tempdir()
            .unwrap()
            .keep();
        let [etcd, peer, port] = free_ports();
        let [everything, operator, narrow, admin] = [
            Identity::Everything,
            Identity::Operator,
            Identity::NarrowOperator,
            Identity::DepartmentAdmin,
        ]
        .map(Identity::token);
        let tokens = format!(
            "{everything},administrator,administrator,system:masters\n\
             {operator},{OPERATOR},operator,\"system:serviceaccounts\"\n\
             {narrow},system:serviceaccount:springtide-release:narrow,narrow,\"system:serviceaccounts\"\n\
             {admin},ada,ada,{ADMIN_GROUP}\n"
        );
        std::fs::write(dir.join("tokens.csv"), tokens).unwrap();
        std::fs::write(dir.join("audit.yaml"), AUDIT_POLICY).unwrap();
        std::fs::write(dir.join("kubeconfig"), kubeconfig(port, Identity::Everything)).unwrap();
        let supervisor = Command::new("sh")
            .args(["-c", include_str!("api_server.sh"), "api_server"])
            .arg(&binary)
            .arg(&dir)
            .args([etcd, peer, port].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        Self {
            _supervisor: supervisor,
            dir,
            port,
        }
    }

    /// A client with all rights, once the server answers. One per test, as a client belongs to the test's runtime.
    pub(crate) async fn client(&self) -> Client {
        let client = self.client_of(Identity::Everything);
        let deadline = Instant::now() + Duration::from_secs(120);
        while ready(&client).await.is_err() {
            let log = std::fs::read_to_string(self.dir.join("apiserver.log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline && !log.contains("\"command failed\""),
                "the API server did not become ready:\n{}",
                last_lines(&log)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client
    }

    /// A client of somebody; the server may not answer yet.
    pub(crate) fn client_of(&self, identity: Identity) -> Client {
        Client::try_from(self.config_of(identity)).unwrap()
    }

    /// The same through what loses requests and answers.
    pub(crate) fn client_through(&self, identity: Identity, faults: &Faults) -> Client {
        let builder = ClientBuilder::try_from(self.config_of(identity)).unwrap();
        builder.with_layer(faults).build()
    }

    fn config_of(&self, identity: Identity) -> Config {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(identity.token().to_owned().into());
        config.connect_timeout = Some(Duration::from_secs(2));
        config
    }

    /// A kubeconfig of somebody, for another process.
    pub(crate) fn kubeconfig_of(&self, identity: Identity) -> String {
        kubeconfig(self.port, identity)
    }

    /// The requests of the operator after `mark`, as the server logged them.
    pub(crate) fn requests_of_operator(&self, mark: AuditMark) -> Vec<Value> {
        self.audited(mark)
            .filter(|event| event["user"]["username"] == OPERATOR)
            .collect()
    }

    /// The end of the log.
    pub(crate) fn audit_mark(&self) -> AuditMark {
        AuditMark(std::fs::metadata(self.dir.join("audit.log")).map_or(0, |file| file.len()))
    }

    /// What was written after `mark`, in one namespace or everywhere: objects and our objects' status, without Leases and Events.
    pub(crate) fn writes_since(&self, mark: AuditMark, namespace: Option<&str>) -> Vec<AuditedWrite> {
        let is_write = |event: &Value| {
            let of = |field: &str| event["objectRef"][field].as_str().unwrap_or_default().to_owned();
            let (resource, is_status) = (of("resource"), of("subresource") == "status");
            ["create", "update", "patch", "delete", "deletecollection"]
                .contains(&event["verb"].as_str().unwrap_or_default())
                && !["leases", "events", "tokenreviews", "subjectaccessreviews"].contains(&resource.as_str())
                && (!is_status || of("apiGroup") == "springtide.dev")
                && namespace.is_none_or(|namespace| of("namespace") == namespace)
                && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun=All")
        };
        self.audited(mark)
            .filter(is_write)
            .map(|event| AuditedWrite {
                user: event["user"]["username"].as_str().unwrap_or_default().to_owned(),
                what: format!("{} {}", event["verb"], event["requestURI"]),
            })
            .collect()
    }

    fn audited(&self, AuditMark(position): AuditMark) -> impl Iterator<Item = Value> {
        let mut text = String::new();
        if let Ok(mut log) = File::open(self.dir.join("audit.log")) {
            log.seek(SeekFrom::Start(position)).unwrap();
            log.read_to_string(&mut text).unwrap();
        }
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // The last line may still be being written.
        lines.into_iter().filter_map(|line| serde_json::from_str(&line).ok())
    }
}

fn kubeconfig(port: u16, identity: Identity) -> String {
    let token = identity.token();
    format!(
        "{{apiVersion: v1, kind: Config, current-context: test, \
         clusters: [{{name: test, cluster: {{server: \"https://127.0.0.1:{port}\", insecure-skip-tls-verify: true}}}}], \
         users: [{{name: test, user: {{token: {token}}}}}], contexts: [{{name: test, context: {{cluster: test, user: test}}}}]}}\n"
    )
}

async fn ready(client: &Client) -> Result<(), kube::Error> {
    let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
    client.request_text(request).await.map(|_| ())
}

/// Requests that change something, by the server's own counters: without Leases, Events and status.
pub(crate) async fn writes(client: &Client) -> u64 {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    let counts = text
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{"))
        .filter(|line| {
            let has = |label: &str, values: &[&str]| {
                values
                    .iter()
                    .any(|value| line.contains(&format!("{label}=\"{value}\"")))
            };
            has("verb", &["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"])
                && !has(
                    "resource",
                    &["leases", "events", "tokenreviews", "subjectaccessreviews"],
                )
                && !has("subresource", &["status"])
                && !line.contains("dry_run=\"All\"")
        });
    counts
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
        .sum()
}

/// Status writes, by the server's own counters.
pub(crate) async fn status_writes(client: &Client) -> u64 {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    let counts = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && line.contains("subresource=\"status\"")
            && line.contains("group=\"springtide.dev\"")
            && !line.contains("verb=\"GET\"")
    });
    counts
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
        .sum()
}

/// Where the Kubernetes binary is: said by the environment, or in the cache of `e2e/kubernetes/build`. Beside it is `helm`.
pub(crate) fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("SPRINGTIDE_KUBERNETES_BIN") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "SPRINGTIDE_KUBERNETES_BIN names {}, which is not a file",
            path.display()
        );
        return path;
    }
    let cache = std::env::var("SPRINGTIDE_CACHE").map_or_else(
        |_| PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache/springtide"),
        PathBuf::from,
    );
    let built = std::fs::read_dir(&cache).into_iter().flatten().flatten();
    built
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("kubernetes-"))
        .map(|entry| entry.path().join("bin/kubernetes"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "these tests need a real API server, and there is no Kubernetes binary in {}: run e2e/kubernetes/build \
                 (or `make test`), or set SPRINGTIDE_KUBERNETES_BIN to one",
                cache.display()
            )
        })
}

pub(crate) fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
