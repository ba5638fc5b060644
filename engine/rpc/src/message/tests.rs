use serde::{Serialize, de::DeserializeOwned};

use super::*;

const TARGET: &str = r#"{"txn":7,"epoch":1,"database":1,"table":2,"table_name":"t","schema":{"schema_id":0,"columns":[{"name":"k","data_type":"big_int","nullable":true}],"key_columns":1,"partition_column":0,"distribution":{"columns":[0],"buckets":1}},"partitions":[{"id":3,"name":"p","range":{"lower":"min_value","upper":{"value":{"int":170141183460469231731687303715884105727}}},"tablets":[4]}]}"#;
const OBJECT: &str = r#"{"name":"data/2/3/x.seg","size":100,"writes":[{"partition":3,"tablet":4,"segment":{"object":"data/2/3/x.seg","offset":0,"length":80,"rows":3,"uncompressed_bytes":240,"schema_id":0,"epoch":1}}]}"#;

/// A message of the first release says what `now` says in today's words, and so does one of a later release, which has a field more
/// behind `opening`.
fn check<M: Serialize + DeserializeOwned>(first_release: &str, now: &str, opening: &str) {
    let in_todays_words = |text: &str| {
        let message: M = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        serde_json::to_string(&message).unwrap()
    };
    assert_eq!(in_todays_words(first_release), now);
    let later = now.replacen(opening, &format!(r#"{opening}"invented":{{"later":[1]}},"#), 1);
    assert_ne!(later, now);
    assert_eq!(in_todays_words(&later), now);
}

/// The same for one that has not changed since the first release.
fn check_unchanged<M: Serialize + DeserializeOwned>(text: &str, opening: &str) {
    check::<M>(text, text, opening);
}

#[test]
fn heartbeats_of_the_first_release_and_of_later_ones_are_read() {
    check::<HeartbeatRequest>(
        r#"{"cluster_id":"00000000-0000-0000-0000-000000000001","epoch":1,"node_id":7,"frontend_rpc_url":"http://fe:9020"}"#,
        r#"{"cluster_id":"00000000-0000-0000-0000-000000000001","epoch":1,"node_id":7,"frontend_rpc_url":"http://fe:9020","known_draining":false,"settled":false,"cut_off":false,"protocol":1}"#,
        "{",
    );
    check::<HeartbeatReply>(
        r#"{"version":"0.1.0","start_time_ms":1,"draining":false,"http_port":8040,"worker_port":9060,"cpu_cores":2,"memory_limit_bytes":3,"memory_used_bytes":4,"running_fragments":5,"running_loads":6}"#,
        r#"{"version":"0.1.0","start_time_ms":1,"draining":false,"http_port":8040,"worker_port":9060,"cpu_cores":2,"memory_limit_bytes":3,"memory_used_bytes":4,"running_fragments":5,"running_loads":6,"drain_timeout_s":0,"protocol":1,"plans":{"oldest":1,"newest":1}}"#,
        "{",
    );
    check_unchanged::<PlanVersions>(r#"{"oldest":1,"newest":2}"#, "{");
}

#[test]
fn loads_of_the_first_release_and_of_later_ones_are_read() {
    check::<BeginLoadRequest>(
        r#"{"database":"d","table":"t","label":"l","user":"ana","password":"secret","client_ip":"127.0.0.1","timeout_s":60}"#,
        r#"{"database":"d","table":"t","label":"l","user":"ana","password":"secret","client_ip":"127.0.0.1","timeout_s":60,"redirect":null,"process":null}"#,
        "{",
    );
    check_unchanged::<NodeProcess>(r#"{"node":7,"start_time_ms":11}"#, "{");
    check_unchanged::<BeginLoadReply>(&format!(r#"{{"begun":{{"target":{TARGET}}}}}"#), r#"{"begun":{"#);
    check_unchanged::<BeginLoadReply>(
        r#"{"label_already_exists":{"txn":7,"existing_job_status":"RUNNING"}}"#,
        r#"{"label_already_exists":{"#,
    );
    check_unchanged::<BeginLoadReply>(r#"{"access_denied":{"message":"m"}}"#, r#"{"access_denied":{"#);
    check_unchanged::<BeginLoadReply>(r#"{"refused":{"message":"m"}}"#, r#"{"refused":{"#);
    let commit = format!(r#"{{"txn":7,"objects":[{OBJECT}],"publish_timeout_s":60}}"#);
    check_unchanged::<CommitLoadRequest>(&commit, "{");
    for reply in [
        r#"{"result":"visible"}"#,
        r#"{"result":"publish_timeout"}"#,
        r#"{"result":"refused","message":"m"}"#,
    ] {
        check_unchanged::<CommitLoadReply>(reply, "{");
    }
    check_unchanged::<AbortLoadRequest>(r#"{"txn":7,"reason":"r"}"#, "{");
}

#[test]
fn rows_of_the_first_release_and_of_later_ones_are_taken() {
    check_unchanged::<IngestRequest>(&format!(r#"{{"target":{TARGET}}}"#), "{");
    check_unchanged::<IngestReply>(&format!(r#"{{"objects":[{OBJECT}],"rows":3}}"#), "{");
}

#[test]
fn fields_within_a_target_or_an_object_are_passed_over_too() {
    check_unchanged::<IngestRequest>(&format!(r#"{{"target":{TARGET}}}"#), r#""schema":{"#);
    check_unchanged::<IngestRequest>(&format!(r#"{{"target":{TARGET}}}"#), r#""partitions":[{"#);
    check_unchanged::<IngestReply>(&format!(r#"{{"objects":[{OBJECT}],"rows":3}}"#), r#""segment":{"#);
}

#[test]
fn a_version_is_read_within_the_bounds_that_a_node_tells() {
    let plans = PlanVersions { oldest: 2, newest: 3 };
    assert_eq!(
        [1, 2, 3, 4].map(|version| plans.reads(version)),
        [false, true, true, false]
    );
    assert_eq!(plans.to_string(), "versions 2 to 3");
    assert!(PlanVersions::default().reads(1));
    assert!(understands(PROTOCOL_VERSION) && understands(PROTOCOL_VERSION + 1));
    assert!(!understands(OLDEST_PROTOCOL_VERSION - 1));
}
