//! Reads what a report is made of. What cannot be read is noted, and the next thing is read.
//!
//! What never happens here: a Secret is asked for; anything is written; a request without a limit of time; an answer without one of size.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};
use springtide_plan::names::CLUSTER_LABEL;

use self::kinds::{CLUSTER_WIDE, CRDS, IN_NAMESPACES, Kind, OF_OPERATOR, Which};
use super::collected::{Collected, Folder, Listed, Unread};
use crate::{
    CommandError,
    fetch::{REQUEST_TIMEOUT, in_time},
};

mod kinds;
mod logs;

/// Objects of a kind in one answer.
const PAGE: u32 = 500;
/// Objects of a kind in one namespace.
const MOST_OBJECTS: usize = 5000;
/// Namespaces in one report; past that a person wants `-n`.
const MOST_NAMESPACES: usize = 100;
/// Labels of the operator's own objects, as its chart writes them.
const OPERATOR_LABELS: &str = "app.kubernetes.io/name=springtide,app.kubernetes.io/component=operator";
/// Name of the Lease that the operator's leader holds.
const LEASE_NAME: &str = "springtide-operator";

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// All of them by default.
    pub(crate) namespace: Option<String>,
    /// One LakeCluster and what belongs to it.
    pub(crate) cluster: Option<String>,
    pub(crate) operator_namespace: String,
    pub(crate) logs: bool,
    /// How far back logs go.
    pub(crate) since: Option<Duration>,
    pub(crate) at: DateTime<Utc>,
}

impl Wanted {
    /// In words.
    fn scope(&self) -> String {
        let place = self.place();
        match &self.cluster {
            Some(cluster) => format!("LakeCluster {cluster} in {place}"),
            None => place,
        }
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("namespace {namespace}"),
            None => "all namespaces".to_owned(),
        }
    }
}

/// Reads everything that is wanted; `say` is told of each step. Fails only where nothing can be read, or where there is no such cluster.
pub(crate) async fn collect(client: &Client, wanted: &Wanted, say: &dyn Fn(&str)) -> Result<Collected, CommandError> {
    let mut collector = Collector {
        client,
        wanted,
        say,
        collected: Collected {
            scope: wanted.scope(),
            at: wanted.at,
            ..Collected::default()
        },
        log_bytes_left: logs::MOST_BYTES_IN_ALL,
    };
    collector.version().await?;
    collector.cluster_wide().await;
    collector.operator().await;
    let namespaces = collector.namespaces().await;
    if namespaces.is_empty() && wanted.cluster.is_some() {
        return Err(collector.no_such_cluster());
    }
    for namespace in namespaces {
        collector.namespace(&namespace).await?;
    }
    Ok(collector.collected)
}

struct Collector<'a> {
    client: &'a Client,
    wanted: &'a Wanted,
    say: &'a dyn Fn(&str),
    collected: Collected,
    log_bytes_left: usize,
}

