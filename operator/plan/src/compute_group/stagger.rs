//! How many seconds before its lead time a group's floor is raised.
//!
//! A thousand windows open at eight, and as many floors rise in the same moment: the API server, the scheduler and whoever makes machines
//! get everything at once, and the last group waits for all others. A lead time is there so that nodes come early, so it may begin a few
//! seconds earlier still: each group has its own second of [`SPREAD`] before. It follows from the group's name, so it is the same on each
//! day, after a restart and with another leader.
//!
//! A window without a lead time opens at its start and no earlier: it may follow on another one that holds a maximum until then.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// The seconds over which the floors of all groups are raised that would rise in the same moment.
pub const SPREAD: Duration = Duration::from_secs(10);

/// How much longer a lead time of the group is, in whole seconds, less than [`SPREAD`].
#[must_use]
pub fn stagger(namespace: &str, name: &str) -> Duration {
    // No name has a slash.
    let digest = Sha256::digest(format!("{namespace}/{name}"));
    let number = digest
        .iter()
        .take(8)
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    Duration::from_secs(number % SPREAD.as_secs())
}

#[cfg(test)]
mod tests {
    use springtide_crds::LeadTime;

    use super::*;
    use crate::fixture::{at, group};

    #[test]
    fn a_thousand_groups_are_spread_evenly_and_each_keeps_its_second() {
        let mut of_second = [0; SPREAD.as_secs() as usize];
        for department in 0..100 {
            for name in ["etl", "bi", "adhoc", "ml", "apps", "g6", "g7", "g8", "g9", "g10"] {
                let namespace = format!("department-{department}");
                let second = stagger(&namespace, name);
                assert_eq!(second, stagger(&namespace, name));
                of_second[usize::try_from(second.as_secs()).unwrap()] += 1;
            }
        }
        assert!(
            of_second.iter().all(|groups| (60..=140).contains(groups)),
            "{of_second:?}"
        );
        // What is written into a cluster by one version is read by the next one.
        assert_eq!(stagger("retail", "etl"), Duration::from_secs(9));
    }

    /// The floors of a group with a window from eight o'clock, by that lead time, at these times.
    fn floors<const TIMES: usize>(lead_time: Option<&str>, times: [&str; TIMES]) -> [Option<i32>; TIMES] {
        let fixture = group("etl")
            .window("morning", "0 8 * * *", Some(2), None)
            .with(|observed| {
                observed.group.spec.schedules[0].lead_time = lead_time.map(|lead| LeadTime(lead.to_owned()));
            });
        times.map(|time| {
            let plan = fixture.plan_at(at(&format!("2026-11-23T{time}Z")));
            plan.status.unwrap().floor
        })
    }

    #[test]
    fn a_lead_time_begins_in_the_groups_own_second_and_a_start_without_one_is_kept() {
        assert_eq!(floors(Some("5m"), ["07:54:50", "07:54:51"]), [None, Some(2)]);
        // As long as no start was seen, `auto` is five minutes.
        assert_eq!(floors(Some("auto"), ["07:54:50", "07:54:51"]), [None, Some(2)]);
        for none in [None, Some("0s")] {
            assert_eq!(floors(none, ["07:59:59", "08:00:00"]), [None, Some(2)]);
        }
    }

    #[test]
    fn a_lead_time_is_never_longer_than_a_day() {
        let fixture = group("etl")
            .window("once", "0 8 23 11 *", Some(2), None)
            .with(|observed| observed.group.spec.schedules[0].lead_time = Some(LeadTime("24h".to_owned())));
        let floor = |time: &str| fixture.plan_at(at(time)).status.unwrap().floor;
        assert_eq!(
            [floor("2026-11-22T07:59:59Z"), floor("2026-11-22T08:00:00Z")],
            [None, Some(2)]
        );
    }
}
