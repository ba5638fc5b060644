use proptest::prelude::*;

use super::*;
use crate::Column;

fn prepared(parameters: usize) -> PreparedStatement {
    PreparedStatement {
        parameters: vec![Column::text("?"); parameters],
        columns: Vec::new(),
    }
}

/// Statements with one open, of so many parameters, under the returned id.
fn statements(parameters: usize) -> (Statements, u32) {
    let mut statements = Statements::new(2, 16);
    let id = statements.reserve().expect("room");
    statements.open(id, &prepared(parameters));
    (statements, id)
}

/// Flags, iterations, no NULL, one new type, the value.
fn execution(type_and_flags: [u8; 2], value: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 0, 0, 0, 1][..], &type_and_flags, value].concat()
}

#[test]
fn a_date_and_a_datetime_are_told_apart() {
    let (mut statements, id) = statements(1);
    let mut decode = |type_code| {
        let rest = execution([type_code, 0], &[4, 0xea, 7, 11, 22]);
        statements.parameters(id, &rest).expect("well formed").remove(0).value
    };
    assert_eq!(
        decode(10),
        Value::Date {
            year: 2026,
            month: 11,
            day: 22
        }
    );
    assert_eq!(
        decode(12),
        Value::DateTime {
            year: 2026,
            month: 11,
            day: 22,
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0
        }
    );
}

#[test]
fn types_are_remembered_between_executions() {
    let (mut statements, id) = statements(1);
    let first = execution([8, UNSIGNED], &u64::MAX.to_le_bytes());
    assert_eq!(
        statements.parameters(id, &first).expect("well formed")[0].value,
        Value::UInt(u64::MAX)
    );
    let second = [&[0, 1, 0, 0, 0, 0, 0][..], &3_u64.to_le_bytes()].concat();
    assert_eq!(
        statements.parameters(id, &second).expect("well formed")[0].value,
        Value::UInt(3)
    );
}

#[test]
fn types_never_told_are_an_error() {
    let (mut statements, id) = statements(1);
    let error = statements
        .parameters(id, &[0, 1, 0, 0, 0, 0, 0, 1])
        .expect_err("no types");
    assert_eq!(error.code, codes::MALFORMED_PACKET);
}

#[test]
fn types_that_the_decoder_cannot_read_are_an_error() {
    for type_code in [17, 18, 19, 20, 21, 243] {
        let (mut statements, id) = statements(1);
        let error = statements
            .parameters(id, &execution([type_code, 0], &[0; 16]))
            .expect_err("unknown type");
        assert_eq!(error.code, codes::MALFORMED_PACKET);
    }
}

#[test]
fn long_data_is_joined_used_once_and_bounded() {
    let (mut statements, id) = statements(1);
    statements.add_long_data(id, 0, b"abc");
    statements.add_long_data(id, 0, b"def");
    let value = statements
        .parameters(id, &execution([252, 0], b""))
        .expect("well formed")
        .remove(0)
        .value;
    assert_eq!(value, Value::bytes("abcdef"));
    let short = statements
        .parameters(id, &execution([252, 0], b""))
        .expect_err("used up");
    assert_eq!(short.code, codes::MALFORMED_PACKET);

    statements.add_long_data(id, 0, &[0; 10]);
    statements.add_long_data(id, 0, &[0; 10]);
    let error = statements
        .parameters(id, &execution([252, 0], b""))
        .expect_err("too much");
    assert_eq!(error.code, codes::PACKET_TOO_LARGE);
    assert_eq!(statements.long_data, 0, "what was refused is not kept");
}

#[test]
fn statements_are_counted_and_unknown_ones_refused() {
    let (mut statements, id) = statements(0);
    let second = statements.reserve().expect("room for two");
    statements.open(second, &prepared(0));
    assert_eq!(statements.reserve().expect_err("full").code, codes::TOO_MANY_STATEMENTS);
    assert!(statements.close(id) && !statements.close(id));
    assert_eq!(
        statements.parameters(id, &[0; 5]).expect_err("closed").code,
        codes::UNKNOWN_STATEMENT
    );
}

proptest! {
    #[test]
    fn no_execution_panics(
        parameters in 0_usize..20,
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut statements, id) = statements(parameters);
        let _ = statements.parameters(id, &rest);
    }

    #[test]
    fn no_value_panics(type_code: u8, flags: u8, value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let (mut statements, id) = statements(1);
        let _ = statements.parameters(id, &execution([type_code, flags], &value));
    }
}
