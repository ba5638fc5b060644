//! Compute that comes because statements want it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::scenario::Scenario;
use crate::{
    department::{EFFECT_LIMIT, LAKE, eventually, execute, shared, value},
    long_query::table,
};

const SLEEPER: &str = "sleeper";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_wakes_a_group_that_sleeps_and_nothing_else_does() {
    let scenario = Scenario::begin("a query wakes a group that sleeps, and nothing else does");
    let department = shared(&scenario).await;
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
