//! One test's world: a namespace of its own on the shared API server, a kubelet, a frontend, and operators that come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use springtide_controller::{
    clock::ShiftedClock,
    health::Health,
    metrics::Metrics,
    operator::{Operator, OperatorError},
    settings::Settings,
};
use springtide_crds::{ComputeGroup, Department, LakeCluster};
use tokio::{
    sync::{RwLockReadGuard, RwLockWriteGuard},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    api_server::{Identity, OPERATOR, api_server, status_writes, writes},
    faults::Faults,
    frontend::Frontend,
    kubelet::{Breaks, Script, play},
    rights::grant,
};

/// Longest wait for anything; generous, because other builds may share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What stands in the Secret of the store.
pub(crate) const SECRET_ACCESS_KEY: &str = "secret-access-key-of-a-test";

/// Tests whose operators watch a namespace of their own run side by side; one whose operator watches everything runs alone.
static TURN: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
/// Of those that run alone, so many wait until nothing else runs instead of holding up what would begin: together they wait once.
static PATIENT: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);
/// Between two looks of a test that waits.
const BETWEEN_LOOKS: Duration = Duration::from_millis(150);

async fn alone() -> RwLockWriteGuard<'static, ()> {
    let Ok(_waits) = PATIENT.try_acquire() else {
        return TURN.write().await;
    };
    loop {
        if let Ok(turn) = TURN.try_write() {
            return turn;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// What a world's operators see.
#[derive(Debug)]
enum Turn {
    OwnNamespace(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
    Everything(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
}

pub(crate) struct World {
    /// With all rights.
    pub(crate) client: Client,
    /// With the rights of the chart.
    operator_client: Client,
    pub(crate) namespace: String,
    pub(crate) frontend: Frontend,
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) metrics: Arc<Metrics>,
    script: Arc<Mutex<Script>>,
    kubelet: JoinHandle<()>,
    turn: Turn,
}

/// An operator that runs. One that loses its Lease is started again, as the kubelet does it: on a busy machine that happens.
pub(crate) struct Running {
    task: JoinHandle<Result<(), OperatorError>>,
    stop: DropGuard,
    losses: Arc<AtomicU32>,
}

impl Running {
    /// Ends it in the middle of whatever it does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) {
        let Self { task, stop, losses: _ } = self;
        drop(stop);
        tokio::time::timeout(PATIENCE, task)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
    }

    /// How often it has ended for want of the Lease.
    pub(crate) fn losses(&self) -> u32 {
        self.losses.load(Ordering::Relaxed)
    }
}

impl World {
    /// One whose operators watch its namespace alone, without the kind Department: it runs beside others.
    pub(crate) async fn new() -> Self {
        Self::with(Turn::OwnNamespace(TURN.read().await)).await
    }

    /// One whose operators watch everything: it has the server to itself.
    pub(crate) async fn alone() -> Self {
        let turn = Turn::Everything(alone().await);
        let client = api_server().client().await;
        install(&client).await;
        clean::<Department>(&client).await;
        clean::<LakeCluster>(&client).await;
        clean::<ComputeGroup>(&client).await;
        let world = Self::with(turn).await;
        world.nothing_is_left().await;
        world
    }

    async fn with(turn: Turn) -> Self {
        let client = api_server().client().await;
        let operator_client = api_server().client_of(Identity::Operator);
        install(&client).await;
        let namespace = format!("test-{:08x}", rand::random::<u32>());
        make_namespace(&client, &namespace).await;
        let of_operator = format!("{namespace}-operator");
        make_namespace(&client, &of_operator).await;
        grant(&client, &operator_client, &of_operator).await;
        let frontend = Frontend::start().await;
        let script = Arc::new(Mutex::new(Script::default()));
        script
            .lock()
            .unwrap()
            .frontends
            .insert(namespace.clone(), frontend.clone());
        let place = matches!(turn, Turn::OwnNamespace(_)).then(|| namespace.clone());
        let kubelet = tokio::spawn(play(client.clone(), place, Arc::clone(&script)));
        let world = Self {
            client,
            operator_client,
            namespace,
            frontend,
            clock: Arc::new(ShiftedClock::default()),
            metrics: Arc::new(Metrics::default()),
            script,
            kubelet,
            turn,
        };
        world.storage_secret().await;
        world
    }

    /// The namespace that its operators watch, where they do not watch everything.
    fn place(&self) -> Option<&str> {
        matches!(self.turn, Turn::OwnNamespace(_)).then_some(&self.namespace)
    }

    async fn storage_secret(&self) {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "storage"},
            "stringData": {"access-key-id": "access-key-of-a-test", "secret-access-key": SECRET_ACCESS_KEY},
        }))
        .unwrap();
        self.api::<Secret>()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    /// Starts an operator. Each has a Lease that expires soon, so that a crashed one is replaced within the test.
    pub(crate) fn operator(&self) -> Running {
        self.operator_with(|_| {})
    }

    pub(crate) fn operator_with(&self, change: impl FnOnce(&mut Settings)) -> Running {
        self.operator_as(self.operator_client.clone(), change)
    }

    pub(crate) fn operator_as(&self, client: Client, change: impl FnOnce(&mut Settings)) -> Running {
        let mut settings = <Settings as clap::Parser>::parse_from(["springtide-operator"]);
        settings.pod_namespace = self.operator_namespace();
        settings.lease_seconds = 8;
        settings.watch_namespaces = self.place().map(str::to_owned).into_iter().collect();
        change(&mut settings);
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let losses = Arc::new(AtomicU32::new(0));
        let lost_again = Arc::clone(&losses);
        let task = tokio::spawn(async move {
            loop {
                let operator = Operator {
                    settings: settings.clone(),
                    clock: Arc::clone(&clock) as _,
                    metrics: Arc::clone(&metrics),
                    health: Arc::new(Health::default()),
                };
                match operator.run(client.clone(), stopped.cancelled()).await {
                    Err(OperatorError::NotLeader(lost)) => {
                        eprintln!("the operator starts again: {lost}");
                        lost_again.fetch_add(1, Ordering::Relaxed);
                    }
                    ended => return ended,
                }
            }
        });
        Running {
            task,
            stop: stop.drop_guard(),
            losses,
        }
    }

    /// One whose requests may be lost, with a Lease that nobody else has had: `number` is unique in this world.
    pub(crate) async fn operator_through(&self, faults: &Faults, number: usize) -> Running {
        self.frontend.catalog.lock().unwrap().faults = Some(faults.clone());
        let namespace = self.another_operator_namespace(number).await;
        let client = api_server().client_through(Identity::Operator, faults);
        self.operator_as(client, |settings| settings.pod_namespace = namespace)
    }

    /// The namespace with the Lease.
    pub(crate) fn operator_namespace(&self) -> String {
        format!("{}-operator", self.namespace)
    }

    /// A further namespace, for a Lease that no crashed operator holds.
    pub(crate) async fn another_operator_namespace(&self, suffix: usize) -> String {
        let name = format!("{}-operator-{suffix}", self.namespace);
        make_namespace(&self.client, &name).await;
        grant(&self.client, &self.operator_client, &name).await;
        name
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Pods with this part in their name never become ready.
    pub(crate) fn hold_back(&self, part: &str) {
        self.script.lock().unwrap().stuck.insert(part.to_owned());
    }

    pub(crate) fn release(&self, part: &str) {
        self.script.lock().unwrap().stuck.remove(part);
    }

    /// From now on the pods for which `breaks` has statuses cannot run.
    pub(crate) fn break_pods(&self, breaks: impl Fn(&Pod) -> Option<Value> + Send + 'static) {
        self.script.lock().unwrap().breaks = Some(Box::new(breaks) as Breaks);
    }

    /// No volume is found for claims with this part in their name.
    pub(crate) fn refuse_volumes(&self, part: &str) {
        self.script.lock().unwrap().unbound.insert(part.to_owned());
    }

    /// Volumes are found for all claims again.
    pub(crate) fn offer_volumes(&self) {
        self.script.lock().unwrap().unbound.clear();
    }

    pub(crate) async fn make_cluster(&self, name: &str) -> LakeCluster {
        self.make_cluster_with(name, json!({})).await
    }

    /// A cluster with further fields of its spec.
    pub(crate) async fn make_cluster_with(&self, name: &str, spec: Value) -> LakeCluster {
        let mut body = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "metadata": {"name": name},
            "spec": {
                "engine": {"version": "0.1.0"},
                "storage": {"bucket": "retail", "prefix": name, "credentials": {"secretRef": {"name": "storage"}}},
            },
        });
        body["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        self.create(body).await
    }

    pub(crate) async fn make_group(&self, name: &str, cluster: &str, spec: Value) -> ComputeGroup {
        let mut body = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": name},
            "spec": {"cluster": cluster},
        });
        body["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        self.create(body).await
    }

    pub(crate) async fn create<K>(&self, body: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let kind = body["kind"].clone();
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply("a-test");
        self.api::<K>()
            .patch(&name, &parameters, &Patch::Apply(body))
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"))
    }

    pub(crate) async fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().get_opt(name).await.unwrap()
    }

    pub(crate) async fn merge<K>(&self, name: &str, patch: Value)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Replicas that the StatefulSet of a group asks for.
    pub(crate) async fn wanted(&self, group: &str) -> Option<i32> {
        self.get::<StatefulSet>(&format!("{group}-cn")).await?.spec?.replicas
    }

    /// How much earlier than it says a lead time of the group begins.
    pub(crate) fn stagger(&self, group: &str) -> TimeDelta {
        TimeDelta::from_std(springtide_plan::stagger(&self.namespace, group)).unwrap()
    }

    /// The whole group serves this many nodes: by its status, by the engine and by Kubernetes.
    pub(crate) async fn group_serves(&self, name: &str, nodes: usize) {
        self.eventually(&format!("{name} serves {nodes} nodes"), || async {
            let group = self.get::<ComputeGroup>(name).await?;
            let serving = group.status?.serving_replicas as usize;
            let known = {
                let catalog = self.frontend.catalog.lock().unwrap();
                catalog
                    .nodes
                    .keys()
                    .filter(|node| node.starts_with(&format!("{name}-cn-")))
                    .count()
            };
            (serving == nodes && known == nodes && self.wanted(name).await.unwrap_or(0) as usize == nodes).then_some(())
        })
        .await;
    }

    pub(crate) async fn cluster_is_available(&self, name: &str) {
        self.eventually(&format!("{name} is available"), || async {
            let cluster = self.get::<LakeCluster>(name).await?;
            is_true(&cluster.status?.conditions, "Available").then_some(())
        })
        .await;
    }

    /// Waits until `look` finds something.
    pub(crate) async fn eventually<T, F>(&self, what: &str, look: impl Fn() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.share_password().await;
            if let Some(found) = look().await {
                return found;
            }
            if Instant::now() > deadline {
                self.dump().await;
                panic!("did not come true in {} s: {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// What the kubelet would mount into the frontend: the operator's password.
    pub(crate) async fn share_password(&self) {
        let secrets = self.api::<Secret>().list(&ListParams::default()).await.unwrap();
        let secret = secrets
            .items
            .into_iter()
            .find(|secret| secret.name_any().ends_with("-operator"));
        if let Some(password) = secret.and_then(|secret| secret.data?.remove("password")) {
            self.frontend.catalog.lock().unwrap().password = String::from_utf8(password.0).unwrap();
        }
    }

    /// Waits until the garbage of earlier tests is collected, since those are writes, too.
    async fn nothing_is_left(&self) {
        let ours = ListParams::default().labels(springtide_plan::names::OWNER_LABEL);
        self.eventually("nothing of an earlier test is left", || async {
            let left = owned::<StatefulSet>(&self.client, &ours).await
                + owned::<Pod>(&self.client, &ours).await
                + owned::<ConfigMap>(&self.client, &ours).await
                + owned::<NetworkPolicy>(&self.client, &ours).await;
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let namespaces = namespaces.list(&ListParams::default()).await.unwrap();
            let is_leaving = namespaces
                .iter()
                .any(|namespace| namespace.metadata.deletion_timestamp.is_some());
            (left == 0 && !is_leaving).then_some(())
        })
        .await;
    }

    /// Nothing of this namespace is left that goes with an owner.
    pub(crate) async fn collected(&self) -> bool {
        self.collected_of(springtide_plan::names::OWNER_LABEL).await
    }

    /// The same of what a selector of labels finds.
    pub(crate) async fn collected_of(&self, labels: &str) -> bool {
        let ours = ListParams::default().labels(labels);
        owned_in::<ConfigMap>(&self.api(), &ours).await == 0
            && owned_in::<Service>(&self.api(), &ours).await == 0
            && owned_in::<NetworkPolicy>(&self.api(), &ours).await == 0
            && owned_in::<PodDisruptionBudget>(&self.api(), &ours).await == 0
            && owned_in::<HorizontalPodAutoscaler>(&self.api(), &ours).await == 0
    }

    /// The operator looks at everything again and again for this long and writes nothing, no object and no status: by the server's
    /// log, and where this world is alone by the server's counters, too.
    pub(crate) async fn stays_quiet(&self, quiet: Duration) {
        let (mark, looks_before) = (api_server().audit_mark(), self.looks());
        let before = (writes(&self.client).await, status_writes(&self.client).await);
        let mut touched = 0;
        let ends = Instant::now() + quiet;
        let mut kinds = BTreeSet::new();
        while Instant::now() < ends {
            if self.place().is_none() {
                touched += self.touch::<Department>(&mut kinds).await;
            }
            touched += self.touch::<LakeCluster>(&mut kinds).await;
            touched += self.touch::<ComputeGroup>(&mut kinds).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut written = api_server().writes_since(mark, self.place());
        written.retain(|write| write.user == OPERATOR);
        assert!(written.is_empty(), "the operator wrote: {written:#?}");
        if self.place().is_none() {
            let after = (writes(&self.client).await, status_writes(&self.client).await);
            let counted = (after.0 - before.0 - touched, after.1 - before.1);
            assert_eq!(counted, (0, 0), "writes and status writes of anybody but this test");
        }
        let looks = self.looks();
        assert!(!kinds.is_empty());
        for kind in kinds {
            let of = |looks: &BTreeMap<String, u64>| looks.get(&kind).copied().unwrap_or_default();
            assert!(
                of(&looks) >= of(&looks_before) + 3,
                "{kind} was not looked at: {looks_before:?}, {looks:?}"
            );
        }
    }

    /// Changes nothing that matters in every object of a kind that the operator sees, so that it looks at it; returns how many there
    /// are.
    async fn touch<K>(&self, kinds: &mut BTreeSet<String>) -> u64
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let resource = ApiResource::erase::<K>(&());
        let everywhere: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let seen = match self.place() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => everywhere.clone(),
        };
        let objects = seen.list(&ListParams::default()).await.unwrap().items;
        for object in &objects {
            let api: Api<DynamicObject> = match object.namespace() {
                Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
                None => everywhere.clone(),
            };
            let note = json!({"metadata": {"annotations": {"look": rand::random::<u64>().to_string()}}});
            api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(note))
                .await
                .unwrap();
            kinds.insert(resource.kind.clone());
        }
        objects.len() as u64
    }

    /// Reconciles that succeeded so far, by kind.
    pub(crate) fn looks(&self) -> BTreeMap<String, u64> {
        let text = self.metrics.render();
        text.lines()
            .filter_map(|line| {
                let rest = line.strip_prefix("springtide_reconciles_total{kind=\"")?;
                let (kind, rest) = rest.split_once('"')?;
                rest.contains("outcome=\"ok\"")
                    .then(|| (kind.to_owned(), rest.rsplit(' ').next().unwrap().parse().unwrap()))
            })
            .collect()
    }

    /// Waits until nobody writes anything for a while, longer than a status that counts progress is held back. A roll has pauses, in which
    /// it waits for what Kubernetes says, and is waited for, unless it stands still.
    pub(crate) async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let stands_still = Instant::now() + PATIENCE / 3;
        loop {
            let mark = api_server().audit_mark();
            tokio::time::sleep(Duration::from_millis(2500)).await;
            let written = api_server().writes_since(mark, self.place());
            if written.is_empty() && (Instant::now() > stands_still || !self.rolls().await) {
                return;
            }
            if Instant::now() > deadline {
                self.dump().await;
                panic!("the operator does not come to rest: {written:#?}");
            }
        }
    }

    /// Whether pods are being replaced, or wait for their turn.
    async fn rolls(&self) -> bool {
        let everything = ListParams::default();
        let clusters = self.api::<LakeCluster>().list(&everything).await.unwrap().items;
        let groups = self.api::<ComputeGroup>().list(&everything).await.unwrap().items;
        let of_clusters = clusters
            .into_iter()
            .filter_map(|cluster| Some(cluster.status?.conditions));
        let of_groups = groups.into_iter().filter_map(|group| Some(group.status?.conditions));
        let rolls = |reason: &str| ["Rolling", "WaitingForTurn"].contains(&reason);
        of_clusters
            .chain(of_groups)
            .flatten()
            .any(|condition| rolls(&condition.reason))
    }

    async fn dump(&self) {
        for cluster in self.api::<LakeCluster>().list(&ListParams::default()).await.unwrap() {
            eprintln!(
                "LakeCluster {}: {:#?}",
                cluster.name_any(),
                cluster.status.map(|status| status.conditions)
            );
        }
        for group in self.api::<ComputeGroup>().list(&ListParams::default()).await.unwrap() {
            eprintln!(
                "ComputeGroup {} {:?}: {:#?}",
                group.name_any(),
                group.metadata.deletion_timestamp,
                group.status
            );
        }
        for pod in self.api::<Pod>().list(&ListParams::default()).await.unwrap() {
            eprintln!(
                "Pod {}: {:?}",
                pod.name_any(),
                pod.status.and_then(|status| status.phase)
            );
        }
        for event in self
            .api::<k8s_openapi::api::core::v1::Event>()
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            eprintln!(
                "Event {:?} {:?}: {:?}",
                event.involved_object.name, event.reason, event.message
            );
        }
        eprintln!("{:#?}", self.frontend.catalog.lock().unwrap());
        eprintln!("{}", self.metrics.render());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kubelet.abort();
        self.frontend.stop();
    }
}

