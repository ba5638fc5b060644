//! Nodes that leave in the middle of work, by the way that every pod goes: the `preStop` hook on the engine's container.

use std::{collections::BTreeMap, time::Duration};

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams, LogParams, Patch},
};
use serde_json::json;
use springtide_e2e::process::run;

use crate::scenario::Scenario;
use crate::{
    department::{
        Department, EFFECT_LIMIT, FIELD_MANAGER, LAKE, Node, eventually, execute, manager, names, nodes, shared, value,
    },
    long_query::{long_work, table},
};

const GROUP: &str = "leavers";
const DATABASE: &str = "it_drain";
/// Between two small statements while nodes are replaced.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_finishes_its_statement_and_a_roll_fails_none_and_forgets_none() {
    let scenario = Scenario::begin("a node that goes finishes its statement, and a roll fails none").may_take(Duration::from_secs(150), "three pods go, one at a statement of seconds, and each node of a roll serves for ten seconds before the next one goes");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            let spec = json!({"replicas": 2, "drain": {"timeout": "90s"}});
            department.group(GROUP, LAKE, spec).await;
            department.serves(GROUP, 2).await;
            let mut session = department.session(LAKE).await;
            table(&mut session, DATABASE, GROUP).await;
            let known = nodes(&mut session, GROUP).await;
            deleted_in_the_middle_of_a_statement(&department).await;
            department.serves(GROUP, 2).await;
            assert_eq!(
                ids(&nodes(&mut session, GROUP).await),
                ids(&known),
                "no node was dropped"
            );
            replaced_under_load(&department).await;
            assert_eq!(
                ids(&nodes(&mut session, GROUP).await),
                ids(&known),
                "no node was dropped"
            );
            no_hook_failed(&department).await;
        })
        .await;
}

pub(crate) fn ids(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_str()).collect()
}

/// `kubectl springtide drain --dry-run` names what the nodes would wait for, and lets none of them go.
async fn told_by_the_plugin(department: &Department) {
    let plugin = department.cluster.places.programs().join("kubectl-springtide");
    let told = run(plugin, EFFECT_LIMIT)
        .args([
            "drain",
            GROUP,
            "--replicas",
            "0",
            "--dry-run",
            "--namespace",
            &department.name,
        ])
        .output()
        .await
        .expect("the plugin asks the frontend");
    assert!(
        told.contains("2 nodes of leavers would go")
            && told.contains("would wait for")
            && told.contains("statement of connection"),
        "{told}"
    );
    told_to_an_sql_account(department).await;
}

/// A department's admin reads no Secret and forwards no port: an account that may log in is enough, where clients do.
async fn told_to_an_sql_account(department: &Department) {
    let mut session = department.session(LAKE).await;
    let password = "Looks-1-only";
    execute(
        &mut session,
        &[
            "DROP USER IF EXISTS onlooker",
            format!("CREATE USER onlooker IDENTIFIED BY '{password}'").as_str(),
        ],
    )
    .await;
    let frontend = department.pods().get("lake-fe-0").await.expect("get");
    let address = frontend.status.and_then(|status| status.pod_ip).expect("an address");
    let plugin = department.cluster.places.programs().join("kubectl-springtide");
    let server = format!("{address}:9030");
    let told = run(plugin, EFFECT_LIMIT)
        .args([
            "drain",
            GROUP,
            "--replicas",
            "1",
            "--dry-run",
            "--namespace",
            &department.name,
        ])
        .args(["--user", "onlooker", "--server", &server])
        .env("SPRINGTIDE_PASSWORD", password)
        .output()
        .await
        .expect("the plugin asks where clients do");
    assert!(told.contains("1 node of leavers would go, 1 would stay"), "{told}");
}

