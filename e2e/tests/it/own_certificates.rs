//! A cluster whose certificate the operator issues: clients verify it, and it is renewed while they work.

use std::{path::Path, process::Stdio, time::Duration};

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use mysql_async::{Conn, OptsBuilder, SslOpts, prelude::Queryable};
use serde_json::json;
use springtide_e2e::sql::Door;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{
    department::{Department, LAKE, STATEMENT_LIMIT, with_department},
    scenario::Scenario,
};

/// The operator issues within seconds; the kubelet brings a changed Secret within two minutes.
const RENEWAL_LIMIT: Duration = Duration::from_secs(240);
/// A name that no certificate has at first.
const FURTHER_NAME: &str = "lake.example.com";

/// Who logs in, where, and whom they trust.
struct Client {
    port: u16,
    user: String,
    password: String,
    authorities: String,
}

impl Client {
    /// What a person runs who wants to know who answers: MariaDB's `mysql`, which holds the certificate to the name that it was given.
    async fn person(&self, statement: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = folder.path().join("ca.crt");
        std::fs::write(&authorities, &self.authorities).expect("write ca.crt");
        let ended = tokio::time::timeout(STATEMENT_LIMIT, self.command_line(&authorities, statement));
        ended.await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn command_line(&self, authorities: &Path, statement: &str) -> Result<String, String> {
        let mut child = Command::new("mariadb")
            .arg("--no-defaults")
            .args(["--protocol=tcp", "--host=localhost", "--connect-timeout=10"])
            .args(["--batch", "--skip-column-names", "--ssl-verify-server-cert"])
            .arg(format!("--ssl-ca={}", authorities.display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--user={}", self.user))
            .env("MYSQL_PWD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("start mariadb, which e2e/packages installs");
        let mut input = child.stdin.take().expect("its input");
        // One that cannot log in does not read; its status says so.
        let _unread = input.write_all(statement.as_bytes()).await;
        drop(input);
        let ended = child.wait_with_output().await.expect("wait for mariadb");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ended.status.success() {
            Ok(text(&ended.stdout))
        } else {
            Err(text(&ended.stderr))
        }
    }

    /// A program's connection, to who has a certificate for `name`.
    async fn program(&self, name: &'static str) -> Result<Conn, mysql_async::Error> {
        let tls = SslOpts::default()
            .with_root_certs(vec![self.authorities.clone().into_bytes().into()])
            .with_disable_built_in_roots(true)
            .with_danger_tls_hostname_override(Some(name));
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .prefer_socket(Some(false))
            .ssl_opts(tls);
        Conn::new(options).await
    }
}

/// A port of `localhost` that leads through the door: the certificate has that name, and not the address of a Service.
async fn localhost(door: &Door) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let address = door.address();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(address).await {
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}

async fn frontend(department: &Department) -> (Option<String>, i32) {
    let name = format!("{LAKE}-fe-0");
    let pod = department.pods().get(&name).await.expect("get the frontend");
    let containers = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let restarts = containers.map_or(0, |containers| containers.iter().map(|one| one.restart_count).sum());
    (pod.uid(), restarts)
}

async fn one(connection: &mut Conn) -> Option<u32> {
    connection.query_first("SELECT 1").await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_clusters_own_authority_is_verified_by_clients_and_renewed_under_them() {
    let scenario = Scenario::begin("a certificate of the cluster's own is renewed");
    with_department(&scenario, "certificates", async |department| {
        let (login, before) = scenario
            .given("a cluster whose certificate the operator issues", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({"tls": {"issue": {}}})).await;
                let login = department.login(LAKE).await;
                (login, frontend(department).await)
            })
            .await;
        let client = Client {
            port: localhost(&login.door).await,
            user: login.account.user.clone(),
            password: department.secret(&login.account.secret, "password").await,
            authorities: department.secret(&format!("{LAKE}-tls"), "ca.crt").await,
        };
        scenario
            .and("a client that verifies who answers is let in", async || {
                let shown = client.person("SELECT 41 + 1").await;
                assert_eq!(shown.as_deref(), Ok("42"));
            })
            .await;
        let mut open = scenario
            .given("a connection that stays open", async || {
                client.program("localhost").await.expect("a connection")
            })
            .await;
        scenario
            .and("the certificate is good for its own names alone", async || {
                let refused = client.program(FURTHER_NAME).await.map(drop);
                let told = refused.expect_err("it has no such name").to_string();
                assert!(told.contains("certificate"), "{told}");
            })
            .await;
        scenario
            .when("a name is added", async || {
                let names = json!({"spec": {"tls": {"issue": {"dnsNames": [FURTHER_NAME]}}}});
                let patch = Patch::Merge(names);
                let written = department.lakes().patch(LAKE, &PatchParams::default(), &patch).await;
                written.expect("write the name");
            })
            .await;
        scenario
            .then("new connections see it", RENEWAL_LIMIT, async || {
                let connected = client.program(FURTHER_NAME).await;
                connected.map(drop).map_err(|error| error.to_string())
            })
            .await;
        scenario
            .and("the frontend and the open connection have gone on", async || {
                assert_eq!(frontend(department).await, before);
                assert_eq!(one(&mut open).await, Some(1));
            })
            .await;
        scenario
            .and("who trusted the authority before trusts it still", async || {
                let shown = client.person("SELECT 41 + 1").await;
                assert_eq!(shown.as_deref(), Ok("42"));
            })
            .await;
        scenario
            .and("the operator goes on, and tells until when it is good", async || {
                let status = department.answers(LAKE).await.status.unwrap_or_default();
                let told = status.certificate.expect("the status tells of it");
                assert_eq!(told.secret, format!("{LAKE}-tls"));
            })
            .await;
    })
    .await;
}
