//! The command line of `springtide-sidecar`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use springtide_contract::{paths, ports};
use springtide_sidecar::drain::{self, DrainOptions, ServeError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Tasks beside an engine process.
#[derive(Debug, Parser)]
#[command(name = "springtide-sidecar", version)]
struct Arguments {
    /// How the log is written, to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Json, env = "SPRINGTIDE_LOG_FORMAT")]
    log_format: LogFormat,
    /// Which messages are logged, for example info or springtide_sidecar=debug.
    #[arg(long, global = true, default_value = "info", env = "SPRINGTIDE_LOG")]
    log: String,
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Human,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Answer a compute node's preStop hook once the node is idle, or at the deadline.
    Drain(DrainArguments),
}

#[derive(Debug, clap::Args)]
struct DrainArguments {
    /// Address for the hook and for /healthz.
    #[arg(long, default_value_t = SocketAddr::from(([0, 0, 0, 0], ports::SIDECAR_DRAIN)))]
    listen: SocketAddr,
    /// Where the compute node listens for internal calls.
    #[arg(long, default_value_t = format!("http://127.0.0.1:{}", ports::CN_HEARTBEAT))]
    engine_url: String,
    /// How long the answer is withheld at most, for example 600, 600s, 10m or 1h.
    #[arg(long, env = "SPRINGTIDE_DRAIN_TIMEOUT_S", default_value = "600s", value_parser = parse_timeout)]
    timeout: Duration,
    /// File with the cluster token.
    #[arg(long, default_value_os_t = PathBuf::from(paths::INTERNAL).join(paths::TOKEN_FILE))]
    token_file: PathBuf,
}

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--log: {0}")]
    LogFilter(#[from] tracing_subscriber::filter::ParseError),
    #[error("cannot listen for signals: {0}")]
    Signal(#[source] std::io::Error),
    #[error("--listen: cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Serve(#[from] ServeError),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(error = %failure, "stopped");
            // Before the log is set up there is nobody but standard error to tell.
            if !tracing::dispatcher::has_been_set() {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "springtide-sidecar: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Human => log.init(),
    }
    match arguments.task {
        Task::Drain(arguments) => run_drain(arguments).await,
    }
}

async fn run_drain(arguments: DrainArguments) -> Result<(), Failure> {
    // Listening for signals first: as process 1 of its container, a process that does not listen is not stopped by SIGTERM at all.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signal)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|source| Failure::Listen {
            address: arguments.listen,
            source,
        })?;
    let options = DrainOptions::new(arguments.engine_url, arguments.token_file, arguments.timeout);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(drain::serve(listener, options, stop).await?)
}

/// A whole number of seconds, minutes or hours.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|seconds| (1..=drain::MAX_TIMEOUT.as_secs()).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            format!(
                "write whole seconds, minutes or hours up to {} h, for example 600s",
                drain::MAX_TIMEOUT.as_secs() / 3600
            )
        })
}

#[cfg(test)]
mod tests;
