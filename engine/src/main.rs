//! `springtide-engine`: the bundled engine, as a frontend, as a compute node, or as both on a local folder.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use springtide_engine::{
    delete_data,
    logging::{self, LogFormat},
    place::Place,
    process::{self, ProcessError, VERSION, termination_log},
    refusal,
    standalone::{Standalone, StandalonePorts},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bundled engine of Springtide.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Level or list of levels of log lines, for example `info` or `info,springtide_fe=debug`.
    #[arg(long, env = "SPRINGTIDE_LOG", default_value = "info", global = true)]
    log: String,
    /// Form of log lines; standalone defaults to human.
    #[arg(long, env = "SPRINGTIDE_LOG_FORMAT", global = true)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A frontend: catalog, MySQL protocol on 9030, HTTP on 8030.
    Fe {
        /// Host name by which clients and compute nodes reach it.
        #[arg(long, env = "SPRINGTIDE_HOST")]
        host: String,
        /// The one address to listen on; all by default.
        #[arg(long)]
        listen: Option<IpAddr>,
        /// Folder below which configuration, secrets and volumes are mounted.
        #[arg(long, default_value = "/")]
        root: PathBuf,
    },
    /// A compute node: runs queries and loads, HTTP on 8040.
    Cn {
        /// The one address to listen on; all by default.
        #[arg(long)]
        listen: Option<IpAddr>,
        /// Folder below which configuration, secrets and volumes are mounted.
        #[arg(long, default_value = "/")]
        root: PathBuf,
    },
    /// Deletes the data of a cluster on S3 for good. Nothing of the cluster may run. What was interrupted is gone on with.
    DeleteData {
        /// The place, as `s3://bucket/prefix`: exactly the one in the configuration.
        #[arg(long = "place")]
        named: String,
        /// Everything below the prefix, for engines that do not write whose it is. Nothing is deleted where there is a claim of the bundled
        /// engine.
        #[arg(long)]
        whole_prefix: bool,
        /// Folder below which configuration and secrets are mounted.
        #[arg(long, default_value = "/")]
        root: PathBuf,
    },
    /// Frontend and compute node in one process on a local folder, reachable from this machine only.
    Standalone {
        /// Folder of data, metadata and passwords; made when it is missing.
        #[arg(long = "data", default_value = "springtide-data")]
        folder: PathBuf,
        /// Port of the MySQL protocol; 0 takes a free one.
        #[arg(long, default_value_t = 9030)]
        mysql_port: u16,
        /// Port of the frontend's HTTP; 0 takes a free one.
        #[arg(long, default_value_t = 8030)]
        http_port: u16,
        /// Port of the compute node's HTTP; 0 takes a free one.
        #[arg(long, default_value_t = 8040)]
        compute_http_port: u16,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default_format = match arguments.command {
        Command::Standalone { .. } => LogFormat::Human,
        Command::Fe { .. } | Command::Cn { .. } | Command::DeleteData { .. } => LogFormat::Json,
    };
    if let Err(problem) = logging::start(arguments.log_format.unwrap_or(default_format), &arguments.log) {
        eprintln!("{problem}");
        return ExitCode::from(2);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start threads");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(arguments.command));
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> ExitCode {
    let shutdown = CancellationToken::new();
    if let Err(error) = stop_on_signal(shutdown.clone()) {
        tracing::error!(%error, "cannot listen for signals");
        return ExitCode::FAILURE;
    }
    let (place, ended) = match command {
        Command::Fe { host, listen, root } => {
            let place = Place::below(&root);
            let ended = process::frontend(&place, host, listen, shutdown).await;
            (place, ended)
        }
        Command::Cn { listen, root } => {
            let place = Place::below(&root);
            let ended = process::compute_node(&place, listen, shutdown).await;
            (place, ended)
        }
        Command::DeleteData {
            named,
            whole_prefix,
            root,
        } => {
            let place = Place::below(&root);
            let ended = delete_data::run(&place, &named, whole_prefix, &shutdown).await;
            (place, ended)
        }
        Command::Standalone {
            folder,
            mysql_port,
            http_port,
            compute_http_port,
        } => {
            let ports = StandalonePorts {
                mysql: mysql_port,
                http: http_port,
                compute_http: compute_http_port,
            };
            let place = Place::below(&folder);
            let ended = standalone(&folder, ports, shutdown).await;
            (place, ended)
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ProcessError::Refused(reason)) => {
            refusal::report(&reason, termination_log(&place).as_ref());
            ExitCode::from(refusal::EXIT_CODE)
        }
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn standalone(
    folder: &std::path::Path,
    ports: StandalonePorts,
    shutdown: CancellationToken,
) -> Result<(), ProcessError> {
    let engine = Standalone::open(folder, ports).await?;
    let (user, _) = engine.administrator()?;
    let port = engine.mysql_port().map_err(|source| ProcessError::Folder {
        what: "MySQL port".to_owned(),
        source,
    })?;
    let http = engine.http_port().map_err(|source| ProcessError::Folder {
        what: "HTTP port".to_owned(),
        source,
    })?;
    let password = engine.password_file();
    eprintln!(
        "Springtide {VERSION} on the folder {}\n\n  connect    mysql -h 127.0.0.1 -P {port} -u {user} -p\"$(cat {})\"\n  load       curl --location-trusted -u {user} -T rows.csv -H 'Expect: 100-continue' -H 'column_separator: ,' \\\n               http://127.0.0.1:{http}/api/<database>/<table>/_stream_load\n  stop       Ctrl-C; the data stays in the folder\n",
        folder.display(),
        password.display(),
    );
    engine.run(shutdown).await
}

/// Cancels `shutdown` at the first SIGTERM or SIGINT; at the second the process ends at once.
fn stop_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for stopping in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stopping {
                tracing::warn!("told to stop again: stopping at once");
                std::process::exit(130);
            }
            tracing::info!("stopping");
            shutdown.cancel();
        }
    });
    Ok(())
}
