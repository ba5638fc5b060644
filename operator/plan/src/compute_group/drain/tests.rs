use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use springtide_crds::compute_group::{DrainPhase, DrainTimeoutPolicy};
use springtide_crds::{ComputeGroupStatus, Reason};

use super::RENEWAL;
use crate::action::Plan;
use crate::condition::instant_text;
use crate::fixture::{GroupFixture, applied, cluster, condition, group, group_of, noon, statements};
use crate::observed::SqlAnswer;
use crate::sql::{ComputeNodeRow, DrainOrder, DrainState};

/// Replicas that the plan writes to the StatefulSet; `None` where it leaves it alone.
fn shrinks_to(plan: &Plan<ComputeGroupStatus>) -> Option<i64> {
    applied(plan)
        .iter()
        .find(|(key, _)| key.starts_with("StatefulSet"))
        .and_then(|(_, body)| body["spec"]["replicas"].as_i64())
}

fn phases(plan: &Plan<ComputeGroupStatus>) -> Vec<(String, DrainPhase)> {
    let status = plan.status.as_ref().expect("the status changes");
    status
        .draining
        .iter()
        .map(|node| (node.node.clone(), node.phase))
        .collect()
}

/// Three nodes serve, and one is wanted.
fn two_too_many() -> GroupFixture {
    group("etl").replicas(3).pods(0..3).nodes(0..3).settled().replicas(1)
}

impl GroupFixture {
    fn row(self, ordinal: usize, change: impl FnOnce(&mut ComputeNodeRow)) -> Self {
        self.with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                change(&mut compute_nodes[ordinal]);
            }
        })
    }

    fn drain(self, ordinal: usize, state: DrainState, waiting_for: &str) -> Self {
        self.row(ordinal, |row| {
            row.alive = false;
            row.draining = true;
            row.drain = state;
            row.waiting_for = waiting_for.to_owned();
        })
        .order(ordinal, state != DrainState::Leaving, 60)
    }

    fn order(self, ordinal: usize, is_ordered: bool, lasts_seconds: u32) -> Self {
        self.row(ordinal, |row| {
            row.order = is_ordered.then_some(DrainOrder {
                forced: false,
                lasts_seconds,
            });
        })
    }

    fn forced(self, ordinal: usize) -> Self {
        self.row(ordinal, |row| {
            row.order = Some(DrainOrder {
                forced: true,
                lasts_seconds: 60,
            });
        })
    }

    fn terminating(self, ordinal: usize) -> Self {
        self.with(|observed| {
            let stopping = json!("2026-11-23T12:10:00Z");
            observed.pods[ordinal].metadata.deletion_timestamp = serde_json::from_value(stopping).unwrap();
        })
    }

    /// With the status that the plan wrote.
    fn remembered(self) -> Self {
        let status = self.plan().status;
        self.with(|observed| {
            if status.is_some() {
                observed.group.status = status;
            }
        })
    }
}

#[test]
fn nodes_are_drained_before_their_pods_go() {
    let plan = two_too_many().plan();
    assert_eq!(
        statements(&plan),
        [
            "ALTER SYSTEM DRAIN COMPUTE NODE 10001",
            "ALTER SYSTEM DRAIN COMPUTE NODE 10002"
        ]
    );
    assert_eq!(shrinks_to(&plan), None, "no pod goes yet");
    let nodes = ["etl-cn-1", "etl-cn-2"].map(|node| (node.to_owned(), DrainPhase::Cordoning));
    assert_eq!(phases(&plan), nodes);
    assert_eq!(plan.requeue_after, crate::finish::CONVERGING);
}

#[test]
fn the_highest_pod_goes_as_soon_as_it_is_drained_and_a_busy_one_keeps_those_below() {
    let highest_first = two_too_many()
        .drain(1, DrainState::Draining, "1 load")
        .drain(2, DrainState::Drained, "");
    let plan = highest_first.plan();
    assert_eq!((shrinks_to(&plan), statements(&plan).len()), (Some(2), 0));
    let status = plan.status.unwrap();
    assert_eq!(status.draining[0].waiting_for.as_deref(), Some("1 load"));
    assert_eq!(status.draining[1].phase, DrainPhase::Drained);

    let highest_is_busy =
        two_too_many()
            .drain(1, DrainState::Drained, "")
            .drain(2, DrainState::Draining, "2 fragments");
    assert_eq!(shrinks_to(&highest_is_busy.plan()), None);
}

