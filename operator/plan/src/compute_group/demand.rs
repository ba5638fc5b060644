//! Nodes that waiting statements ask for: a floor beside those of the windows, which decays.
//!
//! CPU says that more nodes were needed a minute ago; a line of statements says it now. The engine counts how many nodes would let
//! all of them run. That counts from the look that sees it until [`DECAY`] after the last one that saw as much, or a little less, so that a short
//! pause between two queries lets nothing go. Only groups that load may scale have it, and none that sleeps: one at 0 is awake while a
//! window is open, and its autoscaler, which is off at 0, is replaced by this.

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use springtide_crds::compute_group::DemandStatus;
use springtide_crds::{ComputeGroup, ComputeGroupSpec, ComputeGroupStatus, ConditionType, Reason};
use springtide_schedule::Evaluation;

use super::{GroupShape, autoscaler, decision, limits, members};
use crate::condition::instant_text;
use crate::observed::{ObservedComputeGroup, SqlAnswer};
use crate::sql::WarehouseRow;

/// How long a line that is gone still counts.
const DECAY: TimeDelta = TimeDelta::minutes(2);

/// An end that is no sooner than this before the newest one stays as it is: each look would write the status otherwise.
const MOVES: TimeDelta = TimeDelta::seconds(15);

/// What waiting statements ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Demand {
    /// Nodes at least.
    pub(crate) floor: u32,
    /// For the status.
    pub(crate) status: Option<DemandStatus>,
    /// The group sleeps, and statements wait for it to wake: with so many nodes.
    pub(crate) wakes: Option<u32>,
}

impl Demand {
    pub(super) fn assess(
        group: &GroupShape,
        observed: &ObservedComputeGroup,
        evaluation: &Evaluation,
        now: DateTime<Utc>,
    ) -> Self {
        let most = group
            .autoscaling
            .as_ref()
            .map(|autoscaling| autoscaler::bounds(autoscaling, evaluation, 0, group.max_replicas).1);
        let waits = needed(observed, group);
        if group.replicas == 0 && evaluation.floor.unwrap_or_default() == 0 {
            // Nodes of another group of the warehouse may be enough, and a window may allow none at all.
            let ceiling = evaluation.ceiling.unwrap_or(u32::MAX).min(group.max_replicas);
            let allowed = most.unwrap_or(1).min(ceiling);
            let wakes = waits.map(|needed| needed.min(allowed)).filter(|nodes| *nodes > 0);
            // Another size may be written there that is not in force: nobody's number is overwritten.
            let is_at_0 = observed.group.spec.replicas == 0;
            return Self {
                wakes: wakes.filter(|_| group.wake_on_query && is_at_0),
                ..Self::default()
            };
        }
        let Some(most) = most else {
            return Self::default();
        };
        let before = observed
            .group
            .status
            .as_ref()
            .and_then(|status| status.demand.as_ref())
            .and_then(|demand| {
                let until: DateTime<Utc> = demand.until.parse().ok()?;
                // A clock that was ahead must not hold nodes for ever.
                (now < until && until <= now + DECAY).then_some((u32::try_from(demand.nodes).ok()?, until))
            });
        let asked = waits.map_or(0, |needed| needed.min(most));
        let (nodes, until) = match before {
            Some((nodes, until)) if nodes > asked => (nodes.min(most), until),
            Some((nodes, until)) if nodes == asked && now + DECAY - until < MOVES => (nodes, until),
            _ => (asked, now + DECAY),
        };
        if nodes == 0 {
            return Self::default();
        }
        Self {
            floor: nodes,
            status: Some(DemandStatus {
                nodes: i32::try_from(nodes).unwrap_or(i32::MAX),
                until: instant_text(until),
            }),
            wakes: None,
        }
    }
}

/// Whether something is asked for that the status does not remember so.
pub(super) fn is_news(before: Option<&DemandStatus>, after: Option<&DemandStatus>) -> bool {
    after.is_some() && after != before
}

