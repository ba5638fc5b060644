use super::*;

fn on_s3(prefix: &str) -> StorageConfig {
    StorageConfig::S3 {
        bucket: "lake".to_owned(),
        prefix: prefix.to_owned(),
        endpoint: None,
        region: "us-east-1".to_owned(),
        path_style: false,
    }
}

#[test]
fn only_the_place_that_is_configured_can_be_named() {
    assert_eq!(check_name(&on_s3("retail/demo"), "s3://lake/retail/demo"), Ok(()));
    for named in [
        "s3://lake/retail/demo/",
        "s3://lake/retail/dem",
        "s3://lake/retail/demo2",
        "s3://lake/retail",
        "s3://lake",
        "lake/retail/demo",
        "",
    ] {
        let refusal = check_name(&on_s3("retail/demo"), named).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::ConfigInvalid, "{named}");
        assert!(refusal.message.contains("s3://lake/retail/demo"), "{}", refusal.message);
    }
}

#[test]
fn neither_a_bucket_nor_a_folder_is_deleted_as_a_whole() {
    for named in ["s3://lake/", "s3://lake"] {
        let refusal = check_name(&on_s3(""), named).unwrap_err();
        assert!(refusal.message.contains("without a prefix"), "{}", refusal.message);
    }
    let folder = StorageConfig::Directory {
        path: "/data".to_owned(),
    };
    let refusal = check_name(&folder, "/data").unwrap_err();
    assert!(refusal.message.contains("a folder"), "{}", refusal.message);
}
