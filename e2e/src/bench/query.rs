//! TPC-H on the engine alone, on a local folder, beside DuckDB over the same Parquet files on the same machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use object_store::local::LocalFileSystem;

use super::{Figures, median, rounded};
use crate::{
    Error, Result,
    places::Places,
    process::run,
    sql::Session,
    standalone::{self, Standalone},
    timeline::{Progress, Timeline},
    tpch::{self, Manifest, ScaleFactor, answers, generate::generate},
};

/// Timed runs of each query, after one that warms up.
const RUNS: usize = 3;
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
            Standalone::start(places, &folder, &p).await
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
    standalone::remove(&folder)?;
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
