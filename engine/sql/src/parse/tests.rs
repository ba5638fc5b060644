use springtide_model::{DataType, Literal, PartitionBound};

use super::parse;
use crate::{
    AlterSystem, AlterTableAction, CreateTable, DrainOrder, Insert, NodeReference, Password, SetItem, SetValue,
    ShowFilter, ShowKind, Statement,
};

mod fuzz;

fn one(sql: &str) -> Statement {
    let mut parsed = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    parsed.remove(0).statement
}

fn fails(sql: &str) -> String {
    match parse(sql) {
        Ok(parsed) => panic!("{sql} is {parsed:?}"),
        Err(error) => error.to_string(),
    }
}

fn table(sql: &str) -> CreateTable {
    match one(sql) {
        Statement::CreateTable(table) => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn splits_statements_and_keeps_their_texts() {
    let parsed = parse("SELECT 'a;b'; -- nothing; here\n /* c; */ INSERT INTO t VALUES (?, ?);;").unwrap();
    let texts: Vec<_> = parsed
        .iter()
        .map(|parsed| (parsed.text.as_str(), parsed.parameters))
        .collect();
    assert_eq!(texts, [("SELECT 'a;b'", 0), ("INSERT INTO t VALUES (?, ?)", 2)]);
    assert_eq!(parse(" -- only a comment").unwrap()[0].statement, Statement::Empty);
    assert_eq!(parse("SELECT 'ü', 1").unwrap()[0].text, "SELECT 'ü', 1");
}

#[test]
fn runs_version_comments() {
    assert!(matches!(one("/*!40101 SET NAMES utf8 */"), Statement::Set(_)));
    assert!(matches!(
        one("/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;"),
        Statement::Set(_)
    ));
}

#[test]
fn says_where_and_what_was_expected() {
    assert_eq!(
        fails("SELECT FROM"),
        "Getting syntax error at line 1, column 7. Detail message: Unexpected input 'FROM', the most similar input is \
         {an expression}."
    );
    assert!(fails("SELEC 1").starts_with(
        "Getting syntax error at line 1, column 0. Detail message: Unexpected input 'SELEC', the most similar input is {'SELECT'"
    ));
    let text = fails("SELECT 1 FROM");
    assert!(text.contains("line 1, column 13"), "{text}");
    assert!(text.contains("<EOF>"), "{text}");
    let text = fails("SELECT 1\nFROM t WHERE");
    assert!(text.contains("line 2, column 12"), "{text}");
    assert!(
        fails("SELECT 'abc").contains("Unterminated"),
        "{}",
        fails("SELECT 'abc")
    );
    assert!(
        fails("DROP TABLE a b").contains("column 13"),
        "{}",
        fails("DROP TABLE a b")
    );
}

#[test]
fn div_binds_like_division() {
    let Statement::Query(query) = one("SELECT 7 DIV 2 + 1") else {
        panic!()
    };
    assert_eq!(query.to_string(), "SELECT 7 DIV 2 + 1");
    let Statement::Query(query) = one("SELECT 7 DIV 2 * 3 = 9") else {
        panic!()
    };
    let sqlparser::ast::SetExpr::Select(select) = *query.body else {
        panic!()
    };
    let outermost = match &select.projection[0] {
        sqlparser::ast::SelectItem::UnnamedExpr(sqlparser::ast::Expr::BinaryOp { op, .. }) => op.to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(outermost, "=");
}

#[test]
fn create_table_with_everything() {
    let table = table(
        "CREATE TABLE IF NOT EXISTS d.t (`K` bigint(20) NOT NULL COMMENT \"key\", dt DATE, v VARCHAR(20) DEFAULT 'x', \
         n DECIMAL(18,4) NULL, i INT DEFAULT \"-7\") ENGINE=OLAP DUPLICATE KEY(`k`, dt) COMMENT 'c' \
         PARTITION BY RANGE(dt) (PARTITION p1 VALUES LESS THAN ('2024-01-01'), PARTITION p2 VALUES \
         [(\"2024-01-01\"), (\"2024-02-01\")), PARTITION p3 VALUES LESS THAN MAXVALUE) \
         DISTRIBUTED BY HASH(k) BUCKETS 3 PROPERTIES('replication_num' = '1')",
    );
    assert!(table.if_not_exists);
    assert_eq!(table.table.to_string(), "d.t");
    assert_eq!(table.schema.key_columns, 2);
    assert_eq!(table.schema.partition_column, Some(1));
    assert_eq!(table.schema.distribution.columns, [0]);
    assert_eq!(table.schema.distribution.buckets, 3);
    assert_eq!(
        table.schema.columns[3].data_type,
        DataType::Decimal {
            precision: 18,
            scale: 4
        }
    );
    assert_eq!(table.schema.columns[4].default, Some(Literal::Int(-7)));
    let ranges: Vec<_> = table
        .partitions
        .iter()
        .map(|partition| (partition.name.as_str(), &partition.range.lower, &partition.range.upper))
        .collect();
    let value = |text: &str| PartitionBound::Value(Literal::Text(text.to_owned()));
    assert_eq!(
        ranges,
        [
            ("p1", &PartitionBound::MinValue, &value("2024-01-01")),
            ("p2", &value("2024-01-01"), &value("2024-02-01")),
            ("p3", &value("2024-02-01"), &PartitionBound::MaxValue),
        ]
    );
}

#[test]
fn create_table_with_defaults() {
    let table = table("create table t (a int, b string, c double, d int)");
    assert_eq!(table.schema.key_columns, 2);
    assert_eq!(table.schema.distribution.columns, [0_usize; 0]);
    assert!(table.partitions.is_empty());
}

#[test]
fn every_expands_to_partitions() {
    let names = |sql: &str| -> Vec<String> {
        table(sql)
            .partitions
            .into_iter()
            .map(|partition| partition.name)
            .collect()
    };
    assert_eq!(
        names(
            "CREATE TABLE t (d DATE) PARTITION BY RANGE(d) (START ('1992-01-01') END ('1995-06-01') EVERY (INTERVAL 1 YEAR))"
        ),
        ["p1992", "p1993", "p1994", "p1995"]
    );
    assert_eq!(
        names(
            "CREATE TABLE t (d DATETIME) PARTITION BY RANGE(d) (START ('2024-01-31') END ('2024-03-31') EVERY (INTERVAL 1 MONTH))"
        ),
        ["p202401", "p202402", "p202403"]
    );
    assert_eq!(
        names("CREATE TABLE t (k INT) PARTITION BY RANGE(k) (START ('0') END ('25') EVERY (10))"),
        ["p0", "p10", "p20"]
    );
}

#[test]
fn refuses_tables_that_make_no_sense() {
    for (sql, part) in [
        ("CREATE TABLE t (a INT, A INT)", "Duplicate column name 'A'"),
        (
            "CREATE TABLE t (a INT) PRIMARY KEY(a)",
            "PRIMARY KEY is not supported yet, use DUPLICATE KEY",
        ),
        (
            "CREATE TABLE t (a INT) UNIQUE KEY(a)",
            "UNIQUE KEY is not supported yet, use DUPLICATE KEY",
        ),
        (
            "CREATE TABLE t (a INT, b INT SUM) AGGREGATE KEY(a)",
            "AGGREGATE KEY is not supported yet",
        ),
        ("CREATE TABLE t (a INT) DUPLICATE KEY(b)", "Key column(b) doesn't exist"),
        ("CREATE TABLE t (a INT, b INT) DUPLICATE KEY(b)", "first few columns"),
        ("CREATE TABLE t (a DOUBLE)", "first column cannot be FLOAT"),
        (
            "CREATE TABLE t (a INT) DISTRIBUTED BY HASH(x)",
            "Distribution column(s) x doesn't exist",
        ),
        ("CREATE TABLE t (a INT) DISTRIBUTED BY HASH(a) BUCKETS 0", "[1, 1024]"),
        ("CREATE TABLE t (a NOSUCH)", "Unexpected input 'NOSUCH'"),
        ("CREATE TABLE t (a ARRAY<INT>)", "Type ARRAY is not supported yet"),
        ("CREATE TABLE t (a DECIMAL(39,1))", "1 to 38"),
        ("CREATE TABLE t (a VARCHAR(0))", "Varchar size"),
        (
            "CREATE TABLE t (a INT) PROPERTIES('nosuch'='1')",
            "Unknown properties: {nosuch=1}",
        ),
        (
            "CREATE TABLE t (a DATE) PARTITION BY RANGE(b) ()",
            "Partition column[b] does not exist",
        ),
        (
            "CREATE TABLE t (a DATE) PARTITION BY RANGE(a) (PARTITION p VALUES LESS THAN ('x'))",
            "Invalid value x",
        ),
        (
            "CREATE TABLE t (a INT) PARTITION BY RANGE(a) (PARTITION p VALUES [(1),(5)), PARTITION q VALUES [(4),(6)))",
            "Range of partition q intersects with range of partition p",
        ),
        (
            "CREATE TABLE t (a INT) PARTITION BY RANGE(a) (PARTITION p VALUES LESS THAN (1), PARTITION P VALUES LESS THAN (2))",
            "Duplicate partition name P",
        ),
        (
            "CREATE TABLE t (a INT) PARTITION BY RANGE(a) (PARTITION p VALUES [(5),(5)))",
            "must be greater",
        ),
        (
            "CREATE TABLE t (a DATE) PARTITION BY RANGE(a) (START ('1000-01-01') END ('9000-01-01') EVERY (INTERVAL 1 DAY))",
            "at most 4096",
        ),
    ] {
        let text = fails(sql);
        assert!(text.contains(part), "{sql}: {text}");
    }
}

#[test]
fn inserts() {
    let insert = |sql: &str| -> Insert {
        match one(sql) {
            Statement::Insert(insert) => insert,
            other => panic!("{other:?}"),
        }
    };
    let values = insert("INSERT INTO d.t WITH LABEL l1 (a, `B`) VALUES (1, DEFAULT), (2, 'x')");
    assert_eq!(values.target.to_string(), "d.t");
    assert_eq!(values.label.as_deref(), Some("l1"));
    assert_eq!(values.columns, ["a", "B"]);
    assert_eq!(insert("INSERT INTO t SELECT * FROM s").columns, [""; 0]);
    assert_eq!(insert("INSERT INTO t (SELECT * FROM s)").columns, [""; 0]);
    let files = insert("INSERT INTO t SELECT * FROM FILES('path'='s3://b/*.parquet', \"format\" = \"parquet\")");
    assert!(files.source.to_string().contains("FILES("));
    assert!(fails("INSERT OVERWRITE t SELECT 1").contains("INSERT OVERWRITE is not supported yet"));
}

#[test]
fn alters_the_system() {
    assert_eq!(
        one("ALTER SYSTEM ADD COMPUTE NODE \"cn-0.cn:9050\", '10.0.0.1:9050' INTO WAREHOUSE etl"),
        Statement::AlterSystem(AlterSystem::AddComputeNodes {
            nodes: vec![
                crate::HostPort {
                    host: "cn-0.cn".into(),
                    port: 9050
                },
                crate::HostPort {
                    host: "10.0.0.1".into(),
                    port: 9050
                },
            ],
            warehouse: Some("etl".into()),
        })
    );
    assert_eq!(
        one("alter system drop compute node 10042 from warehouse etl"),
        Statement::AlterSystem(AlterSystem::DropComputeNodes {
            nodes: vec![NodeReference::Id(10042)],
            warehouse: Some("etl".into()),
        })
    );
    assert_eq!(
        one("ALTER SYSTEM DRAIN COMPUTE NODE 10042, 'cn-0.cn:9050'"),
        Statement::AlterSystem(AlterSystem::DrainComputeNodes {
            nodes: vec![
                NodeReference::Id(10042),
                NodeReference::Address(crate::HostPort {
                    host: "cn-0.cn".into(),
                    port: 9050
                }),
            ],
            order: DrainOrder::Drain,
        })
    );
    assert_eq!(
        one("alter system cancel drain compute node 10042"),
        Statement::AlterSystem(AlterSystem::DrainComputeNodes {
            nodes: vec![NodeReference::Id(10042)],
            order: DrainOrder::Cancel,
        })
    );
    assert_eq!(
        one("ALTER SYSTEM DRAIN COMPUTE NODE 10042 FORCE"),
        Statement::AlterSystem(AlterSystem::DrainComputeNodes {
            nodes: vec![NodeReference::Id(10042)],
            order: DrainOrder::Force,
        })
    );
    assert!(fails("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE 1 FORCE").contains("Unexpected input 'FORCE'"));
    assert!(fails("ALTER SYSTEM CANCEL DROP COMPUTE NODE 1").contains("'DRAIN'"));
    assert_eq!(
        fails("ALTER SYSTEM ADD COMPUTE NODE 'noport'"),
        "Getting analyzing error. Detail message: Invalid host port: noport."
    );
    assert_eq!(
        fails("ALTER SYSTEM DROP COMPUTE NODE '10.244.0.33:9050' FORCE"),
        "Getting syntax error at line 1, column 50. Detail message: Unexpected input 'FORCE', the most similar input is \
         {<EOF>, ';'}."
    );
    assert!(fails("ALTER SYSTEM DECOMMISSION COMPUTE NODE 'a:1'").contains("column 13"));
    assert!(fails("ALTER SYSTEM ADD BACKEND 'a:1'").contains("use COMPUTE NODE"));
}

#[test]
fn shows() {
    let show = |sql: &str| match one(sql) {
        Statement::Show(show) => show,
        other => panic!("{other:?}"),
    };
    assert_eq!(show("SHOW COMPUTE NODES").what, ShowKind::ComputeNodes);
    assert_eq!(
        show("show full tables from `d` like 't%'").what,
        ShowKind::Tables {
            database: Some("d".into()),
            full: true
        }
    );
    assert_eq!(
        show("SHOW VARIABLES LIKE 'x%'").filter,
        Some(ShowFilter::Like("x%".into()))
    );
    let Some(ShowFilter::AnyOf(filters)) = show(
        "SHOW VARIABLES WHERE Variable_name ='language' OR Variable_name = 'net_write_timeout' OR Variable_name LIKE 'c%'",
    )
    .filter
    else {
        panic!()
    };
    assert_eq!(filters.len(), 3);
    assert!(filters[2].like);
    assert_eq!(
        show("SHOW FULL COLUMNS FROM `t` FROM `d`").what,
        ShowKind::Columns {
            table: crate::TableName {
                database: Some("d".into()),
                table: "t".into()
            },
            full: true
        }
    );
    assert_eq!(show("SHOW PROC '/frontends'").what, ShowKind::Proc("/frontends".into()));
    assert_eq!(show("SHOW WARNINGS LIMIT 5").what, ShowKind::Warnings);
    assert!(fails("SHOW NOSUCH").contains("Unexpected input 'NOSUCH'"));
}

#[test]
fn sets() {
    let set = |sql: &str| match one(sql) {
        Statement::Set(items) => items,
        other => panic!("{other:?}"),
    };
    assert_eq!(set("SET warehouse = 'etl'"), [SetItem::Warehouse("etl".into())]);
    assert_eq!(set("SET WAREHOUSE etl"), [SetItem::Warehouse("etl".into())]);
    assert_eq!(
        set("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci"),
        [SetItem::Names {
            charset: "utf8mb4".into()
        }]
    );
    assert_eq!(
        set("SET GLOBAL query_timeout = -1, @@session.autocommit=ON, sql_mode = DEFAULT, @x := 3"),
        [
            SetItem::Variable {
                global: true,
                name: "query_timeout".into(),
                value: Some(SetValue::Text("-1".into()))
            },
            SetItem::Variable {
                global: false,
                name: "autocommit".into(),
                value: Some(SetValue::Text("ON".into()))
            },
            SetItem::Variable {
                global: false,
                name: "sql_mode".into(),
                value: None
            },
            SetItem::UserVariable {
                name: "x".into(),
                value: SetValue::Text("3".into())
            },
        ]
    );
    assert_eq!(
        set("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
        [SetItem::Ignored]
    );
    let items = set("SET PASSWORD FOR 'u'@'%' = PASSWORD('pw')");
    let [
        SetItem::Password {
            user: Some(user),
            password,
        },
    ] = items.as_slice()
    else {
        panic!()
    };
    assert_eq!(user.to_string(), "'u'@'%'");
    assert_eq!(*password, Password::Clear("pw".into()));
    assert_eq!(format!("{password:?}"), "Password(***)");
}

#[test]
fn settings_of_the_frontend() {
    let set = |name: &str, value: &str| Statement::SetFrontendConfig {
        name: name.into(),
        value: value.into(),
    };
    assert_eq!(
        one(r#"ADMIN SET FRONTEND CONFIG ("queryTimeoutS" = "60")"#),
        set("queryTimeoutS", "60")
    );
    assert_eq!(
        one("admin set frontend config(max_connections=7)"),
        set("max_connections", "7")
    );
    assert_eq!(one("ADMIN SET FRONTEND CONFIG ('a'='-1')"), set("a", "-1"));
    for wrong in [
        "ADMIN SET FRONTEND CONFIG",
        "ADMIN SET FRONTEND CONFIG ()",
        "ADMIN SET FRONTEND CONFIG ('a')",
        "ADMIN SET FRONTEND CONFIG ('a' = '1', 'b' = '2')",
        "ADMIN SET FRONTEND CONFIG ('a' = '1') WITH PERSISTENT",
        "ADMIN SET BACKEND CONFIG ('a' = '1')",
    ] {
        assert!(fails(wrong).contains("Unexpected input"), "{wrong}");
    }
}

#[test]
fn accounts_and_the_rest() {
    assert!(
        matches!(one("CREATE USER u1@'%' IDENTIFIED BY 'pw'"), Statement::CreateUser { user, .. } if user.name == "u1")
    );
    assert!(matches!(
        one("CREATE USER u1 IDENTIFIED WITH mysql_native_password BY 'pw'"),
        Statement::CreateUser { .. }
    ));
    assert!(fails("CREATE USER u1 IDENTIFIED BY ''").contains("must not be empty"));
    assert!(matches!(
        one("GRANT db_admin TO USER u1"),
        Statement::Grant { object: None, .. }
    ));
    let Statement::Grant { privileges, object, .. } =
        one("GRANT SELECT, INSERT ON ALL TABLES IN DATABASE d TO USER 'u1'@'%'")
    else {
        panic!()
    };
    assert_eq!(
        (privileges.join("|"), object.as_deref()),
        ("SELECT|INSERT".into(), Some("ALL TABLES IN DATABASE d"))
    );
    assert_eq!(
        one("KILL QUERY 7"),
        Statement::Kill {
            connection: 7,
            query_only: true
        }
    );
    assert_eq!(
        one("KILL 7"),
        Statement::Kill {
            connection: 7,
            query_only: false
        }
    );
    assert_eq!(
        one("USE `d`"),
        Statement::Use {
            catalog: None,
            database: "d".into()
        }
    );
    assert!(matches!(one("DESC d.t"), Statement::Describe { .. }));
    assert!(matches!(one("EXPLAIN VERBOSE SELECT 1"), Statement::Explain { .. }));
    assert!(matches!(one("START TRANSACTION READ ONLY"), Statement::Begin));
    assert!(matches!(
        one("ALTER TABLE t ADD PARTITION p VALUES LESS THAN ('2024-03-01')"),
        Statement::AlterTable {
            action: AlterTableAction::AddPartition(_),
            ..
        }
    ));
    for renamed in ["ALTER TABLE t RENAME u", "ALTER TABLE t RENAME TO `u`"] {
        let Statement::AlterTable { action, .. } = one(renamed) else {
            panic!("{renamed}")
        };
        assert_eq!(action, AlterTableAction::Rename { name: "u".into() });
    }
    assert!(fails("ALTER TABLE t RENAME COLUMN a TO b").contains("not supported yet"));
    assert!(fails("ALTER TABLE t ADD COLUMN x INT").contains("not supported yet"));
    assert!(fails("DELETE FROM t").contains("DELETE is not supported yet"));
}

#[test]
fn deep_and_long_texts_are_refused_and_not_overflowed() {
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(fails(&deep).contains("too complex"));
    let long = format!("SELECT 1{}", " + 1".repeat(100_000));
    assert!(fails(&long).contains("too complex"));
    let nots = format!("SELECT {} 1", "NOT ".repeat(1500));
    assert!(parse(&nots).is_err());
    let chain = format!("SELECT 1{}", " + 1".repeat(990));
    let parsed = parse(&chain).unwrap();
    let Statement::Query(query) = &parsed[0].statement else {
        panic!()
    };
    assert!(query.to_string().len() > 1000);
    let values = format!("INSERT INTO t VALUES {}", vec!["(1, 2)"; 20_000].join(", "));
    assert!(parse(&values).is_ok());
    let cases = format!("SELECT {} 1 {}", "CASE WHEN 1 THEN ".repeat(400), "END ".repeat(400));
    assert!(fails(&cases).contains("too complex"));
}
