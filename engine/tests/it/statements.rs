//! DDL, INSERT and SELECT over the wire.

use crate::engine::Engine;

const ORDERS: &str = "CREATE TABLE shop.orders (
        id BIGINT NOT NULL, day DATE NOT NULL, amount DECIMAL(10, 2), note VARCHAR(20) DEFAULT 'none'
    ) DUPLICATE KEY(id)
    PARTITION BY RANGE(day) (PARTITION p1 VALUES LESS THAN ('2026-02-01'), PARTITION p2 VALUES LESS THAN ('2026-03-01'))
    DISTRIBUTED BY HASH(id) BUCKETS 3";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_inserted_is_selected_and_survives_a_restart() {
    let (engine, folder) = Engine::start().await;
    engine
        .execute(&[
            "CREATE DATABASE shop",
            ORDERS,
            "INSERT INTO shop.orders VALUES (1, '2026-01-05', 10.50, 'a'), (2, '2026-02-05', 20, NULL)",
            "INSERT INTO shop.orders (id, day) VALUES (3, '2026-01-06')",
        ])
        .await;
    let select = "SELECT id, day, amount, note FROM shop.orders ORDER BY id";
    let expected = [
        "1|2026-01-05|10.50|a",
        "2|2026-02-05|20.00|NULL",
        "3|2026-01-06|NULL|none",
    ];
    assert_eq!(engine.rows(select).await, expected);
    engine.stop();

    let engine = Engine::start_on(folder.path()).await;
    assert_eq!(engine.rows(select).await, expected);
    assert_eq!(
        engine
            .rows("SELECT count(*), sum(amount) FROM shop.orders WHERE day >= '2026-02-01'")
            .await,
        ["1|20.00"]
    );
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_move_between_tables_and_join() {
    let (engine, _folder) = Engine::start().await;
    engine
        .execute(&[
            "CREATE DATABASE shop",
            ORDERS,
            "CREATE TABLE shop.totals (day DATE, orders BIGINT, amount DECIMAL(20, 2)) DUPLICATE KEY(day) DISTRIBUTED BY HASH(day) BUCKETS 2",
            "INSERT INTO shop.orders VALUES (1, '2026-01-05', 1, 'x'), (2, '2026-01-05', 2, 'y'), (3, '2026-02-07', 4, 'z')",
            "INSERT INTO shop.totals SELECT day, count(*), sum(amount) FROM shop.orders GROUP BY day",
        ])
        .await;
    assert_eq!(
        engine.rows("SELECT t.day, t.orders, t.amount, o.note FROM shop.totals t JOIN shop.orders o ON o.day = t.day ORDER BY o.id").await,
        ["2026-01-05|2|3.00|x", "2026-01-05|2|3.00|y", "2026-02-07|1|4.00|z"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_the_frontend_sends_to_one_node_are_inserted_from_the_text_of_a_statement() {
    /// One more than the frontend keeps.
    const ROWS: usize = 100_001;
    let (engine, _folder) = Engine::start().await;
    engine
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.numbers (n TINYINT) DUPLICATE KEY(n) DISTRIBUTED BY HASH(n) BUCKETS 1",
        ])
        .await;
    let insert = format!("INSERT INTO shop.numbers VALUES (1){}", ",(1)".repeat(ROWS - 1));
    // What a failure would print is the whole statement.
    engine.try_rows(&insert).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        engine.rows("SELECT count(*), sum(n) FROM shop.numbers").await,
        [format!("{ROWS}|{ROWS}")]
    );
}
