//! Statements over MySQL that need no compute node, against a whole frontend.

use std::time::{Duration, Instant};

use mysql_async::{Conn, Value, prelude::Queryable};

use crate::frontend::{ADMIN, Frontend, OPERATOR, cell, rows};

pub(crate) async fn fails(connection: &mut Conn, sql: &str) -> (u16, String) {
    match connection.query_drop(sql).await {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn only_who_has_a_password_gets_in() {
    let frontend = Frontend::start().await;
    assert!(frontend.connect_as(ADMIN).await.is_ok());
    assert!(frontend.connect_as(OPERATOR).await.is_ok());
    for wrong in [
        ("admin", "wrong"),
        ("admin", ""),
        ("root", ""),
        ("", ""),
        ("nobody", "admin-password"),
    ] {
        match frontend.connect_as(wrong).await {
            Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1045, "{wrong:?}"),
            other => panic!("{wrong:?}: {}", other.is_ok()),
        }
    }
    frontend.stop().await;
}

#[tokio::test]
async fn statements_without_tables_need_no_node() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    for (sql, expected) in [
        ("SELECT 1", "1"),
        ("SELECT 1/2", "0.5"),
        ("SELECT 1/0", "NULL"),
        ("SELECT 7 DIV 2 + 1", "4"),
        ("SELECT IF(1 > 2, 'a', \"b\")", "b"),
        ("SELECT CAST('2024-01-02 03:04:05' AS DATETIME)", "2024-01-02 03:04:05"),
        ("SELECT DATE_ADD('2024-01-31', INTERVAL 1 MONTH)", "2024-02-29 00:00:00"),
        (
            "SELECT DATE_FORMAT('2024-01-02 03:04:05', '%Y/%m/%d %H:%i')",
            "2024/01/02 03:04",
        ),
        ("SELECT CAST(1 AS DECIMAL(18,4))", "1.0000"),
        ("SELECT @@max_allowed_packet", "33554432"),
        ("SELECT @@session.autocommit", "1"),
        ("SELECT DATABASE()", ""),
        ("SELECT CURRENT_USER()", "'admin'@'%'"),
        ("/* c */ SELECT TRUE", "1"),
        ("SELECT 1 FROM DUAL", "1"),
        ("SELECT NULL <=> NULL", "1"),
        ("SELECT COUNT(*) FROM (SELECT 1) t", "1"),
        ("SELECT YEAR('2024-05-06')", "2024"),
        (
            "SELECT TIMEDIFF('2024-01-02 03:04:05', '2024-01-01 00:00:00')",
            "27:04:05",
        ),
        (
            "SELECT TIMEDIFF('2024-01-01 00:00:00', '2024-01-01 00:00:01')",
            "-00:00:01",
        ),
        ("SELECT NOW() > '2024-01-01', 1", "1"),
        ("SELECT CURDATE() = DATE(CURRENT_TIMESTAMP)", "1"),
        ("SELECT CURRENT_DATE = DATE(NOW())", "1"),
        ("SELECT UNIX_TIMESTAMP() > 1700000000", "1"),
        ("SELECT LENGTH(CAST(NOW() AS CHAR)) >= 19", "1"),
        ("SELECT TIMEDIFF(UTC_TIMESTAMP(), NOW())", "00:00:00"),
        ("SELECT NOW() - INTERVAL 1 DAY < NOW()", "1"),
        ("SELECT SIGN(-2)", "-1"),
        ("SELECT CONCAT('a', 1, 2.5)", "a12.5"),
        ("SELECT CONCAT('a', NULL)", "NULL"),
        ("SELECT CONCAT_WS('-', 'a', NULL, 'b')", "a-b"),
        ("SELECT SUBSTRING('hello', -3, 2)", "ll"),
        ("SELECT ROUND(LOG(10), 3)", "2.303"),
        ("SELECT TIME_FORMAT('07:05:00', '%H:%i')", "07:05"),
    ] {
        assert_eq!(cell(&mut connection, sql).await, expected, "{sql}");
    }
    let (columns, values) = rows(&mut connection, "SELECT 1, 1, 'x' AS Total, count(*)").await;
    assert_eq!(columns, ["1", "1", "Total", "count(*)"]);
    assert_eq!(values, [["1", "1", "x", "1"]]);
    frontend.stop().await;
}

