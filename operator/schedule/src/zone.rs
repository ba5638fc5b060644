//! What the clocks of a time zone show on a local day.
//!
//! On most days every minute is shown once. When clocks go forward some minutes are skipped, when they go back some are shown
//! again. [`LocalDay`] states that as facts; what counts as a start or an end is decided in [`crate::occurrence`].

use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::cron::MINUTES_PER_DAY;

#[cfg(test)]
mod tests;

/// No zone is further from UTC than this, so a local day lies within its UTC day and this much on either side.
const LARGEST_OFFSET: TimeDelta = TimeDelta::hours(16);
/// Distance of the instants at which the offset is looked up. Two changes of a zone's offset are never closer together.
const PROBE_SECONDS: i64 = 14 * 3600;
/// A suggestion that differs in more places than this is no suggestion.
const MAX_SUGGESTION_DISTANCE: usize = 3;
/// A name longer than this is no misspelling of a zone; the longest zone has 32 bytes.
const MAX_NAME_LENGTH: usize = 64;

/// How the clock comes by a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Shown for the first time.
    Shown,
    /// Shown once more, because clocks went back.
    Repeated,
    /// Never shown, because clocks went forward.
    Skipped,
}

/// Consecutive minutes of a local day with the same reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) reading: Reading,
    /// Minutes of the day.
    pub(crate) minutes: Range<u32>,
    /// When the first of `minutes` is shown; for [`Reading::Skipped`], when clocks resume after all of them.
    pub(crate) at: DateTime<Utc>,
}

impl Piece {
    /// When a minute of this piece is shown, or would have been.
    pub(crate) fn instant_of(&self, minute: u32) -> DateTime<Utc> {
        match self.reading {
            Reading::Skipped => self.at,
            Reading::Shown | Reading::Repeated => self.at + TimeDelta::minutes(i64::from(minute - self.minutes.start)),
        }
    }

    /// The minutes of this piece whose instant is at `instant` or before it.
    pub(crate) fn minutes_until(&self, instant: DateTime<Utc>) -> Range<u32> {
        let end = match self.reading {
            _ if instant < self.at => self.minutes.start,
            Reading::Skipped => self.minutes.end,
            Reading::Shown | Reading::Repeated => {
                let later = u32::try_from((instant - self.at).num_minutes()).unwrap_or(MINUTES_PER_DAY);
                self.minutes
                    .start
                    .saturating_add(later)
                    .saturating_add(1)
                    .min(self.minutes.end)
            }
        };
        self.minutes.start..end
    }

    /// The minutes of this piece whose instant is after `instant`.
    pub(crate) fn minutes_after(&self, instant: DateTime<Utc>) -> Range<u32> {
        self.minutes_until(instant).end..self.minutes.end
    }
}

/// The pieces of one local day, in order of time. A day that the zone skipped whole has one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalDay {
    pub(crate) pieces: Vec<Piece>,
}

impl LocalDay {
    /// Empty at the ends of representable time, centuries away from any real clock.
    pub(crate) fn of(time_zone: Tz, date: NaiveDate) -> Self {
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
        let from = midnight.checked_sub_signed(LARGEST_OFFSET);
        let to = midnight
            .checked_add_days(Days::new(1))
            .and_then(|end| end.checked_add_signed(LARGEST_OFFSET));
        let (Some(from), Some(to)) = (from, to) else {
            return Self { pieces: Vec::new() };
        };

        let mut pieces = Vec::new();
        let mut push = |reading, minutes: Range<i64>, at_first: i64| {
            let day = 0..i64::from(MINUTES_PER_DAY);
            let clipped = minutes.start.clamp(day.start, day.end)..minutes.end.clamp(day.start, day.end);
            if clipped.is_empty() {
                return;
            }
            let at = match reading {
                Reading::Skipped => at_first,
                Reading::Shown | Reading::Repeated => at_first + (clipped.start - minutes.start) * 60,
            };
            if let (Some(at), Ok(start), Ok(end)) = (
                DateTime::from_timestamp(at, 0),
                u32::try_from(clipped.start),
                u32::try_from(clipped.end),
            ) {
                pieces.push(Piece {
                    reading,
                    minutes: start..end,
                    at,
                });
            }
        };
        // Minutes are counted from the local midnight; all before `shown_before` have been on the clock already.
        let mut shown_before = None;
        for span in spans(time_zone, from.timestamp(), to.timestamp()) {
            let local_midnight = midnight.timestamp() - span.offset;
            let first = ceiling_minutes(span.from - local_midnight);
            let end = ceiling_minutes(span.to - local_midnight);
            let instant = |minute: i64| local_midnight + minute * 60;
            let high_water = shown_before.unwrap_or(first);
            if first > high_water {
                push(Reading::Skipped, high_water..first, span.from);
            }
            let fresh = first.max(high_water).min(end);
            push(Reading::Repeated, first..fresh, instant(first));
            push(Reading::Shown, fresh..end, instant(fresh));
            shown_before = Some(high_water.max(end));
        }
        Self { pieces }
    }
}

