use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;

fn pod(version: &str) -> Pod {
    Pod {
        metadata: ObjectMeta {
            uid: Some("uid".into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

#[test]
fn a_cache_from_before_our_own_write_is_stale() {
    let written = WrittenVersions::default();
    assert!(!written.is_stale(&pod("9")));
    written.wrote("uid", Some("10"));
    assert!(written.is_stale(&pod("9")));
    assert!(!written.is_stale(&pod("10")));
    assert!(!written.is_stale(&pod("100")));
    written.forget("uid");
    assert!(!written.is_stale(&pod("9")));
}

#[test]
fn an_answer_is_good_for_its_time_only() {
    let short = Remembered::new(Duration::ZERO);
    short.put("retail", 1);
    assert_eq!(short.get(&"retail"), None);
    let long = Remembered::new(Duration::from_secs(60));
    long.put("retail", 1);
    assert_eq!(long.get(&"retail"), Some(1));
    long.forget(&"retail");
    assert_eq!(long.get(&"retail"), None);
}
