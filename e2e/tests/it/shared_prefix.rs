//! Two clusters that are pointed at one prefix, as a copied manifest does it.

use serde_json::json;

use crate::{
    department::{EFFECT_LIMIT, LAKE, execute, shared, value},
    scenario::Scenario,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cluster_on_a_prefix_refuses_to_start_and_the_first_is_unharmed() {
    let scenario = Scenario::begin("a second cluster on a prefix refuses to start");
    let department = shared(&scenario).await;
    department
        .with_own(&["intruder"], &[], async || {
            let mut session = department.session(LAKE).await;
            let first = scenario
                .given("a cluster with two rows", async || {
                    execute(
                        &mut session,
                        &[
                            "DROP DATABASE IF EXISTS it_prefix",
                            "CREATE DATABASE it_prefix",
                            "CREATE TABLE it_prefix.t (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2",
                            "INSERT INTO it_prefix.t VALUES (1), (2)",
                        ],
                    )
                    .await;
                    department.answers(LAKE).await
                })
                .await;
            let prefix = first.spec.storage.prefix.as_str();
            scenario
                .when("another cluster is given its prefix", async || {
                    let spec = json!({"storage": {"prefix": prefix}});
                    department.lake("intruder", spec).await;
                })
                .await;
            let available = scenario
                .then("that one refuses to start", EFFECT_LIMIT, async || {
                    department.refuses("intruder", "ForeignCluster").await
                })
                .await;
            let owner = first.status.and_then(|status| status.cluster_id).expect("an id");
            scenario
                .and("says whose the prefix is, and what to do", async || {
                    assert!(
                        available.contains(&owner),
                        "the message names the owner {owner}: {available}"
                    );
                    assert!(
                        available.contains("choose another prefix"),
                        "the message says what to do: {available}"
                    );
                })
                .await;
            scenario
                .and("the first one writes and reads on", async || {
                    execute(&mut session, &["INSERT INTO it_prefix.t VALUES (3)"]).await;
                    assert_eq!(value(&mut session, "SELECT sum(id) FROM it_prefix.t").await, "6");
                })
                .await;
        })
        .await;
}
