#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use serde_json::json;

use super::*;

fn found() -> Found {
    let cluster = |namespace: &str, name: &str| {
        let body = json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"engine": {"version": "0.1.0"}, "storage": {"bucket": "retail", "prefix": "lake", "credentials": {}}},
        });
        serde_json::from_value(body).unwrap()
    };
    let group = |namespace: &str, name: &str, cluster: &str| {
        let body =
            json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"cluster": cluster, "replicas": 1}});
        serde_json::from_value(body).unwrap()
    };
    Found {
        departments: vec![
            serde_json::from_value(json!({"metadata": {"name": "retail"}, "spec": {"namespaces": [{"name": "shop"}]}}))
                .unwrap(),
        ],
        clusters: vec![cluster("shop", "lake"), cluster("bank", "vault")],
        groups: vec![
            group("shop", "etl", "lake"),
            group("shop", "bi", "lake"),
            group("bank", "risk", "vault"),
        ],
    }
}

fn names(found: &Found) -> (Vec<String>, Vec<String>) {
    (
        found.clusters.iter().map(ResourceExt::name_any).collect(),
        found.groups.iter().map(ResourceExt::name_any).collect(),
    )
}

#[test]
fn a_name_shows_what_belongs_to_it() {
    let lists = |clusters: &[&str], groups: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        (owned(clusters), owned(groups))
    };
    assert_eq!(
        names(&found().named("retail").unwrap()),
        lists(&["lake"], &["etl", "bi"])
    );
    assert_eq!(names(&found().named("lake").unwrap()), lists(&["lake"], &["etl", "bi"]));
    assert_eq!(names(&found().named("bi").unwrap()), lists(&["lake"], &["bi"]));
    assert!(found().named("nobody").is_none());
}

/// Two nodes run.
fn two_nodes() -> StatefulSet {
    serde_json::from_value(json!({
        "metadata": {},
        "spec": {"selector": {}, "serviceName": "a", "template": {"spec": {
            "containers": [{
                "name": "engine",
                "resources": {"requests": {"cpu": "990m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
            }],
            "initContainers": [{
                "name": "drain",
                "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
            }],
        }}},
        "status": {"replicas": 2},
    }))
    .unwrap()
}

fn quota(hard: serde_json::Value, used: serde_json::Value) -> ResourceQuota {
    let body = json!({"metadata": {"name": "department"}, "spec": {"hard": hard}, "status": {"used": used}});
    serde_json::from_value(body).unwrap()
}

#[test]
fn the_quota_that_is_short_says_how_many_nodes_it_has_room_for() {
    let set = two_nodes();
    // Two of the three cores in use are the group's own.
    let cpu = quota(
        json!({"requests.cpu": "8", "pods": "50"}),
        json!({"requests.cpu": "3", "pods": "4"}),
    );
    let room = least_room(&set, &[], &[cpu]).unwrap();
    assert_eq!((room.nodes, room.by.as_str()), (7, "quota department (requests.cpu)"));
    let memory = quota(json!({"memory": "5Gi"}), json!({}));
    assert_eq!(least_room(&set, &[], &[memory]).unwrap().nodes, 2);
    assert_eq!(
        least_room(&set, &[], &[quota(json!({"secrets": "1"}), json!({}))]),
        None
    );
    let count = quota(json!({"count/pods": "5"}), json!({"count/pods": "3"}));
    let room = least_room(&set, &[], &[count]).unwrap();
    assert_eq!((room.nodes, room.by.as_str()), (4, "quota department (count/pods)"));
    let limits = quota(json!({"requests.memory": "20Gi", "limits.memory": "8Gi"}), json!({}));
    let room = least_room(&set, &[], &[limits]).unwrap();
    assert_eq!((room.nodes, room.by.as_str()), (3, "quota department (limits.memory)"));
}

#[test]
fn what_the_windows_of_other_groups_will_want_is_no_room() {
    let set = two_nodes();
    let cpu = quota(json!({"requests.cpu": "8"}), json!({"requests.cpu": "2"}));
    let other = two_nodes();
    let nodes = |promised: u64| {
        least_room(&set, &[(&other, promised)], std::slice::from_ref(&cpu))
            .unwrap()
            .nodes
    };
    assert_eq!((nodes(0), nodes(5)), (8, 3));
}

#[test]
fn a_quota_that_does_not_count_the_nodes_leaves_them_all_the_room_there_is() {
    let scoped = |scope: &str| {
        let mut quota = quota(json!({"pods": "1"}), json!({}));
        quota.spec.as_mut().unwrap().scopes = Some(vec![scope.to_owned()]);
        quota
    };
    let mut set = two_nodes();
    let nodes = |set: &StatefulSet, scope: &str| least_room(set, &[], &[scoped(scope)]).map(|room| room.nodes);
    assert_eq!(nodes(&set, "Terminating"), None);
    assert_eq!(nodes(&set, "BestEffort"), None);
    assert_eq!(nodes(&set, "NotTerminating"), Some(1));
    assert_eq!(nodes(&set, "PriorityClass"), None);
    let pod = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.priority_class_name = Some("batch".to_owned());
    assert_eq!(nodes(&set, "PriorityClass"), Some(1));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let asked = in_time(
        Duration::from_millis(20),
        "the compute nodes",
        std::future::pending::<()>(),
    );
    let error = tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .expect("it is given up")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the compute nodes: no answer within 20ms"
    );
}
