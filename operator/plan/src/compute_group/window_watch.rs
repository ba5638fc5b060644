//! Whether compute is there when a window opens, and since when: told in the status, and as an Event when it is not.

use chrono::{DateTime, Utc};
use springtide_crds::compute_group::{ActiveWindow, Schedule, WindowPhase};
use springtide_crds::{ComputeGroupSpec, Reason};
use springtide_schedule::{ActiveWindow as Active, Phase};

use super::status::replicas;
use super::{Scale, health};
use crate::action::{EventNote, Severity};
use crate::condition::instant_text;
use crate::observed::ObservedComputeGroup;

/// The windows that count now.
pub(super) struct Windows {
    pub(super) active: Vec<ActiveWindow>,
    pub(super) events: Vec<EventNote>,
}

/// `spec` is the one in force.
pub(super) fn look(
    observed: &ObservedComputeGroup,
    spec: Option<&ComputeGroupSpec>,
    scale: &Scale,
    now: DateTime<Utc>,
) -> Windows {
    let before = observed
        .group
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.active_windows);
    let serving = health::serving(observed);
    let mut windows = Windows {
        active: Vec::new(),
        events: Vec::new(),
    };
    for window in &scale.evaluation.active {
        let opens_at = instant_text(window.opens_at);
        let before = before
            .iter()
            .find(|before| before.name == window.name && before.opens_at == opens_at);
        let raised_at = raised_at(window, before);
        // What is left of a minimum while it falls says nothing about the opening.
        let minimum = window.min_replicas.filter(|_| window.phase != Phase::RampingDown);
        let has_enough = minimum.is_some_and(|min| serving >= min);
        let opens_now = window.phase == Phase::Open
            && match before {
                Some(before) => before.phase == WindowPhase::Raised,
                // A window that was written while it is open has no opening that could be missed.
                None => was_in_force_before(observed, spec, window, &scale.evaluation.active),
            };
        let lacks_nodes = minimum.is_some() && !has_enough;
        // What a clock that was ahead has written is forgotten: it is not open yet, or that time is still to come.
        let was_late = window.phase != Phase::Raised && before.is_some_and(|before| before.late);
        let ready_at: Option<DateTime<Utc>> = before
            .and_then(|before| before.ready_at.as_ref()?.parse().ok())
            .filter(|ready_at| *ready_at <= now)
            // It served, and at its opening it did not any more.
            .filter(|_| !(opens_now && lacks_nodes))
            .or_else(|| {
                minimum.filter(|_| has_enough).map(|minimum| {
                    // The opening itself may have been seen by nobody, or by a look that was not told.
                    let seen_late = opens_now.then(|| health::serving_since(observed, minimum)).flatten();
                    seen_late.map_or(now, |since| since.clamp(raised_at.min(now), now))
                })
            });
        // While the cluster is suspended nobody expects compute.
        let opened_without = !scale.suspended
            && opens_now
            && minimum.is_some()
            && ready_at.is_none_or(|ready_at| ready_at > window.opens_at);
        let is_late = was_late || opened_without;
        if is_late
            && !was_late
            && let Some(min) = window.min_replicas
        {
            let how = match ready_at {
                Some(ready_at) => format!(
                    "had its {min} nodes {} s after it opened",
                    (ready_at - window.opens_at).num_seconds().max(1)
                ),
                None => format!("opened with {serving} of {min} nodes; see condition Ready for why"),
            };
            windows.events.push(EventNote {
                severity: Severity::Warning,
                reason: Reason::WindowLate,
                action: "Schedule".to_owned(),
                note: format!(
                    "window {} of {opens_at} {how}; raise its leadTime or write leadTime: auto",
                    window.name
                ),
            });
        }
        windows.active.push(ActiveWindow {
            name: window.name.clone(),
            opens_at,
            raised_at: instant_text(raised_at),
            closes_at: instant_text(window.closes_at),
            phase: match window.phase {
                Phase::Raised => WindowPhase::Raised,
                Phase::RampingDown => WindowPhase::RampingDown,
                Phase::Open | Phase::Closed => WindowPhase::Open,
            },
            ready_at: ready_at.map(instant_text),
            late: is_late,
            min_replicas: window.min_replicas.map(replicas),
            max_replicas: window.max_replicas.map(replicas),
        });
    }
    windows
}