/// The pod is deleted while a query runs on it: its hook is answered only after the query has ended, with the right answer.
async fn deleted_in_the_middle_of_a_statement(department: &Department) {
    let mut session = department.session(LAKE).await;
    execute(&mut session, &[format!("SET warehouse = '{GROUP}'").as_str()]).await;
    let hash = long_work(&mut session, DATABASE).await;
    let query = format!("SELECT count(*) FROM {DATABASE}.numbers WHERE {hash} < '8'");
    let expected = value(&mut session, &query).await;
    let running = tokio::spawn(async move { value(&mut session, &query).await });
    let mut watcher = department.session(LAKE).await;
    let leaver = eventually("a node runs a part of the query", EFFECT_LIMIT, async || {
        assert!(!running.is_finished(), "the query ended before a node could be deleted");
        let nodes = nodes(&mut watcher, GROUP).await;
        let busy = nodes.iter().find(|node| node.running > 0).cloned();
        busy.ok_or(format!("{nodes:?}"))
    })
    .await;
    told_by_the_plugin(department).await;
    let sidecar = tokio::spawn(follow(department, &leaver.pod));
    let uid = department.pods().get(&leaver.pod).await.expect("get").metadata.uid;
    department
        .pods()
        .delete(&leaver.pod, &DeleteParams::default())
        .await
        .expect("delete");
    assert!(!running.is_finished(), "the query ended before the node was deleted");
    assert_eq!(running.await.expect("the query"), expected);
    let there = department.pods().get_opt(&leaver.pod).await.expect("get");
    let stopping = there.is_none_or(|pod| pod.metadata.uid != uid || pod.metadata.deletion_timestamp.is_some());
    assert!(stopping, "the pod was told to stop before the query ended");
    let log = sidecar.await.expect("the sidecar's log");
    let ended: Vec<&String> = log.iter().filter(|line| line.contains("drain ended")).collect();
    assert_eq!(ended.len(), 1, "{log:#?}");
    assert!(
        ended[0].contains("idle"),
        "the hook was answered because the node was idle: {}",
        ended[0]
    );
    assert!(!ended[0].contains("deadline"), "{}", ended[0]);
    let frontend = department
        .pods()
        .logs(
            "lake-fe-0",
            &LogParams {
                since_seconds: Some(120),
                ..LogParams::default()
            },
        )
        .await
        .expect("its log");
    let repeated = |line: &str| line.contains("running the query once more") && line.contains(&leaver.pod);
    assert!(
        !frontend.lines().any(repeated),
        "the query had to run once more: the hook held nothing"
    );
}

/// Lines of the drain sidecar, until it ends.
pub(crate) fn follow(department: &Department, pod: &str) -> impl Future<Output = Vec<String>> + use<> {
    let (pods, pod) = (department.pods(), pod.to_owned());
    async move {
        let wanted = LogParams {
            container: Some("drain".to_owned()),
            follow: true,
            ..LogParams::default()
        };
        let lines = pods.log_stream(&pod, &wanted).await.expect("a log").lines();
        // The stream may break off with the container; what came is what there is.
        let mut lines = std::pin::pin!(lines);
        let mut seen = Vec::new();
        while let Ok(Some(line)) = lines.try_next().await {
            seen.push(line);
        }
        seen
    }
}

/// A new label replaces all pods of the group, one after the other; small statements go on meanwhile.
async fn replaced_under_load(department: &Department) {
    let before = uids(department, GROUP).await;
    let labels = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": GROUP},
        "spec": {
            "cluster": LAKE, "replicas": 2, "cacheSize": "1Gi", "drain": {"timeout": "90s"}, "labels": {"it": "rolled"},
        },
    });
    department
        .groups()
        .patch(GROUP, &manager(), &Patch::Apply(&labels))
        .await
        .unwrap_or_else(|error| panic!("{FIELD_MANAGER} changes the group: {error}"));
    let mut session = department.session(LAKE).await;
    execute(
        &mut session,
        &[
            format!("SET warehouse = '{GROUP}'").as_str(),
            format!("CREATE TABLE {DATABASE}.ledger (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2")
                .as_str(),
        ],
    )
    .await;
    let mut inserted = 0_u32;
    eventually("all pods are new and serve", EFFECT_LIMIT, async || {
        // A failed statement ends the scenario.
        inserted += 1;
        execute(
            &mut session,
            &[format!("INSERT INTO {DATABASE}.ledger VALUES ({inserted})").as_str()],
        )
        .await;
        let count = value(&mut session, &format!("SELECT count(*) FROM {DATABASE}.ledger")).await;
        assert_eq!(count, inserted.to_string());
        tokio::time::sleep(PAUSE).await;
        let now = uids(department, GROUP).await;
        let replaced = now.len() == 2 && now.iter().all(|(pod, uid)| before.get(pod) != Some(uid));
        let status = department.status(GROUP).await;
        if replaced && status.serving_replicas == 2 {
            Ok(())
        } else {
            Err(format!(
                "{now:?}, {} serve, {inserted} inserted",
                status.serving_replicas
            ))
        }
    })
    .await;
    assert!(inserted > 5, "{inserted} statements while nodes were replaced");
}

/// The pods of a group, by name.
pub(crate) async fn uids(department: &Department, group: &str) -> BTreeMap<String, String> {
    let pods = ListParams::default().labels(&format!("springtide.dev/compute-group={group}"));
    let pods = department.pods().list(&pods).await.expect("list").items;
    let uids = pods.iter().filter_map(|pod| pod.metadata.uid.clone());
    names(&pods).into_iter().zip(uids).collect()
}

/// The kubelet says so when a hook cannot be called; it stops the container all the same.
async fn no_hook_failed(department: &Department) {
    let events: Api<Event> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let failed = events
        .list(&ListParams::default().fields("reason=FailedPreStopHook"))
        .await
        .expect("list");
    let of_group = failed.items.into_iter().filter(|event| {
        let pod = event.involved_object.name.as_deref().unwrap_or_default();
        pod.starts_with(GROUP)
    });
    let messages: Vec<String> = of_group.filter_map(|event| event.message).collect();
    assert!(messages.is_empty(), "{messages:?}");
}
