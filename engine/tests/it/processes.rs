//! The engine's binary as real processes: a frontend and compute nodes on addresses of the loopback network, each with the
//! ports that it has in a pod. They can be killed as a machine kills them.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use springtide_contract::{
    config::{ComputeConfig, EngineConfig, FORMAT_VERSION, FrontendConfig, Refusal, StorageConfig},
    paths, ports,
};
use springtide_mounted::kubelet;
use tempfile::TempDir;

use crate::client::Client;

const BINARY: &str = env!("CARGO_BIN_EXE_springtide-engine");
/// Time for a process to serve, to end, or to be seen by others, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of a log that a failed test prints.
const LOG_LINES: usize = 60;

pub(crate) const TOKEN: &str = "the-token-of-this-cluster";
pub(crate) const CLUSTER_ID: &str = "6a1b1b0e-6f0e-4c8e-9a57-4d6a5d7b0001";
pub(crate) const OTHER_CLUSTER_ID: &str = "6a1b1b0e-6f0e-4c8e-9a57-4d6a5d7b0002";
const ADMIN: (&str, &str) = ("admin", "admin-password");
const OPERATOR: (&str, &str) = ("springtide-operator", "operator-password");

/// Waits until `look` gives something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// An address of the loopback network that no other process of the tests has.
pub(crate) fn address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let process = std::process::id();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < 254, "the tests of one process have 254 addresses");
    format!("127.{}.{}.{}", 1 + process / 250 % 250, 1 + process % 250, last + 1)
}

/// A process and its log; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let output: File = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log again"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// SIGKILL, and nothing of it is left when this returns.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, as a kubelet that stops a pod.
    pub(crate) fn terminate(&self) {
        let kill = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("---- {}\n{}", self.log.display(), shown.join("\n"));
        }
    }
}

/// How a cluster is to be.
#[derive(Debug)]
pub(crate) struct Blueprint {
    config: EngineConfig,
    keys: Option<(String, String)>,
    certificate: Option<(String, String)>,
    warehouses: Vec<&'static str>,
}

/// A cluster on a folder of its own, without compute nodes.
pub(crate) fn cluster() -> Blueprint {
    Blueprint {
        config: EngineConfig {
            format_version: FORMAT_VERSION,
            cluster_name: "tests/cluster".to_owned(),
            cluster_id: CLUSTER_ID.to_owned(),
            storage: StorageConfig::Directory { path: String::new() },
            frontend: FrontendConfig {
                heartbeat_interval_ms: 100,
                ..FrontendConfig::default()
            },
            compute: ComputeConfig {
                memory_limit_bytes: 1 << 30,
                ..ComputeConfig::default()
            },
            tls: false,
        },
        keys: None,
        certificate: None,
        warehouses: Vec::new(),
    }
}

impl Blueprint {
    /// More compute nodes of the default warehouse.
    pub(crate) fn compute(self, count: usize) -> Self {
        (0..count).fold(self, |blueprint, _| blueprint.compute_in("default_warehouse"))
    }

    /// One more compute node of this warehouse.
    pub(crate) fn compute_in(mut self, warehouse: &'static str) -> Self {
        self.warehouses.push(warehouse);
        self
    }

    pub(crate) fn result_hold_bytes(mut self, bytes: u64) -> Self {
        self.config.frontend.result_hold_bytes = bytes;
        self
    }

    pub(crate) fn drain_timeout_s(mut self, seconds: u64) -> Self {
        self.config.compute.drain_timeout_s = seconds;
        self
    }

