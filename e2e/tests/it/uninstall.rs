//! `helm uninstall` at a bad moment. It takes the operator from everybody, so `e2e/test` runs this after all others, and alone.

use std::{fmt::Debug, panic::AssertUnwindSafe, time::Duration};

use chrono::{TimeDelta, Utc};
use futures::FutureExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::Job,
        coordination::v1::Lease,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster, compute_group::DrainPhase};
use springtide_e2e::departments::OPERATOR_NAMESPACE;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, execute, names, nodes, two_rows, value, with_department},
    harness::{Cluster, alone, cluster},
    long_query::{ROWS, long_work, table},
    scenario::Scenario,
};

const GROUP: &str = "crew";
/// Of the chart and of what it installs for the whole cluster.
const RELEASE: &str = "springtide";
/// `helm uninstall --wait` with its Job.
const UNINSTALL_LIMIT: Duration = Duration::from_secs(240);
/// The long statement has room in it, and at the end a node without a frontend is held as long.
const DRAIN_TIMEOUT: &str = "90s";
/// So many times the rows of a long query: it has to outlast an operator that orders drains and then dies.
const COPIES: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_uninstalled_in_a_window_or_a_drain_leaves_the_size_that_is_written_and_nothing_that_hangs()
{
    let scenario = Scenario::begin("an operator is uninstalled in a window and in a drain").may_take(
        Duration::from_secs(480),
        "helm uninstalls the operator twice and installs it twice, and the last node is held for its whole drain.timeout",
    );
    let _alone = alone().await;
    let outcome = AssertUnwindSafe(with_department(&scenario, "uninstall", async |department| {
        twice(&scenario, department).await;
    }))
    .catch_unwind()
    .await;
    if let Err(panic) = outcome {
        cluster().await.install_operator().await;
        std::panic::resume_unwind(panic);
    }
}

async fn twice(scenario: &Scenario, department: &Department) {
    in_a_window(scenario, department).await;
    in_a_drain_with_the_operator_down(scenario, department).await;
    scenario
        .and("the cluster answers without an operator", async || {
            let mut session = department.session(LAKE).await;
            assert_eq!(
                value(&mut session, "SELECT sum(id) FROM d.t").await,
                "6",
                "the cluster answers without an operator"
            );
        })
        .await;
    nothing_hangs(scenario, department).await;
    scenario
        .and("the operator is there for whoever removes the department", async || {
            department.cluster.install_operator().await;
        })
        .await;
}

async fn in_a_window(scenario: &Scenario, department: &Department) {
    scenario
        .given("a window that is open, with three nodes and two rows", async || {
            department.apply(json!({})).await;
            department.lake(LAKE, json!({})).await;
            let since = (Utc::now() - TimeDelta::minutes(2))
                .format("%Y-%m-%dT%H:%M")
                .to_string();
            let window = json!({"name": "now", "at": since, "duration": "2h", "timeZone": "Etc/UTC", "minReplicas": 3});
            let spec = json!({
                "replicas": 1, "warehouse": "default_warehouse", "schedules": [window], "autoscaling": {"maxReplicas": 4},
                "drain": {"timeout": DRAIN_TIMEOUT},
            });
            department.group(GROUP, LAKE, spec).await;
            department.serves(GROUP, 3).await;
            two_rows(&mut department.session(LAKE).await).await;
        })
        .await;
    uninstall(scenario, department).await;
    is_left_with(scenario, department, 1).await;
}

