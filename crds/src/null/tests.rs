use serde_json::json;

use crate::{ComputeGroup, Department, LakeCluster};

#[test]
fn a_field_that_was_emptied_by_an_apply_does_not_make_the_object_unreadable() {
    let group: ComputeGroup = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "etl"},
        "spec": {"cluster": "lake", "replicas": null, "placement": null, "drain": {"timeout": null}, "labels": null,
            "schedules": [{"name": "w", "start": "0 8 * * *", "duration": "1h", "timeZone": null, "minReplicas": 1}]},
    }))
    .unwrap();
    assert_eq!((group.spec.replicas, group.spec.drain.timeout.0.as_str()), (1, "10m"));
    assert_eq!(group.spec.schedules[0].time_zone, "Etc/UTC");

    let department: Department = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": "retail"},
        "spec": {"namespaces": [{"name": "retail", "quota": null}], "admins": null, "limits": {"maxReplicas": null}},
    }))
    .unwrap();
    assert_eq!(department.spec.namespaces.len(), 1);

    let cluster: LakeCluster = serde_json::from_value(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "metadata": {"name": "lake"},
        "spec": {
            "engine": {"version": "0.1.0", "kind": null}, "frontends": null, "computeTemplate": {"podTemplate": null},
            "storage": {"bucket": "b", "prefix": "p", "region": null, "credentials": {"secretRef": {"name": "storage"}}},
        },
    }))
    .unwrap();
    assert_eq!(cluster.spec.frontends.replicas, 1);
}

#[test]
fn what_is_missing_is_still_named() {
    let error = serde_json::from_value::<ComputeGroup>(json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "etl"}, "spec": {"cluster": null},
    }))
    .unwrap_err();
    assert!(error.to_string().contains("cluster"), "{error}");
}
