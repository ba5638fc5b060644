//! Statements that wait for compute.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use springtide_fe::core::{Admission, Core, Demand, NodeView, Route, Wait};

use super::{
    fixture::Cluster,
    nodes::{Script, add_node, reply, start_node, until},
};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn admitted(core: &Core) -> Route {
    match core.admit("w", "a statement", PATIENCE, |_| {}).await {
        Admission::Admitted(route) => route,
        other => panic!("{other:?}"),
    }
}

/// A statement that waits, and what it was told that it waits for.
async fn waiting(core: &Core, expected: Wait) -> tokio::task::JoinHandle<Admission> {
    let told = Arc::new(Mutex::new(None));
    let (core, tell) = (core.clone(), Arc::clone(&told));
    let task = tokio::spawn(async move {
        core.admit("w", "a statement", PATIENCE, |wait| *tell.lock().unwrap() = Some(wait))
            .await
    });
    while told.lock().unwrap().is_none() {
        assert!(!task.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*told.lock().unwrap(), Some(expected));
    task
}

#[tokio::test]
async fn a_statement_waits_for_a_node_that_is_away_and_not_for_one_that_nobody_knows() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let nobody = core.admit("w", "a statement", PATIENCE, |_| {}).await;
    assert!(matches!(nobody, Admission::NoNodes), "{nobody:?}");

    let script: Script = Arc::new(Mutex::new(None));
    add_node(&core, start_node(Arc::clone(&script)).await, "w").await;
    let impatient = core.admit("w", "a statement", Duration::from_millis(50), |_| {}).await;
    assert!(matches!(impatient, Admission::TimedOut(Wait::AllAway)), "{impatient:?}");
    let task = waiting(&core, Wait::AllAway).await;
    let demand = core.demand("w");
    assert_eq!((demand.running, demand.waiting, demand.required_nodes), (0, 1, 1));
    script.lock().unwrap().replace(reply(1));
    assert!(matches!(task.await.unwrap(), Admission::Admitted(_)));
    assert_eq!(core.demand("w"), Demand::default());
    core.shutdown().await;
}

#[tokio::test]
async fn a_drain_that_is_taken_back_lets_waiting_statements_go_on() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    add_node(&core, start_node(Arc::new(Mutex::new(Some(reply(1))))).await, "w").await;
    until(&core, "alive", NodeView::is_available).await;
    let id = core.nodes()[0].node.id;
    core.order_drain(&[id], springtide_sql::DrainOrder::Drain).unwrap();
    let task = waiting(&core, Wait::AllAway).await;
    core.order_drain(&[id], springtide_sql::DrainOrder::Cancel).unwrap();
    assert!(matches!(task.await.unwrap(), Admission::Admitted(_)));
    core.shutdown().await;
}

#[tokio::test]
async fn more_statements_than_slots_wait_in_line_and_say_how_many_nodes_they_would_need() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    // Four cores have 16 slots.
    add_node(&core, start_node(Arc::new(Mutex::new(Some(reply(1))))).await, "w").await;
    until(&core, "alive", NodeView::is_available).await;
    let mut running = Vec::new();
    for _ in 0..16 {
        running.push(admitted(&core).await);
    }
    let first = waiting(&core, Wait::AllBusy).await;
    let second = waiting(&core, Wait::AllBusy).await;
    let demand = core.demand("w");
    assert_eq!((demand.running, demand.waiting, demand.required_nodes), (16, 2, 2));
    drop(running.pop());
    running.push(match first.await.unwrap() {
        Admission::Admitted(route) => route,
        other => panic!("{other:?}"),
    });
    assert!(!second.is_finished(), "they go on in the order in which they came");

    // One that gives up leaves the line.
    second.abort();
    let _aborted = second.await;
    assert_eq!(core.demand("w").waiting, 0);
    running.clear();
    assert_eq!(core.demand("w"), Demand::default());
    core.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_run_at_once_are_not_taken_for_ones_that_wait() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    add_node(&core, start_node(Arc::new(Mutex::new(Some(reply(1))))).await, "w").await;
    until(&core, "alive", NodeView::is_available).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let core = core.clone();
        clients.spawn(async move {
            for _ in 0..500 {
                drop(admitted(&core).await);
                tokio::task::yield_now().await;
            }
        });
    }
    while !clients.is_empty() {
        assert_eq!(core.demand("w").waiting, 0);
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    core.shutdown().await;
}
