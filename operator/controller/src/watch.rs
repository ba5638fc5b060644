//! What the operator sees without asking: one watch per kind, the cache that it fills, and who is to be reconciled when
//! something changes.
//!
//! ```text
//! watch of a kind ──► cache ──► our objects that are concerned ──► the queue of their kind ──► drive
//! ```

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use futures::{SinkExt, StreamExt, channel::mpsc};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::json;
use springtide_crds::ComputeGroup;
use springtide_plan::{ObjectKind, compare::FIELD_MANAGER, compute_group, names};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    cache::{Key, Scope, TypedCache, key_of},
    concerned::{self, Target},
    context::Caches,
    health::Health,
    kubernetes::api_resource,
};

/// Requests that may wait in a kind's queue; the watch waits for room past that. Requests for one object become one in the
/// [`Agenda`](crate::agenda::Agenda) of the kind, which takes them out at once.
const QUEUE_LENGTH: usize = 1024;

/// Who is to be reconciled for a change from what the cache had to what there is.
type Concerned<K> = fn(&Caches, Option<&K>, &K) -> Vec<Target>;

/// A request to reconcile an object, as the queue of its kind takes it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: Key,
    /// What has changed.
    pub(crate) cause: String,
}

/// The ways out of the queues of all kinds.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) departments: mpsc::Receiver<Request>,
    pub(crate) clusters: mpsc::Receiver<Request>,
    pub(crate) groups: mpsc::Receiver<Request>,
}

/// The ways into the queues of all kinds.
#[derive(Clone, Debug)]
struct Queues {
    departments: mpsc::Sender<Request>,
    clusters: mpsc::Sender<Request>,
    groups: mpsc::Sender<Request>,
}

/// All watches of the process. They end when this is dropped.
pub(crate) struct Watches {
    pub(crate) caches: Arc<Caches>,
    pub(crate) requests: Requests,
    tasks: JoinSet<()>,
    listed: Vec<watch::Receiver<bool>>,
}

impl Watches {
    /// Starts all watches of `scope`.
    pub(crate) fn start(client: &Client, scope: &Scope, health: &Arc<Health>) -> Self {
        let caches = Arc::new(Caches::default());
        let (department_sender, departments) = mpsc::channel(QUEUE_LENGTH);
        let (cluster_sender, clusters) = mpsc::channel(QUEUE_LENGTH);
        let (group_sender, groups) = mpsc::channel(QUEUE_LENGTH);
        let queues = Queues {
            departments: department_sender,
            clusters: cluster_sender,
            groups: group_sender,
        };
        let mut start = Start {
            client: client.clone(),
            caches: Arc::clone(&caches),
            queues,
            health: Arc::clone(health),
            tasks: JoinSet::new(),
            listed: Vec::new(),
        };
        if *scope == Scope::All {
            let everywhere = [None];
            let api = |client, _: Option<&str>| Api::all(client);
            start.typed(
                &everywhere,
                api,
                None,
                drop_notes,
                |caches| &caches.departments,
                concerned::by_department,
            );
        }
        let places = scope.places();
        start.typed(
            &places,
            api_at,
            None,
            drop_notes,
            |caches| &caches.clusters,
            concerned::by_cluster,
        );
        start.typed(
            &places,
            api_at,
            None,
            keep_who_scaled,
            |caches| &caches.groups,
            concerned::by_group,
        );
        start.typed(
            &places,
            api_at,
            None,
            drop_notes,
            |caches| &caches.calendars,
            concerned::by_calendar,
        );
        let ours = Some(names::OWNER_LABEL);
        start.typed(
            &places,
            api_at,
            ours,
            keep_where_its_certificate_is,
            |caches| &caches.pods,
            concerned::by_pod,
        );
        for (kind, selector) in watched_kinds(scope) {
            start.objects(kind, selector, scope);
        }
        Self {
            caches,
            requests: Requests {
                departments,
                clusters,
                groups,
            },
            tasks: start.tasks,
            listed: start.listed,
        }
    }

    /// Returns when every cache holds what the API server has.
    pub(crate) async fn wait_until_listed(&mut self) {
        for listed in &mut self.listed {
            // The sender lives in the watch's task, which ends only with this.
            let _ended = listed.wait_for(|is_listed| *is_listed).await;
        }
    }

    /// Watches that run.
    pub(crate) fn count(&self) -> usize {
        self.tasks.len()
    }
}