#[tokio::test]
async fn databases_and_tables_come_and_go_and_survive_a_restart() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    for sql in [
        "CREATE DATABASE d",
        "USE d",
        "CREATE TABLE t (k INT NOT NULL, dt DATE, v STRING DEFAULT 'x') DUPLICATE KEY(k) PARTITION BY RANGE(dt) (PARTITION p1 \
         VALUES LESS THAN ('2024-01-01'), PARTITION p2 VALUES LESS THAN ('2024-02-01')) DISTRIBUTED BY HASH(k) BUCKETS 3",
        "ALTER TABLE t ADD PARTITION p3 VALUES LESS THAN ('2024-03-01')",
        "ALTER TABLE t DROP PARTITION p1",
        "CREATE TABLE IF NOT EXISTS t (k INT)",
        "CREATE TABLE gone (a INT)",
        "ALTER TABLE gone RENAME lost",
        "DROP TABLE lost",
        "TRUNCATE TABLE t",
    ] {
        connection
            .query_drop(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let (columns, partitions) = rows(&mut connection, "SHOW PARTITIONS FROM t").await;
    assert_eq!(columns[..3], ["PartitionId", "PartitionName", "CompactVersion"]);
    let names: Vec<_> = partitions.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(names, ["p2", "p3"]);
    assert_eq!(
        partitions[1][7],
        "[types: [DATE]; keys: [2024-02-01]; ..types: [DATE]; keys: [2024-03-01]; )"
    );
    let shown = rows(&mut connection, "SHOW CREATE TABLE t").await.1.remove(0).remove(1);
    assert!(shown.contains("DISTRIBUTED BY HASH(`k`) BUCKETS 3"), "{shown}");
    let (columns, described) = rows(&mut connection, "DESC t").await;
    assert_eq!(columns, ["Field", "Type", "Null", "Key", "Default", "Extra"]);
    assert_eq!(described[2], ["v", "varchar(65533)", "YES", "false", "x", "NONE"]);

    let directory = frontend.stop().await;
    let frontend = Frontend::start_in(directory).await;
    let mut connection = frontend.connect().await;
    assert_eq!(cell(&mut connection, "SHOW TABLES FROM d").await, "t");
    let again = rows(&mut connection, "SHOW CREATE TABLE d.t")
        .await
        .1
        .remove(0)
        .remove(1);
    assert_eq!(again, shown);
    frontend.stop().await;
}

#[tokio::test]
async fn errors_have_starrocks_numbers() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    connection.query_drop("CREATE DATABASE d0").await.unwrap();
    connection
        .query_drop("CREATE TABLE d0.t (a INT NOT NULL, b TINYINT)")
        .await
        .unwrap();
    for (sql, code, part) in [
        (
            "SELECT * FROM d0.nosuch",
            5502,
            "Getting analyzing error. Detail message: Unknown table 'd0.nosuch'.",
        ),
        ("SELECT * FROM nosuchdb.t", 5501, "Unknown database 'nosuchdb'"),
        ("USE nosuchdb", 5501, "Unknown database 'nosuchdb'"),
        ("SELECT * FROM t", 1046, "No database selected"),
        ("SELEC 1", 1064, "Getting syntax error at line 1, column 0."),
        (
            "SELECT nosuchcol FROM d0.t",
            1064,
            "Column 'nosuchcol' cannot be resolved",
        ),
        ("CREATE DATABASE d0", 1007, "database exists"),
        ("DROP DATABASE nosuch", 1008, "doesn't exist"),
        ("CREATE TABLE d0.t (a INT)", 1050, "already exists"),
        ("CREATE TABLE d0.u (a INT, a INT)", 1060, "Duplicate column name 'a'"),
        (
            "CREATE TABLE d0.u (a INT) PRIMARY KEY(a)",
            1064,
            "not supported yet, use DUPLICATE KEY",
        ),
        ("SET nosuchvar=1", 1193, "Unknown system variable 'nosuchvar'"),
        ("SELECT @@nosuch", 1193, "Unknown system variable 'nosuch'"),
        ("SET query_timeout='abc'", 1064, "query_timeout is not a number"),
        ("SET NAMES latin1", 1115, "Unknown character set: 'latin1'"),
        ("SET WAREHOUSE nosuch", 1064, "Warehouse nosuch not exist."),
        ("KILL 999999", 1094, "Unknown thread id: 999999"),
        (
            "INSERT INTO d0.t VALUES (1, 2)",
            5905,
            "No alive backend or compute node in warehouse default_warehouse; no warehouse has compute now: scale up a ComputeGroup",
        ),
        ("INSERT INTO d0.t VALUES (NULL, 2)", 1064, "`a`"),
        ("INSERT INTO d0.t VALUES (1, 300)", 1064, "`b`"),
        (
            "INSERT INTO d0.t VALUES (1, 2, 3)",
            1064,
            "row 1 has 3 values for 2 columns",
        ),
        (
            "INSERT INTO d0.t (a, nosuch) VALUES (1, 2)",
            1064,
            "Unknown column 'nosuch'",
        ),
        ("INSERT INTO d0.nosuch VALUES (1)", 5502, "Unknown table"),
        (
            "ALTER SYSTEM DROP COMPUTE NODE 'cn-9.cn:9050'",
            1064,
            "compute node does not exists[cn-9.cn:9050]",
        ),
    ] {
        let (found, message) = fails(&mut connection, sql).await;
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message}");
    }
    // The connection is as good as before.
    assert_eq!(cell(&mut connection, "SELECT 1").await, "1");
    frontend.stop().await;
}

