//! The most that all pods of a namespace may reserve together.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use springtide_crds::department::NamespaceQuota;

use crate::names::Owner;

const NAME: &str = "springtide-department";

/// `None` where nothing is limited.
pub(super) fn build(owner: &Owner, quota: &NamespaceQuota) -> Option<ResourceQuota> {
    let NamespaceQuota {
        cpu,
        memory,
        storage,
        pods,
    } = quota;
    let hard: BTreeMap<String, Quantity> = [
        ("requests.cpu", cpu.as_ref().map(|amount| amount.0.clone())),
        ("requests.memory", memory.as_ref().map(|amount| amount.0.clone())),
        ("requests.storage", storage.as_ref().map(|amount| amount.0.clone())),
        ("pods", pods.map(|pods| pods.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?))))
    .collect();
    (!hard.is_empty()).then(|| ResourceQuota {
        metadata: owner.metadata(NAME),
        spec: Some(ResourceQuotaSpec {
            hard: Some(hard),
            ..ResourceQuotaSpec::default()
        }),
        ..ResourceQuota::default()
    })
}
