//! Clusters that are deleted: their data on S3 goes where it was asked for by the name of its place, and stays otherwise.

use futures::TryStreamExt;
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use object_store::path::Path;
use serde_json::json;
use springtide_crds::LakeCluster;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, said, two_rows, value, with_department},
    scenario::Scenario,
};

const NEIGHBOUR: &str = "neighbour";
const GROUP: &str = "crew";

/// Names of the objects below a prefix of the department's bucket.
async fn objects(department: &Department, prefix: &str) -> Vec<String> {
    let store = department.storage.store(&department.name, &department.keys);
    let below = store.expect("the bucket").list(Some(&Path::from(prefix)));
    let found: Vec<_> = below.try_collect().await.expect("list the bucket");
    found.iter().map(|object| object.location.to_string()).collect()
}

async fn prefix(department: &Department, lake: &str) -> String {
    let lake = department.lakes().get(lake).await.expect("get");
    lake.spec.storage.prefix
}

/// Writes the annotation that names a place, and deletes the cluster.
async fn delete_naming(department: &Department, place: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"springtide.dev/delete-data": place}}}));
    let written = department.lakes().patch(LAKE, &PatchParams::default(), &patch).await;
    written.expect("annotate");
    let deleted = department.lakes().delete(LAKE, &DeleteParams::default()).await;
    deleted.expect("delete");
}

/// What holds a cluster that is being deleted.
async fn is_gone(department: &Department) -> Result<(), String> {
    match department.lakes().get_opt(LAKE).await.expect("get") {
        None => Ok(()),
        Some(lake) => {
            let conditions = lake.status.unwrap_or_default().conditions;
            Err(said(&conditions, "Ready"))
        }
    }
}

/// A cluster with rows whose data may go.
async fn with_rows(department: &Department, group: &str) -> LakeCluster {
    department
        .lake(
            LAKE,
            json!({"deletion": {"data": "Delete", "metadataVolumes": "Retain", "accounts": "Retain"}}),
        )
        .await;
    department
        .group(group, LAKE, json!({"warehouse": "default_warehouse"}))
        .await;
    department.serves(group, 1).await;
    two_rows(&mut department.session(LAKE).await).await;
    department.answers(LAKE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_asked_for_by_its_right_name_goes_with_the_cluster_and_a_neighbours_stays() {
    let scenario = Scenario::begin("a cluster is deleted with its data");
    with_department(&scenario, "removal", async |department| {
        let (own, beside) = scenario
            .given("a cluster with rows, and a neighbour in the same bucket", async || {
                department.apply(json!({})).await;
                with_rows(department, GROUP).await;
                let own = prefix(department, LAKE).await;
                // What begins with the same letters is another place.
                let beside = format!("{own}2");
                department.lake(NEIGHBOUR, json!({"storage": {"prefix": beside}})).await;
                department.answers(NEIGHBOUR).await;
                (own, beside)
            })
            .await;
        let before = objects(department, &beside).await;
        assert!(objects(department, &own).await.len() > 1 && !before.is_empty());
        scenario
            .when("it is deleted, and its place is named", async || {
                delete_naming(department, &format!("s3://{}/{own}", department.name)).await;
            })
            .await;
        scenario
            .then("it goes", EFFECT_LIMIT, async || is_gone(department).await)
            .await;
        scenario
            .and("nothing of it is on S3, and all of its neighbour", async || {
                assert_eq!(objects(department, &own).await, [""; 0]);
                assert_eq!(objects(department, &beside).await, before);
                department.answers(NEIGHBOUR).await;
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_asked_for_by_a_wrong_name_stays_and_is_taken_up_only_where_that_is_asked_for() {
    let scenario = Scenario::begin("a cluster is deleted by a wrong name");
    with_department(&scenario, "removal-wrong", async |department| {
        let first = scenario
            .given("a cluster with rows", async || {
                department.apply(json!({})).await;
                with_rows(department, GROUP).await
            })
            .await;
        let own = first.spec.storage.prefix.clone();
        let cluster_id = first.status.and_then(|status| status.cluster_id).expect("an id");
        let before = objects(department, &own).await;
        scenario
            .when("it is deleted, and its bucket is named", async || {
                let groups = department.groups();
                groups.delete(GROUP, &DeleteParams::default()).await.expect("delete");
                delete_naming(department, &format!("s3://{}", department.name)).await;
            })
            .await;
        scenario
            .then("it goes, with its pods", EFFECT_LIMIT, async || {
                is_gone(department).await?;
                let group = department.groups().get_opt(GROUP).await.expect("get");
                let pods = department.pods().list(&Default::default()).await.expect("list").items;
                let names: Vec<String> = pods.iter().map(ResourceExt::name_any).collect();
                if group.is_none() && names.is_empty() {
                    Ok(())
                } else {
                    Err(names.join(", "))
                }
            })
            .await;
        scenario
            .and("its data is there", async || {
                assert_eq!(objects(department, &own).await, before);
            })
            .await;
        scenario
            .when("one is made there that does not adopt it", async || {
                department.lake(LAKE, json!({"storage": {"prefix": own}})).await;
            })
            .await;
        let told = scenario
            .then("it is refused", EFFECT_LIMIT, async || {
                let status = department.lakes().get(LAKE).await.expect("get").status;
                let told = said(&status.unwrap_or_default().conditions, "Available");
                if told.starts_with("Available=False ForeignCluster") {
                    Ok(told)
                } else {
                    Err(told)
                }
            })
            .await;
        assert!(told.contains(&cluster_id), "{told}");
        scenario
            .when("it adopts it", async || {
                let adopts = json!({"storage": {"prefix": own}, "bootstrap": {"adopt": cluster_id}});
                department.lake(LAKE, adopts).await;
                department
                    .group(GROUP, LAKE, json!({"warehouse": "default_warehouse"}))
                    .await;
                department.serves(GROUP, 1).await;
            })
            .await;
        scenario
            .and("all rows are there", async || {
                let mut session = department.session(LAKE).await;
                assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
            })
            .await;
    })
    .await;
}
