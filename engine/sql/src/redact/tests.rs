use super::{NOT_SHOWN, redact, redact_unread};

#[test]
fn secrets_are_replaced_and_the_rest_is_kept() {
    for (sql, shown) in [
        ("SELECT 'x' FROM t", "SELECT 'x' FROM t"),
        (
            "CREATE USER u IDENTIFIED BY 'pw' -- c",
            "CREATE USER u IDENTIFIED BY '***' -- c",
        ),
        (
            "CREATE USER u IDENTIFIED WITH mysql_native_password BY \"pw\"",
            "CREATE USER u IDENTIFIED WITH mysql_native_password BY '***'",
        ),
        (
            "CREATE USER u IDENTIFIED BY PASSWORD '*AB'",
            "CREATE USER u IDENTIFIED BY PASSWORD '***'",
        ),
        (
            "SET PASSWORD FOR u = PASSWORD('pw')",
            "SET PASSWORD FOR u = PASSWORD('***')",
        ),
        ("SET PASSWORD = '*AB'", "SET PASSWORD = '***'"),
        (
            "SELECT * FROM FILES('path'='s3://b', \"aws.s3.secret_key\" = \"ü\", 'aws.s3.access_key'='k')",
            "SELECT * FROM FILES('path'='s3://b', \"aws.s3.secret_key\" = '***', 'aws.s3.access_key'='***')",
        ),
        (
            "SELECT * FROM FILES('aws.s3.secret_key' = 'one' 'two', 'path' = X'41')",
            "SELECT * FROM FILES('aws.s3.secret_key' = '***' '***', 'path' = X'41')",
        ),
        (
            "SELECT * FROM FILES('aws.s3.secret_key' = X'6162')",
            "SELECT * FROM FILES('aws.s3.secret_key' = '***')",
        ),
        (
            "CREATE USER u IDENTIFIED BY 'pw",
            "(not shown: cannot be read and may hold a password)",
        ),
    ] {
        assert_eq!(redact(sql), shown);
    }
}

/// Anybody can read the audit table, and a slip of the pen must not put a password there.
#[test]
fn a_text_that_is_no_statement_shows_nothing_where_it_may_hold_a_secret() {
    for text in [
        "CREATE USER u IDENTIFIED BY hunter2",
        "CREATE USER u IDENTIFIED WITH 'hunter2'",
        "SELECT * FROM FILES(\"aws.s3.secret_key\": \"hunter2\")",
        "SELECT * FROM FILES(\"aws.s3.secret_key\" \"hunter2\")",
        "SET PASSWORD hunter2",
    ] {
        assert_eq!(redact_unread(text), NOT_SHOWN, "{text}");
    }
    assert_eq!(redact_unread("SELEC 'x' FROM t"), "SELEC 'x' FROM t");
}