#[test]
fn a_drain_is_taken_back_when_the_node_is_wanted_again() {
    let drained = two_too_many()
        .drain(1, DrainState::Drained, "")
        .drain(2, DrainState::Draining, "1 load");
    let plan = drained.replicas(3).plan();
    assert_eq!(
        statements(&plan),
        [
            "ALTER SYSTEM CANCEL DRAIN COMPUTE NODE 10001",
            "ALTER SYSTEM CANCEL DRAIN COMPUTE NODE 10002"
        ]
    );
    assert_eq!((shrinks_to(&plan), phases(&plan)), (None, vec![]));
}

#[test]
fn a_node_whose_pod_stops_already_is_not_called_back() {
    // It would get statements and then be gone. Its successor begins with a clean record.
    let stopping = two_too_many().drain(2, DrainState::Drained, "").terminating(2);
    let plan = stopping.replicas(3).plan();
    assert_eq!(statements(&plan), [] as [&str; 0]);
    assert_eq!(phases(&plan), [("etl-cn-2".to_owned(), DrainPhase::Leaving)]);
}

#[test]
fn a_frontend_that_forgot_its_orders_gets_them_again() {
    let restarted = two_too_many().remembered();
    assert_eq!(statements(&restarted.plan()).len(), 2);
}

#[test]
fn statements_that_came_while_the_operator_was_away_have_the_whole_time_to_end() {
    let drained = two_too_many()
        .drain(1, DrainState::Drained, "")
        .drain(2, DrainState::Draining, "1 load")
        .remembered();
    // The orders have lapsed meanwhile, and the nodes serve again.
    let back = drained.with(|observed| observed.sql = two_too_many().0.sql);
    let now = noon() + TimeDelta::minutes(11);
    let plan = back.plan_at(now);
    assert_eq!(
        statements(&plan),
        [
            "ALTER SYSTEM DRAIN COMPUTE NODE 10001",
            "ALTER SYSTEM DRAIN COMPUTE NODE 10002"
        ]
    );
    assert_eq!(shrinks_to(&plan), None);
    let status = plan.status.unwrap();
    let begun: Vec<&str> = status.draining.iter().map(|node| node.since.as_str()).collect();
    assert_eq!(begun, [instant_text(now), instant_text(now)]);
}

#[test]
fn orders_are_given_again_before_they_lapse() {
    let drained = two_too_many()
        .drain(1, DrainState::Drained, "")
        .drain(2, DrainState::Draining, "1 load");
    assert_eq!(statements(&drained.plan()), [] as [&str; 0]);
    let later = drained.order(1, true, 30).order(2, true, 29);
    assert_eq!(statements(&later.plan()).len(), 2);
}

#[test]
fn nodes_that_cannot_lose_anything_are_not_waited_for() {
    let dead = two_too_many()
        .row(1, |row| row.alive = false)
        .row(2, |row| row.alive = false);
    assert_eq!(shrinks_to(&dead.plan()), Some(1));
    assert_eq!(statements(&dead.plan()), [] as [&str; 0]);
    let unknown = two_too_many().nodes(0..1);
    assert_eq!(shrinks_to(&unknown.plan()), Some(1));
    let absent = dead.pods(0..1);
    assert_eq!(shrinks_to(&absent.plan()), Some(1));
}

#[test]
fn a_node_that_the_engine_reaches_is_drained_although_the_watch_of_pods_is_behind() {
    let unseen = two_too_many().pods(0..1);
    assert_eq!(shrinks_to(&unseen.plan()), None);
    assert_eq!(statements(&unseen.plan()).len(), 2);
    // One that drains takes no work, and is reached all the same.
    let drains = unseen
        .drain(1, DrainState::Draining, "1 load")
        .drain(2, DrainState::Draining, "1 load");
    let plan = drains.plan();
    assert_eq!((shrinks_to(&plan), phases(&plan).len()), (None, 2));
    assert_eq!(
        statements(&drains.order(1, true, 20).plan()).len(),
        1,
        "its order is renewed"
    );
}

