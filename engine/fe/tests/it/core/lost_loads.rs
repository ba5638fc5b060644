//! Loads whose compute node ends before it commits them; the node is played by a server of this test.

use std::time::Duration;

use springtide_fe::core::{BeginTransaction, Begun, Core, DrainState, LabelStatus, LoadState};
use springtide_model::{LoadTarget, NodeId, TxnId};
use springtide_rpc::message::{HeartbeatReply, NodeProcess};

use super::{
    fixture::{Cluster, begin, create_table, request, visible_rows},
    nodes::{only_node, reply, until},
};

const LONG: Duration = Duration::from_secs(30);
/// Several heartbeats.
const A_WHILE: Duration = Duration::from_millis(500);

/// Begins a load as the process of a node that started then; the one that is played has started at 1.
async fn begin_by(core: &Core, node: NodeId, start_time_ms: u64, label: &str) -> Begun {
    let request = BeginTransaction {
        process: Some(NodeProcess { node, start_time_ms }),
        ..request("t", label)
    };
    core.begin(request).await.unwrap()
}

async fn begun_by(core: &Core, node: NodeId, start_time_ms: u64, label: &str) -> LoadTarget {
    match begin_by(core, node, start_time_ms, label).await {
        Begun::Target(target) => target,
        taken @ Begun::LabelAlreadyExists { .. } => panic!("{label}: {taken:?}"),
    }
}

/// Whether the load was given up.
fn is_cancelled(core: &Core, txn: TxnId) -> bool {
    let loads = core.loads(None);
    let load = loads.iter().find(|load| load.txn == txn).unwrap();
    matches!(load.state, LoadState::Cancelled { .. })
}

#[tokio::test]
async fn a_label_whose_compute_node_died_is_free_when_the_node_is_back() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (script, node) = only_node(&core).await;
    let committed = begun_by(&core, node, 1, "committed").await;
    core.commit(committed.txn, vec![cluster.write(&committed, 1).await])
        .await
        .unwrap();
    let lost = begun_by(&core, node, 1, "lost").await;
    let of_a_statement = begin(&core, "t", "statement").await.unwrap();
    let of_another_node = begun_by(&core, NodeId(node.0 + 1), 1, "another").await;
    assert_eq!(
        core.labels_at(node),
        ["lost"],
        "neither what has ended nor what others do"
    );

    script.lock().unwrap().as_mut().unwrap().start_time_ms = 2;
    until(&core, "given up", |_| is_cancelled(&core, lost.txn)).await;
    let error = core
        .commit(lost.txn, vec![cluster.write(&lost, 5).await])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was restarted before"), "{error}");
    // What the process had asked for before it ended, and what was answered after that.
    let late = BeginTransaction {
        process: Some(NodeProcess { node, start_time_ms: 1 }),
        ..request("t", "late")
    };
    let error = core.begin(late).await.unwrap_err();
    assert!(error.to_string().contains("was restarted before"), "{error}");
    begun_by(&core, node, 2, "late").await;
    let again = begun_by(&core, node, 2, "lost").await;
    core.commit(again.txn, vec![cluster.write(&again, 3).await])
        .await
        .unwrap();
    assert!(core.wait_visible(again.txn, LONG).await.unwrap());

    assert!(core.wait_visible(committed.txn, LONG).await.unwrap());
    assert_eq!(
        begin_by(&core, node, 2, "committed").await,
        Begun::LabelAlreadyExists {
            txn: committed.txn,
            status: LabelStatus::Finished
        }
    );
    for untouched in [of_a_statement, of_another_node] {
        let object = cluster.write(&untouched, 10).await;
        core.commit(untouched.txn, vec![object]).await.unwrap();
        assert!(core.wait_visible(untouched.txn, LONG).await.unwrap());
    }
    assert_eq!(visible_rows(&core, "t").await, [24, 24]);
    core.shutdown().await;
}