/// Three nodes are there, two of them are to go and cannot, since a statement runs there; then the operator dies before anybody
/// uninstalls it.
async fn in_a_drain_with_the_operator_down(scenario: &Scenario, department: &Department) {
    let spec = |replicas: u32| json!({"replicas": replicas, "warehouse": "default_warehouse", "drain": {"timeout": DRAIN_TIMEOUT}});
    let query = scenario
        .given(
            "an operator again, three nodes and a statement that takes a while",
            async || {
                department.cluster.install_operator().await;
                department.group(GROUP, LAKE, spec(3)).await;
                department.serves(GROUP, 3).await;
                long_statement(department).await
            },
        )
        .await;
    let mut session = department.session(LAKE).await;
    let statement = tokio::spawn(async move { value(&mut session, &query).await });
    let mut session = department.session(LAKE).await;
    scenario
        .then("all nodes run a part of the statement", EFFECT_LIMIT, async || {
            assert!(!statement.is_finished(), "the statement ended before nodes were to go");
            let nodes = nodes(&mut session, GROUP).await;
            if nodes.len() == 3 && nodes.iter().all(|node| node.running > 0) {
                Ok(())
            } else {
                Err(format!("{nodes:?}"))
            }
        })
        .await;
    scenario
        .when("two nodes are wanted no more", async || {
            department.group(GROUP, LAKE, spec(1)).await;
        })
        .await;
    scenario
        .then("they drain and wait for the statement", EFFECT_LIMIT, async || {
            assert!(
                !statement.is_finished(),
                "the statement ended before a node waited for it"
            );
            let status = department.status(GROUP).await;
            let held = status.draining.iter().filter(|node| {
                let waiting_for = node.waiting_for.as_deref().unwrap_or_default();
                node.phase == DrainPhase::Draining && waiting_for.contains("statement of connection")
            });
            if held.count() == 2 {
                Ok(())
            } else {
                Err(format!("{:?}", status.draining))
            }
        })
        .await;
    scenario
        .when("the operator is stopped, and the last node drains, too", async || {
            department.cluster.stop_operator().await;
            // Nobody takes this order back, and no node is left that does not drain.
            let staying = nodes(&mut session, GROUP).await;
            let staying = staying.iter().find(|node| node.pod == format!("{GROUP}-cn-0"));
            let staying = &staying.expect("the first node is known").id;
            execute(
                &mut session,
                &[format!("ALTER SYSTEM DRAIN COMPUTE NODE {staying}").as_str()],
            )
            .await;
            assert!(
                !statement.is_finished(),
                "the statement ended before the operator was uninstalled"
            );
        })
        .await;
    uninstall(scenario, department).await;
    is_left_with(scenario, department, 1).await;
    // The nodes that went were held by their hooks alone.
    scenario
        .and("the statement has its right answer, and ran once", async || {
            assert_eq!(statement.await.expect("the statement"), (COPIES * ROWS).to_string());
            let again = department.second_runs(LAKE, None).await;
            assert!(again.is_empty(), "a node went before it had ended its part: {again:?}");
        })
        .await;
    scenario
        .when("a row is written: it waits until the order has lapsed", async || {
            execute(&mut session, &["INSERT INTO d.t VALUES (3)"]).await;
        })
        .await;
}

/// A query that counts all rows of its table, and has to work for each of them.
async fn long_statement(department: &Department) -> String {
    let mut session = department.session(LAKE).await;
    table(&mut session, "it_uninstall", "default_warehouse").await;
    let hash = long_work(&mut session, "it_uninstall").await.hash;
    // More rows, and not more work for each: a node holds many of them at a time.
    let more = format!(
        "INSERT INTO it_uninstall.numbers SELECT a.id + (b.d + 1) * {ROWS}
         FROM it_uninstall.numbers a, it_uninstall.digits b WHERE b.d < {}",
        COPIES - 1
    );
    execute(&mut session, &[more.as_str()]).await;
    format!("SELECT count(*) FROM it_uninstall.numbers WHERE {hash} < 'g'")
}

/// As people do it; then nothing of the operator is left but the kinds of its API.
async fn uninstall(scenario: &Scenario, department: &Department) {
    let Cluster { target, client, .. } = &department.cluster;
    scenario
        .when("the operator is uninstalled", async || {
            target
                .helm(UNINSTALL_LIMIT)
                .args(["uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait"])
                .output()
                .await
                .expect("helm uninstalls the operator");
        })
        .await;
    scenario
        .and("nothing of it is left", async || {
            let left = [
                of_release(Api::<Deployment>::namespaced(client.clone(), OPERATOR_NAMESPACE)).await,
                of_release(Api::<ServiceAccount>::namespaced(client.clone(), OPERATOR_NAMESPACE)).await,
                of_release(Api::<Job>::namespaced(client.clone(), OPERATOR_NAMESPACE)).await,
                of_release(Api::<Pod>::namespaced(client.clone(), OPERATOR_NAMESPACE)).await,
                of_release(Api::<ClusterRole>::all(client.clone())).await,
                of_release(Api::<ClusterRoleBinding>::all(client.clone())).await,
            ];
            assert!(left.iter().all(Vec::is_empty), "left behind: {left:?}");
            // No chart made the Lease.
            let leases: Api<Lease> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
            let leases = leases.list(&ListParams::default()).await.expect("list").items;
            assert!(leases.is_empty(), "left behind: {leases:?}");
        })
        .await;
}

