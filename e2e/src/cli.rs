//! The command line of `springtide-e2e`. The Makefile calls it; each target there is one call.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};
use object_store::local::LocalFileSystem;

use crate::{
    Error, Result, bench, cluster,
    demo::{self, DATA_BUCKET},
    images::{self, Delivery},
    places::Places,
    platform, soak, storage,
    target::Target,
    timeline::Timeline,
    tpch::{ScaleFactor, generate::generate},
};

/// Runs Springtide on a real Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "springtide-e2e", version, about, long_about = None)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When the command that led here began, in seconds since 1970: the timeline counts from then.
    #[arg(long, env = "SPRINGTIDE_STARTED", global = true, hide = true)]
    started: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole story: cluster, operator, two departments, data, queries, a window.
    Demo(Demo),
    /// Removes what the demo made.
    DemoDown {
        /// Context of the other Kubernetes that the demo used.
        #[arg(long, env = "CONTEXT")]
        context: Option<String>,
    },
    /// The local Kubernetes.
    Cluster {
        #[command(subcommand)]
        action: Cluster,
    },
    /// Packs the images and brings them to the nodes.
    Images {
        #[command(flatten)]
        place: Place,
        /// Only pack; print how they would get there.
        #[arg(long)]
        dry_run: bool,
    },
    /// Starts the S3 server in the local Kubernetes.
    Storage,
    /// Makes TPC-H data as Parquet.
    Tpch {
        /// Scale factor.
        #[arg(long, env = "SF", default_value = "1")]
        sf: ScaleFactor,
        /// A folder to write to; the S3 server of the local Kubernetes if not given.
        #[arg(long)]
        directory: Option<PathBuf>,
    },
    /// Tries a promise for long, and fails where it is broken.
    Soak {
        #[command(subcommand)]
        what: Soak,
    },
    /// Measures, and prints a table and one JSON object.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