pub(crate) fn is_true(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Objects of a kind that have an owner and go with it.
async fn owned<K>(client: &Client, selector: &ListParams) -> usize
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    owned_in(&Api::<K>::all(client.clone()), selector).await
}

async fn owned_in<K>(api: &Api<K>, selector: &ListParams) -> usize
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let objects = api.list(selector).await.unwrap();
    objects
        .iter()
        .filter(|object| !object.owner_references().is_empty())
        .count()
}

async fn make_namespace(client: &Client, name: &str) {
    let body: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &body)
        .await
        .unwrap();
}

/// Takes away what an earlier test left, so that this test's operators see this test's objects alone.
async fn clean<K>(client: &Client)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<K>(&()));
    for object in everywhere.list(&ListParams::default()).await.unwrap() {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => everywhere.clone(),
        };
        let name = object.name_any();
        let _gone = api
            .patch(
                &name,
                &PatchParams::default(),
                &Patch::Merge(json!({"metadata": {"finalizers": null}})),
            )
            .await;
        let _gone = api.delete(&name, &DeleteParams::default()).await;
    }
}

async fn install(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in springtide_crds::schema::definitions() {
        let name = definition.name_any();
        let parameters = PatchParams::apply("a-test").force();
        definitions
            .patch(&name, &parameters, &Patch::Apply(&definition))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let established = await_condition(definitions.clone(), &name, is_crd_established());
        tokio::time::timeout(PATIENCE, established)
            .await
            .expect("the kind is served")
            .unwrap();
    }
}
