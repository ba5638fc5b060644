use serde_json::json;

use super::*;

#[test]
fn a_server_whose_pod_is_about_to_be_replaced_is_not_used() {
    let rolled_out = |observed: i64, updated: i32, ready: i32| {
        let set = json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"observedGeneration": observed, "replicas": 1, "updatedReplicas": updated, "readyReplicas": ready},
        });
        is_rolled_out(&serde_json::from_value(set).unwrap())
    };
    assert!(rolled_out(2, 1, 1));
    assert!(!rolled_out(1, 1, 1), "the status is about the object before");
    assert!(!rolled_out(2, 0, 1), "the ready pod is the old one");
    assert!(!rolled_out(2, 1, 0), "the new pod is not ready");
}
