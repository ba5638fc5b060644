//! A status that was written by a clock that was a day ahead or a day behind, and the first look at the right time.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use springtide_crds::LeadTime;
use springtide_crds::compute_group::{DrainPhase, DrainingNode, ObservedStart, StartUp, WindowPhase};

use super::replicas;
use crate::condition::instant_text;
use crate::fixture::{GroupFixture, group, noon, statements};
use crate::observed::SqlAnswer;
use crate::sql::{DrainOrder, DrainState, WarehouseRow};

/// Ahead and behind.
fn wrong_times() -> [DateTime<Utc>; 2] {
    [TimeDelta::days(1), TimeDelta::days(-1)].map(|wrong| noon() + wrong)
}

#[test]
fn the_first_look_wants_what_the_windows_of_now_want() {
    for wrong in wrong_times() {
        let misled = group("etl")
            .window("sunday", "0 11 * * SUN", Some(7), None)
            .window("monday", "0 11 * * MON", Some(4), None)
            .window("tuesday", "0 11 * * TUE", Some(7), Some(9))
            .settled_at(wrong);
        let before = misled.0.group.status.clone().unwrap();
        assert_eq!((before.floor, before.wanted_replicas), (Some(7), Some(7)), "{wrong}");
        let plan = misled.plan();
        assert_eq!(replicas(&plan), Some(4), "{wrong}");
        let status = plan.status.unwrap();
        assert_eq!(
            (status.floor, status.ceiling, status.wanted_replicas),
            (Some(4), None, Some(4)),
            "{wrong}"
        );
        let active: Vec<&str> = status
            .active_windows
            .iter()
            .map(|window| window.name.as_str())
            .collect();
        assert_eq!(active, ["monday"], "{wrong}");
        let next = status.next_transition.unwrap();
        assert_eq!(
            (next.at.as_str(), next.floor),
            ("2026-11-23T13:00:00Z", None),
            "{wrong}"
        );
    }
}

#[test]
fn statements_that_waited_by_a_wrong_clock_hold_no_nodes() {
    let queued = |fixture: GroupFixture, queued: u32| {
        fixture.with(|observed| {
            if let SqlAnswer::Answered { warehouses, .. } = &mut observed.sql {
                *warehouses = vec![WarehouseRow {
                    name: "etl".to_owned(),
                    running: 16,
                    queued,
                    required_nodes: 4,
                }];
            }
        })
    };
    for wrong in wrong_times() {
        let serving = group("etl").replicas(1).pods(0..1).nodes(0..1).with(|observed| {
            observed.group.spec.autoscaling = serde_json::from_value(json!({"maxReplicas": 6})).unwrap();
        });
        let misled = queued(serving, 48).settled_at(wrong);
        let before = misled.0.group.status.clone().unwrap();
        let demand = before.demand.map(|demand| (demand.nodes, demand.until));
        let until = instant_text(wrong + TimeDelta::minutes(2));
        assert_eq!((before.wanted_replicas, demand), (Some(4), Some((4, until))));
        let status = queued(misled, 0).plan().status.unwrap();
        assert_eq!((status.wanted_replicas, status.demand), (Some(1), None), "{wrong}");
    }
}

/// Three nodes serve, two are wanted, and the status says since when the third leaves.
fn leaving_since(since: DateTime<Utc>) -> GroupFixture {
    let serving = group("etl").replicas(3).pods(0..3).nodes(0..3).settled();
    serving.replicas(2).with(|observed| {
        observed.group.status.as_mut().unwrap().draining = vec![DrainingNode {
            node: "etl-cn-2".to_owned(),
            since: instant_text(since),
            phase: DrainPhase::Draining,
            waiting_for: Some("1 load".to_owned()),
            forced: false,
        }];
    })
}

