//! A pre-scaling window, from before it opens until its compute is gone.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Timelike, Utc};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use springtide_crds::{ComputeGroup, compute_group::ComputeGroupStatus};

use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    timeline::{Progress, Timeline},
};

/// Who owns the window in the ComputeGroup: a writer of its own, so that taking it back leaves the group as it was.
const FIELD_MANAGER: &str = "springtide-demo";
/// Name of the window.
const NAME: &str = "demo-peak";
/// Nodes that the peak wants above what the group has.
const MORE_NODES: i32 = 1;
/// Time from now to the window's opening, at least: cron counts in whole minutes.
const AHEAD: TimeDelta = TimeDelta::seconds(120);
/// How long before the opening the floor is raised.
const LEAD: TimeDelta = TimeDelta::seconds(60);
/// How long the window stays open.
const OPEN: TimeDelta = TimeDelta::seconds(60);
/// From a decision of the operator to its effect on nodes, a drain among them.
const EFFECT_LIMIT: Duration = Duration::from_secs(180);

/// Writes the window, waits for its compute, for its end, and takes it back.
pub(super) async fn show(timeline: &Timeline, client: &Client, groups: &[ComputeGroup]) -> Result<()> {
    // A run that was broken off may have left its window.
    for group in groups {
        let api: Api<ComputeGroup> = Api::namespaced(client.clone(), &group.namespace().unwrap_or_default());
        write_window(&api, &group.name_any(), None).await?;
        settled(&api, &group.name_any()).await?;
    }
    let (group, before) = with_room(client, groups).await?;
    let (namespace, name) = (group.namespace().unwrap_or_default(), group.name_any());
    let api: Api<ComputeGroup> = Api::namespaced(client.clone(), &namespace);
    let opens = next_minute(Utc::now() + AHEAD);
    let closes = opens + OPEN;
    let peak = before + MORE_NODES;
    timeline
        .step(&format!("window for {namespace}/{name}"), async |p| {
            write_window(&api, &name, Some((opens, peak))).await?;
            p.say(format!(
                "{} to {} UTC, at least {peak} nodes, 60 s lead",
                opens.format("%H:%M"),
                closes.format("%H:%M")
            ));
            Ok(())
        })
        .await?;
    let shown = seen(timeline, &api, &name, (before, peak), (opens, closes)).await;
    // Taken back on failure too: the next run begins from the group as it is in examples/.
    let taken = write_window(&api, &name, None).await;
    shown.and(taken)
}

/// The first group in which no window of its own keeps the compute low at this hour, and how many nodes it has now.
async fn with_room<'a>(client: &Client, groups: &'a [ComputeGroup]) -> Result<(&'a ComputeGroup, i32)> {
    for group in groups {
        let api: Api<ComputeGroup> = Api::namespaced(client.clone(), &group.namespace().unwrap_or_default());
        let status = status(&api, &group.name_any()).await?;
        if status
            .ceiling
            .is_none_or(|ceiling| ceiling >= status.serving_replicas + MORE_NODES)
        {
            return Ok((group, status.serving_replicas));
        }
    }
    Err(Error::Missing(
        "every ComputeGroup in examples/ is under the ceiling of a window at this hour; try again later".into(),
    ))
}

async fn seen(
    timeline: &Timeline,
    api: &Api<ComputeGroup>,
    name: &str,
    (before, peak): (i32, i32),
    (opens, closes): (DateTime<Utc>, DateTime<Utc>),
) -> Result<()> {
    timeline
        .step(&format!("{peak} nodes serve before it opens"), async |p| {
            let limit = until(opens) + EFFECT_LIMIT;
            let at = serving(api, name, peak, limit, &p, |p, serving| {
                p.say(format!("{serving} serve, {} s to go", until(opens).as_secs()));
            })
            .await?;
            if at > opens {
                return Err(Error::Wrong {
                    what: "the window's compute".into(),
                    expected: format!("serving by {}", opens.format("%T")),
                    found: format!("serving at {}", at.format("%T")),
                });
            }
            p.say(format!(
                "{} s before {} UTC",
                (opens - at).num_seconds(),
                opens.format("%H:%M")
            ));
            Ok(())
        })
        .await?;
    timeline
        .step("the window closes", async |p| {
            while Utc::now() < closes {
                p.say(format!("{} s to go", until(closes).as_secs()));
                tokio::time::sleep(Duration::from_millis(500)).await;
                let now = status(api, name).await?.serving_replicas;
                if now < peak && Utc::now() < closes {
                    return Err(Error::Wrong {
                        what: "compute inside the window".into(),
                        expected: format!("{peak} nodes"),
                        found: format!("{now}"),
                    });
                }
            }
            p.say(format!("{} UTC, {peak} nodes all the while", closes.format("%H:%M")));
            Ok(())
        })
        .await?;
    timeline
        .step(
            &format!("back to {before} node{}", if before == 1 { "" } else { "s" }),
            async |p| {
                let at = gone(api, name, peak, &p).await?;
                p.say(format!(
                    "drained and gone {} s after the end",
                    (at - closes).num_seconds().max(0)
                ));
                Ok(())
            },
        )
        .await
}

