//! Compute that comes because statements want it.

use std::time::{Duration, Instant};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, eventually, execute, shared, value},
    long_query::table,
};

const SLEEPER: &str = "sleeper";
const BURST: &str = "burst";
/// Another autoscaled group of the same cluster, by memory.
const BESIDE: &str = "beside";
/// Statements that arrive at once.
const AT_ONCE: usize = 64;
/// All of them share this machine's cores with other scenarios.
const BURST_LIMIT: Duration = Duration::from_secs(300);
/// Nodes that a burst may have.
const MOST: i32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_wakes_a_group_that_sleeps_and_nothing_else_does() {
    let department = shared().await;
    department
        .with_own(&[], &[SLEEPER], async || {
            department
                .group(
                    SLEEPER,
                    LAKE,
                    json!({"replicas": 1, "wakeOnQuery": true, "drain": {"timeout": "10m"}}),
                )
                .await;
            department.serves(SLEEPER, 1).await;
            let mut session = department.session(LAKE).await;
            table(&mut session, "it_wake", SLEEPER).await;
            department
                .group(
                    SLEEPER,
                    LAKE,
                    json!({"replicas": 0, "wakeOnQuery": true, "drain": {"timeout": "10m"}}),
                )
                .await;
            eventually("it sleeps", EFFECT_LIMIT, async || {
                let status = department
                    .groups()
                    .get(SLEEPER)
                    .await
                    .expect("get")
                    .status
                    .unwrap_or_default();
                let counts = (status.wanted_replicas, status.replicas, status.serving_replicas);
                if counts == (Some(0), 0, 0) {
                    Ok(())
                } else {
                    Err(format!("{counts:?}"))
                }
            })
            .await;
            for statement in ["SELECT 1", "SELECT count(*) FROM information_schema.tables"] {
                value(&mut session, statement).await;
            }
            execute(&mut session, &["USE it_wake"]).await;
            tokio::time::sleep(Duration::from_secs(6)).await;
            let asleep = department.groups().get(SLEEPER).await.expect("get");
            assert_eq!(asleep.spec.replicas, 0, "what needs no compute wakes nothing");

            let began = Instant::now();
            assert_eq!(value(&mut session, "SELECT sum(d) FROM it_wake.digits").await, "79800");
            println!(
                "a query woke a group and was answered in {:.1} s",
                began.elapsed().as_secs_f64()
            );
            let awake = department.groups().get(SLEEPER).await.expect("get");
            assert_eq!(awake.spec.replicas, 1);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_queries_brings_nodes_sooner_than_their_use_of_cpu_does() {
    let department = shared().await;
    department
        .with_own(&[], &[BURST, BESIDE], async || {
            let by_memory = json!({"minReplicas": 1, "maxReplicas": 2, "memory": 90});
            department
                .group(
                    BESIDE,
                    LAKE,
                    json!({"replicas": 1, "autoscaling": by_memory, "drain": {"timeout": "10m"}}),
                )
                .await;
            let autoscaling = json!({"minReplicas": 1, "maxReplicas": MOST, "cpu": 80});
            department
                .group(
                    BURST,
                    LAKE,
                    json!({"replicas": 1, "autoscaling": autoscaling, "drain": {"timeout": "10m"}}),
                )
                .await;
            department.serves(BURST, 1).await;
            let mut session = department.session(LAKE).await;
            table(&mut session, "it_burst", BURST).await;
            let query = "SELECT count(*) FROM it_burst.numbers WHERE md5(repeat(concat('x', id), 60)) < '8'";
            let expected = value(&mut session, query).await;
            let mut sessions = Vec::new();
            for _ in 0..AT_ONCE {
                let mut session = department.session(LAKE).await;
                execute(&mut session, &[format!("SET warehouse = '{BURST}'").as_str()]).await;
                sessions.push(session);
            }
            let began = Instant::now();
            let clients: Vec<_> = sessions
                .into_iter()
                .map(|mut session| {
                    tokio::spawn(async move {
                        let answer = session.value(query, BURST_LIMIT).await;
                        answer.unwrap_or_else(|error| panic!("{query}: {error}"))
                    })
                })
                .collect();
            let by_queue = reached(&department, began, "the operator wants all nodes", async |department| {
                let status = department
                    .groups()
                    .get(BURST)
                    .await
                    .expect("get")
                    .status
                    .unwrap_or_default();
                status.wanted_replicas.unwrap_or_default()
            });
            let by_cpu = reached(
                &department,
                began,
                "the autoscaler wants all nodes",
                async |department| {
                    let autoscalers: Api<HorizontalPodAutoscaler> =
                        Api::namespaced(department.cluster.client.clone(), &department.name);
                    let autoscaler = autoscalers.get(&format!("{BURST}-cn")).await.expect("get");
                    autoscaler.status.map_or(0, |status| status.desired_replicas)
                },
            );
            let (by_queue, by_cpu) = tokio::join!(by_queue, by_cpu);
            println!(
                "{MOST} nodes wanted after {:.1} s by statements that wait, after {} by CPU",
                by_queue.expect("statements waited").as_secs_f64(),
                by_cpu.map_or("never".to_owned(), |after| format!("{:.1} s", after.as_secs_f64())),
            );
            assert!(by_cpu.is_none_or(|by_cpu| by_queue.is_some_and(|by_queue| by_queue < by_cpu)));
            for client in clients {
                assert_eq!(client.await.expect("a query"), expected);
            }
            department.serves(BESIDE, 1).await;
            measures(&department, BURST, "cpu").await;
            measures(&department, BESIDE, "memory").await;
        })
        .await;
}

/// The autoscaler of a group reads the engine container's use: it decides by what it was told to decide by.
async fn measures(department: &Department, group: &str, resource: &str) {
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(department.cluster.client.clone(), &department.name);
    let what = format!("the autoscaler of {group} measures {resource}");
    eventually(&what, EFFECT_LIMIT, async || {
        let autoscaler = autoscalers.get(&format!("{group}-cn")).await.expect("get");
        let status = autoscaler.status.unwrap_or_default();
        let metrics = status.current_metrics.iter().flatten();
        let read = metrics
            .filter_map(|metric| metric.container_resource.as_ref())
            .any(|metric| metric.name == resource && metric.current.average_utilization.is_some());
        let active = status.conditions.iter().flatten();
        let active: Vec<String> = active
            .map(|condition| format!("{}={} {:?}", condition.type_, condition.status, condition.message))
            .collect();
        if read { Ok(()) } else { Err(format!("{active:?}")) }
    })
    .await;
}

/// After how long so many nodes are wanted; nothing if that does not come in a minute and a half.
async fn reached(
    department: &Department,
    began: Instant,
    what: &str,
    wanted: impl AsyncFn(&Department) -> i32,
) -> Option<Duration> {
    while began.elapsed() < Duration::from_secs(90) {
        if wanted(department).await >= MOST {
            return Some(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{what}: not in 90 s");
    None
}
