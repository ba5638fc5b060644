use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::StatementClock;

const LIMIT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_statement_that_runs_all_the_while_ends_at_its_limit() {
    let began = Instant::now();
    StatementClock::start().reaches(LIMIT).await;
    assert!(began.elapsed() >= LIMIT);
}

#[tokio::test]
async fn waiting_for_compute_is_not_counted() {
    let began = Instant::now();
    let clock = StatementClock::start();
    let waits = async {
        let pause = clock.pause();
        sleep(LONG).await;
        drop(pause);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = waits => {}
        () = clock.reaches(LIMIT) => {}
    }
    assert!(began.elapsed() >= LONG + LIMIT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_limit_that_has_passed_already_ends_at_once() {
    let clock = StatementClock::start();
    sleep(2 * LIMIT).await;
    let began = Instant::now();
    clock.reaches(LIMIT).await;
    assert!(began.elapsed() < LIMIT);
}
