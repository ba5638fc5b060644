use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::StatementClock;

const LIMIT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_statement_that_runs_all_the_while_ends_at_its_limit() {
    let began = Instant::now();
    assert_eq!(StatementClock::start(LIMIT).runs_out().await, LIMIT);
    assert!(began.elapsed() >= LIMIT);
}

#[tokio::test]
async fn waiting_for_compute_is_not_counted() {
    let began = Instant::now();
    let clock = StatementClock::start(LIMIT);
    let waits = async {
        let pause = clock.pause();
        sleep(LONG).await;
        drop(pause);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = waits => {}
        _ = clock.runs_out() => {}
    }
    assert!(began.elapsed() >= LONG + LIMIT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_limit_that_has_passed_already_ends_at_once() {
    let clock = StatementClock::start(LIMIT);
    sleep(2 * LIMIT).await;
    let began = Instant::now();
    clock.runs_out().await;
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn what_is_known_later_of_its_nodes_ends_a_statement_earlier_and_never_later() {
    let began = Instant::now();
    let clock = StatementClock::start(LONG);
    let told = async {
        clock.at_most(2 * LONG);
        sleep(LIMIT / 2).await;
        clock.at_most(LIMIT);
        std::future::pending::<()>().await;
    };
    let limit = tokio::select! {
        () = told => unreachable!("it is pending"),
        limit = clock.runs_out() => limit,
    };
    assert_eq!(limit, LIMIT);
    assert!(
        began.elapsed() >= LIMIT && began.elapsed() < LONG,
        "{:?}",
        began.elapsed()
    );
}
