//! How many frontends may leave at once of their own accord.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ClusterShape;
use crate::names::{self, Owner};

/// Made only for more than one frontend: a budget over a single pod would only keep a node of Kubernetes from being emptied.
pub(super) fn build(owner: &Owner, shape: &ClusterShape) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: owner.metadata(&names::frontends(&shape.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(super::stateful_set::selector(&shape.name)),
                ..LabelSelector::default()
            }),
            // A pod that is broken anyway must not hold up the emptying of its node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
