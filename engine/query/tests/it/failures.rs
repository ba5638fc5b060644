//! Lost workers, wrong tokens, cancelled statements.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use springtide_query::{
    Coordinator, CoordinatorOptions, PLAN_VERSION, QueryError, QueryErrorKind, SpillSpace, WorkerOptions, WorkerService,
};

use crate::{
    cluster::{Cluster, First, Gate, TOKEN, TestWorker, parse, rows, run, token},
    tpch::{filled, loaded},
};

/// Takes minutes, on every worker.
const ENDLESS: &str = "select count(*) from lineitem a, lineitem b where a.l_comment < b.l_comment
    and a.l_shipdate <> b.l_commitdate and a.l_suppkey + b.l_suppkey > 1";

/// As long, and without a row: each join compares all and finds none.
const WITHOUT_A_ROW: [&str; 4] = [
    "select count(*) from lineitem a, lineitem b where a.l_suppkey + b.l_suppkey < 0 and a.l_comment < b.l_comment",
    "select count(b.l_suppkey) from orders a left join lineitem b on a.o_custkey + b.l_suppkey < 0 and a.o_comment < b.l_comment",
    "select count(*) from orders a where not exists
        (select 1 from lineitem b where a.o_custkey + b.l_suppkey < 0 and a.o_comment < b.l_comment)",
    "select count(*) from lineitem a where exists
        (select 1 from lineitem b where a.l_linestatus = b.l_linestatus and a.l_suppkey + b.l_suppkey < 0)",
];

/// Of a worker, by [`springtide_query::WorkerOptions::new`].
const COMPUTE_THREADS: usize = 2;

