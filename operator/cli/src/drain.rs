//! What would happen if nodes were let go now.

use kube::ResourceExt;
use springtide_crds::{
    ComputeGroup, ComputeGroupStatus,
    compute_group::{ActiveWindow, DrainTimeoutPolicy, ScaleDecider, WindowPhase},
};
use springtide_plan::{ComputeNodeRow, names, sql::DrainState};

/// As text: node by node, the highest first, as they would go. `replicas` is what would be written, `rows` what the engine says of the
/// nodes of all groups; `knows_drains` is whether it says what runs on them.
pub(crate) fn render(group: &ComputeGroup, replicas: u32, rows: &[ComputeNodeRow], knows_drains: bool) -> String {
    let name = group.name_any();
    let mut nodes = nodes(&name, rows);
    // The first node of a group that sleeps stays known, for statements to wait for: it has no pod that could go.
    let has_pods = group.status.as_ref().is_none_or(|status| status.replicas > 0);
    nodes.retain(|(_, row)| has_pods || row.alive || row.drain != DrainState::None);
    let size = Size::with(group, replicas);
    let leavers: Vec<_> = nodes
        .iter()
        .rev()
        .filter(|(ordinal, _)| *ordinal >= size.wanted)
        .collect();
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    if leavers.is_empty() {
        line(format!(
            "{name} has {}: none would go to have {replicas}.",
            counted(nodes.len())
        ));
        if let Some(why) = size.why {
            line(why);
        }
        return text;
    }
    let staying = nodes.len() - leavers.len();
    line(format!(
        "{} of {name} would go, {staying} would stay:",
        counted(leavers.len())
    ));
    let accepted = group.status.as_ref().and_then(|status| status.accepted_spec.as_deref());
    let in_force = accepted.unwrap_or(&group.spec);
    let drain = &in_force.drain;
    let width = leavers.iter().map(|(_, row)| pod(row).len()).max().unwrap_or_default();
    let mut waits = false;
    // Nodes go from the top.
    let mut busy_above = None;
    for (_, row) in &leavers {
        let fate = fate(row, drain.enabled, knows_drains, busy_above);
        waits |= fate.waits;
        if fate.waits && drain.enabled {
            busy_above = busy_above.or(Some(pod(row)));
        }
        line(format!("  {:width$}  {}", pod(row), fate.said));
    }
    if !drain.enabled {
        line("drain.enabled is false: nothing is waited for.".to_owned());
    } else if waits {
        let end = match drain.on_timeout {
            DrainTimeoutPolicy::Force => "then what still runs is cut off (drain.onTimeout: Force)",
            DrainTimeoutPolicy::Wait => "and longer if it must (drain.onTimeout: Wait)",
        };
        line(format!(
            "They are waited for {} (drain.timeout), {end}.",
            drain.timeout.0
        ));
    }
    if let Some(why) = size.why {
        line(why);
    }
    if !size.changes {
        line(format!(
            "They go anyway: writing {replicas} to replicas changes nothing."
        ));
    } else if in_force.autoscaling.is_some() && replicas > 0 {
        line(
            "autoscaling writes replicas, so that another size lasts until its next decision: lower autoscaling.maxReplicas, or open a \
             window with maxReplicas."
                .to_owned(),
        );
    } else {
        let namespace = group.namespace().unwrap_or_default();
        line(format!(
            "Do it: kubectl -n {namespace} scale computegroup/{name} --replicas={replicas}"
        ));
    }
    text
}

/// What becomes of a node that is not wanted any more.
struct Fate {
    said: String,
    /// For something that runs there.
    waits: bool,
}

/// `busy_above` is a node that goes before this one and waits for what runs there.
fn fate(row: &ComputeNodeRow, drains: bool, knows_drains: bool, busy_above: Option<&str>) -> Fate {
    let what = row.waiting_for.as_str();
    let goes = |when: &str| match busy_above {
        Some(above) => format!("goes once {above} has gone"),
        None => format!("goes {when}"),
    };
    let at_once = || goes("at once");
    let soon = || goes("as soon as no client can be on its way there");
    let free = |said: String| Fate { said, waits: false };
    let waits = |said: String| Fate { said, waits: true };
    match (row.drain, row.alive) {
        (DrainState::Drained, _) => free(format!("is drained already, and {}", at_once())),
        (DrainState::None, false) if drains && knows_drains => free(format!(
            "does not answer, and {}; its pod ends after drain.timeout at the latest",
            at_once()
        )),
        (DrainState::None, false) => free(format!("does not answer, and {}", at_once())),
        (DrainState::None, true) if !knows_drains && drains => {
            free("this engine does not say what runs on it".to_owned())
        }
        (DrainState::None, true) if !knows_drains => {
            free("goes at once; this engine does not say what that cuts off".to_owned())
        }
        (DrainState::Leaving, _) if !drains || what.is_empty() => free("leaves already".to_owned()),
        (DrainState::None | DrainState::Draining, _) if !drains && what.is_empty() => {
            free(format!("runs nothing, and {}", at_once()))
        }
        (DrainState::None | DrainState::Draining, _) if !drains => free(format!("would cut off {what}")),
        (DrainState::None, true) if what.is_empty() => free(format!("runs nothing, and {}", soon())),
        (DrainState::Draining, _) if what.is_empty() => free(format!("drains already, and {}", soon())),
        (DrainState::None, true) => waits(format!("would wait for {what}")),
        (DrainState::Draining, _) => waits(format!("drains already, and waits for {what}")),
        (DrainState::Leaving, _) => waits(format!("leaves already, and waits for {what}")),
    }
}

