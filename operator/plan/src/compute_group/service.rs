//! Host names of compute nodes.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use springtide_contract::ports;

use super::ComputeShape;
use crate::lake_cluster::service_port;
use crate::names::{self, Owner};

/// Gives each node a host name, ready or not: the frontend calls a node before the kubelet has looked at it.
pub(super) fn build(owner: &Owner, compute: &ComputeShape) -> Service {
    Service {
        metadata: owner.metadata(&names::compute(&compute.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            ports: Some(vec![
                service_port("http", ports::CN_HTTP),
                service_port("heartbeat", ports::CN_HEARTBEAT),
                service_port("worker", ports::CN_WORKER),
            ]),
            publish_not_ready_addresses: Some(true),
            selector: Some(super::stateful_set::selector(&compute.cluster.name, &compute.name)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
