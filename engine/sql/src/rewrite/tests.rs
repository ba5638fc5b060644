use super::{Parameter, SessionValues, bind, functions, rewrite};
use crate::{SqlError, Statement, parse};

struct Session;

impl SessionValues for Session {
    fn variable(&self, _global: bool, name: &str) -> Result<Parameter, SqlError> {
        match name {
            "autocommit" => Ok(Parameter::Int(1)),
            "version_comment" => Ok(Parameter::Text("Springtide".into())),
            _ => Err(SqlError::invalid(format!("Unknown system variable '{name}'"))),
        }
    }

    fn user_variable(&self, _name: &str) -> Parameter {
        Parameter::Null
    }

    fn function(&self, name: &str) -> Option<Parameter> {
        matches!(name, "database" | "current_user").then(|| Parameter::Text("it's".into()))
    }
}

fn check(sql: &str, expected: &str) {
    let Statement::Query(mut query) = parse(sql).unwrap().remove(0).statement else {
        panic!("{sql}")
    };
    rewrite(&mut query, &Session).unwrap();
    assert_eq!(query.to_string(), expected, "{sql}");
}

#[test]
fn every_template_parses() {
    let (parsed, all) = functions::template_counts();
    assert_eq!(parsed, all);
}

#[test]
fn session_values_become_constants() {
    check("SELECT @@autocommit", "SELECT 1");
    check("SELECT @@session.autocommit, @x", "SELECT 1, NULL");
    check("SELECT DATABASE(), CURRENT_USER", "SELECT 'it''s', 'it''s'");
    let Statement::Query(mut query) = parse("SELECT @@nosuch").unwrap().remove(0).statement else {
        panic!()
    };
    assert!(
        rewrite(&mut query, &Session)
            .unwrap_err()
            .to_string()
            .contains("nosuch")
    );
}

#[test]
fn rollup_may_stand_behind_its_columns() {
    check(
        "SELECT a, b, count(*) FROM t GROUP BY a, b WITH ROLLUP",
        "SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)",
    );
    check(
        "SELECT a + 1 AS c, b, count(*) FROM t GROUP BY C, 2 WITH ROLLUP",
        "SELECT a + 1 AS c, b, count(*) FROM t GROUP BY ROLLUP (a + 1, b)",
    );
}

#[test]
fn null_among_greatest_and_least_is_the_answer() {
    check(
        "SELECT GREATEST(a, 2, b + 1)",
        "SELECT (CASE WHEN ((a) IS NULL OR (b + 1) IS NULL) THEN NULL ELSE greatest(a, 2, b + 1) END)",
    );
    check("SELECT LEAST(1, 2)", "SELECT least(1, 2)");
}

#[test]
fn functions_and_operators() {
    check(
        "SELECT IF(a > 1, 'x', 'y')",
        "SELECT (CASE WHEN (a > 1) THEN 'x' ELSE 'y' END)",
    );
    check("SELECT DATE_ADD(d, INTERVAL 1 DAY)", "SELECT (d + INTERVAL 1 DAY)");
    check(
        "SELECT DATE_FORMAT(d, '%Y-%m-%d %H:%i')",
        "SELECT to_char(TRY_CAST(d AS TIMESTAMP), '%Y-%m-%d %H:%M')",
    );
    check(
        "SELECT CONCAT(a, '-', 1)",
        "SELECT (CAST(a AS VARCHAR) || '-' || CAST(1 AS VARCHAR))",
    );
    check("SELECT SUBSTR(a, -3), SUBSTRING(a, 0)", "SELECT right(a, 3), ''");
    check("SELECT SUBSTRING(a, -3, 2)", "SELECT substr(right(a, 3), 1, 2)");
    check(
        "SELECT MID(a, 2, 1), SUBSTR(a, b)",
        "SELECT substr(a, 2, 1), SUBSTR(a, b)",
    );
    check("SELECT LOG(a)", "SELECT (ln(a))");
    check(
        "SELECT CURRENT_TIMESTAMP, NOW()",
        "SELECT (date_trunc('second', now())), (date_trunc('second', now()))",
    );
    check("SELECT a REGEXP 'x'", "SELECT a ~ 'x'");
    check("SELECT CAST(a AS SIGNED)", "SELECT TRY_CAST(a AS BIGINT)");
    check(
        "SELECT GROUP_CONCAT(a SEPARATOR ';') FROM t",
        "SELECT string_agg(a, ';') FROM t",
    );
    check(
        "SELECT a FROM t ORDER BY a, b DESC",
        "SELECT a FROM t ORDER BY a NULLS FIRST, b DESC NULLS LAST",
    );
    check("SELECT 1 FROM DUAL", "SELECT 1");
}

#[test]
fn a_page_is_read_by_clients_that_send_its_numbers_as_doubles_or_text() {
    let bound = |sql: &str, values: &[Parameter]| {
        let Statement::Query(mut query) = parse(sql).unwrap().remove(0).statement else {
            panic!()
        };
        bind(&mut query, values).map(|()| query.to_string())
    };
    let page = "SELECT a FROM t WHERE b = ? LIMIT ? OFFSET ?";
    assert_eq!(
        bound(
            page,
            &[Parameter::Double(2.0), Parameter::Double(20.0), Parameter::Double(40.0)]
        )
        .unwrap(),
        "SELECT a FROM t WHERE b = 2e0 LIMIT 20 OFFSET 40"
    );
    assert_eq!(
        bound(
            page,
            &[
                Parameter::Text("2".into()),
                Parameter::Text("20".into()),
                Parameter::Double(0.0)
            ]
        )
        .unwrap(),
        "SELECT a FROM t WHERE b = '2' LIMIT 20 OFFSET 0"
    );
    assert_eq!(
        bound(
            "SELECT a FROM t LIMIT ?, ?",
            &[Parameter::Double(40.0), Parameter::Text("20".into())]
        )
        .unwrap(),
        "SELECT a FROM t LIMIT 40, 20"
    );
    // What is no number of rows stays what it is, and is refused where the query is planned.
    for (value, shown) in [
        (Parameter::Double(2.5), "2.5e0"),
        (Parameter::Double(-1.0), "(-1e0)"),
        (Parameter::Text("all".into()), "'all'"),
    ] {
        let bound = bound("SELECT a FROM t LIMIT ?", &[value]).unwrap();
        assert_eq!(bound, format!("SELECT a FROM t LIMIT {shown}"));
    }
    assert!(bound("SELECT a FROM t LIMIT ?", &[]).is_err());
}

#[test]
fn parameters_are_values_and_never_text() {
    let Statement::Query(mut query) = parse("SELECT ?, ? FROM t WHERE a = ? LIMIT ?")
        .unwrap()
        .remove(0)
        .statement
    else {
        panic!()
    };
    bind(
        &mut query,
        &[
            Parameter::Text("x' OR '1'='1".into()),
            Parameter::Int(-5),
            Parameter::Null,
            Parameter::Int(3),
        ],
    )
    .unwrap();
    assert_eq!(
        query.to_string(),
        "SELECT 'x'' OR ''1''=''1', (-5) FROM t WHERE a = NULL LIMIT 3"
    );
    let Statement::Query(mut query) = parse("SELECT ?").unwrap().remove(0).statement else {
        panic!()
    };
    assert!(bind(&mut query, &[]).is_err());
}
