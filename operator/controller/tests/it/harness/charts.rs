//! The charts as `helm template` renders them, object by object.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;
use serde_json::Value;

use super::api_server::binary;

/// Namespace of the release that [`super::api_server::OPERATOR`] belongs to.
pub(crate) const RELEASE_NAMESPACE: &str = "springtide-release";

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The objects of a chart, in the order of its templates.
pub(crate) fn render(chart: &str, release: &str, namespace: &str, arguments: &[&str]) -> Vec<Value> {
    let helm = binary().with_file_name("helm");
    let output = Command::new(&helm)
        .args(["template", release])
        .arg(repository().join("charts").join(chart))
        .args(["--namespace", namespace])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", helm.display()));
    assert!(
        output.status.success(),
        "helm template {chart}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    documents(&String::from_utf8(output.stdout).unwrap())
}

/// The documents of a YAML stream that are not empty.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error} in:\n{text}")))
        .filter(|document| !document.is_null())
        .collect()
}
