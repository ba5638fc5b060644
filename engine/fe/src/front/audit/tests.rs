use springtide_model::{Literal, PartitionBound};

use super::{AuditRecord, Figures, QueryType, audit_table, day_partition, rows};

fn record() -> AuditRecord {
    AuditRecord {
        query_id: uuid::Uuid::nil(),
        begun_ms: 1_795_368_272_000,
        query_type: QueryType::Query,
        client_ip: "::1".into(),
        user: "ana".into(),
        database: "d".into(),
        warehouse: "w".into(),
        statement_number: 3,
        statement: "SELECT 1".into(),
        is_kept: true,
        state: "EOF",
        error_code: String::new(),
        millis: 12,
        figures: Figures::default(),
    }
}

#[test]
fn rows_fit_the_table() {
    let table = audit_table().unwrap();
    let batch = rows("fe", &[record()]).unwrap();
    let names: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let columns: Vec<String> = table.schema.columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!(names, columns);
    assert!(springtide_tablet::cast_batch(&batch, &table.schema).is_ok());
}

#[test]
fn a_day_is_a_partition() {
    let (name, range) = day_partition(1_795_368_272_000 / super::DAY_MS);
    assert_eq!(name, "p20261122");
    assert_eq!(
        range.upper,
        PartitionBound::Value(Literal::Text("2026-11-23 00:00:00".into()))
    );
}
