//! Loads: labels, commits, aborts, and what queries see.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use springtide_catalog::ErrorKind;
use springtide_fe::core::{Begun, Core, CoreError, LabelStatus, LoadState};
use springtide_model::TxnId;

use super::fixture::{Cluster, ManualClock, begin, create_table, request, visible_rows};

const LONG: Duration = Duration::from_secs(30);

async fn with_table() -> (Cluster, Core) {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    (cluster, core)
}

#[tokio::test]
async fn a_load_is_visible_in_all_partitions_at_once() {
    let (cluster, core) = with_table().await;
    assert_eq!(visible_rows(&core, "t").await, [0, 0]);
    for (label, rows) in [("a", 3), ("b", 4)] {
        let txn = cluster.load(&core, "t", label, rows).await.unwrap();
        assert!(core.wait_visible(txn, LONG).await.unwrap());
    }
    assert_eq!(visible_rows(&core, "t").await, [7, 7]);
    core.shutdown().await;
    let core = cluster.open().await;
    assert_eq!(visible_rows(&core, "t").await, [7, 7]);
    core.shutdown().await;
}

#[tokio::test]
async fn a_label_is_loaded_once() {
    let (cluster, core) = with_table().await;
    let target = begin(&core, "t", "label").await.unwrap();
    let exists = |status| Begun::LabelAlreadyExists {
        txn: target.txn,
        status,
    };
    let again = core.begin(request("t", "label")).await.unwrap();
    assert_eq!(again, exists(LabelStatus::Running));
    let object = cluster.write(&target, 1).await;
    core.commit(target.txn, vec![object.clone()]).await.unwrap();
    core.commit(target.txn, vec![object]).await.unwrap();
    assert!(core.wait_visible(target.txn, LONG).await.unwrap());
    let again = core.begin(request("t", "label")).await.unwrap();
    assert_eq!(again, exists(LabelStatus::Finished));
    assert_eq!(visible_rows(&core, "t").await, [1, 1]);
    core.shutdown().await;
    let core = cluster.open().await;
    let again = core.begin(request("t", "label")).await.unwrap();
    assert_eq!(again, exists(LabelStatus::Finished));
    // No id is given out twice, across restarts too.
    assert!(begin(&core, "t", "next").await.unwrap().txn > target.txn);
    core.shutdown().await;
}

#[tokio::test]
async fn an_aborted_load_leaves_its_label_free_and_cannot_be_committed() {
    let (cluster, core) = with_table().await;
    let target = begin(&core, "t", "label").await.unwrap();
    core.abort(target.txn, "the client went away");
    let object = cluster.write(&target, 1).await;
    let error = core.commit(target.txn, vec![object]).await.unwrap_err();
    assert!(
        matches!(&error, CoreError::Aborted { reason, .. } if reason == "the client went away"),
        "{error}"
    );
    cluster.load(&core, "t", "label", 5).await.unwrap();
    let states: Vec<LoadState> = core.loads(None).into_iter().map(|load| load.state).collect();
    assert_eq!(states.len(), 2);
    assert!(matches!(states[0], LoadState::Cancelled { .. }));
    assert!(matches!(
        core.commit(TxnId(99), Vec::new()).await,
        Err(CoreError::UnknownTransaction(_))
    ));
    core.shutdown().await;
}

#[tokio::test]
async fn a_load_that_takes_too_long_is_aborted() {
    let mut cluster = Cluster::new();
    let clock = Arc::new(ManualClock(AtomicU64::new(1_000_000)));
    cluster.clock = clock.clone();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let target = begin(&core, "t", "label").await.unwrap();
    clock.0.fetch_add(61_000, Ordering::Relaxed);
    for _ in 0..200 {
        if matches!(core.loads(None)[0].state, LoadState::Cancelled { .. }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = core.commit(target.txn, Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("timeout"), "{error}");
    core.shutdown().await;
}

#[tokio::test]
async fn a_commit_into_what_was_dropped_fails_and_leaves_nothing() {
    let (cluster, core) = with_table().await;
    let target = begin(&core, "t", "label").await.unwrap();
    let object = cluster.write(&target, 1).await;
    core.edit(|catalog| catalog.truncate_table("d", "t", 0)).await.unwrap();
    let error = core.commit(target.txn, vec![object]).await.unwrap_err();
    assert_eq!(error.catalog_kind(), Some(ErrorKind::UnknownPartition), "{error}");
    assert_eq!(visible_rows(&core, "t").await, [0, 0]);

    let target = begin(&core, "t", "label").await.unwrap();
    let object = cluster.write(&target, 1).await;
    core.edit(|catalog| catalog.drop_table("d", "t", false)).await.unwrap();
    let error = core.commit(target.txn, vec![object]).await.unwrap_err();
    assert_eq!(error.catalog_kind(), Some(ErrorKind::UnknownTable), "{error}");
    assert_eq!(core.catalog().transactions().count(), 0);
    core.shutdown().await;
}

#[tokio::test]
async fn objects_that_do_not_fit_the_transaction_are_refused() {
    let (cluster, core) = with_table().await;
    let other = begin(&core, "t", "other").await.unwrap();
    let foreign = cluster.write(&other, 1).await;
    let refused = |label: &'static str, change: fn(&mut springtide_model::DataObject)| {
        let (cluster, core) = (&cluster, &core);
        async move {
            let target = begin(core, "t", label).await.unwrap();
            let mut object = cluster.write(&target, 1).await;
            change(&mut object);
            let error = core.commit(target.txn, vec![object]).await.unwrap_err();
            assert!(matches!(error, CoreError::ObjectsRefused { .. }), "{label}: {error}");
        }
    };
    refused("name", |object| object.name = "../CLUSTER".to_owned()).await;
    refused("tablet", |object| object.writes[0].tablet.0 += 1000).await;
    refused("segment beyond the end", |object| object.size = 5).await;
    refused("segment of another object", |object| {
        object.writes[0].segment.object.push('x');
    })
    .await;
    let target = begin(&core, "t", "of another transaction").await.unwrap();
    let error = core.commit(target.txn, vec![foreign]).await.unwrap_err();
    assert!(
        error.to_string().contains("another table, transaction or epoch"),
        "{error}"
    );
    assert_eq!(visible_rows(&core, "t").await, [0, 0]);
    core.shutdown().await;
}

#[tokio::test]
async fn unknown_names_and_bad_labels_are_refused_at_begin() {
    let (_cluster, core) = with_table().await;
    let kind = |error: CoreError| error.catalog_kind().unwrap();
    assert_eq!(
        kind(core.begin(request("nosuch", "l")).await.unwrap_err()),
        ErrorKind::UnknownTable
    );
    for label in ["", "a/b", "a\nb", &"x".repeat(129)] {
        assert_eq!(
            kind(core.begin(request("t", label)).await.unwrap_err()),
            ErrorKind::Invalid
        );
    }
    core.shutdown().await;
}

#[tokio::test]
async fn many_loads_at_once_are_all_visible_once() {
    let (cluster, core) = with_table().await;
    let labels: Vec<String> = (0..40).map(|number| format!("load {number}")).collect();
    let loads = labels.iter().map(|label| cluster.load(&core, "t", label, 1));
    for txn in futures::future::join_all(loads).await {
        assert!(core.wait_visible(txn.unwrap(), LONG).await.unwrap());
    }
    assert_eq!(visible_rows(&core, "t").await, [40, 40]);
    core.shutdown().await;
}
