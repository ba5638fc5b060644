//! The files that frontends read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::ClusterShape;
use crate::names::{self, Owner};

pub(super) fn build(owner: &Owner, shape: &ClusterShape, files: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        data: Some(files),
        metadata: owner.metadata(&names::config_map(&shape.name)),
        ..ConfigMap::default()
    }
}
