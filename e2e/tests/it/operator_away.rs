//! Nodes that go while no operator is there: each pod has its hook, and needs nobody else. It takes the operator from everybody, so
//! `e2e/test` runs this after the scenarios that share it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Node as KubernetesNode, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_e2e::{sql::Session, sql_client::Kind, target::KUBECTL_LIMIT};

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, Node, ids, names, nodes, two_rows, value, with_department},
    harness::alone,
    scenario::Scenario,
    trial::under_load,
};

const GROUP: &str = "crew";
/// Nodes under load.
const NODES: i32 = 3;
/// From a pod that is told to go until its successor serves: clients keep the machine busy, and their statements are waited for. A
/// roll takes it for each node.
const BACK_LIMIT: Duration = Duration::from_secs(240);
/// Far below what clients send in the minutes that this takes.
const FEWEST_STATEMENTS: u64 = 200;

/// `drain.timeout` of the node whose frontend is gone.
const HELD: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_away_changes_nothing_for_nodes_that_are_evicted_deleted_emptied_and_rolled_under_load() {
    let scenario = Scenario::begin("nodes go under load while no operator is there").may_take(
        Duration::from_secs(360),
        "the operator goes and comes, and all nodes go by four ways, one after the other, each until its statements have ended",
    );
    let _alone = alone().await;
    with_department(&scenario, "away", async |department| {
        scenario
            .given("a cluster of three nodes", async || {
                let quota = json!({"cpu": "8", "memory": "32Gi", "storage": "50Gi", "pods": 60});
                department
                    .apply(json!({"namespaces": [{"name": department.name, "quota": quota}]}))
                    .await;
                department.lake(LAKE, json!({})).await;
                let spec = json!({"replicas": NODES, "drain": {"timeout": "3m"}});
                department.group(GROUP, LAKE, spec).await;
                department.serves(GROUP, NODES).await;
            })
            .await;
        let happens = all_nodes_go(&scenario, department);
        let outcome = under_load(&scenario, department, GROUP, FEWEST_STATEMENTS, happens).await;
        scenario
            .and("the size was as it is, and every client took part", async || {
                assert_eq!(outcome.scale_ins, 0, "nobody changed the size: {outcome}");
                for client in Kind::ALL {
                    let sent = outcome.by_client.get(&client).copied().unwrap_or_default();
                    assert!(sent.statements > 0, "{} sent nothing: {outcome}", client.name());
                }
            })
            .await;
    })
    .await;
}

/// One after the other, by an eviction, by a deletion, by emptying a node of Kubernetes and by a roll; then the operator is back, and has
/// nothing to do.
async fn all_nodes_go(scenario: &Scenario, department: &Department) {
    let mut session = department.session(LAKE).await;
    let known = nodes(&mut session, GROUP).await;
    assert_eq!(known.len(), usize::try_from(NODES).expect("a few"), "{known:?}");
    let without_operator = department.cluster.without_operator(async || {
        let before = department.uids_of_group(GROUP).await;
        let evicted = at_work(scenario, &mut session).await;
        evict(scenario, department, &evicted).await;
        are_back(scenario, department, &mut session, &known, &before, &[evicted.as_str()]).await;

        let before = department.uids_of_group(GROUP).await;
        let deleted = at_work(scenario, &mut session).await;
        scenario
            .when("its pod is deleted", async || {
                let gone = department.pods().delete(&deleted, &DeleteParams::default()).await;
                gone.expect("delete");
            })
            .await;
        are_back(scenario, department, &mut session, &known, &before, &[deleted.as_str()]).await;

        assert!(
            kubernetes_nodes(department).await > 1,
            "kubectl drain leaves pods no place on a Kubernetes of one node: give it two (NODES=2)"
        );
        let before = department.uids_of_group(GROUP).await;
        at_work(scenario, &mut session).await;
        let emptied = scenario
            .when("a node of Kubernetes is emptied", async || {
                empty_a_node(department).await
            })
            .await;
        let emptied: Vec<&str> = emptied.iter().map(String::as_str).collect();
        assert!(!emptied.is_empty(), "no pod of the group ran there");
        are_back(scenario, department, &mut session, &known, &before, &emptied).await;

        let before = department.uids_of_group(GROUP).await;
        at_work(scenario, &mut session).await;
        scenario
            .when("the StatefulSet is restarted", async || roll(department).await)
            .await;
        let all: Vec<&str> = known.iter().map(|node| node.pod.as_str()).collect();
        are_back(scenario, department, &mut session, &known, &before, &all).await;
    });
    without_operator.await;
    // What the status says may be from before: that it is about this spec, only an operator can have said that is back.
    scenario
        .when("the operator is back, and the spec is another", async || {
            let spec = json!({"replicas": NODES, "drain": {"timeout": "3m", "onTimeout": "Wait"}});
            department.group(GROUP, LAKE, spec).await;
        })
        .await;
    scenario
        .then("all nodes serve", EFFECT_LIMIT, async || {
            department.serving(GROUP, NODES).await
        })
        .await;
    scenario
        .and("the frontend knows the same nodes", async || {
            assert_eq!(
                ids(&nodes(&mut session, GROUP).await),
                ids(&known),
                "no node was dropped"
            );
        })
        .await;
}