#[test]
fn without_a_frontend_that_answers_nodes_stay_until_the_time_is_up() {
    let silent = two_too_many()
        .with(|observed| observed.sql = SqlAnswer::NotAsked)
        .remembered();
    assert_eq!(shrinks_to(&silent.plan()), None);
    let waits = silent.0.group.status.as_ref().unwrap().draining[0].waiting_for.clone();
    assert_eq!(waits.as_deref(), Some("a frontend that answers"));
    assert_eq!(shrinks_to(&silent.plan_at(noon() + TimeDelta::minutes(10))), Some(1));
}

#[test]
fn all_that_is_cut_off_is_told_in_as_many_events_as_it_takes() {
    let work: Vec<String> = (0..8)
        .map(|load| format!("load {}_{load}", "l".repeat(100)))
        .chain((0..150).map(|connection| format!("statement of connection {connection}")))
        .collect();
    let busy = two_too_many()
        .drain(1, DrainState::Drained, "")
        .drain(2, DrainState::Draining, &work.join(", "))
        .remembered();
    let waits = busy.0.group.status.as_ref().unwrap().draining[1]
        .waiting_for
        .clone()
        .unwrap();
    assert!(waits.len() <= 2048 && waits.ends_with(", and more"), "{waits}");
    let told = busy.plan_at(noon() + TimeDelta::seconds(600)).events;
    assert!(told.len() > 5, "{told:?}");
    assert!(told.iter().all(|event| event.note.len() <= 1024), "{told:?}");
    for (number, event) in told.iter().enumerate() {
        let of = format!("cut off ({} of {}): ", number + 1, told.len());
        assert!(event.note.contains(&of), "{}", event.note);
    }
    for work in &work {
        let names_it = |event: &&crate::EventNote| {
            let list = event.note.split_once("): ").unwrap().1.split_once("; raise").unwrap().0;
            list.split(", ").any(|item| item == work)
        };
        assert_eq!(told.iter().filter(names_it).count(), 1, "{work}");
    }
}

#[test]
fn a_node_that_does_not_finish_in_time_is_stopped_and_an_event_says_what_was_cut_off() {
    let busy = two_too_many()
        .drain(1, DrainState::Drained, "")
        .drain(2, DrainState::Draining, "statement of connection 17")
        .remembered();
    let early = busy.plan_at(noon() + TimeDelta::seconds(599));
    assert_eq!((shrinks_to(&early), early.events), (None, vec![]));
    let time_is_up = noon() + TimeDelta::seconds(600);
    let ordered = busy.plan_at(time_is_up);
    assert_eq!(shrinks_to(&ordered), None, "the hook would wait anew");
    assert_eq!(statements(&ordered), ["ALTER SYSTEM DRAIN COMPUTE NODE 10002 FORCE"]);
    let late = busy.clone().forced(2).plan_at(time_is_up);
    assert_eq!((shrinks_to(&late), statements(&late).len()), (Some(1), 0));
    // Told with the order, and again with the shrink: an operator may die between any two of these.
    for plan in [ordered, late] {
        let told: Vec<&str> = plan.events.iter().map(|event| event.note.as_str()).collect();
        assert_eq!(
            told,
            [
                "node etl-cn-2 is let go after drain.timeout 600 s, and what runs there of this is cut off: statement of connection 17; raise \
                 drain.timeout, or set drain.onTimeout to Wait"
            ]
        );
    }
    let silent = busy.clone().with(|observed| {
        observed.sql = SqlAnswer::Unreachable {
            message: "connection refused".to_owned(),
        };
    });
    let late = silent.plan_at(time_is_up);
    assert_eq!(shrinks_to(&late), Some(1));
    let note = &late
        .events
        .iter()
        .find(|event| event.reason == Reason::DrainForced)
        .unwrap()
        .note;
    assert!(
        note.contains(
            "no frontend says what it does: its pod ends when that is done, after as long again at the latest;"
        ),
        "{note}"
    );
    let status = busy.plan_at(time_is_up).status;
    let leaving = busy
        .clone()
        .with(|observed| observed.group.status = status)
        .drain(2, DrainState::Leaving, "1 load")
        .terminating(2);
    assert_eq!(
        statements(&leaving.plan_at(time_is_up)),
        ["ALTER SYSTEM DRAIN COMPUTE NODE 10002 FORCE"],
        "the order has lapsed meanwhile"
    );
    assert_eq!(statements(&leaving.forced(2).plan_at(time_is_up)), [] as [&str; 0]);
    let patient = busy.with(|observed| observed.group.spec.drain.on_timeout = DrainTimeoutPolicy::Wait);
    assert_eq!(shrinks_to(&patient.plan_at(noon() + TimeDelta::days(7))), None);
}

