use serde_json::json;

use super::*;

fn object<K: serde::de::DeserializeOwned>(kind: &str, namespace: Option<&str>, name: &str, spec: &Value) -> K {
    let object = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    });
    serde_json::from_value(object).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

#[test]
fn what_others_made_of_our_kinds_is_told_from_the_demos() {
    let examples = Examples {
        departments: vec![object(
            "Department",
            None,
            "retail",
            &json!({"namespaces": [{"name": "retail"}]}),
        )],
        groups: vec![object(
            "ComputeGroup",
            Some("retail"),
            "dashboards",
            &json!({"cluster": "lake"}),
        )],
        ..Examples::default()
    };
    let item = |kind: &str, namespace: Option<&str>, name: &str| json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}});
    let listed = json!({"items": [
        item("Department", None, "retail"),
        item("Department", None, "marketing"),
        item("ComputeGroup", Some("retail"), "dashboards"),
        item("ComputeGroup", Some("retail"), "adhoc"),
        item("ComputeGroup", Some("finance"), "dashboards"),
    ]});
    let others: Vec<String> = of_others(&listed, &examples).iter().map(ToString::to_string).collect();
    assert_eq!(
        others,
        [
            "ComputeGroup finance/dashboards",
            "ComputeGroup retail/adhoc",
            "Department marketing"
        ]
    );
    assert_eq!(of_others(&json!({"items": []}), &examples), BTreeSet::new());
}
