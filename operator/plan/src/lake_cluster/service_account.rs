//! The identity of all pods of a cluster. It has no rights and no token in its pods.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::ClusterShape;
use crate::names::{self, Owner};

pub(super) fn build(owner: &Owner, shape: &ClusterShape) -> ServiceAccount {
    ServiceAccount {
        automount_service_account_token: Some(false),
        metadata: owner.metadata(&names::service_account(&shape.name)),
        ..ServiceAccount::default()
    }
}
