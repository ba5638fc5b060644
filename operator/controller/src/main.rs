//! The process: flags, logs, probes, signals.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use springtide_controller::{
    clock::SystemClock,
    election::Election,
    health::{Health, serve_health, serve_metrics},
    logging,
    metrics::Metrics,
    operator::{Operator, OperatorError, election},
    settings::Settings,
    uninstall::{UninstallError, forget_leader, uninstall},
};
use tokio::signal::unix::{SignalKind, signal};

/// Longest time for opening a connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the end of an operator that nobody heard of until its Lease is had, beside what the Lease itself lasts.
const HANDOVER: Duration = Duration::from_secs(15);

#[derive(Debug, Parser)]
#[command(
    name = "springtide-operator",
    version,
    about = "Runs Springtide's controllers: Department, LakeCluster and ComputeGroup."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Leaves every group at the size that people wrote and takes the finalizers off, once the operator has gone for good. Pods,
    /// metadata and data stay.
    Uninstall,
}

/// Why the process ended in failure.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error(transparent)]
    Logging(#[from] logging::LoggingError),
    #[error("cannot find the API server: neither in a pod nor by KUBECONFIG")]
    Kubeconfig(#[source] kube::config::InferConfigError),
    #[error("cannot set up the connection to the API server")]
    Client(#[source] kube::Error),
    #[error("cannot serve {what} on {address}")]
    Serve {
        what: &'static str,
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Uninstall(#[from] UninstallError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command, settings } = Arguments::parse();
    match run(command, settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the operator ends");
            // Logging may be what failed.
            if matches!(error, ProcessError::Logging(_)) {
                use std::io::Write;
                let _unwritable = writeln!(std::io::stderr(), "error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Option<Command>, settings: Settings) -> Result<(), ProcessError> {
    logging::start(settings.log_format, &settings.log)?;
    // Fails only if a provider is installed already, which is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::infer().await.map_err(ProcessError::Kubeconfig)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let client = kube::Client::try_from(config).map_err(ProcessError::Client)?;

    let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
    if let Some(Command::Uninstall) = command {
        let election = election(&settings, client.clone(), metrics, health);
        after_the_last_one(election, settings.lease_duration() * 2 + HANDOVER).await;
        let left = uninstall(&client, &settings.namespaces()).await?;
        forget_leader(&client, &settings.pod_namespace).await?;
        tracing::info!(
            resized = left.resized,
            autoscalers = left.autoscalers,
            finalizers = left.finalizers,
            "the operator has gone; groups have the size that is written"
        );
        return Ok(());
    }
    let (health_address, metrics_address) = (settings.health_address, settings.metrics_address);
    let probes = serve_health(health_address, Arc::clone(&health));
    let scrapes = serve_metrics(metrics_address, Arc::clone(&metrics));
    let operator = Operator {
        settings,
        clock: Arc::new(SystemClock),
        metrics,
        health,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starts");
    tokio::select! {
        ended = operator.run(client, stopped()?) => Ok(ended?),
        served = probes => Err(unserved("probes", health_address, served)),
        served = scrapes => Err(unserved("metrics", metrics_address, served)),
    }
}

/// Waits until no operator acts any more: its pod may still be ending, and would undo what is done here.
async fn after_the_last_one(mut election: Election, limit: Duration) {
    if tokio::time::timeout(limit, election.win()).await.is_err() {
        tracing::warn!(
            waited_s = limit.as_secs(),
            "somebody still holds the operator's Lease; goes on without it"
        );
    }
}

/// Ready at SIGTERM or SIGINT.
fn stopped() -> Result<impl Future<Output = ()>, ProcessError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProcessError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
    })
}

fn unserved(what: &'static str, address: std::net::SocketAddr, served: std::io::Result<()>) -> ProcessError {
    ProcessError::Serve {
        what,
        address,
        source: served
            .err()
            .unwrap_or_else(|| std::io::Error::other("the server ended")),
    }
}