impl Collector<'_> {
    /// The first request: who is refused here, or gets no answer, is so everywhere.
    async fn version(&mut self) -> Result<(), CommandError> {
        (self.say)("version of Kubernetes");
        let what = "the version of Kubernetes";
        match in_time(REQUEST_TIMEOUT, what, self.client.apiserver_version()).await? {
            Ok(version) => self.collected.kubernetes = Some(format!("{} ({})", version.git_version, version.platform)),
            Err(kube::Error::Api(status)) if status.code != 401 => {
                self.unread(what, why(&kube::Error::Api(status)));
            }
            Err(source) => return Err(CommandError::Read { what, source }),
        }
        Ok(())
    }

    async fn cluster_wide(&mut self) {
        (self.say)("cluster: Departments, nodes, storage classes, CRDs");
        for kind in CLUSTER_WIDE {
            let objects = self.list(kind, None, None).await;
            let is_wanted = |object: &&Value| kind.plural != "departments" || self.owns(object);
            let objects: Vec<Value> = objects.iter().filter(is_wanted).cloned().collect();
            self.keep(Folder::Cluster, kind, &objects);
        }
        let mut crds = Vec::new();
        for name in CRDS {
            crds.extend(self.get(&kinds::CRD, None, name).await);
        }
        self.keep(Folder::Cluster, &kinds::CRD, &crds);
    }

    /// Whether a Department has to do with what is wanted.
    fn owns(&self, department: &Value) -> bool {
        let Some(wanted) = &self.wanted.namespace else {
            return true;
        };
        namespaces_of(department).any(|namespace| namespace == wanted)
    }

    async fn operator(&mut self) {
        let namespace = self.wanted.operator_namespace.clone();
        (self.say)(&format!("operator: namespace {namespace}"));
        let (mut pods, mut names) = (Vec::new(), BTreeSet::new());
        for kind in OF_OPERATOR {
            let labels = (kind.which == Which::Labelled).then(|| OPERATOR_LABELS.to_owned());
            let before = self.collected.unread.len();
            let mut objects = self.list(kind, Some(&namespace), labels).await;
            let is_unread = self.collected.unread.len() > before;
            if kind.plural == "deployments" && objects.is_empty() && !is_unread {
                self.unread(
                    "the operator",
                    format!("there is none in namespace {namespace}; name the right one with --operator-namespace"),
                );
            }
            if kind.plural == "pods" {
                pods.clone_from(&objects);
            }
            if kind.which == Which::Events {
                objects.retain(|event| is_about(event, &names));
            } else {
                names.extend(names_of(&objects));
            }
            self.keep(Folder::Operator, kind, &objects);
        }
        let lease = self.get(&kinds::LEASE, Some(&namespace), LEASE_NAME).await;
        self.keep(Folder::Operator, &kinds::LEASE, lease.as_slice());
        self.logs(&Folder::Operator, &namespace, &pods).await;
    }

    /// The namespaces to look into: the one that is named, or all with clusters, groups or a Department.
    async fn namespaces(&mut self) -> Vec<String> {
        if let Some(namespace) = &self.wanted.namespace {
            return vec![namespace.clone()];
        }
        let mut namespaces = BTreeSet::new();
        for kind in IN_NAMESPACES
            .iter()
            .filter(|kind| kind.which == Which::Cluster || kind.which == Which::OfCluster)
        {
            let objects = self.list(kind, None, None).await;
            let wanted = objects.iter().filter(|object| self.is_wanted(kind, object));
            namespaces.extend(
                wanted
                    .filter_map(|object| text(object, "/metadata/namespace"))
                    .map(str::to_owned),
            );
        }
        if self.wanted.cluster.is_none() {
            for (_, department) in self.collected.objects("departments") {
                namespaces.extend(namespaces_of(department).map(str::to_owned));
            }
        }
        let more: Vec<String> = namespaces.iter().skip(MOST_NAMESPACES).cloned().collect();
        for namespace in more {
            self.unread(
                &format!("namespace {namespace}"),
                format!("a report has at most {MOST_NAMESPACES} namespaces; name it with -n"),
            );
        }
        namespaces.into_iter().take(MOST_NAMESPACES).collect()
    }

    async fn namespace(&mut self, namespace: &str) -> Result<(), CommandError> {
        (self.say)(&format!("namespace {namespace}: objects"));
        let folder = Folder::Namespace(namespace.to_owned());
        let itself = self.get(&kinds::NAMESPACE, None, namespace).await;
        self.keep(folder.clone(), &kinds::NAMESPACE, itself.as_slice());
        let labels = match &self.wanted.cluster {
            Some(cluster) => format!("{CLUSTER_LABEL}={cluster}"),
            None => CLUSTER_LABEL.to_owned(),
        };
        let (mut pods, mut names) = (Vec::new(), BTreeSet::new());
        let mut is_there = self.wanted.cluster.is_none();
        for kind in IN_NAMESPACES {
            let selector = (kind.which == Which::Labelled).then(|| labels.clone());
            let before = self.collected.unread.len();
            let mut objects = self.list(kind, Some(namespace), selector).await;
            let is_unread = self.collected.unread.len() > before;
            objects.retain(|object| self.is_wanted(kind, object));
            match kind.which {
                Which::Cluster | Which::OfCluster => is_there |= is_unread || !objects.is_empty(),
                Which::Events if self.wanted.cluster.is_some() => objects.retain(|event| is_about(event, &names)),
                Which::Events | Which::Labelled | Which::All => {}
            }
            if kind.which == Which::Labelled || kind.which == Which::Cluster || kind.which == Which::OfCluster {
                names.extend(names_of(&objects));
            }
            if kind.plural == "pods" {
                pods.clone_from(&objects);
            }
            // Known after the clusters and the groups, which come first.
            if kind.which == Which::Labelled && !is_there {
                return Err(self.no_such_cluster());
            }
            self.keep(folder.clone(), kind, &objects);
        }
        // Frontends first: where there are too many logs, theirs say most.
        pods.sort_by_key(|pod| text(pod, "/metadata/labels/app.kubernetes.io~1component") != Some("frontend"));
        self.logs(&folder, namespace, &pods).await;
        Ok(())
    }

    fn no_such_cluster(&self) -> CommandError {
        CommandError::NoSuchCluster {
            name: self.wanted.cluster.clone().unwrap_or_default(),
            place: self.wanted.place(),
        }
    }

    /// Whether a cluster is the one that is named, or a group belongs to it.
    fn is_wanted(&self, kind: &Kind, object: &Value) -> bool {
        let Some(cluster) = self.wanted.cluster.as_deref() else {
            return true;
        };
        match kind.which {
            Which::Cluster => text(object, "/metadata/name") == Some(cluster),
            Which::OfCluster => text(object, "/spec/cluster") == Some(cluster),
            Which::Labelled | Which::Events | Which::All => true,
        }
    }

    /// All objects of a kind; those that could not be read are noted.
    async fn list(&mut self, kind: &Kind, namespace: Option<&str>, labels: Option<String>) -> Vec<Value> {
        let what = match namespace {
            Some(namespace) => format!("{} in namespace {namespace}", kind.plural),
            None => kind.plural.to_owned(),
        };
        let (api, resource) = self.api(kind, namespace);
        let mut page = ListParams::default().limit(PAGE);
        page.label_selector = labels;
        let mut objects = Vec::new();
        loop {
            let answer = match in_time(REQUEST_TIMEOUT, "a list", api.list(&page)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    self.unread(&what, why(&error));
                    return objects;
                }
                Err(slow) => {
                    self.unread(&what, slow.to_string());
                    return objects;
                }
            };
            objects.extend(answer.items.iter().map(|object| whole(object, &resource)));
            page.continue_token = answer.metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                return objects;
            }
            if objects.len() >= MOST_OBJECTS {
                self.unread(
                    &what,
                    format!("there are more than the {} that are here", objects.len()),
                );
                return objects;
            }
        }
    }

    /// One object by its name.
    async fn get(&mut self, kind: &Kind, namespace: Option<&str>, name: &str) -> Option<Value> {
        let (api, resource) = self.api(kind, namespace);
        let what = format!("{}/{name}", kind.plural);
        match in_time(REQUEST_TIMEOUT, "an object", api.get(name)).await {
            Ok(Ok(object)) => return Some(whole(&object, &resource)),
            Ok(Err(error)) => self.unread(&what, why(&error)),
            Err(slow) => self.unread(&what, slow.to_string()),
        }
        None
    }

    fn api(&self, kind: &Kind, namespace: Option<&str>) -> (Api<DynamicObject>, ApiResource) {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        (api, resource)
    }

    fn keep(&mut self, folder: Folder, kind: &Kind, objects: &[Value]) {
        self.collected.listed.push(Listed {
            folder,
            plural: kind.plural,
            objects: objects.iter().map(kind.shown).collect(),
        });
    }

    fn unread(&mut self, what: &str, why: String) {
        self.collected.unread.push(Unread {
            what: what.to_owned(),
            why,
        });
    }
}

