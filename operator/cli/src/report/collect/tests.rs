use serde_json::json;

use super::{logs::*, *};
use crate::report::fake::ApiServer;

fn wanted() -> Wanted {
    Wanted {
        namespace: Some("retail".to_owned()),
        cluster: None,
        operator_namespace: "springtide-system".to_owned(),
        logs: true,
        since: None,
        at: DateTime::default(),
    }
}

#[test]
fn every_kind_is_there_once_and_none_is_a_secret() {
    for kinds in [CLUSTER_WIDE, OF_OPERATOR, IN_NAMESPACES] {
        let plurals: BTreeSet<&str> = kinds.iter().map(|kind| kind.plural).collect();
        assert_eq!(plurals.len(), kinds.len());
        assert!(!plurals.contains("secrets"));
    }
    let position = |plural: &str| IN_NAMESPACES.iter().position(|kind| kind.plural == plural);
    assert!(position("computegroups") < position("statefulsets"));
    assert_eq!(position("events"), Some(IN_NAMESPACES.len() - 1));
}

#[tokio::test]
async fn long_lists_are_read_page_by_page() {
    let path = "/api/v1/namespaces/retail/pods";
    let pod = |name: &str| json!([{"metadata": {"name": name}}]);
    let server =
        ApiServer::new()
            .page(path, "continue=second", pod("b"), "")
            .page(path, "limit=500", pod("a"), "second");
    let collected = collect(&server.client(), &wanted(), &|_| ()).await.unwrap();
    let names: Vec<&str> = collected
        .objects("pods")
        .filter_map(|(_, pod)| pod["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(
        !collected
            .unread
            .iter()
            .any(|unread| unread.what == "pods in namespace retail")
    );
}

#[tokio::test]
async fn a_list_without_an_end_is_read_to_its_limit() {
    let items: Vec<Value> = (0..PAGE)
        .map(|number| json!({"metadata": {"name": format!("s{number}")}}))
        .collect();
    let server = ApiServer::new().page("/api/v1/namespaces/retail/services", "", Value::from(items), "more");
    let collected = collect(&server.client(), &wanted(), &|_| ()).await.unwrap();
    assert_eq!(collected.objects("services").count(), MOST_OBJECTS);
    let unread = collected
        .unread
        .iter()
        .find(|unread| unread.what == "services in namespace retail")
        .unwrap();
    assert_eq!(unread.why, "there are more than the 5000 that are here");
}

#[tokio::test]
async fn what_is_no_operator_is_said_to_be_none() {
    let server = ApiServer::new().list("/apis/apps/v1/namespaces/springtide-system/deployments", json!([]));
    let collected = collect(&server.client(), &wanted(), &|_| ()).await.unwrap();
    let unread = collected
        .unread
        .iter()
        .find(|unread| unread.what == "the operator")
        .unwrap();
    assert!(unread.why.contains("--operator-namespace"), "{}", unread.why);
}

#[test]
fn events_are_about_what_is_there_and_what_was_made_for_it() {
    let names = BTreeSet::from(["lake".to_owned(), "etl-cn".to_owned()]);
    for (name, expected) in [
        ("lake", true),
        ("etl-cn-7", true),
        ("lakehouse", false),
        ("bi-cn-0", false),
    ] {
        let event = json!({"involvedObject": {"name": name}});
        assert_eq!(is_about(&event, &names), expected, "{name}");
    }
    assert!(!is_about(&json!({}), &names));
}

#[test]
fn only_logs_that_there_are_are_asked_for() {
    let pod = json!({
        "metadata": {"name": "p"},
        "status": {
            "initContainerStatuses": [{"name": "drain", "restartCount": 0, "state": {"running": {}}}],
            "containerStatuses": [
                {"name": "engine", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                {"name": "new", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
            ],
        },
    });
    let told: Vec<(String, bool)> = sources(&pod)
        .into_iter()
        .map(|source| (source.container, source.is_previous))
        .collect();
    let expected =
        [("drain", false), ("engine", false), ("engine", true)].map(|(name, previous)| (name.to_owned(), previous));
    assert_eq!(told, expected);
    assert!(sources(&json!({})).is_empty());
}

#[test]
fn of_a_long_log_the_last_whole_lines_are_kept() {
    let mut tail = Tail::default();
    tail.push(b"short\n");
    assert_eq!(tail.text(), "short\n");
    let mut tail = Tail::default();
    let line = "0123456789abcde\n";
    for _ in 0..3 * MOST_BYTES / line.len() {
        tail.push(line.as_bytes());
    }
    tail.push("the last, with ä".as_bytes());
    let text = tail.text();
    assert!(text.len() <= MOST_BYTES + 200, "{}", text.len());
    assert!(text.ends_with("0123456789abcde\nthe last, with ä"));
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("[what was before is left out"));
    assert_eq!(lines.next(), Some("0123456789abcde"));
}
