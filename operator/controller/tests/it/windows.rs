//! Windows open and close by the clock that the operator is given, and on the dates of Calendars.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kube::api::PatchParams;
use serde_json::{Value, json};
use springtide_controller::clock::Clock as _;
use springtide_crds::{Calendar, ComputeGroup};

use crate::harness::{api_server::api_server, rights::try_apply, world::World};

#[tokio::test]
async fn a_window_raises_compute_before_it_opens_and_lets_it_go_when_it_closes() {
    let world = World::new().await;
    let opens = "2030-06-03T08:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap();
    world.clock.set(opens - TimeDelta::minutes(30));
    let operator = world.operator();
    world.make_cluster("lake").await;
    let mut window = morning();
    window["leadTime"] = json!("5m");
    world
        .make_group("etl", "lake", json!({"replicas": 1, "schedules": [window]}))
        .await;
    world.group_serves("etl", 1).await;
    let status = world.get::<ComputeGroup>("etl").await.unwrap().status.unwrap();
    let next = status.next_transition.unwrap();
    let raises = opens - TimeDelta::minutes(5) - world.stagger("etl");
    assert_eq!((next.at.parse().unwrap(), next.wanted_replicas), (raises, 4));

    // The clock keeps running: the edge comes by itself, at the moment the operator has planned for.
    clock_shows(&world, raises - TimeDelta::seconds(2)).await;
    world.group_serves("etl", 4).await;
    let status = world.get::<ComputeGroup>("etl").await.unwrap().status.unwrap();
    assert_eq!((status.floor, status.active_windows.len()), (Some(4), 1));
    let metrics = world.metrics.render();
    let lateness = metrics
        .lines()
        .find(|line| line.starts_with("springtide_window_lateness_seconds{"))
        .unwrap();
    let seconds: f64 = lateness.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((-310.0..-200.0).contains(&seconds), "{lateness}");

    clock_shows(&world, opens + TimeDelta::hours(2) - TimeDelta::seconds(2)).await;
    world.group_serves("etl", 1).await;
    operator.stop().await;
}

#[tokio::test]
async fn an_operator_that_was_away_at_the_edge_catches_up() {
    let world = World::new().await;
    let opens = "2030-06-03T08:00:00Z".parse::<chrono::DateTime<Utc>>().unwrap();
    world.clock.set(opens - TimeDelta::hours(1));
    let operator = world.operator();
    world.make_cluster("lake").await;
    let window =
        json!({"name": "morning", "start": "0 8 * * *", "until": "18:00", "timeZone": "Etc/UTC", "minReplicas": 3});
    world
        .make_group("etl", "lake", json!({"replicas": 1, "schedules": [window]}))
        .await;
    world.group_serves("etl", 1).await;
    operator.crash().await;
    world.clock.set(opens + TimeDelta::hours(3));
    let operator = world.operator();
    world.group_serves("etl", 3).await;
    operator.stop().await;
}

/// Sets the clock, and has the operator look at it.
async fn clock_shows(world: &World, moment: DateTime<Utc>) {
    world.clock.set(moment);
    world
        .merge::<ComputeGroup>(
            "etl",
            json!({"metadata": {"annotations": {"look": moment.to_rfc3339()}}}),
        )
        .await;
}

/// For four nodes.
fn morning() -> Value {
    json!({"name": "morning", "start": "0 8 * * *", "duration": "2h", "timeZone": "Etc/UTC", "minReplicas": 4})
}

