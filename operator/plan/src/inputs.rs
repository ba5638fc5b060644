//! What people have written that ends up in pods, as a hash: whoever finds the same hash on a StatefulSet, and would make its pods
//! differently, is another release of the operator and not somebody's wish.
//!
//! The hash is over what is written, and not over what is made of it. What is not written, and what is written as empty, does not count: a
//! later release has more fields, whose defaults change nothing. One that reads other fields than these, or hashes them otherwise, has
//! another [`VERSION`], and knows nothing about hashes of other versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use springtide_crds::LakeClusterSpec;

use crate::compute_group::ComputeShape;
use crate::flavour::flavour;
use crate::lake_cluster::ClusterShape;

/// Of the fields and of how they are hashed. Secrets that an engine reads anew by itself do not count.
const VERSION: u32 = 1;

/// Those of a cluster's frontends. `spec` is in force, and `credentials` is the hash of the Secrets that people write, where pods are
/// replaced for them.
pub(crate) fn of_frontends(spec: &LakeClusterSpec, shape: &ClusterShape, credentials: Option<&str>) -> String {
    let dynamic = flavour(shape.engine).dynamic_settings();
    let is_dynamic = |name: &String| dynamic.iter().any(|setting| setting.name == name);
    let mut config = spec.frontends.config.clone();
    // Nobody wishes for other pods by them.
    config.retain(|name, _| !is_dynamic(name));
    with_config(spec, shape, credentials, &config)
}

/// The same as releases hashed it for which every setting was one that pods are replaced for; `None` where that is no difference.
pub(crate) fn of_frontends_of_old(
    spec: &LakeClusterSpec,
    shape: &ClusterShape,
    credentials: Option<&str>,
) -> Option<String> {
    let of_old = with_config(spec, shape, credentials, &spec.frontends.config);
    (of_old != of_frontends(spec, shape, credentials)).then_some(of_old)
}

fn with_config(
    spec: &LakeClusterSpec,
    shape: &ClusterShape,
    credentials: Option<&str>,
    config: &BTreeMap<String, String>,
) -> String {
    versioned(&json!({
        "cluster": of_cluster(spec, shape, credentials),
        "image": spec.image,
        "resources": spec.frontends.resources,
        "config": config,
    }))
}

/// Those of a group's nodes. `spec` is that of its cluster.
pub(crate) fn of_compute(spec: &LakeClusterSpec, compute: &ComputeShape, credentials: Option<&str>) -> String {
    versioned(&json!({
        "cluster": of_cluster(spec, &compute.cluster, credentials),
        "image": spec.compute_template.image.as_ref().or(spec.image.as_ref()),
        "config": spec.compute_template.config,
        "podTemplate": spec.compute_template.pod_template,
        "resources": compute.resources,
        "cacheSize": compute.cache_size,
        "drainTimeoutS": compute.drain_timeout.as_secs(),
        "drainKey": compute.drain_key,
        "placement": compute.placement,
        "labels": compute.labels,
    }))
}

fn of_cluster(spec: &LakeClusterSpec, shape: &ClusterShape, credentials: Option<&str>) -> Value {
    json!({
        "id": shape.cluster_id,
        "engine": spec.engine,
        "storage": spec.storage,
        // Pods mount a Secret, whoever writes it, and what is in it is read anew.
        "tls": {"secretName": shape.tls_secret},
        "imagePullSecrets": spec.image_pull_secrets,
        "credentials": credentials,
    })
}

/// Whether both are known to be made of the same. Hashes of different versions say nothing about each other.
pub(crate) fn differ(one: &str, other: &str) -> bool {
    let version = |text: &str| text.split_once(':').map(|(version, _)| version.to_owned());
    version(one) == version(other) && one != other
}

fn versioned(inputs: &Value) -> String {
    format!("{VERSION}:{}", hash_of(&written(inputs)))
}

/// Without what says nothing.
fn written(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), written(value)))
            .filter(|(_, value)| !says_nothing(value))
            .collect(),
        Value::Array(items) => items.iter().map(written).collect(),
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A hash of 128 bits over a value, whatever order its fields are in.
pub(crate) fn hash_of(value: &Value) -> String {
    let mut digest = Sha256::new();
    digest_of(value, &mut digest);
    finish(digest)
}