/// The pod of a node that runs a part of a query at present.
async fn at_work(scenario: &Scenario, session: &mut Session) -> String {
    scenario
        .then("a node is at work", EFFECT_LIMIT, async || {
            let nodes = nodes(session, GROUP).await;
            let busy = nodes.iter().find(|node| node.running > 0);
            busy.map(|node| node.pod.clone()).ok_or(format!("{nodes:?}"))
        })
        .await
}

/// By the Eviction API. The disruption budget may refuse it as long as Kubernetes has not seen that all pods are ready.
async fn evict(scenario: &Scenario, department: &Department, pod: &str) {
    scenario
        .then(
            "the eviction of its pod is accepted",
            EFFECT_LIMIT,
            async || match department.pods().evict(pod, &EvictParams::default()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 429 => Err(status.message),
                Err(error) => panic!("evict {pod}: {error}"),
            },
        )
        .await;
}

async fn kubernetes_nodes(department: &Department) -> usize {
    let nodes: Api<KubernetesNode> = Api::all(department.cluster.client.clone());
    nodes.list(&ListParams::default()).await.expect("list").items.len()
}

/// By `kubectl drain` of a node of Kubernetes, where there is another one: the group's pods that ran there. The budget lets them go one by
/// one.
async fn empty_a_node(department: &Department) -> Vec<String> {
    let of_group = format!("springtide.dev/compute-group={GROUP}");
    let pods = department.pods_of_group(GROUP).await;
    let node_of = |pod: &Pod| {
        pod.spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .expect("a node")
    };
    let node = node_of(pods.first().expect("a pod"));
    let there = pods.iter().filter(|pod| node_of(pod) == node);
    let there: Vec<String> = there.map(ResourceExt::name_any).collect();
    let limit = BACK_LIMIT * u32::try_from(there.len()).expect("a few");
    let kubectl = |limit| department.cluster.target.kubectl(limit);
    let seconds = format!("{}s", limit.as_secs());
    let drained = kubectl(limit + KUBECTL_LIMIT)
        .args(["drain", &node, "--ignore-daemonsets", "--delete-emptydir-data"])
        .args(["--pod-selector", &of_group, "--timeout", &seconds])
        .output()
        .await;
    // Whatever became of it: other scenarios need the node.
    let uncordoned = kubectl(KUBECTL_LIMIT).args(["uncordon", &node]).output().await;
    drained.expect("kubectl drain");
    uncordoned.expect("kubectl uncordon");
    there
}

async fn roll(department: &Department) {
    department
        .cluster
        .target
        .kubectl(KUBECTL_LIMIT)
        .args(["--namespace", &department.name, "rollout", "restart"])
        .arg(format!("statefulset/{GROUP}-cn"))
        .output()
        .await
        .expect("kubectl rollout restart");
}

