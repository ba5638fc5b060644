//! What a group's windows will do, day by day.

use std::fmt::Write;

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use springtide_crds::{
    Calendar, ComputeGroup,
    compute_group::{ScaleDecider, Schedule},
};
use springtide_plan::{ScheduleError, compute_group::is_accepted};
use springtide_schedule::{MAX_PREVIEW_STEPS, Segment, Window};

use bar::{Nodes, Scale};

mod bar;

/// Columns of a terminal that all but long names fit into.
const WIDTH: usize = 100;
/// Columns before the bar: the times and three numbers.
const MARGIN: usize = 50;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreviewError {
    /// A window makes no sense.
    #[error("spec.schedules[{index}].{source}")]
    Window {
        index: usize,
        #[source]
        source: ScheduleError,
    },
}

/// What a group's windows refer to, and what they must fit into.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The Calendars of the namespace.
    pub(crate) calendars: Vec<Calendar>,
    /// How many nodes the quotas of the namespace leave to the group, as far as that can be told.
    pub(crate) room: Option<Room>,
}

/// How many nodes of a group a quota has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) nodes: u32,
    /// The quota, and the resource that is short.
    pub(crate) by: String,
}

/// The timeline from `from` to `to`, in `time_zone` or that of the first window.
pub(crate) fn render(
    group: &ComputeGroup,
    surroundings: &Surroundings,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    time_zone: Option<Tz>,
) -> Result<String, PreviewError> {
    let (windows, forgiven) = windows(group, surroundings)?;
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
    let nodes = |segment: &Segment| Nodes {
        floor: segment.floor,
        wanted: wanted(replicas, segment),
        ceiling: segment.ceiling,
    };
    let scale = Scale::of(segments.iter().map(nodes));

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
    if let Some(message) = refusal(group) {
        let has_accepted = group
            .status
            .as_ref()
            .is_some_and(|status| status.accepted_spec.is_some());
        let in_force = if has_accepted {
            "the last accepted ones are in force"
        } else {
            "none are in force yet"
        };
        let _infallible = writeln!(
            text,
            "! the written values, which are drawn here, are not accepted, and {in_force}: {message}"
        );
    }
    for line in forgiven {
        let _infallible = writeln!(text, "! {line}");
    }
    if is_suspended(group) {
        text.push_str(
            "! the cluster is suspended: no nodes come, whatever is shown here, until its spec.suspend is false\n",
        );
    }
    if let Some(last) = segments.last().filter(|last| last.to < to) {
        let ends = last.to.with_timezone(&zone).format("%Y-%m-%d %H:%M");
        let _infallible = writeln!(
            text,
            "! it ends at {ends}, after {MAX_PREVIEW_STEPS} edges: ask for fewer days"
        );
    }
    let columns = format!("{:>33}{:>7}{:>8}", "floor", "wanted", "ceiling");
    let _infallible = writeln!(text, "{}\n\n{columns:<MARGIN$}{}", bar::LEGEND, scale.axis());
    // Clocks change on Sundays, on which many groups have no window: such a day is shown also where nothing else begins on it.
    let others = group
        .spec
        .schedules
        .iter()
        .filter_map(|schedule| schedule.time_zone.parse().ok());
    let zones: Vec<Tz> = std::iter::once(zone).chain(others).fold(Vec::new(), |mut zones, zone| {
        if !zones.contains(&zone) {
            zones.push(zone);
        }
        zones
    });
    let notes = |date: NaiveDate| -> Vec<String> {
        let note = |other: &Tz| {
            let note = clock_change(*other, date)?;
            Some(if *other != zone {
                format!("{note} in {other}")
            } else if note.contains("back") {
                format!("{note}, * is shown for the second time")
            } else {
                note
            })
        };
        zones.iter().filter_map(note).collect()
    };
    let mut day: Option<NaiveDate> = None;
    for segment in &segments {
        let (begins, ends) = (segment.from.with_timezone(&zone), segment.to.with_timezone(&zone));
        if day != Some(begins.date_naive()) {
            day = Some(begins.date_naive());
            heading(&mut text, begins.date_naive(), &notes(begins.date_naive()));
        }
        let until = if ends.date_naive() == begins.date_naive() {
            clock(ends)
        } else if ends.year() == begins.year() {
            format!("{} {}", ends.format("%a %d %b"), clock(ends))
        } else {
            format!("{} {}", ends.format("%d %b %Y"), clock(ends))
        };
        let nodes = nodes(segment);
        let troubles = troubles(nodes, surroundings.room.as_ref());
        let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let row = format!(
            "{} {:<6}- {until:<17}{:>6}{:>7}{:>8}",
            if troubles.is_empty() { ' ' } else { '!' },
            clock(begins),
            number(nodes.floor),
            nodes.wanted,
            number(nodes.ceiling),
        );
        let bar = scale.bar(nodes, surroundings.room.as_ref().map(|room| room.nodes));
        let row = format!("{row:<MARGIN$}{bar:<width$}", width = bar::WIDTH as usize + 2);
        text.push_str(&beside(&row, &segment.active.join(", ")));
        for trouble in troubles {
            let _infallible = writeln!(text, "  ! {trouble}");
        }
        let last = (segment.to - chrono::TimeDelta::seconds(1))
            .with_timezone(&zone)
            .date_naive();
        for date in begins.date_naive().iter_days().skip(1).take_while(|date| *date <= last) {
            let notes = notes(date);
            if !notes.is_empty() {
                heading(&mut text, date, &notes);
                day = Some(date);
            }
        }
    }
    let without_ends: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Ok(without_ends)
}

