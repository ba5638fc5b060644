//! The promise of scale-in, tried for hours: nodes of one group come and go at random while clients load and query without a
//! pause, and not one statement may fail.
//!
//! - [`clients`] work: Stream Loads, inserts, queries; each keeps what it was told is committed. SQL goes by the clients that people
//!   use ([`crate::sql_client`]), each in turn.
//! - [`churn`] makes nodes go: by `kubectl scale`, by windows, by an autoscaler, by evictions, by deletion, by emptying a node of
//!   Kubernetes, by a roll.
//! - [`witness`] counts the nodes that went, and sees that none is forgotten that lives.
//!
//! The same run with the drain switched off must have failures: otherwise it would prove nothing. And nodes may be torn away, by
//! SIGKILL, by force, by the kubelet under pressure: then statements fail, are repeated, and every row is there once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use kube::{Api, Client, ResourceExt};
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    departments::{self, Account},
    sql::Session,
    sql_client::{self, Installed, Login},
    target::Target,
    timeline::Progress,
};

mod churn;
mod clients;
mod stage;
mod windows;
mod witness;

pub use stage::soak;
pub use windows::windows;

/// So many nodes are torn away at most, where no statement fails by it and fewer are asked for.
pub const MOST_TORN: u64 = churn::MOST_TORN;

/// From the last change until the group is as wanted.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
/// A statement on the ledger.
const STATEMENT_LIMIT: Duration = Duration::from_secs(120);
/// Failures that are told in full.
const TOLD_FAILURES: usize = 20;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes that have to go before it ends.
    pub gone: u64,
    /// How they go.
    pub going: Going,
    /// Each of the ways is gone at least once.
    pub every_way: bool,
    /// It ends after this at the latest.
    pub limit: Duration,
    /// Of all random choices.
    pub seed: u64,
}

/// How nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// In every way that leaves them time to finish: no statement may fail.
    Asked,
    /// In every way that does not: statements may have to be repeated, and no answer and no row may be wrong.
    Torn,
}

/// A group under trial, and its way.
#[derive(Clone)]
struct Trial {
    target: Target,
    client: Client,
    lake: LakeCluster,
    group: String,
    account: Account,
    login: Login,
    password: String,
    database: String,
    /// Part of every label, so that a second trial of a cluster has labels of its own.
    run: u64,
    tally: Arc<Tally>,
    ends: Arc<AtomicBool>,
}

/// What happened, by all who take part.
#[derive(Debug, Default)]
struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    statements: BTreeMap<&'static str, u64>,
    by_client: BTreeMap<sql_client::Kind, Sent>,
    actions: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
    failed: u64,
    scale_ins: u64,
    wrong_answers: Vec<String>,
    forgotten_alive: Vec<String>,
}

impl Tally {
    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn done(&self, kind: &'static str) {
        self.change(|counts| *counts.statements.entry(kind).or_default() += 1);
    }

    fn wrong(&self, kind: &str, found: &str, expected: &str) {
        let line = format!("{kind} answered {found}, not {expected}");
        self.failed(kind, &line);
        self.change(|counts| counts.wrong_answers.push(line));
    }

    /// A client of SQL has an answer, or a failure.
    fn sent(&self, client: sql_client::Kind, has_failed: bool) {
        self.change(|counts| {
            let sent = counts.by_client.entry(client).or_default();
            sent.statements += 1;
            sent.failed += u64::from(has_failed);
        });
    }

    fn failed(&self, kind: &str, why: impl fmt::Display) {
        let now = chrono::Utc::now().format("%H:%M:%S%.3f");
        self.change(|counts| {
            counts.failed += 1;
            if counts.failures.len() < TOLD_FAILURES {
                counts.failures.push(format!("{now} {kind}: {why}"));
            }
        });
    }
}

/// What one client of SQL sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Statements, with those that failed and those that were repeated.
    pub statements: u64,
    /// Those that failed, or had a wrong answer.
    pub failed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Nodes that went because they were not wanted any more.
    pub scale_ins: u64,
    /// Statements that succeeded, by kind.
    pub statements: BTreeMap<&'static str, u64>,
    /// What the clients of SQL sent.
    pub by_client: BTreeMap<sql_client::Kind, Sent>,
    /// What was done to the nodes, by kind.
    pub actions: BTreeMap<&'static str, u64>,
    /// Statements that failed.
    pub failed: u64,
    /// The first of them, in full.
    pub failures: Vec<String>,
    /// Answers to queries that are not the right ones.
    pub wrong_answers: Vec<String>,
    /// Rows that are missing or too many, by what clients were told.
    pub ledger_difference: u64,
    /// What the frontend knows at the end beside what it should, and nodes that it forgot while they lived.
    pub wrong_nodes: Vec<String>,
}

