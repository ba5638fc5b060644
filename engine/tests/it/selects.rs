//! Plans and prepared statements over tables on compute nodes. What SELECT can say is in `tests/slt`.

use mysql_async::{Value, params::Params, prelude::Queryable};

use crate::{client::rows, processes::cluster};

const TABLES: &[&str] = &[
    "CREATE DATABASE shop",
    "USE shop",
    "CREATE TABLE sales (id INT NOT NULL, city VARCHAR(9), day DATE, amount DECIMAL(9, 2)) DUPLICATE KEY(id) \
     PARTITION BY RANGE(day) (PARTITION jan VALUES LESS THAN ('2026-02-01'), PARTITION feb VALUES LESS THAN ('2026-03-01')) \
     DISTRIBUTED BY HASH(id) BUCKETS 4",
    "CREATE TABLE cities (name VARCHAR(9), land VARCHAR(9)) DISTRIBUTED BY HASH(name) BUCKETS 2",
    "INSERT INTO sales VALUES (1, 'Bonn', '2026-01-05', 10), (2, 'Ulm', '2026-01-06', 20.5), (3, 'Bonn', '2026-02-07', 30), \
     (4, NULL, '2026-02-08', 40), (5, 'Jena', '2026-02-09', NULL), (6, 'Ulm', '2026-02-10', 7.25)",
    "INSERT INTO cities VALUES ('Bonn', 'west'), ('Ulm', 'south'), ('Kiel', 'north')",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_who_reads_what() {
    let cluster = cluster().compute(2).start().await;
    let mut connection = cluster.client.connect().await;
    for statement in TABLES {
        connection
            .query_drop(*statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let plan = rows(
        &mut connection,
        "EXPLAIN SELECT sum(amount) FROM sales WHERE day < '2026-01-20'",
    )
    .await
    .expect("a plan")
    .join("\n");
    assert!(plan.contains("LakeScan: table=shop.sales"), "{plan}");
    let analyzed = rows(&mut connection, "EXPLAIN ANALYZE SELECT id FROM sales WHERE id > 2")
        .await
        .expect("a plan")
        .join("\n");
    assert!(analyzed.contains("ROWS: 4"), "{analyzed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_read_and_write_tables() {
    let cluster = cluster().compute(1).start().await;
    let mut connection = cluster.client.connect().await;
    for statement in TABLES {
        connection
            .query_drop(*statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let insert = connection
        .prep("INSERT INTO cities VALUES (?, ?)")
        .await
        .expect("prepared");
    for (name, land) in [("Köln", Some("west")), ("'; DROP", None)] {
        connection.exec_drop(&insert, (name, land)).await.expect("inserted");
    }
    let select = connection
        .prep("SELECT land FROM cities WHERE name = ? OR name LIKE ?")
        .await
        .expect("prepared");
    let found: Vec<Option<String>> = connection.exec(&select, ("Köln", "%DROP%")).await.expect("rows");
    assert_eq!(found.len(), 2);
    assert!(
        found.contains(&Some("west".to_owned())) && found.contains(&None),
        "{found:?}"
    );
    // Types come in binary as they are declared.
    let row: Option<(i32, String, Value, Value)> = connection
        .exec_first("SELECT id, city, day, amount FROM sales WHERE id = ?", (2,))
        .await
        .map(|row: Option<(i32, String, Value, Value)>| row)
        .expect("a row");
    let (id, city, day, amount) = row.expect("a row");
    assert_eq!((id, city.as_str()), (2, "Ulm"));
    assert_eq!(day, Value::Date(2026, 1, 6, 0, 0, 0, 0));
    assert_eq!(amount, Value::Bytes(b"20.50".to_vec()));
    let nothing: Vec<i32> = connection
        .exec(
            "SELECT id FROM sales WHERE amount > ? AND day > ?",
            (1000.5, "2026-01-01"),
        )
        .await
        .expect("no rows");
    assert!(nothing.is_empty());
    let error = connection
        .exec_drop(&select, Params::Positional(vec![Value::NULL]))
        .await;
    assert!(error.is_err(), "one value for two parameters");
}
