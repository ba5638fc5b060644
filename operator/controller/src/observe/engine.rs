//! What the engine says about its members.
//!
//! Who belongs to a cluster is one answer for the cluster and all its groups, so it is asked for once where several are looked at in
//! the same moment: a thousand windows that open at eight would otherwise ask each frontend the same for every group and change.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use springtide_contract::ports;
use springtide_crds::LakeCluster;
use springtide_plan::{
    ComputeNodeRow, FrontendConfigAnswer, FrontendConfigRow, FrontendRow, InitialAccount, SqlAnswer,
    flavour::flavour,
    lake_cluster::{self, reads_settings_back},
    names,
    sql::{SHOW_COMPUTE_NODES, SHOW_FRONTEND_CONFIG, SHOW_FRONTENDS, SHOW_WAREHOUSES, WarehouseRow},
};

use crate::{
    context::Context,
    engine::{BESIDE, EngineError, Login},
    observe::secrets::{self, SecretValues},
};

/// How long an answer is good for other reconciles. Short beside the second after which a plan that waits looks again.
const GOOD_FOR: Duration = Duration::from_millis(250);

/// How long nobody asks again where nobody answered. Waiting for a frontend that hangs takes one of the reconciles that run at once; the
/// groups of its cluster must not take all of them, one after the other.
const SILENT_FOR: Duration = Duration::from_secs(2);

fn good_for(answer: &SqlAnswer) -> Duration {
    match answer {
        SqlAnswer::Unreachable { .. } => SILENT_FOR,
        _ => GOOD_FOR,
    }
}

/// What the frontends of each cluster said last.
#[derive(Debug, Default)]
pub(crate) struct MemberAnswers {
    by_line: Mutex<HashMap<String, Arc<Said>>>,
}

#[derive(Debug, Default)]
struct Said {
    /// Held while it is asked, so that whoever comes meanwhile gets the same answer.
    last: tokio::sync::Mutex<Option<LastAnswer>>,
    /// Statements that may have changed the members. An answer from before one of them is not given to anybody.
    changes: AtomicU64,
}

#[derive(Debug)]
struct LastAnswer {
    answered_at: Instant,
    after_changes: u64,
    answer: SqlAnswer,
}

impl MemberAnswers {
    /// A statement that changes members has run, or may have.
    pub(crate) fn changed(&self, line: &str) {
        self.of(line).changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets a cluster that is gone.
    pub(crate) fn forget(&self, line: &str) {
        let mut by_line = self.by_line.lock().unwrap_or_else(PoisonError::into_inner);
        by_line.remove(line);
    }

    /// The last answer, if it is still good, or the one that `ask` gets.
    async fn or_ask(&self, line: &str, ask: impl Future<Output = SqlAnswer>) -> SqlAnswer {
        let said = self.of(line);
        let mut last = said.last.lock().await;
        let after_changes = said.changes.load(Ordering::SeqCst);
        if let Some(last) = last.as_ref()
            && last.after_changes == after_changes
            && last.answered_at.elapsed() < good_for(&last.answer)
        {
            return last.answer.clone();
        }
        let answer = ask.await;
        // That nobody could be asked yet cost nothing, and may be over at once.
        *last = (answer != SqlAnswer::NotAsked).then(|| LastAnswer {
            answered_at: Instant::now(),
            after_changes,
            answer: answer.clone(),
        });
        answer
    }

    fn of(&self, line: &str) -> Arc<Said> {
        let mut by_line = self.by_line.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_line.entry(line.to_owned()).or_default())
    }
}

/// What the cluster's frontends say of its members, now or a moment ago.
pub(crate) async fn ask(
    context: &Context,
    cluster: &LakeCluster,
    pods: &[Arc<Pod>],
    secrets: &SecretValues,
) -> SqlAnswer {
    let asked = ask_now(context, cluster, pods, secrets);
    let answer = context.members.or_ask(&line_of(cluster), asked).await;
    // Another password or certificate may have been written meanwhile. Once the status says that this one fails, Secrets are read often
    // anyway.
    let may_be_old = matches!(
        answer,
        SqlAnswer::LoginRefused { .. } | SqlAnswer::CertificateNotTrusted { .. }
    );
    if may_be_old && secrets::is_proven(cluster) {
        let key = (cluster.namespace().unwrap_or_default(), cluster.name_any());
        context.secrets.forget(&key);
    }
    answer
}

