//! One screen: what runs, why it is so, and what to do next.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use springtide_crds::compute_group::{ActiveWindow, LeadTimeSource, WindowLeadTime, WindowPhase};
use springtide_crds::lake_cluster::EngineStatus;
use springtide_crds::{ComputeGroup, Department, LakeCluster, Reason};

use self::next::Subject;
use crate::fetch::Found;

mod next;

/// The screen as text. `now` is for saying how far away the next change is.
pub(crate) fn render(found: &Found, now: DateTime<Utc>) -> String {
    let mut screen = String::new();
    for department in &found.departments {
        department_lines(&mut screen, department);
    }
    for cluster in &found.clusters {
        let namespace = cluster.namespace().unwrap_or_default();
        cluster_lines(&mut screen, &namespace, cluster, now);
        let is_its = |group: &&ComputeGroup| {
            group.namespace().as_deref() == Some(&namespace) && group.spec.cluster == cluster.name_any()
        };
        for group in found.groups.iter().filter(is_its) {
            group_lines(&mut screen, 1, &namespace, group, now);
        }
    }
    let has_cluster = |group: &&ComputeGroup| {
        found
            .clusters
            .iter()
            .any(|cluster| cluster.namespace() == group.namespace() && cluster.name_any() == group.spec.cluster)
    };
    for group in found.groups.iter().filter(|group| !has_cluster(group)) {
        group_lines(&mut screen, 0, &group.namespace().unwrap_or_default(), group, now);
    }
    if screen.is_empty() {
        screen.push_str("nothing here: no Department, LakeCluster or ComputeGroup\n");
    }
    screen
}

fn department_lines(screen: &mut String, department: &Department) {
    let status = department.status.clone().unwrap_or_default();
    line(
        screen,
        0,
        &format!("Department {}  {}", department.name_any(), verdict(&status.conditions)),
    );
    for namespace in &status.namespaces {
        let ready = if namespace.ready { "ready" } else { "not ready" };
        let text = format!(
            "namespace {}  {ready}, {}, {}",
            namespace.name,
            counted(namespace.lake_clusters, "cluster"),
            counted(namespace.compute_groups, "group")
        );
        line(screen, 1, &text);
    }
    troubles(
        screen,
        1,
        &status.conditions,
        department.metadata.generation,
        status.observed_generation,
    );
    let subject = Subject {
        namespace: "",
        kind: "department",
        name: &department.name_any(),
        cluster: "",
    };
    next_line(screen, 1, &status.conditions, subject);
}

fn cluster_lines(screen: &mut String, namespace: &str, cluster: &LakeCluster, now: DateTime<Utc>) {
    let status = cluster.status.clone().unwrap_or_default();
    let name = cluster.name_any();
    line(
        screen,
        0,
        &format!("LakeCluster {namespace}/{name}  {}", verdict(&status.conditions)),
    );
    if let Some(endpoint) = &status.endpoint {
        line(
            screen,
            1,
            &format!("connect    mysql -h {} -P {}", host(endpoint), port(endpoint)),
        );
    }
    if let Some(secret) = &status.admin_secret {
        line(
            screen,
            1,
            &format!("account    Secret {secret}, keys username and password"),
        );
    }
    let alive = status.frontends_ready.unwrap_or(0);
    line(
        screen,
        1,
        &format!("frontends  {alive} of {} alive", cluster.spec.frontends.replicas),
    );
    if let Some(engine) = engine(status.engine.as_ref(), &cluster.spec.engine.version) {
        line(screen, 1, &format!("engine     {engine}"));
    }
    if let Some(certificate) = &status.certificate {
        let ends = moment(&certificate.not_after, now);
        let text = format!(
            "tls        Secret {}, until {ends}, by {}",
            certificate.secret, certificate.issued_by
        );
        line(screen, 1, &text);
    }
    troubles(
        screen,
        1,
        &status.conditions,
        cluster.metadata.generation,
        status.observed_generation,
    );
    let subject = Subject {
        namespace,
        kind: "lakecluster",
        name: &name,
        cluster: &name,
    };
    next_line(screen, 1, &status.conditions, subject);
}

fn group_lines(screen: &mut String, depth: usize, namespace: &str, group: &ComputeGroup, now: DateTime<Utc>) {
    let status = group.status.clone().unwrap_or_default();
    let name = group.name_any();
    line(
        screen,
        depth,
        &format!("ComputeGroup {namespace}/{name}  {}", verdict(&status.conditions)),
    );
    let wanted = status
        .wanted_replicas
        .map_or_else(|| "?".to_owned(), |wanted| wanted.to_string());
    let mut why = vec![format!("replicas {}", group.spec.replicas)];
    why.extend(status.floor.map(|floor| format!("at least {floor}")));
    why.extend(status.ceiling.map(|ceiling| format!("at most {ceiling}")));
    line(
        screen,
        depth + 1,
        &format!(
            "compute  {} of {wanted} serving ({})",
            status.serving_replicas,
            why.join(", ")
        ),
    );
    for window in &status.active_windows {
        line(
            screen,
            depth + 1,
            &format!(
                "window   {} {}{}",
                window.name,
                phase(window, now),
                lead(&status.lead_times, &window.name)
            ),
        );
    }
    if let Some(transition) = &status.next_transition {
        let windows = if transition.windows.is_empty() {
            String::new()
        } else {
            format!(" ({})", transition.windows.join(", "))
        };
        let text = format!(
            "next     {} wanted {}{windows}",
            transition.wanted_replicas,
            moment(&transition.at, now)
        );
        line(screen, depth + 1, &text);
    }
    troubles(
        screen,
        depth + 1,
        &status.conditions,
        group.metadata.generation,
        status.observed_generation,
    );
    let subject = Subject {
        namespace,
        kind: "computegroup",
        name: &name,
        cluster: &group.spec.cluster,
    };
    next_line(screen, depth + 1, &status.conditions, subject);
}

