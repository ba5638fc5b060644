//! A pre-scaling window on the clock of a real cluster, from the time before it until its compute is gone.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use serde_json::json;

use crate::department::{Department, EFFECT_LIMIT, LAKE, eventually, execute, nodes, shared, value};
use crate::scenario::Scenario;

const GROUP: &str = "windowed";
/// From now to the opening, at least: cron counts in whole minutes.
const AHEAD: TimeDelta = TimeDelta::seconds(80);
const LEAD: TimeDelta = TimeDelta::seconds(60);
/// A lead time begins up to so much early: not all groups want nodes in the same second.
const SPREAD: TimeDelta = TimeDelta::seconds(10);
const OPEN: TimeDelta = TimeDelta::seconds(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_window_has_compute_before_it_opens_and_none_after_it_closes() {
    let scenario = Scenario::begin("a window has compute before it opens, and none after it closes").may_take(
        Duration::from_secs(180),
        "windows open at whole minutes, and it is looked at from before its lead time until it has closed",
    );
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            department.group(GROUP, LAKE, json!({"replicas": 0})).await;
            department.serves(GROUP, 0).await;
            let opens = (Utc::now() + AHEAD + TimeDelta::minutes(1))
                .duration_trunc(TimeDelta::minutes(1))
                .expect("a whole minute");
            let closes = opens + OPEN;
            let window = json!({
                "name": "peak", "start": format!("{} {} * * *", opens.minute(), opens.hour()), "duration": "15s",
                "leadTime": "60s", "timeZone": "Etc/UTC", "minReplicas": 1,
            });
            department
                .group(GROUP, LAKE, json!({"replicas": 0, "schedules": [window]}))
                .await;
            let raised = before(&department).await;
            assert!(raised <= opens - LEAD && raised > opens - LEAD - SPREAD, "{raised}");
            tokio::time::sleep((raised - Utc::now()).to_std().unwrap_or_default()).await;
            open(&department, raised, opens, closes).await;
            while Utc::now() < closes {
                let status = department.status(GROUP).await;
                assert!(
                    status.serving_replicas == 1 || Utc::now() >= closes,
                    "inside the window: {status:?}"
                );
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            after(&department, raised + TimeDelta::days(1)).await;
        })
        .await;
}

/// The status tells what will happen and when, and nothing has happened yet.
async fn before(department: &Department) -> DateTime<Utc> {
    let status = eventually("the window is seen", EFFECT_LIMIT, async || {
        let status = department.status(GROUP).await;
        if status.next_transition.is_some() {
            Ok(status)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    let next = status.next_transition.expect("a transition");
    assert_eq!((next.floor, next.ceiling, next.wanted_replicas), (Some(1), None, 1));
    assert_eq!(next.windows, ["peak"]);
    let now = (
        status.wanted_replicas,
        status.floor,
        status.ceiling,
        status.active_windows.len(),
    );
    assert_eq!(now, (Some(0), None, None, 0));
    time(&next.at)
}

/// A node serves before the window opens, by the operator's word, the frontend's and a query.
async fn open(department: &Department, raised: DateTime<Utc>, opens: DateTime<Utc>, closes: DateTime<Utc>) {
    let status = eventually("a node serves ahead of the window", EFFECT_LIMIT, async || {
        let status = department.status(GROUP).await;
        if status.serving_replicas == 1 {
            Ok(status)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    let mut session = department.session(LAKE).await;
    let known = nodes(&mut session, GROUP).await;
    assert!(known.len() == 1 && known[0].alive, "{known:?}");
    let row = [
        "SET warehouse = 'windowed'",
        "DROP DATABASE IF EXISTS it_window",
        "CREATE DATABASE it_window",
        "CREATE TABLE it_window.t (id INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "INSERT INTO it_window.t VALUES (7)",
    ];
    execute(&mut session, &row).await;
    assert_eq!(value(&mut session, "SELECT sum(id) FROM it_window.t").await, "7");
    let ready = Utc::now();
    assert!(
        ready < opens,
        "compute was ready at {ready}, the window opened at {opens}"
    );
    assert_eq!(
        (status.floor, status.ceiling, status.wanted_replicas),
        (Some(1), None, Some(1))
    );
    let [window] = status.active_windows.as_slice() else {
        panic!("{:?}", status.active_windows);
    };
    assert_eq!(
        (window.name.as_str(), window.min_replicas, window.max_replicas),
        ("peak", Some(1), None)
    );
    let times = [&window.raised_at, &window.opens_at, &window.closes_at].map(|text| time(text));
    assert_eq!(times, [raised, opens, closes]);
    let ready_at = window.ready_at.as_deref().map(time);
    assert!(
        !window.late && ready_at.is_some_and(|ready_at| ready_at < opens),
        "{window:?}"
    );
    assert_eq!(status.next_transition.map(|next| time(&next.at)), Some(closes));
}

/// Its node has drained, its pod is gone and the frontend has forgotten it.
async fn after(department: &Department, next_raised: DateTime<Utc>) {
    let status = department.serves(GROUP, 0).await.status.unwrap_or_default();
    assert_eq!((status.floor, status.active_windows.len()), (None, 0));
    assert_eq!(status.next_transition.map(|next| time(&next.at)), Some(next_raised));
    let mut session = department.session(LAKE).await;
    assert_eq!(nodes(&mut session, GROUP).await, []);
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