#[derive(Debug, Subcommand)]
enum Soak {
    /// No statement fails while nodes come and go; without the drain, some do.
    ScaleIn {
        /// Nodes that have to go.
        #[arg(long, env = "SCALE_INS", default_value = "1000")]
        scale_ins: u64,
        /// Hours after which it ends, however many have gone.
        #[arg(long, env = "HOURS", default_value = "4")]
        hours: u64,
        /// Of all random choices; printed, so that a run can be had again.
        #[arg(long, env = "SEED")]
        seed: Option<u64>,
        /// Nodes of the local Kubernetes.
        #[arg(long, env = "NODES", default_value = "2", value_parser = clap::value_parser!(u8).range(2..=9))]
        nodes: u8,
    },
    /// Compute is there before each of many windows, one after the other, two minutes apart.
    Windows {
        /// Windows that open.
        #[arg(long, env = "WINDOWS", default_value = "20")]
        windows: u32,
        /// Nodes of the local Kubernetes.
        #[arg(long, env = "NODES", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// TPC-H on the engine alone, beside DuckDB.
    Query {
        /// Scale factor.
        #[arg(long, env = "SF", default_value = "1")]
        sf: ScaleFactor,
    },
    /// From a pod's creation to a compute node that serves, on the demo's cluster.
    Start {
        /// Namespace of the group.
        #[arg(long, default_value = "retail")]
        namespace: String,
        /// Name of the ComputeGroup.
        #[arg(long, default_value = "dashboards")]
        group: String,
    },
}

#[derive(Debug, Args)]
struct Demo {
    /// Scale factor of TPC-H.
    #[arg(long, env = "SF", default_value = "1")]
    sf: ScaleFactor,
    /// Nodes of the local Kubernetes.
    #[arg(long, env = "NODES", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    #[command(flatten)]
    place: Place,
    /// Print how images would get to the cluster, and stop there.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Place {
    /// Another Kubernetes: a context of your kubeconfig.
    #[arg(long, env = "CONTEXT")]
    context: Option<String>,
    /// A registry that the other Kubernetes pulls from: `host[:port][/path]`.
    #[arg(long, env = "REGISTRY", requires = "context")]
    registry: Option<String>,
    /// The registry's login, a Docker `config.json`: for the push, and for the pods as a pull secret.
    #[arg(long, env = "REGISTRY_LOGIN", requires = "registry")]
    registry_login: Option<PathBuf>,
}

impl Place {
    fn context(self) -> Result<Option<(String, Delivery)>> {
        // An empty variable is one that was not given: make passes those on.
        let given = |text: &String| !text.is_empty();
        let Some(context) = self.context.filter(given) else {
            return Ok(None);
        };
        let login = self.registry_login.filter(|path| !path.as_os_str().is_empty());
        let delivery = Delivery::for_context(&context, self.registry.filter(given), login)?;
        Ok(Some((context, delivery)))
    }
}

#[derive(Debug, Subcommand)]
enum Cluster {
    /// Starts it, or adds what is missing.
    Up {
        /// Nodes.
        #[arg(long, env = "NODES", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
    /// Stops it and removes every trace of it.
    Down,
}

/// Runs a command, prints its timeline, and the error if there is one.
pub async fn run(arguments: Arguments) -> ExitCode {
    let before = arguments.started.map_or(Duration::ZERO, since);
    let timeline = Timeline::on_stdout(before);
    match perform(arguments.command, &timeline).await {
        Ok(()) => {
            timeline.heading(&format!("Done in {:.0} s.", timeline.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            timeline.heading(&format!("Failed after {:.0} s.", timeline.elapsed().as_secs_f64()));
            timeline.note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn since(seconds: u64) -> Duration {
    let began = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    std::time::SystemTime::now().duration_since(began).unwrap_or_default()
}

async fn perform(command: Command, timeline: &Timeline) -> Result<()> {
    let places = Places::find()?;
    match command {
        Command::Demo(Demo {
            sf,
            nodes,
            place,
            dry_run,
        }) => {
            let options = demo::Options {
                scale_factor: sf,
                platform: platform::Options {
                    nodes,
                    context: place.context()?,
                    dry_run,
                },
            };
            demo::run(&places, timeline, &options).await
        }
        Command::DemoDown { context } => demo::remove(&places, timeline, context.filter(|text| !text.is_empty())).await,
        Command::Cluster {
            action: Cluster::Up { nodes },
        } => {
            timeline
                .step("packages", async |p| cluster::packages(&places, &p).await)
                .await?;
            timeline
                .step("Kubernetes", async |p| cluster::up(&places, nodes, &p).await)
                .await?;
            timeline.note(&Target::local(&places).shell_setup());
            Ok(())
        }
        Command::Cluster { action: Cluster::Down } => {
            timeline
                .step("Kubernetes", async |p| cluster::down(&places, &p).await)
                .await
        }
        Command::Images { place, dry_run } => bring_images(&places, timeline, place, dry_run).await,
        Command::Storage => start_storage(&places, timeline).await,
        Command::Tpch { sf, directory } => make_data(&places, timeline, sf, directory).await,
        Command::Soak {
            what:
                Soak::ScaleIn {
                    scale_ins,
                    hours,
                    seed,
                    nodes,
                },
        } => {
            let options = soak::Options {
                gone: scale_ins,
                going: soak::Going::Asked,
                every_way: true,
                limit: Duration::from_secs(hours * 3600),
                seed: seed.unwrap_or_else(rand::random),
            };
            soak::soak(&places, timeline, nodes, &options).await
        }
        Command::Soak {
            what: Soak::Windows { windows, nodes },
        } => soak::windows(&places, timeline, nodes, windows).await,
        Command::Bench {
            what: Bench::Query { sf },
        } => bench::query(&places, timeline, sf).await,
        Command::Bench {
            what: Bench::Start { namespace, group },
        } => bench::start(&places, timeline, &namespace, &group).await,
    }
}

async fn bring_images(places: &Places, timeline: &Timeline, place: Place, dry_run: bool) -> Result<()> {
    let delivery = place.context()?.map_or(Delivery::LocalNodes, |(_, delivery)| delivery);
    let tools = timeline
        .step("tools", async |p| images::tools(places, delivery.tools(), &p).await)
        .await?;
    let made = timeline
        .step("images", async |p| images::pack(places, &p).await)
        .await?;
    if dry_run {
        for image in &made {
            timeline.note(delivery.command(places, image, &tools).line());
        }
        return Ok(());
    }
    timeline
        .step("images to the nodes", async |p| {
            images::deliver(places, &delivery, &made, &tools, &p).await
        })
        .await
}

async fn start_storage(places: &Places, timeline: &Timeline) -> Result<()> {
    let target = Target::local(places);
    let tools = timeline
        .step("tools", async |p| {
            images::tools(places, target.delivery.tools(), &p).await
        })
        .await?;
    let made = images::pack(places, &Default::default()).await?;
    let server = made.iter().find(|image| image.short_name() == images::S3_SERVER);
    let server = server.ok_or_else(|| Error::Missing("images/build made no versitygw".into()))?;
    timeline
        .step("S3 server (versitygw)", async |p| {
            let storage = storage::start(&target, places, server, tools, &p).await?;
            p.say(format!(
                "{} in the cluster, {} from here",
                storage::ENDPOINT,
                storage.url()
            ));
            Ok(())
        })
        .await
}

async fn make_data(places: &Places, timeline: &Timeline, sf: ScaleFactor, directory: Option<PathBuf>) -> Result<()> {
    let name = format!("TPC-H SF {sf}");
    let Some(directory) = directory else {
        let tools = images::tools(places, &[images::S3_SERVER], &Default::default()).await?;
        let storage = storage::open(&Target::local(places), tools).await?;
        let owner = storage.account(demo::DATA_ACCOUNT).await?;
        storage.bucket(DATA_BUCKET, &owner).await?;
        let store = storage.store(DATA_BUCKET, &owner)?;
        return timeline
            .step(&name, async |p| generate(store, &sf.folder(), sf, &p).await.map(drop))
            .await;
    };
    std::fs::create_dir_all(&directory).map_err(Error::io(format!("make {}", directory.display())))?;
    let store =
        LocalFileSystem::new_with_prefix(&directory).map_err(Error::store(format!("open {}", directory.display())))?;
    timeline
        .step(&name, async |p| {
            generate(Arc::new(store), &sf.folder(), sf, &p).await.map(drop)
        })
        .await
}