/// A group of one node in which a window for four opens so many seconds after the look that foresees it, and when that is. It has at `most`
/// so many by an autoscaler, or none.
async fn about_to_open(world: &World, seconds: i64, most: Option<u32>) -> DateTime<Utc> {
    let opens = "2030-06-03T08:00:00Z".parse().unwrap();
    world.clock.set(opens - TimeDelta::minutes(30));
    world.make_cluster("lake").await;
    let mut spec = json!({"replicas": 1, "schedules": [morning()]});
    if let Some(most) = most {
        spec["autoscaling"] = json!({"maxReplicas": most});
    }
    world.make_group("etl", "lake", spec).await;
    world.group_serves("etl", 1).await;
    clock_shows(world, opens - TimeDelta::seconds(seconds)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    opens
}

#[tokio::test]
async fn a_frontend_that_hangs_makes_no_window_late() {
    // One that is asked again only after the opening; and one that each look before it waits for.
    for (seconds, most) in [(6, None), (16, Some(6))] {
        let world = World::new().await;
        let operator = world.operator();
        let opens = about_to_open(&world, seconds, most).await;
        world.frontend.catalog.lock().unwrap().hangs = true;
        world
            .eventually("it grows", || async {
                (world.wanted("etl").await == Some(4)).then_some(())
            })
            .await;
        // Whoever asks the frontend first gives up after five seconds.
        let lag = world.clock.now() - opens;
        assert!(lag < TimeDelta::seconds(4), "{lag}");
        world.frontend.catalog.lock().unwrap().hangs = false;
        world.group_serves("etl", 4).await;
        operator.stop().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_before_the_opening_opens_nothing() {
    let world = World::new().await;
    let operator = world.operator();
    let opens = about_to_open(&world, 6, None).await;
    world.clock.set(opens - TimeDelta::hours(2));
    let mark = api_server().audit_mark();
    // Past the moment at which the window would have opened.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let written = api_server().writes_since(mark, Some(&world.namespace));
    assert!(written.is_empty(), "{written:?}");
    clock_shows(&world, opens + TimeDelta::hours(1)).await;
    world.group_serves("etl", 4).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_holiday_that_is_entered_in_the_last_minute_counts_also_while_other_values_are_refused() {
    let world = World::new().await;
    let operator = world.operator();
    write_calendar(&world, json!({})).await.unwrap();
    let opens: DateTime<Utc> = "2030-06-03T08:00:00Z".parse().unwrap();
    world.clock.set(opens - TimeDelta::minutes(30));
    world.make_cluster("lake").await;
    let mut window = morning();
    window["calendars"] = json!(["holidays"]);
    world
        .make_group("etl", "lake", json!({"replicas": 1, "schedules": [window]}))
        .await;
    world.group_serves("etl", 1).await;
    let mut misspelt = window;
    misspelt["calendars"] = json!(["holiday"]);
    world
        .merge::<ComputeGroup>("etl", json!({"spec": {"schedules": [misspelt]}}))
        .await;
    world
        .eventually("the values are refused", || async {
            let status = world.get::<ComputeGroup>("etl").await?.status?;
            let mut conditions = status.conditions.iter();
            conditions
                .any(|condition| condition.type_ == "Accepted" && condition.status == "False")
                .then_some(())
        })
        .await;
    clock_shows(&world, opens - TimeDelta::seconds(8)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mark = api_server().audit_mark();
    write_calendar(&world, json!({"excludedDates": [{"from": "2030-06-03"}]}))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let sizes = api_server().writes_since(mark, Some(&world.namespace));
    let sizes: Vec<_> = sizes.iter().filter(|write| write.what.contains("/scale")).collect();
    assert!(sizes.is_empty(), "{sizes:?}");
    operator.stop().await;
}

/// Writes a Calendar as it is, or says why it is refused.
async fn write_calendar(world: &World, spec: Value) -> Result<(), String> {
    let calendar = json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar",
        "metadata": {"name": "holidays", "namespace": world.namespace}, "spec": spec});
    let written = try_apply(&world.client, &calendar, &PatchParams::apply("a-test").force()).await;
    written.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_holiday_on_a_date_that_does_not_exist_is_refused_and_not_ignored() {
    let world = World::new().await;
    for date in [
        "2027-02-29",
        "2100-02-29",
        "2028-02-30",
        "2028-02-31",
        "2028-04-31",
        "2028-11-31",
    ] {
        let refusals = [
            write_calendar(&world, json!({"excludedDates": [{"from": date}]})).await,
            write_calendar(&world, json!({"extraDates": [{"from": "2027-01-01", "to": date}]})).await,
        ];
        for refusal in refusals {
            let message = refusal.expect_err(date);
            assert!(
                message.contains("write a date that exists as YYYY-MM-DD"),
                "{date}: {message}"
            );
        }
    }
    for date in [
        "2028-02-29",
        "2000-02-29",
        "2096-02-29",
        "2027-02-28",
        "2028-01-31",
        "2028-12-31",
        "2028-04-30",
    ] {
        let written = write_calendar(&world, json!({"excludedDates": [{"from": date}]})).await;
        assert_eq!(written, Ok(()), "{date}");
    }
}

#[tokio::test]
async fn the_last_date_of_a_calendar_can_be_taken_away() {
    let world = World::new().await;
    write_calendar(&world, json!({"excludedDates": [{"from": "2030-12-24"}]}))
        .await
        .unwrap();
    write_calendar(&world, json!({})).await.unwrap();
    let calendar = world.get::<Calendar>("holidays").await.unwrap();
    assert!(calendar.spec.excluded_dates.is_empty());
}