/// Who puts a cluster to sleep asks for an image first, and sees that it has everything.
#[tokio::test]
async fn an_image_that_is_asked_for_has_everything_that_was_acknowledged_before() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect_as(OPERATOR).await.unwrap();
    let mut shown = async || {
        let (columns, frontends) = rows(&mut connection, "SHOW FRONTENDS").await;
        let number = |name: &str| -> u64 {
            let column = columns.iter().position(|column| column == name).unwrap();
            frontends[0][column].parse().unwrap()
        };
        (number("ReplayedJournalId"), number("ImageJournalId"))
    };
    let (journal, image) = shown().await;
    assert!(image < journal, "{image} of {journal}");
    let mut admin = frontend.connect().await;
    admin.query_drop("ALTER SYSTEM CREATE IMAGE").await.unwrap();
    let (journal, image) = shown().await;
    assert_eq!(image, journal);
    // Once more, and after a change.
    admin.query_drop("ALTER SYSTEM CREATE IMAGE").await.unwrap();
    admin.query_drop("CREATE DATABASE after_the_image").await.unwrap();
    let (journal, image) = shown().await;
    assert!(image < journal, "{image} of {journal}");
    admin.query_drop("ALTER SYSTEM CREATE IMAGE").await.unwrap();
    let (journal, image) = shown().await;
    assert_eq!(image, journal);
    frontend.stop().await;
}

