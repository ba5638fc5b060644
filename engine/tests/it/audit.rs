//! The audit table: every statement with its basic columns, and no secret.

use std::time::Duration;

use mysql_async::prelude::Queryable;

use crate::{engine::Engine, load::put, processes::until};

const TABLE: &str = "starrocks_audit_db__.starrocks_audit_tbl__";

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_in_the_audit_table_and_no_password_is() {
    let (engine, _folder) = Engine::start().await;
    let mut connection = engine.connect().await;
    for statement in [
        "CREATE DATABASE shop",
        "USE shop",
        "CREATE TABLE item (id BIGINT, name VARCHAR(9)) DISTRIBUTED BY HASH(id) BUCKETS 2",
        "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "CREATE USER ana IDENTIFIED BY 'hunter2'",
        "SELECT name FROM item WHERE id > 1",
    ] {
        connection.query_drop(statement).await.expect(statement);
    }
    for wrong in [
        "SELECT * FROM nothing",
        "SELEKT 1",
        "ALTER USER ana IDENTIFIED BY 'hunter3' AND MORE",
    ] {
        connection.query_drop(wrong).await.expect_err(wrong);
    }
    drop(connection);
    let select = format!(
        "SELECT stmt, queryType, state, errorCode, returnRows, scanRows, db, user, clientIp, warehouse, isQuery, feIp, \
         queryTime >= 0, stmtId FROM {TABLE} ORDER BY stmtId, `timestamp`"
    );
    // Records are written in batches, seconds later.
    let rows = until("the audit is written", async || {
        let rows = engine.try_rows(&select).await.ok()?;
        let there = rows.iter().any(|row| row.starts_with("(not shown"));
        if !there {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        there.then_some(rows)
    })
    .await;
    let text = rows.join("\n");
    let check = |statement: &str, expected: &str| {
        let found: Vec<&String> = rows.iter().filter(|row| row.starts_with(statement)).collect();
        assert_eq!(found.len(), 1, "{statement} in\n{text}");
        let rest = &found[0][statement.len()..];
        assert!(rest.starts_with(expected), "{statement}{rest}");
    };
    let session = "shop|admin|127.0.0.1|default_warehouse";
    check("CREATE DATABASE shop", "|DDL|OK||0|0||admin|");
    check(
        "INSERT INTO item",
        &format!(" VALUES (1, 'a'), (2, 'b'), (3, 'c')|DML|OK||3|0|{session}|0|127.0.0.1|1|"),
    );
    check(
        "SELECT name FROM item",
        &format!(" WHERE id > 1|Query|EOF||2|3|{session}|1|127.0.0.1|1|"),
    );
    check("SELECT * FROM nothing", &format!("|Query|ERR|5502|0|0|{session}|1|"));
    check("SELEKT 1", &format!("|Other|ERR|1064|0|0|{session}|0|"));
    check("CREATE USER ana IDENTIFIED BY '***'", "|Other|OK|");
    check(
        "(not shown: cannot be read and may hold a password)",
        "|Other|ERR|1064|",
    );
    assert!(!text.contains("hunter"), "{text}");
    // Who is no administrator reads it, and adds nothing to it.
    let url = format!(
        "http://127.0.0.1:{}/api/{}/_stream_load",
        engine.http_port,
        TABLE.replace('.', "/")
    );
    let (status, reply) = put(&url, "ana", "hunter2", &[], b"forged".to_vec()).await;
    assert_eq!(status, reqwest::StatusCode::UNAUTHORIZED, "{reply}");
    let count = format!("SELECT count(*) > 0 FROM {TABLE}");
    assert_eq!(engine.as_user("ana", "hunter2").rows(&count).await, ["1"]);
    // The audit's own writes are not in it.
    assert!(!text.contains("INSERT INTO starrocks_audit"), "{text}");
    engine.stop();
}
