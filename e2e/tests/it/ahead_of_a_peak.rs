//! A pre-scaling window on the clock of a real cluster, from the time before it until its compute is gone.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, execute, nodes, shared, value},
    scenario::Scenario,
};

const GROUP: &str = "windowed";
/// From now to the opening, at least, and up to a minute more: cron counts in whole minutes.
const AHEAD: TimeDelta = TimeDelta::seconds(60);
/// A node starts in it, on a machine that runs several scenarios at once.
const LEAD: TimeDelta = TimeDelta::seconds(40);
/// A lead time begins up to so much early: not all groups want nodes in the same second.
const SPREAD: TimeDelta = TimeDelta::seconds(10);
const OPEN: TimeDelta = TimeDelta::seconds(15);
/// From now to the node that serves, at most.
const READY_LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_window_has_compute_before_it_opens_and_none_after_it_closes() {
    let scenario = Scenario::begin("a window has compute before it opens, and none after it closes").may_take(
        Duration::from_secs(180),
        "windows open at whole minutes, and it is looked at from before its lead time until it has closed",
    );
    let department = shared(&scenario).await;
    department
        .with_own(&[], &[GROUP], async || {
            scenario
                .given("a group without nodes", async || {
                    department.group(GROUP, LAKE, json!({"replicas": 0})).await;
                    department.serves(GROUP, 0).await;
                })
                .await;
            let opens = (Utc::now() + AHEAD + TimeDelta::minutes(1))
                .duration_trunc(TimeDelta::minutes(1))
                .expect("a whole minute");
            let closes = opens + OPEN;
            scenario
                .when("it is given a window", async || {
                    let window = json!({
                        "name": "peak", "start": format!("{} {} * * *", opens.minute(), opens.hour()),
                        "duration": format!("{}s", OPEN.num_seconds()), "leadTime": format!("{}s", LEAD.num_seconds()),
                        "timeZone": "Etc/UTC", "minReplicas": 1,
                    });
                    department
                        .group(GROUP, LAKE, json!({"replicas": 0, "schedules": [window]}))
                        .await;
                })
                .await;
            let raised = before(&scenario, &department).await;
            scenario
                .and("its compute is to come a lead time before it opens", async || {
                    assert!(raised <= opens - LEAD && raised > opens - LEAD - SPREAD, "{raised}");
                })
                .await;
            open(&scenario, &department, raised, opens, closes).await;
            scenario
                .always(
                    "it has compute until it closes",
                    EFFECT_LIMIT,
                    async || {
                        let left = (closes - Utc::now()).num_seconds();
                        if Utc::now() >= closes {
                            Ok(())
                        } else {
                            Err(format!("{left} s are left"))
                        }
                    },
                    async || {
                        let status = department.status(GROUP).await;
                        assert!(
                            status.serving_replicas == 1 || Utc::now() >= closes,
                            "inside the window: {status:?}"
                        );
                    },
                )
                .await;
            after(&scenario, &department, raised + TimeDelta::days(1)).await;
        })
        .await;
}

/// The status tells what will happen and when, and nothing has happened yet.
async fn before(scenario: &Scenario, department: &Department) -> DateTime<Utc> {
    let status = scenario
        .then("the window is seen", EFFECT_LIMIT, async || {
            let status = department.status(GROUP).await;
            if status.next_transition.is_some() {
                Ok(status)
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await;
    let now = (
        status.wanted_replicas,
        status.floor,
        status.ceiling,
        status.active_windows.len(),
    );
    let next = status.next_transition.expect("a transition");
    scenario
        .and("what it will change is told, and has not changed yet", async || {
            assert_eq!((next.floor, next.ceiling, next.wanted_replicas), (Some(1), None, 1));
            assert_eq!(next.windows, ["peak"]);
            assert_eq!(now, (Some(0), None, None, 0));
        })
        .await;
    time(&next.at)
}

/// A node serves before the window opens, by the operator's word, the frontend's and a query.
async fn open(
    scenario: &Scenario,
    department: &Department,
    raised: DateTime<Utc>,
    opens: DateTime<Utc>,
    closes: DateTime<Utc>,
) {
    let status = scenario
        .then("a node serves", READY_LIMIT, async || {
            let status = department.status(GROUP).await;
            if status.serving_replicas == 1 {
                Ok(status)
            } else {
                Err(format!(
                    "{:?} wanted, {} serve",
                    status.wanted_replicas, status.serving_replicas
                ))
            }
        })
        .await;
    scenario
        .and("it answers queries, and the window has not opened", async || {
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
        })
        .await;
    scenario
        .and("the status tells of the window", async || {
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
            let next = status.next_transition.as_ref().map(|next| time(&next.at));
            assert_eq!(next, Some(closes));
        })
        .await;
}

/// Its node has drained, its pod is gone and the frontend has forgotten it.
async fn after(scenario: &Scenario, department: &Department, next_raised: DateTime<Utc>) {
    let group = scenario
        .then("no node is left", EFFECT_LIMIT, async || {
            department.serving(GROUP, 0).await
        })
        .await;
    scenario
        .and("the frontend knows none, and the next opening is told", async || {
            let status = group.status.unwrap_or_default();
            assert_eq!((status.floor, status.active_windows.len()), (None, 0));
            assert_eq!(status.next_transition.map(|next| time(&next.at)), Some(next_raised));
            let mut session = department.session(LAKE).await;
            assert_eq!(nodes(&mut session, GROUP).await, []);
        })
        .await;
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
