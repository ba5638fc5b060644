use crate::{CreateTable, Statement, TableDescription, create_table_text, parse};

fn created(sql: &str) -> CreateTable {
    match parse(sql).unwrap().remove(0).statement {
        Statement::CreateTable(table) => table,
        other => panic!("{other:?}"),
    }
}

fn text(table: &CreateTable) -> String {
    create_table_text(&TableDescription {
        name: &table.table.table,
        schema: &table.schema,
        partitions: table
            .partitions
            .iter()
            .map(|partition| (partition.name.as_str(), &partition.range))
            .collect(),
        comment: &table.comment,
    })
}

#[test]
fn show_create_table_has_starrocks_layout_and_parses_back() {
    let table = created(
        "CREATE TABLE t_dup (k INT NOT NULL COMMENT 'say \"hi\"', dt DATE, v STRING DEFAULT 'x') DUPLICATE KEY(k) PARTITION BY \
         RANGE(dt) (PARTITION p1 VALUES LESS THAN ('2024-01-01'), PARTITION p2 VALUES LESS THAN ('2024-02-01')) DISTRIBUTED BY \
         HASH(k) BUCKETS 3",
    );
    let shown = text(&table);
    insta::assert_snapshot!(shown, @r#"
    CREATE TABLE `t_dup` (
      `k` int(11) NOT NULL COMMENT "say \"hi\"",
      `dt` date NULL COMMENT "",
      `v` varchar(65533) NULL DEFAULT "x" COMMENT ""
    ) ENGINE=OLAP 
    DUPLICATE KEY(`k`)
    COMMENT "OLAP"
    PARTITION BY RANGE(`dt`)
    (PARTITION p1 VALUES [(MINVALUE), ("2024-01-01")),
    PARTITION p2 VALUES [("2024-01-01"), ("2024-02-01")))
    DISTRIBUTED BY HASH(`k`) BUCKETS 3 
    PROPERTIES (
    "compression" = "ZSTD",
    "replication_num" = "1"
    );
    "#);
    let again = created(&shown);
    assert_eq!((again.schema, again.partitions), (table.schema, table.partitions));
}
