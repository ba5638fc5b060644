use crate::{Statement, output_names, parse, referenced_tables};

#[test]
fn tables_are_found_everywhere_once() {
    let Statement::Query(query) = parse(
        "SELECT * FROM a JOIN d.b ON a.x = b.x WHERE EXISTS (SELECT 1 FROM c WHERE c.y IN (SELECT y FROM a)) \
         UNION ALL SELECT * FROM default_catalog.d.e, FILES('path'='s3://x')",
    )
    .unwrap()
    .remove(0)
    .statement
    else {
        panic!()
    };
    let tables: Vec<String> = referenced_tables(&query).iter().map(ToString::to_string).collect();
    assert_eq!(tables, ["a", "d.b", "c", "d.e"]);
}

#[test]
fn every_column_of_a_result_has_a_name_of_its_own() {
    let named = |sql: &str| {
        let Statement::Query(mut query) = parse(sql).unwrap().remove(0).statement else {
            panic!()
        };
        (output_names(&mut query), query.to_string())
    };
    let (names, sql) = named("SELECT userid, U.NAME AS Total, 'x' FROM u");
    assert_eq!(names.unwrap(), ["userid", "Total", "x"]);
    assert_eq!(sql, "SELECT userid, U.NAME AS Total, 'x' AS `x` FROM u");
    let (names, sql) = named("SELECT 1, 1, count(*) FROM t");
    assert_eq!(names.unwrap(), ["1", "1", "count(*)"]);
    assert_eq!(sql, "SELECT 1 AS `1`, 1 AS `1\u{1}1`, count(*) AS `count(*)` FROM t");
    assert_eq!(named("SELECT *, 1 FROM t").0, None);
    assert_eq!(named("SELECT 1 UNION ALL SELECT 2").0.unwrap(), ["1"]);
}