impl LocalDay {
    /// Whether every minute is shown once, as on most days. Then all of the day's instants lie between those of the days around it.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(&self.pieces[..], [piece] if piece.reading == Reading::Shown && piece.minutes == (0..MINUTES_PER_DAY))
    }
}

/// The local date at an instant.
pub(crate) fn local_date(time_zone: Tz, instant: DateTime<Utc>) -> NaiveDate {
    let offset = TimeDelta::seconds(offset_at(time_zone, instant.timestamp()));
    instant.checked_add_signed(offset).unwrap_or(instant).date_naive()
}

/// The zone of an IANA name, or the name that was probably meant.
pub(crate) fn parse_time_zone(name: &str) -> Result<Tz, Option<&'static str>> {
    name.parse::<Tz>().map_err(|_| nearest_name(name))
}

fn nearest_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_LENGTH {
        return None;
    }
    let wanted = name.to_ascii_lowercase().replace(' ', "_");
    TZ_VARIANTS
        .iter()
        .map(|zone| {
            let known = zone.name().to_ascii_lowercase();
            let city = known.rsplit('/').next().unwrap_or(&known);
            // A bare city is a complete answer to a bare city; a misspelt one counts one more than a misspelt full name.
            let of_city = if city == wanted {
                0
            } else {
                strsim::osa_distance(city, &wanted) + 1
            };
            // Of equally near names the shortest: UTC rather than Etc/UTC.
            (
                strsim::osa_distance(&known, &wanted).min(of_city),
                zone.name().len(),
                zone.name(),
            )
        })
        .min()
        .filter(|(distance, ..)| *distance <= MAX_SUGGESTION_DISTANCE && *distance * 2 < name.len())
        .map(|(.., name)| name)
}

/// A stretch of time with one offset; all in seconds, `offset` is local minus UTC.
struct Span {
    from: i64,
    to: i64,
    offset: i64,
}

fn spans(time_zone: Tz, from: i64, to: i64) -> Vec<Span> {
    let mut spans = Vec::with_capacity(2);
    let (mut begin, mut offset) = (from, offset_at(time_zone, from));
    let mut probed = from;
    while probed < to {
        let probe = (probed + PROBE_SECONDS).min(to);
        if offset_at(time_zone, probe) == offset {
            probed = probe;
            continue;
        }
        let (mut before, mut after) = (probed, probe);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if offset_at(time_zone, middle) == offset {
                before = middle;
            } else {
                after = middle;
            }
        }
        spans.push(Span {
            from: begin,
            to: after,
            offset,
        });
        (begin, offset, probed) = (after, offset_at(time_zone, after), after);
    }
    spans.push(Span {
        from: begin,
        to,
        offset,
    });
    spans
}

/// Local minus UTC in seconds. Only this direction of the time zone database is asked: it has one answer for every instant.
fn offset_at(time_zone: Tz, timestamp: i64) -> i64 {
    DateTime::from_timestamp(timestamp, 0).map_or(0, |instant| {
        time_zone
            .offset_from_utc_datetime(&instant.naive_utc())
            .fix()
            .local_minus_utc()
            .into()
    })
}

fn ceiling_minutes(seconds: i64) -> i64 {
    seconds.div_euclid(60) + i64::from(seconds.rem_euclid(60) != 0)
}
