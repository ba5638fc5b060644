//! How many compute nodes of a group may leave at once of their own accord.
//!
//! A group of one node has a budget, too: it lets that node go, and a window that opens or closes has one object less to write.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ComputeShape;
use crate::names::{self, Owner};

pub(super) fn build(owner: &Owner, compute: &ComputeShape) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: owner.metadata(&names::compute(&compute.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(super::stateful_set::selector(&compute.cluster.name, &compute.name)),
                ..LabelSelector::default()
            }),
            // A pod that is broken anyway must not hold up the emptying of its node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