/// From when on it counts. One that is open or has been counts since it did: a lead time that follows from starts changes with each that is
/// seen.
fn raised_at(window: &Active, before: Option<&ActiveWindow>) -> DateTime<Utc> {
    let before = before.filter(|_| window.phase != Phase::Raised);
    let remembered: Option<DateTime<Utc>> = before.and_then(|before| before.raised_at.parse().ok());
    remembered.map_or(window.raised_at, |remembered| remembered.min(window.opens_at))
}

/// Whether the window was what it is before this look. Values that are refused meanwhile change nothing about it; a Calendar that has
/// been changed since may have brought it.
fn was_in_force_before(
    observed: &ObservedComputeGroup,
    spec: Option<&ComputeGroupSpec>,
    window: &Active,
    others: &[Active],
) -> bool {
    let status = observed.group.status.as_ref();
    let accepted = status.and_then(|status| status.accepted_spec.as_deref());
    let Some(before) = named(accepted, &window.name) else {
        return false;
    };
    let was_foreseen = || {
        let next = status.and_then(|status| status.next_transition.as_ref()?.at.parse::<DateTime<Utc>>().ok());
        next.is_some_and(|next| next <= window.opens_at) || is_covered(window, others)
    };
    Some(before) == named(spec, &window.name) && (before.calendars.is_empty() || was_foreseen())
}

/// Its nodes were wanted before it opened, by another window: its opening is no transition, and nobody was told of one. Whatever a Calendar
/// says of it, they were to be there.
fn is_covered(window: &Active, others: &[Active]) -> bool {
    let covers = |other: &&Active| other.opens_at < window.opens_at && other.min_replicas >= window.min_replicas;
    others.iter().any(|other| covers(&other))
}