#[test]
fn a_node_that_is_evicted_long_after_its_drain_lapsed_is_not_cut_off_by_an_operator_that_comes_back() {
    // Ordered at noon by an operator that went; the order lapsed, the node served again, and its hook has waited for 5 s.
    let evicted = two_too_many()
        .drain(2, DrainState::Draining, "1 load")
        .remembered()
        .drain(2, DrainState::Leaving, "1 fragment")
        .row(2, |row| row.drains_for_seconds = Some(5))
        .terminating(2);
    let back = noon() + TimeDelta::minutes(15);
    let plan = evicted.plan_at(back);
    let to_the_evicted: Vec<String> = statements(&plan)
        .into_iter()
        .filter(|statement| statement.contains("10002"))
        .collect();
    assert_eq!(to_the_evicted, [""; 0]);
    let status = plan.status.unwrap();
    let node = status.draining.iter().find(|node| node.node == "etl-cn-2").unwrap();
    assert_eq!(
        (node.since.as_str(), node.forced),
        (instant_text(back - TimeDelta::seconds(5)).as_str(), false)
    );
    // Nor is one that was let go at that time, by an operator that died before its pod went.
    let once_let_go = evicted.with(|observed| {
        let status = observed.group.status.as_mut().unwrap();
        for node in &mut status.draining {
            node.forced = true;
        }
    });
    let orders = statements(&once_let_go.plan_at(back));
    assert!(!orders.iter().any(|order| order.contains("10002")), "{orders:?}");
}

#[test]
fn a_node_that_went_while_no_frontend_answered_has_its_hook_to_the_end_when_one_answers() {
    let silent = two_too_many()
        .with(|observed| observed.sql = SqlAnswer::NotAsked)
        .remembered();
    let time_is_up = noon() + TimeDelta::minutes(10);
    let gone = silent.plan_at(time_is_up);
    assert_eq!(shrinks_to(&gone), Some(1));
    let status = gone.status.or(silent.0.group.status);
    let answers = two_too_many()
        .with(|observed| observed.group.status = status)
        .drain(2, DrainState::Leaving, "1 load")
        .row(2, |row| row.drains_for_seconds = Some(1))
        .terminating(2);
    let orders = statements(&answers.plan_at(time_is_up + TimeDelta::seconds(1)));
    assert!(!orders.iter().any(|order| order.contains("FORCE")), "{orders:?}");
}

#[test]
fn a_pod_without_room_does_not_let_the_orders_of_others_lapse() {
    let shrinking = group("etl")
        .replicas(4)
        .pods(0..4)
        .nodes(0..4)
        .settled()
        .replicas(2)
        .drain(3, DrainState::Draining, "1 load")
        .drain(2, DrainState::Draining, "1 load")
        .row(1, |row| row.alive = false)
        .with(|observed| {
            let unschedulable = json!([
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node has room"}
            ]);
            let status = observed.pods[1].status.get_or_insert_default();
            status.conditions = serde_json::from_value(unschedulable).unwrap();
        });
    let plan = shrinking.plan();
    let ready = condition(&plan.status.as_ref().unwrap().conditions, "Ready");
    assert!(ready.starts_with("False PodUnschedulable"), "{ready}");
    assert_eq!(
        plan.requeue_after,
        Duration::from_secs(1),
        "whether they have drained is seen by looking"
    );
    assert_eq!(
        plan.edge_after,
        Some(RENEWAL),
        "and by that time whatever else is to be done"
    );
}

