//! How long nodes take to start, by what was seen: what a lead time of `auto` is made of.
//!
//! A start is seen when a node serves that did not at the look before. The last [`KEPT`] are in the status, so that a new leader
//! knows them; one pod counts once, however often its engine starts again.

use std::time::Duration as StdDuration;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Pod;
use springtide_crds::compute_group::{LeadTimeSource, ObservedStart, StartUp, WindowLeadTime, WindowPhase};
use springtide_crds::{ComputeGroupSpec, LeadTime};

use super::{InForce, members, stagger::stagger};
use crate::observed::ObservedComputeGroup;
use crate::trouble;

/// Starts that are kept.
const KEPT: usize = 20;
/// The lead time as long as none was seen.
const UNKNOWN: StdDuration = StdDuration::from_secs(300);
/// A node that took longer was kept from starting by something that a lead time cannot help.
const LONGEST_S: i64 = 1800;

/// A node serves so soon after its pod is ready.
const READY_S: i64 = 60;
/// And so soon after its last container runs. By a clock that is ahead it would seem later.
const RUNNING_S: i64 = 300;

/// What was seen before this look, and in it.
pub(super) fn observe(observed: &ObservedComputeGroup, now: DateTime<Utc>) -> Vec<ObservedStart> {
    let Some(before) = observed.group.status.as_ref() else {
        return Vec::new();
    };
    let mut recent = before
        .start_up
        .as_ref()
        .map(|start_up| start_up.recent.clone())
        .unwrap_or_default();
    for member in members::members(observed) {
        let served = before.nodes.iter().any(|node| node.name == member.pod && node.alive);
        if served || !member.row.alive || member.row.draining {
            continue;
        }
        let pod = observed
            .pods
            .iter()
            .find(|pod| pod.metadata.name.as_deref() == Some(&member.pod));
        if pod.is_some_and(|pod| was_ready_before(pod, now) || ran_before(pod, now)) {
            continue;
        }
        let Some((uid, created)) = pod.and_then(|pod| {
            Some((
                pod.metadata.uid.clone()?,
                pod.metadata.creation_timestamp.as_ref()?.0.as_second(),
            ))
        }) else {
            continue;
        };
        let seconds = now.timestamp() - created;
        if (0..=LONGEST_S).contains(&seconds) && recent.iter().all(|start| start.pod != uid) {
            recent.push(ObservedStart { pod: uid, seconds });
        }
    }
    let surplus = recent.len().saturating_sub(KEPT);
    recent.split_off(surplus)
}

/// A pod that has been ready for a while is no start: its node is known again after a frontend was away.
fn was_ready_before(pod: &Pod, now: DateTime<Utc>) -> bool {
    trouble::ready_since(pod).is_some_and(|since| (now - since).num_seconds() > READY_S)
}

/// A pod whose containers have all run for so long is no start either, or it is by the wrong clock: the kubelet's, which stamps them, is
/// another one.
fn ran_before(pod: &Pod, now: DateTime<Utc>) -> bool {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let started = containers.filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    let last = started.map(|at| at.0.as_second()).max();
    last.is_some_and(|at| now.timestamp() - at > RUNNING_S)
}

/// The time that 19 of 20 starts took.
fn p95(recent: &[ObservedStart]) -> Option<StdDuration> {
    let mut seconds: Vec<i64> = recent.iter().map(|start| start.seconds).collect();
    seconds.sort_unstable();
    let rank = (seconds.len() * 95).div_ceil(100);
    let seconds = seconds.get(rank.checked_sub(1)?)?;
    // A look each second sees a start up to a second late, never early.
    u64::try_from(*seconds).ok().map(StdDuration::from_secs)
}

/// What a lead time of `auto` is by the starts that the status knows; but a floor that is raised already stays raised. Its first nodes
/// are the starts that are seen, and a lead that is shorter by them would send them away and fetch them again.
pub(super) fn auto_lead_time(
    observed: &ObservedComputeGroup,
    spec: &ComputeGroupSpec,
    warm_up: StdDuration,
    now: DateTime<Utc>,
) -> StdDuration {
    let start_up = observed
        .group
        .status
        .as_ref()
        .and_then(|status| status.start_up.as_ref());
    let lead_time = lead_time(start_up.map_or(&[], |start_up| &start_up.recent), warm_up);
    raised(observed, spec, now).fold(lead_time, StdDuration::max)
}