#[tokio::test]
async fn a_load_on_a_compute_node_that_only_stops_answering_can_be_committed() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (script, node) = only_node(&core).await;
    let target = begun_by(&core, node, 1, "l").await;
    script.lock().unwrap().take();
    until(&core, "not alive", |view| !view.alive).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(
        begin_by(&core, node, 1, "l").await,
        Begun::LabelAlreadyExists {
            txn: target.txn,
            status: LabelStatus::Running
        },
        "it may load behind a network that is cut"
    );
    script.lock().unwrap().replace(reply(1));
    until(&core, "alive again", |view| view.alive).await;
    core.commit(target.txn, vec![cluster.write(&target, 2).await])
        .await
        .unwrap();
    assert!(core.wait_visible(target.txn, LONG).await.unwrap());
    core.shutdown().await;
}

#[tokio::test]
async fn a_load_that_a_new_process_begins_before_its_first_answer_is_read_goes_on() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (script, node) = only_node(&core).await;
    let of_the_old = begun_by(&core, node, 1, "old").await;
    let of_the_new = begun_by(&core, node, 2, "new").await;
    // While heartbeats tell nothing new, nothing is given up.
    tokio::time::sleep(A_WHILE).await;
    assert!(!is_cancelled(&core, of_the_old.txn) && !is_cancelled(&core, of_the_new.txn));
    script.lock().unwrap().as_mut().unwrap().start_time_ms = 2;
    until(&core, "given up", |_| is_cancelled(&core, of_the_old.txn)).await;
    tokio::time::sleep(A_WHILE).await;
    let object = cluster.write(&of_the_new, 2).await;
    core.commit(of_the_new.txn, vec![object]).await.unwrap();
    assert!(core.wait_visible(of_the_new.txn, LONG).await.unwrap());
    core.shutdown().await;
}

#[tokio::test]
async fn a_label_whose_compute_node_was_dropped_is_free() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (_script, node) = only_node(&core).await;
    let target = begun_by(&core, node, 1, "l").await;
    let record = core.nodes().remove(0).node;
    let address = (record.host.clone(), record.heartbeat_port);
    core.edit(move |catalog| catalog.drop_compute_nodes(&[address], None))
        .await
        .unwrap();
    for _ in 0..600 {
        if is_cancelled(&core, target.txn) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = core.commit(target.txn, Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("was dropped before"), "{error}");
    cluster.load(&core, "t", "l", 1).await.unwrap();
    core.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_lost_on_its_way_out_with_work_is_counted_once_and_no_other_one_is() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (script, node) = only_node(&core).await;
    let cut_off = || core.metrics().nodes_cut_off.get();
    let says = |start_time_ms, draining| {
        *script.lock().unwrap() = Some(HeartbeatReply {
            start_time_ms,
            draining,
            ..reply(1)
        });
    };
    let leaves = async |start_time_ms| {
        says(start_time_ms, true);
        until(&core, "leaving", |view| view.drain == DrainState::Leaving).await;
    };
    let is_back = async |start_time_ms| {
        says(start_time_ms, false);
        until(&core, "back", |view| {
            view.last_start_ms == Some(start_time_ms) && view.is_available()
        })
        .await;
    };

    begun_by(&core, node, 1, "killed").await;
    is_back(2).await;
    leaves(2).await;
    is_back(3).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(cut_off(), 0, "one was killed, and one had nothing to do any more");

    let lost = begun_by(&core, node, 3, "lost").await;
    leaves(3).await;
    core.report_unreachable(node);
    assert_eq!(cut_off(), 1, "a statement had not ended");
    is_back(4).await;
    until(&core, "given up", |_| is_cancelled(&core, lost.txn)).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(cut_off(), 1, "it is the same one");

    begun_by(&core, node, 4, "cut off").await;
    leaves(4).await;
    is_back(5).await;
    until(&core, "counted", |_| cut_off() == 2).await;

    begun_by(&core, node, 5, "dropped").await;
    leaves(5).await;
    let record = core.nodes().remove(0).node;
    let address = (record.host.clone(), record.heartbeat_port);
    core.edit(move |catalog| catalog.drop_compute_nodes(&[address], None))
        .await
        .unwrap();
    for _ in 0..600 {
        if cut_off() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cut_off(), 3);
    core.shutdown().await;
}