/// Kind and name of what the chart made.
async fn of_release<K>(api: Api<K>) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    listed(
        api,
        &ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}")),
    )
    .await
}

/// Kind and name of what is in the department's namespace.
async fn of_department<K>(department: &Department) -> Vec<String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(department.cluster.client.clone(), &department.name);
    listed(api, &ListParams::default()).await
}

async fn listed<K>(api: Api<K>, what: &ListParams) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let found = api.list(what).await.expect("list").items;
    found
        .iter()
        .map(|object| format!("{} {}", K::kind(&()), object.name_any()))
        .collect()
}

/// The size that is written, no finalizer, and no autoscaler that scales nothing.
async fn is_left_with(scenario: &Scenario, department: &Department, replicas: i32) {
    scenario
        .and(
            "the size that is written is left, and nothing that waits for an operator",
            async || {
                let sets: Api<StatefulSet> = Api::namespaced(department.cluster.client.clone(), &department.name);
                let set = sets.get(&format!("{GROUP}-cn")).await.expect("the StatefulSet stays");
                assert_eq!(set.spec.and_then(|spec| spec.replicas), Some(replicas));
                let group = department.groups().get(GROUP).await.expect("the group stays");
                let lake = department.lakes().get(LAKE).await.expect("the cluster stays");
                assert_eq!(
                    (group.finalizers(), lake.finalizers()),
                    (&[] as &[String], &[] as &[String])
                );
                let autoscalers = of_department::<HorizontalPodAutoscaler>(department).await;
                assert!(autoscalers.is_empty(), "nobody follows them: {autoscalers:?}");
            },
        )
        .await;
    scenario
        .then("as many pods are there", EFFECT_LIMIT, async || {
            let pods = department.pods_of_group(GROUP).await;
            if pods.len() == usize::try_from(replicas).unwrap_or_default() {
                Ok(())
            } else {
                Err(format!("{:?}", names(&pods)))
            }
        })
        .await;
}

/// Without an operator, what is deleted goes, and takes with it what is its own. The last nodes wait for a
/// frontend that has gone, at most `drain.timeout`.
async fn nothing_hangs(scenario: &Scenario, department: &Department) {
    scenario
        .when("group and cluster are deleted", async || {
            let delete = DeleteParams::default();
            let group = department.groups().delete(GROUP, &delete).await;
            group.expect("delete the group");
            let lake = department.lakes().delete(LAKE, &delete).await;
            lake.expect("delete the cluster");
        })
        .await;
    scenario
        .then("all of it is gone", EFFECT_LIMIT, async || {
            let left = [
                of_department::<ComputeGroup>(department).await,
                of_department::<LakeCluster>(department).await,
                of_department::<StatefulSet>(department).await,
                of_department::<Pod>(department).await,
                of_department::<Service>(department).await,
                of_department::<PodDisruptionBudget>(department).await,
                of_department::<HorizontalPodAutoscaler>(department).await,
                // Kubernetes puts one of its own into each namespace.
                of_department::<ConfigMap>(department)
                    .await
                    .into_iter()
                    .filter(|name| name != "ConfigMap kube-root-ca.crt")
                    .collect(),
            ];
            let left = left.concat();
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await;
    // The scenarios' clusters ask for that: `deletionPolicy: Delete`.
    scenario
        .then("its volume is gone", EFFECT_LIMIT, async || {
            let claims = of_department::<PersistentVolumeClaim>(department).await;
            if claims.is_empty() {
                Ok(())
            } else {
                Err(claims.join(", "))
            }
        })
        .await;
}
