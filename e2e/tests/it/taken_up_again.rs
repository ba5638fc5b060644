//! A LakeCluster that was deleted by mistake, with its volumes kept, and is made again.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::json;

use crate::{
    department::{EFFECT_LIMIT, LAKE, execute, value, with_department},
    scenario::Scenario,
};

const GROUP: &str = "crew";

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_cluster_is_refused_as_a_new_one_and_goes_on_with_all_its_data_when_it_is_adopted() {
    let scenario = Scenario::begin("a deleted cluster is adopted").may_take(
        Duration::from_secs(120),
        "a cluster is made three times and deleted once, one after the other",
    );
    with_department(&scenario, "adopt", async |department| {
        let on_default = json!({"warehouse": "default_warehouse"});
        let first = scenario
            .given("a cluster of one node with three rows", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({"deletionPolicy": "Retain"})).await;
                department.group(GROUP, LAKE, on_default.clone()).await;
                department.serves(GROUP, 1).await;
                execute(
                    &mut department.session(LAKE).await,
                    &[
                        "CREATE DATABASE d",
                        "CREATE TABLE d.t (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 2",
                        "INSERT INTO d.t VALUES (1), (2), (3)",
                    ],
                )
                .await;
                department.answers(LAKE).await
            })
            .await;
        let cluster_id = first.status.and_then(|status| status.cluster_id).expect("an id");
        let storage = json!({"prefix": first.spec.storage.prefix});

        scenario
            .when("group and cluster are deleted", async || {
                let gone = DeleteParams::default();
                department.groups().delete(GROUP, &gone).await.expect("delete");
                department.lakes().delete(LAKE, &gone).await.expect("delete");
            })
            .await;
        // The group, too: one that still ends would wait for the frontends of the next cluster of this name to forget its nodes.
        scenario
            .then("cluster, group and pods are gone", EFFECT_LIMIT, async || {
                let lake = department.lakes().get_opt(LAKE).await.expect("get");
                let group = department.groups().get_opt(GROUP).await.expect("get");
                let pods = department.pods().list(&Default::default()).await.expect("list").items;
                if lake.is_none() && group.is_none() && pods.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} pods, the group is gone: {}", pods.len(), group.is_none()))
                }
            })
            .await;

        scenario
            .when("the cluster is made again as a new one", async || {
                let again = json!({"deletionPolicy": "Retain", "storage": storage});
                department.lake(LAKE, again).await;
            })
            .await;
        let available = scenario
            .then("it refuses to start", EFFECT_LIMIT, async || {
                department.refuses(LAKE, "ForeignCluster").await
            })
            .await;
        scenario
            .and("says whose the prefix is, and what to do", async || {
                assert!(
                    available.contains(&cluster_id),
                    "the message has the old identity {cluster_id}: {available}"
                );
                assert!(
                    available.contains("bootstrap.adopt"),
                    "the message says what to do: {available}"
                );
            })
            .await;

        scenario
            .when("it adopts the old one", async || {
                let adopting =
                    json!({"deletionPolicy": "Retain", "storage": storage, "bootstrap": {"adopt": cluster_id}});
                department.lake(LAKE, adopting).await;
                department.group(GROUP, LAKE, on_default.clone()).await;
            })
            .await;
        scenario
            .then("its node serves", EFFECT_LIMIT, async || {
                department.serving(GROUP, 1).await
            })
            .await;
        scenario
            .and(
                "it has its rows and takes another one, under its old identity",
                async || {
                    let mut session = department.session(LAKE).await;
                    assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "6");
                    execute(&mut session, &["INSERT INTO d.t VALUES (4)"]).await;
                    let again = department.answers(LAKE).await;
                    assert_eq!(
                        again.status.and_then(|status| status.cluster_id),
                        Some(cluster_id.clone())
                    );
                },
            )
            .await;
    })
    .await;
}