#[test]
fn a_suspended_cluster_drains_all_nodes_before_they_go() {
    let suspended = group("etl")
        .replicas(2)
        .pods(0..2)
        .nodes(0..2)
        .settled()
        .with(|observed| {
            observed.cluster.as_mut().unwrap().spec.suspend = true;
        });
    let plan = suspended.plan();
    assert_eq!((shrinks_to(&plan), statements(&plan).len()), (None, 2));
}

#[test]
fn a_roll_or_an_eviction_shows_among_the_nodes_that_leave() {
    let evicted = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let plan = evicted
        .drain(1, DrainState::Leaving, "3 fragments")
        .terminating(1)
        .plan();
    assert_eq!(statements(&plan), [] as [&str; 0]);
    let draining = plan.status.unwrap().draining;
    assert_eq!(draining[0].phase, DrainPhase::Leaving);
    assert_eq!(draining[0].waiting_for.as_deref(), Some("3 fragments"));
}

/// Its hook has not begun, or nobody calls it as the kubelet is gone: each look would be another moment since when.
#[test]
fn a_pod_that_goes_while_its_node_still_takes_work_is_told_once() {
    let evicted = group("etl").replicas(2).pods(0..2).nodes(0..2).settled().terminating(1);
    let scaled_in = two_too_many().with(|observed| {
        let key = crate::compute_group::stateful_set_key(observed);
        let mut shrunk = observed.live.get(&key).unwrap().clone();
        shrunk["spec"]["replicas"] = json!(1);
        observed.live.insert(crate::object::ObjectKind::StatefulSet, shrunk);
    });
    for going in [evicted, scaled_in.terminating(1).terminating(2)] {
        let told = going.remembered();
        let later = told.plan_at(noon() + TimeDelta::seconds(40));
        assert_eq!(later.status, None);
    }
}

#[test]
fn starrocks_has_no_order_to_wait_for() {
    let fixture = group_of("etl", cluster("demo").starrocks())
        .replicas(3)
        .pods(0..3)
        .nodes(0..3)
        .settled()
        .replicas(1);
    assert_eq!(shrinks_to(&fixture.plan()), Some(1));
    assert_eq!(statements(&fixture.plan()), [] as [&str; 0]);
}

#[test]
fn without_drain_nodes_are_stopped_at_once() {
    let fixture = two_too_many().with(|observed| observed.group.spec.drain.enabled = false);
    let plan = fixture.plan();
    assert_eq!((shrinks_to(&plan), statements(&plan).len()), (Some(1), 0));
    let objects = applied(&plan);
    let pod = &objects["StatefulSet retail/etl-cn"]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["lifecycle"], json!(null));
    assert_eq!(pod["initContainers"], json!(null));
    assert_eq!(pod["terminationGracePeriodSeconds"], 30 + 15);
}

#[test]
fn ten_nodes_and_more_leave_by_number() {
    let fixture = group("etl").replicas(12).pods(0..12).nodes(0..12).settled().replicas(9);
    let drained = (9..12).fold(fixture, |fixture, ordinal| {
        fixture.drain(ordinal, DrainState::Drained, "")
    });
    assert_eq!(shrinks_to(&drained.plan()), Some(9));
}

