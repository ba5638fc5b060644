//! The files in `tests/slt`, in the format of sqllogictest: against a frontend with two compute nodes, and, where `SLT_URL` names
//! one (`mysql://user:password@host:9030`), against a real StarRocks, whose answers are those that count.

use std::path::{Path, PathBuf};

use mysql_async::{Conn, Opts, Row, prelude::Queryable};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::{client::text, processes::cluster};

/// One session, as sqllogictest drives it.
struct Session {
    connection: Conn,
    engine: &'static str,
}

#[async_trait::async_trait]
impl AsyncDB for Session {
    type Error = mysql_async::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, mysql_async::Error> {
        let mut result = self.connection.query_iter(sql).await?;
        let Some(columns) = result.columns() else {
            return Ok(DBOutput::StatementComplete(result.affected_rows()));
        };
        let rows: Vec<Row> = result.collect().await?;
        let shown = |value: &_| match text(value) {
            empty if empty.is_empty() => "(empty)".to_owned(),
            text => text,
        };
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Text; columns.len()],
            rows: rows
                .into_iter()
                .map(|row| row.unwrap().iter().map(shown).collect())
                .collect(),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.engine
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("tests/slt")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file in {}", folder.display());
    files
}

/// Runs all files, each in a session of its own, and names every record that failed.
async fn run_files(options: impl Into<Opts>, engine: &'static str) {
    let options: Opts = options.into();
    let mut wrong = Vec::new();
    for file in files() {
        let mut runner = Runner::new(|| async {
            Ok(Session {
                connection: Conn::new(options.clone()).await?,
                engine,
            })
        });
        let records = sqllogictest::parse_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for record in records {
            if let Err(error) = runner.run_async(record).await {
                wrong.push(error.display(false).to_string());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} records failed:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_answers_as_the_files_say() {
    if let Ok(url) = std::env::var("SLT_URL") {
        run_files(Opts::from_url(&url).expect("SLT_URL"), "starrocks").await;
    }
    let cluster = cluster().compute(2).start().await;
    run_files(cluster.client.options(), "springtide").await;
}
