//! What every scenario starts from: the shared cluster, an installed operator, and a namespace of its own that is described
//! in full when the scenario fails.

use std::{
    fmt::Write as _,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::UNIX_EPOCH,
};

use futures::FutureExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Namespace, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use springtide_e2e::{
    departments::{self, OPERATOR_NAMESPACE},
    images,
    places::Places,
    storage::{self, Storage},
    target::Target,
    timeline::Progress,
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::department::{EFFECT_LIMIT, eventually, names};

/// Name of the operator's Deployment.
pub(crate) const OPERATOR: &str = "springtide";
/// Lines of each container's log that a description holds.
const LOG_LINES: i64 = 200;

/// The shared cluster, with a client of this test's own.
pub(crate) struct Cluster {
    pub(crate) places: Places,
    pub(crate) target: Target,
    pub(crate) client: Client,
}

/// Finds the cluster that `make test` brought up; without one, the test fails and says what to do.
pub(crate) async fn cluster() -> Cluster {
    let places = Places::find().expect("the tests run inside the checkout");
    let kubeconfig = std::env::var_os("KUBECONFIG")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .unwrap_or_else(|| places.kubeconfig());
    assert!(
        kubeconfig.is_file(),
        "the cluster tests need a Kubernetes: {} does not exist. Run `make test`, or `make cluster-up images` and then \
         `KUBECONFIG=... cargo test --workspace --test cluster`",
        kubeconfig.display()
    );
    let mut target = Target::local(&places);
    target.kubeconfig = Some(kubeconfig);
    let client = target.client().await.expect("a client of the cluster");
    client
        .apiserver_version()
        .await
        .expect("the cluster of KUBECONFIG answers");
    Cluster { places, target, client }
}

impl Cluster {
    /// Installs the operator from the charts, once for all tests of this process.
    pub(crate) async fn operator(&self) {
        static INSTALLED: Once = Once::const_new();
        once(&INSTALLED, async {
            departments::install_operator(&self.target, &self.places, &Progress::default())
                .await
                .map_err(|error| format!("helm installs the operator: {error}"))
        })
        .await;
    }

    /// Installs it, whatever is there: what a scenario owes the others that has taken it away or changed it.
    pub(crate) async fn install_operator(&self) {
        departments::install_operator(&self.target, &self.places, &Progress::default())
            .await
            .expect("helm installs the operator");
    }

    /// The S3 server in the cluster, started once for all tests of this process.
    pub(crate) async fn storage(&self) -> Storage {
        static STARTED: Once = Once::const_new();
        let tools = images::tools(&self.places, &[images::S3_SERVER], &Progress::default())
            .await
            .expect("the S3 server is built");
        once(&STARTED, async {
            let images = images::pack(&self.places, &Progress::default())
                .await
                .expect("images are packed");
            let server = images
                .iter()
                .find(|image| image.short_name() == images::S3_SERVER)
                .expect("an image of the S3 server");
            storage::start(&self.target, &self.places, server, tools.clone(), &Progress::default())
                .await
                .map(drop)
                .map_err(|error| format!("the S3 server starts: {error}"))
        })
        .await;
        storage::open(&self.target, tools)
            .await
            .expect("the S3 server is there")
    }

    /// Scales the operator to nothing, and waits until it is gone. All scenarios share it: who calls this has to run [`alone`], and
    /// brings it back.
    pub(crate) async fn stop_operator(&self) {
        self.scale_operator(0).await;
        eventually("no operator is left", EFFECT_LIMIT, async || {
            let left = self.operator_pods().await;
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await;
    }

    /// Does something while no operator is there. It comes back whatever happens meanwhile.
    pub(crate) async fn without_operator<T>(&self, meanwhile: impl AsyncFnOnce() -> T) -> T {
        let replicas = self.operators().get(OPERATOR).await.expect("get").spec;
        let replicas = replicas.and_then(|spec| spec.replicas).unwrap_or_default();
        assert!(replicas > 0, "no operator runs");
        let outcome = AssertUnwindSafe(async {
            self.stop_operator().await;
            Box::pin(meanwhile()).await
        })
        .catch_unwind()
        .await;
        self.scale_operator(replicas).await;
        let value = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        eventually("the operator is back", EFFECT_LIMIT, async || {
            let status = self.operators().get(OPERATOR).await.expect("get").status;
            let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
            if ready == replicas {
                Ok(())
            } else {
                Err(format!("{ready} of {replicas} are ready"))
            }
        })
        .await;
        value
    }

    /// The names of the operator's pods.
    pub(crate) async fn operator_pods(&self) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
        names(&pods.list(&operators).await.expect("list").items)
    }

    async fn scale_operator(&self, replicas: i32) {
        let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
        self.operators()
            .patch_scale(OPERATOR, &PatchParams::default(), &patch)
            .await
            .expect("scale the operator");
    }

    fn operators(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE)
    }
}

/// Held by a scenario that takes the operator from everybody, so that no two of them do so at once. `e2e/test` runs them after those
/// that share it.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// What was made for all tests of this process, or why it could not be.
pub(crate) type Once = OnceCell<Result<(), String>>;

/// Makes what all tests need. Where that fails, it is not tried again by each of them: all fail at once, and say why.
pub(crate) async fn once(made: &Once, make: impl Future<Output = Result<(), String>>) {
    let outcome = made.get_or_init(|| make).await;
    assert_eq!(*outcome, Ok(()), "the tests' common ground");
}

/// Runs a scenario in a namespace of its own, which is deleted at its end. When the scenario fails, its pods, events, logs
/// and custom resources are printed first; with `NO_CLEANUP` set, the namespace of a failed scenario stays.
pub(crate) async fn with_temp_namespace(cluster: &Cluster, name: &str, scenario: impl AsyncFnOnce(&str)) {
    let namespace = unique(name);
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let object = serde_json::from_value(
        serde_json::json!({"metadata": {"name": namespace, "labels": {"springtide.dev/test": name}}}),
    );
    api.create(&PostParams::default(), &object.expect("a namespace"))
        .await
        .expect("make a namespace");
    let outcome = AssertUnwindSafe(scenario(&namespace)).catch_unwind().await;
    if outcome.is_err() {
        let description = describe(&cluster.client, &[&namespace, OPERATOR_NAMESPACE]).await;
        eprintln!("{description}");
        if std::env::var_os("NO_CLEANUP").is_some() {
            eprintln!("NO_CLEANUP: namespace {namespace} stays");
        }
    }
    if outcome.is_ok() || std::env::var_os("NO_CLEANUP").is_none() {
        api.delete(&namespace, &DeleteParams::default())
            .await
            .expect("delete the namespace");
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A name that nothing on this cluster has had, whatever ran before.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis();
    format!("it-{name}-{now:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// All that helps to see why a scenario failed: custom resources, pods, events and logs of some namespaces.
pub(crate) async fn describe(client: &Client, namespaces: &[&str]) -> String {
    let mut text = String::new();
    for namespace in namespaces {
        let _ = writeln!(text, "\n======== namespace {namespace}");
        for kind in ["LakeCluster", "ComputeGroup"] {
            custom_resources(client, namespace, kind, &mut text).await;
        }
        pods(client, namespace, &mut text).await;
        events(client, namespace, &mut text).await;
    }
    text
}

async fn custom_resources(client: &Client, namespace: &str, kind: &str, text: &mut String) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("springtide.dev", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    for object in api
        .list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default()
    {
        let status = serde_json::to_string_pretty(&object.data["status"]).unwrap_or_default();
        let _ = writeln!(text, "---- {kind} {}: status {status}", object.name_any());
    }
}

async fn pods(client: &Client, namespace: &str, text: &mut String) {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for pod in api
        .list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default()
    {
        let status = pod.status.clone().unwrap_or_default();
        let _ = writeln!(
            text,
            "---- pod {}: {}",
            pod.name_any(),
            status.phase.unwrap_or_default()
        );
        for condition in status
            .conditions
            .unwrap_or_default()
            .iter()
            .filter(|condition| condition.status != "True")
        {
            let _ = writeln!(
                text,
                "     {}: {}",
                condition.type_,
                condition.message.as_deref().unwrap_or_default()
            );
        }
        let containers = status
            .init_container_statuses
            .unwrap_or_default()
            .into_iter()
            .chain(status.container_statuses.unwrap_or_default());
        for container in containers {
            let state = serde_json::to_string(&container.state).unwrap_or_default();
            let _ = writeln!(
                text,
                "     container {} restarted {} times: {state}",
                container.name, container.restart_count
            );
            for previous in [true, false] {
                if previous && container.restart_count == 0 {
                    continue;
                }
                let wanted = LogParams {
                    container: Some(container.name.clone()),
                    previous,
                    tail_lines: Some(LOG_LINES),
                    ..Default::default()
                };
                let log = api
                    .logs(&pod.name_any(), &wanted)
                    .await
                    .unwrap_or_else(|error| error.to_string());
                for line in log.lines() {
                    let _ = writeln!(text, "       {}| {line}", if previous { "before " } else { "" });
                }
            }
        }
    }
}

async fn events(client: &Client, namespace: &str, text: &mut String) {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    for event in api
        .list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default()
    {
        let subject = &event.involved_object;
        let _ = writeln!(
            text,
            "---- event {}/{} {}: {}",
            subject.kind.as_deref().unwrap_or_default(),
            subject.name.as_deref().unwrap_or_default(),
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default(),
        );
    }
}