    pub(crate) fn cluster_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.config.cluster_id);
        self
    }

    /// Another place than a folder of its own, and the keys to it.
    pub(crate) fn storage(mut self, storage: StorageConfig, keys: Option<(&str, &str)>) -> Self {
        self.config.storage = storage;
        self.keys = keys.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
        self
    }

    /// The folder of another cluster's data: the same prefix.
    pub(crate) fn on_the_data_of(mut self, other: &Cluster) -> Self {
        self.config.storage = other.config.storage.clone();
        self
    }

    /// TLS on the MySQL port, with a certificate and its key as PEM.
    pub(crate) fn certificate(mut self, certificate: String, key: String) -> Self {
        self.config.tls = true;
        self.certificate = Some((certificate, key));
        self
    }

    /// Starts the frontend, then the compute nodes, and waits until all serve.
    pub(crate) async fn start(self) -> Cluster {
        let warehouses = self.warehouses.clone();
        let mut cluster = self.prepare();
        cluster.start_frontend();
        cluster.wait_for_frontend().await;
        for warehouse in warehouses {
            cluster.add_node(warehouse).await;
        }
        cluster.wait_for_nodes().await;
        cluster
    }

    /// Starts only the frontend, which must refuse to start; says why.
    pub(crate) async fn refused(self) -> (Refusal, Cluster) {
        let mut cluster = self.prepare();
        let refusal = cluster.frontend_refuses().await;
        (refusal, cluster)
    }

    /// Starts only the frontend, which serves or refuses to start.
    pub(crate) async fn race(self) -> Result<Cluster, Refusal> {
        let mut cluster = self.prepare();
        cluster.start_frontend();
        let client = cluster.client.clone();
        let process = cluster.frontend.as_mut().expect("a frontend");
        let has_ended = until("the frontend serves or ends", async || match process.ended() {
            Some(_) => Some(true),
            None => client.try_rows("SELECT 1").await.ok().map(|_| false),
        })
        .await;
        if has_ended { Err(cluster.refusal()) } else { Ok(cluster) }
    }

    /// Makes its folder and files, and starts nothing.
    pub(crate) fn prepare(self) -> Cluster {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = self.secrets();
        let mut config = self.config;
        if let StorageConfig::Directory { path } = &mut config.storage
            && path.is_empty()
        {
            *path = folder.path().join("data").display().to_string();
        }
        let host = address();
        let cluster = Cluster {
            client: Client {
                host: host.clone(),
                port: ports::FE_MYSQL,
                user: ADMIN.0.to_owned(),
                password: ADMIN.1.to_owned(),
            },
            folder,
            config,
            secrets,
            frontend: None,
            nodes: Vec::new(),
            host,
        };
        cluster.write_root(&cluster.frontend_root());
        cluster
    }

    /// The Secrets that its pods have mounted.
    fn secrets(&self) -> BTreeMap<&'static str, Files> {
        let mut secrets = BTreeMap::from([(paths::INTERNAL, files(&[(paths::TOKEN_FILE, TOKEN)]))]);
        for (directory, (user, password)) in [(paths::ADMIN_ACCOUNT, ADMIN), (paths::OPERATOR_ACCOUNT, OPERATOR)] {
            let account = [(paths::USERNAME_FILE, user), (paths::PASSWORD_FILE, password)];
            secrets.insert(directory, files(&account));
        }
        if let Some((id, secret)) = &self.keys {
            let keys = [
                (paths::ACCESS_KEY_ID_FILE, id.as_str()),
                (paths::SECRET_ACCESS_KEY_FILE, secret.as_str()),
            ];
            secrets.insert(paths::STORAGE_CREDENTIALS, files(&keys));
        }
        if let Some((certificate, key)) = &self.certificate {
            let pair = [("tls.crt", certificate.as_str()), ("tls.key", key.as_str())];
            secrets.insert(paths::TLS, files(&pair));
        }
        secrets
    }
}

/// The files of a Secret, by name.
type Files = Vec<(&'static str, String)>;

fn files(files: &[(&'static str, &str)]) -> Files {
    files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
}

/// A compute node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) process: Process,
}

impl Node {
    /// One of its metrics; `None` when it does not answer.
    pub(crate) async fn try_metric(&self, name: &str) -> Option<u64> {
        metric(&format!("http://{}:{}/metrics", self.host, ports::CN_HTTP), name).await
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        self.try_metric(name)
            .await
            .unwrap_or_else(|| panic!("compute node {} has no {name}", self.host))
    }

    /// Rows that it has scanned since it started.
    pub(crate) async fn scanned_rows(&self) -> u64 {
        self.metric("starrocks_be_query_scan_rows").await
    }
}

async fn metric(url: &str, name: &str) -> Option<u64> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
    let text = client.get(url).send().await.ok()?.text().await.ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A frontend and its compute nodes, and the folder that all of them have their files in.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) host: String,
    pub(crate) nodes: Vec<Node>,
    frontend: Option<Process>,
    config: EngineConfig,
    /// By the directory that they are mounted at.
    secrets: BTreeMap<&'static str, Files>,
    folder: TempDir,
}