fn digest_of(value: &Value, digest: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            digest.update(b"{");
            digest.update((names.len() as u64).to_be_bytes());
            for name in names {
                add_text(name, digest);
                digest_of(&fields[name], digest);
            }
        }
        Value::Array(items) => {
            digest.update(b"[");
            digest.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| digest_of(item, digest));
        }
        other => add_text(&other.to_string(), digest),
    }
}

/// A hash of 128 bits over texts in their order.
pub(crate) fn hash_of_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let mut digest = Sha256::new();
    texts.into_iter().for_each(|text| add_text(text, &mut digest));
    finish(digest)
}

fn add_text(text: &str, digest: &mut Sha256) {
    digest.update((text.len() as u64).to_be_bytes());
    digest.update(text.as_bytes());
}

fn finish(digest: Sha256) -> String {
    hex::encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{cluster, settings};

    fn of(change: impl FnOnce(&mut LakeClusterSpec)) -> String {
        let mut cluster = cluster("demo").0.cluster;
        change(&mut cluster.spec);
        let shape = ClusterShape::new(&cluster, &cluster.spec, &settings()).unwrap();
        of_frontends(&cluster.spec, &shape, Some("s3cret"))
    }

    #[test]
    fn an_operator_upgrade_that_hashes_otherwise_has_another_version() {
        assert_eq!(
            of(|_| {}),
            GOLDEN,
            "StatefulSets carry this; if it must change, count VERSION up, or every cluster rolls with the upgrade"
        );
    }
    const GOLDEN: &str = "1:e3328911e29baf4b6197e4c3af182a15";

    #[test]
    fn a_field_that_a_later_release_adds_with_its_default_is_nobodys_wish() {
        let before = json!({"a": "1", "list": [{"b": true}]});
        let after =
            json!({"list": [{"b": true, "new": null}], "a": "1", "new": false, "map": {"empty": ""}, "none": []});
        assert_eq!(versioned(&before), versioned(&after));
        assert_ne!(versioned(&before), versioned(&json!({"a": "2", "list": [{"b": true}]})));
    }

    /// What StatefulSets carry that were made before some settings were dynamic, and what they carry from then on.
    #[test]
    fn a_dynamic_setting_is_nobodys_wish_for_other_pods_and_was_one_of_old() {
        let both = |config: &[(&str, &str)]| {
            let mut cluster = cluster("demo").starrocks().0.cluster;
            let config = config
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            cluster.spec.frontends.config = config.collect();
            let shape = ClusterShape::new(&cluster, &cluster.spec, &settings()).unwrap();
            (
                of_frontends(&cluster.spec, &shape, None),
                of_frontends_of_old(&cluster.spec, &shape, None),
            )
        };
        let (nothing, of_old) = both(&[]);
        assert_eq!(of_old, None);
        let (dynamic, of_old) = both(&[("qe_slow_log_ms", "1000")]);
        assert_eq!(dynamic, nothing);
        assert!(of_old.is_some_and(|of_old| differ(&of_old, &nothing)));
        let (fixed, of_old) = both(&[("qe_max_connection", "100")]);
        assert_ne!(fixed, nothing);
        assert_eq!(of_old, None);
        assert_eq!(both(&[("qe_max_connection", "100"), ("qe_slow_log_ms", "1")]).0, fixed);
    }

    #[test]
    fn what_is_written_for_compute_is_no_wish_about_frontends() {
        assert_eq!(
            of(|spec| spec.compute_template.image = Some("e:2".to_owned())),
            of(|_| {})
        );
        assert_ne!(of(|spec| spec.image = Some("e:2".to_owned())), of(|_| {}));
        assert_ne!(of(|spec| spec.engine.version = "9".to_owned()), of(|_| {}));
    }

    #[test]
    fn hashes_of_different_versions_say_nothing_about_each_other() {
        assert!(differ("1:a", "1:b"));
        assert!(!differ("1:a", "1:a"));
        assert!(!differ("1:a", "2:b"));
        assert!(!differ("", "1:b"));
    }
}
