//! What an operator that goes for good leaves behind: no group larger than people wrote, no autoscaler that scales nothing,
//! and no finalizer that waits for somebody who will not come.
//!
//! `helm uninstall` runs this after the operator has gone, so that a window that was open then does not stay open for ever. Pods,
//! metadata and data stay, and a new operator takes them up again.

use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::StatefulSet, autoscaling::v2::HorizontalPodAutoscaler, coordination::v1::Lease},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use springtide_crds::{ComputeGroup, Department, LakeCluster, compute_group::ComputeGroupSpec};
use springtide_plan::{
    compare::FIELD_MANAGER,
    names::{self, FINALIZER},
};

use crate::operator::LEASE;

/// Objects of a kind that are read at once.
const PAGE: u32 = 500;

/// Why it could not be done; doing it again goes on where it ended.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct UninstallError {
    doing: String,
    #[source]
    source: kube::Error,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Groups whose StatefulSet was larger than is written.
    pub resized: usize,
    /// Autoscalers that were deleted.
    pub autoscalers: usize,
    /// Objects that had a finalizer.
    pub finalizers: usize,
}

/// Does it for these namespaces, or for all with the departments if there are none. Doing it twice changes nothing more.
///
/// # Errors
/// A request failed.
pub async fn uninstall(client: &Client, namespaces: &[String]) -> Result<Left, UninstallError> {
    let mut left = Left::default();
    let groups: Vec<ComputeGroup> = all(client, namespaces).await?;
    let lakes: Vec<LakeCluster> = all(client, namespaces).await?;
    for group in &groups {
        let suspended = lakes.iter().any(|lake| {
            lake.namespace() == group.namespace() && lake.name_any() == group.spec.cluster && lake.spec.suspend
        });
        left.autoscalers += usize::from(delete_autoscaler(client, group).await?);
        left.resized += usize::from(resize(client, group, suspended).await?);
        left.finalizers += usize::from(release(&namespaced::<ComputeGroup>(client, group), group).await?);
    }
    for lake in &lakes {
        left.finalizers += usize::from(release(&namespaced::<LakeCluster>(client, lake), lake).await?);
    }
    if namespaces.is_empty() {
        let departments: Api<Department> = Api::all(client.clone());
        let found = list("list the departments", &departments).await?;
        for department in &found {
            left.finalizers += usize::from(release(&departments, department).await?);
        }
    }
    Ok(left)
}

/// Deletes the Lease, which no chart made.
///
/// # Errors
/// The request failed.
pub async fn forget_leader(client: &Client, namespace: &str) -> Result<(), UninstallError> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let deleted = leases.delete(LEASE, &DeleteParams::default()).await;
    found(deleted.map(drop), format!("delete Lease {namespace}/{LEASE}")).map(drop)
}

fn failed(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> UninstallError {
    let doing = doing.into();
    move |source| UninstallError { doing, source }
}

async fn all<K>(client: &Client, namespaces: &[String]) -> Result<Vec<K>, UninstallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let what = format!("list {}", K::plural(&()));
    if namespaces.is_empty() {
        return list(&what, &Api::all(client.clone())).await;
    }
    let mut found = Vec::new();
    for namespace in namespaces {
        found.extend(list(&what, &Api::namespaced(client.clone(), namespace)).await?);
    }
    Ok(found)
}

async fn list<K>(doing: &str, api: &Api<K>) -> Result<Vec<K>, UninstallError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = api.list(&page).await.map_err(failed(doing))?;
        found.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}

fn namespaced<K>(client: &Client, of: &impl ResourceExt) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), &of.namespace().unwrap_or_default())
}

/// Whatever the group says: one whose `autoscaling` was taken away since the operator looked last has an autoscaler, too, which would go on
/// to write its size.
async fn delete_autoscaler(client: &Client, group: &ComputeGroup) -> Result<bool, UninstallError> {
    let name = names::compute(&group.name_any());
    let api: Api<HorizontalPodAutoscaler> = namespaced(client, group);
    let deleted = api.delete(&name, &DeleteParams::default()).await;
    found(deleted, format!("delete HorizontalPodAutoscaler {name}"))
}

/// What people wrote is the base size; what windows and waiting statements added to it ends with the operator.
async fn resize(client: &Client, group: &ComputeGroup, suspended: bool) -> Result<bool, UninstallError> {
    // A spec that the operator refused is not in force; one that it has not seen is what people want.
    let seen = group
        .status
        .as_ref()
        .filter(|status| status.observed_generation == group.metadata.generation);
    let accepted = seen.and_then(|status| status.accepted_spec.as_deref());
    let base = if suspended {
        0
    } else {
        base(
            accepted.unwrap_or(&group.spec),
            group.status.as_ref().and_then(|status| status.floor),
        )
    };
    let name = names::compute(&group.name_any());
    let api: Api<StatefulSet> = namespaced(client, group);
    let what = || format!("StatefulSet {}/{name}", group.namespace().unwrap_or_default());
    let Some(set) = api.get_opt(&name).await.map_err(failed(format!("get {}", what())))? else {
        return Ok(false);
    };
    // Pods that start now would serve nobody: only an operator makes their nodes known to a frontend.
    if set.spec.and_then(|spec| spec.replicas).unwrap_or(1) <= base {
        return Ok(false);
    }
    let patch = Patch::Merge(json!({"spec": {"replicas": base}}));
    let scaled = api.patch_scale(&name, &parameters(), &patch).await;
    let done = found(scaled, format!("scale {}", what()))?;
    tracing::info!(object = what(), base, "back at the size that is written");
    Ok(done)
}

/// What is left of a group's size without windows: `replicas`; but where an autoscaler wrote that, and a window may have led it there, the
/// minimum that people wrote. An autoscaler comes down slowly: what it wrote may be from a window that is over, or whose floor falls. Only
/// what no floor of the group explains is load.
fn base(spec: &ComputeGroupSpec, floor: Option<i32>) -> i32 {
    let floors = spec.schedules.iter().filter_map(|schedule| schedule.min_replicas);
    match (&spec.autoscaling, floors.chain(floor).max()) {
        (Some(autoscaling), Some(highest)) if spec.replicas <= highest => spec.replicas.min(autoscaling.min_replicas),
        _ => spec.replicas,
    }
}

#[cfg(test)]
mod tests;

/// Takes our finalizer off an object.
async fn release<K>(api: &Api<K>, object: &K) -> Result<bool, UninstallError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let before = object.meta().finalizers.clone().unwrap_or_default();
    let after: Vec<&String> = before.iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    if after.len() == before.len() {
        return Ok(false);
    }
    let name = object.name_any();
    let patch = json!({"metadata": {"resourceVersion": object.meta().resource_version, "finalizers": after}});
    let patched = api.patch(&name, &parameters(), &Patch::Merge(patch)).await;
    found(patched, format!("take the finalizer off {} {name}", K::kind(&())))
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Whether the object was there.
fn found<T>(done: kube::Result<T>, doing: String) -> Result<bool, UninstallError> {
    match done {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(source) => Err(UninstallError { doing, source }),
    }
}