impl Cluster {
    fn frontend_root(&self) -> PathBuf {
        self.folder.path().join("frontend")
    }

    fn node_root(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("compute-{number}"))
    }

    /// The folder with what the cluster stores.
    pub(crate) fn data(&self) -> PathBuf {
        match &self.config.storage {
            StorageConfig::Directory { path } => Path::new(path).join(&self.config.cluster_id),
            StorageConfig::S3 { .. } => panic!("the data is in a bucket"),
        }
    }

    /// The folder with the journal.
    pub(crate) fn meta(&self) -> PathBuf {
        below(&self.frontend_root(), paths::FE_META)
    }

    /// What a pod has mounted, below `root`.
    fn write_root(&self, root: &Path) {
        let config = serde_json::to_string(&self.config).expect("a configuration as JSON");
        let files = [
            (paths::ENGINE_CONFIG, config),
            // The kubelet makes it; the engine only writes into it.
            (paths::TERMINATION_LOG, String::new()),
        ];
        for (path, text) in files {
            let path = below(root, path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        for directory in self.secrets.keys() {
            self.mount(root, directory);
        }
        fs::create_dir_all(below(root, paths::FE_META)).expect("a folder");
    }

    /// Writes a Secret as the kubelet of one pod does.
    fn mount(&self, root: &Path, directory: &str) {
        let files = self.secrets[directory]
            .iter()
            .map(|(name, text)| (*name, text.as_str()));
        let files: Vec<(&str, &str)> = files.collect();
        kubelet::write(&below(root, directory), &files).expect("a mounted Secret");
    }

    /// Replaces a Secret, with this pause between the kubelet of one pod and that of the next.
    pub(crate) async fn rotate(&mut self, directory: &'static str, new: &[(&'static str, &str)], pause: Duration) {
        self.secrets.insert(directory, files(new));
        self.mount(&self.frontend_root(), directory);
        for number in 0..self.nodes.len() {
            tokio::time::sleep(pause).await;
            self.mount(&self.node_root(number), directory);
        }
    }

    /// How often each process has logged a line that says `what`: the frontend, then the compute nodes.
    pub(crate) fn logged(&self, what: &str) -> Vec<usize> {
        let logs = self.nodes.iter().map(|node| node.process.log());
        let logs = std::iter::once(self.frontend_log()).chain(logs);
        logs.map(|log| log.matches(what).count()).collect()
    }

    /// Starts the frontend's process and returns at once.
    pub(crate) fn start_frontend(&mut self) {
        let root = self.frontend_root();
        let log = self.folder.path().join("frontend.log");
        let arguments = [
            "fe",
            "--host",
            &self.host,
            "--listen",
            &self.host,
            "--root",
            text(&root),
        ];
        self.frontend = Some(Process::start(Path::new(BINARY), &arguments, &[], &log));
    }

    /// Waits until the frontend answers.
    pub(crate) async fn wait_for_frontend(&mut self) {
        let client = self.client.clone();
        let process = self.frontend.as_mut().expect("a frontend");
        until("the frontend serves", async || {
            if let Some(status) = process.ended() {
                panic!("the frontend ended with {status}");
            }
            client.try_rows("SELECT 1").await.ok()
        })
        .await;
    }

    /// SIGKILL of the frontend.
    pub(crate) fn kill_frontend(&mut self) {
        if let Some(mut process) = self.frontend.take() {
            process.kill();
        }
    }

    /// SIGTERM of the frontend, which may take its time.
    pub(crate) fn terminate_frontend(&self) {
        self.frontend.as_ref().expect("a frontend").terminate();
    }

    /// How the frontend's process ended; `None` while it runs.
    pub(crate) fn frontend_ended(&mut self) -> Option<ExitStatus> {
        self.frontend.as_mut().expect("a frontend").ended()
    }

    /// What the frontend has logged, over all its lives.
    pub(crate) fn frontend_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("frontend.log")).unwrap_or_default()
    }

    /// A metric of the frontend.
    pub(crate) async fn frontend_metric(&self, name: &str) -> u64 {
        metric(&format!("http://{}:{}/metrics", self.host, ports::FE_HTTP), name)
            .await
            .unwrap_or_else(|| panic!("the frontend has no {name}"))
    }

    /// Starts the frontend, which must refuse to start: with its exit code, and its reason in the termination log.
    pub(crate) async fn frontend_refuses(&mut self) -> Refusal {
        self.start_frontend();
        let process = self.frontend.as_mut().expect("a frontend");
        let status = until("the frontend ends", async || process.ended()).await;
        assert_eq!(status.code(), Some(78), "{}", process.log());
        self.refusal()
    }

    /// Begins to delete the data, with what the frontend has mounted.
    pub(crate) fn delete_data(&self, place: &str, more: &[&str]) -> Process {
        let root = self.frontend_root();
        let log = self.folder.path().join("delete-data.log");
        let arguments = [&["delete-data", "--place", place, "--root", text(&root)][..], more].concat();
        Process::start(Path::new(BINARY), &arguments, &[], &log)
    }

    /// Deletes the data, or says why it is refused.
    pub(crate) async fn try_delete_data(&self, place: &str, more: &[&str]) -> Result<(), Refusal> {
        let mut process = self.delete_data(place, more);
        let status = until("the deletion ends", async || process.ended()).await;
        match status.code() {
            Some(0) => Ok(()),
            Some(78) => Err(self.refusal()),
            other => panic!("it ended with {other:?}: {}", process.log()),
        }
    }

    /// Why a process refused to start.
    fn refusal(&self) -> Refusal {
        let left = fs::read_to_string(below(&self.frontend_root(), paths::TERMINATION_LOG)).expect("a termination log");
        serde_json::from_str(&left).unwrap_or_else(|error| panic!("{left:?}: {error}"))
    }

    /// Starts a compute node and adds it to the catalog.
    pub(crate) async fn add_node(&mut self, warehouse: &str) {
        let host = address();
        self.start_node(&host);
        self.announce_node(&host, warehouse).await;
    }

    /// Starts the process of a compute node.
    pub(crate) fn start_node(&mut self, host: &str) {
        let number = self.nodes.len();
        let root = self.node_root(number);
        self.write_root(&root);
        let log = self.folder.path().join(format!("compute-{number}.log"));
        let arguments = ["cn", "--listen", host, "--root", text(&root)];
        let process = Process::start(Path::new(BINARY), &arguments, &[], &log);
        let host = host.to_owned();
        self.nodes.push(Node { host, process });
    }

    /// Adds a compute node to the catalog, whether its process runs or not.
    pub(crate) async fn announce_node(&self, host: &str, warehouse: &str) {
        let add = format!(
            "ALTER SYSTEM ADD COMPUTE NODE \"{host}:{}\" INTO WAREHOUSE {warehouse}",
            ports::CN_HEARTBEAT
        );
        self.client.execute(&[&add]).await;
    }

    /// Waits until every node that was added is alive.
    pub(crate) async fn wait_for_nodes(&self) {
        let wanted = self.nodes.len();
        until("all compute nodes are alive", async || {
            let alive = self.client.try_rows("SHOW COMPUTE NODES").await.ok()?;
            let alive = alive.iter().filter(|row| row.split('|').nth(8) == Some("true")).count();
            (alive == wanted).then_some(())
        })
        .await;
    }

    /// URL of Stream Load into a table, at the frontend.
    pub(crate) fn load_url(&self, database: &str, table: &str) -> String {
        format!(
            "http://{}:{}/api/{database}/{table}/_stream_load",
            self.host,
            ports::FE_HTTP
        )
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
