//! When pods may be replaced without anybody having asked for it.

use chrono::{DateTime, Utc};
use springtide_crds::lake_cluster::MaintenanceWindow;
use springtide_crds::{LakeCluster, Reason};
use springtide_schedule::{Window, WindowError, WindowSpec, evaluate};

use crate::condition::instant_text;
use crate::finish::Rejection;
use crate::names::MAINTENANCE_UNTIL_ANNOTATION;
use crate::units;

/// Whether pods may be replaced at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maintenance {
    pub(crate) is_open: bool,
    /// When they may be, for people.
    pub(crate) when: String,
}

impl Maintenance {
    /// Without a cluster there are no windows.
    pub(crate) fn never() -> Self {
        Self {
            is_open: false,
            when: "in a maintenance window".to_owned(),
        }
    }

    /// What the windows of a cluster and its annotation say.
    pub(crate) fn now(cluster: &LakeCluster, windows: &[Window], now: DateTime<Utc>) -> Self {
        let annotations = cluster.metadata.annotations.as_ref();
        let by_hand = annotations.and_then(|annotations| annotations.get(MAINTENANCE_UNTIL_ANNOTATION));
        let until = by_hand.map(|text| DateTime::parse_from_rfc3339(text));
        let evaluation = evaluate(windows, now);
        let is_open = evaluation.floor.is_some() || matches!(until, Some(Ok(until)) if now < until);
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let hand = format!(
            "kubectl annotate --overwrite lakecluster {name} {MAINTENANCE_UNTIL_ANNOTATION}=$(date -u -d '+1 hour' +%FT%TZ)"
        );
        let when = match (&until, evaluation.next_transition) {
            (Some(Err(_)), _) => format!(
                "the annotation {MAINTENANCE_UNTIL_ANNOTATION} is no time; write one like 2026-11-30T20:00:00Z, by {hand}"
            ),
            (_, Some(next)) => format!(
                "in the maintenance window that opens at {}, or now by {hand}",
                instant_text(next.at)
            ),
            (_, None) => format!("in a maintenance window: write spec.maintenanceWindows, or open one now by {hand}"),
        };
        Self { is_open, when }
    }
}

/// Makes windows ready to be evaluated.
///
/// # Errors
/// The first field that makes no sense.
pub(crate) fn windows(written: &[MaintenanceWindow]) -> Result<Vec<Window>, Rejection> {
    written.iter().map(window).collect()
}

fn window(written: &MaintenanceWindow) -> Result<Window, Rejection> {
    let MaintenanceWindow {
        name,
        start,
        duration,
        time_zone,
    } = written;
    let field = format!("maintenanceWindows[{name}]");
    let duration = units::duration(duration).map_err(|error| Rejection::field(&format!("{field}.duration"), error))?;
    let spec = WindowSpec {
        name: name.clone(),
        start: start.clone(),
        duration: Some(duration),
        time_zone: time_zone.clone(),
        // What is open has a floor.
        min_replicas: Some(1),
        ..WindowSpec::default()
    };
    Window::parse(&spec).map_err(|error| {
        let reason = match error {
            WindowError::TimeZoneUnknown { .. } => Reason::UnknownTimeZone,
            _ => Reason::InvalidSchedule,
        };
        Rejection::new(reason, format!("{field}.{error}"))
    })
}

#[cfg(test)]
mod tests {
    use springtide_crds::Duration;

    use super::*;
    use crate::fixture::{at, cluster};

    fn sunday(start: &str, time_zone: &str) -> MaintenanceWindow {
        MaintenanceWindow {
            name: "sunday".to_owned(),
            start: start.to_owned(),
            duration: Duration::new("2h"),
            time_zone: time_zone.to_owned(),
        }
    }

    fn look(annotation: Option<&str>, windows: &[Window], now: &str) -> Maintenance {
        let mut cluster = cluster("demo").0.cluster;
        cluster.metadata.annotations =
            annotation.map(|until| [(MAINTENANCE_UNTIL_ANNOTATION.to_owned(), until.to_owned())].into());
        Maintenance::now(&cluster, windows, at(now))
    }

    #[test]
    fn a_window_is_open_from_its_start_for_its_duration() {
        let windows = windows(&[sunday("0 2 * * SUN", "Europe/Berlin")]).unwrap();
        // 2026-11-29 is a Sunday, and Berlin an hour ahead.
        for (now, is_open) in [
            ("2026-11-29T00:59:59Z", false),
            ("2026-11-29T01:00:00Z", true),
            ("2026-11-29T02:59:59Z", true),
            ("2026-11-29T03:00:00Z", false),
        ] {
            assert_eq!(look(None, &windows, now).is_open, is_open, "{now}");
        }
        let closed = look(None, &windows, "2026-11-23T12:00:00Z").when;
        assert!(closed.starts_with("in the maintenance window that opens at 2026-11-29T01:00:00Z, or now by "));
    }

    #[test]
    fn the_annotation_opens_a_window_that_closes_by_itself() {
        let until = Some("2026-11-23T13:00:00+01:00");
        assert!(look(until, &[], "2026-11-23T11:59:59Z").is_open);
        assert!(!look(until, &[], "2026-11-23T12:00:00Z").is_open);
        assert!(!look(None, &[], "2026-11-23T12:00:00Z").is_open);
    }

    #[test]
    fn an_annotation_that_is_no_time_opens_nothing_and_is_told() {
        let look = look(Some("tonight"), &[], "2026-11-23T12:00:00Z");
        assert!(!look.is_open);
        assert!(
            look.when.contains("is no time; write one like 2026-11-30T20:00:00Z"),
            "{}",
            look.when
        );
    }

    #[test]
    fn a_window_that_makes_no_sense_is_refused_by_its_field() {
        let refused = |window: MaintenanceWindow| windows(&[window]).unwrap_err();
        let zone = refused(sunday("0 2 * * SUN", "Europe/Atlantis"));
        assert_eq!(zone.reason, Reason::UnknownTimeZone);
        assert!(
            zone.message.starts_with("maintenanceWindows[sunday].timeZone: "),
            "{}",
            zone.message
        );
        let start = refused(sunday("0 2 * *", "Etc/UTC"));
        assert_eq!(start.reason, Reason::InvalidSchedule);
        assert!(
            start.message.starts_with("maintenanceWindows[sunday].start: "),
            "{}",
            start.message
        );
    }
}
