//! Who goes first when the engine's version changes.
//!
//! Frontends plan, and compute nodes carry out. A newer node understands the plans of an older frontend, and not the other way round. So the
//! nodes go first on the way forward, and the frontends on the way back. [`crate::flavour::Flavour::upgrade_order`] says who is first forward.

use std::cmp::Ordering;

use springtide_crds::ComputeGroup;
use springtide_crds::lake_cluster::EngineStatus;

use crate::flavour::{Flavour, UpgradeStep};

/// Whether pods may be replaced now, or wait; the text says for whom.
pub(crate) type Turn = Result<(), String>;

/// The frontends' turn to go from one version to another. `from` is unknown where a release of the operator has made them that did not say so;
/// then nobody waits.
pub(crate) fn of_frontends(flavour: &dyn Flavour, from: Option<&str>, to: &str, groups: &[&ComputeGroup]) -> Turn {
    let is_forward = from.is_some_and(|from| from != to && direction(from, to) != Ordering::Less);
    if !is_forward || flavour.upgrade_order().first() != Some(&UpgradeStep::Compute) {
        return Ok(());
    }
    let behind = groups.iter().find(|group| {
        let status = group.status.as_ref();
        let runs = status.and_then(|status| status.engine.as_ref());
        // What has no pods and never had any runs nothing.
        let has_pods = status.is_some_and(|status| status.replicas > 0);
        runs.map_or(has_pods, |engine| engine.version != to)
    });
    match behind {
        None => Ok(()),
        Some(group) => {
            let name = group.metadata.name.as_deref().unwrap_or_default();
            Err(format!(
                "the frontends go to version {to} after the compute nodes, and ComputeGroup {name} is not there yet; see its condition UpToDate"
            ))
        }
    }
}

/// The turn of the compute nodes of a group. `frontends` is what all frontends run.
pub(crate) fn of_compute(
    flavour: &dyn Flavour,
    from: Option<&str>,
    to: &str,
    frontends: Option<&EngineStatus>,
) -> Turn {
    let is_back = from.is_some_and(|from| direction(from, to) == Ordering::Less);
    if !is_back || flavour.upgrade_order().first() != Some(&UpgradeStep::Compute) {
        return Ok(());
    }
    match frontends {
        Some(engine) if engine.version != to => Err(format!(
            "the compute nodes go back to version {to} after the frontends, which run {}; see condition UpToDate of the LakeCluster",
            engine.version
        )),
        _ => Ok(()),
    }
}

/// How `to` compares with `from`. What cannot be compared counts as newer: then the nodes go first.
fn direction(from: &str, to: &str) -> Ordering {
    match (numbers(from), numbers(to)) {
        (Some(from), Some(to)) => to.cmp(&from),
        _ => Ordering::Greater,
    }
}

/// The numbers that a version begins with: `v3.5.2-rc1` is 3, 5, 2.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let digits_and_dots = version
        .trim_start_matches('v')
        .split(|character: char| !character.is_ascii_digit() && character != '.')
        .next()?;
    digits_and_dots
        .split('.')
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().ok())
        .collect::<Option<Vec<u64>>>()
        .filter(|numbers| !numbers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::group;
    use crate::flavour::{Bundled, StarRocks};

    fn runs(version: &str) -> EngineStatus {
        EngineStatus {
            version: version.to_owned(),
            image: String::new(),
        }
    }

    fn group_with(replicas: i32, version: Option<&str>) -> ComputeGroup {
        let mut group = group("etl").0.group;
        let status = group.status.get_or_insert_default();
        status.replicas = replicas;
        status.engine = version.map(runs);
        group
    }

    #[test]
    fn forward_the_frontends_wait_for_all_nodes() {
        for flavour in [&Bundled as &dyn Flavour, &StarRocks] {
            let frontends = |groups: &[ComputeGroup]| {
                of_frontends(flavour, Some("3.5.9"), "3.5.10", &groups.iter().collect::<Vec<_>>())
            };
            assert_eq!(frontends(&[]), Ok(()));
            let waits = frontends(&[group_with(2, Some("3.5.10")), group_with(0, Some("3.5.9"))]).unwrap_err();
            assert!(waits.contains("ComputeGroup etl"), "{waits}");
            assert!(
                frontends(&[group_with(1, None)]).is_err(),
                "it is not known what its pods run"
            );
            assert_eq!(frontends(&[group_with(0, None), group_with(2, Some("3.5.10"))]), Ok(()));
            assert_eq!(
                of_compute(flavour, Some("3.5.9"), "3.5.10", Some(&runs("3.5.9"))),
                Ok(())
            );
        }
    }

    #[test]
    fn back_the_nodes_wait_for_the_frontends() {
        let back = |frontends: &str| of_compute(&Bundled, Some("0.2.0"), "0.1.0", Some(&runs(frontends)));
        assert!(
            back("0.2.0")
                .unwrap_err()
                .contains("after the frontends, which run 0.2.0")
        );
        assert_eq!(back("0.1.0"), Ok(()));
        let groups = group_with(2, Some("0.2.0"));
        assert_eq!(of_frontends(&Bundled, Some("0.2.0"), "0.1.0", &[&groups]), Ok(()));
    }

    #[test]
    fn versions_are_compared_as_numbers_and_what_has_none_is_newer() {
        assert_eq!(direction("0.9.0", "0.10.0"), Ordering::Greater);
        assert_eq!(direction("v3.5.2", "3.5.2-rc1"), Ordering::Equal);
        assert_eq!(direction("3.5", "3.4.9"), Ordering::Less);
        assert_eq!(direction("nightly", "0.1.0"), Ordering::Greater);
    }
}
