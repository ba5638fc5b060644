//! Conditions of a custom resource: what was said before, what is true now, and the Events about the difference.

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use springtide_crds::{ConditionType, Reason};

use crate::action::{EventNote, Severity};

/// Longest message; the rest is cut. The schema allows a little more.
const MESSAGE_MAX_CHARACTERS: usize = 1900;

/// Whether something is so, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `None` while it cannot be known.
    pub(crate) holds: Option<bool>,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn holds(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            holds: Some(true),
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn fails(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            holds: Some(false),
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self {
            holds: None,
            reason: Reason::Unknown,
            message: message.into(),
        }
    }
}

/// The conditions to write, and the Events to tell.
pub(crate) fn update(
    previous: &[Condition],
    generation: Option<i64>,
    now: DateTime<Utc>,
    findings: Vec<(ConditionType, Finding)>,
) -> (Vec<Condition>, Vec<EventNote>) {
    let mut conditions = Vec::with_capacity(findings.len());
    let mut events = Vec::new();
    for (type_, finding) in findings {
        let before = previous.iter().find(|condition| condition.type_ == type_.as_str());
        let next = condition(type_, &finding, before, generation, now);
        let changed = before.is_none_or(|before| before.status != next.status || before.reason != next.reason);
        // That something is not known is no news, and one cause is told once, whatever follows from it.
        let was_told_bad = before.is_some_and(|before| before.status == "False");
        let is_news = changed
            && finding.holds.is_some()
            && !before.is_some_and(|before| only_more_or_less_serve(before, &finding))
            // Nobody has heard that pods were not up to date.
            && (finding.reason != Reason::UpToDate || was_told_bad);
        let is_told = |told: &EventNote| told.reason == finding.reason && told.severity == severity(&finding);
        if is_news && !events.iter().any(is_told) {
            events.push(EventNote {
                severity: severity(&finding),
                reason: finding.reason,
                action: type_.as_str().to_owned(),
                note: next.message.clone(),
            });
        }
        conditions.push(next);
    }
    (conditions, events)
}

/// Whether some of the nodes serve as before, and only others came or went: `Ready` tells that, and why.
fn only_more_or_less_serve(before: &Condition, finding: &Finding) -> bool {
    let some_serve = [Reason::Serving, Reason::PartlyServing];
    let served = before.status == "True" && some_serve.iter().any(|reason| reason.as_str() == before.reason);
    served && finding.holds == Some(true) && some_serve.contains(&finding.reason)
}

/// Whether nothing but a message differs.
pub(crate) fn are_the_same(before: &[Condition], after: &[Condition]) -> bool {
    let without_message = |condition: &Condition| Condition {
        message: String::new(),
        ..condition.clone()
    };
    before.iter().map(without_message).eq(after.iter().map(without_message))
}

fn condition(
    type_: ConditionType,
    finding: &Finding,
    before: Option<&Condition>,
    generation: Option<i64>,
    now: DateTime<Utc>,
) -> Condition {
    let status = match finding.holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let last_transition_time = before
        .filter(|before| before.status == status)
        .map_or_else(|| time(now), |before| before.last_transition_time.clone());
    Condition {
        last_transition_time,
        message: finding.message.chars().take(MESSAGE_MAX_CHARACTERS).collect(),
        observed_generation: generation,
        reason: finding.reason.as_str().to_owned(),
        status: status.to_owned(),
        type_: type_.as_str().to_owned(),
    }
}

/// Starting, leaving and being scaled to zero are what somebody asked for; the rest of what fails needs somebody to look.
fn severity(finding: &Finding) -> Severity {
    let expected = matches!(
        finding.reason,
        Reason::FrontendStarting
            | Reason::FrontendLeaving
            | Reason::ComputeStarting
            | Reason::ComputeLeaving
            | Reason::ScaledToZero
            | Reason::Suspended
            | Reason::ClusterNotReady
            | Reason::NamespaceNotReady
            | Reason::VolumeGrowing
            | Reason::UpdatePending
            | Reason::Rolling
            | Reason::SettingPending
            | Reason::WaitingForTurn
            | Reason::Fenced
            | Reason::DeletingData
    );
    if finding.holds == Some(true) || finding.holds.is_none() || expected {
        Severity::Normal
    } else {
        Severity::Warning
    }
}

/// An instant as Kubernetes writes it, in whole seconds.
fn time(instant: DateTime<Utc>) -> Time {
    serde_json::from_value(instant_text(instant).into()).expect("RFC 3339 is the text of a Time")
}

/// An instant as text, in whole seconds of UTC.
pub(crate) fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
