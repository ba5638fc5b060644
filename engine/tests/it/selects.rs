//! What SELECT can say, over tables on two compute nodes.

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
    "CREATE TABLE seen (id INT, at DATETIME)",
    "INSERT INTO seen VALUES (1, NOW())",
    "INSERT INTO cities VALUES ('Bonn', 'west'), ('Ulm', 'south'), ('Kiel', 'north')",
];

/// A query and its rows.
const SELECTS: &[(&str, &[&str])] = &[
    (
        "SELECT count(*), sum(amount), min(day), max(city) FROM sales",
        &["6|107.75|2026-01-05|Ulm"],
    ),
    (
        "SELECT city, count(*) AS n FROM sales GROUP BY city HAVING n > 1 ORDER BY n DESC, city",
        &["Bonn|2", "Ulm|2"],
    ),
    (
        "SELECT id FROM sales WHERE day BETWEEN '2026-02-01' AND '2026-02-08' ORDER BY id",
        &["3", "4"],
    ),
    (
        "SELECT id FROM sales WHERE city IS NULL OR amount IS NULL ORDER BY id DESC",
        &["5", "4"],
    ),
    (
        "SELECT id FROM sales WHERE city LIKE '%n%' AND city NOT IN ('Jena') ORDER BY 1",
        &["1", "3"],
    ),
    (
        "SELECT id FROM sales ORDER BY amount DESC LIMIT 2 OFFSET 1",
        &["3", "2"],
    ),
    (
        "SELECT s.id, c.land FROM sales s LEFT JOIN cities c ON s.city = c.name ORDER BY s.id",
        &["1|west", "2|south", "3|west", "4|NULL", "5|NULL", "6|south"],
    ),
    (
        "SELECT c.name, s.id FROM sales s RIGHT JOIN cities c ON s.city = c.name AND s.id > 3 ORDER BY 1",
        &["Bonn|NULL", "Kiel|NULL", "Ulm|6"],
    ),
    (
        "SELECT count(*), count(s.id), count(c.name) FROM sales s FULL OUTER JOIN cities c ON s.city = c.name",
        &["7|6|5"],
    ),
    ("SELECT count(*) FROM sales a CROSS JOIN cities b", &["18"]),
    (
        "SELECT name FROM cities WHERE name IN (SELECT city FROM sales) ORDER BY name",
        &["Bonn", "Ulm"],
    ),
    (
        "SELECT name FROM cities c WHERE NOT EXISTS (SELECT 1 FROM sales s WHERE s.city = c.name)",
        &["Kiel"],
    ),
    (
        "SELECT id FROM sales WHERE amount > (SELECT avg(amount) FROM sales) ORDER BY id",
        &["3", "4"],
    ),
    (
        "SELECT id, amount FROM sales s WHERE amount = (SELECT max(amount) FROM sales t WHERE t.city = s.city) ORDER BY id",
        &["2|20.50", "3|30.00"],
    ),
    (
        "WITH big AS (SELECT city, sum(amount) AS total FROM sales GROUP BY city) SELECT city FROM big WHERE total > 25 AND city \
         IS NOT NULL ORDER BY total DESC",
        &["Bonn", "Ulm"],
    ),
    (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) FROM n",
        &["10"],
    ),
    (
        "SELECT city FROM sales WHERE city IS NOT NULL UNION SELECT name FROM cities ORDER BY 1",
        &["Bonn", "Jena", "Kiel", "Ulm"],
    ),
    (
        "SELECT name FROM cities INTERSECT SELECT city FROM sales ORDER BY 1",
        &["Bonn", "Ulm"],
    ),
    ("SELECT name FROM cities EXCEPT SELECT city FROM sales", &["Kiel"]),
    (
        "SELECT id, row_number() OVER (PARTITION BY city ORDER BY day) AS r, sum(amount) OVER (ORDER BY id) AS running FROM \
         sales WHERE city IN ('Bonn', 'Ulm') ORDER BY id",
        &["1|1|10.00", "2|1|30.50", "3|2|60.50", "6|2|67.75"],
    ),
    (
        "SELECT id, lag(id, 1) OVER (ORDER BY id) FROM sales WHERE id < 4 ORDER BY id",
        &["1|NULL", "2|1", "3|2"],
    ),
    (
        "SELECT city, CASE WHEN amount > 15 THEN 'much' WHEN amount IS NULL THEN 'none' ELSE 'some' END FROM sales WHERE id IN \
         (1, 2, 5) ORDER BY id",
        &["Bonn|some", "Ulm|much", "Jena|none"],
    ),
    (
        "SELECT DISTINCT land FROM cities ORDER BY land",
        &["north", "south", "west"],
    ),
    ("SELECT count(DISTINCT city) FROM sales", &["3"]),
    (
        "SELECT land, name, count(*) FROM cities GROUP BY ROLLUP(land, name) HAVING name IS NULL ORDER BY land",
        &["NULL|NULL|3", "north|NULL|1", "south|NULL|1", "west|NULL|1"],
    ),
    (
        "SELECT date_format(day, '%Y-%m'), year(day), IFNULL(city, '-'), concat(id, '!'), upper(city) FROM sales WHERE id = 4",
        &["2026-02|2026|-|4!|NULL"],
    ),
    (
        "SELECT group_concat(name ORDER BY name SEPARATOR '+') FROM cities",
        &["Bonn+Kiel+Ulm"],
    ),
    (
        "SELECT round(stddev(amount), 3), approx_count_distinct(city), median(amount) FROM sales",
        &["12.254|3|20.50"],
    ),
    (
        "SELECT a.id FROM sales a JOIN sales b USING (id) JOIN cities c ON c.name = b.city WHERE c.land = 'south' ORDER BY 1",
        &["2", "6"],
    ),
    (
        "SELECT count(*) FROM sales WHERE day < NOW() + INTERVAL 100 YEAR AND day > CURDATE() - INTERVAL 100 YEAR",
        &["6"],
    ),
    (
        "SELECT count(*) FROM seen WHERE at BETWEEN NOW() - INTERVAL 1 HOUR AND NOW() + INTERVAL 1 MINUTE",
        &["1"],
    ),
    (
        "SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS v(a, b) WHERE a = 2",
        &["2|y"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn selects_give_what_they_say() {
    let cluster = cluster().compute(2).start().await;
    let mut connection = cluster.client.connect().await;
    for statement in TABLES {
        connection
            .query_drop(*statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let mut wrong = Vec::new();
    for (query, expected) in SELECTS {
        match rows(&mut connection, query).await {
            Ok(found) if found == *expected => {}
            Ok(found) => wrong.push(format!("{query}\n    expected {expected:?}\n    found    {found:?}")),
            Err(error) => wrong.push(format!("{query}\n    {error}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // What a partition cannot hold is not read, and the plan says who reads what.
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