#[tokio::test]
async fn nodes_are_added_shown_and_dropped_as_in_starrocks() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect_as(OPERATOR).await.unwrap();
    let (columns, leaders) = rows(&mut connection, "SHOW FRONTENDS").await;
    assert_eq!(columns[0..4], ["Id", "Name", "IP", "EditLogPort"]);
    assert_eq!((leaders[0][7].as_str(), leaders[0][10].as_str()), ("LEADER", "true"));
    // Nothing listens there, so that the node never comes alive.
    let add = "ALTER SYSTEM ADD COMPUTE NODE \"127.0.0.1:1\" INTO WAREHOUSE etl";
    connection.query_drop(add).await.unwrap();
    assert_eq!(fails(&mut connection, add).await.0, 1064);
    let (columns, nodes) = rows(&mut connection, "SHOW COMPUTE NODES").await;
    assert_eq!(
        (columns[0].as_str(), columns[20].as_str(), columns[23].as_str()),
        ("ComputeNodeId", "StatusCode", "WarehouseName")
    );
    assert_eq!(nodes[0][1..3], ["127.0.0.1", "1"]);
    assert_eq!((nodes[0][8].as_str(), nodes[0][23].as_str()), ("false", "etl"));
    // How long a drain has stood, for those who must not trust a clock.
    let drains_for = columns.iter().position(|column| column == "DrainSeconds").unwrap();
    assert_eq!(nodes[0][drains_for], "");
    let id = nodes[0][0].clone();
    connection
        .query_drop(format!("ALTER SYSTEM DRAIN COMPUTE NODE {id}"))
        .await
        .unwrap();
    let (_, ordered) = rows(&mut connection, "SHOW COMPUTE NODES").await;
    let seconds: u64 = ordered[0][drains_for].parse().unwrap();
    assert!(seconds < 60, "{seconds}");
    connection
        .query_drop(format!("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE {id}"))
        .await
        .unwrap();
    assert_eq!(rows(&mut connection, "SHOW WAREHOUSES").await.1.len(), 2);
    connection.query_drop("SET warehouse = 'etl'").await.unwrap();
    connection.query_drop("CREATE DATABASE d").await.unwrap();
    connection.query_drop("CREATE TABLE d.t (a INT)").await.unwrap();
    connection
        .query_drop("SET query_queue_pending_timeout_second = 1")
        .await
        .unwrap();
    assert_eq!(fails(&mut connection, "INSERT INTO d.t VALUES (1)").await.0, 5904);
    let unknown_column = fails(&mut connection, "SELECT nosuch FROM d.t").await;
    assert_eq!(unknown_column.0, 1064, "what makes no sense does not wait");
    let constant = "SELECT a FROM d.t WHERE 1 = 0";
    assert!(
        rows(&mut connection, constant).await.1.is_empty(),
        "and neither does what needs no node"
    );
    connection
        .query_drop(format!("ALTER SYSTEM DROP COMPUTE NODE {}", nodes[0][0]))
        .await
        .unwrap();
    assert!(rows(&mut connection, "SHOW COMPUTE NODES").await.1.is_empty());
    frontend.stop().await;
}

