use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;

fn object(body: Value) -> DynamicObject {
    serde_json::from_value(body).unwrap()
}

fn service(namespace: &str, name: &str, owner: &str, version: &str) -> DynamicObject {
    object(json!({"metadata": {
        "namespace": namespace, "name": name, "resourceVersion": version, "labels": {names::OWNER_LABEL: owner},
    }}))
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced(ObjectKind::Service, namespace, name)
}

#[test]
fn what_a_write_returned_is_not_undone_by_an_older_watch_event() {
    let cache = ObjectCache::default();
    cache.put(
        ObjectKind::Service,
        &service("retail", "lake", "lakecluster.lake", "12"),
    );
    cache.put(ObjectKind::Service, &service("retail", "lake", "somebody.else", "11"));
    assert_eq!(cache.owned("lakecluster.lake", Some("retail")).len(), 1);
    assert!(cache.owned("somebody.else", None).is_empty());
}

#[test]
fn the_answer_to_a_write_that_comes_after_the_deletion_brings_nothing_back() {
    let cache = ObjectCache::default();
    let at = |version| service("retail", "lake", "lakecluster.lake", version);
    cache.put(ObjectKind::Service, &at("10"));
    cache.deleted(ObjectKind::Service, &at("12").metadata);
    cache.put(ObjectKind::Service, &at("11"));
    assert_eq!(cache.get(&key("retail", "lake")), None);
    cache.put(ObjectKind::Service, &at("13"));
    cache.deleted(ObjectKind::Service, &at("12").metadata);
    assert!(cache.get(&key("retail", "lake")).is_some(), "it was made anew");
}

#[test]
fn a_size_that_was_written_is_known_before_the_watch_tells_and_not_after_it_told_of_another() {
    let cache = ObjectCache::default();
    let set = ObjectKey::namespaced(ObjectKind::StatefulSet, "retail", "etl");
    let at = |version: &str, replicas: i64| {
        json!({
            "metadata": {
                "namespace": "retail", "name": "etl", "resourceVersion": version,
                "labels": {names::OWNER_LABEL: "computegroup.etl"},
            },
            "spec": {"replicas": replicas, "serviceName": "etl"},
        })
    };
    let as_object = |version: &str, replicas: i64| object(at(version, replicas));
    cache.scaled(&set, Some("9"), 1);
    assert_eq!(cache.get(&set), None, "nobody knows such an object");
    cache.put(ObjectKind::StatefulSet, &as_object("10", 1));
    cache.scaled(&set, Some("12"), 2);
    assert_eq!(cache.get(&set), Some(at("12", 2)));
    assert_eq!(cache.owned("computegroup.etl", Some("retail")).len(), 1);
    // An event from before the write, and the answer to a write that somebody has overwritten since.
    cache.put(ObjectKind::StatefulSet, &as_object("11", 1));
    cache.scaled(&set, Some("12"), 7);
    cache.scaled(&set, None, 7);
    assert_eq!(cache.get(&set), Some(at("12", 2)));
    cache.put(ObjectKind::StatefulSet, &as_object("13", 3));
    cache.scaled(&set, Some("12"), 2);
    assert_eq!(cache.get(&set), Some(at("13", 3)));
}

#[test]
fn deletions_are_forgotten_in_time() {
    let cache = ObjectCache::default();
    for number in 0..2 * DELETIONS {
        cache.deleted(
            ObjectKind::Service,
            &service("retail", &format!("s{number}"), "o", "7").metadata,
        );
    }
    let state = cache.read();
    assert_eq!((state.deleted.len(), state.deletions.len()), (DELETIONS, DELETIONS));
}

#[test]
fn owners_of_the_same_name_in_two_namespaces_are_two() {
    let cache = ObjectCache::default();
    cache.put(ObjectKind::Service, &service("retail", "lake", "lakecluster.lake", "1"));
    cache.put(
        ObjectKind::Service,
        &service("finance", "lake", "lakecluster.lake", "2"),
    );
    assert_eq!(cache.owned("lakecluster.lake", Some("retail")).len(), 1);
    assert_eq!(cache.owned("lakecluster.lake", None).len(), 2);
    assert_eq!(cache.of_kind(ObjectKind::Service, Some("finance")).len(), 1);
    assert_eq!(cache.of_kind(ObjectKind::Service, None).len(), 2);
    assert!(cache.of_kind(ObjectKind::ConfigMap, None).is_empty());
}

#[test]
fn an_object_that_changes_hands_leaves_its_former_owner() {
    let cache = ObjectCache::default();
    cache.put(ObjectKind::Service, &service("retail", "lake", "lakecluster.old", "1"));
    cache.put(ObjectKind::Service, &service("retail", "lake", "lakecluster.new", "2"));
    assert!(cache.owned("lakecluster.old", None).is_empty());
    assert_eq!(cache.owned("lakecluster.new", None).len(), 1);
}

#[test]
fn a_deletion_that_the_watch_missed_is_found_by_the_next_list() {
    let cache = ObjectCache::default();
    for (namespace, name) in [("retail", "a"), ("retail", "b"), ("finance", "c")] {
        cache.put(ObjectKind::Service, &service(namespace, name, "lakecluster.lake", "1"));
    }
    cache.retain(
        ObjectKind::Service,
        Some("retail"),
        &BTreeSet::from([key("retail", "b")]),
    );
    assert_eq!(cache.get(&key("retail", "a")), None);
    assert!(cache.get(&key("retail", "b")).is_some());
    assert!(cache.get(&key("finance", "c")).is_some());
    assert_eq!(cache.owned("lakecluster.lake", None).len(), 2);
}

fn pod(namespace: &str, name: &str) -> Pod {
    serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).unwrap()
}

fn pod_key(namespace: &str, name: &str) -> Key {
    Key::of(&pod(namespace, name))
}

#[test]
fn a_namespace_is_not_mixed_with_one_whose_name_begins_alike() {
    let cache = TypedCache::default();
    for (namespace, name) in [("retail-bi", "a"), ("retail", "b"), ("retail", "a"), ("finance", "c")] {
        assert!(cache.put(pod(namespace, name)).is_none());
    }
    let names = |namespace| -> Vec<String> {
        let pods = cache.select_in(namespace, |_| true);
        pods.iter().map(|pod| pod.name_any()).collect()
    };
    assert_eq!(names("retail"), ["a", "b"]);
    assert_eq!(names("retail-bi"), ["a"]);
    assert_eq!(names("reta"), [] as [&str; 0]);
    assert_eq!(cache.select(|pod| pod.name_any() == "a").len(), 2);
}

#[test]
fn a_typed_object_that_a_new_list_does_not_name_is_gone_and_no_other() {
    let cache = TypedCache::default();
    for (namespace, name) in [("retail", "a"), ("retail", "b"), ("finance", "c")] {
        cache.put(pod(namespace, name));
    }
    cache.retain(Some("retail"), &BTreeSet::from([pod_key("retail", "b")]));
    assert!(cache.get(&pod_key("retail", "a")).is_none());
    assert!(cache.get(&pod_key("finance", "c")).is_some());
    assert!(cache.put(pod("retail", "b")).is_some());
    cache.remove(&pod_key("finance", "c"));
    cache.retain(None, &BTreeSet::new());
    assert!(cache.select(|_| true).is_empty());
}
