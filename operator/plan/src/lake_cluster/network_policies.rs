//! Who may connect to the pods of a cluster: everybody to the client ports, which ask for a password, and the cluster's own
//! pods to the internal ones.
//!
//! The kubelet's probes and hooks come from the node, which network policies do not hold back.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use springtide_contract::ports;

use super::ClusterShape;
use crate::names::{self, Owner};

pub(super) fn frontends(owner: &Owner, shape: &ClusterShape) -> NetworkPolicy {
    policy(
        owner,
        shape,
        &names::frontends(&shape.name),
        names::FRONTEND,
        &[ports::FE_MYSQL, ports::FE_HTTP],
    )
}

/// One policy for the compute nodes of all groups.
pub(super) fn compute(owner: &Owner, shape: &ClusterShape) -> NetworkPolicy {
    let name = format!("{}-compute", shape.name);
    policy(owner, shape, &name, names::COMPUTE, &[ports::CN_HTTP])
}

/// `client_ports` from everywhere; every port from the pods of the same cluster.
fn policy(owner: &Owner, shape: &ClusterShape, name: &str, component: &str, client_ports: &[u16]) -> NetworkPolicy {
    let cluster = (names::CLUSTER_LABEL.to_owned(), shape.name.clone());
    let component = (names::COMPONENT_LABEL.to_owned(), component.to_owned());
    let open = NetworkPolicyIngressRule {
        from: None,
        ports: Some(client_ports.iter().map(|port| tcp(*port)).collect()),
    };
    let inside = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector {
                match_labels: Some([cluster.clone(), managed()].into()),
                ..LabelSelector::default()
            }),
            ..NetworkPolicyPeer::default()
        }]),
        ports: None,
    };
    NetworkPolicy {
        metadata: owner.metadata(name),
        spec: Some(NetworkPolicySpec {
            ingress: Some(vec![open, inside]),
            pod_selector: Some(LabelSelector {
                match_labels: Some([cluster, component].into()),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn managed() -> (String, String) {
    ("app.kubernetes.io/managed-by".to_owned(), names::MANAGED_BY.to_owned())
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    }
}
