//! When the pods of a StatefulSet become what the values in force, and this operator, make of them.
//!
//! Four things may stand between a template that is wanted and one that is written. What only another release of the operator would make
//! differently waits for [maintenance](crate::maintenance). A change of version waits for its [turn](crate::upgrade_order). A template whose
//! pods did not come to serve is not tried again. And what is written comes to [one pod after the other](crate::rollout).
//!
//! What was decided before stands on the StatefulSet itself, in annotations, so that a restart, another leader and another release of the
//! operator know it.

use serde_json::{Value, json};
use springtide_crds::Reason;
use springtide_crds::lake_cluster::EngineStatus;

use crate::compare::template_differs;
use crate::condition::{Finding, instant_text};
use crate::difference::differences;
use crate::inputs;
use crate::maintenance::Maintenance;
use crate::names::FILES_ANNOTATION;
use crate::object::DesiredObject;
use crate::ownership::owned_template;
use crate::rollout::{self, Begun, Order, Pods, Progress, Replacement};
use crate::upgrade_order::Turn;

/// The hash of what people have written that is in the template.
pub(crate) const INPUTS_ANNOTATION: &str = "springtide.dev/inputs";
/// The hash of the template as it was written.
pub(crate) const TEMPLATE_ANNOTATION: &str = "springtide.dev/template";
/// The template before the one that is rolled out, in JSON.
pub(crate) const PREVIOUS_TEMPLATE_ANNOTATION: &str = "springtide.dev/previous-template";
/// The hash of the wishes that the template before was made of.
pub(crate) const PREVIOUS_INPUTS_ANNOTATION: &str = "springtide.dev/previous-inputs";
/// When a roll came to the pod that it is at.
pub(crate) const AT_POD_SINCE_ANNOTATION: &str = "springtide.dev/at-pod-since";
/// The hash of a template that was taken back, and why it was.
pub(crate) const FAILED_UPDATE_ANNOTATION: &str = "springtide.dev/failed-update";

/// Differences that are told; there may be hundreds.
const DIFFERENCES_TOLD: usize = 8;
/// Longest text of why a template was taken back.
const WHY_MAX_CHARACTERS: usize = 800;

/// A StatefulSet that is to be brought up to date.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    /// As the values in force, and this operator, make it.
    pub(crate) desired: DesiredObject,
    pub(crate) live: Option<&'a Value>,
    /// See [`inputs`].
    pub(crate) inputs: String,
    /// The same wishes as an older release hashed them, where that is another hash.
    pub(crate) inputs_of_old: Option<String>,
    pub(crate) replicas: u32,
    pub(crate) pods: Pods<'a>,
    pub(crate) maintenance: &'a Maintenance,
    pub(crate) turn: Turn,
    pub(crate) order: Order<'a>,
    /// What was known to run before.
    pub(crate) before: Option<&'a EngineStatus>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The StatefulSet as it is to be written.
    pub(crate) object: DesiredObject,
    /// Of the condition `UpToDate`.
    pub(crate) finding: Finding,
    /// What all its pods run.
    pub(crate) engine: Option<EngineStatus>,
    /// Templates whose files are in use.
    pub(crate) templates: Vec<Value>,
    /// A pod to replace after the StatefulSet is written, where its controller does not.
    pub(crate) replaces: Option<Replacement>,
}

/// How the controller of the StatefulSet is to replace pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// Those from this ordinal on.
    From(u32),
    /// None.
    OnDelete,
    /// As it does.
    AsItIs,
}

impl Settled {
    /// Whether pods that are made from now on read the files of this ConfigMap.
    pub(crate) fn reads(&self, config_map: &str) -> bool {
        let annotations = self.object.body.pointer("/spec/template/metadata/annotations");
        let files = annotations.and_then(|annotations| annotations.get(FILES_ANNOTATION));
        files.and_then(Value::as_str) == Some(config_map)
    }
}

/// What stands on the StatefulSet.
#[derive(Debug, Default)]
struct Marks {
    inputs: Option<String>,
    template: Option<String>,
    previous: Option<String>,
    previous_inputs: Option<String>,
    at_pod_since: Option<String>,
    failed: Option<String>,
}