fn heading(text: &mut String, date: NaiveDate, notes: &[String]) {
    let mut line = date.format("%A %d %B %Y").to_string();
    text.push('\n');
    for note in notes {
        if line.chars().count() + note.chars().count() + 5 > WIDTH {
            let _infallible = writeln!(text, "{line}");
            line.clear();
        }
        let _infallible = write!(line, "   ! {note}");
    }
    let _infallible = writeln!(text, "{line}");
}

/// What the clock on the wall shows; with a `*` when it does so for the second time that day.
fn clock(time: DateTime<Tz>) -> String {
    let is_second = match time.timezone().from_local_datetime(&time.naive_local()) {
        LocalResult::Ambiguous(first, _) => first != time,
        LocalResult::Single(_) | LocalResult::None => false,
    };
    format!("{}{}", time.format("%H:%M"), if is_second { "*" } else { "" })
}

/// A row and what stands beside it, on lines of its own where the terminal is too narrow.
fn beside(row: &str, names: &str) -> String {
    let has_room = row.chars().count() + names.chars().count() <= WIDTH;
    if has_room {
        return format!("{row}{names}\n");
    }
    let longest = names.split(", ").map(|name| name.chars().count()).max().unwrap_or(0);
    let indent = WIDTH.saturating_sub(longest + 1).min(MARGIN);
    let mut lines = format!("{row}\n");
    let mut line = String::new();
    for name in names.split_inclusive(", ") {
        if !line.is_empty() && indent + line.chars().count() + name.trim_end().chars().count() > WIDTH {
            let _infallible = writeln!(lines, "{:indent$}{line}", "");
            line.clear();
        }
        line.push_str(name);
    }
    let _infallible = writeln!(lines, "{:indent$}{line}", "");
    lines
}

/// Why the operator does not accept what is written.
fn refusal(group: &ComputeGroup) -> Option<&str> {
    let conditions = &group.status.as_ref()?.conditions;
    let refused = |condition: &&Condition| condition.type_ == "Accepted" && condition.status == "False";
    conditions
        .iter()
        .find(refused)
        .map(|condition| condition.message.as_str())
}

/// Whether the operator gives the group no nodes because its cluster is to have none.
fn is_suspended(group: &ComputeGroup) -> bool {
    let scaling = group.status.as_ref().and_then(|status| status.scaling.as_ref());
    scaling.is_some_and(|scaling| scaling.decided_by == ScaleDecider::Suspension)
}

/// The nodes that are wanted in a segment: the floor wins over the ceiling.
fn wanted(replicas: u32, segment: &Segment) -> u32 {
    let capped = segment.ceiling.map_or(replicas, |ceiling| replicas.min(ceiling));
    segment.floor.map_or(capped, |floor| capped.max(floor))
}