/// The kinds that are cached as JSON, with the label that an object must have to be seen.
fn watched_kinds(scope: &Scope) -> Vec<(ObjectKind, Option<&'static str>)> {
    let ours = Some(names::OWNER_LABEL);
    let mut kinds = vec![
        (ObjectKind::ServiceAccount, ours),
        (ObjectKind::ConfigMap, ours),
        (ObjectKind::Service, ours),
        (ObjectKind::PodDisruptionBudget, ours),
        (ObjectKind::HorizontalPodAutoscaler, ours),
        (ObjectKind::NetworkPolicy, ours),
        (ObjectKind::StatefulSet, ours),
        (ObjectKind::Job, ours),
        // Made by the StatefulSet controller, with the labels that select its pods.
        (ObjectKind::PersistentVolumeClaim, Some(names::CLUSTER_LABEL)),
        // Quotas count whoever has made them.
        (ObjectKind::ResourceQuota, None),
    ];
    if *scope == Scope::All {
        kinds.extend([
            (ObjectKind::LimitRange, ours),
            (ObjectKind::RoleBinding, ours),
            // A department may be given a namespace that exists already.
            (ObjectKind::Namespace, None),
        ]);
    }
    kinds
}

/// What every watch needs while they are started.
struct Start {
    client: Client,
    caches: Arc<Caches>,
    queues: Queues,
    health: Arc<Health>,
    tasks: JoinSet<()>,
    listed: Vec<watch::Receiver<bool>>,
}

impl Start {
    fn typed<K>(
        &mut self,
        places: &[Option<String>],
        api: fn(Client, Option<&str>) -> Api<K>,
        selector: Option<&'static str>,
        keep: fn(&mut K),
        cache: fn(&Caches) -> &TypedCache<K>,
        concerned: Concerned<K>,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        for place in places {
            let follower = self.follower(selector, K::kind(&()).into_owned());
            let api = api(self.client.clone(), place.as_deref());
            self.tasks
                .spawn(follower.typed(api, place.clone(), keep, cache, concerned));
        }
    }

    fn objects(&mut self, kind: ObjectKind, selector: Option<&'static str>, scope: &Scope) {
        let places = if kind.is_namespaced() {
            scope.places()
        } else {
            vec![None]
        };
        for place in places {
            let follower = self.follower(selector, kind.kind().to_owned());
            let resource = api_resource(kind);
            let api: Api<DynamicObject> = match &place {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            };
            self.tasks.spawn(follower.objects(api, kind, place));
        }
    }

    fn follower(&mut self, selector: Option<&'static str>, kind: String) -> Follower {
        let (sender, receiver) = watch::channel(false);
        self.listed.push(receiver);
        Follower {
            kind,
            config: selector.map_or_else(watcher::Config::default, |selector| {
                watcher::Config::default().labels(selector)
            }),
            caches: Arc::clone(&self.caches),
            queues: self.queues.clone(),
            health: Arc::clone(&self.health),
            is_listed: sender,
            named: BTreeSet::new(),
        }
    }
}

/// Fills one cache from one watch, for ever, and asks for the reconciles that its changes call for.
struct Follower {
    kind: String,
    config: watcher::Config,
    caches: Arc<Caches>,
    queues: Queues,
    health: Arc<Health>,
    is_listed: watch::Sender<bool>,
    /// Who is concerned by the objects of a list that is being read.
    named: BTreeSet<Target>,
}

