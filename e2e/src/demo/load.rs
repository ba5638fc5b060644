//! Loads TPC-H into a department's cluster by SQL, and asks it what is in there.

use std::time::{Duration, Instant};

use crate::{
    Error, Result,
    demo::DATA_BUCKET,
    sql::Session,
    storage::{ENDPOINT, Keys, REGION},
    timeline::{Progress, Timeline},
    tpch::{self, Manifest, ScaleFactor, answers},
};

/// Database of the tables.
const DATABASE: &str = "tpch";
/// A statement that reads or writes no data.
const QUICK: Duration = Duration::from_secs(30);
/// One query, or one table's load, for each unit of the scale factor; and at least this once.
const LONG: Duration = Duration::from_secs(600);
/// Rows of a load below which a rate says nothing.
const RATE_FROM_ROWS: u64 = 10_000;

/// Which tables a department has, and what it asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    tables: &'static [&'static str],
    queries: &'static [u8],
}

/// Retail has all of TPC-H; another department only what its own questions need.
pub(super) fn part_of(department: &str) -> Part {
    match department {
        "retail" => Part {
            tables: &tpch::TABLES,
            queries: &[1, 3, 5, 6, 10, 12, 14, 18],
        },
        _ => Part {
            tables: &["orders", "customer", "nation", "region"],
            queries: &[13, 22],
        },
    }
}

/// Makes the tables, loads those that are not loaded, and checks the answers of the queries.
pub(super) async fn load_and_query(
    timeline: &Timeline,
    session: &mut Session,
    part: Part,
    manifest: &Manifest,
    reader: &Keys,
    sf: ScaleFactor,
) -> Result<()> {
    session
        .execute(&format!("CREATE DATABASE IF NOT EXISTS {DATABASE}"), QUICK)
        .await?;
    session.execute(&format!("USE {DATABASE}"), QUICK).await?;
    for table in part.tables {
        timeline
            .step(&format!("load {table}"), async |p| {
                load(session, table, manifest, reader, sf, &p).await
            })
            .await?;
    }
    for query in part.queries {
        timeline
            .step(&format!("TPC-H Q{query}"), async |p| ask(session, *query, sf, &p).await)
            .await?;
    }
    Ok(())
}

async fn load(
    session: &mut Session,
    table: &str,
    manifest: &Manifest,
    reader: &Keys,
    sf: ScaleFactor,
    progress: &Progress,
) -> Result<()> {
    let create = tpch::create_table(table).ok_or_else(|| Error::Missing(format!("TPC-H has no table {table}")))?;
    let rows = manifest.table(table)?.rows;
    let count = format!("SELECT count(*) FROM {table}");
    session.execute(create, QUICK).await?;
    let there = session.value(&count, limit(sf)).await?;
    if there == rows.to_string() {
        progress.say(format!("{rows} rows, already there"));
        return Ok(());
    }
    if there != "0" {
        // Another scale factor, or a load that was cut off: begin again.
        session.execute(&format!("DROP TABLE {table}"), QUICK).await?;
        session.execute(create, QUICK).await?;
    }
    progress.say(format!("INSERT INTO {table} SELECT * FROM FILES(...): {rows} rows"));
    let began = Instant::now();
    let path = format!("s3://{DATA_BUCKET}/{}/{table}/*.parquet", sf.folder());
    session
        .execute(
            &format!("INSERT INTO {table} SELECT * FROM {}", files(&path, reader)),
            limit(sf),
        )
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let found = session.value(&count, limit(sf)).await?;
    if found != rows.to_string() {
        return Err(Error::Wrong {
            what: count,
            expected: rows.to_string(),
            found,
        });
    }
    progress.say(if rows < RATE_FROM_ROWS {
        format!("{rows} rows")
    } else {
        format!("{rows} rows, {:.0} thousand a second", rows as f64 / seconds / 1e3)
    });
    Ok(())
}

/// The table function that reads files on S3.
fn files(path: &str, reader: &Keys) -> String {
    format!(
        r#"FILES("path" = "{path}", "format" = "parquet", "aws.s3.endpoint" = "{ENDPOINT}", "aws.s3.region" = "{REGION}", "aws.s3.enable_path_style_access" = "true", "aws.s3.access_key" = "{}", "aws.s3.secret_key" = "{}")"#,
        reader.id, reader.secret
    )
}

async fn ask(session: &mut Session, query: u8, sf: ScaleFactor, progress: &Progress) -> Result<()> {
    let rows = session.rows(answers::query(query)?, limit(sf)).await?;
    match answers::expected(sf, query) {
        Some(expected) => {
            answers::check(&format!("TPC-H Q{query} at SF {sf}"), &expected, &rows)?;
            progress.say(match rows.len() {
                1 => "1 row, the right one".to_owned(),
                count => format!("{count} rows, the right ones"),
            });
        }
        None => progress.say(format!("{} rows (answers are known at SF 0.01 and 1)", rows.len())),
    }
    Ok(())
}

fn limit(sf: ScaleFactor) -> Duration {
    LONG.mul_f64(sf.get().max(1.0))
}
