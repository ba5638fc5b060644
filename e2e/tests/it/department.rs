//! Departments with clusters, made as a platform team makes them: by objects, and the operator does the rest.
//!
//! Scenarios that break nothing share one department ([`shared`]); in it they have groups and clusters of their own, by
//! [`Department::with_own`]. Others make a department that goes with them ([`with_department`]). What they look at and change in one is in
//! [`objects`].

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, LakeCluster};
use springtide_e2e::{
    cluster::{self, Look, wait_until},
    departments::{self, Login, OPERATOR_NAMESPACE},
    sql::Session,
    storage::{self, ENDPOINT, Keys, REGION, Storage},
    timeline::Progress,
};
use tokio::sync::Mutex;

use crate::{
    harness::{Cluster, Once, cluster, describe, once, unique},
    scenario::Scenario,
};

mod objects;

/// Who writes the objects of scenarios.
pub(crate) const FIELD_MANAGER: &str = "springtide-tests";
/// From an applied object to its effect, on a machine that runs several scenarios at once.
pub(crate) const EFFECT_LIMIT: Duration = Duration::from_secs(150);
/// One statement.
pub(crate) const STATEMENT_LIMIT: Duration = Duration::from_secs(90);

/// The shared department's administrators: a user, and a group.
pub(crate) const ADMIN_USER: &str = "it-carol";
pub(crate) const ADMIN_GROUP: &str = "it-shared-admins";
/// The shared department's cluster, and its group of two nodes, which serves sessions that choose no warehouse.
pub(crate) const LAKE: &str = "lake";
pub(crate) const GROUP: &str = "main";

/// A department with one namespace, which has its name, and a bucket of the same name.
pub(crate) struct Department {
    pub(crate) cluster: Cluster,
    pub(crate) name: String,
    pub(crate) storage: Storage,
    pub(crate) keys: Keys,
}

/// A compute node as `SHOW COMPUTE NODES` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) pod: String,
    pub(crate) alive: bool,
    pub(crate) running: u32,
}

/// The department that scenarios share, with a cluster that serves; made once for all tests of this process.
pub(crate) async fn shared(scenario: &Scenario) -> Department {
    let what = "the department that scenarios share, with a cluster that serves";
    scenario.given(what, async || find_shared().await).await
}

async fn find_shared() -> Department {
    static MADE: Once = Once::const_new();
    let department = Department::find("it-shared").await;
    once(&MADE, async {
        let made = AssertUnwindSafe(make_shared(&department)).catch_unwind().await;
        department.ends(made.is_ok()).await;
        made.map_err(|_| "the shared department cannot be made; see above".to_owned())
    })
    .await;
    department
}

async fn make_shared(department: &Department) {
    let admins = json!({"users": [ADMIN_USER], "groups": [ADMIN_GROUP]});
    let quota = json!({"cpu": "8", "memory": "32Gi", "storage": "50Gi", "pods": 60});
    department
        .apply(json!({"admins": admins, "namespaces": [{"name": department.name, "quota": quota}]}))
        .await;
    department.lake(LAKE, json!({})).await;
    department
        .group(GROUP, LAKE, json!({"replicas": 2, "warehouse": "default_warehouse"}))
        .await;
    department.serves(GROUP, 2).await;
}

