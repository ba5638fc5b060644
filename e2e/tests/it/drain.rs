//! Nodes that leave in the middle of work, by the way that every pod goes: the `preStop` hook on the engine's container.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use springtide_e2e::{process::run, sql::Session};

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, Node, execute, ids, nodes, shared, value},
    long_query::{LongQuery, long_work, table},
    scenario::Scenario,
};

const GROUP: &str = "leavers";
const DATABASE: &str = "it_drain";
/// How far back the frontend's log is looked through: earlier runs of this scenario are in it, too.
const LOG_S: i64 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_finishes_its_statement_and_a_roll_fails_none_and_forgets_none() {
    let scenario = Scenario::begin("a node that goes finishes its statement, and a roll fails none").may_take(
        Duration::from_secs(150),
        "three pods go, one at a statement of seconds, and each node of a roll serves for ten seconds before the next one goes",
    );
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            let mut session = department.session(LAKE).await;
            let long = scenario
                .given("two nodes, and a query that takes a while", async || {
                    department.group(GROUP, LAKE, spec(json!({}))).await;
                    department.serves(GROUP, 2).await;
                    table(&mut session, DATABASE, GROUP).await;
                    long_work(&mut session, DATABASE).await
                })
                .await;
            let known = nodes(&mut session, GROUP).await;
            deleted_in_the_middle_of_a_statement(&scenario, &department, &long).await;
            scenario
                .then("two nodes serve again", EFFECT_LIMIT, async || {
                    department.serving(GROUP, 2).await
                })
                .await;
            none_was_dropped(&scenario, &mut session, &known).await;
            replaced_under_load(&scenario, &department).await;
            none_was_dropped(&scenario, &mut session, &known).await;
            scenario
                .and("no hook has failed", async || no_hook_failed(&department).await)
                .await;
        })
        .await;
}

fn spec(labels: Value) -> Value {
    json!({"replicas": 2, "drain": {"timeout": "90s"}, "labels": labels})
}

async fn none_was_dropped(scenario: &Scenario, session: &mut Session, known: &[Node]) {
    scenario
        .and("the frontend knows the same nodes", async || {
            let now = nodes(session, GROUP).await;
            assert_eq!(ids(&now), ids(known), "no node was dropped");
        })
        .await;
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
async fn deleted_in_the_middle_of_a_statement(scenario: &Scenario, department: &Department, long: &LongQuery) {
    let mut session = department.session(LAKE).await;
    execute(&mut session, &[format!("SET warehouse = '{GROUP}'").as_str()]).await;
    let text = long.text.clone();
    let running = tokio::spawn(async move { value(&mut session, &text).await });
    let mut watcher = department.session(LAKE).await;
    let leaver = scenario
        .then("a node runs a part of the query", EFFECT_LIMIT, async || {
            assert!(!running.is_finished(), "the query ended before a node could be deleted");
            let nodes = nodes(&mut watcher, GROUP).await;
            let busy = nodes.iter().find(|node| node.running > 0).cloned();
            busy.ok_or(format!("{nodes:?}"))
        })
        .await;
    scenario
        .and("the plugin tells what nodes would wait for", async || {
            told_by_the_plugin(department).await;
        })
        .await;
    let sidecar = tokio::spawn(department.drain_log(&leaver.pod));
    let uid = department.pods().get(&leaver.pod).await.expect("get").metadata.uid;
    scenario
        .when("its pod is deleted", async || {
            let pods = department.pods();
            let deleted = pods.delete(&leaver.pod, &DeleteParams::default()).await;
            deleted.expect("delete");
            assert!(!running.is_finished(), "the query ended before the node was deleted");
        })
        .await;
    scenario
        .and("the query has its right answer", async || {
            assert_eq!(running.await.expect("the query"), long.answer);
            let there = department.pods().get_opt(&leaver.pod).await.expect("get");
            let stopping = there.is_none_or(|pod| pod.metadata.uid != uid || pod.metadata.deletion_timestamp.is_some());
            assert!(stopping, "the pod was told to stop before the query ended");
        })
        .await;
    scenario
        .and("the hook was answered because the node was idle", async || {
            let log = sidecar.await.expect("the sidecar's log");
            let ended: Vec<&String> = log.iter().filter(|line| line.contains("drain ended")).collect();
            assert_eq!(ended.len(), 1, "{log:#?}");
            assert!(
                ended[0].contains("idle"),
                "the hook was answered because the node was idle: {}",
                ended[0]
            );
            assert!(!ended[0].contains("deadline"), "{}", ended[0]);
        })
        .await;
    scenario
        .and("the query did not have to run once more", async || {
            let runs = department.second_runs(LAKE, Some(LOG_S)).await;
            let repeated = runs.iter().find(|line| line.contains(&leaver.pod));
            assert_eq!(repeated, None, "the hook held nothing");
        })
        .await;
}

/// A new label replaces all pods of the group, one after the other; small statements go on meanwhile.
async fn replaced_under_load(scenario: &Scenario, department: &Department) {
    let before = department.uids_of_group(GROUP).await;
    let mut session = department.session(LAKE).await;
    scenario
        .when("the group is given a label", async || {
            department.group(GROUP, LAKE, spec(json!({"it": "rolled"}))).await;
            execute(
                &mut session,
                &[
                    format!("SET warehouse = '{GROUP}'").as_str(),
                    format!(
                        "CREATE TABLE {DATABASE}.ledger (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2"
                    )
                    .as_str(),
                ],
            )
            .await;
        })
        .await;
    let mut inserted = 0_u32;
    scenario
        .then(
            "all pods are new and serve, and no statement has failed",
            EFFECT_LIMIT,
            async || {
                // A failed statement ends the scenario.
                inserted += 1;
                execute(
                    &mut session,
                    &[format!("INSERT INTO {DATABASE}.ledger VALUES ({inserted})").as_str()],
                )
                .await;
                let count = value(&mut session, &format!("SELECT count(*) FROM {DATABASE}.ledger")).await;
                assert_eq!(count, inserted.to_string());
                let now = department.uids_of_group(GROUP).await;
                let replaced = now.len() == 2 && now.iter().all(|(pod, uid)| before.get(pod) != Some(uid));
                let status = department.status(GROUP).await;
                if replaced && status.serving_replicas == 2 {
                    Ok(())
                } else {
                    Err(format!(
                        "{inserted} inserted, {} serve, {now:?}",
                        status.serving_replicas
                    ))
                }
            },
        )
        .await;
    assert!(inserted > 5, "{inserted} statements while nodes were replaced");
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