proptest! {
    /// Whatever the nodes say: no pod goes that has work in time, none that is wanted is drained, none that is not is called back.
    #[test]
    fn no_node_goes_with_work(
        current in 0_u32..14,
        wanted in 0_u32..14,
        states in proptest::collection::vec(0_u8..6, 14),
    ) {
        let mut fixture = group("etl").replicas(i32::try_from(current).unwrap()).pods(0..current).nodes(0..current).settled();
        for (ordinal, state) in states.iter().enumerate().take(current as usize) {
            fixture = match state {
                0 => fixture,
                1 => fixture.drain(ordinal, DrainState::Draining, "1 load"),
                2 => fixture.drain(ordinal, DrainState::Drained, ""),
                3 => fixture.drain(ordinal, DrainState::Leaving, "1 load"),
                4 => fixture.row(ordinal, |row| row.alive = false),
                _ => fixture.drain(ordinal, DrainState::Leaving, "").terminating(ordinal),
            };
        }
        let plan = fixture.replicas(i32::try_from(wanted).unwrap()).plan();
        let target = shrinks_to(&plan).map_or(current, |replicas| u32::try_from(replicas).unwrap());
        prop_assert!(target >= wanted);
        if wanted < current {
            prop_assert!(target <= current);
            let has_work = |ordinal: u32| matches!(states[ordinal as usize], 0 | 1);
            for ordinal in target..current {
                prop_assert!(!has_work(ordinal), "{ordinal} goes with work");
            }
            prop_assert!(target == wanted || has_work(target - 1), "{} could go, too", target - 1);
        }
        for statement in statements(&plan) {
            let number = |prefix: &str| statement.strip_prefix(prefix).map(|id| id.parse::<u32>().unwrap() - 10_000);
            if let Some(ordinal) = number("ALTER SYSTEM DRAIN COMPUTE NODE ") {
                prop_assert!(ordinal >= wanted && states[ordinal as usize] == 0);
            }
            if let Some(ordinal) = number("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE ") {
                prop_assert!(ordinal < wanted && matches!(states[ordinal as usize], 1 | 2));
            }
        }
    }
}

fn fenced(names: &str) -> GroupFixture {
    let serving = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    serving.with(|observed| {
        let annotation = (crate::names::FENCED_ANNOTATION.to_owned(), names.to_owned());
        observed.group.metadata.annotations = Some([annotation].into());
    })
}

#[test]
fn a_fenced_node_gets_no_work_and_keeps_its_pod() {
    let plan = fenced("etl-cn-0").plan();
    assert_eq!(statements(&plan), ["ALTER SYSTEM DRAIN COMPUTE NODE 10000"]);
    assert_eq!(shrinks_to(&plan), None);
    assert_eq!(phases(&plan), [("etl-cn-0".to_owned(), DrainPhase::Cordoning)]);

    let drained = fenced("etl-cn-0").drain(0, DrainState::Drained, "").plan();
    assert_eq!(
        (statements(&drained), shrinks_to(&drained)),
        (vec![], None),
        "the order stands"
    );
    assert_eq!(
        drained.edge_after.map(|after| after <= RENEWAL),
        Some(true),
        "it is given again before it lapses"
    );
    let told = condition(&drained.status.unwrap().conditions, "Ready");
    assert_eq!(
        told,
        "False Fenced: etl-cn-0 get no work, and their pods stay; take the names out of annotation springtide.dev/fenced to end it"
    );
    let lapses = fenced("etl-cn-0")
        .drain(0, DrainState::Drained, "")
        .order(0, true, 20)
        .plan();
    assert_eq!(statements(&lapses), ["ALTER SYSTEM DRAIN COMPUTE NODE 10000"]);
}

#[test]
fn a_node_that_is_fenced_no_more_serves_again() {
    let freed = group("etl").replicas(2).pods(0..2).nodes(0..2).settled();
    let freed = freed.drain(0, DrainState::Drained, "");
    assert_eq!(
        statements(&freed.plan()),
        ["ALTER SYSTEM CANCEL DRAIN COMPUTE NODE 10000"]
    );
}

#[test]
fn a_fence_that_names_nobody_or_that_the_engine_cannot_keep_is_told() {
    let told = |fixture: &GroupFixture| condition(&fixture.plan().status.unwrap().conditions, "Ready");
    let nobody = fenced(" etl-cn-9 , ");
    assert_eq!(statements(&nobody.plan()), [""; 0]);
    assert!(
        told(&nobody).contains("no pod of the group is called etl-cn-9"),
        "{}",
        told(&nobody)
    );
    let starrocks = group_of("etl", cluster("demo").starrocks())
        .pods(0..1)
        .nodes(0..1)
        .settled();
    let starrocks = starrocks.with(|observed| {
        let annotation = (crate::names::FENCED_ANNOTATION.to_owned(), "etl-cn-0".to_owned());
        observed.group.metadata.annotations = Some([annotation].into());
    });
    assert_eq!(statements(&starrocks.plan()), [""; 0]);
    assert!(
        told(&starrocks).contains("the engine knows no order to drain"),
        "{}",
        told(&starrocks)
    );
}
