//! Observe: everything that a plan is made from, read from the caches, from the API server and from the engine.

pub(crate) mod engine;
mod removal;
pub(crate) mod secrets;
pub(crate) mod warnings;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota},
};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};
use springtide_plan::{
    Live, ObjectKey, ObjectKind, ObservedComputeGroup, ObservedDepartment, ObservedLakeCluster, ObservedNamespace,
    names,
};

use crate::{cache::Key, context::Context, kubernetes::KubernetesError};

/// The object itself: from the cache, or from the API server where the cache is older than our last write. `None` when it is gone.
pub(crate) async fn fresh<K>(context: &Context, cached: Arc<K>) -> Result<Option<Arc<K>>, KubernetesError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    if !context.written.is_stale(cached.as_ref()) {
        return Ok(Some(cached));
    }
    let namespace = cached.namespace().unwrap_or_default();
    Ok(context
        .kubernetes
        .get(&namespace, &cached.name_any())
        .await?
        .map(Arc::new))
}

/// As [`fresh`], for departments, which have no namespace.
pub(crate) async fn fresh_department(
    context: &Context,
    cached: Arc<Department>,
) -> Result<Option<Arc<Department>>, KubernetesError> {
    if !context.written.is_stale(cached.as_ref()) {
        return Ok(Some(cached));
    }
    Ok(context
        .kubernetes
        .get_cluster_wide(&cached.name_any())
        .await?
        .map(Arc::new))
}

/// Everything about a department.
pub(crate) async fn department(
    context: &Context,
    department: Arc<Department>,
) -> Result<ObservedDepartment, KubernetesError> {
    let name = department.name_any();
    let caches = &context.caches;
    let others = caches.departments.select(|other| other.name_any() != name);
    let mut names_of_namespaces: BTreeSet<String> = department
        .spec
        .namespaces
        .iter()
        .map(|namespace| namespace.name.clone())
        .collect();
    let mut live = Live::default();
    for (kind, body) in caches.objects.owned(&names::owner("Department", &name), None) {
        live.insert(kind, body);
    }
    for body in caches.objects.of_kind(ObjectKind::Namespace, None) {
        let labels = body.get("metadata").and_then(|metadata| metadata.get("labels"));
        if labels
            .and_then(|labels| labels.get(names::DEPARTMENT_LABEL))
            .and_then(Value::as_str)
            == Some(&name)
        {
            names_of_namespaces.extend(name_in(&body));
        }
    }
    // What is about to be deleted is not judged by a cache.
    let is_deleted = department.metadata.deletion_timestamp.is_some();
    let mut namespaces = BTreeMap::new();
    for namespace in names_of_namespaces {
        let Some(body) = caches
            .objects
            .get(&ObjectKey::cluster_scoped(ObjectKind::Namespace, &namespace))
        else {
            continue;
        };
        let observed = if is_deleted {
            contents_now(context, &namespace, body).await?
        } else {
            contents_cached(context, &namespace, body)
        };
        namespaces.insert(namespace, observed);
    }
    Ok(ObservedDepartment {
        department: Arc::unwrap_or_clone(department),
        other_departments: others.iter().map(|other| Department::clone(other)).collect(),
        namespaces,
        live,
        settings: context.plan_settings.clone(),
    })
}

fn contents_cached(context: &Context, namespace: &str, body: Value) -> ObservedNamespace {
    let caches = &context.caches;
    ObservedNamespace {
        body,
        lake_clusters: names_of(&caches.clusters.select_in(namespace, |_| true)),
        compute_groups: names_of(&caches.groups.select_in(namespace, |_| true)),
        volume_claims: caches
            .objects
            .of_kind(ObjectKind::PersistentVolumeClaim, Some(namespace))
            .iter()
            .filter_map(name_in)
            .collect(),
    }
}

async fn contents_now(context: &Context, namespace: &str, body: Value) -> Result<ObservedNamespace, KubernetesError> {
    Ok(ObservedNamespace {
        body,
        lake_clusters: context.kubernetes.names_in::<LakeCluster>(namespace).await?,
        compute_groups: context.kubernetes.names_in::<ComputeGroup>(namespace).await?,
        volume_claims: context.kubernetes.names_in::<PersistentVolumeClaim>(namespace).await?,
    })
}

