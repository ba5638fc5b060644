//! The operator as a whole: waits for the leadership, then watches and reconciles until it is told to stop or loses it.

use std::{future::Future, sync::Arc, time::Duration};

use kube::Client;
use tokio::task::JoinSet;

use crate::{
    backoff::Backoff,
    clock::Clock,
    context::{Context, Remembered, WrittenVersions},
    drive::drive,
    election::{Election, ElectionError, ElectionSettings},
    engine::Engines,
    events::Events,
    health::Health,
    held_back::HeldBack,
    kubernetes::Kubernetes,
    metrics::Metrics,
    observe,
    observe::warnings::Warnings,
    reconcile,
    settings::Settings,
    watch::{Requests, Watches},
};

/// Name of the Lease.
pub(crate) const LEASE: &str = "springtide-operator";
/// How long an operator that ends writes Events that wait.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Why the operator ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Another replica may act now, so this one must not.
    #[error("stopped")]
    NotLeader(#[from] ElectionError),
    /// A controller ended by itself: a defect.
    #[error("a controller ended; the process starts again")]
    ControllerEnded,
}

/// What the operator is made of.
#[derive(Debug)]
pub struct Operator {
    /// What it was told at start.
    pub settings: Settings,
    /// Tells the time of day to windows.
    pub clock: Arc<dyn Clock>,
    /// Counts what it does.
    pub metrics: Arc<Metrics>,
    /// Answers the probes.
    pub health: Arc<Health>,
}

impl Operator {
    /// Runs until `stop` is ready; then nothing acts any more, and the Lease is given back. Dropping the future is a crash.
    ///
    /// # Errors
    /// The leadership was lost, or a controller ended: the process should end.
    pub async fn run(self, client: Client, stop: impl Future<Output = ()>) -> Result<(), OperatorError> {
        let mut stop = std::pin::pin!(stop);
        let health = Arc::clone(&self.health);
        let _heartbeat = Task(tokio::spawn(async move {
            loop {
                health.turned();
                tokio::time::sleep(HEARTBEAT).await;
            }
        }));
        let mut election = election(
            &self.settings,
            client.clone(),
            Arc::clone(&self.metrics),
            Arc::clone(&self.health),
        );
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = election.win() => {}
        }
        let dropped = self.metrics.events_dropped.clone();
        let events = Arc::new(Events::new(client.clone(), &self.settings.pod_name, dropped));
        let ended = tokio::select! {
            () = &mut stop => Ok(()),
            lost = election.keep() => Err(OperatorError::NotLeader(lost)),
            () = self.act(client, Arc::clone(&events)) => Err(OperatorError::ControllerEnded),
        };
        // Whatever acted is gone with its future; only now may another replica begin.
        if !matches!(ended, Err(OperatorError::NotLeader(_))) {
            events.finish(LAST_WORDS).await;
            election.release().await;
        }
        ended
    }

    /// Watches and reconciles; returns only if something is broken.
    async fn act(&self, client: Client, events: Arc<Events>) {
        let scope = self.settings.scope();
        let mut watches = Watches::start(&client, &scope, &self.health);
        let context = Arc::new(Context {
            kubernetes: Kubernetes::new(client, Arc::clone(&self.metrics)),
            caches: Arc::clone(&watches.caches),
            engines: Engines::new(Arc::clone(&self.metrics)),
            members: observe::engine::MemberAnswers::default(),
            events,
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            plan_settings: self.settings.for_plans(),
            settings: self.settings.clone(),
            backoff: Backoff::new(),
            written: WrittenVersions::default(),
            held_back: HeldBack::default(),
            secrets: Remembered::default(),
            warnings: Warnings::default(),
        });
        // Nothing is decided from a cache that is only half filled.
        watches.wait_until_listed().await;
        tracing::info!(watches = watches.count(), "caches are filled; reconciling");
        let mut controllers = controllers(&context, watches.requests);
        // Each ends only when its queue does, and the queues live in `watches`.
        if let Some(Err(error)) = controllers.join_next().await {
            tracing::error!(error = %error, "a controller ended");
        }
    }
}

/// A candidate for the Lease without which nobody acts.
#[must_use]
pub fn election(settings: &Settings, client: Client, metrics: Arc<Metrics>, health: Arc<Health>) -> Election {
    let settings = ElectionSettings {
        namespace: settings.pod_namespace.clone(),
        name: LEASE.to_owned(),
        identity: format!("{}_{:016x}", settings.pod_name, rand::random::<u64>()),
        duration: settings.lease_duration(),
    };
    Election::new(client, settings, metrics, health)
}

/// One controller per kind.
fn controllers(context: &Arc<Context>, requests: Requests) -> JoinSet<()> {
    let Requests {
        departments,
        clusters,
        groups,
    } = requests;
    let mut controllers = JoinSet::new();
    let of = || Arc::clone(context);
    controllers.spawn(drive(
        of(),
        |caches| &caches.departments,
        departments,
        reconcile::department,
    ));
    controllers.spawn(drive(
        of(),
        |caches| &caches.clusters,
        clusters,
        reconcile::lake_cluster,
    ));
    controllers.spawn(drive(of(), |caches| &caches.groups, groups, reconcile::compute_group));
    controllers
}

/// A task that ends with whoever holds it.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