/// What is unusual about a day on which clocks change.
fn clock_change(zone: Tz, date: NaiveDate) -> Option<String> {
    let midnight = |date: NaiveDate| {
        let local = date.and_time(chrono::NaiveTime::MIN);
        // A midnight that is skipped begins with the next hour.
        zone.from_local_datetime(&local).earliest().or_else(|| {
            zone.from_local_datetime(&(local + chrono::TimeDelta::hours(1)))
                .earliest()
        })
    };
    let minutes = (midnight(date.succ_opt()?)? - midnight(date)?).num_minutes();
    if minutes == 24 * 60 {
        return None;
    }
    let direction = if minutes < 24 * 60 { "forward" } else { "back" };
    let length = match (minutes / 60, minutes % 60) {
        (hours, 0) => format!("{hours} h"),
        (hours, rest) => format!("{hours} h {rest} min"),
    };
    Some(format!("clocks go {direction}: this day has {length}"))
}

/// What an operator should look at, one line each.
fn troubles(nodes: Nodes, room: Option<&Room>) -> Vec<String> {
    let mut troubles = Vec::new();
    troubles.extend(
        room.filter(|room| nodes.wanted > room.nodes)
            .map(|room| format!("{} has room for {} of {} nodes", room.by, room.nodes, nodes.wanted)),
    );
    if let (Some(floor), Some(ceiling)) = (nodes.floor, nodes.ceiling)
        && floor > ceiling
    {
        troubles.push(format!(
            "the floor {floor} is above the ceiling {ceiling}: the floor wins"
        ));
    }
    troubles
}

/// The windows, and what is wrong with Calendars of windows that were accepted before: the operator opens those all the same.
fn windows(group: &ComputeGroup, surroundings: &Surroundings) -> Result<(Vec<Window>, Vec<String>), PreviewError> {
    // What the operator found; a group that it has not seen yet has the first guess.
    let start_up = group.status.as_ref().and_then(|status| status.start_up.as_ref());
    let auto = start_up.and_then(|start_up| start_up.auto_lead_time.strip_suffix('s')?.parse().ok());
    let auto_lead_time = std::time::Duration::from_secs(auto.unwrap_or(300));
    let read = |schedule: &Schedule, forgives_calendars: bool| {
        let surroundings = springtide_plan::Surroundings {
            calendars: &surroundings.calendars,
            auto_lead_time,
            // Drawn is what is written.
            stagger: std::time::Duration::ZERO,
            forgives_calendars,
        };
        springtide_plan::window(schedule, surroundings)
    };
    let was_accepted = is_accepted(group);
    let mut windows = Vec::new();
    let mut forgiven = Vec::new();
    for (index, schedule) in group.spec.schedules.iter().enumerate() {
        let window = match read(schedule, false) {
            Err(error @ (ScheduleError::CalendarNotFound { .. } | ScheduleError::CalendarDate { .. }))
                if was_accepted =>
            {
                forgiven.extend(calendar_troubles(schedule, &error, &surroundings.calendars));
                read(schedule, true)
            }
            read => read,
        };
        windows.push(window.map_err(|source| PreviewError::Window { index, source })?);
    }
    Ok((windows, forgiven))
}

/// Which Calendars of a window are gone; or, where all are there, what `error` says of their dates.
fn calendar_troubles(schedule: &Schedule, error: &ScheduleError, calendars: &[Calendar]) -> Vec<String> {
    let window = &schedule.name;
    let is_gone = |name: &&String| calendars.iter().all(|calendar| calendar.name_any() != **name);
    let gone: Vec<String> = schedule
        .calendars
        .iter()
        .filter(is_gone)
        .map(|name| {
            format!(
                "there is no Calendar {name} any more: window {window} opens as if it had none; make it again, or take it off the list"
            )
        })
        .collect();
    if gone.is_empty() {
        return vec![format!(
            "window {window} opens without a date of its Calendar: schedules[{window}].{error}"
        )];
    }
    gone
}

#[cfg(test)]
mod tests;
