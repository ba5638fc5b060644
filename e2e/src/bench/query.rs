//! TPC-H on the engine alone, on a local folder, beside DuckDB over the same Parquet files on the same machine.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use object_store::local::LocalFileSystem;
use springtide_contract::paths;
use tokio::process::{Child, Command};

use super::{Figures, median, rounded};
use crate::{
    Error, Result,
    cluster::{Look, wait_until},
    places::Places,
    process::run,
    sql::{Door, Session},
    timeline::{Progress, Timeline},
    tpch::{self, Manifest, ScaleFactor, answers, generate::generate},
};

/// Timed runs of each query, after one that warms up.
const RUNS: usize = 3;
/// The engine answers its first statement.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A statement on metadata.
const QUICK: Duration = Duration::from_secs(30);
/// One query or one table's load, for each unit of the scale factor; and at least this once.
const LONG: Duration = Duration::from_secs(900);
/// All of DuckDB's runs, for each unit of the scale factor.
const PEER_LIMIT: Duration = Duration::from_secs(900);

/// Loads TPC-H, times its 22 queries and checks their answers; then the same queries in DuckDB.
pub async fn query(places: &Places, timeline: &Timeline, sf: ScaleFactor) -> Result<()> {
    timeline.heading(&format!("TPC-H at scale factor {sf}, {RUNS} runs of each query"));
    let data = places.cache.join("tpch");
    let manifest = timeline
        .step("Parquet files", async |p| files(&data, sf, &p).await)
        .await?;
    let folder = places.cache.join("bench-query");
    let mut engine = timeline
        .step("springtide-engine standalone", async |p| {
            Engine::start(places, &folder, &p).await
        })
        .await?;
    let loaded = timeline
        .step("load", async |p| {
            load(&mut engine.session, &data.join(sf.folder()), &manifest, sf, &p).await
        })
        .await?;
    let ours = timeline
        .step("queries", async |p| ours(&mut engine.session, sf, &p).await)
        .await?;
    drop(engine);
    remove(&folder)?;
    let theirs = timeline
        .step("the same in DuckDB", async |p| {
            theirs(places, &data.join(sf.folder()), sf, &p).await
        })
        .await?;
    report(timeline, places, sf, loaded, &manifest, &ours, &theirs).await
}

async fn files(data: &Path, sf: ScaleFactor, progress: &Progress) -> Result<Manifest> {
    std::fs::create_dir_all(data).map_err(Error::io(format!("make {}", data.display())))?;
    let store = LocalFileSystem::new_with_prefix(data).map_err(Error::store(format!("open {}", data.display())))?;
    generate(Arc::new(store), &sf.folder(), sf, progress).await
}

/// A standalone engine on an empty folder, ended when it is dropped.
struct Engine {
    session: Session,
    _process: Child,
}

