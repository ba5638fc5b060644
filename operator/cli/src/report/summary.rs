//! What to read first: what is wrong, then what is here and what is not.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{
    bundle::{ERRORS, STATUS},
    collected::{Collected, Folder},
    redact::REDACTED,
};

/// Warnings that are told; there may be thousands.
const MOST_WARNINGS: usize = 30;
/// Longest message of one line.
const MESSAGE_MAX_CHARACTERS: usize = 600;
/// Kinds whose conditions are all meant to be true, the most important first, and what a person calls them.
const SAYING: &[(&str, &str)] = &[
    ("departments", "Department"),
    ("lakeclusters", "LakeCluster"),
    ("computegroups", "ComputeGroup"),
];
/// Conditions of other kinds that are bad when they are `False`.
const MEANT_TRUE: &[(&str, &str, &[&str])] = &[
    (
        "customresourcedefinitions",
        "CustomResourceDefinition",
        &["Established", "NamesAccepted"],
    ),
    ("deployments", "Deployment", &["Available", "Progressing"]),
    (
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        &["AbleToScale", "ScalingActive"],
    ),
    ("poddisruptionbudgets", "PodDisruptionBudget", &["DisruptionAllowed"]),
];

/// The summary, in Markdown.
pub(crate) fn render(collected: &Collected) -> String {
    let mut text = String::new();
    let at = collected.at.format("%Y-%m-%d %H:%M:%S UTC");
    line(&mut text, &format!("# Springtide report: {}, {at}\n", collected.scope));
    line(&mut text, &format!("{}\n", versions(collected)));
    section(
        &mut text,
        "What is wrong",
        &troubles(collected),
        "Nothing that was read says so.",
    );
    section(
        &mut text,
        "Warnings of Kubernetes, the newest first",
        &warnings(collected),
        "None.",
    );
    section(&mut text, "What is here", &contents(collected), "Nothing.");
    let unread: Vec<String> = collected.unread.iter().map(|unread| unread.what.clone()).collect();
    section(&mut text, "What could not be read", &unread, "Everything could.");
    if !unread.is_empty() {
        line(
            &mut text,
            &format!("`{ERRORS}` says why. What is forbidden to you is left out, and no failure.\n"),
        );
    }
    line(&mut text, "## What was taken out\n");
    line(
        &mut text,
        &format!(
            "Secrets were not asked for. What stands under a name like password, token or key, or looks like one, is {REDACTED} here. Names, \
             addresses and settings are as they are: look through the files before you give them away."
        ),
    );
    text
}

/// What is in each folder, one line for each.
pub(crate) fn contents(collected: &Collected) -> Vec<String> {
    let mut folders: BTreeMap<&Folder, Vec<String>> = BTreeMap::new();
    for listed in collected.listed.iter().filter(|listed| !listed.objects.is_empty()) {
        let counted = format!("{} {}", listed.objects.len(), listed.plural);
        folders.entry(&listed.folder).or_default().push(counted);
    }
    let mut logs: BTreeMap<&Folder, usize> = BTreeMap::new();
    for log in &collected.logs {
        *logs.entry(&log.folder).or_default() += 1;
    }
    for (folder, logs) in logs {
        folders.entry(folder).or_default().push(format!("{logs} logs"));
    }
    if folders.is_empty() {
        return Vec::new();
    }
    let lines = folders
        .into_iter()
        .map(|(folder, parts)| format!("{}: {}", folder.path(), parts.join(", ")));
    std::iter::once(format!("{STATUS}: what `kubectl springtide status` shows"))
        .chain(lines)
        .collect()
}

fn versions(collected: &Collected) -> String {
    let operators = collected.objects("deployments").map(|(_, deployment)| {
        let version = deployment
            .pointer("/metadata/labels/app.kubernetes.io~1version")
            .and_then(Value::as_str);
        let image = deployment
            .pointer("/spec/template/spec/containers/0/image")
            .and_then(Value::as_str);
        format!("operator {} ({})", version.unwrap_or("?"), image.unwrap_or("?"))
    });
    let kubernetes = collected.kubernetes.as_deref().unwrap_or("?");
    let plugin = [format!("kubectl-springtide {}", env!("CARGO_PKG_VERSION"))];
    let parts: Vec<String> = plugin
        .into_iter()
        .chain(operators)
        .chain([format!("Kubernetes {kubernetes}")])
        .collect();
    parts.join(", ")
}

