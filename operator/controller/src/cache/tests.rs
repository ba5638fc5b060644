use serde_json::json;

use super::*;

fn service(namespace: &str, name: &str, owner: &str, version: &str) -> Value {
    json!({"metadata": {
        "namespace": namespace, "name": name, "resourceVersion": version, "labels": {names::OWNER_LABEL: owner},
    }})
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
