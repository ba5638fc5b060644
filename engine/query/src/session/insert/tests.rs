use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use springtide_model::{Column, DataType, Distribution, Literal, TableSchema};

use super::arrange;
use crate::QueryPlan;

fn table() -> TableSchema {
    let column = |name: &str, nullable, default| Column {
        name: name.to_owned(),
        data_type: DataType::Int,
        nullable,
        default,
        comment: String::new(),
    };
    TableSchema {
        schema_id: 0,
        columns: vec![
            column("Id", false, None),
            column("hits", false, Some(Literal::Int(7))),
            column("note", true, None),
        ],
        key_columns: 1,
        partition_column: None,
        distribution: Distribution {
            columns: vec![0],
            buckets: 1,
        },
    }
}

fn plan(columns: &[&str]) -> QueryPlan {
    let fields: Vec<Field> = columns
        .iter()
        .map(|name| Field::new(*name, ArrowType::Int64, true))
        .collect();
    let schema = datafusion::common::DFSchema::try_from(Schema::new(fields)).unwrap();
    QueryPlan {
        logical: LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: schema.into(),
        }),
        column_names: Vec::new(),
    }
}

fn check(given: &[&str], columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    match arrange(plan(given), &table(), &columns) {
        Ok(plan) => plan.logical.display().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn columns_come_in_the_tables_order_with_defaults() {
    assert_eq!(
        check(&["x", "y"], &["note", "ID"]),
        "Projection: y AS id, Int32(7) AS hits, x AS note"
    );
    assert_eq!(
        check(&["a", "b", "c"], &[]),
        "Projection: a AS id, b AS hits, c AS note"
    );
    assert_eq!(
        check(&["a"], &["id"]),
        "Projection: a AS id, Int32(7) AS hits, Int32(NULL) AS note"
    );
}

#[test]
fn columns_that_do_not_fit_are_named() {
    assert_eq!(check(&["a"], &[]), "3 columns to insert into, but 1 values per row");
    assert_eq!(check(&["a", "b"], &["id", "ID"]), "column `ID` is named twice");
    assert_eq!(check(&["a"], &["nope"]), "unknown column 'nope'");
    assert_eq!(
        check(&["a"], &["note"]),
        "column `Id` has no default and is NOT NULL; give it a value"
    );
}
