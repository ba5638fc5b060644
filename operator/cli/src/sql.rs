//! Asks a cluster's frontend: through the API server, since whoever may forward ports to pods needs no way into the cluster; or
//! where MySQL clients do, since an admin of a department needs no such right.

use std::net::SocketAddr;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt};
use mysql_async::{Conn, OptsBuilder, Row, prelude::Queryable};
use springtide_contract::ports::FE_MYSQL;
use springtide_crds::LakeCluster;
use springtide_plan::{ComputeNodeRow, sql::SHOW_COMPUTE_NODES};
use tokio::net::TcpListener;

use crate::{
    CommandError,
    fetch::{REQUEST_TIMEOUT, in_time},
};

/// Environment variable with the password of `--user`.
pub(crate) const PASSWORD_VARIABLE: &str = "SPRINGTIDE_PASSWORD";

/// Who asks.
pub(crate) struct Account {
    user: String,
    password: String,
}

impl Account {
    /// The user that is named, with the password from the environment; or the administrator, by the Secret of the cluster.
    pub(crate) async fn find(
        client: &Client,
        cluster: &LakeCluster,
        user: Option<String>,
    ) -> Result<Self, CommandError> {
        if let Some(user) = user {
            let password = std::env::var(PASSWORD_VARIABLE).map_err(|_| CommandError::NoPassword)?;
            return Ok(Self { user, password });
        }
        let name = cluster.status.as_ref().and_then(|status| status.admin_secret.clone());
        let name = name.ok_or_else(|| not_serving(cluster))?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace().unwrap_or_default());
        let secret = in_time(REQUEST_TIMEOUT, "the administrator's Secret", secrets.get(&name))
            .await?
            .map_err(|source| CommandError::Secret { name, source })?;
        let mut data = secret.data.unwrap_or_default();
        let mut field = |key: &str| data.remove(key).and_then(|value| String::from_utf8(value.0).ok());
        match (field("username"), field("password")) {
            (Some(user), Some(password)) => Ok(Self { user, password }),
            _ => Err(CommandError::NoPassword),
        }
    }
}

/// The nodes of all groups of a cluster, and whether the engine says what runs on them.
pub(crate) async fn compute_nodes(
    client: &Client,
    cluster: &LakeCluster,
    account: Account,
    server: Option<String>,
) -> Result<(Vec<ComputeNodeRow>, bool), CommandError> {
    let answer = async {
        let (host, port) = match server {
            Some(server) => host_and_port(&server).ok_or(CommandError::Server(server))?,
            None => forwarded(client, cluster).await?,
        };
        let options = OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(port)
            .user(Some(account.user))
            .pass(Some(account.password))
            .prefer_socket(false);
        let mut connection = Conn::new(options).await.map_err(CommandError::Sql)?;
        let rows: Vec<Row> = connection.query(SHOW_COMPUTE_NODES).await.map_err(CommandError::Sql)?;
        Ok::<_, CommandError>(rows)
    };
    let rows = in_time(REQUEST_TIMEOUT, "the compute nodes", answer).await??;
    let columns: Vec<String> = rows.first().map_or_else(Vec::new, |row| {
        row.columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect()
    });
    let knows_drains = columns.iter().any(|column| column == "DrainWaitingFor");
    if rows.is_empty() {
        return Ok((Vec::new(), knows_drains));
    }
    let texts: Vec<Vec<Option<String>>> = rows
        .into_iter()
        .map(|row| row.unwrap().into_iter().map(mysql_async::from_value).collect())
        .collect();
    let nodes = ComputeNodeRow::parse(&columns, &texts).map_err(CommandError::Answer)?;
    Ok((nodes, knows_drains))
}

fn not_serving(cluster: &LakeCluster) -> CommandError {
    CommandError::NotServing {
        namespace: cluster.namespace().unwrap_or_default(),
        name: cluster.name_any(),
    }
}

fn host_and_port(server: &str) -> Option<(String, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?)).filter(|(host, port)| !host.is_empty() && *port > 0)
}

/// A local address that leads to the leader, for one connection.
async fn forwarded(client: &Client, cluster: &LakeCluster) -> Result<(String, u16), CommandError> {
    let leader = cluster.status.as_ref().and_then(|status| status.leader.as_deref());
    let pod = leader
        .and_then(|host| host.split('.').next())
        .ok_or_else(|| not_serving(cluster))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &cluster.namespace().unwrap_or_default());
    let address = forward(pods, pod).await.map_err(CommandError::Forward)?;
    Ok((address.ip().to_string(), address.port()))
}

/// A local address that leads to a frontend, for one connection.
async fn forward(pods: Api<Pod>, pod: &str) -> Result<SocketAddr, kube::Error> {
    let mut forwarder = pods.portforward(pod, &[FE_MYSQL]).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
    let address = listener.local_addr().map_err(broken)?;
    tokio::spawn(async move {
        if let (Some(mut stream), Ok((mut client, _))) = (forwarder.take_stream(FE_MYSQL), listener.accept().await) {
            // When either side ends, so does the command.
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
        }
    });
    Ok(address)
}

fn broken(error: std::io::Error) -> kube::Error {
    kube::Error::Service(Box::new(error))
}
