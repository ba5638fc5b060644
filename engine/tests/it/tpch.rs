//! The 22 queries of TPC-H at scale factor 0.01 on the whole engine, against the answers of another engine.

use std::{fs::File, path::Path};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

use crate::{engine::Engine, processes::cluster};

const SCALE: f64 = 0.01;
/// Averages are rounded differently by different engines.
const TOLERANCE: f64 = 1e-6;

macro_rules! tables {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../e2e/tpch/schema/", $name, ".sql")))),*]
    };
}

macro_rules! queries {
    ($($number:literal)*) => {
        [$((
            $number,
            include_str!(concat!("../../../e2e/tpch/queries/q", $number, ".sql")),
            include_str!(concat!("../../../e2e/tpch/answers/sf0.01/q", $number, ".csv")),
        )),*]
    };
}

const TABLES: [(&str, &str); 8] =
    tables!("lineitem" "orders" "partsupp" "part" "customer" "supplier" "nation" "region");
const QUERIES: [(u8, &str, &str); 22] = queries!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

fn batches(table: &str) -> Vec<RecordBatch> {
    match table {
        "lineitem" => LineItemArrow::new(LineItemGenerator::new(SCALE, 1, 1)).collect(),
        "orders" => OrderArrow::new(OrderGenerator::new(SCALE, 1, 1)).collect(),
        "partsupp" => PartSuppArrow::new(PartSuppGenerator::new(SCALE, 1, 1)).collect(),
        "part" => PartArrow::new(PartGenerator::new(SCALE, 1, 1)).collect(),
        "customer" => CustomerArrow::new(CustomerGenerator::new(SCALE, 1, 1)).collect(),
        "supplier" => SupplierArrow::new(SupplierGenerator::new(SCALE, 1, 1)).collect(),
        "nation" => NationArrow::new(NationGenerator::new(SCALE, 1, 1)).collect(),
        _ => RegionArrow::new(RegionGenerator::new(SCALE, 1, 1)).collect(),
    }
}

/// A table as a Parquet file.
fn parquet(table: &str) -> Vec<u8> {
    let batches = batches(table);
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).expect("a writer");
    for batch in &batches {
        writer.write(batch).expect("rows");
    }
    writer.into_inner().expect("a file")
}

/// One line of an answer; values have no line breaks.
fn values(line: &str) -> Vec<String> {
    let (mut values, mut value, mut inside) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if inside && letters.peek() == Some(&'"') => value.extend(letters.next()),
            '"' => inside = !inside,
            ',' if !inside => values.push(std::mem::take(&mut value)),
            _ => value.push(letter),
        }
    }
    values.push(value);
    values
}

fn is_same(expected: &str, found: &str) -> bool {
    expected == found
        || match (expected.parse::<f64>(), found.parse::<f64>()) {
            (Ok(expected), Ok(found)) => (expected - found).abs() <= (expected.abs() * TOLERANCE).max(TOLERANCE),
            _ => false,
        }
}

#[track_caller]
fn check(number: u8, answer: &str, found: &[String]) {
    let expected: Vec<Vec<String>> = answer.lines().skip(1).map(values).collect();
    assert_eq!(found.len(), expected.len(), "rows of Q{number}");
    for (line, (expected, found)) in expected.iter().zip(found).enumerate() {
        let cells: Vec<&str> = found.split('|').collect();
        let is_right = cells.len() == expected.len() && expected.iter().zip(&cells).all(|(a, b)| is_same(a, b));
        assert!(is_right, "Q{number}, row {}: {expected:?}, found {cells:?}", line + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_gives_the_right_answers_from_files_of_a_folder() {
    let (engine, folder) = Engine::start().await;
    engine.execute(&["CREATE DATABASE tpch"]).await;
    for (table, create) in TABLES {
        let path = folder.path().join(format!("{table}.parquet"));
        std::io::Write::write_all(&mut File::create(&path).expect("a file"), &parquet(table)).expect("bytes");
        load_from(&engine, table, create, &path).await;
    }
    assert_eq!(engine.rows("SELECT count(*) FROM tpch.lineitem").await, ["60175"]);
    let mut connection = engine.connect().await;
    mysql_async::prelude::Queryable::query_drop(&mut connection, "USE tpch")
        .await
        .expect("a database");
    for (number, query, answer) in QUERIES {
        let found = crate::client::rows(&mut connection, query)
            .await
            .unwrap_or_else(|error| panic!("Q{number}: {error}"));
        check(number, answer, &found);
    }
    engine.stop();
}

async fn load_from(engine: &Engine, table: &str, create: &str, path: &Path) {
    let create = create.replace("CREATE TABLE IF NOT EXISTS ", "CREATE TABLE IF NOT EXISTS tpch.");
    let insert = format!(
        r#"INSERT INTO tpch.{table} SELECT * FROM FILES("path" = "file://{}", "format" = "parquet")"#,
        path.display()
    );
    engine.execute(&[&create, &insert]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_compute_nodes_give_the_right_answers_and_all_of_them_scan() {
    let cluster = cluster().compute(3).start().await;
    let client = &cluster.client;
    client.execute(&["CREATE DATABASE tpch"]).await;
    for (table, create) in TABLES {
        let create = create.replace("CREATE TABLE IF NOT EXISTS ", "CREATE TABLE IF NOT EXISTS tpch.");
        client.execute(&[&create]).await;
        let url = cluster.load_url("tpch", table);
        let headers = [("format", "parquet")];
        let (_, reply) = crate::load::put(&url, &client.user, &client.password, &headers, parquet(table)).await;
        assert_eq!(reply["Status"], "Success", "{table}: {reply}");
    }
    let mut connection = client.connect().await;
    mysql_async::prelude::Queryable::query_drop(&mut connection, "USE tpch")
        .await
        .expect("a database");
    for (number, query, answer) in QUERIES {
        let mut before = Vec::new();
        for node in &cluster.nodes {
            before.push(node.scanned_rows().await);
        }
        let found = crate::client::rows(&mut connection, query)
            .await
            .unwrap_or_else(|error| panic!("Q{number}: {error}"));
        check(number, answer, &found);
        for (node, before) in cluster.nodes.iter().zip(before) {
            // Small tables are on few nodes; all queries but these read one of the two large tables as a whole.
            let spreads = !matches!(number, 2 | 11 | 16);
            let scanned = node.scanned_rows().await - before;
            assert!(
                scanned > 0 || !spreads,
                "Q{number}: compute node {} scanned no row",
                node.host
            );
        }
    }
}