/// Waits until the pods that went have ready successors and all nodes are alive; the frontend knows the same ones throughout.
async fn are_back(
    scenario: &Scenario,
    department: &Department,
    session: &mut Session,
    known: &[Node],
    before: &BTreeMap<String, String>,
    gone: &[&str],
) {
    let limit = BACK_LIMIT * u32::try_from(gone.len()).expect("a few");
    scenario
        .then(&format!("{} are back", gone.join(", ")), limit, async || {
            let now = nodes(session, GROUP).await;
            assert_eq!(ids(&now), ids(known), "a node was dropped, or added");
            let pods = department.pods_of_group(GROUP).await;
            let is_new = |name: &&str| {
                let pod = pods.iter().find(|pod| pod.name_any() == **name);
                pod.is_some_and(|pod| before.get(*name) != pod.metadata.uid.as_ref() && is_ready(pod))
            };
            if gone.iter().all(is_new) && now.iter().all(|node| node.alive) {
                return Ok(());
            }
            let not_ready: Vec<String> = pods
                .iter()
                .filter(|pod| !is_ready(pod))
                .map(ResourceExt::name_any)
                .collect();
            Err(format!("not ready: {not_ready:?}; {now:?}"))
        })
        .await;
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_is_gone_holds_the_hook_until_its_deadline_and_no_longer() {
    let scenario = Scenario::begin("a frontend that is gone holds the hook until its deadline").may_take(
        Duration::from_secs(150),
        "the operator goes and comes, a frontend starts twice, and the deadline is of twenty seconds",
    );
    let _alone = alone().await;
    with_department(&scenario, "mute", async |department| {
        let known = scenario
            .given("a cluster of one node with two rows", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                department.group(GROUP, LAKE, held("Force")).await;
                department.serves(GROUP, 1).await;
                let mut session = department.session(LAKE).await;
                two_rows(&mut session).await;
                nodes(&mut session, GROUP).await
            })
            .await;
        // An operator would bring the frontend back.
        let without_operator = department.cluster.without_operator(async || {
            let frontends = scale_frontends(&scenario, department, 0).await;
            deleted_without_a_frontend(&scenario, department, &known[0].pod).await;
            scale_frontends(&scenario, department, frontends).await;
        });
        without_operator.await;
        // A new spec, so that what is waited for was said by an operator that is back.
        scenario
            .when("the operator is back, and the spec is another", async || {
                department.group(GROUP, LAKE, held("Wait")).await;
            })
            .await;
        scenario
            .then("the node serves", EFFECT_LIMIT, async || {
                department.serving(GROUP, 1).await
            })
            .await;
        scenario
            .and("it is the same one, and the rows are there", async || {
                let mut session = department.session(LAKE).await;
                assert_eq!(ids(&nodes(&mut session, GROUP).await), ids(&known));
                assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
            })
            .await;
    })
    .await;
}

fn held(on_timeout: &str) -> Value {
    json!({
        "replicas": 1, "warehouse": "default_warehouse",
        "drain": {"timeout": format!("{}s", HELD.as_secs()), "onTimeout": on_timeout},
    })
}

/// Answers how many there were, once those that are too many have gone.
async fn scale_frontends(scenario: &Scenario, department: &Department, replicas: i32) -> i32 {
    let client = &department.cluster.client;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &department.name);
    let name = format!("{LAKE}-fe");
    let before = sets.get(&name).await.expect("get").spec;
    scenario
        .when(&format!("the frontends are scaled to {replicas}"), async || {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            sets.patch_scale(&name, &PatchParams::default(), &patch)
                .await
                .expect("scale the frontends");
        })
        .await;
    let wanted = usize::try_from(replicas).expect("a few");
    scenario
        .then("as many frontends are there", EFFECT_LIMIT, async || {
            let mut pods = names(&department.pods_of_lake(LAKE).await);
            pods.retain(|pod| pod.starts_with(&name));
            if pods.len() == wanted {
                Ok(())
            } else {
                Err(pods.join(", "))
            }
        })
        .await;
    before.and_then(|spec| spec.replicas).unwrap_or_default()
}

/// Nothing runs on the node, but it cannot know that nothing is on its way there: the frontend has to say so. So its hook waits, and
/// its pod has gone before the kubelet would have ended it by force.
async fn deleted_without_a_frontend(scenario: &Scenario, department: &Department, name: &str) {
    let pod = department.pods().get(name).await.expect("get");
    let grace_s = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let grace_s = grace_s.and_then(|seconds| u64::try_from(seconds).ok());
    let grace = Duration::from_secs(grace_s.expect("a grace period"));
    assert!(
        grace > HELD,
        "the grace period {grace:?} has room for the hook's {HELD:?}"
    );
    let sidecar = tokio::spawn(department.drain_log(name));
    let began = Instant::now();
    scenario
        .when("the node's pod is deleted", async || {
            let deleted = department.pods().delete(name, &DeleteParams::default()).await;
            deleted.expect("delete");
        })
        .await;
    let gone_after = scenario
        .then("it is gone within its grace period", grace, async || {
            let now = department.pods().get_opt(name).await.expect("get");
            match now.filter(|now| now.uid() == pod.uid()) {
                None => Ok(began.elapsed()),
                Some(pod) => Err(format!("{:?}", pod.status.and_then(|status| status.phase))),
            }
        })
        .await;
    scenario.measured("without a frontend a node is held for", gone_after);
    scenario
        .and("its hook has waited until its deadline", async || {
            assert!(
                gone_after >= HELD,
                "it went after {gone_after:?}, and its hook has to wait for {HELD:?}"
            );
            let log = tokio::time::timeout(EFFECT_LIMIT, sidecar).await;
            let log = log
                .expect("the log ends with its container")
                .expect("the sidecar's log");
            let ended: Vec<&String> = log.iter().filter(|line| line.contains("drain ended")).collect();
            assert_eq!(ended.len(), 1, "{log:#?}");
            assert!(ended[0].contains("deadline"), "{}", ended[0]);
        })
        .await;
}
