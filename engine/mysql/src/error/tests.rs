use super::*;

#[test]
fn a_long_message_is_cut_between_characters() {
    let error = MysqlError::new(1064, b"42000", "ü".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(error.message_on_the_wire().len(), MAX_MESSAGE_BYTES);
    let odd = MysqlError::new(1064, b"42000", format!("a{}", "ü".repeat(MAX_MESSAGE_BYTES)));
    assert_eq!(odd.message_on_the_wire().len(), MAX_MESSAGE_BYTES - 1);
}

#[test]
fn access_denied_tells_nothing_but_whether_a_password_came() {
    let error = MysqlError::access_denied("ana", "10.0.0.7", true);
    assert_eq!(
        (error.code, error.message.as_str()),
        (1045, "Access denied for user 'ana'@'10.0.0.7' (using password: YES)")
    );
}