#[tokio::test]
async fn tools_find_what_they_ask_for_at_connect() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    connection.query_drop("CREATE DATABASE d").await.unwrap();
    connection
        .query_drop("CREATE TABLE d.Orders (Id INT NOT NULL COMMENT 'key', price DECIMAL(10,2))")
        .await
        .unwrap();
    for sql in [
        "/* mysql-connector-j */ SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client \
         AS character_set_client, @@collation_server AS collation_server, @@init_connect AS init_connect, \
         @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS x, \
         @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS y, @@performance_schema AS p, @@sql_mode AS \
         sql_mode, @@system_time_zone AS s, @@time_zone AS time_zone, @@transaction_isolation AS t, @@wait_timeout AS w",
        "SET NAMES utf8mb4",
        "SET autocommit=0",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SHOW VARIABLES LIKE 'lower_case_%'",
        "SHOW VARIABLES WHERE Variable_name IN ('sql_mode', 'version')",
        "SHOW FULL TABLES FROM `d` WHERE Table_type LIKE '%TABLE%'",
        "SHOW FULL COLUMNS FROM `Orders` FROM `d`",
        "SHOW INDEX FROM `d`.`Orders`",
        "SHOW TABLE STATUS FROM `d` LIKE 'Orders'",
        "SHOW ENGINES",
        "SHOW CHARSET",
        "SHOW COLLATION",
        "SHOW PLUGINS",
        "SHOW WARNINGS",
        "SHOW STATUS",
        "SHOW GRANTS",
        "SHOW CATALOGS",
        "SHOW PROC '/frontends'",
        "SELECT * FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'd'",
        "SELECT * FROM information_schema.routines",
        "SELECT * FROM information_schema.partitions_meta",
        "SELECT * FROM information_schema.key_column_usage",
        "/*!40101 SET SQL_MODE='' */",
        "BEGIN",
        "COMMIT",
    ] {
        connection
            .query_drop(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let (columns, found) = rows(
        &mut connection,
        "SELECT TABLE_NAME, table_type, TABLE_COMMENT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'd'",
    )
    .await;
    assert_eq!(columns, ["TABLE_NAME", "table_type", "TABLE_COMMENT"]);
    assert_eq!(found, [["Orders", "BASE TABLE", ""]]);
    let (_, found) = rows(
        &mut connection,
        "SELECT column_name, column_type, is_nullable FROM information_schema.columns WHERE table_name = 'Orders' \
         ORDER BY ordinal_position",
    )
    .await;
    assert_eq!(found, [["Id", "int", "NO"], ["price", "decimal(10,2)", "YES"]]);
    let (_, schemas) = rows(
        &mut connection,
        "SELECT schema_name FROM information_schema.schemata ORDER BY 1",
    )
    .await;
    assert_eq!(schemas, [["d"], ["information_schema"], ["sys"]]);
    frontend.stop().await;
}

#[tokio::test]
async fn prepared_statements_bind_values() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    let row: Option<(i64, String, Option<i64>)> = connection
        .exec_first(
            "SELECT ? + 1, ?, ?",
            (41, "it's \\ \"quoted\"; DROP TABLE x", None::<i64>),
        )
        .await
        .unwrap();
    assert_eq!(row.unwrap(), (42, "it's \\ \"quoted\"; DROP TABLE x".to_owned(), None));
    let row: Option<(bool, f64, String)> = connection
        .exec_first("SELECT 1 = 1, CAST(1.5 AS DOUBLE), CAST('2024-01-02' AS DATE)", ())
        .await
        .map(|row: Option<(bool, f64, Value)>| row.map(|(a, b, c)| (a, b, c.as_sql(true))))
        .unwrap();
    assert_eq!(row.unwrap(), (true, 1.5, "'2024-01-02'".to_owned()));
    frontend.stop().await;
}

#[tokio::test]
async fn users_may_do_what_they_may_and_passwords_stay_hidden() {
    let frontend = Frontend::start().await;
    let mut admin = frontend.connect().await;
    admin
        .query_drop("CREATE USER 'ana' IDENTIFIED BY 'first'")
        .await
        .unwrap();
    let mut ana = frontend.connect_as(("ana", "first")).await.unwrap();
    for sql in [
        "CREATE USER x IDENTIFIED BY 'y'",
        "ALTER SYSTEM ADD COMPUTE NODE 'z:9050'",
        "SET GLOBAL query_timeout=3",
        "SHOW USERS",
        "DROP DATABASE starrocks_audit_db__",
        "DROP TABLE starrocks_audit_db__.starrocks_audit_tbl__",
        "TRUNCATE TABLE starrocks_audit_db__.starrocks_audit_tbl__",
        "INSERT INTO starrocks_audit_db__.starrocks_audit_tbl__ SELECT * FROM starrocks_audit_db__.starrocks_audit_tbl__",
    ] {
        assert_eq!(fails(&mut ana, sql).await.0, 5203, "{sql}");
    }
    ana.query_drop("SET PASSWORD = PASSWORD('second')").await.unwrap();
    assert!(frontend.connect_as(("ana", "first")).await.is_err());
    assert!(frontend.connect_as(("ana", "second")).await.is_ok());
    // Someone else's statements are no one's business; an administrator sees them without secrets.
    let (_, seen) = rows(&mut ana, "SHOW FULL PROCESSLIST").await;
    assert!(seen.iter().all(|row| row[2] == "ana"), "{seen:?}");
    let (_, seen) = rows(&mut admin, "SHOW PROCESSLIST").await;
    assert!(seen.iter().any(|row| row[9] == "SHOW PROCESSLIST"), "{seen:?}");
    admin.query_drop("DROP USER ana").await.unwrap();
    assert!(frontend.connect_as(("ana", "second")).await.is_err());
    frontend.stop().await;
}

