use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::Int32Type,
};
use springtide_model::{Column, DataType, Distribution, Literal, TableSchema};

use super::RowMapping;

fn column(name: &str, data_type: DataType, nullable: bool, default: Option<Literal>) -> Column {
    Column {
        name: name.into(),
        data_type,
        nullable,
        default,
        comment: String::new(),
    }
}

fn schema() -> Arc<TableSchema> {
    Arc::new(TableSchema {
        schema_id: 0,
        columns: vec![
            column("Id", DataType::Int, false, None),
            column("name", DataType::Varchar { length: 10 }, true, None),
            column("state", DataType::Int, false, Some(Literal::Int(7))),
        ],
        key_columns: 1,
        partition_column: None,
        distribution: Distribution {
            columns: vec![0],
            buckets: 1,
        },
    })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn columns_are_found_by_name_and_missing_ones_get_their_default() {
    let mapping = RowMapping::new("t", &schema(), &names(&["name", "id"]), false).unwrap();
    let body = RecordBatch::try_from_iter([
        ("name", text(&[Some(" a "), Some("")])),
        ("id", text(&[Some(" 1 "), Some("")])),
    ]);
    let rows = mapping.map(&body.unwrap()).unwrap();
    assert_eq!(
        rows.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("1"), None]
    );
    assert_eq!(
        rows.column(1).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some(" a "), Some("")]
    );
    assert_eq!(rows.column(2).as_primitive::<Int32Type>().values(), &[7, 7]);
}

#[test]
fn trim_space_is_for_text_too() {
    let mapping = RowMapping::new("t", &schema(), &names(&["id", "name"]), true).unwrap();
    let body = RecordBatch::try_from_iter([("id", text(&[Some("1")])), ("name", text(&[Some(" a ")]))]).unwrap();
    let rows = mapping.map(&body).unwrap();
    assert_eq!(rows.column(1).as_string::<i32>().value(0), "a");
    assert_eq!(rows.column(1).null_count(), 0);
}

#[test]
fn a_name_that_is_not_there_fails_before_the_first_row() {
    let check = |body: &[&str], expected: &str| {
        let message = RowMapping::new("t", &schema(), &names(body), false)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(
        &["id", "nmae"],
        "column `nmae` is not in table `t`, whose columns are Id, name, state",
    );
    check(&["name"], "column `Id` is NOT NULL, has no default");
}
