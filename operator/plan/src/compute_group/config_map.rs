//! The files that the compute nodes of a group read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::ComputeShape;
use crate::names::{self, Owner};

pub(super) fn build(owner: &Owner, compute: &ComputeShape, files: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        data: Some(files),
        metadata: owner.metadata(&names::compute(&compute.name)),
        ..ConfigMap::default()
    }
}
