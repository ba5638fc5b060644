use serde_json::{Value, json};

use super::*;

fn desired() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "etl-cn", "labels": {"app": "springtide"}},
        "spec": {
            "replicas": 2,
            "template": {"spec": {
                "containers": [{
                    "name": "engine",
                    "image": "e:1",
                    "ports": [{"containerPort": 9050, "protocol": "TCP"}],
                    "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }],
                "tolerations": [{"key": "a", "operator": "Exists"}],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }},
        },
    })
}

/// The same with what the API server and its controllers add.
fn live() -> Value {
    let mut live = desired();
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["resourceVersion"] = json!("7");
    live["spec"]["revisionHistoryLimit"] = json!(10);
    live["status"] = json!({"replicas": 2});
    let pod = &mut live["spec"]["template"]["spec"];
    pod["dnsPolicy"] = json!("ClusterFirst");
    pod["containers"][0]["terminationMessagePath"] = json!("/dev/termination-log");
    pod["containers"][0]["resources"]["requests"] = json!({"cpu": "500m", "memory": "1Gi"});
    live
}

fn check(change: impl FnOnce(&mut Value), expected: bool) {
    let mut live = live();
    change(&mut live);
    assert_eq!(needs_apply(&desired(), &live), expected, "{live:#}");
}

#[test]
fn what_the_api_server_adds_needs_nothing() {
    check(|_| {}, false);
}

/// Without this, an operator that starts writes everything once more.
#[test]
fn an_item_of_a_list_does_not_say_its_kind() {
    let change = |live: &mut Value| {
        let fields = live.as_object_mut().unwrap();
        fields.remove("apiVersion");
        fields.remove("kind");
    };
    check(change, false);
}

#[test]
fn a_field_of_ours_that_somebody_changed_is_applied_again() {
    check(|live| live["spec"]["replicas"] = json!(5), true);
    check(
        |live| live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("e:2"),
        true,
    );
    check(
        |live| live["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("2"),
        true,
    );
    check(|live| live["metadata"]["labels"] = json!({}), true);
    check(|live| live["spec"]["template"]["spec"]["containers"] = json!([]), true);
}

#[test]
fn what_somebody_added_beside_ours_is_left_alone() {
    check(|live| live["metadata"]["labels"]["team"] = json!("x"), false);
    check(|live| live["metadata"]["annotations"] = json!({"note": "x"}), false);
    check(
        |live| {
            let containers = live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
            containers.insert(0, json!({"name": "mesh", "image": "m"}));
        },
        false,
    );
}

#[test]
fn a_list_that_is_one_whole_has_no_additions() {
    let change = |live: &mut Value| {
        let list = live["spec"]["template"]["spec"]["tolerations"].as_array_mut().unwrap();
        list.push(json!({"key": "b"}));
    };
    check(change, true);
}

#[test]
fn an_empty_part_may_be_missing() {
    check(
        |live| {
            live["spec"]["template"]["spec"]["volumes"][0]
                .as_object_mut()
                .unwrap()
                .remove("emptyDir");
        },
        false,
    );
}

fn managed(fields: &Value) -> Value {
    let mut live = live();
    live["metadata"]["managedFields"] = json!([
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields},
    ]);
    live
}

#[test]
fn a_field_that_we_own_and_no_longer_want_is_applied_away() {
    let ours = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"engine\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
            "k:{\"containerPort\":9050,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
        }},
    }}}}});
    assert!(!needs_apply(&desired(), &managed(&ours)));
    assert!(needs_apply(
        &desired(),
        &managed(&json!({"f:spec": {"f:replicas": {}, "f:paused": {}}}))
    ));
    let container = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"old\"}": {}}}}}});
    assert!(needs_apply(&desired(), &managed(&container)));
}

#[test]
fn an_object_that_only_others_have_written_is_applied_once() {
    let mut live = live();
    live["metadata"]["managedFields"] =
        json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}]);
    assert!(needs_apply(&desired(), &live));
}

#[test]
fn the_ports_of_a_policy_are_one_whole() {
    let policy = json!({"spec": {"ingress": [{"ports": [{"port": 9030, "protocol": "TCP"}]}]}});
    let mut live = policy.clone();
    assert!(!needs_apply(&policy, &live));
    let ports = live["spec"]["ingress"][0]["ports"].as_array_mut().unwrap();
    ports.push(json!({"port": 9050, "protocol": "TCP"}));
    assert!(needs_apply(&policy, &live));
}

#[test]
fn the_node_port_of_a_service_is_left_alone() {
    let service = json!({"spec": {"ports": [{"name": "mysql", "port": 9030, "protocol": "TCP"}]}});
    let live = json!({"spec": {"ports": [{"name": "mysql", "port": 9030, "protocol": "TCP", "nodePort": 30111}]}});
    assert!(!needs_apply(&service, &live));
}
