//! A cluster is put to sleep with its rows, and wakes with them.

use std::time::{Duration, Instant};

use serde_json::json;
use springtide_e2e::departments;

use crate::{
    department::{EFFECT_LIMIT, LAKE, STATEMENT_LIMIT, two_rows, value, with_department},
    scenario::Scenario,
};

const GROUP: &str = "crew";
/// A frontend and a node start, and find each other.
const WAKE_LIMIT: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_put_to_sleep_wakes_with_its_rows() {
    let scenario = Scenario::begin("a cluster sleeps, and wakes");
    with_department(&scenario, "sleep", async |department| {
        scenario
            .given("a cluster of one node with two rows", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                let spec = json!({"replicas": 1, "warehouse": "default_warehouse"});
                department.group(GROUP, LAKE, spec).await;
                department.serves(GROUP, 1).await;
                two_rows(&mut department.session(LAKE).await).await;
            })
            .await;
        let began = Instant::now();
        scenario
            .when("it is suspended", async || {
                department.change_lake(LAKE, json!({"suspend": true})).await;
            })
            .await;
        scenario
            .then("it sleeps: no pod is left", EFFECT_LIMIT, async || {
                let pods = department.pods_of_lake(LAKE).await;
                let told = department.lake_says(LAKE, "Ready").await;
                if pods.is_empty() && told.starts_with("Ready=True Suspended") {
                    Ok(())
                } else {
                    Err(format!("{} pods; {told}", pods.len()))
                }
            })
            .await;
        scenario.measured("asleep after", began.elapsed());
        let began = Instant::now();
        scenario
            .when("it is woken", async || {
                department.change_lake(LAKE, json!({"suspend": false})).await;
            })
            .await;
        let lake = department.lakes().get(LAKE).await.expect("get");
        scenario
            .then("it answers with its rows", WAKE_LIMIT, async || {
                let (target, client) = (&department.cluster.target, &department.cluster.client);
                let mut login = departments::log_in(target, client, &lake)
                    .await
                    .map_err(|error| error.to_string())?;
                match login.session.value("SELECT sum(id) FROM d.t", STATEMENT_LIMIT).await {
                    Ok(sum) if sum == "3" => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        scenario.measured("awake, with its first answer, after", began.elapsed());
        scenario
            .then("its node serves", EFFECT_LIMIT, async || {
                department.serving(GROUP, 1).await
            })
            .await;
        scenario
            .and("it has two rows", async || {
                let mut session = department.session(LAKE).await;
                assert_eq!(value(&mut session, "SELECT count(*) FROM d.t").await, "2");
            })
            .await;
    })
    .await;
}
