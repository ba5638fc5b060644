//! Floor and ceiling over a stretch of time.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::evaluate::Timeline;
use crate::window::Window;

/// Edges that [`preview`] walks before it ends early.
pub const MAX_PREVIEW_STEPS: u32 = 200_000;

/// A stretch of time in which nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// First instant.
    pub from: DateTime<Utc>,
    /// First instant that no longer belongs to it.
    pub to: DateTime<Utc>,
    /// Replicas at least.
    pub floor: Option<u32>,
    /// Replicas at most; the floor wins where it is above.
    pub ceiling: Option<u32>,
    /// Names of the windows that are raised or open.
    pub active: Vec<String>,
}

/// What [`crate::evaluate`] answers from `from` to `to`, as segments that follow each other without a gap; none when `to` is not after `from`.
///
/// The last segment ends at `to`, or earlier after [`MAX_PREVIEW_STEPS`] edges.
#[must_use]
pub fn preview(windows: &[Window], from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut timeline = Timeline::at(windows, from);
    let mut at = from;
    for _ in 0..MAX_PREVIEW_STEPS {
        if at >= to {
            break;
        }
        let until = timeline.steady_until().map_or(to, |edge| edge.min(to));
        let segment = Segment {
            from: at,
            to: until,
            floor: timeline.floor().map(|(replicas, _)| replicas),
            ceiling: timeline.ceiling().map(|(replicas, _)| replicas),
            active: timeline.active().map(|(window, ..)| window.name().to_owned()).collect(),
        };
        match segments.last_mut() {
            Some(last)
                if (last.floor, last.ceiling, &last.active) == (segment.floor, segment.ceiling, &segment.active) =>
            {
                last.to = until;
            }
            _ => segments.push(segment),
        }
        at = until;
        timeline.advance();
    }
    segments
}
