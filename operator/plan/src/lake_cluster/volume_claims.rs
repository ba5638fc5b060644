//! The volume claims of frontends. The StatefulSet makes them from a template that can never change; what they ask for may grow.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use springtide_crds::Reason;

use super::ClusterShape;
use crate::action::Action;
use crate::condition::Finding;
use crate::finish::Rejection;
use crate::names;
use crate::object::{DesiredObject, ObjectKind};
use crate::observed::ObservedLakeCluster;
use crate::units;

/// Refuses a size below that of a claim that exists, but for one that asks for more than it ever got: what was mistyped can be taken back.
pub(super) fn check(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Result<(), Rejection> {
    let larger = claims(observed, &shape.name).find(|claim| asks_for_more(claim, shape) && !has_less(claim, shape));
    let Some((claim, size)) = larger.and_then(|claim| Some((claim, requested(claim)?))) else {
        return Ok(());
    };
    let least = match capacity(claim) {
        Some(has) if milli(has) < milli(size) => format!("more than {}", has.0),
        _ => format!("{} or more", size.0),
    };
    Err(Rejection::field(
        "frontends.metadataVolume.size",
        format!(
            "{} is less than the {} of volume claim {}, and a volume never shrinks; write {least}. For a smaller one make another LakeCluster with a prefix of its own, load the data there, and delete this one",
            shape.metadata_size,
            size.0,
            name(claim)
        ),
    ))
}

/// Asks for the written size where a bound claim asks for less, or for more than its storage gave and somebody still wants. A claim that is
/// not bound cannot be changed.
pub(super) fn growth(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    let is_otherwise = |claim: &PersistentVolumeClaim| {
        requested(claim).is_some_and(|size| is_less(size, shape))
            || asks_for_more(claim, shape) && has_less(claim, shape)
    };
    claims(observed, &shape.name)
        .filter(|claim| is_bound(claim) && is_otherwise(claim))
        .map(|claim| {
            let grown = PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: claim.metadata.name.clone(),
                    namespace: Some(shape.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(PersistentVolumeClaimSpec {
                    resources: Some(VolumeResourceRequirements {
                        requests: Some(BTreeMap::from([(
                            "storage".to_owned(),
                            Quantity(shape.metadata_size.0.clone()),
                        )])),
                        ..VolumeResourceRequirements::default()
                    }),
                    ..PersistentVolumeClaimSpec::default()
                }),
                ..PersistentVolumeClaim::default()
            };
            Action::Apply(Box::new(DesiredObject::new(ObjectKind::PersistentVolumeClaim, &grown)))
        })
        .collect()
}

/// A volume that is smaller than what is written.
pub(super) fn growing(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Option<Finding> {
    claims(observed, &shape.name).find_map(|claim| {
        let capacity = capacity(claim)?;
        is_less(capacity, shape).then(|| {
            Finding::fails(
                Reason::VolumeGrowing,
                format!(
                    "the volume of claim {} has {} and is to have {}; its storage class must allow expansion",
                    name(claim),
                    capacity.0,
                    shape.metadata_size
                ),
            )
        })
    })
}

/// Whether all claims ask for the written size, and those of the first `frontends` have it. A volume that no pod uses may get it with the
/// next one that does.
pub(super) fn have_grown(observed: &ObservedLakeCluster, shape: &ClusterShape, frontends: u32) -> bool {
    claims(observed, &shape.name).all(|claim| {
        let asks = requested(claim).is_some_and(|size| !is_less(size, shape));
        let has = || capacity(claim).is_some() && !has_less(claim, shape);
        let is_used = ordinal(claim, &shape.name).is_some_and(|ordinal| ordinal < frontends);
        asks && (!is_used || is_bound(claim) && has())
    })
}

/// The ordinals of the claims, and whether each belongs to the object with this uid, with which it goes.
pub(super) fn belonging(observed: &ObservedLakeCluster, cluster: &str, uid: Option<&str>) -> Vec<(u32, bool)> {
    let belongs = |claim: &PersistentVolumeClaim| {
        let mut owners = claim.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(owner.uid.as_str()) == uid)
    };
    claims(observed, cluster)
        .filter_map(|claim| Some((ordinal(claim, cluster)?, belongs(claim))))
        .collect()
}

/// The claims of the frontends' metadata, and no others that carry the cluster's label.
pub(super) fn claims<'a>(
    observed: &'a ObservedLakeCluster,
    cluster: &str,
) -> impl Iterator<Item = &'a PersistentVolumeClaim> + use<'a> {
    let cluster = cluster.to_owned();
    observed
        .volume_claims
        .iter()
        .filter(move |claim| ordinal(claim, &cluster).is_some())
        .filter(|claim| claim.metadata.deletion_timestamp.is_none())
}

/// The ordinal of the frontend that the claim is of.
fn ordinal(claim: &PersistentVolumeClaim, cluster: &str) -> Option<u32> {
    let prefix = format!("{}-{}", names::METADATA_VOLUME, names::frontends(cluster));
    names::ordinal(name(claim), &prefix)
}

fn name(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn requested(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage")
}

/// Whether the claim asks for more than is written.
fn asks_for_more(claim: &PersistentVolumeClaim, shape: &ClusterShape) -> bool {
    let wanted = units::amount_milli(&shape.metadata_size.0).ok();
    wanted < requested(claim).and_then(milli)
}

/// Whether the volume is smaller than is written. Kubernetes lets a claim ask for less again only as long as it is for more than that.
fn has_less(claim: &PersistentVolumeClaim, shape: &ClusterShape) -> bool {
    capacity(claim).is_some_and(|size| is_less(size, shape))
}

fn milli(size: &Quantity) -> Option<u64> {
    units::amount_milli(&size.0).ok()
}

/// Whether a size is less than the written one.
pub(super) fn is_less(size: &Quantity, shape: &ClusterShape) -> bool {
    match (milli(size), units::amount_milli(&shape.metadata_size.0)) {
        (Some(size), Ok(wanted)) => size < wanted,
        _ => false,
    }
}
