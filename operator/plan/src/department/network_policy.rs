//! Who may connect to a department's pods from outside.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::names::{self, Owner};

const NAME: &str = "springtide-department";

/// Pods of the namespace reach each other, and the operator reaches them; nobody else does. The pods of clusters are left out:
/// what is allowed by one policy cannot be forbidden by another, and their own policies are stricter inside (internal ports are for
/// the same cluster only) and open the client ports to everybody.
pub(super) fn build(owner: &Owner, operator_namespace: &str) -> NetworkPolicy {
    let same_namespace = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([("kubernetes.io/metadata.name".to_owned(), operator_namespace.to_owned())].into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicy {
        metadata: owner.metadata(NAME),
        spec: Some(NetworkPolicySpec {
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![same_namespace, operator]),
                ports: None,
            }]),
            pod_selector: Some(LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: names::CLUSTER_LABEL.to_owned(),
                    operator: "DoesNotExist".to_owned(),
                    values: None,
                }]),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}