/// What the window does, and until when.
fn phase(window: &ActiveWindow, now: DateTime<Utc>) -> String {
    match window.phase {
        WindowPhase::Raised => format!("is raised and opens {}", moment(&window.opens_at, now)),
        WindowPhase::Open if window.late => {
            format!(
                "is open until {}, and its nodes came LATE",
                moment(&window.closes_at, now)
            )
        }
        WindowPhase::Open => format!("is open until {}", moment(&window.closes_at, now)),
        WindowPhase::RampingDown => "is closed, and its floor falls node by node".to_owned(),
    }
}

/// How long ahead the window's floor was raised, and what decides that.
fn lead(lead_times: &[WindowLeadTime], window: &str) -> String {
    let Some(lead) = lead_times.iter().find(|lead| lead.window == window) else {
        return String::new();
    };
    let decided = match (lead.source, lead.observations.unwrap_or_default()) {
        (LeadTimeSource::Fixed, _) => "fixed".to_owned(),
        (LeadTimeSource::Auto, 0) => "auto: no start was seen yet".to_owned(),
        (LeadTimeSource::Auto, starts) => format!("auto: by {}", counted(starts, "start")),
    };
    format!(", lead {} ({decided})", lead.lead_time)
}

/// Whether it can be used, in two words.
fn verdict(conditions: &[Condition]) -> String {
    let available = conditions.iter().find(|condition| condition.type_ == "Available");
    match available {
        Some(condition) if condition.status == "True" => format!("available ({})", condition.reason),
        Some(condition) => format!("NOT available ({})", condition.reason),
        None => "not looked at by the operator yet".to_owned(),
    }
}

/// Every condition that is not True, with its whole message.
fn troubles(
    screen: &mut String,
    depth: usize,
    conditions: &[Condition],
    generation: Option<i64>,
    observed: Option<i64>,
) {
    for condition in conditions.iter().filter(|condition| condition.status != "True") {
        let text = format!(
            "! {} is {}, {}: {}",
            condition.type_, condition.status, condition.reason, condition.message
        );
        line(screen, depth, &text);
    }
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        line(
            screen,
            depth,
            "! the last change has not been looked at yet: does the operator run?",
        );
    }
}

/// The command that shows more about the first trouble, or mends it.
fn next_line(screen: &mut String, depth: usize, conditions: &[Condition], subject: Subject<'_>) {
    let command = conditions
        .iter()
        .filter(|condition| condition.status != "True")
        .filter_map(|condition| reason_of(&condition.reason))
        .find_map(|reason| next::command(reason, subject));
    if let Some(command) = command {
        line(screen, depth, &format!("next: {command}"));
    }
}

/// A reason that a newer operator has written may be unknown here.
fn reason_of(text: &str) -> Option<Reason> {
    Reason::ALL
        .iter()
        .map(|(reason, _)| *reason)
        .find(|reason| reason.as_str() == text)
}

/// What runs, beside what is to run.
fn engine(running: Option<&EngineStatus>, wanted: &str) -> Option<String> {
    let running = running?;
    Some(if running.version == wanted {
        format!("{} ({})", running.version, running.image)
    } else {
        format!("{}, to become {wanted} ({})", running.version, running.image)
    })
}

/// A moment as people read it, with how far away it is.
fn moment(text: &str, now: DateTime<Utc>) -> String {
    let Ok(at) = DateTime::parse_from_rfc3339(text) else {
        return text.to_owned();
    };
    let minutes = (at.with_timezone(&Utc) - now).num_minutes();
    let distance = match minutes {
        i64::MIN..=0 => "now".to_owned(),
        1..=119 => format!("in {minutes} min"),
        120..=2879 => format!("in {} h", minutes / 60),
        _ => format!("in {} days", minutes / 1440),
    };
    format!("{} ({distance})", at.with_timezone(&Utc).format("%a %d %b %H:%M UTC"))
}

fn counted(count: i32, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn host(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host)
}

fn port(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or("9030", |(_, port)| port)
}

fn line(screen: &mut String, depth: usize, text: &str) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(screen, "{:indent$}{text}", "", indent = depth * 2);
}

#[cfg(test)]
mod tests;
