//! Statements that wait for compute.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use springtide_fe::core::{Admission, Core, Demand, DrainState, NodeView, Patience, Route, Wait};

use super::{
    fixture::Cluster,
    nodes::{Script, add_node, reply, start_node, until},
};

/// Long enough for a busy machine.
const PATIENCE: Patience = Patience::Exactly(Duration::from_secs(30));

/// Over at once, but for what makes it longer.
const SHORT: Duration = Duration::from_millis(50);

async fn admitted(core: &Core) -> Route {
    match core.admit("w", "a statement", PATIENCE, |_, _| {}).await {
        Admission::Admitted(route) => route,
        other => panic!("{other:?}"),
    }
}

/// A statement that waits, and what it was told that it waits for.
async fn waiting(core: &Core, expected: Wait) -> tokio::task::JoinHandle<Admission> {
    let told = Arc::new(Mutex::new(None));
    let (core, tell) = (core.clone(), Arc::clone(&told));
    let task = tokio::spawn(async move {
        core.admit("w", "a statement", PATIENCE, |wait, _| {
            *tell.lock().unwrap() = Some(wait);
        })
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
    let nobody = core.admit("w", "a statement", PATIENCE, |_, _| {}).await;
    assert!(matches!(nobody, Admission::NoNodes), "{nobody:?}");

    let script: Script = Arc::new(Mutex::new(None));
    add_node(&core, start_node(Arc::clone(&script)).await, "w").await;
    let impatient = core
        .admit("w", "a statement", Patience::AtLeast(SHORT), |_, _| {})
        .await;
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
    assert_eq!(core.first_waits_for("w"), Duration::ZERO);
    let first = waiting(&core, Wait::AllBusy).await;
    tokio::time::sleep(SHORT).await;
    let second = waiting(&core, Wait::AllBusy).await;
    assert!(core.first_waits_for("w") >= SHORT, "it is the first that counts");
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
    assert_eq!(core.first_waits_for("w"), Duration::ZERO);
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

#[tokio::test]
async fn statements_and_stream_loads_wait_for_the_only_node_while_it_finishes_its_work_and_is_replaced() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let script: Script = Arc::new(Mutex::new(Some(reply(1))));
    add_node(&core, start_node(Arc::clone(&script)).await, "w").await;
    until(&core, "alive", NodeView::is_available).await;
    script.lock().unwrap().as_mut().unwrap().draining = true;
    until(&core, "leaving", |node| node.drain == DrainState::Leaving).await;

    let told = Arc::new(Mutex::new(None));
    let (waiter, tell) = (core.clone(), Arc::clone(&told));
    let statement = tokio::spawn(async move {
        let waits = |wait, longest| *tell.lock().unwrap() = Some((wait, longest));
        waiter.admit("w", "a statement", Patience::AtLeast(SHORT), waits).await
    });
    let waiter = core.clone();
    let load = tokio::spawn(async move {
        waiter
            .load_route_when_available("w", "a Stream Load", Patience::AtLeast(SHORT))
            .await
    });
    let said = Patience::Exactly(SHORT);
    let impatient = core.admit("w", "a statement", said, |_, _| {}).await;
    assert!(matches!(impatient, Admission::TimedOut(Wait::AllAway)), "{impatient:?}");
    assert!(
        core.load_route_when_available("w", "a Stream Load", said)
            .await
            .nodes()
            .is_empty(),
        "who has said how long waits no longer"
    );
    // The node is gone, and the next one under its name has not come.
    script.lock().unwrap().take();
    until(&core, "gone", |node| !node.alive).await;
    tokio::time::sleep(10 * SHORT).await;
    assert!(!statement.is_finished() && !load.is_finished());
    assert_eq!(
        *told.lock().unwrap(),
        Some((Wait::AllAway, Duration::from_secs(60))),
        "its drain takes no time, and to be replaced takes a minute"
    );

    script.lock().unwrap().replace(reply(1));
    let admission = statement.await.unwrap();
    assert!(matches!(admission, Admission::Admitted(_)), "{admission:?}");
    assert_eq!(load.await.unwrap().nodes().len(), 1);
    core.shutdown().await;
}

#[tokio::test]
async fn who_has_waited_through_a_drain_stays_in_line_when_others_are_let_in_first() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let script: Script = Arc::new(Mutex::new(Some(reply(1))));
    script.lock().unwrap().as_mut().unwrap().cpu_cores = 1;
    add_node(&core, start_node(Arc::clone(&script)).await, "w").await;
    until(&core, "alive", NodeView::is_available).await;
    script.lock().unwrap().as_mut().unwrap().draining = true;
    until(&core, "leaving", |node| node.drain == DrainState::Leaving).await;
    let line: Vec<_> = (0..6)
        .map(|_| {
            let waiter = core.clone();
            tokio::spawn(async move {
                let patience = Patience::AtLeast(SHORT);
                waiter.admit("w", "a statement", patience, |_, _| {}).await
            })
        })
        .collect();
    tokio::time::sleep(10 * SHORT).await;
    script.lock().unwrap().as_mut().unwrap().draining = false;
    until(&core, "serves", NodeView::is_available).await;
    tokio::time::sleep(10 * SHORT).await;
    let (admitted, in_line): (Vec<_>, Vec<_>) = line.into_iter().partition(tokio::task::JoinHandle::is_finished);
    assert_eq!((admitted.len(), in_line.len()), (4, 2), "a core has four slots");
    for admission in admitted {
        let admission = admission.await.unwrap();
        assert!(matches!(admission, Admission::Admitted(_)), "{admission:?}");
    }
    for admission in in_line {
        let admission = admission.await.unwrap();
        assert!(matches!(admission, Admission::Admitted(_)), "{admission:?}");
    }
    core.shutdown().await;
}