fn named<'a>(spec: Option<&'a ComputeGroupSpec>, window: &str) -> Option<&'a Schedule> {
    let mut schedules = spec?.schedules.iter();
    schedules.find(|schedule| schedule.name == window)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{GroupFixture, at, group};

    /// A window from eight to ten with a lead of five minutes.
    fn morning() -> GroupFixture {
        let fixture = group("etl")
            .window("morning", "0 8 * * *", Some(2), None)
            .pods(0..1)
            .nodes(0..1);
        fixture.with(|observed| {
            observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("5m".to_owned()));
        })
    }

    fn then(fixture: GroupFixture, time: &str) -> (GroupFixture, usize) {
        let plan = fixture.plan_at(at(&format!("2026-11-23T{time}Z")));
        let is_late = |event: &&crate::EventNote| event.reason == springtide_crds::Reason::WindowLate;
        let late = plan.events.iter().filter(is_late).count();
        let fixture = fixture.with(|observed| {
            if let Some(status) = plan.status {
                observed.group.status = Some(status);
            }
        });
        (fixture, late)
    }

    #[test]
    fn a_window_that_opens_without_its_compute_is_told_once() {
        let (raised, early) = then(morning(), "07:56:00");
        let (open, late) = then(raised, "08:00:01");
        let window = open.0.group.status.as_ref().unwrap().active_windows[0].clone();
        assert_eq!((early, late, window.late, window.ready_at), (0, 1, true, None));
        let (served, again) = then(open.pods(0..2).nodes(0..2), "08:00:20");
        let window = served.0.group.status.unwrap().active_windows[0].clone();
        assert_eq!(
            (again, window.late, window.ready_at.as_deref()),
            (0, true, Some("2026-11-23T08:00:20Z"))
        );
    }

    #[test]
    fn compute_that_is_there_before_the_window_is_in_the_status_with_its_time() {
        let (raised, _) = then(morning(), "07:55:00");
        let (ready, _) = then(raised.pods(0..2).nodes(0..2), "07:55:09");
        let (open, late) = then(ready, "08:00:01");
        let window = open.0.group.status.unwrap().active_windows[0].clone();
        assert_eq!((late, window.late), (0, false));
        assert_eq!(window.ready_at.as_deref(), Some("2026-11-23T07:55:09Z"));
    }

    #[test]
    fn a_window_says_when_it_was_raised_also_when_auto_is_shorter_by_now() {
        let auto = morning().with(|observed| {
            observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("auto".to_owned()));
        });
        let (raised, _) = then(auto, "07:55:00");
        let seen = raised.pods(0..2).nodes(0..2).with(|observed| {
            let start_up = observed.group.status.as_mut().unwrap().start_up.as_mut().unwrap();
            start_up.recent = serde_json::from_value(serde_json::json!([
                {"pod": "uid-1", "seconds": 12},
            ]))
            .unwrap();
        });
        let (open, _) = then(seen, "08:00:01");
        let status = open.0.group.status.unwrap();
        assert_eq!(status.start_up.unwrap().auto_lead_time, "42s");
        assert_eq!(status.active_windows[0].raised_at, "2026-11-23T07:54:51Z");
    }

    #[test]
    fn a_window_that_is_written_while_it_is_open_is_not_late() {
        let (open, late) = then(morning(), "09:00:00");
        let (_, later) = then(open, "09:00:20");
        assert_eq!((late, later), (0, 0));
    }

    #[test]
    fn a_window_that_a_calendar_brings_while_it_would_be_open_is_not_late() {
        let calendar = |excluded: &[&str]| {
            let dates: Vec<_> = excluded.iter().map(|date| serde_json::json!({"from": date})).collect();
            serde_json::from_value(serde_json::json!({
                "apiVersion": "springtide.dev/v1alpha1", "kind": "Calendar",
                "metadata": {"name": "holidays", "namespace": "retail"}, "spec": {"excludedDates": dates},
            }))
            .unwrap()
        };
        let by_calendar = |excluded: &[&str]| {
            let calendar = calendar(excluded);
            morning().with(|observed| {
                observed.group.spec.schedules[0].calendars = vec!["holidays".to_owned()];
                observed.group.spec.schedules[0].lead_time = None;
                observed.calendars = vec![calendar];
            })
        };
        let (holiday, _) = then(by_calendar(&["2026-11-23"]), "07:50:00");
        let (holiday, none) = then(holiday, "08:30:00");
        let worked = holiday.with(|observed| observed.calendars = vec![calendar(&[])]);
        let (_, late) = then(worked, "09:00:00");
        assert_eq!((none, late), (0, 0));
        let (usual, _) = then(by_calendar(&["2026-11-24"]), "07:50:00");
        let (_, late) = then(usual, "08:00:01");
        assert_eq!(late, 1);
    }

    #[test]
    fn a_window_by_a_calendar_is_late_also_where_another_one_wants_its_nodes_already() {
        let both = group("etl")
            .window("office", "0 7 * * *", Some(4), None)
            .window("report", "0 8 * * *", Some(4), None)
            .with(|observed| observed.group.spec.schedules[1].calendars = vec!["holidays".to_owned()])
            .with(|observed| {
                let calendar = serde_json::json!({
                    "metadata": {"name": "holidays", "namespace": "retail"}, "spec": {"excludedDates": []},
                });
                observed.calendars = vec![serde_json::from_value(calendar).unwrap()];
            });
        let (serves, _) = then(both.pods(0..4).nodes(0..4), "07:30:00");
        let (_, late) = then(serves.pods(0..1).nodes(0..1), "08:00:01");
        assert_eq!(late, 1);
    }

    #[test]
    fn a_window_that_is_late_again_is_told_again() {
        let told = |day: &str| {
            let without_lead = morning().with(|observed| observed.group.spec.schedules[0].lead_time = None);
            let before = without_lead.settled_at(at(&format!("{day}T07:50:00Z")));
            let events = before
                .pods(0..1)
                .nodes(0..1)
                .plan_at(at(&format!("{day}T08:00:01Z")))
                .events;
            let late = events
                .into_iter()
                .find(|event| event.reason == springtide_crds::Reason::WindowLate);
            late.expect("it is late").note
        };
        // The same text about one object would be taken for a repetition.
        assert_eq!(
            told("2026-11-23"),
            "window morning of 2026-11-23T08:00:00Z opened with 1 of 2 nodes; see condition Ready for why; raise its leadTime or write leadTime: auto"
        );
        assert_ne!(told("2026-11-23"), told("2026-11-24"));
    }

    #[test]
    fn what_a_clock_that_was_ahead_said_of_an_opening_is_forgotten() {
        let without_lead = morning();
        let (before, _) = then(without_lead, "07:50:00");
        // Ten minutes ahead: it opened there.
        let (misled, late) = then(before, "08:02:00");
        assert_eq!(late, 1);
        let (misled, _) = then(misled.pods(0..2).nodes(0..2), "08:02:30");
        let (raised, _) = then(misled, "07:56:00");
        let (open, again) = then(raised, "08:00:01");
        let window = open.0.group.status.unwrap().active_windows[0].clone();
        assert_eq!((again, window.late), (0, false));
        assert_eq!(window.ready_at.as_deref(), Some("2026-11-23T07:56:00Z"));
    }

    #[test]
    fn a_window_that_opens_without_its_compute_is_late_while_other_values_are_refused() {
        let without_lead = morning().with(|observed| observed.group.spec.schedules[0].lead_time = None);
        let (before, _) = then(without_lead, "07:50:00");
        let refused = before.with(|observed| observed.group.spec.schedules[0].min_replicas = Some(4000));
        let (refused, early) = then(refused, "07:51:00");
        let (open, late) = then(refused, "08:00:01");
        assert_eq!((early, late), (0, 1));
        assert!(open.0.group.status.unwrap().active_windows[0].late);
    }

    #[test]
    fn no_window_of_a_suspended_cluster_is_late() {
        let (raised, _) = then(morning(), "07:56:00");
        let suspend = |fixture: GroupFixture, suspend: bool| {
            fixture.with(|observed| observed.cluster.as_mut().unwrap().spec.suspend = suspend)
        };
        let (open, late) = then(suspend(raised, true), "08:00:01");
        let (_, resumed) = then(suspend(open, false), "08:30:00");
        assert_eq!((late, resumed), (0, 0));
    }

    #[test]
    fn a_window_without_a_lead_is_late_and_so_is_one_whose_opening_nobody_saw() {
        let without_lead = morning().with(|observed| observed.group.spec.schedules[0].lead_time = None);
        for fixture in [without_lead, morning()] {
            let (before, early) = then(fixture, "07:50:00");
            let (_, late) = then(before, "08:00:00");
            assert_eq!((early, late), (0, 1));
        }
    }

    /// Its pods are ready since this time of the day.
    fn ready_since(fixture: GroupFixture, time: &str) -> GroupFixture {
        fixture.with(|observed| {
            for pod in &mut observed.pods {
                let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
                let since = serde_json::from_value(serde_json::json!(format!("2026-11-23T{time}Z"))).unwrap();
                conditions[0].last_transition_time = Some(since);
            }
        })
    }

    #[test]
    fn a_window_whose_opening_was_not_told_is_late_by_when_its_pods_were_ready() {
        let without_lead = morning().with(|observed| observed.group.spec.schedules[0].lead_time = None);
        // The look at the opening was not told, and nobody looked for an hour.
        for (ready, late) in [("08:00:02", true), ("07:59:58", false), ("06:00:00", false)] {
            for (fixture, first) in [
                (without_lead.clone(), ready.max("08:00:00")),
                // Its lead time begins in the second of the group.
                (morning(), ready.max("07:54:51")),
            ] {
                let (before, _) = then(fixture, "07:50:00");
                let served = ready_since(before.pods(0..2).nodes(0..2), ready);
                let (open, told) = then(served, "09:00:00");
                let window = open.0.group.status.as_ref().unwrap().active_windows[0].clone();
                assert_eq!((told == 1, window.late), (late, late), "ready at {ready}");
                let ready_at = format!("2026-11-23T{first}Z");
                assert_eq!(window.ready_at.as_deref(), Some(ready_at.as_str()));
                let (_, again) = then(open, "09:00:20");
                assert_eq!(again, 0, "told once");
            }
        }
    }

    #[test]
    fn a_window_that_lost_a_node_before_it_opened_is_late() {
        let (ready, _) = then(morning().pods(0..2).nodes(0..2), "07:56:00");
        let (open, late) = then(ready.pods(0..1).nodes(0..1), "08:00:01");
        let window = open.0.group.status.as_ref().unwrap().active_windows[0].clone();
        assert_eq!((late, window.late, window.ready_at), (1, true, None));
        let (served, again) = then(open.pods(0..2).nodes(0..2), "08:00:20");
        let window = served.0.group.status.unwrap().active_windows[0].clone();
        assert_eq!((again, window.ready_at.as_deref()), (0, Some("2026-11-23T08:00:20Z")));
    }
}
