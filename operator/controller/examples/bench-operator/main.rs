//! What the operator costs: a real `springtide-operator` process on a real API server, with few and with many ComputeGroups, four to
//! a LakeCluster. There are no kubelets: a stand-in says that pods run. Frontends are those of the tests.
//!
//! ```text
//! cargo build --workspace --bins --example bench-operator && target/debug/examples/bench-operator [GROUPS...]
//! ```
//!
//! For each number of groups the operator starts anew and finds the groups that were added meanwhile. Prints tables and, as its last
//! line, one JSON object. Requests are counted by the API server's audit log.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made ends with what is in the way"
)]
#![allow(dead_code, reason = "the tests use more of their parts than this")]

use std::{
    collections::BTreeMap,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DurationRound, TimeDelta, Utc};
use futures::StreamExt;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        autoscaling::v2::HorizontalPodAutoscaler,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Secret, Service, ServiceAccount},
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
use serde_json::{Value, json};
use springtide_crds::ComputeGroup;

#[path = "../../tests/it/harness/api_server.rs"]
mod api_server;
mod audit;
#[path = "../../tests/it/harness/certificates.rs"]
mod certificates;
#[path = "../../tests/it/harness/charts.rs"]
mod charts;
mod controllers;
#[path = "../../tests/it/harness/faults.rs"]
mod faults;
#[path = "../../tests/it/harness/frontend.rs"]
mod frontend;
mod opened;
mod pods;
mod process;
mod programs;
#[path = "../../tests/it/harness/relay.rs"]
mod relay;
#[path = "../../tests/it/harness/rights.rs"]
mod rights;
#[path = "../../tests/it/harness/starrocks.rs"]
mod starrocks;

use api_server::{Identity, api_server};
use audit::{Mark, Requests};
use controllers::Controllers;
use frontend::Frontend;
use opened::{Opened, Opening};
use pods::Frontends;
use process::{Memory, Operator};
use programs::Computed;

/// Groups of one cluster; each cluster has a namespace of its own.
const GROUPS_PER_CLUSTER: usize = 4;
/// Longest wait until all groups serve.
const PATIENCE: Duration = Duration::from_secs(1200);
/// After that everything that is made at the start has been given back.
const SETTLING: Duration = Duration::from_secs(15);
/// Nothing is written for so long when what happened has been told: Events come behind everything else.
const QUIET: Duration = Duration::from_secs(5);
/// How long nothing happens while idleness is measured: each object is looked at once in this time.
const REST: Duration = Duration::from_secs(60);
/// Requests of the bench itself at once.
const AT_ONCE: usize = 32;
const OPERATOR_NAMESPACE: &str = "springtide-bench";

/// Of windows that have one.
const LEAD_TIME: Duration = Duration::from_secs(15);

/// The same twice but for the lead time, by which the groups' floors do not rise in one moment.
const BESIDE_BUSY_CONTROLLERS: [Opening; 2] = [
    Opening {
        name: "everybody-at-once",
        nodes: 2,
        lead_time: Duration::ZERO,
        beside: "controllers without limits",
        metric: "edge_without_lead_time",
    },
    Opening {
        name: "with-a-lead-time",
        nodes: 3,
        lead_time: LEAD_TIME,
        beside: "controllers without limits",
        metric: "edge_beside_busy_controllers",
    },
];
const BESIDE_CONTROLLERS_AT_THEIR_LIMITS: Opening = Opening {
    name: "at-their-limits",
    nodes: 4,
    lead_time: LEAD_TIME,
    beside: "controllers at their default limit",
    metric: "edge",
};

/// What one number of groups cost.
#[derive(Debug)]
struct Figures {
    groups: usize,
    added: usize,
    converged_after: Duration,
    /// While the added groups converged.
    requests: Requests,
    /// Objects that were made for them.
    objects: u64,
    memory: Memory,
    /// Share of one core that is used when nothing happens.
    idle_cpu: f64,
    idle: Requests,
}