impl Marks {
    fn of(live: &Value) -> Self {
        let mark = |name: &str| {
            let annotation = live.pointer("/metadata/annotations")?.get(name)?.as_str()?;
            Some(annotation.to_owned())
        };
        Self {
            inputs: mark(INPUTS_ANNOTATION),
            template: mark(TEMPLATE_ANNOTATION),
            previous: mark(PREVIOUS_TEMPLATE_ANNOTATION),
            previous_inputs: mark(PREVIOUS_INPUTS_ANNOTATION),
            at_pod_since: mark(AT_POD_SINCE_ANNOTATION),
            failed: mark(FAILED_UPDATE_ANNOTATION),
        }
    }

    fn write(&self, body: &mut Value) {
        let marks = [
            (INPUTS_ANNOTATION, &self.inputs),
            (TEMPLATE_ANNOTATION, &self.template),
            (PREVIOUS_TEMPLATE_ANNOTATION, &self.previous),
            (PREVIOUS_INPUTS_ANNOTATION, &self.previous_inputs),
            (AT_POD_SINCE_ANNOTATION, &self.at_pod_since),
            (FAILED_UPDATE_ANNOTATION, &self.failed),
        ];
        for (name, mark) in marks {
            if let Some(mark) = mark {
                body["metadata"]["annotations"][name] = json!(mark);
            }
        }
    }

    fn begun(&self) -> Begun {
        Begun {
            is_open: self.at_pod_since.is_some(),
            at_pod_since: self.at_pod_since.as_deref().and_then(|since| since.parse().ok()),
        }
    }

    /// Why the template with this hash was taken back.
    fn failure_of(&self, template: &str) -> Option<&str> {
        self.failed.as_deref()?.strip_prefix(template)?.strip_prefix(' ')
    }
}

/// Brings a StatefulSet up to date as far as it may be now.
pub(crate) fn settle(workload: Workload<'_>) -> Settled {
    let template = inputs::hash_of(&workload.desired.body["spec"]["template"]);
    let Some(live) = workload.live else {
        let marks = Marks {
            inputs: Some(workload.inputs.clone()),
            template: Some(template),
            ..Marks::default()
        };
        let finding = Finding::holds(Reason::UpToDate, "all pods are made by the present template");
        return finish(workload, &marks, None, Strategy::From(0), finding, true);
    };
    let mut marks = Marks::of(live);
    if marks.inputs.is_some() && marks.inputs == workload.inputs_of_old {
        marks.inputs = Some(workload.inputs.clone());
    }
    match held_back(&workload, live, &marks, &template) {
        Held::No => begin(workload, live, marks, template),
        Held::Same => {
            let marks = Marks {
                inputs: Some(workload.inputs.clone()),
                template: Some(template),
                failed: None,
                ..marks
            };
            carry_on(workload, live, marks, None)
        }
        Held::Because(finding) => {
            // Who does not know by what wishes the pods were made finds out by the next one.
            let is_known = marks
                .inputs
                .as_deref()
                .is_some_and(|known| is_of_this_version(known, &workload.inputs));
            let marks = Marks {
                inputs: if is_known {
                    marks.inputs
                } else {
                    Some(workload.inputs.clone())
                },
                ..marks
            };
            carry_on(workload, live, marks, Some(finding))
        }
    }
}

fn is_of_this_version(known: &str, inputs: &str) -> bool {
    known == inputs || inputs::differ(known, inputs)
}

/// Whether the template that is wanted is held back.
enum Held {
    /// It is written.
    No,
    /// There is nothing to hold back: it is the live one.
    Same,
    /// It is held back, and the live one stays.
    Because(Finding),
}

fn held_back(workload: &Workload<'_>, live: &Value, marks: &Marks, template: &str) -> Held {
    let desired = &workload.desired.body;
    if !template_differs(desired, live) {
        return Held::Same;
    }
    if let Some(why) = marks.failure_of(template) {
        return Held::Because(taken_back(&workload.desired.key.name, why));
    }
    // What was written by this operator is not what is there: somebody else has changed it.
    let is_drift = marks.template.as_deref() == Some(template);
    let is_wished = marks
        .inputs
        .as_deref()
        .is_some_and(|known| inputs::differ(known, &workload.inputs));
    if !is_drift && !is_wished && !workload.maintenance.is_open {
        return Held::Because(Finding::fails(
            Reason::UpdatePending,
            format!(
                "this release of the operator would make the pods differently and leaves them as they are; it replaces them {}. The differences: {}",
                workload.maintenance.when,
                told(live, desired)
            ),
        ));
    }
    match &workload.turn {
        Err(for_whom) if !is_drift => Held::Because(Finding::fails(Reason::WaitingForTurn, for_whom.clone())),
        _ => Held::No,
    }
}

