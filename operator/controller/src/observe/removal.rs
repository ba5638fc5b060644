//! What is read only of a cluster that is being deleted. What decides whether data is deleted is read as it is now, and in no cache.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use springtide_crds::LakeCluster;
use springtide_plan::{ObservedRemoval, flavour, lake_cluster::takes_data_along, names};

use crate::{context::Context, kubernetes::KubernetesError};

/// Everything about the removal of a cluster; nothing where it is not being deleted.
pub(super) async fn of(context: &Context, cluster: &LakeCluster) -> Result<ObservedRemoval, KubernetesError> {
    if cluster.metadata.deletion_timestamp.is_none() {
        return Ok(ObservedRemoval::default());
    }
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let pods = context
        .caches
        .pods
        .select_in(&namespace, |pod| pod.labels().get(names::CLUSTER_LABEL) == Some(&name));
    let is = |pod: &Pod, component: &str| {
        pod.labels()
            .get(names::COMPONENT_LABEL)
            .is_some_and(|its| its == component)
    };
    let mut removal = ObservedRemoval {
        compute_pods: pods
            .iter()
            .filter(|pod| is(pod, names::COMPUTE))
            .map(|pod| pod.name_any())
            .collect(),
        job_pods: pods
            .iter()
            .filter(|pod| is(pod, names::DATA_DELETION))
            .map(|pod| Pod::clone(pod))
            .collect(),
        ..ObservedRemoval::default()
    };
    if takes_data_along(cluster) {
        let own = context.kubernetes.get_cluster_wide::<Namespace>(&namespace).await?;
        removal.namespace_is_leaving = own.is_none_or(|own| own.metadata.deletion_timestamp.is_some());
        if !flavour(cluster.spec.engine.kind).capabilities().claims_place {
            removal.other_clusters = others(context, cluster).await?;
        }
    }
    Ok(removal)
}

/// Every LakeCluster but this one.
async fn others(context: &Context, cluster: &LakeCluster) -> Result<Vec<LakeCluster>, KubernetesError> {
    let mut others = Vec::new();
    for place in context.settings.scope().places() {
        others.extend(context.kubernetes.list::<LakeCluster>(place.as_deref()).await?);
    }
    others.retain(|other| other.metadata.uid != cluster.metadata.uid);
    Ok(others)
}