#[tokio::main]
async fn main() {
    let counts: Vec<usize> = std::env::args()
        .skip(1)
        .map(|count| count.parse().expect("GROUPS is a number of groups"))
        .collect();
    let counts = if counts.is_empty() { vec![10, 100, 1000] } else { counts };
    let mut stage = Stage::set().await;
    let mut measured = BTreeMap::new();
    println!(
        "{:>7} {:>7} {:>9} {:>9} {:>8} {:>7} {:>9} {:>9} {:>11} {:>11} {:>9} {:>11}",
        "groups",
        "added",
        "converge",
        "objects",
        "writes",
        "ratio",
        "status",
        "reads",
        "resident",
        "peak",
        "idle CPU",
        "idle writes"
    );
    for count in &counts {
        let (figures, operator) = stage.measure(*count).await;
        report(&figures, &mut measured);
        if Some(count) == counts.last() {
            for opening in BESIDE_BUSY_CONTROLLERS {
                stage.window(&opening).await.report(&opening, &mut measured);
                stage.wait_until_all_serve(opening.nodes).await;
            }
            let controllers = Controllers::at_their_limits();
            let opened = stage.window(&BESIDE_CONTROLLERS_AT_THEIR_LIMITS).await;
            opened.report(&BESIDE_CONTROLLERS_AT_THEIR_LIMITS, &mut measured);
            drop(operator);
            let before = Computed::now();
            let bare = stage.sizes_by_a_loop(5).await.as_secs_f64();
            let computed = Computed::now().since(&before).of_each(stage.groups);
            println!("the same writes by a loop that does nothing else, {AT_ONCE} at once: {bare:.2} s");
            println!("        computed for each: {computed}");
            measured.insert("edge_bare_loop_s".to_owned(), json!((bare * 100.0).round() / 100.0));
            drop(controllers);
            // What a comparison of commits reads is that of the most groups.
            for name in ["idle_writes", "writes_per_object"] {
                let value = measured.get(&format!("{name}_{count}")).cloned();
                measured.insert(name.to_owned(), value.unwrap_or_default());
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!(
        "{}",
        json!({"bench": "operator", "commit": commit(), "cores": cores, "metrics": measured})
    );
}

fn report(figures: &Figures, measured: &mut BTreeMap<String, Value>) {
    let Figures {
        groups,
        added,
        converged_after,
        requests,
        objects,
        memory,
        idle_cpu,
        idle,
    } = figures;
    let ratio = requests.writes as f64 / *objects as f64;
    let all = |by_kind: &BTreeMap<String, u64>| by_kind.values().sum::<u64>();
    let idle_writes = idle.writes + all(&idle.status_writes) + idle.event_writes;
    let status_of = |resource: &str| requests.status_writes.get(resource).copied().unwrap_or(0) as f64;
    let a_group = status_of("computegroups") / *added as f64;
    let a_cluster = status_of("lakeclusters") / added.div_ceil(GROUPS_PER_CLUSTER) as f64;
    println!(
        "{groups:>7} {added:>7} {:>7.1} s {objects:>9} {:>8} {ratio:>7.2} {:>9} {:>9} {:>7.1} MiB {:>7.1} MiB {:>7.1} % {idle_writes:>11}",
        converged_after.as_secs_f64(),
        requests.writes,
        all(&requests.status_writes),
        all(&requests.reads),
        memory.resident,
        memory.peak,
        idle_cpu * 100.0,
    );
    println!(
        "        status writes a group {a_group:.2}, a cluster {a_cluster:.2}; reads an object {:.2}, events {}, leases {}; idle reads {} in {} s",
        all(&requests.reads) as f64 / *objects as f64,
        requests.event_writes,
        requests.lease_writes,
        all(&idle.reads),
        REST.as_secs(),
    );
    println!("        reads {:?}; idle reads {:?}", requests.reads, idle.reads);
    if idle_writes > 0 {
        println!(
            "        idle writes: {} of objects, statuses {:?}, {} Events",
            idle.writes, idle.status_writes, idle.event_writes
        );
    }
    let rounded = |value: f64| json!((value * 100.0).round() / 100.0);
    for (name, value) in [
        ("converge_s", rounded(converged_after.as_secs_f64())),
        ("writes_per_object", rounded(ratio)),
        ("status_writes_per_group", rounded(a_group)),
        ("status_writes_per_cluster", rounded(a_cluster)),
        ("rss_mb", rounded(memory.resident)),
        ("peak_mb", rounded(memory.peak)),
        (
            "reads_per_object",
            rounded(all(&requests.reads) as f64 / *objects as f64),
        ),
        (
            "events_per_group",
            rounded(requests.event_writes as f64 / *added as f64),
        ),
        ("lease_writes", json!(requests.lease_writes)),
        ("idle_cpu_percent", rounded(idle_cpu * 100.0)),
        ("idle_writes", json!(idle_writes)),
    ] {
        measured.insert(format!("{name}_{groups}"), value);
    }
}

/// The API server with everything but the operator.
struct Stage {
    client: Client,
    frontends: Frontends,
    groups: usize,
    /// Those that all groups have been given in place of their opening hours.
    windows: Vec<Value>,
}

impl Stage {
    async fn set() -> Self {
        let client = api_server().client().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in springtide_crds::schema::definitions() {
            let name = definition.name_any();
            let object = typed(&definition, "apiextensions.k8s.io/v1", "CustomResourceDefinition");
            rights::apply(&client, &object).await;
            await_condition(definitions.clone(), &name, is_crd_established())
                .await
                .expect("the kind is served");
        }
        make_namespace(&client, OPERATOR_NAMESPACE).await;
        let operator = api_server().client_of(Identity::Operator);
        rights::grant(&client, &operator, OPERATOR_NAMESPACE).await;
        let frontends = Frontends::default();
        tokio::spawn(pods::stand_in(client.clone(), Arc::clone(&frontends)));
        Self {
            client,
            frontends,
            groups: 0,
            windows: Vec::new(),
        }
    }

    /// Adds groups until there are `count`, starts an operator, and reads what it takes.
    async fn measure(&mut self, count: usize) -> (Figures, Operator) {
        let added = count - self.groups;
        let objects_before = self.objects().await;
        let clusters = (self.groups..count).filter(|group| group.is_multiple_of(GROUPS_PER_CLUSTER));
        futures::stream::iter(clusters)
            .for_each_concurrent(AT_ONCE, |group| self.add_cluster(group / GROUPS_PER_CLUSTER))
            .await;
        futures::stream::iter(self.groups..count)
            .for_each_concurrent(AT_ONCE, |group| self.add_group(group))
            .await;
        self.groups = count;
        // The operator before was killed, and would keep the Lease for its whole duration.
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let _absent = leases.delete("springtide-operator", &DeleteParams::default()).await;
        let (begun, mark) = (Instant::now(), Mark::now());
        let mut operator = Operator::start(OPERATOR_NAMESPACE);
        while self.serving(1).await < count {
            operator.is_there();
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {count} groups serve:\n{}",
                self.serving(1).await,
                operator.last_log()
            );
            self.share_passwords().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let converged_after = begun.elapsed();
        settle().await;
        operator.is_there();
        let requests = mark.since();
        let objects = self.objects().await - objects_before;
        let (idle, cpu) = (Mark::now(), operator.cpu());
        tokio::time::sleep(REST).await;
        let figures = Figures {
            groups: count,
            added,
            converged_after,
            requests,
            objects,
            memory: operator.memory(),
            idle_cpu: (operator.cpu() - cpu).as_secs_f64() / REST.as_secs_f64(),
            idle: idle.since(),
        };
        (figures, operator)
    }

    /// Lets a window open in all groups at the same moment.
    async fn window(&mut self, opening: &Opening) -> Opened {
        let opens = (Utc::now() + TimeDelta::seconds(165))
            .duration_trunc(TimeDelta::minutes(1))
            .unwrap();
        let mut window = json!({"name": opening.name, "at": opens.format("%Y-%m-%dT%H:%M").to_string(),
            "timeZone": "Etc/UTC", "duration": "1h", "minReplicas": opening.nodes});
        if !opening.lead_time.is_zero() {
            window["leadTime"] = json!(format!("{}s", opening.lead_time.as_secs()));
        }
        self.windows.push(window);
        let patch = Patch::Merge(json!({"spec": {"schedules": self.windows}}));
        let everywhere: Api<ComputeGroup> = Api::all(self.client.clone());
        let groups = everywhere.list(&ListParams::default()).await.unwrap();
        futures::stream::iter(groups)
            .for_each_concurrent(AT_ONCE, async |group| {
                let api: Api<ComputeGroup> = Api::namespaced(self.client.clone(), &group.namespace().unwrap());
                api.patch(&group.name_any(), &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            })
            .await;
        let edge = opens - TimeDelta::from_std(opening.lead_time).unwrap();
        let first = edge - TimeDelta::from_std(springtide_plan::SPREAD).unwrap();
        assert!(
            Utc::now() < first,
            "the groups were not written before the window opened"
        );
        // No size changes before that, and the first ones do as soon as it comes.
        let before = Mark::now();
        tokio::time::sleep((first - Utc::now()).to_std().unwrap_or_default()).await;
        let (mark, computed_before) = (Mark::now(), Computed::now());
        let begun = Instant::now();
        let mut changed = BTreeMap::new();
        // The log is read now and then only: what is measured shares the cores with who measures it.
        while changed.len() < self.groups {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} StatefulSets have changed",
                changed.len()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
            changed = before.sizes_changed();
        }
        let computed = Computed::now().since(&computed_before);
        Opened::of(opening, edge, &changed, mark.since(), computed)
    }

    /// What the API server itself takes to write a size of all StatefulSets: no operator can be quicker.
    async fn sizes_by_a_loop(&self, nodes: i32) -> Duration {
        let everywhere: Api<StatefulSet> = Api::all(self.client.clone());
        let of_groups = ListParams::default().labels(springtide_plan::names::GROUP_LABEL);
        let sets = everywhere.list_metadata(&of_groups).await.unwrap().items;
        let begun = Instant::now();
        futures::stream::iter(sets)
            .for_each_concurrent(AT_ONCE, async |set| {
                let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap());
                let scale = json!({"metadata": {"namespace": set.namespace(), "name": set.name_any()}, "spec": {"replicas": nodes}});
                let scale = serde_json::from_value(scale).unwrap();
                api.replace_scale(&set.name_any(), &PostParams::default(), &scale)
                    .await
                    .unwrap();
            })
            .await;
        begun.elapsed()
    }

    async fn wait_until_all_serve(&self, nodes: i32) {
        let begun = Instant::now();
        while self.serving(nodes).await < self.groups {
            assert!(begun.elapsed() < PATIENCE, "not all groups serve with {nodes} nodes");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        settle().await;
    }

    async fn add_cluster(&self, number: usize) {
        let namespace = namespace(number);
        make_namespace(&self.client, &namespace).await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "storage", "namespace": namespace},
            "stringData": {"access-key-id": "key", "secret-access-key": "secret"},
        });
        rights::apply(&self.client, &secret).await;
        let frontend = Frontend::start().await;
        self.frontends.lock().unwrap().insert(namespace.clone(), frontend);
        let cluster = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
            "metadata": {"name": "lake", "namespace": namespace},
            "spec": {
                "engine": {"version": "0.1.0"},
                "storage": {"bucket": "bench", "prefix": namespace, "credentials": {"secretRef": {"name": "storage"}}},
            },
        });
        rights::apply(&self.client, &cluster).await;
    }

    async fn add_group(&self, number: usize) {
        let namespace = namespace(number / GROUPS_PER_CLUSTER);
        let mut group = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
            "metadata": {"name": format!("group-{number}"), "namespace": namespace},
            "spec": {
                "cluster": "lake",
                "schedules": [{
                    "name": "opening-hours", "start": "30 7 * * MON-SAT", "until": "18:00", "timeZone": "Europe/Berlin",
                    "minReplicas": 1, "leadTime": "5m",
                }],
            },
        });
        // One group of each cluster scales itself by load: it has an object more, and is looked at more often.
        if number.is_multiple_of(GROUPS_PER_CLUSTER) {
            group["spec"]["autoscaling"] = json!({"maxReplicas": 6});
        }
        rights::apply(&self.client, &group).await;
    }

    /// Groups with so many nodes that serve.
    async fn serving(&self, nodes: i32) -> usize {
        let groups: Api<ComputeGroup> = Api::all(self.client.clone());
        let groups = groups.list(&ListParams::default()).await.unwrap();
        groups
            .iter()
            .filter(|group| {
                group
                    .status
                    .as_ref()
                    .is_some_and(|status| status.serving_replicas == nodes)
            })
            .count()
    }

    /// Objects that the operator has made.
    async fn objects(&self) -> u64 {
        self.count::<StatefulSet>().await
            + self.count::<Service>().await
            + self.count::<ConfigMap>().await
            + self.count::<Secret>().await
            + self.count::<ServiceAccount>().await
            + self.count::<PodDisruptionBudget>().await
            + self.count::<HorizontalPodAutoscaler>().await
            + self.count::<NetworkPolicy>().await
    }

    async fn count<K: Resource<DynamicType = ()>>(&self) -> u64 {
        let resource = ApiResource::erase::<K>(&());
        let everywhere: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let ours = ListParams::default().labels(springtide_plan::names::OWNER_LABEL);
        everywhere.list(&ours).await.unwrap().items.len() as u64
    }

    /// What the kubelet would mount into the frontends: the operator's passwords.
    async fn share_passwords(&self) {
        let secrets: Api<Secret> = Api::all(self.client.clone());
        let secrets = secrets
            .list(&ListParams::default().labels(springtide_plan::names::OWNER_LABEL))
            .await
            .unwrap();
        let frontends = self.frontends.lock().unwrap();
        for secret in secrets {
            let frontend = frontends.get(&secret.namespace().unwrap_or_default());
            let (Some(frontend), true) = (frontend, secret.name_any() == "lake-operator") else {
                continue;
            };
            if let Some(password) = secret.data.and_then(|mut data| data.remove("password")) {
                frontend.catalog.lock().unwrap().password = String::from_utf8(password.0).unwrap();
            }
        }
    }
}

/// Returns when the operator writes nothing any more but its Lease.
async fn settle() {
    tokio::time::sleep(SETTLING).await;
    let begun = Instant::now();
    loop {
        let mark = Mark::now();
        tokio::time::sleep(QUIET).await;
        let requests = mark.since();
        let is_quiet = requests.writes == 0 && requests.status_writes.is_empty() && requests.event_writes == 0;
        if is_quiet {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "the operator does not come to rest: {requests:?}"
        );
    }
}

fn namespace(cluster: usize) -> String {
    format!("bench-{cluster}")
}

async fn make_namespace(client: &Client, name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    rights::apply(client, &namespace).await;
}

/// An object with the two fields that its type leaves out.
fn typed(object: &impl serde::Serialize, api_version: &str, kind: &str) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object
}

/// The commit that was measured, where the sources are a checkout.
fn commit() -> String {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"])
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
