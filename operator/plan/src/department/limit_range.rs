//! What a container reserves that does not say: a quota refuses pods that reserve nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::names::Owner;

/// Name of the object in every namespace.
const NAME: &str = "springtide-department";

pub(super) fn build(owner: &Owner) -> LimitRange {
    let amounts = |cpu: Option<&str>, memory: &str| -> BTreeMap<String, Quantity> {
        [("cpu", cpu), ("memory", Some(memory))]
            .into_iter()
            .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?.to_owned()))))
            .collect()
    };
    LimitRange {
        metadata: owner.metadata(NAME),
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                default: Some(amounts(None, "256Mi")),
                default_request: Some(amounts(Some("100m"), "128Mi")),
                type_: "Container".to_owned(),
                ..LimitRangeItem::default()
            }],
        }),
    }
}
