use super::*;

fn text(value: &Value<'_>) -> String {
    let mut payload = Vec::new();
    value.write_text(&mut payload);
    assert_eq!(
        usize::from(payload[0]),
        payload.len() - 1,
        "one byte of length, then the text"
    );
    String::from_utf8(payload[1..].to_vec()).expect("numbers and dates are ASCII")
}

fn binary(value: &Value<'_>, column: &Column) -> Result<Vec<u8>, String> {
    let mut payload = Vec::new();
    value.write_binary(column, &mut payload).map(|()| payload)
}

fn column(column_type: ColumnType) -> Column {
    Column::new("c", column_type)
}

#[test]
fn text_forms() {
    for (value, expected) in [
        (Value::Int(i64::MIN), "-9223372036854775808"),
        (Value::UInt(u64::MAX), "18446744073709551615"),
        (Value::Float(0.1), "0.1"),
        (Value::Double(0.1), "0.1"),
        (Value::Double(1e20), "1e20"),
        (Value::Double(-1.5e-7), "-1.5e-7"),
        (Value::Double(f64::MIN_POSITIVE), "2.2250738585072014e-308"),
        (Value::Double(123_456_789_012_345.0), "123456789012345"),
        (Value::Double(-0.0), "-0"),
        (Value::Double(f64::NEG_INFINITY), "-Infinity"),
        (Value::Double(f64::NAN), "NaN"),
        (
            Value::Date {
                year: 1,
                month: 2,
                day: 3,
            },
            "0001-02-03",
        ),
    ] {
        assert_eq!(text(&value), expected, "{value:?}");
    }
}

#[test]
fn text_forms_of_times() {
    let noon = |microsecond| Value::DateTime {
        year: 2026,
        month: 11,
        day: 22,
        hour: 12,
        minute: 0,
        second: 5,
        microsecond,
    };
    assert_eq!(text(&noon(0)), "2026-11-22 12:00:05");
    assert_eq!(text(&noon(1_200)), "2026-11-22 12:00:05.001200");
    let duration = |days, microseconds| Value::Time {
        negative: true,
        days,
        hours: 1,
        minutes: 2,
        seconds: 3,
        microseconds,
    };
    assert_eq!(text(&duration(0, 0)), "-01:02:03");
    assert_eq!(text(&duration(u32::MAX, 9)), "-103079215081:02:03.000009");
}

#[test]
fn null_in_text_is_one_byte() {
    let mut payload = Vec::new();
    Value::Null.write_text(&mut payload);
    assert_eq!(payload, [0xfb]);
}

#[test]
fn integers_take_the_width_of_their_column() {
    use ColumnType::{MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_SHORT, MYSQL_TYPE_TINY};
    assert_eq!(binary(&Value::Int(-128), &column(MYSQL_TYPE_TINY)), Ok(vec![0x80]));
    assert_eq!(
        binary(&Value::UInt(255), &column(MYSQL_TYPE_TINY).unsigned()),
        Ok(vec![0xff])
    );
    assert_eq!(binary(&Value::Int(-2), &column(MYSQL_TYPE_SHORT)), Ok(vec![0xfe, 0xff]));
    assert_eq!(binary(&Value::Int(1), &column(MYSQL_TYPE_LONG)), Ok(vec![1, 0, 0, 0]));
    assert_eq!(
        binary(&Value::UInt(u64::MAX), &column(MYSQL_TYPE_LONGLONG).unsigned()),
        Ok(vec![0xff; 8])
    );
}

#[test]
fn what_a_column_cannot_hold_is_refused() {
    use ColumnType::*;
    for (value, column) in [
        (Value::Int(128), column(MYSQL_TYPE_TINY)),
        (Value::Int(-1), column(MYSQL_TYPE_TINY).unsigned()),
        (Value::UInt(u64::MAX), column(MYSQL_TYPE_LONGLONG)),
        (Value::Double(1.0), column(MYSQL_TYPE_LONGLONG)),
        (Value::Double(0.1), column(MYSQL_TYPE_FLOAT)),
        (Value::bytes("1"), column(MYSQL_TYPE_LONG)),
        (
            Value::Date {
                year: 1,
                month: 1,
                day: 1,
            },
            column(MYSQL_TYPE_TIME),
        ),
        (
            Value::DateTime {
                year: 1,
                month: 1,
                day: 1,
                hour: 1,
                minute: 0,
                second: 0,
                microsecond: 0,
            },
            column(MYSQL_TYPE_DATE),
        ),
        (Value::Int(1), column(MYSQL_TYPE_NULL)),
    ] {
        assert!(binary(&value, &column).is_err(), "{value:?} in {column:?}");
    }
}

#[test]
fn a_misfit_does_not_print_the_value() {
    let error = binary(&Value::bytes("secret"), &column(ColumnType::MYSQL_TYPE_LONG));
    assert_eq!(error, Err("text or bytes does not fit MYSQL_TYPE_LONG".to_owned()));
}

#[test]
fn decimals_and_strings_travel_as_text() {
    assert_eq!(
        binary(&Value::bytes("1.50"), &column(ColumnType::MYSQL_TYPE_NEWDECIMAL)),
        Ok(b"\x041.50".to_vec())
    );
    assert_eq!(
        binary(&Value::Int(7), &column(ColumnType::MYSQL_TYPE_VAR_STRING)),
        Ok(b"\x017".to_vec())
    );
}
