//! What a group's windows will do, day by day.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use kube::ResourceExt;
use springtide_crds::ComputeGroup;
use springtide_schedule::{Segment, Window};

/// Widest bar, in characters.
const BAR_WIDTH: u32 = 40;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreviewError {
    /// A window makes no sense.
    #[error("spec.schedules[{index}].{source}")]
    Window {
        index: usize,
        #[source]
        source: springtide_plan::ScheduleError,
    },
}

/// The timeline from `from` to `to`, in `time_zone` or that of the first window.
pub(crate) fn render(
    group: &ComputeGroup,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    time_zone: Option<Tz>,
) -> Result<String, PreviewError> {
    let windows = windows(group)?;
    let first_zone = || {
        group
            .spec
            .schedules
            .first()
            .and_then(|schedule| schedule.time_zone.parse().ok())
    };
    let zone: Tz = time_zone.or_else(first_zone).unwrap_or(Tz::UTC);
    let replicas = u32::try_from(group.spec.replicas).unwrap_or(0);
    let segments = springtide_schedule::preview(&windows, from, to);
    let most = segments
        .iter()
        .map(|segment| wanted(replicas, segment))
        .max()
        .unwrap_or(0)
        .max(1);

    let mut text = String::new();
    let namespace = group.namespace().unwrap_or_default();
    let _infallible = writeln!(
        text,
        "ComputeGroup {namespace}/{}, replicas {replicas}, times in {zone}",
        group.name_any()
    );
    if windows.is_empty() {
        text.push_str("no windows: spec.schedules is empty, so replicas alone decides\n");
    }
    let mut day: Option<NaiveDate> = None;
    for segment in &segments {
        let (begins, ends) = (segment.from.with_timezone(&zone), segment.to.with_timezone(&zone));
        if day != Some(begins.date_naive()) {
            day = Some(begins.date_naive());
            let _infallible = writeln!(text, "\n{}", begins.format("%A %d %B %Y"));
        }
        let nodes = wanted(replicas, segment);
        // A share of the widest bar; a group that has nodes has at least one character.
        let width = (nodes * BAR_WIDTH / most).max(u32::from(nodes > 0)) as usize;
        let until = if ends.date_naive() == begins.date_naive() {
            ends.format("%H:%M").to_string()
        } else if ends.year() == begins.year() {
            ends.format("%a %d %b %H:%M").to_string()
        } else {
            ends.format("%a %d %b %Y %H:%M").to_string()
        };
        let _infallible = writeln!(
            text,
            "  {} - {until:<16} {nodes:>4} {:<width_of_bar$}{}",
            begins.format("%H:%M"),
            "#".repeat(width),
            reason(segment),
            width_of_bar = BAR_WIDTH as usize + 1,
        );
    }
    let without_ends: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Ok(without_ends)
}

/// The nodes that are wanted in a segment: the floor wins over the ceiling.
fn wanted(replicas: u32, segment: &Segment) -> u32 {
    let capped = segment.ceiling.map_or(replicas, |ceiling| replicas.min(ceiling));
    segment.floor.map_or(capped, |floor| capped.max(floor))
}

fn reason(segment: &Segment) -> String {
    let mut parts = Vec::new();
    parts.extend(segment.floor.map(|floor| format!("at least {floor}")));
    parts.extend(segment.ceiling.map(|ceiling| format!("at most {ceiling}")));
    if !segment.active.is_empty() {
        parts.push(segment.active.join(", "));
    }
    parts.join("; ")
}

fn windows(group: &ComputeGroup) -> Result<Vec<Window>, PreviewError> {
    let windows = group.spec.schedules.iter().enumerate();
    windows
        .map(|(index, schedule)| {
            springtide_plan::window(schedule).map_err(|source| PreviewError::Window { index, source })
        })
        .collect()
}

#[cfg(test)]
mod tests;