/// Nodes of this group with which no statement of its warehouse would wait; `None` while none waits.
fn needed(observed: &ObservedComputeGroup, group: &GroupShape) -> Option<u32> {
    let SqlAnswer::Answered {
        warehouses,
        compute_nodes,
        ..
    } = &observed.sql
    else {
        return None;
    };
    let waits = |row: &&WarehouseRow| row.name == group.warehouse && row.queued > 0;
    let row = warehouses.iter().find(waits)?;
    let own = members::members(observed);
    let of_others = compute_nodes
        .iter()
        .filter(|node| node.warehouse == group.warehouse && node.alive)
        .filter(|node| own.iter().all(|member| member.row.id != node.id))
        .count();
    let of_others = u32::try_from(of_others).unwrap_or(u32::MAX);
    let coming: u32 = observed
        .siblings
        .iter()
        .filter(|other| {
            other.metadata.deletion_timestamp.is_none() && other.spec.cluster == observed.group.spec.cluster
        })
        .filter_map(|other| Some((other, other.status.as_ref()?)))
        .filter(|(_, status)| status.warehouse.as_ref() == Some(&group.warehouse))
        .map(|(other, status)| on_their_way(status).max(woken(other, status, &group.name)))
        .fold(0, u32::saturating_add);
    Some(row.required_nodes.saturating_sub(of_others.saturating_add(coming)))
}

/// Nodes that another group of the warehouse has asked for, as long as nothing keeps them from starting.
fn on_their_way(status: &ComputeGroupStatus) -> u32 {
    let is_starting = |condition: &Condition| {
        condition.type_ == ConditionType::Ready.as_str() && condition.reason == Reason::ComputeStarting.as_str()
    };
    if !status.conditions.iter().any(is_starting) {
        return 0;
    }
    let missing = status.wanted_replicas.unwrap_or_default() - status.serving_replicas;
    u32::try_from(missing).unwrap_or_default()
}

