//! `kubectl springtide`: what runs, why, and what happens next. It reads, and writes nothing but the file of a report.

mod drain;
mod fetch;
mod preview;
mod report;
mod sql;
mod status;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use chrono::{TimeDelta, Utc};
use clap::{Parser, Subcommand};

/// Shows Springtide's departments, clusters and compute groups on one screen.
#[derive(Debug, Parser)]
#[command(name = "kubectl-springtide", bin_name = "kubectl springtide", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What runs, why, and what to do next.
    Status {
        /// Name of a cluster, group or department; all by default.
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// The floor and ceiling that a group's windows make over the next days.
    Preview {
        /// Name of the ComputeGroup.
        group: String,
        /// Days to look ahead.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
        /// Time zone of the output, for example `Europe/Prague`; that of the group's first window by default.
        #[arg(long)]
        time_zone: Option<chrono_tz::Tz>,
        #[command(flatten)]
        place: Place,
    },
    /// Which of a group's nodes would go if `replicas` were written now, what they would wait for, and what keeps the others.
    /// Needs the right to read the administrator's Secret and to forward ports to the frontend's pod; with --server and --user,
    /// an SQL account alone.
    Drain {
        /// Name of the ComputeGroup.
        group: String,
        /// What would be written to `replicas`; one fewer than are wanted now by default.
        #[arg(long)]
        replicas: Option<u32>,
        /// Only look: nodes are let go by `kubectl scale`.
        #[arg(long, required = true)]
        dry_run: bool,
        /// SQL account, with its password in SPRINGTIDE_PASSWORD; by default the administrator, by the cluster's Secret.
        #[arg(long)]
        user: Option<String>,
        /// `host:port` at which MySQL clients reach the cluster; by default a port is forwarded to the frontend's pod.
        #[arg(long, requires = "user")]
        server: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Everything that helps to find a fault, in one file without secrets: objects, Events, logs, and what is wrong. What you may not read
    /// is left out.
    Report(report::Options),
}

/// Which cluster and namespace are meant, as in kubectl.
#[derive(Debug, clap::Args)]
struct Place {
    /// Namespace; that of the context by default.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Context of the kubeconfig; the current one by default.
    #[arg(long)]
    context: Option<String>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("cannot read the kubeconfig; set KUBECONFIG or --context")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    #[error("cannot set up the connection to the API server")]
    Client(#[source] kube::Error),
    #[error("cannot read {what}; do you have the right to?")]
    Read {
        what: &'static str,
        #[source]
        source: kube::Error,
    },
    #[error("cannot read {what}: no answer within {limit:?}")]
    Slow { what: &'static str, limit: Duration },
    #[error("there is no ComputeGroup {name:?} in namespace {namespace:?}; `kubectl get computegroups -A` lists all")]
    NoSuchGroup { namespace: String, name: String },
    #[error(
        "there is no LakeCluster {name:?}, and no ComputeGroup of it, in {place} as far as you may read; `kubectl get lakeclusters -A` lists all"
    )]
    NoSuchCluster { name: String, place: String },
    #[error("there is no cluster, group or department {name:?} here; try -n, or leave the name out")]
    NoSuchName { name: String },
    #[error(
        "LakeCluster {name:?} in namespace {namespace:?} has no frontend that answers; `kubectl springtide status {name} -n {namespace}` says why"
    )]
    NotServing { namespace: String, name: String },
    #[error("there is no password: set {}, beside --user", sql::PASSWORD_VARIABLE)]
    NoPassword,
    #[error(
        "cannot read Secret {name:?}; give an account with --user and its password in {}, and --server if you may forward no ports",
        sql::PASSWORD_VARIABLE
    )]
    Secret {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(
        "cannot forward a port to the frontend's pod; do you have the right to (pods/portforward)? Without it, give --server and --user"
    )]
    Forward(#[source] kube::Error),
    #[error("--server: {0:?} is not host:port; write for example lake.example.com:9030")]
    Server(String),
    #[error("the frontend refuses")]
    Sql(#[source] mysql_async::Error),
    #[error("the frontend's answer cannot be read")]
    Answer(#[source] springtide_plan::sql::AnswerError),
    #[error(transparent)]
    Preview(#[from] preview::PreviewError),
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    #[error("{0:?} is there already; write another name to --output")]
    FileExists(PathBuf),
    #[error("cannot write {path:?}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Fails only if a provider is installed already, which is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text.push_str(": ");
                text.push_str(&source.to_string());
                cause = source.source();
            }
            let _unwritable = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let text = match arguments.command {
        Command::Status { name, place } => {
            let found = fetch::everything(&place).await?;
            let found = match name {
                Some(name) => found.named(&name).ok_or(CommandError::NoSuchName { name })?,
                None => found,
            };
            status::render(&found, Utc::now())
        }
        Command::Preview {
            group,
            days,
            time_zone,
            place,
        } => {
            let (group, surroundings) = fetch::group(&place, &group).await?;
            let now = Utc::now();
            preview::render(
                &group,
                &surroundings,
                now,
                now + TimeDelta::days(days.into()),
                time_zone,
            )?
        }
        Command::Drain {
            group,
            replicas,
            dry_run: _,
            user,
            server,
            place,
        } => {
            let (client, group, cluster) = fetch::group_and_cluster(&place, &group).await?;
            let account = sql::Account::find(&client, &cluster, user).await?;
            let (rows, knows_drains) = sql::compute_nodes(&client, &cluster, account, server).await?;
            let wanted = group.status.as_ref().and_then(|status| status.wanted_replicas);
            let wanted = u32::try_from(wanted.unwrap_or(group.spec.replicas)).unwrap_or_default();
            drain::render(
                &group,
                replicas.unwrap_or(wanted.saturating_sub(1)),
                &rows,
                knows_drains,
            )
        }
        Command::Report(options) => report::run(options).await?,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(CommandError::Output)
}
