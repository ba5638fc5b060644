//! Host names of frontends, and the one address for clients.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use springtide_contract::ports;

use super::ClusterShape;
use crate::names::{self, Owner};

/// Gives each frontend a host name, ready or not: frontends find each other while they start.
pub(super) fn headless(owner: &Owner, shape: &ClusterShape) -> Service {
    Service {
        metadata: owner.metadata(&names::frontends_headless(&shape.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            ports: Some(vec![
                service_port("mysql", ports::FE_MYSQL),
                service_port("http", ports::FE_HTTP),
                service_port("rpc", ports::FE_RPC),
                service_port("edit-log", ports::FE_EDIT_LOG),
            ]),
            publish_not_ready_addresses: Some(true),
            selector: Some(super::stateful_set::selector(&shape.name)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Where clients connect: MySQL and HTTP of the frontends that are ready.
pub(super) fn client(owner: &Owner, shape: &ClusterShape) -> Service {
    let mut metadata = owner.metadata(&names::client_service(&shape.name));
    if !shape.service_annotations.is_empty() {
        metadata.annotations = Some(shape.service_annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            ports: Some(vec![
                service_port("mysql", ports::FE_MYSQL),
                service_port("http", ports::FE_HTTP),
            ]),
            selector: Some(super::stateful_set::selector(&shape.name)),
            type_: Some(shape.service_type.as_str().to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// A port that is the same on the Service and on the pod.
pub(crate) fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(port))),
        ..ServicePort::default()
    }
}
