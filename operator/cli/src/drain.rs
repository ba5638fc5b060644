//! What would happen if nodes were let go now.

use std::fmt::Write;

use kube::ResourceExt;
use springtide_crds::{ComputeGroup, compute_group::DrainTimeoutPolicy};
use springtide_plan::{ComputeNodeRow, names, sql::DrainState};

/// As text: node by node, the highest first, as they would go. `replicas` is the size that is asked about, `rows` what the engine
/// says of the nodes of all groups; `knows_drains` is whether it says what runs on them.
pub(crate) fn render(group: &ComputeGroup, replicas: u32, rows: &[ComputeNodeRow], knows_drains: bool) -> String {
    let name = group.name_any();
    let nodes = nodes(&name, rows);
    let leavers: Vec<_> = nodes.iter().rev().filter(|(ordinal, _)| *ordinal >= replicas).collect();
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
        return text;
    }
    let staying = nodes.len() - leavers.len();
    line(format!(
        "{} of {name} would go, {staying} would stay:",
        counted(leavers.len())
    ));
    let width = leavers.iter().map(|(_, row)| pod(row).len()).max().unwrap_or_default();
    let mut waits = false;
    for (_, row) in &leavers {
        let said = match (row.drain, row.alive, row.waiting_for.as_str()) {
            (DrainState::Drained, ..) => "is drained already, and goes at once".to_owned(),
            (DrainState::None, false, _) => "does not answer, and goes at once".to_owned(),
            (DrainState::None, true, _) if !knows_drains => "this engine does not say what runs on it".to_owned(),
            (DrainState::None, true, "") => {
                "runs nothing, and goes as soon as no client can be on its way there".to_owned()
            }
            (DrainState::None, true, what) if !group.spec.drain.enabled => format!("would cut off {what}"),
            (DrainState::None, true, waiting_for) => format!("would wait for {waiting_for}"),
            (DrainState::Draining, _, waiting_for) => format!("drains already, and waits for {waiting_for}"),
            (DrainState::Leaving, _, waiting_for) => format!("leaves already, and waits for {waiting_for}"),
        };
        waits |= said.contains("wait");
        line(format!("  {:width$}  {said}", pod(row)));
    }
    let drain = &group.spec.drain;
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
    let namespace = group.namespace().unwrap_or_default();
    let _written = writeln!(
        text,
        "Do it: kubectl -n {namespace} scale computegroup/{name} --replicas={replicas}"
    );
    text
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
