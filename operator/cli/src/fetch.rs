//! Reads what the commands show.

use std::{collections::BTreeMap, fmt::Debug, future::Future, time::Duration};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::ResourceQuota};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, ObjectList},
    config::KubeConfigOptions,
};
use springtide_crds::{Calendar, ComputeGroup, Department, LakeCluster};
use springtide_plan::{compute_group::counts_compute, names, units::amount_milli};

use crate::{
    CommandError, Place,
    preview::{Room, Surroundings},
};

/// Longest time for one request, to the API server or to a frontend.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Objects of a kind on one screen; past that a person wants `-n` or a name.
const MOST_OBJECTS: u32 = 500;

/// What `status` shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Empty for those who may not read Departments.
    pub(crate) departments: Vec<Department>,
    pub(crate) clusters: Vec<LakeCluster>,
    pub(crate) groups: Vec<ComputeGroup>,
}

impl Found {
    /// What belongs to the department, cluster or group of this name.
    pub(crate) fn named(self, name: &str) -> Option<Self> {
        let departments: Vec<Department> = self
            .departments
            .into_iter()
            .filter(|department| department.name_any() == name)
            .collect();
        let owns = |namespace: Option<String>| {
            departments
                .iter()
                .flat_map(|department| &department.spec.namespaces)
                .any(|owned| Some(&owned.name) == namespace.as_ref())
        };
        let is_group = |group: &ComputeGroup| group.name_any() == name;
        let cluster_of_group: Vec<(Option<String>, String)> = self
            .groups
            .iter()
            .filter(|group| is_group(group))
            .map(|group| (group.namespace(), group.spec.cluster.clone()))
            .collect();
        let clusters: Vec<LakeCluster> = self
            .clusters
            .into_iter()
            .filter(|cluster| {
                cluster.name_any() == name
                    || owns(cluster.namespace())
                    || cluster_of_group.contains(&(cluster.namespace(), cluster.name_any()))
            })
            .collect();
        let groups: Vec<ComputeGroup> = self
            .groups
            .into_iter()
            .filter(|group| is_group(group) || group.spec.cluster == name || owns(group.namespace()))
            .collect();
        let is_empty = departments.is_empty() && clusters.is_empty() && groups.is_empty();
        (!is_empty).then_some(Self {
            departments,
            clusters,
            groups,
        })
    }
}

/// Everything in the namespace that is asked for, or in all of them.
pub(crate) async fn everything(place: &Place) -> Result<Found, CommandError> {
    let (client, _) = connect(place).await?;
    let namespace = place.namespace.as_deref();
    let departments: Api<Department> = Api::all(client.clone());
    let mut departments = match list(
        "departments",
        departments.list(&ListParams::default().limit(MOST_OBJECTS)),
    )
    .await
    {
        Ok(departments) => departments,
        // A department's admin may not read Departments, and gets the rest.
        Err(CommandError::Read {
            source: kube::Error::Api(status),
            ..
        }) if status.is_forbidden() => Vec::new(),
        Err(error) => return Err(error),
    };
    if let Some(namespace) = namespace {
        departments.retain(|department| department.spec.namespaces.iter().any(|owned| owned.name == namespace));
    }
    let page = ListParams::default().limit(MOST_OBJECTS);
    let clusters: Api<LakeCluster> = api(&client, namespace);
    let groups: Api<ComputeGroup> = api(&client, namespace);
    Ok(Found {
        departments,
        clusters: list("lakeclusters", clusters.list(&page)).await?,
        groups: list("computegroups", groups.list(&page)).await?,
    })
}

/// One group, with what its windows refer to.
pub(crate) async fn group(place: &Place, name: &str) -> Result<(ComputeGroup, Surroundings), CommandError> {
    let (client, default_namespace) = connect(place).await?;
    let namespace = place.namespace.clone().unwrap_or(default_namespace);
    let groups: Api<ComputeGroup> = Api::namespaced(client.clone(), &namespace);
    let found = limited("the computegroup", groups.get_opt(name)).await?;
    let group = found.ok_or_else(|| CommandError::NoSuchGroup {
        namespace: namespace.clone(),
        name: name.to_owned(),
    })?;
    let calendars: Api<Calendar> = Api::namespaced(client.clone(), &namespace);
    let calendars = list("calendars", calendars.list(&ListParams::default().limit(MOST_OBJECTS))).await?;
    let room = room(&client, &namespace, name, &calendars).await;
    Ok((group, Surroundings { calendars, room }))
}

/// One group and its cluster.
pub(crate) async fn group_and_cluster(
    place: &Place,
    name: &str,
) -> Result<(Client, ComputeGroup, LakeCluster), CommandError> {
    let (client, default_namespace) = connect(place).await?;
    let namespace = place.namespace.clone().unwrap_or(default_namespace);
    let groups: Api<ComputeGroup> = Api::namespaced(client.clone(), &namespace);
    let group = limited("the computegroup", groups.get_opt(name)).await?;
    let group = group.ok_or_else(|| CommandError::NoSuchGroup {
        namespace: namespace.clone(),
        name: name.to_owned(),
    })?;
    let clusters: Api<LakeCluster> = Api::namespaced(client.clone(), &namespace);
    let cluster = limited("the lakecluster", clusters.get(&group.spec.cluster)).await?;
    Ok((client, group, cluster))
}

