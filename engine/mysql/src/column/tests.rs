use super::*;

/// The bytes of a BIGINT and a VARCHAR column, field by field, as MySQL documents `ColumnDefinition41`.
#[test]
fn definition_has_the_documented_layout() {
    let mut payload = Vec::new();
    Column::new("n", ColumnType::MYSQL_TYPE_LONGLONG)
        .unsigned()
        .not_null()
        .of_table("db", "t")
        .write_definition(&mut payload);
    let expected = [
        b"\x03def\x02db\x01t\x01t\x01n\x01n\x0c".as_slice(),
        &63_u16.to_le_bytes(),
        &20_u32.to_le_bytes(),
        &[8],
        &33_u16.to_le_bytes(),
        &[0, 0, 0],
    ]
    .concat();
    assert_eq!(payload, expected);
}