/// All that is not as it should be, one line for each, the custom resources first.
fn troubles(collected: &Collected) -> Vec<String> {
    let mut troubles = Vec::new();
    for (plural, kind) in SAYING {
        for (_, object) in collected.objects(plural) {
            let subject = subject(kind, object);
            let bad = conditions(object).filter(|condition| condition["status"] != "True");
            troubles.extend(bad.map(|condition| told(&subject, condition)));
            let generation = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
            if generation("/status/observedGeneration") < generation("/metadata/generation") {
                troubles.push(format!(
                    "{subject}: the last change has not been looked at yet: does the operator run?"
                ));
            }
        }
    }
    for (plural, kind, meant_true) in MEANT_TRUE {
        for (_, object) in collected.objects(plural) {
            let subject = subject(kind, object);
            let is_bad = |condition: &&Value| {
                condition["status"] == "False"
                    && condition["type"]
                        .as_str()
                        .is_some_and(|type_| meant_true.contains(&type_))
            };
            troubles.extend(
                conditions(object)
                    .filter(is_bad)
                    .map(|condition| told(&subject, condition)),
            );
        }
    }
    for (_, set) in collected.objects("statefulsets") {
        let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let (ready, wanted) = (number("/status/readyReplicas"), number("/spec/replicas"));
        if ready < wanted {
            troubles.push(format!(
                "{}: {ready} of {wanted} pods are ready",
                subject("StatefulSet", set)
            ));
        }
    }
    troubles.extend(collected.objects("pods").flat_map(|(_, pod)| of_pod(pod)));
    for (_, claim) in collected.objects("persistentvolumeclaims") {
        let phase = claim.pointer("/status/phase").and_then(Value::as_str).unwrap_or("?");
        if phase != "Bound" {
            troubles.push(format!("{}: {phase}", subject("PersistentVolumeClaim", claim)));
        }
    }
    for (_, node) in collected.objects("nodes") {
        let subject = subject("Node", node);
        // Of a node all but one say what is wrong with it.
        let is_bad = |condition: &&Value| {
            let meant = if condition["type"] == "Ready" { "True" } else { "False" };
            condition["status"] != meant
        };
        troubles.extend(
            conditions(node)
                .filter(is_bad)
                .map(|condition| told(&subject, condition)),
        );
        if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            troubles.push(format!("{subject}: is cordoned"));
        }
    }
    troubles
}

/// What is wrong with a pod, and with its containers.
fn of_pod(pod: &Value) -> Vec<String> {
    let subject = subject("Pod", pod);
    let mut troubles = Vec::new();
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("?");
    if phase != "Succeeded" {
        let is_bad = |condition: &&Value| {
            condition["status"] == "False" && (condition["type"] == "Ready" || condition["type"] == "PodScheduled")
        };
        troubles.extend(
            conditions(pod)
                .filter(is_bad)
                .map(|condition| told(&subject, condition)),
        );
    }
    if phase == "Failed" || phase == "Unknown" {
        troubles.push(format!("{subject}: {phase}"));
    }
    for status in container_statuses(pod) {
        let name = status["name"].as_str().unwrap_or("?");
        let waits = status.pointer("/state/waiting");
        if let Some(reason) = waits.and_then(|waiting| waiting["reason"].as_str())
            && !["ContainerCreating", "PodInitializing"].contains(&reason)
        {
            let message = waits
                .and_then(|waiting| waiting["message"].as_str())
                .unwrap_or_default();
            troubles.push(format!(
                "{subject}, container {name}: waits, {reason}: {}",
                short(message)
            ));
        }
        let restarts = status["restartCount"].as_i64().unwrap_or_default();
        if restarts > 0 {
            let ended = status.pointer("/lastState/terminated").unwrap_or(&Value::Null);
            let reason = ended["reason"].as_str().unwrap_or("?");
            let code = ended["exitCode"]
                .as_i64()
                .map_or_else(|| "?".to_owned(), |code| code.to_string());
            let at = ended["finishedAt"].as_str().unwrap_or("?");
            let message = ended["message"].as_str().unwrap_or_default();
            troubles.push(format!(
                "{subject}, container {name}: was restarted {restarts} times; it ended at {at} with {code}, {reason}: {}",
                short(message)
            ));
        }
    }
    troubles
}

/// Of all containers of a pod.
pub(super) fn container_statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    [
        "initContainerStatuses",
        "containerStatuses",
        "ephemeralContainerStatuses",
    ]
    .into_iter()
    .filter_map(move |field| pod["status"][field].as_array())
    .flatten()
}

/// Events that warn, the newest first.
fn warnings(collected: &Collected) -> Vec<String> {
    let mut warnings: Vec<(String, String)> = collected
        .objects("events")
        .filter(|(_, event)| event["type"] == "Warning")
        .map(|(folder, event)| {
            let at = last_seen(event).to_owned();
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
            let times = event
                .pointer("/series/count")
                .or_else(|| event.get("count"))
                .and_then(Value::as_i64);
            let times = times
                .filter(|times| *times > 1)
                .map_or_else(String::new, |times| format!(" ({times} times)"));
            let told = format!(
                "{at} {}, {} {}: {}{times}: {}",
                folder.path(),
                text("/involvedObject/kind"),
                text("/involvedObject/name"),
                text("/reason"),
                short(text("/message"))
            );
            (at, told)
        })
        .collect();
    // Times are of one form, which sorts as they do.
    warnings.sort_by(|one, other| other.cmp(one));
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    warnings.truncate(MOST_WARNINGS);
    let mut told: Vec<String> = warnings.into_iter().map(|(_, told)| told).collect();
    if more > 0 {
        told.push(format!("{more} more in the files events.yaml"));
    }
    told
}

/// When an Event was seen last.
fn last_seen(event: &Value) -> &str {
    [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .find_map(|pointer| event.pointer(pointer).and_then(Value::as_str))
    .unwrap_or("?")
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn subject(kind: &str, object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
    match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn told(subject: &str, condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or("?");
    let message = condition["message"].as_str().unwrap_or_default();
    let reason = condition["reason"].as_str().unwrap_or("no reason given");
    format!(
        "{subject}: {} is {}, {reason}: {}",
        text("type"),
        text("status"),
        short(message)
    )
}

/// A message on one line, not too long.
fn short(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn section(text: &mut String, title: &str, lines: &[String], otherwise: &str) {
    line(text, &format!("## {title}\n"));
    if lines.is_empty() {
        line(text, &format!("{otherwise}\n"));
        return;
    }
    for told in lines {
        line(text, &format!("- {told}"));
    }
    line(text, "");
}

fn line(text: &mut String, words: &str) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "{words}");
}

#[cfg(test)]
mod tests;
