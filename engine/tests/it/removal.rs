//! The end of a cluster's data on a real S3 server (versitygw).

use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use springtide_contract::config::RefusalReason;

use crate::{
    object_storage::{KEYS, S3},
    processes::{CLUSTER_ID, OTHER_CLUSTER_ID, cluster, until},
};

/// More than one request deletes.
const MANY: usize = 3500;

/// What is deleted: what a claim says, or everything.
const WAYS: [&[&str]; 2] = [&[], &["--whole-prefix"]];

async fn put(store: &impl ObjectStore, path: &str) {
    store.put(&path.into(), "four".into()).await.expect("an object");
}

/// Data of the cluster at `p`.
async fn put_many(store: &impl ObjectStore) {
    let puts = stream::iter(0..MANY).map(|number| async move {
        put(store, &format!("p/{CLUSTER_ID}/data/{number}")).await;
    });
    puts.buffer_unordered(16).collect::<()>().await;
}

async fn names(store: &impl ObjectStore, prefix: &str) -> Vec<String> {
    let prefix = Path::from(prefix);
    let objects: Vec<_> = store.list(Some(&prefix)).try_collect().await.expect("a listing");
    let mut names: Vec<String> = objects.iter().map(|object| object.location.to_string()).collect();
    names.sort();
    names
}

async fn has_claim(store: &impl ObjectStore, place: &str) -> bool {
    store.head(&format!("{place}/CLUSTER").into()).await.is_ok()
}

/// What the claim of a cluster is made of.
fn claim(cluster_id: &str) -> String {
    format!(
        r#"{{"formatVersion": 1, "clusterId": "{cluster_id}", "metadataId": "0e9f8a1c-1111-4222-8333-944445555666", "epoch": 1}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_cluster_that_served_goes_and_that_of_its_neighbours_stays() {
    let s3 = S3::start().await;
    let mut cluster = cluster()
        .storage(s3.storage("lake", "retail/lake"), Some(KEYS))
        .compute(1)
        .start()
        .await;
    cluster
        .client
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.item (id BIGINT NOT NULL, name VARCHAR(9)) DISTRIBUTED BY HASH(id) BUCKETS 4",
            "INSERT INTO shop.item VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        ])
        .await;
    cluster.kill_frontend();
    cluster.nodes.clear();
    let store = s3.store("lake");
    let others = [
        "retail/CLUSTER",
        "retail/lake/inner/CLUSTER",
        "retail/lake/inner/data",
        "retail/lake2/data",
    ];
    for other in others {
        put(&store, other).await;
    }
    assert!(names(&store, "retail/lake").await.len() > 4);

    // Another name deletes nothing.
    for wrong in ["s3://lake/retail", "s3://lake/retail/lake2", "s3://lake/retail/lake/"] {
        let refusal = cluster.try_delete_data(wrong, &[]).await.expect_err("another place");
        assert_eq!(refusal.reason, RefusalReason::ConfigInvalid, "{}", refusal.message);
    }
    assert!(has_claim(&store, "retail/lake").await);

    for _again in 0..2 {
        let deleted = cluster.try_delete_data("s3://lake/retail/lake", &[]).await;
        assert_eq!(deleted, Ok(()));
        assert_eq!(names(&store, "retail").await, others);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_another_cluster_has_claimed_is_refused() {
    let s3 = S3::start().await;
    let store = s3.store("lake");
    let claim = claim(OTHER_CLUSTER_ID);
    store.put(&"p/CLUSTER".into(), claim.into()).await.expect("a claim");
    put(&store, &format!("p/{OTHER_CLUSTER_ID}/data")).await;
    let intruder = cluster().storage(s3.storage("lake", "p"), Some(KEYS)).prepare();
    for more in WAYS {
        let refusal = intruder
            .try_delete_data("s3://lake/p", more)
            .await
            .expect_err("refused");
        assert_eq!(refusal.reason, RefusalReason::ForeignCluster, "{}", refusal.message);
    }
    assert_eq!(names(&store, "p").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_killed_keeps_its_claim_and_goes_on_later() {
    let s3 = S3::start().await;
    let store = s3.store("lake");
    let claim = claim(CLUSTER_ID);
    store.put(&"p/CLUSTER".into(), claim.into()).await.expect("a claim");
    put_many(&store).await;
    put(&store, "p2/data").await;
    let going = cluster().storage(s3.storage("lake", "p"), Some(KEYS)).prepare();
    let mut process = going.delete_data("s3://lake/p", &[]);
    until("it has begun to delete", async || {
        process.log().contains("deleting the data").then_some(())
    })
    .await;
    process.kill();
    let left = names(&store, &format!("p/{CLUSTER_ID}")).await.len();
    assert!(left < MANY, "it had begun");
    assert!(
        left == 0 || has_claim(&store, "p").await,
        "{left} objects are there and nothing says whose they are"
    );
    assert_eq!(going.try_delete_data("s3://lake/p", &[]).await, Ok(()));
    assert_eq!(names(&store, "p").await, [""; 0]);
    assert_eq!(names(&store, "p2").await, ["p2/data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_told_to_stop_ends_and_another_one_goes_on() {
    let s3 = S3::start().await;
    let store = s3.store("lake");
    put_many(&store).await;
    let going = cluster().storage(s3.storage("lake", "p"), Some(KEYS)).prepare();
    let mut process = going.delete_data("s3://lake/p", &[]);
    until("it has begun to delete", async || {
        process.log().contains("deleting the data").then_some(())
    })
    .await;
    process.terminate();
    until("it has ended", async || process.ended()).await;
    assert_eq!(going.try_delete_data("s3://lake/p", &[]).await, Ok(()));
    assert_eq!(names(&store, "p").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_delete_is_no_error_and_keys_or_buckets_that_are_wrong_are_told() {
    let s3 = S3::start().await;
    let empty = cluster().storage(s3.storage("lake", "p"), Some(KEYS)).prepare();
    for more in WAYS {
        assert_eq!(empty.try_delete_data("s3://lake/p", more).await, Ok(()));
    }
    let wrong = ("the-key", "a-guess");
    let denied = cluster().storage(s3.storage("lake", "p"), Some(wrong)).prepare();
    for more in WAYS {
        let refusal = denied.try_delete_data("s3://lake/p", more).await.expect_err("refused");
        assert_eq!(
            refusal.reason,
            RefusalReason::StorageAccessDenied,
            "{}",
            refusal.message
        );
        assert!(refusal.message.contains("bucket 'lake'"), "{}", refusal.message);
        assert!(!refusal.message.contains("a-guess"), "a key is shown");
    }
    let nowhere = cluster().storage(s3.storage("nowhere", "p"), Some(KEYS)).prepare();
    let refusal = nowhere
        .try_delete_data("s3://nowhere/p", &[])
        .await
        .expect_err("refused");
    assert_eq!(refusal.reason, RefusalReason::BucketNotFound, "{}", refusal.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_an_engine_without_claims_goes_as_a_whole() {
    let s3 = S3::start().await;
    let store = s3.store("lake");
    for path in ["sr/5b1/db1/a.dat", "sr/5b1/db1/b.dat", "sr2/5b1/a.dat"] {
        put(&store, path).await;
    }
    let going = cluster().storage(s3.storage("lake", "sr"), Some(KEYS)).prepare();
    assert_eq!(going.try_delete_data("s3://lake/sr", &["--whole-prefix"]).await, Ok(()));
    assert_eq!(names(&store, "sr").await, [""; 0]);
    assert_eq!(names(&store, "sr2").await, ["sr2/5b1/a.dat"]);
}
