use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Time};

use super::*;

fn about_object(name: &str, when: Timestamp) -> Event {
    Event {
        involved_object: ObjectReference {
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        },
        last_timestamp: Some(Time(when)),
        ..Event::default()
    }
}

#[test]
fn sets_pods_and_claims_count_but_not_those_of_a_longer_name() {
    let now = Timestamp::now();
    for (name, expected) in [
        ("etl-cn", true),
        ("etl-cn-3", true),
        ("local-etl-cn-0", true),
        ("etl-cnx-0", false),
        ("lake-fe-0", false),
    ] {
        assert_eq!(is_about(&about_object(name, now), "etl-cn"), expected, "{name}");
    }
}

#[test]
fn yesterdays_warning_says_nothing() {
    let now = Timestamp::now();
    assert!(is_recent(&about_object("etl-cn", now), now));
    assert!(!is_recent(
        &about_object("etl-cn", now - SignedDuration::from_hours(24)),
        now
    ));
    assert!(!is_recent(&Event::default(), now));
}

#[test]
fn nobody_asks_why_before_a_start_takes_long() {
    let (warnings, begun) = (Warnings::default(), Instant::now());
    let wanted =
        |is_complete: bool, after: Duration| warnings.are_wanted("retail", "etl-cn", is_complete, begun + after);
    assert!(!wanted(false, Duration::ZERO));
    assert!(wanted(false, PATIENCE));
    assert!(!wanted(true, PATIENCE));
    assert!(!wanted(false, PATIENCE * 2), "it is another start");
}
