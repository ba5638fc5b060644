use springtide_contract::config::FrontendConfig;

use super::{NO_LIMIT_S, Variables, checked};

#[test]
fn values_are_checked_as_starrocks_does() {
    assert_eq!(checked("query_timeout", "10").unwrap(), "10");
    assert_eq!(
        checked("query_timeout", "abc").unwrap_err().message,
        "Getting analyzing error. Detail message: query_timeout is not a number."
    );
    assert_eq!(
        checked("query_timeout", "-1").unwrap_err().message,
        "Getting analyzing error. Detail message: query_timeout must be equal or greater than 1."
    );
    assert_eq!(checked("autocommit", "ON").unwrap(), "true");
    assert_eq!(checked("nosuchvar", "1").unwrap_err().code, 1193);
    assert_eq!(checked("version", "1").unwrap_err().code, 1238);
}

#[test]
fn sessions_see_globals_until_they_set_their_own() {
    let mut variables = Variables::new([("query_timeout", "7")].into_iter());
    assert_eq!(variables.number("query_timeout"), 7);
    variables.set("query_timeout", Some("9".into()));
    assert_eq!(variables.get("query_timeout"), Some("9"));
    variables.set("query_timeout", None);
    assert_eq!(variables.get("query_timeout"), Some("7"));
    assert!(variables.is_set("query_timeout"), "globally");
    assert!(!variables.is_set("insert_timeout"));
    variables.set("insert_timeout", Some("14400".into()));
    assert!(variables.is_set("insert_timeout"), "to its default, but by somebody");
    variables.set("insert_timeout", None);
    assert!(!variables.is_set("insert_timeout"));
    assert_eq!(variables.get("nosuch"), None);
    assert!(
        variables
            .list()
            .any(|(name, value)| name == "tx_isolation" && value == "REPEATABLE-READ")
    );
}

#[test]
fn settings_of_the_frontend_are_below_what_somebody_has_set() {
    let of = |query_timeout_s| FrontendConfig {
        query_timeout_s,
        ..FrontendConfig::default()
    };
    let mut variables = Variables::new([].into_iter());
    variables.follow(&of(60));
    assert_eq!(variables.number("query_timeout"), 60);
    assert!(!variables.is_set("query_timeout"));
    variables.follow(&of(0));
    assert_eq!(variables.number("query_timeout"), NO_LIMIT_S);
    variables.follow(&of(u64::MAX));
    assert_eq!(variables.number("query_timeout"), NO_LIMIT_S);
    variables.set_global("query_timeout", Some("7".into()));
    variables.follow(&of(90));
    assert_eq!(variables.number("query_timeout"), 7);
    variables.set_global("query_timeout", None);
    assert_eq!(variables.number("query_timeout"), 90);
}
