//! Nodes that somebody has fenced: they get no work, and their pods stay as they are, to be looked at.
//!
//! A fence is an order to drain that is never followed by a shrink. What runs on the node ends; what is new goes elsewhere. It is taken away by
//! taking the node's name out of the annotation.

use std::collections::BTreeSet;

use springtide_crds::{ComputeGroup, Reason};

use super::shape::flavour_of;
use crate::condition::Finding;
use crate::flavour::Cordon;
use crate::names::FENCED_ANNOTATION;
use crate::observed::ObservedComputeGroup;
use crate::trouble;

/// Names of pods, as written.
fn written(group: &ComputeGroup) -> BTreeSet<&str> {
    let annotations = group.metadata.annotations.as_ref();
    let names = annotations.and_then(|annotations| annotations.get(FENCED_ANNOTATION));
    names
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Names of the pods that are fenced; none, where the engine knows no order to drain.
pub(super) fn fenced(observed: &ObservedComputeGroup) -> BTreeSet<&str> {
    match flavour_of(observed).capabilities().cordon {
        Cordon::EngineState => written(&observed.group),
        Cordon::ShutdownSignal => BTreeSet::new(),
    }
}

/// What is said of fences, of a group that is not as somebody who knows nothing of them would expect.
pub(super) fn finding(observed: &ObservedComputeGroup) -> Option<Finding> {
    let written = written(&observed.group);
    if written.is_empty() {
        return None;
    }
    let is_there = |name: &&str| observed.pods.iter().any(|pod| trouble::name(pod) == *name);
    let (there, missing): (Vec<&str>, Vec<&str>) = written.iter().partition(|name| is_there(name));
    let says = if fenced(observed).is_empty() {
        "the engine knows no order to drain, so no node is fenced".to_owned()
    } else if there.is_empty() {
        format!("no pod of the group is called {}", missing.join(", "))
    } else {
        format!("{} get no work, and their pods stay", there.join(", "))
    };
    Some(Finding::fails(
        Reason::Fenced,
        format!("{says}; take the names out of annotation {FENCED_ANNOTATION} to end it"),
    ))
}