/// Runs a scenario in a department of its own, which is deleted at its end; on failure, all that is in it is printed first.
pub(crate) async fn with_department(scenario: &Scenario, name: &str, told: impl AsyncFnOnce(&Department)) {
    let what = "an operator, an S3 server and a bucket of the department's own";
    let department = scenario
        .given(what, async || Department::find(&unique(name)).await)
        .await;
    let outcome = AssertUnwindSafe(Box::pin(told(&department))).catch_unwind().await;
    if department.ends(outcome.is_ok()).await {
        department.remove().await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Department {
    /// A department that may not exist yet: its operator, its bucket and the keys to it do.
    async fn find(name: &str) -> Self {
        let cluster = cluster().await;
        let (storage, ()) = tokio::join!(cluster.storage(), cluster.operator());
        // Several scenarios ask for the shared department at once, and each would make its account.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _alone = ONE_AT_A_TIME.lock().await;
        let keys = storage.account(name).await.expect("an account");
        storage.bucket(name, &keys).await.expect("a bucket");
        Self {
            cluster,
            name: name.to_owned(),
            storage,
            keys,
        }
    }

    /// Applies the Department and waits for its namespace; then gives it the keys of its bucket.
    pub(crate) async fn apply(&self, spec: Value) {
        let api: Api<springtide_crds::Department> = Api::all(self.cluster.client.clone());
        let mut whole = json!({"namespaces": [{"name": self.name}], "deletionPolicy": "Delete"});
        merge(&mut whole, spec);
        let object = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "Department", "metadata": {"name": self.name}, "spec": whole,
        });
        api.patch(&self.name, &manager(), &Patch::Apply(&object))
            .await
            .expect("apply the Department");
        eventually("the department is set up", EFFECT_LIMIT, async || {
            let status = api.get(&self.name).await.expect("get").status.unwrap_or_default();
            holds(&status.conditions, "Available")
        })
        .await;
        storage::write_secret(&self.cluster.client, &self.name, "storage", "Opaque", self.keys.data())
            .await
            .expect("write the keys");
    }

    /// Applies a LakeCluster, with `spec` over that of a small one. Each has a prefix that no cluster had before.
    pub(crate) async fn lake(&self, name: &str, spec: Value) {
        let before = cluster::get(&self.lakes(), name).await.expect("get");
        let prefix = before.map_or_else(|| unique(name), |before| before.spec.storage.prefix);
        let mut whole = json!({
            "engine": {"kind": "Bundled", "version": env!("CARGO_PKG_VERSION")},
            "storage": {
                "bucket": self.name, "prefix": prefix, "endpoint": ENDPOINT, "region": REGION, "pathStyle": true,
                "credentials": {"secretRef": {"name": "storage"}},
            },
            "frontends": {"resources": {"cpu": "50m", "memory": "768Mi"}, "metadataVolume": {"size": "1Gi"}},
            "computeTemplate": {"resources": {"cpu": "50m", "memory": "768Mi"}},
            "deletionPolicy": "Delete",
        });
        merge(&mut whole, spec);
        let object = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "metadata": {"name": name}, "spec": whole,
        });
        self.lakes()
            .patch(name, &manager(), &Patch::Apply(&object))
            .await
            .unwrap_or_else(|error| panic!("apply LakeCluster {name}: {error}"));
    }

    /// Applies a ComputeGroup of a cluster, with `spec` over that of one small node.
    pub(crate) async fn group(&self, name: &str, lake: &str, spec: Value) {
        self.try_group(name, lake, spec)
            .await
            .unwrap_or_else(|error| panic!("apply ComputeGroup {name}: {error}"));
    }

    /// The same, where the API server may refuse it.
    pub(crate) async fn try_group(&self, name: &str, lake: &str, spec: Value) -> kube::Result<ComputeGroup> {
        let mut whole = json!({"cluster": lake, "replicas": 1, "cacheSize": "1Gi", "drain": {"timeout": "30s"}});
        merge(&mut whole, spec);
        let object = json!({
            "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": name}, "spec": whole,
        });
        self.groups().patch(name, &manager(), &Patch::Apply(&object)).await
    }

    /// Waits until exactly so many nodes of a group serve, see [`Self::serving`].
    pub(crate) async fn serves(&self, group: &str, nodes: i32) -> ComputeGroup {
        eventually(&format!("{nodes} nodes of {group} serve"), EFFECT_LIMIT, async || {
            self.serving(group, nodes).await
        })
        .await
    }

    /// Whether exactly so many nodes of a group serve, all others are forgotten, and the operator is done with it.
    pub(crate) async fn serving(&self, group: &str, nodes: i32) -> Result<ComputeGroup, String> {
        let group = self.groups().get(group).await.expect("get");
        let status = group.status.clone().unwrap_or_default();
        let known = i32::try_from(status.nodes.len()).expect("a few nodes");
        let counts = (status.wanted_replicas, status.replicas, known, status.serving_replicas);
        // A roll has the right counts, too, before it begins and between its nodes.
        let ready = holds(&status.conditions, "Ready");
        let is_current = status.observed_generation == group.metadata.generation;
        if is_current && counts == (Some(nodes), nodes, nodes, nodes) && ready.is_ok() {
            return Ok(group);
        }
        let ready = said(&status.conditions, "Ready");
        Err(format!("wanted, pods, known, serving: {counts:?}; {ready}"))
    }

    /// Waits until a cluster answers queries.
    pub(crate) async fn answers(&self, lake: &str) -> LakeCluster {
        eventually(&format!("{lake} answers"), EFFECT_LIMIT, async || {
            let lake = self.lakes().get(lake).await.expect("get");
            let conditions = lake.status.clone().unwrap_or_default().conditions;
            holds(&conditions, "Available").map(|()| lake)
        })
        .await
    }

    /// Whether the engine of a cluster refuses to start for this reason; either way, what is said of it.
    pub(crate) async fn refuses(&self, lake: &str, reason: &str) -> Result<String, String> {
        let available = self.lake_says(lake, "Available").await;
        if available.starts_with(&format!("Available=False {reason}: ")) {
            Ok(available)
        } else {
            Err(available)
        }
    }

    /// A session of the SQL administrator.
    pub(crate) async fn session(&self, lake: &str) -> Session {
        self.login(lake).await.session
    }

    /// The same, with the way there.
    pub(crate) async fn login(&self, lake: &str) -> Login {
        let lake = self.answers(lake).await;
        departments::log_in(&self.cluster.target, &self.cluster.client, &lake)
            .await
            .expect("log in")
    }

    /// Runs a scenario with clusters and groups that are deleted at its end; on failure, all that is in the department is
    /// printed first. What an earlier run left of them goes before it begins.
    pub(crate) async fn with_own(&self, lakes: &[&str], groups: &[&str], told: impl AsyncFnOnce()) {
        self.delete(lakes, groups).await;
        eventually("what an earlier run left is gone", EFFECT_LIMIT, async || {
            let left = self.left(lakes, groups).await;
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await;
        let outcome = AssertUnwindSafe(Box::pin(told())).catch_unwind().await;
        if self.ends(outcome.is_ok()).await {
            self.delete(lakes, groups).await;
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    async fn delete(&self, lakes: &[&str], groups: &[&str]) {
        let gone = |deleted: kube::Result<bool>| match deleted {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("delete: {error}"),
        };
        for group in groups {
            gone(
                self.groups()
                    .delete(group, &DeleteParams::default())
                    .await
                    .map(|_| true),
            );
        }
        for lake in lakes {
            gone(self.lakes().delete(lake, &DeleteParams::default()).await.map(|_| true));
        }
    }

    /// Objects and pods that are still there.
    async fn left(&self, lakes: &[&str], groups: &[&str]) -> Vec<String> {
        let mut left = Vec::new();
        for group in groups {
            left.extend(
                self.groups()
                    .get_opt(group)
                    .await
                    .expect("get")
                    .map(|_| (*group).to_owned()),
            );
            left.extend(names(&self.pods_of_group(group).await));
        }
        for lake in lakes {
            left.extend(
                self.lakes()
                    .get_opt(lake)
                    .await
                    .expect("get")
                    .map(|_| (*lake).to_owned()),
            );
            left.extend(names(&self.pods_of_lake(lake).await));
        }
        left
    }

    /// Describes a scenario that failed; whether what it made is to be deleted.
    async fn ends(&self, passed: bool) -> bool {
        if passed {
            return true;
        }
        let description = describe(&self.cluster.client, &[&self.name, OPERATOR_NAMESPACE]).await;
        eprintln!("{description}");
        let stays = std::env::var_os("NO_CLEANUP").is_some();
        if stays {
            eprintln!("NO_CLEANUP: department {} stays as it is", self.name);
        }
        !stays
    }

    async fn remove(&self) {
        let departments: Api<springtide_crds::Department> = Api::all(self.cluster.client.clone());
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        // Where the scenario failed before it made them, there is nothing to delete.
        let _ = departments.delete(&self.name, &DeleteParams::default()).await;
        let _ = namespaces.delete(&self.name, &DeleteParams::default()).await;
    }
}

/// Looks until the answer is `Ok`; what was seen last is in the message of the failure.
pub(crate) async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let progress = Progress::default();
    let found = wait_until(what, limit, &progress, async || {
        Ok(match look().await {
            Ok(value) => Look::Done(value),
            Err(seen) => Look::NotYet(seen),
        })
    });
    found.await.unwrap_or_else(|error| panic!("{error}"))
}

/// A condition as a person reads it: `Available=False PodOverQuota: ...`.
pub(crate) fn said(conditions: &[Condition], kind: &str) -> String {
    match conditions.iter().find(|condition| condition.type_ == kind) {
        Some(condition) => format!(
            "{kind}={} {}: {}",
            condition.status, condition.reason, condition.message
        ),
        None => format!("no condition {kind}"),
    }
}

/// Whether a condition is true, and what is said instead.
pub(crate) fn holds(conditions: &[Condition], kind: &str) -> Result<(), String> {
    let is_true = conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True");
    if is_true { Ok(()) } else { Err(said(conditions, kind)) }
}

/// The nodes of a group that the frontend knows, by pod.
pub(crate) async fn nodes(session: &mut Session, group: &str) -> Vec<Node> {
    let rows = session
        .named_rows("SHOW COMPUTE NODES", STATEMENT_LIMIT)
        .await
        .expect("SHOW COMPUTE NODES");
    let prefix = format!("{group}-cn-");
    let mut nodes: Vec<Node> = rows
        .iter()
        .map(node)
        .filter(|node| node.pod.starts_with(&prefix))
        .collect();
    nodes.sort_by(|one, other| one.pod.cmp(&other.pod));
    nodes
}

fn node(row: &BTreeMap<String, String>) -> Node {
    Node {
        id: row["ComputeNodeId"].clone(),
        pod: row["IP"].split('.').next().unwrap_or_default().to_owned(),
        alive: row["Alive"] == "true",
        running: row["NumRunningQueries"].parse().expect("a number"),
    }
}

/// What tells the nodes apart, whatever their pods are.
pub(crate) fn ids(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_str()).collect()
}

/// Runs statements that answer with nothing.
pub(crate) async fn execute(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        session
            .execute(statement, STATEMENT_LIMIT)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A database `d` with a table `t` whose `id`s are 1 and 2: what a cluster is to have kept in the end.
pub(crate) async fn two_rows(session: &mut Session) {
    execute(
        session,
        &[
            "CREATE DATABASE d",
            "CREATE TABLE d.t (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
            "INSERT INTO d.t VALUES (1), (2)",
        ],
    )
    .await;
}

/// The one value that a query returns.
pub(crate) async fn value(session: &mut Session, query: &str) -> String {
    session
        .value(query, STATEMENT_LIMIT)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect()
}

pub(crate) fn manager() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// Puts `over` over `base`, object by object; anything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}
