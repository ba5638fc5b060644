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
