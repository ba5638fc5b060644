use std::path::Path;

use super::*;

#[test]
fn generated_files_are_up_to_date() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generated_files() {
        let on_disk = std::fs::read_to_string(repository.join(&file.path)).unwrap_or_default();
        assert!(
            on_disk == file.content,
            "{} is not what the types say; run `make generate` and commit the result",
            file.path
        );
    }
}

#[test]
fn the_chart_keeps_definitions_when_it_is_uninstalled() {
    let charts = generated_files()
        .into_iter()
        .filter(|file| file.path.starts_with("charts/"));
    for file in charts {
        assert!(file.content.contains("helm.sh/resource-policy: keep"), "{}", file.path);
        assert!(
            !file.content.contains("{{") || file.content.contains("{{ \"{{\" }}"),
            "{}",
            file.path
        );
    }
}

#[test]
fn the_reference_has_every_reason_and_message() {
    let page = reference();
    for (reason, _) in Reason::ALL {
        assert!(page.contains(&format!("| `{}` |", reason.as_str())), "{reason:?}");
    }
    assert!(page.contains("| **`cluster`** | string |"), "{page}");
    assert!(page.contains("cluster cannot change: the nodes are known to that cluster's frontends"));
    assert!(
        page.contains("minReplicas is above maxReplicas: lower minReplicas"),
        "rules of a list's items are in it"
    );
}

#[test]
fn defaults_of_the_types_are_those_of_the_schema() {
    // What a client reads from an object that the API server has not defaulted is what the API server would have filled in.
    let spec: crate::ComputeGroupSpec = serde_json::from_value(serde_json::json!({"cluster": "demo"})).unwrap();
    let definition = definitions()
        .into_iter()
        .find(|definition| definition.spec.names.kind == "ComputeGroup")
        .unwrap();
    let definition = serde_json::to_value(definition).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let written = serde_json::to_value(spec).unwrap();
    for field in ["replicas", "cacheSize", "drain"] {
        assert_eq!(schema[field]["default"], written[field], "{field}");
    }
}

#[test]
fn amounts_may_be_numbers() {
    let quota: crate::department::NamespaceQuota = serde_json::from_str(r#"{"cpu": 8, "memory": "16Gi"}"#).unwrap();
    assert_eq!(quota.cpu, Some(crate::Quantity::new("8")));
}