#[tokio::test]
async fn killing_a_connection_ends_it() {
    let frontend = Frontend::start().await;
    let mut victim = frontend.connect().await;
    let mut other = frontend.connect().await;
    let id = cell(&mut victim, "SELECT CONNECTION_ID()").await;
    other.query_drop(format!("KILL {id}")).await.unwrap();
    assert!(victim.query_drop("SELECT 1").await.is_err());
    assert_eq!(cell(&mut other, "SELECT 1").await, "1");
    frontend.stop().await;
}

#[tokio::test]
async fn global_variables_reach_new_sessions() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    connection.query_drop("SET GLOBAL query_timeout = 77").await.unwrap();
    connection.query_drop("SET query_timeout = 5").await.unwrap();
    assert_eq!(cell(&mut connection, "SELECT @@query_timeout").await, "5");
    let mut fresh = frontend.connect().await;
    assert_eq!(cell(&mut fresh, "SELECT @@query_timeout").await, "77");
    frontend.stop().await;
}

#[tokio::test]
async fn explain_shows_a_plan() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect().await;
    let (columns, lines) = rows(&mut connection, "EXPLAIN SELECT 1 + 1 AS two").await;
    assert_eq!(columns, ["Explain String"]);
    assert!(lines.iter().any(|line| line[0].contains("two")), "{lines:?}");
    frontend.stop().await;
}

#[tokio::test]
async fn explain_analyze_waits_for_compute_as_the_query_itself_does_and_explain_does_not() {
    let frontend = Frontend::start().await;
    let mut connection = frontend.connect_as(OPERATOR).await.unwrap();
    for sql in [
        // Nothing listens there, so that the node never comes alive.
        "ALTER SYSTEM ADD COMPUTE NODE \"127.0.0.1:1\" INTO WAREHOUSE etl",
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a INT)",
        "SET warehouse = 'etl'",
        "SET query_queue_pending_timeout_second = 60",
    ] {
        connection.query_drop(sql).await.unwrap();
    }
    let asked = Instant::now();
    assert_eq!(fails(&mut connection, "EXPLAIN SELECT a FROM d.t").await.0, 5904);
    let no_node = "EXPLAIN ANALYZE SELECT a FROM d.t WHERE 1 = 0";
    let (_, lines) = rows(&mut connection, no_node).await;
    assert!(lines.iter().any(|line| line[0] == "ROWS: 0"), "{lines:?}");
    let unknown_column = fails(&mut connection, "EXPLAIN ANALYZE SELECT nosuch FROM d.t").await;
    assert_eq!(unknown_column.0, 1064);
    assert!(asked.elapsed() < Duration::from_secs(60), "none of them waits");

    connection
        .query_drop("SET query_queue_pending_timeout_second = 1")
        .await
        .unwrap();
    let asked = Instant::now();
    let (code, message) = fails(&mut connection, "EXPLAIN ANALYZE SELECT a FROM d.t").await;
    assert_eq!(code, 5904, "{message}");
    assert!(asked.elapsed() >= Duration::from_secs(1), "it waits as long as it may");
    frontend.stop().await;
}
