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
    let answers = Remembered::default();
    answers.put("retail", 1, Duration::ZERO);
    assert_eq!(answers.get(&"retail"), None);
    answers.put("retail", 1, Duration::from_secs(60));
    assert_eq!(answers.get(&"retail"), Some(1));
    answers.forget(&"retail");
    assert_eq!(answers.get(&"retail"), None);
}