/// As a person reads it.
fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => format!("{} ({})", status.message, status.code),
        kube::Error::Api(status) => format!("the API server answers {} {}", status.code, status.reason),
        error => error.to_string(),
    }
}

/// The object with its kind, which items of a list do not have.
fn whole(object: &DynamicObject, resource: &ApiResource) -> Value {
    let mut whole = serde_json::to_value(object).unwrap_or_else(|error| json!({"unreadable": error.to_string()}));
    whole["apiVersion"] = json!(resource.api_version);
    whole["kind"] = json!(resource.kind);
    whole
}

fn namespaces_of(department: &Value) -> impl Iterator<Item = &str> {
    let namespaces = department.pointer("/spec/namespaces").and_then(Value::as_array);
    namespaces
        .into_iter()
        .flatten()
        .filter_map(|namespace| namespace["name"].as_str())
}

fn names_of(objects: &[Value]) -> impl Iterator<Item = String> {
    objects
        .iter()
        .filter_map(|object| text(object, "/metadata/name"))
        .map(str::to_owned)
}

/// Whether an Event is about one of these objects, or about one that they had made and that has gone.
fn is_about(event: &Value, names: &BTreeSet<String>) -> bool {
    let Some(subject) = text(event, "/involvedObject/name") else {
        return false;
    };
    names.iter().any(|name| {
        subject
            .strip_prefix(name.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