/// The lead times by which floors are raised at present that follow `auto`. What a clock wrote that was wrong, or an operator that was
/// away since, is not raised now.
fn raised(
    observed: &ObservedComputeGroup,
    spec: &ComputeGroupSpec,
    now: DateTime<Utc>,
) -> impl Iterator<Item = StdDuration> {
    let is_auto = |name: &str| {
        let mut schedules = spec.schedules.iter();
        schedules.any(|schedule| {
            schedule.name == name && schedule.lead_time.as_ref().is_some_and(|lead| lead.fixed().is_none())
        })
    };
    let (namespace, name) = super::identity(observed);
    let stagger = stagger(namespace, name);
    let active = observed.group.status.iter().flat_map(|status| &status.active_windows);
    active
        .filter(move |window| window.phase == WindowPhase::Raised && is_auto(&window.name))
        .filter_map(move |window| {
            let instant = |text: &str| text.parse::<DateTime<Utc>>().ok();
            let (raised_at, opens_at) = (instant(&window.raised_at)?, instant(&window.opens_at)?);
            let is_raised = (raised_at..opens_at).contains(&now);
            is_raised.then_some((opens_at - raised_at).to_std().ok()?)
        })
        .map(move |lead| lead.saturating_sub(stagger).min(springtide_schedule::MAX_LEAD_TIME))
}

fn lead_time(recent: &[ObservedStart], warm_up: StdDuration) -> StdDuration {
    p95(recent)
        .map_or(UNKNOWN, |p95| p95 + warm_up)
        .min(springtide_schedule::MAX_LEAD_TIME)
}

/// For the status.
pub(super) fn status(recent: Vec<ObservedStart>, warm_up: StdDuration) -> StartUp {
    let text = |span: StdDuration| format!("{}s", span.as_secs());
    StartUp {
        auto_lead_time: text(lead_time(&recent, warm_up)),
        p95: p95(&recent).map(text),
        recent,
    }
}