impl Follower {
    async fn typed<K>(
        mut self,
        api: Api<K>,
        place: Option<String>,
        keep: fn(&mut K),
        cache: fn(&Caches) -> &TypedCache<K>,
        concerned: Concerned<K>,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let caches = Arc::clone(&self.caches);
        let cache = cache(&caches);
        let mut events = std::pin::pin!(watcher(api, self.config.clone()).default_backoff().modify(keep));
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            let Some(event) = self.checked(event) else { continue };
            let mut before = None;
            match &event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => {
                    listed.insert(Key::of(object));
                    cache.put(object.clone());
                }
                Event::Apply(object) => before = cache.put(object.clone()),
                Event::Delete(object) => cache.remove(&Key::of(object)),
                Event::InitDone => {
                    cache.retain(place.as_deref(), &listed);
                    listed.clear();
                }
            }
            self.ask(&event, |caches, object| concerned(caches, before.as_deref(), object))
                .await;
        }
    }

    async fn objects(mut self, api: Api<DynamicObject>, kind: ObjectKind, place: Option<String>) {
        let mut events = std::pin::pin!(
            watcher(api, self.config.clone())
                .default_backoff()
                .modify(keep_our_notes)
        );
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            let Some(event) = self.checked(event) else { continue };
            match &event {
                Event::Init => listed.clear(),
                Event::InitApply(object) | Event::Apply(object) => {
                    listed.extend(key_of(kind, &object.metadata));
                    self.caches.objects.put(kind, object);
                }
                Event::Delete(object) => self.caches.objects.deleted(kind, &object.metadata),
                Event::InitDone => {
                    self.caches.objects.retain(kind, place.as_deref(), &listed);
                    listed.clear();
                }
            }
            self.ask(&event, |caches, object| concerned::by_object(caches, kind, object))
                .await;
        }
    }

    /// The event, or nothing where the watch was interrupted; it starts again by itself.
    fn checked<K>(&self, event: watcher::Result<Event<K>>) -> Option<Event<K>> {
        match event {
            Ok(event) => {
                self.health.api_answered();
                Some(event)
            }
            Err(error) => {
                tracing::warn!(kind = self.kind, error = %error, "watch interrupted; it starts again");
                None
            }
        }
    }

    async fn ask<K: ResourceExt>(&mut self, event: &Event<K>, concerned: impl Fn(&Caches, &K) -> Vec<Target>) {
        let (object, what) = match event {
            Event::Init => {
                self.named.clear();
                return;
            }
            // What is listed counts from the end of the list on, so nobody is called before that.
            Event::InitApply(object) => {
                let targets = concerned(&self.caches, object);
                self.named.extend(targets);
                return;
            }
            Event::InitDone => {
                self.is_listed.send_replace(true);
                for target in std::mem::take(&mut self.named) {
                    self.queues.push(&target, "operator or watch started").await;
                }
                return;
            }
            Event::Apply(object) => (object, "changed"),
            Event::Delete(object) => (object, "deleted"),
        };
        let targets = concerned(&self.caches, object);
        if targets.is_empty() {
            return;
        }
        let cause = format!("{} {} {what}", self.kind, object.name_any());
        for target in targets {
            self.queues.push(&target, &cause).await;
        }
    }
}

/// Drops what the API server notes about who wrote which field.
fn drop_notes<K: ResourceExt>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// Of those notes, keeps who wrote the size.
fn keep_who_scaled(group: &mut ComputeGroup) {
    let notes = group.managed_fields_mut();
    notes.retain(compute_group::owns_replicas);
    for note in notes {
        note.fields_v1 = Some(FieldsV1(json!({"f:spec": {"f:replicas": {}}})));
    }
}

/// A pod's spec is its StatefulSet's, and most of what there would be to keep. Where a frontend has its certificate from stays: a pod
/// of before a change has the Secret of before.
fn keep_where_its_certificate_is(pod: &mut Pod) {
    drop_notes(pod);
    let volumes = pod.spec.take().and_then(|spec| spec.volumes).unwrap_or_default();
    let mut of_certificate = volumes
        .into_iter()
        .filter(|volume| volume.name == names::TLS_VOLUME)
        .peekable();
    if of_certificate.peek().is_some() {
        pod.spec = Some(PodSpec {
            volumes: Some(of_certificate.collect()),
            ..PodSpec::default()
        });
    }
}

/// Drops what others have noted about their fields, but for those of pod templates, which stay where a StatefulSet is made anew; and leaves
/// one note as a sign that there are notes.
fn keep_our_notes(object: &mut DynamicObject) {
    let notes = object.managed_fields_mut();
    let is_ours = |note: &ManagedFieldsEntry| note.manager.as_deref() == Some(FIELD_MANAGER);
    let is_of_template = |note: &ManagedFieldsEntry| {
        let fields = note.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:template").is_some())
    };
    if notes.iter().any(is_ours) {
        notes.retain(|note| is_ours(note) || is_of_template(note));
    } else {
        notes.truncate(1);
    }
}

impl Queues {
    /// Asks for a reconcile of `target`, and waits while its queue is full.
    async fn push(&mut self, target: &Target, cause: &str) {
        let (queue, namespace, name) = match target {
            Target::Department(name) => (&mut self.departments, None, name),
            Target::LakeCluster { namespace, name } => (&mut self.clusters, Some(namespace), name),
            Target::ComputeGroup { namespace, name } => (&mut self.groups, Some(namespace), name),
        };
        let request = Request {
            key: Key {
                namespace: namespace.cloned(),
                name: name.clone(),
            },
            cause: cause.to_owned(),
        };
        // The receiver ends only together with this watch.
        let _ended = queue.send(request).await;
    }
}

fn api_at<K>(client: Client, place: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match place {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}
