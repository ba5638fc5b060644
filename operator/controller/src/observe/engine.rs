//! What the engine says about its members.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use springtide_contract::ports;
use springtide_crds::LakeCluster;
use springtide_plan::{
    ComputeNodeRow, FrontendRow, SqlAnswer,
    flavour::flavour,
    sql::{SHOW_COMPUTE_NODES, SHOW_FRONTENDS, SHOW_WAREHOUSES, WarehouseRow},
};

use crate::{
    context::Context,
    engine::{EngineError, Login},
    observe::secrets::SecretValues,
};

/// Asks the cluster's frontends for its members: the leader first, as far as it is known, then the others.
pub(crate) async fn ask(
    context: &Context,
    cluster: &LakeCluster,
    pods: &[Arc<Pod>],
    secrets: &SecretValues,
) -> SqlAnswer {
    let logins = logins(cluster, pods, secrets);
    let mut answer = SqlAnswer::NotAsked;
    for login in logins {
        match members(context, cluster, &login).await {
            Ok(answered) => return answered,
            Err(EngineError::Refused { .. }) if matches!(answer, SqlAnswer::LoginRefused { .. }) => {}
            Err(error @ EngineError::Refused { .. }) => {
                answer = SqlAnswer::LoginRefused {
                    message: error.to_string(),
                }
            }
            Err(error) => {
                answer = SqlAnswer::Unreachable {
                    message: error.to_string(),
                }
            }
        }
    }
    answer
}

/// How to reach each frontend that runs, the last known leader first.
pub(crate) fn logins(cluster: &LakeCluster, pods: &[Arc<Pod>], secrets: &SecretValues) -> Vec<Login> {
    let Some((user, password)) = secrets.operator_account(&cluster.name_any()) else {
        return Vec::new();
    };
    let leader = cluster
        .status
        .as_ref()
        .and_then(|status| status.leader.clone())
        .unwrap_or_default();
    let mut reachable: Vec<(bool, IpAddr)> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| {
            let status = pod.status.as_ref()?;
            let is_running = status.phase.as_deref() == Some("Running");
            let address = status.pod_ip.as_ref()?.parse().ok()?;
            // The engine knows its leader by host name, of which the pod's name is the first part.
            let is_other = leader.split('.').next() != Some(&pod.name_any());
            is_running.then_some((is_other, address))
        })
        .collect();
    reachable.sort_by_key(|(is_other, _)| *is_other);
    let login = |(_, address)| Login {
        address,
        port: ports::FE_MYSQL,
        user: user.clone(),
        password: password.clone(),
    };
    reachable.into_iter().map(login).collect()
}

/// The name by which a cluster's connection is kept.
pub(crate) fn line_of(cluster: &LakeCluster) -> String {
    format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any())
}

async fn members(context: &Context, cluster: &LakeCluster, login: &Login) -> Result<SqlAnswer, EngineError> {
    let line = line_of(cluster);
    let frontends = context
        .engines
        .ask(&line, login, "show frontends", SHOW_FRONTENDS)
        .await?;
    let frontends = FrontendRow::parse(&frontends.columns, &frontends.rows).map_err(|error| EngineError::Answer {
        statement: "show frontends",
        what: error.to_string(),
    })?;
    let nodes = context
        .engines
        .ask(&line, login, "show compute nodes", SHOW_COMPUTE_NODES)
        .await?;
    let compute_nodes = ComputeNodeRow::parse(&nodes.columns, &nodes.rows).map_err(|error| EngineError::Answer {
        statement: "show compute nodes",
        what: error.to_string(),
    })?;
    let mut warehouses = Vec::new();
    if flavour(cluster.spec.engine.kind).capabilities().queue {
        let rows = context
            .engines
            .ask(&line, login, "show warehouses", SHOW_WAREHOUSES)
            .await?;
        warehouses = WarehouseRow::parse(&rows.columns, &rows.rows).map_err(|error| EngineError::Answer {
            statement: "show warehouses",
            what: error.to_string(),
        })?;
    }
    Ok(SqlAnswer::Answered {
        frontends,
        compute_nodes,
        warehouses,
    })
}