/// The lead times of the windows in force that have one, for the status.
pub(super) fn lead_times(in_force: &InForce, start_up: Option<&StartUp>) -> Vec<WindowLeadTime> {
    let (Some(spec), Some(start_up)) = (in_force.spec.as_deref(), start_up) else {
        return Vec::new();
    };
    let of = |window: &str, lead: &LeadTime| {
        let (source, lead_time, observations) = match lead.fixed() {
            Some(fixed) => (LeadTimeSource::Fixed, fixed.0, None),
            None => (
                LeadTimeSource::Auto,
                start_up.auto_lead_time.clone(),
                Some(i32::try_from(start_up.recent.len()).unwrap_or(i32::MAX)),
            ),
        };
        WindowLeadTime {
            window: window.to_owned(),
            source,
            lead_time,
            observations,
        }
    };
    let schedules = spec.schedules.iter();
    schedules
        .filter_map(|schedule| Some(of(&schedule.name, schedule.lead_time.as_ref()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{GroupFixture, group, noon};

    fn start(pod: usize, seconds: i64) -> ObservedStart {
        ObservedStart {
            pod: format!("uid-{pod}"),
            seconds,
        }
    }

    #[test]
    fn nineteen_of_twenty_starts_are_quicker() {
        let seconds = |recent: &[ObservedStart]| p95(recent).map(|span| span.as_secs());
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[start(0, 7)]), Some(7));
        let twenty: Vec<ObservedStart> = (0..20).map(|number| start(number, 1 + number as i64)).collect();
        assert_eq!(seconds(&twenty), Some(19));
        assert_eq!(
            lead_time(&twenty, StdDuration::from_secs(30)),
            StdDuration::from_secs(49)
        );
        assert_eq!(lead_time(&[], StdDuration::from_secs(30)), UNKNOWN);
    }

    /// One node serves, whose pod was made so many seconds ago.
    fn starting(age_s: i64) -> GroupFixture {
        let created = noon() - chrono::TimeDelta::seconds(age_s);
        let fixture = group("etl").settled().pods(0..1).nodes(0..1);
        fixture.with(|observed| {
            let metadata = &mut observed.pods[0].metadata;
            metadata.uid = Some("uid-0".to_owned());
            metadata.creation_timestamp = serde_json::from_value(json!(created.to_rfc3339())).unwrap();
        })
    }

    #[test]
    fn a_start_is_seen_once() {
        let first = starting(12);
        let seen = first.plan().status.unwrap().start_up.unwrap();
        assert_eq!(seen.recent, [start(0, 12)]);
        assert_eq!(
            (seen.p95.as_deref(), seen.auto_lead_time.as_str()),
            (Some("12s"), "42s")
        );
        let settled = first.settled();
        let later = settled.plan_at(noon() + chrono::TimeDelta::seconds(60));
        assert_eq!(later.status, None, "it serves on, and nothing is new");
    }

    #[test]
    fn the_status_says_which_lead_is_fixed_and_which_follows_from_how_many_starts() {
        let with_windows = |fixture: GroupFixture| {
            ["5m", "auto", ""].into_iter().fold(fixture, |fixture, lead| {
                let name = format!("lead-{lead}");
                fixture.window(&name, "0 18 * * *", Some(1), None).with(|observed| {
                    let schedule = observed.group.spec.schedules.last_mut().unwrap();
                    schedule.lead_time = Some(springtide_crds::LeadTime(lead.to_owned())).filter(|_| !lead.is_empty());
                })
            })
        };
        let said = |fixture: GroupFixture| -> Vec<String> {
            let lead_times = fixture.plan().status.unwrap().lead_times;
            lead_times
                .iter()
                .map(|lead| {
                    let observations = lead.observations;
                    format!("{} {:?} {} {observations:?}", lead.window, lead.source, lead.lead_time)
                })
                .collect()
        };
        assert_eq!(
            said(with_windows(group("etl"))),
            ["lead-5m Fixed 5m None", "lead-auto Auto 300s Some(0)"],
            "none was seen yet"
        );
        assert_eq!(
            said(with_windows(starting(12))),
            ["lead-5m Fixed 5m None", "lead-auto Auto 42s Some(1)"]
        );
    }

    #[test]
    fn lead_times_are_those_in_force_and_not_those_that_were_refused() {
        let accepted = group("etl")
            .window("morning", "0 18 * * *", Some(1), None)
            .with(|observed| {
                observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("5m".to_owned()));
            })
            .settled();
        let refused = accepted.with(|observed| {
            observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("auto".to_owned()));
            observed.group.spec.schedules[0].time_zone = "Europe/Atlantis".to_owned();
        });
        let lead_times = refused.plan().status.unwrap().lead_times;
        assert_eq!(
            (lead_times[0].source, lead_times[0].lead_time.as_str(), lead_times.len()),
            (LeadTimeSource::Fixed, "5m", 1)
        );
    }

    #[test]
    fn a_floor_that_auto_has_raised_stays_when_its_first_node_starts_faster_than_expected() {
        // Five minutes ahead, as no start was seen; the first one takes twelve seconds.
        let raised = group("etl")
            .replicas(0)
            .window("peak", "4 12 * * *", Some(2), None)
            .with(|observed| {
                observed.group.spec.schedules[0].lead_time = Some(springtide_crds::LeadTime("auto".to_owned()));
            })
            .settled();
        let raised_at = |status: &springtide_crds::ComputeGroupStatus| status.active_windows[0].raised_at.clone();
        let before = raised_at(raised.0.group.status.as_ref().unwrap());
        let created = noon() - chrono::TimeDelta::seconds(12);
        let started = raised.pods(0..1).nodes(0..1).with(|observed| {
            let metadata = &mut observed.pods[0].metadata;
            metadata.uid = Some("uid-0".to_owned());
            metadata.creation_timestamp = serde_json::from_value(json!(created.to_rfc3339())).unwrap();
        });
        let plan = started.plan();
        let status = plan.status.clone().unwrap();
        assert_eq!(raised_at(&status), before);
        assert_eq!(status.start_up.unwrap().auto_lead_time, "42s");
        let next = started.with(|observed| observed.group.status = plan.status);
        let status = next.plan_at(noon() + chrono::TimeDelta::seconds(1)).status;
        let floor = status.map_or(next.0.group.status.clone().unwrap().floor, |status| status.floor);
        assert_eq!(floor, Some(2));
        // So it does while a fixed lead time is refused.
        let refused = next.with(|observed| {
            let window = &mut observed.group.spec.schedules[0];
            window.lead_time = Some(springtide_crds::LeadTime("10s".to_owned()));
            window.time_zone = "Europe/Atlantis".to_owned();
        });
        let status = refused.plan_at(noon() + chrono::TimeDelta::seconds(1)).status.unwrap();
        assert_eq!((status.floor, raised_at(&status)), (Some(2), before));
    }

    #[test]
    fn a_node_that_is_known_again_after_a_frontend_was_away_is_no_start() {
        let since = noon() - chrono::TimeDelta::seconds(900);
        let back = starting(960).with(|observed| {
            let status = observed.pods[0].status.get_or_insert_default();
            status.conditions = serde_json::from_value(json!([
                {"type": "Ready", "status": "True", "lastTransitionTime": since.to_rfc3339()},
            ]))
            .unwrap();
        });
        assert_eq!(back.plan().status.unwrap().start_up.unwrap().recent, []);
    }

    #[test]
    fn a_start_by_a_clock_that_is_ahead_does_not_raise_the_floors_of_later_windows_too_early() {
        let by_a_clock_ahead_by = |ahead_s: i64| {
            let ran = noon() - chrono::TimeDelta::seconds(ahead_s + 2);
            let started = starting(ahead_s + 12).with(|observed| {
                let status = observed.pods[0].status.get_or_insert_default();
                status.container_statuses = serde_json::from_value(json!([{
                    "name": "cn", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"running": {"startedAt": ran.to_rfc3339()}},
                }]))
                .unwrap();
            });
            started.plan().status.unwrap().start_up.unwrap()
        };
        assert_eq!(by_a_clock_ahead_by(0).recent, [start(0, 12)]);
        let ahead = by_a_clock_ahead_by(1200);
        assert_eq!((ahead.recent.len(), ahead.auto_lead_time.as_str()), (0, "300s"));
    }

    #[test]
    fn a_node_that_was_stuck_for_an_hour_says_nothing_about_starts() {
        let status = starting(3600).plan().status.unwrap();
        assert_eq!(status.start_up.unwrap().recent, []);
    }
}
