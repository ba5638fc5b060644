use crate::{Statement, parse, referenced_tables};

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