/// How many nodes the operator wants once `replicas` is written.
struct Size {
    wanted: u32,
    /// What makes that another number than the written one.
    why: Option<String>,
    /// Whether that is another number than the one that is wanted now.
    changes: bool,
}

impl Size {
    fn with(group: &ComputeGroup, replicas: u32) -> Self {
        let unknown = ComputeGroupStatus::default();
        let status = group.status.as_ref().unwrap_or(&unknown);
        let count = |nodes: i32| u32::try_from(nodes).unwrap_or_default();
        let decided_by = status.scaling.as_ref().map(|scaling| scaling.decided_by);
        let now = status.wanted_replicas.map(count);
        if decided_by == Some(ScaleDecider::Suspension) {
            return Self {
                wanted: 0,
                why: Some("No node is wanted, whatever replicas is: the cluster is suspended.".to_owned()),
                changes: false,
            };
        }
        let floor = status.floor.map_or(0, count);
        let in_force = status.accepted_spec.as_deref().unwrap_or(&group.spec);
        let autoscaling = in_force.autoscaling.as_ref().filter(|_| replicas > 0);
        let least = autoscaling.map_or(0, |autoscaling| count(autoscaling.min_replicas));
        // A group that sleeps counts no statements.
        let demand = status.demand.as_ref().filter(|_| replicas > 0 || floor > 0);
        let asked = replicas.max(least).max(demand.map_or(0, |demand| count(demand.nodes)));
        let ceiling = status.ceiling.map_or(u32::MAX, count);
        let limit = now.filter(|_| decided_by == Some(ScaleDecider::Limit));
        let within = asked.min(ceiling).max(floor);
        let wanted = within.min(limit.unwrap_or(u32::MAX));
        let kept = |by: &str| Some(format!("Wanted all the same: {}, {by}.", counted(wanted as usize)));
        let capped = |by: &str| Some(format!("Wanted at most: {}, by {by}.", counted(wanted as usize)));
        let why = if within > asked.min(ceiling) {
            let holds = |window: &&ActiveWindow| window.min_replicas.map(count) == Some(floor);
            kept(&format!("for {}", windows(status.active_windows.iter().filter(holds))))
        } else if wanted < replicas && wanted < within {
            capped("the department's limit")
        } else if wanted < replicas {
            let caps = |window: &&ActiveWindow| window.max_replicas.map(count) == Some(ceiling);
            capped(&windows(status.active_windows.iter().filter(caps)))
        } else if wanted > replicas && asked > least {
            let until = demand.map_or("", |demand| demand.until.as_str());
            kept(&format!("for statements that wait (counted until {until})"))
        } else if wanted > replicas {
            kept("by autoscaling.minReplicas")
        } else {
            None
        };
        Self {
            wanted,
            why,
            changes: now != Some(wanted),
        }
    }
}

/// Windows by name, and how long each counts.
fn windows<'a>(windows: impl Iterator<Item = &'a ActiveWindow>) -> String {
    let told: Vec<String> = windows
        .map(|window| {
            let ActiveWindow { name, closes_at, .. } = window;
            match window.phase {
                WindowPhase::Raised => format!("window {name} (raised ahead of its start, until {closes_at})"),
                WindowPhase::Open => format!("window {name} (until {closes_at})"),
                WindowPhase::RampingDown => format!("window {name} (closed, its floor falls node by node)"),
            }
        })
        .collect();
    if told.is_empty() {
        return "a window".to_owned();
    }
    told.join(", ")
}

/// The group's nodes by their numbers.
fn nodes<'a>(group: &str, rows: &'a [ComputeNodeRow]) -> Vec<(u32, &'a ComputeNodeRow)> {
    let prefix = format!("{}-", names::compute(group));
    let mut nodes: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((pod(row).strip_prefix(&prefix)?.parse().ok()?, row)))
        .collect();
    nodes.sort_by_key(|(ordinal, _)| *ordinal);
    nodes
}

fn pod(row: &ComputeNodeRow) -> &str {
    row.host.split('.').next().unwrap_or_default()
}

fn counted(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        more => format!("{more} nodes"),
    }
}

#[cfg(test)]
mod tests;