const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_is_named_and_the_others_answer_the_retry() {
    let (mut cluster, _) = loaded(3).await;
    let session = cluster.session();
    let plan = session.plan(parse(ENDLESS)).await.unwrap();
    let running = tokio::spawn(async move {
        let stream = session.execute_stream(&plan).await?;
        stream.try_collect::<Vec<_>>().await
    });
    until("all workers run", || {
        cluster
            .workers
            .iter()
            .all(|worker| worker.service.running_fragments() > 0)
    })
    .await;
    let victim = cluster.workers[1].url.clone();
    cluster.workers[1].kill();
    let error = tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::WorkerLost, "{error}");
    assert_eq!(error.lost_worker(), Some(victim.as_str()), "{error}");

    let mut request = cluster.request();
    request.workers.retain(|url| *url != victim);
    let session = cluster.coordinator.session(request).unwrap();
    let answer = run(&session, "select count(l_comment) from lineitem where l_orderkey > 0")
        .await
        .unwrap();
    assert_eq!(rows(&answer), ["60175"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_never_there_is_named() {
    let (cluster, _) = loaded(1).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let gone: url::Url = format!("http://127.0.0.1:{port}").parse().unwrap();
    let mut request = cluster.request();
    request.workers.push(gone.clone());
    let session = cluster.coordinator.session(request).unwrap();
    let error = run(
        &session,
        "select l_returnflag, sum(l_quantity) from lineitem group by l_returnflag",
    )
    .await
    .unwrap_err();
    assert_eq!(error.lost_worker(), Some(gone.as_str()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_get_its_part_of_the_plan_is_named_before_others_give_up_waiting_for_it() {
    /// After this, other workers say that they waited too long.
    const OTHERS_GIVE_UP: Duration = Duration::from_secs(10);
    for first in [First::Breaks, First::Hangs] {
        let (cluster, _) = loaded(2).await;
        let gate = Gate::before(&cluster.workers[1].url, first).await;
        let mut request = cluster.request();
        request.workers = vec![cluster.workers[0].url.clone(), gate.url.clone()];
        let mut options = CoordinatorOptions::new(token(TOKEN));
        options.channels.plan_timeout = Duration::from_secs(1);
        let coordinator = Coordinator::new(Arc::clone(&cluster.store), options).unwrap();
        let session = coordinator.session(request).unwrap();
        let begun = Instant::now();
        let error = run(
            &session,
            "select l_returnflag, sum(l_quantity) from lineitem group by l_returnflag",
        )
        .await
        .unwrap_err();
        assert_eq!(error.lost_worker(), Some(gate.url.as_str()), "{first:?}: {error}");
        assert!(begun.elapsed() < OTHERS_GIVE_UP, "{first:?}: {:?}", begun.elapsed());
        until("the other worker rests", || {
            cluster.workers[0].service.running_fragments() == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused() {
    let (cluster, _) = loaded(1).await;
    let stranger = Cluster::coordinator(&cluster.store, "Bearer another-token");
    let session = stranger.session(cluster.request()).unwrap();
    let error = run(&session, "select max(l_tax) from lineitem").await.unwrap_err();
    assert!(matches!(error, QueryError::WorkerRefused { .. }), "{error}");
    assert_eq!(cluster.scanned_rows(), [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_release_refuses_the_plan_before_it_reads_it_and_the_others_answer() {
    let newer = |options: &mut WorkerOptions| options.plan_versions = PLAN_VERSION + 1..=PLAN_VERSION + 2;
    let (cluster, _) = loaded(1).await;
    let stranger = TestWorker::start(&cluster.store, newer);
    let mut request = cluster.request();
    request.workers.push(stranger.url.clone());
    let session = cluster.coordinator.session(request).unwrap();
    let query = "select l_returnflag, sum(l_quantity) from lineitem group by l_returnflag";
    let begun = Instant::now();
    let error = run(&session, query).await.unwrap_err();
    assert!(matches!(error, QueryError::PlanUnread { .. }), "{error}");
    assert_eq!(error.lost_worker(), Some(stranger.url.as_str()), "{error}");
    assert!(error.to_string().ends_with("upgrade the frontend"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits for its part");
    assert_eq!(stranger.service.metrics().scanned_rows, 0);
    assert_eq!(rows(&cluster.query(query).await.unwrap()).len(), 3);
}

/// All threads of the worker are free at the same moment, to compute something else.
async fn computes_nothing(worker: &WorkerService, threads: usize) {
    let meeting = Arc::new(Barrier::new(threads));
    let threads = (0..threads).map(|_| {
        let meeting = Arc::clone(&meeting);
        worker.compute().unwrap().spawn(async move {
            meeting.wait();
        })
    });
    let met = futures::future::join_all(threads);
    let met = tokio::time::timeout(Duration::from_secs(5), met).await;
    met.expect("the work has ended, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_stream_ends_the_work_on_all_workers() {
    let (cluster, _) = loaded(2).await;
    for endless in [ENDLESS].into_iter().chain(WITHOUT_A_ROW) {
        let session = cluster.session();
        let plan = session.plan(parse(endless)).await.unwrap();
        let mut stream = session.execute_stream(&plan).await.unwrap();
        // Nothing comes within this time: the statement takes minutes.
        let _ = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        until("all workers run", || {
            cluster
                .workers
                .iter()
                .all(|worker| worker.service.running_fragments() > 0)
        })
        .await;
        drop(stream);
        until("all workers rest", || {
            cluster
                .workers
                .iter()
                .all(|worker| worker.service.running_fragments() == 0)
        })
        .await;
        for worker in &cluster.workers {
            computes_nothing(&worker.service, COMPUTE_THREADS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_joins_fit_into_a_plan() {
    let (cluster, _) = loaded(2).await;
    let joins: String = (1..=20)
        .map(|number| format!(" join nation n{number} on n0.n_nationkey = n{number}.n_nationkey"))
        .collect();
    let answer = cluster
        .query(&format!("select count(n20.n_name) from nation n0{joins}"))
        .await;
    assert_eq!(rows(&answer.unwrap()), ["25"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_workers_tables_cannot_be_read_but_constants_can() {
    let (cluster, _) = loaded(1).await;
    let mut request = cluster.request();
    request.workers.clear();
    let session = cluster.coordinator.session(request).unwrap();
    assert_eq!(rows(&run(&session, "select 1 + 1").await.unwrap()), ["2"]);
    let error = run(&session, "select max(l_tax) from lineitem").await.unwrap_err();
    assert!(matches!(error, QueryError::NoWorkers(_)), "{error}");
}

/// A join of two sides of 3 million rows, some 170 MB each.
const LARGE_JOIN: &str = "with a as (select l_orderkey * 50 + n_nationkey * 2 + half as id, l_linenumber as line,
    l_comment as text from lineitem cross join nation cross join (values (0), (1)) as halves(half))
    select count(*), max(length(x.text)) from a as x join a as y
    on x.id = y.id and x.line = y.line and length(x.text) + length(y.text) > 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_does_not_fit_into_memory_goes_to_disk_when_it_is_planned_frugally() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_with(1, |options| {
        options.memory_limit_bytes = 160 << 20;
        options.spill = Some(SpillSpace {
            folder: folder.path().to_owned(),
            limit_bytes: 4 << 30,
        });
    });
    let (cluster, _) = filled(cluster).await;
    let hungry = run(&cluster.session(), LARGE_JOIN).await.unwrap_err();
    assert!(hungry.is_out_of_memory(), "{hungry}");
    let mut request = cluster.request();
    request.settings.frugal = true;
    let session = cluster.coordinator.session(request).unwrap();
    let answer = run(&session, LARGE_JOIN).await.unwrap();
    assert_eq!(rows(&answer), ["3008750|43"]);
}