fn taken_back(name: &str, why: &str) -> Finding {
    Finding::fails(
        Reason::Degraded,
        format!(
            "the change of the pods of {name} was taken back: {why}. Write other values, or remove the cause and have the same tried again: kubectl annotate statefulset {name} {FAILED_UPDATE_ANNOTATION}-"
        ),
    )
}

/// The differences of the templates, for people.
fn told(live: &Value, desired: &Value) -> String {
    let before = owned_template(live).unwrap_or_default();
    let mut found = differences(&before, &desired["spec"]["template"]);
    let more = found.len().saturating_sub(DIFFERENCES_TOLD);
    found.truncate(DIFFERENCES_TOLD);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found.join("; ")
}

/// The first write of a template.
fn begin(workload: Workload<'_>, live: &Value, marks: Marks, template: String) -> Settled {
    let progress = workload
        .order
        .progress(live, marks.begun(), workload.replicas, workload.pods);
    let is_rolling = progress != Progress::Done;
    let is_drift = marks.template.as_deref() == Some(template.as_str());
    // In the middle of another change the template from before it is the one that is known to serve.
    let known = marks.previous.filter(|_| is_rolling);
    let (previous, previous_inputs) = match known {
        Some(known) => (Some(known), marks.previous_inputs),
        None if is_drift || workload.replicas == 0 => (None, None),
        None => {
            let owned = owned_template(live).and_then(|owned| serde_json::to_string(&owned).ok());
            (owned, marks.inputs)
        }
    };
    let marks = Marks {
        inputs: Some(workload.inputs.clone()),
        template: Some(template),
        previous,
        previous_inputs,
        at_pod_since: Some(instant_text(workload.pods.now)),
        failed: None,
    };
    let partition = rollout::first_partition(workload.replicas);
    let name = &workload.desired.key.name;
    let (strategy, first) = match workload.order {
        Order::Ordinals => (Strategy::From(partition), format!("{name}-{partition} first")),
        Order::LeaderLast(_) => (Strategy::OnDelete, "the one that leads last".to_owned()),
    };
    let finding = Finding::fails(
        Reason::Rolling,
        format!("pods are replaced one after the other, {first}"),
    );
    finish(workload, &marks, None, strategy, finding, false)
}

/// Goes on with the template that is there. `held` says why it is not the one that is wanted.
fn carry_on(workload: Workload<'_>, live: &Value, marks: Marks, held: Option<Finding>) -> Settled {
    let stays = held.as_ref().and_then(|_| owned_template(live));
    let progress = workload
        .order
        .progress(live, marks.begun(), workload.replicas, workload.pods);
    match progress {
        Progress::Done => {
            let marks = Marks {
                previous: None,
                previous_inputs: None,
                at_pod_since: None,
                ..marks
            };
            let finding =
                held.unwrap_or_else(|| Finding::holds(Reason::UpToDate, "all pods are made by the present template"));
            finish(workload, &marks, stays, Strategy::From(0), finding, true)
        }
        Progress::Rolling { partition, waits_for } => {
            let marks = at_pod(marks, live, partition, &workload);
            let reached = workload.replicas.saturating_sub(partition);
            let finding = rolling(&workload, reached, &waits_for, held.as_ref());
            finish(workload, &marks, stays, Strategy::From(partition), finding, false)
        }
        Progress::Chosen {
            replaced,
            next,
            waits_for,
        } => {
            let is_begun = marks.at_pod_since.is_some() && next.is_some();
            let marks = Marks {
                at_pod_since: if is_begun {
                    Some(instant_text(workload.pods.now))
                } else {
                    marks.at_pod_since
                },
                ..marks
            };
            let finding = rolling(&workload, replaced, &waits_for, held.as_ref());
            let settled = finish(workload, &marks, stays, Strategy::OnDelete, finding, false);
            Settled {
                replaces: next,
                ..settled
            }
        }
        Progress::Failed { why } => take_back(workload, marks, stays, &why),
    }
}