/// Whether statements wait for compute in any warehouse.
pub(crate) fn some_wait(answer: &SqlAnswer) -> bool {
    match answer {
        SqlAnswer::Answered { warehouses, .. } => warehouses.iter().any(|warehouse| warehouse.queued > 0),
        SqlAnswer::NotAsked
        | SqlAnswer::LoginRefused { .. }
        | SqlAnswer::CertificateNotTrusted { .. }
        | SqlAnswer::Unreachable { .. } => false,
    }
}

/// Asks the cluster's frontends for its members: the leader first, as far as it is known, then the others.
async fn ask_now(context: &Context, cluster: &LakeCluster, pods: &[Arc<Pod>], secrets: &SecretValues) -> SqlAnswer {
    let logins = logins(cluster, pods, secrets);
    let mut answer = SqlAnswer::NotAsked;
    for login in logins {
        match members(context, cluster, &login).await {
            Ok(answered) => return answered,
            // One that refuses the account says more than another one that is not there yet.
            Err(_) if matches!(answer, SqlAnswer::LoginRefused { .. }) => {}
            Err(error @ EngineError::Refused { .. }) => {
                answer = SqlAnswer::LoginRefused {
                    message: error.to_string(),
                }
            }
            Err(error @ EngineError::NotTrusted { .. }) => {
                answer = SqlAnswer::CertificateNotTrusted {
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

/// What each frontend says of its settings, where the operator has changed some. `members` is what they said a moment ago: where nobody
/// answered, nobody is asked.
pub(crate) async fn ask_for_settings(
    context: &Context,
    cluster: &LakeCluster,
    pods: &[Arc<Pod>],
    secrets: &SecretValues,
    members: &SqlAnswer,
) -> FrontendConfigAnswer {
    if !matches!(members, SqlAnswer::Answered { .. }) || !reads_settings_back(cluster) {
        return FrontendConfigAnswer::NotAsked;
    }
    let mut answered = Vec::new();
    for (index, login) in logins(cluster, pods, secrets).iter().enumerate() {
        // A connection for each: the leader's is the one that everything else is asked on.
        let line = match index {
            0 => line_of(cluster),
            _ => format!("{}{BESIDE}{index}", line_of(cluster)),
        };
        match settings(context, &line, login).await {
            Ok(rows) => answered.push(rows),
            // One that does not answer starts with what is written, and is asked at the next look.
            Err(
                EngineError::Unreachable { .. }
                | EngineError::Timeout { .. }
                | EngineError::Refused { .. }
                | EngineError::NotTrusted { .. },
            ) => {}
            Err(error @ (EngineError::Statement { .. } | EngineError::Answer { .. })) => {
                return FrontendConfigAnswer::Unreadable {
                    message: error.to_string(),
                };
            }
        }
    }
    if answered.is_empty() {
        return FrontendConfigAnswer::NotAsked;
    }
    FrontendConfigAnswer::Answered(answered)
}

async fn settings(context: &Context, line: &str, login: &Login) -> Result<Vec<FrontendConfigRow>, EngineError> {
    const LABEL: &str = "show frontend config";
    let rows = context.engines.ask(line, login, LABEL, SHOW_FRONTEND_CONFIG).await?;
    FrontendConfigRow::parse(&rows.columns, &rows.rows).map_err(|error| EngineError::Answer {
        statement: LABEL,
        what: error.to_string(),
    })
}

/// How to reach each frontend that may answer, in the order in which to ask them.
pub(crate) fn logins(cluster: &LakeCluster, pods: &[Arc<Pod>], secrets: &SecretValues) -> Vec<Login> {
    match secrets.operator_account(&cluster.name_any()) {
        Some((user, password)) => logins_as(cluster, pods, secrets, &user, &password),
        None => Vec::new(),
    }
}

/// The same for the account that the engine begins with, as long as it may be used: without a password.
pub(crate) fn initial_logins(cluster: &LakeCluster, pods: &[Arc<Pod>], secrets: &SecretValues) -> Vec<Login> {
    match lake_cluster::initial_account(cluster) {
        Some(user) => logins_as(cluster, pods, secrets, user, ""),
        None => Vec::new(),
    }
}

/// Whether the account that the engine begins with is open, where that is still of interest and a frontend answers.
pub(crate) async fn initial_account(
    context: &Context,
    cluster: &LakeCluster,
    pods: &[Arc<Pod>],
    secrets: &SecretValues,
    sql: &SqlAnswer,
) -> InitialAccount {
    if !matches!(sql, SqlAnswer::Answered { .. } | SqlAnswer::LoginRefused { .. }) {
        return InitialAccount::NotTried;
    }
    for login in initial_logins(cluster, pods, secrets) {
        match context.engines.admits(&login).await {
            Ok(true) => return InitialAccount::Open,
            Ok(false) => return InitialAccount::Closed,
            Err(error) => tracing::debug!(?login, %error, "cannot be tried"),
        }
    }
    InitialAccount::NotTried
}

fn logins_as(
    cluster: &LakeCluster,
    pods: &[Arc<Pod>],
    secrets: &SecretValues,
    user: &str,
    password: &str,
) -> Vec<Login> {
    let leader = cluster
        .status
        .as_ref()
        .and_then(|status| status.leader.clone())
        .unwrap_or_default();
    let login = |(pod, address): (&Pod, IpAddr)| Login {
        address,
        port: ports::FE_MYSQL,
        user: user.to_owned(),
        password: password.to_owned(),
        trust: secrets::tls_secret(pod).map(|secret| secrets.trust(secret, &hosts_of(cluster, pod))),
    };
    addresses(&leader, pods).into_iter().map(login).collect()
}

/// The frontends that may answer: the leader first, and last those that were told to stop, which serve while something runs there. One
/// whose machine has gone is not ready any more.
fn addresses<'pod>(leader: &str, pods: &'pod [Arc<Pod>]) -> Vec<(&'pod Pod, IpAddr)> {
    let mut reachable: Vec<(bool, bool, &Pod, IpAddr)> = pods
        .iter()
        .filter_map(|pod| {
            let status = pod.status.as_ref()?;
            let is_running = status.phase.as_deref() == Some("Running");
            let address = status.pod_ip.as_ref()?.parse().ok()?;
            let is_leaving = pod.metadata.deletion_timestamp.is_some();
            let mut conditions = status.conditions.iter().flatten();
            let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
            // The engine knows its leader by host name, of which the pod's name is the first part.
            let is_other = leader.split('.').next() != Some(&pod.name_any());
            (is_running && (is_ready || !is_leaving)).then_some((is_leaving, is_other, &**pod, address))
        })
        .collect();
    reachable.sort_by_key(|(is_leaving, is_other, ..)| (*is_leaving, *is_other));
    reachable
        .into_iter()
        .map(|(_, _, pod, address)| (pod, address))
        .collect()
}

/// The name by which the connection of the initial account is kept, for one statement.
pub(crate) fn initial_line_of(cluster: &LakeCluster) -> String {
    // No cluster has such a name.
    format!("{}/initial account", line_of(cluster))
}

/// The host names of a frontend within Kubernetes: its own, and that of the Service for clients.
fn hosts_of(cluster: &LakeCluster, pod: &Pod) -> [String; 2] {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    [
        names::pod_host(&pod.name_any(), &names::frontends_headless(&name), &namespace),
        format!("{}.{namespace}.svc", names::client_service(&name)),
    ]
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

#[cfg(test)]
mod tests;