#[test]
fn a_node_that_takes_work_has_its_whole_time_to_drain() {
    for wrong in wrong_times() {
        let plan = leaving_since(wrong).plan();
        assert_eq!(statements(&plan), ["ALTER SYSTEM DRAIN COMPUTE NODE 10002"], "{wrong}");
        assert_eq!(replicas(&plan), None, "{wrong}: no pod goes yet");
        let draining = &plan.status.as_ref().unwrap().draining;
        let since: Vec<(&str, &str)> = draining
            .iter()
            .map(|node| (node.node.as_str(), node.since.as_str()))
            .collect();
        assert_eq!(since, [("etl-cn-2", instant_text(noon()).as_str())], "{wrong}");
    }
}

/// It was ordered to, and has been sent nothing new for so long.
fn draining_for(fixture: GroupFixture, seconds: u32) -> GroupFixture {
    fixture.with(|observed| {
        if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
            let row = &mut compute_nodes[2];
            (row.alive, row.draining, row.drain) = (false, true, DrainState::Draining);
            row.waiting_for = "1 load".to_owned();
            row.drains_for_seconds = Some(seconds);
            row.order = Some(DrainOrder {
                forced: false,
                lasts_seconds: 60,
            });
        }
    })
}

#[test]
fn a_drain_that_began_by_a_clock_behind_has_the_rest_of_its_time() {
    let draining = draining_for(leaving_since(noon() - TimeDelta::days(1)), 4);
    let plan = draining.plan();
    assert_eq!(statements(&plan), [] as [&str; 0], "nothing is cut off");
    let status = plan.status.unwrap();
    assert_eq!(status.draining[0].since, instant_text(noon() - TimeDelta::seconds(4)));
    let remembered = draining.with(|observed| observed.group.status = Some(status));
    // The frontend's count and the clock are not read at the same moment.
    let next = draining_for(remembered.clone(), 5).plan_at(noon() + TimeDelta::seconds(2));
    assert_eq!(next.status, None);
    let late = draining_for(remembered, 596).plan_at(noon() + TimeDelta::seconds(596));
    assert_eq!(statements(&late), ["ALTER SYSTEM DRAIN COMPUTE NODE 10002 FORCE"]);
}

#[test]
fn a_drain_that_began_by_a_clock_ahead_has_its_time_from_now_on_and_no_more() {
    let draining = draining_for(leaving_since(noon() + TimeDelta::days(1)), 0);
    let plan = draining.plan();
    assert_eq!(statements(&plan), [] as [&str; 0]);
    let status = plan.status.unwrap();
    assert_eq!(status.draining[0].since, instant_text(noon()));
    let remembered = draining.with(|observed| observed.group.status = Some(status));
    let late = draining_for(remembered, 600).plan_at(noon() + TimeDelta::minutes(10));
    assert_eq!(statements(&late), ["ALTER SYSTEM DRAIN COMPUTE NODE 10002 FORCE"]);
}

#[test]
fn a_window_that_a_wrong_clock_raised_says_nothing_about_the_lead_of_auto() {
    for wrong in wrong_times() {
        let misled = group("etl")
            .replicas(0)
            .window("peak", "3 12 * * *", Some(2), None)
            .with(|observed| {
                observed.group.spec.schedules[0].lead_time = Some(LeadTime("auto".to_owned()));
            })
            .settled_at(wrong);
        // As long as no start was seen, the lead is five minutes.
        let before = misled.0.group.status.as_ref().unwrap();
        assert_eq!(
            (before.active_windows[0].phase, before.floor),
            (WindowPhase::Raised, Some(2)),
            "{wrong}"
        );
        let quick = misled.with(|observed| {
            observed.group.status.as_mut().unwrap().start_up = Some(StartUp {
                recent: vec![ObservedStart {
                    pod: "uid-0".to_owned(),
                    seconds: 12,
                }],
                ..StartUp::default()
            });
        });
        let status = quick.plan().status.unwrap();
        assert_eq!(
            (status.floor, status.wanted_replicas, status.active_windows.len()),
            (None, Some(0), 0),
            "{wrong}: a start of 12 s and a warm-up of 30 s are ahead of the opening by less than three minutes"
        );
    }
}
