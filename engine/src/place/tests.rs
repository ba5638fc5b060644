use springtide_contract::config::RefusalReason;

use super::Place;

fn check_config(text: Option<&str>, reason: RefusalReason, expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("etc/springtide/engine");
    std::fs::create_dir_all(&directory).unwrap();
    if let Some(text) = text {
        std::fs::write(directory.join("engine.json"), text).unwrap();
    }
    let refusal = Place::below(root.path()).config().unwrap_err();
    assert_eq!(refusal.reason, reason);
    assert!(refusal.message.contains(expected), "{}", refusal.message);
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_with_the_reason() {
    check_config(None, RefusalReason::ConfigInvalid, "No such file");
    check_config(Some("{"), RefusalReason::ConfigInvalid, "EOF");
    check_config(Some("{}"), RefusalReason::ConfigInvalid, "formatVersion is missing");
    check_config(
        Some(r#"{"formatVersion": 99, "later": 1}"#),
        RefusalReason::ConfigInvalid,
        "(version 99; this one reads up to 1); run at least that engine version",
    );
    check_config(
        Some(r#"{"formatVersion": 1, "bucket": 1}"#),
        RefusalReason::ConfigInvalid,
        "unknown field `bucket`",
    );
}