/// Nodes with which another group that sleeps is woken by what waits: of several, the first by name wakes. It sleeps by what is in force;
/// once it is woken, its status is the last to tell of it.
fn woken(other: &ComputeGroup, status: &ComputeGroupStatus, own_name: &str) -> u32 {
    let is_first = other.metadata.name.as_deref().is_some_and(|name| name < own_name);
    let in_force = status.accepted_spec.as_deref();
    let sleeps = |spec: &&ComputeGroupSpec| spec.replicas == 0 && spec.wake_on_query;
    let Some(spec) = in_force.filter(sleeps).filter(|_| status.wanted_replicas == Some(0)) else {
        return 0;
    };
    // A size that is written there together with what is refused keeps it asleep: a wake overwrites nobody's number.
    let is_free = other.spec.replicas == 0 || limits::is_accepted(other) || decision::scaled(other, spec).is_some();
    if !is_first || !is_free || status.ceiling == Some(0) {
        return 0;
    }
    let most = spec
        .autoscaling
        .as_ref()
        .map_or(1, |autoscaling| autoscaling.max_replicas);
    u32::try_from(most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::action::{Action, Telling};
    use crate::fixture::{GroupFixture, applied, group, noon, statements};

    impl GroupFixture {
        fn queued(self, queued: u32, required_nodes: u32) -> Self {
            let name = self.0.group.metadata.name.clone().unwrap();
            self.with(|observed| {
                if let SqlAnswer::Answered { warehouses, .. } = &mut observed.sql {
                    *warehouses = vec![WarehouseRow {
                        name,
                        running: 16,
                        queued,
                        required_nodes,
                    }];
                }
            })
        }

        fn autoscaled(self, most: i32) -> Self {
            self.with(|observed| {
                observed.group.spec.autoscaling = serde_json::from_value(json!({"maxReplicas": most})).unwrap();
            })
        }
    }

    fn serving() -> GroupFixture {
        group("etl").replicas(1).pods(0..1).nodes(0..1).autoscaled(6).settled()
    }

    fn wanted(fixture: &GroupFixture, now: DateTime<Utc>) -> Option<i32> {
        let plan = fixture.plan_at(now);
        plan.status
            .or_else(|| fixture.0.group.status.clone())
            .unwrap()
            .wanted_replicas
    }

    #[test]
    fn statements_that_wait_bring_nodes_at_once_and_let_them_go_after_a_while() {
        let busy = serving().queued(48, 4);
        assert_eq!(wanted(&busy, noon()), Some(4));
        let remembered = busy.settled().queued(0, 1);
        assert_eq!(wanted(&remembered, noon() + TimeDelta::seconds(119)), Some(4));
        assert_eq!(wanted(&remembered, noon() + TimeDelta::seconds(120)), Some(1));
        assert_eq!(
            wanted(&serving().queued(400, 40), noon()),
            Some(6),
            "not beyond maxReplicas"
        );
    }

    /// They would all go at once otherwise when the line has been gone for a while: the autoscaler, that knows of none of them, may well
    /// recommend the size that it finds written.
    #[test]
    fn nodes_that_statements_brought_are_left_to_the_pace_of_the_autoscaler() {
        let fewest = |fixture: &GroupFixture, now: DateTime<Utc>| {
            let plan = fixture.plan_at(now);
            let hpa = applied(&plan).remove("HorizontalPodAutoscaler retail/etl-cn");
            hpa.map(|hpa| hpa["spec"]["minReplicas"].as_i64().unwrap())
        };
        let busy = serving().queued(48, 4);
        assert_eq!(fewest(&busy, noon()), Some(4));
        let by_autoscaler = busy.settled().queued(0, 1).scaled(4).settled();
        let later = noon() + TimeDelta::seconds(120);
        assert_eq!(fewest(&by_autoscaler, later), Some(1));
        assert_eq!(wanted(&by_autoscaler, later), Some(4));
    }

    #[test]
    fn a_new_line_counts_anew_and_a_shorter_one_does_not_shorten() {
        let busy = serving().queued(48, 4).settled();
        let later = noon() + TimeDelta::seconds(60);
        let shorter = busy.queued(4, 2);
        assert_eq!(wanted(&shorter, later), Some(4));
        let again = shorter.clone().queued(48, 4);
        let until = again.plan_at(later).status.unwrap().demand.unwrap().until;
        assert_eq!(until, instant_text(later + DECAY));
        let a_moment_later = shorter.queued(48, 4).plan_at(noon() + TimeDelta::seconds(14));
        let until = a_moment_later.status.map(|status| status.demand.unwrap().until);
        assert!(
            until.is_none_or(|until| until == instant_text(noon() + DECAY)),
            "a line that stays writes nothing at each look"
        );
    }

    #[test]
    fn nodes_of_another_group_of_the_warehouse_count() {
        let shared = serving().queued(48, 4).with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                let mut row = compute_nodes[0].clone();
                (row.id, row.host) = ("20000".to_owned(), "other-cn-0.other-cn.retail.svc".to_owned());
                compute_nodes.push(row);
            }
        });
        assert_eq!(wanted(&shared, noon()), Some(3));
    }

    #[test]
    fn a_group_at_0_has_what_statements_ask_for_while_a_window_is_open() {
        let by_day = serving()
            .window("day", "0 11 * * *", Some(1), None)
            .replicas(0)
            .settled();
        assert_eq!(wanted(&by_day, noon()), Some(1));
        let busy = by_day.clone().queued(48, 4);
        assert_eq!(wanted(&busy, noon()), Some(4));
        let served = by_day.pods(0..1).nodes(0..1).settled();
        assert_eq!(served.plan().requeue_after, crate::finish::ATTENTIVE);
        let closed = busy.settled().queued(0, 1).plan_at(noon() + TimeDelta::hours(2));
        assert_eq!(closed.status.unwrap().wanted_replicas, Some(0), "nothing wakes it");
    }

    #[test]
    fn without_autoscaling_statements_wait_for_their_turn() {
        let fixed = group("etl").replicas(1).pods(0..1).nodes(0..1).settled().queued(48, 4);
        assert_eq!(wanted(&fixed, noon()), Some(1));
    }

    fn asleep() -> GroupFixture {
        let fixture = group("etl").replicas(0).nodes(0..1);
        fixture
            .with(|observed| observed.group.spec.wake_on_query = true)
            .settled()
    }

    fn wakes(fixture: &GroupFixture) -> Option<u32> {
        fixture.plan().actions.iter().find_map(|action| match action {
            Action::Wake { replicas } => Some(*replicas),
            _ => None,
        })
    }

    #[test]
    fn a_statement_wakes_a_group_that_sleeps_and_nothing_else_does() {
        assert_eq!(wakes(&asleep()), None);
        assert_eq!(wakes(&asleep().queued(1, 1)), Some(1));
        assert_eq!(
            wakes(&asleep().queued(30, 3)),
            Some(1),
            "without autoscaling one is enough"
        );
        assert_eq!(wakes(&asleep().autoscaled(8).queued(30, 3)), Some(3));
        let deep = asleep().queued(1, 1);
        let deep = deep.with(|observed| observed.group.spec.wake_on_query = false);
        assert_eq!(wakes(&deep), None);
        let suspended = asleep().queued(1, 1);
        let suspended = suspended.with(|observed| observed.cluster.as_mut().unwrap().spec.suspend = true);
        assert_eq!(wakes(&suspended), None);
    }

    #[test]
    fn a_group_sleeps_on_while_nodes_of_another_group_are_enough() {
        let beside_another = asleep().with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                let mut row = compute_nodes[0].clone();
                (row.id, row.host) = ("20000".to_owned(), "other-cn-0.other-cn.retail.svc".to_owned());
                row.alive = true;
                compute_nodes.push(row);
            }
        });
        assert_eq!(wakes(&beside_another.clone().queued(1, 1)), None);
        assert_eq!(wakes(&beside_another.queued(9, 2)), Some(1));
    }

    /// Another group of the warehouse of `etl`, as its status tells of it.
    fn beside(fixture: GroupFixture, name: &str, replicas: i32, status: &serde_json::Value) -> GroupFixture {
        let other = serde_json::from_value(json!({
            "apiVersion": "springtide.dev/v1alpha1",
            "kind": "ComputeGroup",
            "metadata": {"name": name, "namespace": "retail"},
            "spec": {"cluster": "demo", "warehouse": "etl", "replicas": replicas, "wakeOnQuery": true},
            "status": status,
        }));
        fixture.with(|observed| observed.siblings = vec![other.unwrap()])
    }

    #[test]
    fn two_groups_of_a_warehouse_do_not_both_bring_what_statements_ask_for() {
        let starting = |reason: &str| {
            json!({
                "warehouse": "etl", "wantedReplicas": 4, "servingReplicas": 1,
                "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-11-23T12:00:00Z"}],
            })
        };
        let busy = || serving().queued(48, 6);
        assert_eq!(
            wanted(&beside(busy(), "bi", 4, &starting("ComputeStarting")), noon()),
            Some(3)
        );
        let stuck = beside(busy(), "bi", 4, &starting("PodUnschedulable"));
        assert_eq!(wanted(&stuck, noon()), Some(6), "they do not come");
        let elsewhere = beside(busy(), "bi", 4, &starting("ComputeStarting"));
        let elsewhere = elsewhere.with(|observed| observed.siblings[0].spec.cluster = "other".to_owned());
        assert_eq!(wanted(&elsewhere, noon()), Some(6));
    }

    #[test]
    fn one_statement_wakes_one_of_two_groups_that_sleep() {
        let sleeping = |wakes: bool, ceiling: Option<i32>| {
            json!({
                "warehouse": "etl", "wantedReplicas": 0, "servingReplicas": 0, "ceiling": ceiling,
                "acceptedSpec": {"cluster": "demo", "warehouse": "etl", "replicas": 0, "wakeOnQuery": wakes},
            })
        };
        let woken_beside = |name: &str, replicas: i32, status: serde_json::Value| {
            wakes(&beside(asleep().queued(1, 1), name, replicas, &status))
        };
        assert_eq!(woken_beside("bi", 0, sleeping(true, None)), None);
        assert_eq!(woken_beside("later", 0, sleeping(true, None)), Some(1));
        assert_eq!(
            woken_beside("bi", 0, sleeping(true, Some(0))),
            Some(1),
            "a window allows it none"
        );
        assert_eq!(
            woken_beside("bi", 1, sleeping(true, None)),
            None,
            "it was woken a moment ago"
        );
        assert_eq!(
            woken_beside("bi", 0, sleeping(false, None)),
            Some(1),
            "that it wakes was refused"
        );
        let mut refused = sleeping(true, None);
        refused["acceptedSpec"]["labels"] = json!({"team": "bi"});
        let beside_a_refusal = woken_beside("bi", 3, refused);
        assert_eq!(
            beside_a_refusal,
            Some(1),
            "another size is written there, and not in force"
        );
    }

    #[test]
    fn a_group_wakes_once_and_nobody_is_overwritten_while_another_value_is_refused() {
        let refused = asleep().queued(1, 1).window("w", "nonsense", Some(1), None);
        assert_eq!(wakes(&refused), Some(1));
        let woken = refused.clone().scaled(1);
        assert_eq!((wakes(&woken), wanted(&woken, noon())), (None, Some(1)));
        assert_eq!(wakes(&refused.replicas(3)), None, "what is written is not in force");
    }

    #[test]
    fn an_engine_without_a_queue_is_not_asked_for_one_again_and_again() {
        let starrocks = crate::fixture::group_of("etl", crate::fixture::cluster("demo").starrocks());
        let scaled_by_load = starrocks.pods(0..1).nodes(0..1).autoscaled(6).settled();
        assert_eq!(scaled_by_load.plan().requeue_after, crate::finish::STEADY);
    }

    #[test]
    fn a_window_that_allows_no_nodes_lets_no_statement_wake_a_group() {
        let shut = asleep().window("shut", "0 11 * * *", None, Some(0)).settled();
        assert_eq!(wakes(&shut.clone().queued(1, 1)), None);
        let status = shut.0.group.status.unwrap();
        let said = crate::fixture::condition(&status.conditions, "Available");
        assert!(
            said.contains("window shut allows none until 2026-11-23T13:00:00Z"),
            "{said}"
        );
    }

    #[test]
    fn a_group_that_sleeps_is_at_rest_and_says_how_it_wakes() {
        let status = asleep().0.group.status.unwrap();
        let said = |kind| crate::fixture::condition(&status.conditions, kind);
        assert_eq!(said("Ready"), "True ScaledToZero: no nodes are wanted");
        assert!(said("Available").contains("the next statement on its warehouse wakes it"));
        assert_eq!(asleep().plan().requeue_after, crate::finish::ATTENTIVE);
    }

    #[test]
    fn a_sleeping_group_keeps_one_node_known_so_that_statements_know_whom_to_wait_for() {
        assert_eq!(statements(&asleep().plan()), [] as [&str; 0]);
        let unknown = asleep().with(|observed| {
            if let SqlAnswer::Answered { compute_nodes, .. } = &mut observed.sql {
                compute_nodes.clear();
            }
        });
        assert_eq!(
            statements(&unknown.plan()),
            [
                "CREATE WAREHOUSE IF NOT EXISTS etl",
                "ALTER SYSTEM ADD COMPUTE NODE 'etl-cn-0.etl-cn.retail.svc:9050' INTO WAREHOUSE etl"
            ]
        );
        let plan = asleep().queued(1, 1).plan();
        assert!(
            !applied(&plan).contains_key("StatefulSet retail/etl-cn"),
            "the scale subresource wakes it"
        );
    }

    /// It would be one of nodes that leave for as long as the suspension lasts, and statements would wait for a wake that cannot come.
    #[test]
    fn a_group_that_sleeps_in_a_suspended_cluster_is_at_rest_and_has_no_known_node() {
        let suspended = asleep().with(|observed| observed.cluster.as_mut().unwrap().spec.suspend = true);
        assert_eq!(
            statements(&suspended.plan()),
            ["ALTER SYSTEM DROP COMPUTE NODE 10000 FROM WAREHOUSE etl"]
        );
        let forgotten = suspended.nodes(0..0).settled();
        let status = forgotten.0.group.status.as_ref().unwrap();
        let ready = crate::fixture::condition(&status.conditions, "Ready");
        assert!(ready.starts_with("True Suspended"), "{ready}");
        assert_eq!(forgotten.plan().requeue_after, crate::finish::STEADY);
    }

    /// The next look may find no line any more, and what this one saw is nowhere but in the status.
    #[test]
    fn what_a_line_asked_for_is_told_at_once() {
        let first = serving().queued(48, 4).plan();
        assert_eq!(first.telling, Telling::Now);
        let told = serving().queued(48, 4).settled();
        assert_eq!(told.clone().queued(64, 6).plan().telling, Telling::Now, "more");
        assert_eq!(
            told.clone().queued(8, 2).plan().status,
            None,
            "less waits until that has decayed"
        );
        let decayed = told.queued(8, 2).plan_at(noon() + TimeDelta::seconds(121));
        assert_eq!(decayed.telling, Telling::Now, "and is all that is asked for then");
    }
}
