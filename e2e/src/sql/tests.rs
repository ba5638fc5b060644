use super::*;

#[test]
fn errors_never_show_the_keys_of_a_files_call() {
    let statement = r#"INSERT INTO t SELECT * FROM FILES("path" = "s3://b/t/*.parquet", "aws.s3.secret_key" = "hush")"#;
    assert_eq!(
        short(statement),
        r#"INSERT INTO t SELECT * FROM FILES("path" = "s3://b/t/*.parquet", ""#
    );
}

#[test]
fn a_forwarded_port_is_read_from_what_kubectl_says() {
    assert_eq!(forwarded_port("Forwarding from 127.0.0.1:43067 -> 9030"), Some(43067));
    assert_eq!(forwarded_port("error: no such service"), None);
}