/// Everything about a cluster.
pub(crate) async fn lake_cluster(
    context: &Context,
    cluster: Arc<LakeCluster>,
) -> Result<ObservedLakeCluster, KubernetesError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let caches = &context.caches;
    let live = owned(context, &names::owner("LakeCluster", &name), &namespace);
    let pods = frontend_pods(context, &namespace, &name);
    let secrets = secrets::of_cluster(context, &cluster).await?;
    let sql = engine::ask(context, &cluster, &pods, &secrets).await;
    let initial_account = engine::initial_account(context, &cluster, &pods, &secrets, &sql).await;
    let frontend_config = engine::ask_for_settings(context, &cluster, &pods, &secrets, &sql).await;
    let events = warnings::about(context, &namespace, &names::frontends(&name), &live, &pods).await;
    let removal = removal::of(context, &cluster).await?;
    Ok(ObservedLakeCluster {
        groups: caches
            .groups
            .select_in(&namespace, |_| true)
            .iter()
            .map(|group| ComputeGroup::clone(group))
            .collect(),
        volume_claims: caches
            .objects
            .of_kind(ObjectKind::PersistentVolumeClaim, Some(&namespace))
            .into_iter()
            .filter_map(|body| serde_json::from_value::<PersistentVolumeClaim>(body).ok())
            .filter(|claim| claim.labels().get(names::CLUSTER_LABEL) == Some(&name))
            .collect(),
        pods: pods.iter().map(|pod| Pod::clone(pod)).collect(),
        compute_pods: names_of(&caches.pods.select_in(&namespace, |pod| {
            pod.labels().get(names::COMPONENT_LABEL).map(String::as_str) == Some(names::COMPUTE)
        })),
        secrets: secrets.facts(&name),
        cluster: Arc::unwrap_or_clone(cluster),
        live,
        events,
        sql,
        initial_account,
        removal,
        frontend_config,
        settings: context.plan_settings.clone(),
    })
}

/// Everything about a group.
pub(crate) async fn compute_group(
    context: &Context,
    group: Arc<ComputeGroup>,
) -> Result<ObservedComputeGroup, KubernetesError> {
    let namespace = group.namespace().unwrap_or_default();
    let name = group.name_any();
    let caches = &context.caches;
    let live = owned(context, &names::owner("ComputeGroup", &name), &namespace);
    let is_its = |pod: &Pod| pod.labels().get(names::GROUP_LABEL) == Some(&name);
    let pods = caches.pods.select_in(&namespace, is_its);
    let cluster = Key {
        namespace: Some(namespace.clone()),
        name: group.spec.cluster.clone(),
    };
    let cluster = match caches.clusters.get(&cluster) {
        Some(cached) => fresh(context, cached).await?,
        None => None,
    };
    let (secrets, sql) = match &cluster {
        Some(cluster) => {
            let frontends = frontend_pods(context, &namespace, &cluster.name_any());
            let secrets = secrets::of_cluster(context, cluster).await?;
            let mut sql = engine::ask(context, cluster, &frontends, &secrets).await;
            // A statement that waited a moment ago may have been answered since, and the group have been put to sleep on purpose:
            // nothing that another look was told wakes it.
            if group.spec.replicas == 0 && group.spec.wake_on_query && engine::some_wait(&sql) {
                context.members.changed(&engine::line_of(cluster));
                sql = engine::ask(context, cluster, &frontends, &secrets).await;
            }
            (secrets, sql)
        }
        None => (Arc::default(), springtide_plan::SqlAnswer::NotAsked),
    };
    let events = warnings::about(context, &namespace, &names::compute(&name), &live, &pods).await;
    let is_other = |other: &ComputeGroup| other.metadata.name.as_deref() != Some(&name);
    let siblings = caches.groups.select_in(&namespace, is_other);
    let calendars = caches.calendars.select_in(&namespace, |_| true);
    Ok(ObservedComputeGroup {
        calendars: calendars.iter().map(|calendar| Calendar::clone(calendar)).collect(),
        siblings: siblings.iter().map(|other| ComputeGroup::clone(other)).collect(),
        department: caches.department_of(&namespace).map(Arc::unwrap_or_clone),
        quotas: caches
            .objects
            .of_kind(ObjectKind::ResourceQuota, Some(&namespace))
            .into_iter()
            .filter_map(|body| serde_json::from_value::<ResourceQuota>(body).ok())
            .collect(),
        drain_key: secrets.drain_key(&group.spec.cluster),
        secrets: secrets.facts(&group.spec.cluster),
        cluster: cluster.map(Arc::unwrap_or_clone),
        group: Arc::unwrap_or_clone(group),
        pods: pods.iter().map(|pod| Pod::clone(pod)).collect(),
        live,
        events,
        sql,
        settings: context.plan_settings.clone(),
    })
}

fn owned(context: &Context, owner: &str, namespace: &str) -> Live {
    let mut live = Live::default();
    for (kind, body) in context.caches.objects.owned(owner, Some(namespace)) {
        live.insert(kind, body);
    }
    live
}

/// The pods of a cluster's frontends.
pub(crate) fn frontend_pods(context: &Context, namespace: &str, cluster: &str) -> Vec<Arc<Pod>> {
    context.caches.pods.select_in(namespace, |pod| {
        let has = |label: &str, value: &str| pod.labels().get(label).map(String::as_str) == Some(value);
        has(names::CLUSTER_LABEL, cluster) && has(names::COMPONENT_LABEL, names::FRONTEND)
    })
}

fn names_of<K: ResourceExt>(objects: &[Arc<K>]) -> BTreeSet<String> {
    objects.iter().map(|object| object.name_any()).collect()
}

fn name_in(body: &Value) -> Option<String> {
    body.get("metadata")?.get("name")?.as_str().map(str::to_owned)
}
