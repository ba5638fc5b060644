//! Takes away all that the demo made, and nothing else.

use std::{collections::BTreeSet, fmt, time::Duration};

use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

use crate::{
    Error, Result, cluster,
    departments::{Examples, MADE_BY_DEMO, MADE_BY_LABEL, OPERATOR_NAMESPACE},
    images::Delivery,
    places::Places,
    storage,
    target::{KUBECTL_LIMIT, Target},
    timeline::{Progress, Timeline},
};

#[cfg(test)]
mod tests;

/// Deleting objects with their pods and volumes.
const DELETE_LIMIT: Duration = Duration::from_secs(300);

/// Stops the local Kubernetes with all in it; or, in another one, deletes the departments, the operator and the S3 server. Where others
/// have objects of our kinds, those stay, and the operator with them.
pub async fn remove(places: &Places, timeline: &Timeline, context: Option<String>) -> Result<()> {
    let Some(context) = context else {
        return timeline
            .step("Kubernetes and all in it", async |p| cluster::down(places, &p).await)
            .await;
    };
    let programs = timeline
        .step("kubectl and helm", async |p| cluster::programs(places, &p).await)
        .await?;
    // How images would get there does not matter when nothing is brought; any way but the local one means "not this machine's".
    let target = Target::context(context, Delivery::Kind { cluster: String::new() }, programs);
    let mut others = BTreeSet::new();
    timeline
        .step("departments", async |p| {
            // Without our kinds there is nothing of ours.
            let Ok(examples) = Examples::read(&target, places).await else {
                return Ok(());
            };
            others = of_others(&listed(&target).await?, &examples);
            departments(&target, &examples, &others, &p).await
        })
        .await?;
    timeline
        .step("operator", async |p| {
            if others.is_empty() {
                return operator(&target, &p).await;
            }
            let all: Vec<String> = others.iter().map(ToString::to_string).collect();
            p.say(format!("stays, with its kinds: it serves {}", all.join(", ")));
            Ok(())
        })
        .await?;
    timeline
        .step("S3 server and its data", async |p| {
            delete(&target, &["namespace", storage::NAMESPACE], &p).await
        })
        .await
}

/// An object of our kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ours {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Ours {
    fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace(),
            name: object.name_any(),
        }
    }
}

impl fmt::Display for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// All objects of our kinds in the cluster, as `kubectl get` prints them.
async fn listed(target: &Target) -> Result<Value> {
    let kinds: Vec<String> = springtide_crds::schema::definitions()
        .iter()
        .filter_map(|definition| definition.metadata.name.clone())
        .collect();
    let printed = target
        .kubectl(KUBECTL_LIMIT)
        .args(["get", &kinds.join(","), "--all-namespaces", "--output", "json"])
        .output()
        .await?;
    serde_json::from_str(&printed).map_err(|error| Error::Missing(format!("kubectl's JSON of our kinds: {error}")))
}

/// What of it is not in the examples.
fn of_others(listed: &Value, examples: &Examples) -> BTreeSet<Ours> {
    let demo: BTreeSet<Ours> = in_order(examples)
        .into_iter()
        .chain(examples.departments.iter().map(Ours::of))
        .collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = listed["items"].as_array().into_iter().flatten();
    let all = items.filter_map(|item| {
        Some(Ours {
            kind: text(&item["kind"])?,
            namespace: text(&item["metadata"]["namespace"]),
            name: text(&item["metadata"]["name"])?,
        })
    });
    all.filter(|object| !demo.contains(object)).collect()
}

/// What is deleted in the namespaces of the departments: groups before their clusters.
fn in_order(examples: &Examples) -> Vec<Ours> {
    fn of<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(objects: &[K]) -> impl Iterator<Item = Ours> {
        objects.iter().map(Ours::of)
    }
    of(&examples.groups)
        .chain(of(&examples.lakes))
        .chain(of(&examples.calendars))
        .collect()
}

async fn departments(target: &Target, examples: &Examples, others: &BTreeSet<Ours>, p: &Progress) -> Result<()> {
    for Ours { kind, namespace, name } in in_order(examples) {
        let namespace = namespace.unwrap_or_default();
        delete(target, &[&kind, &name, "--namespace", &namespace], p).await?;
    }
    let client = target.client().await?;
    for department in &examples.departments {
        let namespaces = department
            .spec
            .namespaces
            .iter()
            .map(|namespace| namespace.name.as_str());
        let (kept, free): (Vec<&str>, Vec<&str>) =
            namespaces.partition(|namespace| others.iter().any(|other| other.namespace.as_deref() == Some(namespace)));
        // A department guards the namespaces of its clusters.
        if !kept.is_empty() {
            continue;
        }
        delete(target, &["Department", &department.name_any()], p).await?;
        for namespace in free {
            let found = cluster::get(&Api::<Namespace>::all(client.clone()), namespace).await?;
            let made_by = found.as_ref().and_then(|found| found.labels().get(MADE_BY_LABEL));
            if made_by.is_some_and(|made_by| made_by == MADE_BY_DEMO) {
                delete(target, &["namespace", namespace], p).await?;
            }
        }
    }
    Ok(())
}

async fn operator(target: &Target, p: &Progress) -> Result<()> {
    for release in ["springtide", "springtide-crds"] {
        target
            .helm(DELETE_LIMIT)
            .args([
                "uninstall",
                release,
                "--namespace",
                OPERATOR_NAMESPACE,
                "--ignore-not-found",
                "--wait",
            ])
            .with(p)
            .await?;
    }
    let definitions = springtide_crds::schema::definitions();
    let crds: Vec<String> = definitions
        .iter()
        .filter_map(|definition| definition.metadata.name.clone())
        .collect();
    let crds: Vec<&str> = crds.iter().map(String::as_str).collect();
    delete(target, &[&["crd"], &crds[..]].concat(), p).await?;
    delete(target, &["namespace", OPERATOR_NAMESPACE], p).await
}

async fn delete(target: &Target, what: &[&str], p: &Progress) -> Result<()> {
    target
        .kubectl(DELETE_LIMIT)
        .args(["delete", "--ignore-not-found", "--wait"])
        .args(what)
        .with(p)
        .await
}
