use datafusion::sql::sqlparser::{dialect::MySqlDialect, parser::Parser};

use super::{PreparedStatement, prepare};
use crate::error::QueryError;

fn prepared(sql: &str) -> Result<PreparedStatement, QueryError> {
    prepare(Parser::parse_sql(&MySqlDialect {}, sql).unwrap().remove(0), 0)
}

fn tables(sql: &str) -> Vec<String> {
    let tables = prepared(sql).unwrap().tables;
    tables
        .into_iter()
        .map(|named| format!("{}.{}", named.database.unwrap_or_default(), named.table))
        .collect()
}

#[test]
fn tables_keep_their_spelling_and_common_tables_are_none() {
    assert_eq!(
        tables("select * from Orders o join `Db`.`Items` i on o.a = i.a"),
        [".Orders", "Db.Items"]
    );
    assert_eq!(
        tables("select * from default_catalog.db.t where a in (select b from u)"),
        [".u", "db.t"]
    );
    assert_eq!(tables("with Big as (select * from t) select * from big"), [".t"]);
    let error = prepared("select * from a.b.c").unwrap_err().to_string();
    assert!(error.contains("write table or database.table"), "{error}");
}

#[test]
fn quoted_names_become_lower_case() {
    let sql = prepared("select `A`.`Bc`, D from `T` as `A` order by `Bc`")
        .unwrap()
        .statement
        .to_string();
    assert_eq!(sql, "SELECT `a`.`bc`, D FROM `t` AS `a` ORDER BY `bc`");
}

#[test]
fn result_columns_are_named_as_they_were_written() {
    let names = |sql: &str, planned: &[&str]| {
        let planned: Vec<String> = planned.iter().map(|name| (*name).to_owned()).collect();
        prepared(sql).unwrap().column_names(&planned)
    };
    assert_eq!(
        names("select A, t.B, 1+1, x as `Total` from t", &["a", "b", "c", "d"]),
        ["A", "B", "1 + 1", "Total"]
    );
    assert_eq!(names("select *, 1 from t", &["a", "b", "c"]), ["a", "b", "1"]);
    assert_eq!(names("select *, u.* from t, u", &["a", "b", "c"]), ["a", "b", "c"]);
    assert_eq!(names("select A from t union select B from u", &["a"]), ["A"]);
    assert_eq!(names("values (1)", &["column1"]), ["column1"]);
}

#[test]
fn files_calls_are_taken_out() {
    let sql = r#"select * from FILES("path" = "s3://b/k*.csv", "format" = "CSV", 'aws.s3.access_key' = 'alice',
        'aws.s3.secret_key' = 'hunter2', 'csv.column_separator' = '\t') f, files('path'='/x', 'format'='parquet')"#;
    let prepared = prepared(sql).unwrap();
    assert!(prepared.tables.is_empty());
    let names: Vec<&str> = prepared.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["files_0", "files_1"]);
    let shown = format!("{:?} {}", prepared.files, prepared.statement);
    assert!(
        shown.contains("s3://b/k*.csv") && !shown.contains("hunter2") && !shown.contains("alice"),
        "{shown}"
    );
}