/// Applies the group's schedules as this module's own: one window, or none.
async fn write_window(api: &Api<ComputeGroup>, name: &str, window: Option<(DateTime<Utc>, i32)>) -> Result<()> {
    let schedules = window.map(|(opens, peak)| {
        json!([{
            "name": NAME,
            "start": format!("{} {} * * *", opens.minute(), opens.hour()),
            "duration": format!("{}s", OPEN.num_seconds()),
            "leadTime": format!("{}s", LEAD.num_seconds()),
            "timeZone": "Etc/UTC",
            "minReplicas": peak,
        }])
    });
    let mut object =
        json!({"apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": name}});
    if let Some(schedules) = schedules {
        object["spec"] = json!({ "schedules": schedules });
    }
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::kubernetes(format!("write the window of ComputeGroup {name}")))
}

async fn serving(
    api: &Api<ComputeGroup>,
    name: &str,
    wanted: i32,
    limit: Duration,
    progress: &Progress,
    say: impl Fn(&Progress, i32),
) -> Result<DateTime<Utc>> {
    wait_until(
        &format!("{wanted} nodes of {name} serve"),
        limit,
        progress,
        async || {
            let now = status(api, name).await?.serving_replicas;
            if now >= wanted {
                return Ok(Look::Done(Utc::now()));
            }
            say(progress, now);
            Ok(Look::NotYet(progress.text()))
        },
    )
    .await
}

/// Waits until the group has what it wants without the window: what it had, unless another window of its own began meanwhile.
async fn gone(api: &Api<ComputeGroup>, name: &str, peak: i32, progress: &Progress) -> Result<DateTime<Utc>> {
    wait_until(
        &format!("the compute of {name} is gone"),
        EFFECT_LIMIT,
        progress,
        async || {
            let ComputeGroupStatus {
                replicas,
                serving_replicas,
                wanted_replicas,
                nodes,
                ..
            } = status(api, name).await?;
            let wanted = wanted_replicas.unwrap_or(peak);
            // A node is forgotten when its pod is gone, and that when nothing runs on it any more.
            let known = nodes.len();
            if wanted < peak && [replicas, serving_replicas, known as i32] == [wanted; 3] {
                return Ok(Look::Done(Utc::now()));
            }
            Ok(Look::NotYet(format!(
                "{wanted} wanted, {replicas} pods, {serving_replicas} serve, {known} known to the frontend"
            )))
        },
    )
    .await
}

async fn status(api: &Api<ComputeGroup>, name: &str) -> Result<ComputeGroupStatus> {
    Ok(existing(api, name).await?.status.unwrap_or_default())
}

/// Waits until the operator has seen what was written last, and as many nodes serve as it wants.
async fn settled(api: &Api<ComputeGroup>, name: &str) -> Result<()> {
    let progress = Progress::default();
    wait_until(
        &format!("{name} has the compute that it wants"),
        EFFECT_LIMIT,
        &progress,
        async || {
            let group = existing(api, name).await?;
            let status = group.status.unwrap_or_default();
            let seen = status.observed_generation >= group.metadata.generation;
            if seen && status.wanted_replicas == Some(status.serving_replicas) {
                return Ok(Look::Done(()));
            }
            let wanted = status.wanted_replicas.unwrap_or_default();
            Ok(Look::NotYet(format!(
                "{wanted} wanted, {} serve",
                status.serving_replicas
            )))
        },
    )
    .await
}

async fn existing(api: &Api<ComputeGroup>, name: &str) -> Result<ComputeGroup> {
    cluster::get(api, name)
        .await?
        .ok_or_else(|| Error::Missing(format!("ComputeGroup {name} is gone")))
}

/// The first whole minute at or after a time.
fn next_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    let whole = time.trunc_subsecs(0) - TimeDelta::seconds(i64::from(time.second()));
    if whole < time {
        whole + TimeDelta::minutes(1)
    } else {
        whole
    }
}

fn until(time: DateTime<Utc>) -> Duration {
    (time - Utc::now()).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_at_a_whole_minute_not_before_the_time_asked_for() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(next_minute(at("2026-03-01T08:59:00Z")), at("2026-03-01T08:59:00Z"));
        assert_eq!(next_minute(at("2026-03-01T08:59:00.001Z")), at("2026-03-01T09:00:00Z"));
        assert_eq!(next_minute(at("2026-12-31T23:59:59Z")), at("2027-01-01T00:00:00Z"));
    }
}
