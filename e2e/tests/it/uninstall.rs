//! `helm uninstall` at a bad moment. It takes the operator from everybody, so `e2e/test` runs this after all others, and alone.

use std::{fmt::Debug, panic::AssertUnwindSafe, time::Duration};

use chrono::{TimeDelta, Utc};
use futures::FutureExt;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{PersistentVolumeClaim, Pod, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use springtide_e2e::{
    departments::{self, OPERATOR_NAMESPACE},
    timeline::Progress,
};

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, eventually, execute, nodes, value, with_department},
    harness::{Cluster, cluster},
};

const GROUP: &str = "crew";
/// Of the chart and of what it installs for the whole cluster.
const RELEASE: &str = "springtide";
/// `helm uninstall --wait` with its Job.
const UNINSTALL_LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_uninstalled_in_a_window_or_a_drain_leaves_the_size_that_is_written_and_nothing_that_hangs()
{
    let outcome = AssertUnwindSafe(with_department("uninstall", scenario))
        .catch_unwind()
        .await;
    if let Err(panic) = outcome {
        let Cluster { places, target, .. } = cluster().await;
        install(&target, &places).await;
        std::panic::resume_unwind(panic);
    }
}

async fn scenario(department: &Department) {
    department.apply(json!({})).await;
    department.lake(LAKE, json!({})).await;
    in_a_window(department).await;
    in_a_drain_with_the_operator_down(department).await;
    let mut session = department.session(LAKE).await;
    assert_eq!(
        value(&mut session, "SELECT sum(id) FROM d.t").await,
        "6",
        "the cluster answers without an operator"
    );
    nothing_hangs(department).await;
    // Whoever removes the department needs it.
    let Cluster { places, target, .. } = &department.cluster;
    install(target, places).await;
}

async fn in_a_window(department: &Department) {
    let since = (Utc::now() - TimeDelta::minutes(2))
        .format("%Y-%m-%dT%H:%M")
        .to_string();
    let window = json!({"name": "now", "at": since, "duration": "2h", "timeZone": "Etc/UTC", "minReplicas": 3});
    let spec = json!({"replicas": 1, "warehouse": "default_warehouse", "schedules": [window], "autoscaling": {"maxReplicas": 4}});
    department.group(GROUP, LAKE, spec).await;
    department.serves(GROUP, 3).await;
    let mut session = department.session(LAKE).await;
    execute(
        &mut session,
        &[
            "CREATE DATABASE d",
            "CREATE TABLE d.t (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
            "INSERT INTO d.t VALUES (1), (2)",
        ],
    )
    .await;
    uninstall(department).await;
    is_left_with(department, 1).await;
}

/// Three nodes are there, two of them are to go and cannot, and then the operator dies before anybody uninstalls it.
async fn in_a_drain_with_the_operator_down(department: &Department) {
    let Cluster {
        places, target, client, ..
    } = &department.cluster;
    install(target, places).await;
    let spec = json!({"replicas": 3, "warehouse": "default_warehouse", "drain": {"timeout": "30s"}});
    department.group(GROUP, LAKE, spec.clone()).await;
    department.serves(GROUP, 3).await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let mut shrunk = spec;
    shrunk["replicas"] = json!(1);
    department.group(GROUP, LAKE, shrunk).await;
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    deployments
        .patch_scale(RELEASE, &PatchParams::default(), &none)
        .await
        .expect("the operator is scaled to nothing");
    let pods: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    eventually("no operator is left", EFFECT_LIMIT, async || {
        let left = pods.list(&ListParams::default()).await.expect("list").items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
    })
    .await;
    // Nobody takes this order back, and no node is left that does not drain.
    let mut session = department.session(LAKE).await;
    let staying = nodes(&mut session, GROUP).await;
    let staying = staying.iter().find(|node| node.pod == format!("{GROUP}-cn-0"));
    let staying = &staying.expect("the first node is known").id;
    execute(
        &mut session,
        &[format!("ALTER SYSTEM DRAIN COMPUTE NODE {staying}").as_str()],
    )
    .await;
    uninstall(department).await;
    is_left_with(department, 1).await;
    // As a statement waits for compute, this is answered once the order has lapsed.
    execute(&mut session, &["INSERT INTO d.t VALUES (3)"]).await;
}

async fn install(target: &springtide_e2e::target::Target, places: &springtide_e2e::places::Places) {
    departments::install_operator(target, places, &Progress::default())
        .await
        .expect("helm installs the operator");
}

/// As people do it; then nothing of the operator is left but the kinds of its API.
async fn uninstall(department: &Department) {
    let Cluster { target, client, .. } = &department.cluster;
    target
        .helm(UNINSTALL_LIMIT)
        .args(["uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait"])
        .output()
        .await
        .expect("helm uninstalls the operator");
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
}

/// Kind and name of what the chart made.
async fn of_release<K>(api: Api<K>) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let labelled = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    let found = api.list(&labelled).await.expect("list").items;
    found
        .iter()
        .map(|object| format!("{} {}", K::kind(&()), object.name_any()))
        .collect()
}

/// The size that is written, and no finalizer.
async fn is_left_with(department: &Department, replicas: i32) {
    let sets: Api<StatefulSet> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let set = sets.get(&format!("{GROUP}-cn")).await.expect("the StatefulSet stays");
    assert_eq!(set.spec.and_then(|spec| spec.replicas), Some(replicas));
    let group = department.groups().get(GROUP).await.expect("the group stays");
    let lake = department.lakes().get(LAKE).await.expect("the cluster stays");
    assert_eq!(
        (group.finalizers(), lake.finalizers()),
        (&[] as &[String], &[] as &[String])
    );
    let of_group = ListParams::default().labels(&format!("springtide.dev/compute-group={GROUP}"));
    eventually("as many pods as are written", EFFECT_LIMIT, async || {
        let pods = department.pods().list(&of_group).await.expect("list").items;
        if pods.len() == usize::try_from(replicas).unwrap_or_default() {
            Ok(())
        } else {
            Err(format!("{:?}", crate::department::names(&pods)))
        }
    })
    .await;
}

/// Without an operator, what is deleted goes, and takes with it what is its own. The last nodes wait for a
/// frontend that has gone, at most `drain.timeout`.
async fn nothing_hangs(department: &Department) {
    let delete = DeleteParams::default();
    department
        .groups()
        .delete(GROUP, &delete)
        .await
        .expect("delete the group");
    department
        .lakes()
        .delete(LAKE, &delete)
        .await
        .expect("delete the cluster");
    let client = &department.cluster.client;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &department.name);
    eventually("all of it is gone", EFFECT_LIMIT, async || {
        let all = ListParams::default();
        let groups = department.groups().list(&all).await.expect("list").items.len();
        let lakes = department.lakes().list(&all).await.expect("list").items.len();
        let sets = sets.list(&all).await.expect("list").items.len();
        let pods = department.pods().list(&all).await.expect("list").items.len();
        if (groups, lakes, sets, pods) == (0, 0, 0, 0) {
            Ok(())
        } else {
            Err(format!(
                "groups, clusters, StatefulSets, pods: {:?}",
                (groups, lakes, sets, pods)
            ))
        }
    })
    .await;
    // The scenarios' clusters ask for that: `deletionPolicy: Delete`.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &department.name);
    eventually("its volume is gone", EFFECT_LIMIT, async || {
        let claims = claims.list(&ListParams::default()).await.expect("list");
        match claims.iter().map(ResourceExt::name_any).next() {
            None => Ok(()),
            Some(claim) => Err(claim),
        }
    })
    .await;
}