fn rolling(workload: &Workload<'_>, reached: u32, waits_for: &str, held: Option<&Finding>) -> Finding {
    let replicas = workload.replicas;
    let note = held.map_or_else(String::new, |held| format!(". Beside that: {}", held.message));
    Finding::fails(
        Reason::Rolling,
        format!("pods are replaced one after the other, {reached} of {replicas} so far; waits for {waits_for}{note}"),
    )
}

/// Notes when a roll comes to another pod. One that somebody else has begun, as `kubectl rollout restart` does, is not the operator's to note.
fn at_pod(marks: Marks, live: &Value, partition: u32, workload: &Workload<'_>) -> Marks {
    let before = live.pointer("/spec/updateStrategy/rollingUpdate/partition");
    let is_another = before.and_then(Value::as_u64) != Some(partition.into());
    if marks.at_pod_since.is_some() && is_another {
        return Marks {
            at_pod_since: Some(instant_text(workload.pods.now)),
            ..marks
        };
    }
    marks
}

/// Writes the template from before. Without one there is nothing to go back to, and the roll stands.
fn take_back(workload: Workload<'_>, marks: Marks, stays: Option<Value>, why: &str) -> Settled {
    let why: String = why.chars().take(WHY_MAX_CHARACTERS).collect();
    let previous: Option<Value> = marks
        .previous
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let name = workload.desired.key.name.clone();
    let Some(previous) = previous else {
        let finding = Finding::fails(
            Reason::Degraded,
            format!("the change of the pods of {name} has stopped: {why}. Write other values"),
        );
        return finish(workload, &marks, stays, Strategy::AsItIs, finding, false);
    };
    let failed = marks.template.as_deref().unwrap_or_default();
    let finding = taken_back(&name, &why);
    let marks = Marks {
        // The wish is not fulfilled: whoever takes the mark of the failure away has it tried again.
        inputs: marks.previous_inputs.or(marks.inputs),
        failed: Some(format!("{failed} {why}")),
        template: Some(inputs::hash_of(&previous)),
        previous: None,
        previous_inputs: None,
        at_pod_since: None,
    };
    let strategy = match workload.order {
        Order::Ordinals => Strategy::From(0),
        Order::LeaderLast(_) => Strategy::OnDelete,
    };
    finish(workload, &marks, Some(previous), strategy, finding, false)
}

/// `template` takes the place of the wanted one.
fn finish(
    workload: Workload<'_>,
    marks: &Marks,
    template: Option<Value>,
    strategy: Strategy,
    finding: Finding,
    is_done: bool,
) -> Settled {
    let mut object = workload.desired;
    if let Some(template) = template {
        object.body["spec"]["template"] = template;
    }
    let live_strategy = workload.live.and_then(|live| live.pointer("/spec/updateStrategy"));
    let live_partition = live_strategy.and_then(|live| live.pointer("/rollingUpdate/partition")?.as_u64());
    let is_on_delete = live_strategy.is_some_and(|live| live["type"] == "OnDelete");
    let partition = match strategy {
        Strategy::From(partition) => Some(u64::from(partition)),
        Strategy::OnDelete => None,
        Strategy::AsItIs => (!is_on_delete).then(|| live_partition.unwrap_or_default()),
    };
    match partition {
        Some(partition) => object.body["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(partition),
        // The API server refuses a partition beside it.
        None => object.body["spec"]["updateStrategy"] = json!({"type": "OnDelete"}),
    }
    marks.write(&mut object.body);
    let engine = if is_done {
        rollout::engine_of(&object.body["spec"]["template"])
    } else {
        workload.before.cloned()
    };
    let previous = marks
        .previous
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let live_template = workload.live.and_then(|live| live.pointer("/spec/template").cloned());
    let templates = [Some(object.body["spec"]["template"].clone()), previous, live_template];
    Settled {
        templates: templates.into_iter().flatten().collect(),
        object,
        finding,
        engine,
        replaces: None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod what_rolls;
