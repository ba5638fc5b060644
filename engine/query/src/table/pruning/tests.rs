use super::{ScalarValue, last_before};

#[test]
fn the_end_of_a_range_is_not_in_it() {
    let check = |end: ScalarValue, last: ScalarValue| assert_eq!(last_before(end), last);
    check(ScalarValue::Date32(Some(0)), ScalarValue::Date32(Some(-1)));
    check(ScalarValue::Int8(Some(5)), ScalarValue::Int8(Some(4)));
    check(ScalarValue::Int64(Some(i64::MIN)), ScalarValue::Int64(Some(i64::MIN)));
    check(
        ScalarValue::TimestampMicrosecond(Some(1_000_000), None),
        ScalarValue::TimestampMicrosecond(Some(999_999), None),
    );
    check(
        ScalarValue::Utf8View(Some("b".into())),
        ScalarValue::Utf8View(Some("b".into())),
    );
}
