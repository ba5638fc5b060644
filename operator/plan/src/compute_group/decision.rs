//! Who wins: what the number of nodes follows from, and who wrote `replicas`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use springtide_crds::compute_group::{ScaleDecider, ScalingStatus};
use springtide_crds::{ComputeGroup, ComputeGroupSpec};
use springtide_schedule::{Evaluation, clamp};

use super::{GroupShape, Scale};

pub(super) fn status(written: &ComputeGroup, group: &GroupShape, scale: &Scale) -> ScalingStatus {
    let notes = written.metadata.managed_fields.as_deref().unwrap_or_default();
    // Writers of one value share it. Notes of the scale subresource have no time.
    let last = notes
        .iter()
        .filter(|note| owns_replicas(note))
        .max_by_key(|note| note.time.as_ref().map(|time| time.0));
    ScalingStatus {
        decided_by: if scale.suspended {
            ScaleDecider::Suspension
        } else {
            decider(
                group.replicas,
                scale.demand.floor,
                &scale.evaluation,
                group.max_replicas,
            )
        },
        replicas_written_by: last.and_then(|note| note.manager.clone()),
    }
}

/// Whether the API server notes in this entry who wrote `spec.replicas`.
#[must_use]
pub fn owns_replicas(note: &ManagedFieldsEntry) -> bool {
    note.fields_v1
        .as_ref()
        .is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
}

/// `accepted` with the size that was written by itself since: an autoscaler, `kubectl scale` and a wake go through the scale subresource,
/// and their number is as good as ever while another value of the spec is refused. `None` where the size came with other values.
pub(super) fn scaled(written: &ComputeGroup, accepted: &ComputeGroupSpec) -> Option<ComputeGroupSpec> {
    let notes = written.metadata.managed_fields.as_deref().unwrap_or_default();
    let is_scale = |note: &ManagedFieldsEntry| note.subresource.as_deref() == Some("scale") && owns_replicas(note);
    notes.iter().any(is_scale).then(|| ComputeGroupSpec {
        replicas: written.spec.replicas,
        ..accepted.clone()
    })
}

fn decider(replicas: u32, demand: u32, evaluation: &Evaluation, limit: u32) -> ScaleDecider {
    let asked = replicas.max(demand);
    let within = clamp(asked, evaluation);
    let is_floor = evaluation.floor == Some(within) && evaluation.ceiling.is_some_and(|ceiling| ceiling < within);
    if within > limit {
        ScaleDecider::Limit
    } else if within > asked || is_floor {
        ScaleDecider::Floor
    } else if within < asked {
        ScaleDecider::Ceiling
    } else if demand > replicas {
        ScaleDecider::Demand
    } else {
        ScaleDecider::Replicas
    }
}

#[cfg(test)]
mod tests;