impl Engine {
    async fn start(places: &Places, folder: &Path, progress: &Progress) -> Result<Self> {
        remove(folder)?;
        std::fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
        let log = folder.join("log");
        let log = std::fs::File::create(&log).map_err(Error::io(format!("make {}", log.display())))?;
        let [mysql, http, compute_http] = [free_port()?, free_port()?, free_port()?];
        let program = places.programs().join("springtide-engine");
        let process = Command::new(&program)
            .args(["--log", "warn", "standalone", "--data"])
            .arg(folder)
            .args(["--mysql-port", &mysql.to_string(), "--http-port", &http.to_string()])
            .args(["--compute-http-port", &compute_http.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("start {}", program.display())))?;
        let door = Door::on_this_machine(mysql);
        let account = folder.join(paths::ADMIN_ACCOUNT.trim_start_matches('/'));
        let began = Instant::now();
        let session = wait_until("the engine has compute", START_LIMIT, progress, async || {
            let text = |file: &str| std::fs::read_to_string(account.join(file)).unwrap_or_default();
            let (user, password) = (text(paths::USERNAME_FILE), text(paths::PASSWORD_FILE));
            let mut session = match Session::open(&door, user.trim(), password.trim()).await {
                Ok(session) => session,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            let nodes = session.rows("SHOW COMPUTE NODES", QUICK).await?;
            let alive = nodes.iter().any(|node| node.iter().any(|value| value == "true"));
            Ok(if alive {
                Look::Done(session)
            } else {
                Look::NotYet("no compute node is alive".into())
            })
        })
        .await?;
        progress.say(format!(
            "{:.1} s to its first compute node",
            began.elapsed().as_secs_f64()
        ));
        Ok(Self {
            session,
            _process: process,
        })
    }
}

fn free_port() -> Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Makes and fills the tables; returns the seconds of the loads.
async fn load(
    session: &mut Session,
    data: &Path,
    manifest: &Manifest,
    sf: ScaleFactor,
    progress: &Progress,
) -> Result<f64> {
    session.execute("CREATE DATABASE tpch", QUICK).await?;
    session.execute("USE tpch", QUICK).await?;
    let mut seconds = 0.0;
    for table in tpch::TABLES {
        let create = tpch::create_table(table).ok_or_else(|| Error::Missing(format!("TPC-H has no table {table}")))?;
        session.execute(create, QUICK).await?;
        progress.say(table);
        let path = data.join(table);
        let files = format!(
            r#"FILES("path" = "file://{}/*.parquet", "format" = "parquet")"#,
            path.display()
        );
        let began = Instant::now();
        session
            .execute(&format!("INSERT INTO {table} SELECT * FROM {files}"), limit(LONG, sf))
            .await?;
        seconds += began.elapsed().as_secs_f64();
    }
    progress.say(format!("{} rows", manifest.rows()));
    Ok(seconds)
}

/// Seconds of each query, the middle of [`RUNS`].
async fn ours(session: &mut Session, sf: ScaleFactor, progress: &Progress) -> Result<BTreeMap<u8, f64>> {
    let mut middle = BTreeMap::new();
    for (number, text) in answers::QUERIES {
        let mut seconds = Vec::with_capacity(RUNS);
        for attempt in 0..=RUNS {
            progress.say(format!("Q{number}, run {attempt} of {RUNS}"));
            let began = Instant::now();
            let rows = session.rows(text, limit(LONG, sf)).await?;
            let took = began.elapsed().as_secs_f64();
            if let Some(expected) = answers::expected(sf, number) {
                answers::check(&format!("TPC-H Q{number} at SF {sf}"), &expected, &rows)?;
            }
            if attempt > 0 {
                seconds.push(took);
            }
        }
        middle.insert(number, median(&seconds));
    }
    progress.say(match answers::expected(sf, 1) {
        Some(_) => "all answers are the right ones",
        None => "answers are known at SF 0.01 and 1 only, so these are not checked",
    });
    Ok(middle)
}

/// The same in DuckDB, from PyPI, in a process of its own.
async fn theirs(places: &Places, data: &Path, sf: ScaleFactor, progress: &Progress) -> Result<BTreeMap<u8, f64>> {
    let python = run(places.e2e("bench/peers"), PEER_LIMIT).output().await?;
    let printed = run(PathBuf::from(python.trim()), limit(PEER_LIMIT, sf))
        .arg(places.e2e("bench/duckdb_tpch.py"))
        .arg(data)
        .arg(places.e2e("tpch/queries"))
        .arg(RUNS.to_string())
        .output()
        .await?;
    let runs: BTreeMap<u8, Vec<f64>> = serde_json::from_str(&printed)
        .map_err(|error| Error::Missing(format!("bench/duckdb_tpch.py printed no figures: {error}")))?;
    progress.say(format!("{} queries", runs.len()));
    Ok(runs
        .into_iter()
        .map(|(number, seconds)| (number, median(&seconds)))
        .collect())
}

fn limit(one: Duration, sf: ScaleFactor) -> Duration {
    one.mul_f64(sf.get().max(1.0))
}

async fn report(
    timeline: &Timeline,
    places: &Places,
    sf: ScaleFactor,
    loaded: f64,
    manifest: &Manifest,
    ours: &BTreeMap<u8, f64>,
    theirs: &BTreeMap<u8, f64>,
) -> Result<()> {
    timeline.heading("Seconds, the middle of the runs");
    timeline.line("| query | Springtide | DuckDB | ratio |\n|---|---|---|---|");
    let mut logarithms = Vec::new();
    for (number, seconds) in ours {
        let peer = theirs.get(number).copied().unwrap_or(f64::NAN);
        let ratio = seconds / peer;
        logarithms.push(ratio.ln());
        timeline.line(&format!("| Q{number} | {seconds:.2} | {peer:.2} | {ratio:.1} |"));
    }
    let (sum, peers): (f64, f64) = (ours.values().sum(), theirs.values().sum());
    let geometric = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    timeline.line(&format!(
        "| all | {sum:.2} | {peers:.2} | {geometric:.1} (geometric mean) |"
    ));
    timeline.line(&format!("| load of {} rows | {loaded:.1} | | |", manifest.rows()));
    let mut metrics = BTreeMap::from([("seconds", rounded(sum)), ("load_s", rounded(loaded))]);
    // Names that stay: ratios at the two scales that are compared over time.
    match sf.folder().as_str() {
        "sf1" => metrics.insert("tpch_sf1_vs_duckdb", rounded(geometric)),
        "sf10" => metrics.insert("tpch_sf10_vs_duckdb", rounded(geometric)),
        _ => metrics.insert("tpch_vs_duckdb", rounded(geometric)),
    };
    Figures::print(timeline, places, "query", metrics).await
}
