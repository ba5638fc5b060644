//! What the operator sees without asking: one watch per kind, a cache that it fills, and who is to be reconciled when
//! something changes.
//!
//! ```text
//! watch of a kind ──► cache ──► owners of the object ──► queue of the kind of each owner
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::Debug,
    sync::Arc,
};

use futures::{SinkExt, StreamExt, channel::mpsc};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        controller::{ReconcileReason, ReconcileRequest},
        reflector::{ObjectRef, Store, store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

/// Requests that may wait in a kind's queue; the watch waits for room past that. Requests for one object become one as soon
/// as they are taken out.
const QUEUE_LENGTH: usize = 1024;

/// The part of the cluster that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All namespaces.
    All,
    /// These namespaces, at least one.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Where one watch looks: `None` is everywhere.
    fn places(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// The cache of one kind.
#[derive(Debug)]
pub(crate) struct Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    stores: BTreeMap<Option<String>, Store<K>>,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The object of this name, if the watch has seen it.
    pub(crate) fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let mut reference = ObjectRef::new(name);
        reference.namespace = namespace.map(str::to_owned);
        self.stores.values().find_map(|store| store.get(&reference))
    }

    /// All objects for which `holds`, in the order of namespace and name.
    pub(crate) fn select(&self, holds: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let mut found: Vec<Arc<K>> = self.stores.values().flat_map(|store| store.state_filter(&holds)).collect();
        found.sort_by_key(|object| (object.namespace(), object.name_any()));
        found
    }

    /// The caches themselves, one per place that is watched.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &Store<K>> {
        self.stores.values()
    }
}

/// The writers of a cache, for the watches that fill it.
type Writers<K> = Vec<(Option<String>, Writer<K>)>;

/// A cache and its writers, one per place of `scope`.
fn cache<K>(scope: &Scope) -> (Cache<K>, Writers<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut stores = BTreeMap::new();
    let mut writers = Vec::new();
    for place in scope.places() {
        let (reader, writer) = store();
        stores.insert(place.clone(), reader);
        writers.push((place, writer));
    }
    (Cache { stores }, writers)
}

/// An object that is to be reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    Department(String),
    LakeCluster { namespace: String, name: String },
    ComputeGroup { namespace: String, name: String },
}

/// A request to reconcile an object of kind `K`, as its queue takes it.
pub(crate) type Request<K> = Result<ReconcileRequest<K>, Infallible>;

/// The way into the queues of all kinds.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    departments: mpsc::Sender<Request<Department>>,
    /// One per place that is watched, as each place has a controller of its own.
    clusters: BTreeMap<Option<String>, mpsc::Sender<Request<LakeCluster>>>,
    groups: BTreeMap<Option<String>, mpsc::Sender<Request<ComputeGroup>>>,
}

/// The ways out of the queues.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) departments: mpsc::Receiver<Request<Department>>,
    pub(crate) clusters: BTreeMap<Option<String>, mpsc::Receiver<Request<LakeCluster>>>,
    pub(crate) groups: BTreeMap<Option<String>, mpsc::Receiver<Request<ComputeGroup>>>,
}

/// Makes the queues of all kinds.
pub(crate) fn queues(scope: &Scope) -> (Queues, Requests) {
    let (departments, department_requests) = mpsc::channel(QUEUE_LENGTH);
    let mut queues = Queues {
        departments,
        clusters: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    let mut requests = Requests {
        departments: department_requests,
        clusters: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    for place in scope.places() {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        queues.clusters.insert(place.clone(), sender);
        requests.clusters.insert(place.clone(), receiver);
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        queues.groups.insert(place.clone(), sender);
        requests.groups.insert(place, receiver);
    }
    (queues, requests)
}

impl Queues {
    /// Asks for a reconcile of `target`, and waits while its queue is full.
    async fn push(&mut self, target: &Target, cause: &str) {
        match target {
            Target::Department(name) => send(Some(&mut self.departments), ObjectRef::new(name), cause).await,
            Target::LakeCluster { namespace, name } => {
                send(at(&mut self.clusters, namespace), ObjectRef::new(name).within(namespace), cause).await;
            }
            Target::ComputeGroup { namespace, name } => {
                send(at(&mut self.groups, namespace), ObjectRef::new(name).within(namespace), cause).await;
            }
        }
    }
}

fn at<'queues, K: Resource>(
    queues: &'queues mut BTreeMap<Option<String>, mpsc::Sender<Request<K>>>,
    namespace: &str,
) -> Option<&'queues mut mpsc::Sender<Request<K>>> {
    let key = if queues.contains_key(&None) { None } else { Some(namespace.to_owned()) };
    queues.get_mut(&key)
}

async fn send<K>(queue: Option<&mut mpsc::Sender<Request<K>>>, obj_ref: ObjectRef<K>, cause: &str)
where
    K: Resource<DynamicType = ()>,
{
    let Some(queue) = queue else { return };
    let reason = ReconcileReason::Custom { reason: cause.to_owned() };
    // The receiver ends only together with this watch.
    let _ended = queue.send(Ok(ReconcileRequest { obj_ref, reason })).await;
}

/// Which objects of ours are concerned when an object of kind `K` changes.
type Concerned<K> = fn(&Caches, &K) -> Vec<Target>;

/// Fills one cache from one watch, for ever, and asks for the reconciles that its changes call for.
async fn follow<K>(
    api: Api<K>,
    selector: Option<&'static str>,
    mut writer: Writer<K>,
    concerned: Concerned<K>,
    caches: Arc<Caches>,
    mut queues: Queues,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let config = selector.map_or_else(watcher::Config::default, |selector| watcher::Config::default().labels(selector));
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let kind = K::kind(&());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%kind, error = %error, "watch interrupted; starts again");
                continue;
            }
        };
        writer.apply_watcher_event(&event);
        match event {
            Event::Init => listed.clear(),
            // What is listed becomes visible in the cache at the end of the list, so nobody is called before that.
            Event::InitApply(object) => listed.extend(concerned(&caches, &object)),
            Event::InitDone => {
                for target in std::mem::take(&mut listed) {
                    queues.push(&target, "operator started or watch restarted").await;
                }
            }
            Event::Apply(object) => notify(&caches, &mut queues, concerned, &object, "changed").await,
            Event::Delete(object) => notify(&caches, &mut queues, concerned, &object, "deleted").await,
        }
    }
}

async fn notify<K>(caches: &Caches, queues: &mut Queues, concerned: Concerned<K>, object: &K, what: &str)
where
    K: Resource<DynamicType = ()>,
{
    let targets = concerned(caches, object);
    if targets.is_empty() {
        return;
    }
    let cause = format!("{} {} {what}", K::kind(&()), object.name_any());
    for target in targets {
        queues.push(&target, &cause).await;
    }
}