impl Outcome {
    /// All statements that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.statements.values().sum()
    }

    /// What was tried too little for an outcome to prove anything, in words, where nodes were to be asked to go in every way.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for way in churn::asked().filter(|way| !self.actions.contains_key(way)) {
            gaps.push(format!("no {way}"));
        }
        if self.succeeded() <= 10 * self.scale_ins {
            gaps.push(format!(
                "{} statements for {} nodes that went",
                self.succeeded(),
                self.scale_ins
            ));
        }
        for kind in clients::kinds().filter(|kind| !self.statements.contains_key(kind)) {
            gaps.push(format!("no {kind}"));
        }
        let is_silent = |client: &sql_client::Kind| self.by_client.get(client).is_none_or(|sent| sent.statements == 0);
        for client in sql_client::Kind::ALL.into_iter().filter(is_silent) {
            gaps.push(format!("{} sent nothing", client.name()));
        }
        gaps
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |counts: &BTreeMap<&'static str, u64>| {
            let parts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            parts.join(", ")
        };
        writeln!(f, "{} scale-ins; {}", self.scale_ins, listed(&self.actions))?;
        writeln!(f, "{} statements: {}", self.succeeded(), listed(&self.statements))?;
        let clients: Vec<String> = (self.by_client.iter())
            .map(|(client, sent)| format!("{} {}, {} failed", client.name(), sent.statements, sent.failed))
            .collect();
        writeln!(f, "SQL by {}", clients.join("; "))?;
        writeln!(
            f,
            "{} failed, ledger off by {} rows",
            self.failed, self.ledger_difference
        )?;
        for line in self.failures.iter().chain(&self.wrong_answers).chain(&self.wrong_nodes) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// Tries a group of a cluster that serves. The group belongs to the trial; its spec is as it was afterwards.
///
/// # Errors
/// The trial itself cannot go on; what fails under trial is in the [`Outcome`].
pub async fn scale_in(
    target: &Target,
    client: &Client,
    lake: &LakeCluster,
    group: &str,
    installed: &Installed,
    options: &Options,
    progress: &Progress,
) -> Result<Outcome> {
    let churned = async |trial: &Trial| -> Result<()> { churn::run(trial, options, progress).await };
    tried(target, client, lake, group, installed, churned, progress).await
}

/// Loads and queries a group of a cluster that serves, as the trial does, until what the caller does to its nodes is over. By then an
/// operator has to be there: its status says whether the group is as wanted.
///
/// # Errors
/// The trial itself cannot go on; what fails under trial is in the [`Outcome`].
pub async fn under_load(
    target: &Target,
    client: &Client,
    lake: &LakeCluster,
    group: &str,
    installed: &Installed,
    happens: impl Future<Output = ()>,
    progress: &Progress,
) -> Result<Outcome> {
    let happened = async |_: &Trial| -> Result<()> {
        happens.await;
        Ok(())
    };
    tried(target, client, lake, group, installed, happened, progress).await
}

