//! Compute that comes because statements want it.

use std::time::Instant;

use serde_json::json;

use crate::{
    department::{EFFECT_LIMIT, LAKE, execute, shared, value},
    long_query::table,
    scenario::Scenario,
};

const SLEEPER: &str = "sleeper";
/// So many times statements that need no compute are answered. There is a moment between two of them, and the operator asks every two
/// seconds who waits.
const ROUNDS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_wakes_a_group_that_sleeps_and_nothing_else_does() {
    let scenario = Scenario::begin("a query wakes a group that sleeps, and nothing else does");
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[SLEEPER], async || {
            let spec = |replicas: u32| json!({"replicas": replicas, "wakeOnQuery": true, "drain": {"timeout": "10m"}});
            let mut session = department.session(LAKE).await;
            scenario
                .given("a group of one node with a table", async || {
                    department.group(SLEEPER, LAKE, spec(1)).await;
                    department.serves(SLEEPER, 1).await;
                    table(&mut session, "it_wake", SLEEPER).await;
                })
                .await;
            scenario
                .when("it is to sleep", async || {
                    department.group(SLEEPER, LAKE, spec(0)).await
                })
                .await;
            scenario
                .then("it sleeps", EFFECT_LIMIT, async || {
                    let status = department.status(SLEEPER).await;
                    let counts = (status.wanted_replicas, status.replicas, status.serving_replicas);
                    if counts == (Some(0), 0, 0) {
                        Ok(())
                    } else {
                        Err(format!("{counts:?}"))
                    }
                })
                .await;
            let mut answered = 0;
            scenario
                .always(
                    "it sleeps on, until statements that need no compute are answered",
                    EFFECT_LIMIT,
                    async || {
                        for statement in ["SELECT 1", "SELECT count(*) FROM information_schema.tables"] {
                            value(&mut session, statement).await;
                        }
                        execute(&mut session, &["USE it_wake"]).await;
                        answered += 1;
                        if answered >= ROUNDS {
                            Ok(())
                        } else {
                            Err(format!("{answered} times"))
                        }
                    },
                    async || {
                        let asleep = department.groups().get(SLEEPER).await.expect("get");
                        assert_eq!(asleep.spec.replicas, 0, "what needs no compute wakes nothing");
                    },
                )
                .await;

            let began = Instant::now();
            scenario
                .when("a query needs its node", async || {
                    assert_eq!(value(&mut session, "SELECT sum(d) FROM it_wake.digits").await, "79800");
                })
                .await;
            scenario.measured("awake, with the answer, after", began.elapsed());
            scenario
                .and("one node is written", async || {
                    let awake = department.groups().get(SLEEPER).await.expect("get");
                    assert_eq!(awake.spec.replicas, 1);
                })
                .await;
        })
        .await;
}