/// How many nodes of a group the quotas have room for, by what its pods request and are limited to, beside what others use and what the
/// windows of other groups will want; nothing where that may not be read.
async fn room(client: &Client, namespace: &str, group: &str, calendars: &[Calendar]) -> Option<Room> {
    let page = ListParams::default().limit(MOST_OBJECTS);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let of_groups = page.clone().labels(names::GROUP_LABEL);
    let sets = list("statefulsets", sets.list(&of_groups)).await.ok()?;
    let groups: Api<ComputeGroup> = Api::namespaced(client.clone(), namespace);
    let groups = list("computegroups", groups.list(&page)).await.ok()?;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let quotas = list("resourcequotas", quotas.list(&ListParams::default())).await.ok()?;
    let set_of = |group: &str| {
        let name = names::compute(group);
        sets.iter().find(|set| set.name_any() == name)
    };
    let now = chrono::Utc::now();
    let promised = groups
        .iter()
        .filter(|other| other.name_any() != group && other.metadata.deletion_timestamp.is_none())
        .filter_map(|other| {
            let missing = springtide_plan::compute_group::promised(other, calendars, now);
            Some((set_of(&other.name_any())?, u64::from(missing)))
        })
        .collect::<Vec<_>>();
    least_room(set_of(group)?, &promised, &quotas)
}

/// What each pod of a StatefulSet takes of what a quota may limit, in thousandths.
fn per_pod(set: &StatefulSet) -> Option<BTreeMap<String, u64>> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    let mut per_pod: BTreeMap<String, u64> =
        BTreeMap::from(["pods", "count/pods"].map(|resource| (resource.to_owned(), 1000)));
    for resources in containers.filter_map(|container| container.resources.as_ref()) {
        for (kind, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            for (resource, amount) in amounts.iter().flatten() {
                let milli = amount_milli(&amount.0).ok()?;
                *per_pod.entry(format!("{kind}.{resource}")).or_default() += milli;
            }
        }
    }
    Some(per_pod)
}

/// Of an amount for each pod, that of a resource as quotas name it: `cpu` in a quota means requests, too.
fn taken(per_pod: &BTreeMap<String, u64>, resource: &str) -> Option<u64> {
    let taken = per_pod.get(resource);
    taken.or_else(|| per_pod.get(&format!("requests.{resource}"))).copied()
}

/// `promised` are StatefulSets of other groups, and how many pods each does not have yet that its windows will want.
fn least_room(set: &StatefulSet, promised: &[(&StatefulSet, u64)], quotas: &[ResourceQuota]) -> Option<Room> {
    let own_pod = per_pod(set)?;
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let own = u64::try_from(set.status.as_ref().map_or(0, |status| status.replicas)).unwrap_or_default();
    let mut rooms = Vec::new();
    let priority_class = pod.priority_class_name.as_deref();
    for quota in quotas.iter().filter(|quota| counts_compute(quota, priority_class)) {
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
        let used = quota.status.as_ref().and_then(|status| status.used.as_ref());
        for (resource, amount) in hard.into_iter().flatten() {
            let Some(each) = taken(&own_pod, resource).filter(|each| *each > 0) else {
                continue;
            };
            let of_promised = |(set, pods): &(&StatefulSet, u64)| {
                let each = per_pod(set).and_then(|per_pod| taken(&per_pod, resource));
                each.unwrap_or_default().saturating_mul(*pods)
            };
            let promised: u64 = promised.iter().map(of_promised).sum();
            let used = used
                .and_then(|used| amount_milli(&used.get(resource)?.0).ok())
                .unwrap_or_default();
            let of_others = used.saturating_sub(own * each).saturating_add(promised);
            let left = amount_milli(&amount.0).ok()?.saturating_sub(of_others);
            rooms.push(Room {
                nodes: u32::try_from(left / each).unwrap_or(u32::MAX),
                by: format!("quota {} ({resource})", quota.name_any()),
            });
        }
    }
    rooms.into_iter().min_by_key(|room| room.nodes)
}

/// A client, and the namespace of the context.
pub(crate) async fn connect(place: &Place) -> Result<(Client, String), CommandError> {
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_kubeconfig(&options)
        .await
        .map_err(CommandError::Kubeconfig)?;
    config.connect_timeout = Some(REQUEST_TIMEOUT / 4);
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config).map_err(CommandError::Client)?, namespace))
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn list<K: Clone + Debug>(
    what: &'static str,
    request: impl Future<Output = Result<ObjectList<K>, kube::Error>>,
) -> Result<Vec<K>, CommandError> {
    Ok(limited(what, request).await?.items)
}

async fn limited<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CommandError> {
    in_time(REQUEST_TIMEOUT, what, request)
        .await?
        .map_err(|source| CommandError::Read { what, source })
}

/// The answer, or that there was none within the limit.
pub(crate) async fn in_time<Answer>(
    limit: Duration,
    what: &'static str,
    request: impl Future<Output = Answer>,
) -> Result<Answer, CommandError> {
    tokio::time::timeout(limit, request)
        .await
        .map_err(|_| CommandError::Slow { what, limit })
}

#[cfg(test)]
mod tests;