async fn tried(
    target: &Target,
    client: &Client,
    lake: &LakeCluster,
    group: &str,
    installed: &Installed,
    happens: impl AsyncFnOnce(&Trial) -> Result<()>,
    progress: &Progress,
) -> Result<Outcome> {
    let login = departments::log_in(target, client, lake).await?;
    let password = departments::password(client, lake, &login.account).await?;
    let database = format!("soak_{}", group.replace('-', "_"));
    let trial = Trial {
        target: target.clone(),
        client: client.clone(),
        lake: lake.clone(),
        group: group.to_owned(),
        login: Login::new(&login.door, &login.account.user, &password).database(&database),
        account: login.account,
        password,
        run: std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
        database,
        tally: Arc::default(),
        ends: Arc::default(),
    };
    let mut session = login.session;
    let warehouse = trial.warehouse().await?;
    let seeded = clients::prepare(&trial, &mut session, &warehouse).await?;
    let happened = async {
        let happened = happens(&trial).await;
        trial.end();
        happened
    };
    let (happened, ledger, ()) = tokio::join!(
        happened,
        clients::work(&trial, installed, &warehouse, &seeded),
        witness::watch(&trial)
    );
    happened?;
    let ledger = ledger?;
    let wanted = trial.settled(progress).await?;
    let mut outcome = trial.tally.change(|counts| Outcome {
        scale_ins: counts.scale_ins,
        statements: std::mem::take(&mut counts.statements),
        by_client: std::mem::take(&mut counts.by_client),
        actions: std::mem::take(&mut counts.actions),
        failed: counts.failed,
        failures: std::mem::take(&mut counts.failures),
        wrong_answers: std::mem::take(&mut counts.wrong_answers),
        ledger_difference: 0,
        wrong_nodes: std::mem::take(&mut counts.forgotten_alive),
    });
    outcome.ledger_difference = clients::difference(&trial, &mut session, &ledger).await?;
    outcome
        .wrong_nodes
        .extend(witness::wrong(&trial, &mut session, wanted).await?);
    Ok(outcome)
}

impl Trial {
    fn groups(&self) -> Api<ComputeGroup> {
        Api::namespaced(self.client.clone(), &self.namespace())
    }

    fn namespace(&self) -> String {
        self.lake.namespace().unwrap_or_default()
    }

    fn pod(&self, ordinal: i32) -> String {
        format!("{}-cn-{ordinal}", self.group)
    }

    fn end(&self) {
        self.ends.store(true, SeqCst);
    }

    fn has_ended(&self) -> bool {
        self.ends.load(SeqCst)
    }

    async fn session(&self) -> Result<Session> {
        Ok(departments::log_in(&self.target, &self.client, &self.lake)
            .await?
            .session)
    }

    async fn group(&self) -> Result<ComputeGroup> {
        cluster::get(&self.groups(), &self.group)
            .await?
            .ok_or_else(|| Error::Missing(format!("ComputeGroup {}", self.group)))
    }

    async fn warehouse(&self) -> Result<String> {
        let status = self.group().await?.status.unwrap_or_default();
        status
            .warehouse
            .ok_or_else(|| Error::Missing(format!("ComputeGroup {} has no status.warehouse", self.group)))
    }

    /// Waits until all that is wanted serves and nothing else is there; gives how many nodes that are.
    async fn settled(&self, progress: &Progress) -> Result<i32> {
        let what = format!("ComputeGroup {} has what it wants", self.group);
        wait_until(&what, SETTLE_LIMIT, progress, async || {
            let group = self.group().await?;
            let status = group.status.unwrap_or_default();
            let known = i32::try_from(status.nodes.len()).unwrap_or(i32::MAX);
            let counts = (status.replicas, known, status.serving_replicas);
            let wanted = status.wanted_replicas.unwrap_or_default();
            let is_current = status.observed_generation == group.metadata.generation;
            Ok(
                if is_current && counts == (wanted, wanted, wanted) && status.draining.is_empty() {
                    Look::Done(wanted)
                } else {
                    Look::NotYet(format!("{wanted} wanted; pods, known, serving: {counts:?}"))
                },
            )
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_without_every_way_every_statement_and_every_client_proves_nothing() {
        let sent = Sent {
            statements: 20,
            failed: 0,
        };
        let whole = Outcome {
            scale_ins: 2,
            statements: clients::kinds().map(|kind| (kind, 20)).collect(),
            by_client: sql_client::Kind::ALL.into_iter().map(|client| (client, sent)).collect(),
            actions: churn::asked().map(|way| (way, 1)).collect(),
            ..Outcome::default()
        };
        assert_eq!(whole.gaps(), [""; 0]);
        let mut without_a_way = whole.clone();
        without_a_way.actions.pop_first();
        let mut without_a_statement = whole.clone();
        without_a_statement.statements.pop_first();
        let mut without_a_client = whole.clone();
        without_a_client.by_client.pop_first();
        let idle = Outcome {
            scale_ins: 100,
            ..whole
        };
        for lacking in [without_a_way, without_a_statement, without_a_client, idle] {
            assert_eq!(lacking.gaps().len(), 1, "{:?}", lacking.gaps());
        }
    }
}
