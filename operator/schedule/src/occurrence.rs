//! When a window starts and ends, and what it is doing at an instant.
//!
//! Which starts count when clocks change: an expression with fixed hours means times of day, so a start that is skipped moves to the
//! instant at which clocks resume, and a start that is shown twice counts the first time. An expression with `*` or `*/n` hours means
//! an interval, so it follows the clock: what is skipped does not happen and what is repeated happens again.
//!
//! Searches go by local date and compute what clocks show only on dates that the expression names, so their cost is bounded by the
//! number of dates: [`NEXT_START_HORIZON_DAYS`] forwards, the window's duration backwards.

use std::cmp::Reverse;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use crate::window::{End, Window};
use crate::zone::{LocalDay, Piece, Reading, local_date};

/// Starts further ahead than this are not looked for. Eight years and some: the longest that 29 February stays away.
pub const NEXT_START_HORIZON_DAYS: u32 = 3_000;
/// Occurrences that end before they begin (both in hours that clocks skip) and are passed over before a search gives up.
const MAX_EMPTY_OCCURRENCES: u32 = 16;
/// Occurrences that follow each other without a pause are looked through this far, about as many days, before [`WindowState::steady_until`] stops.
const MAX_RUN_JUMPS: u32 = 8;
/// An occurrence that ends at a time of day is over after a day, a change of clocks and a change of date line.
const LONGEST_UNTIL: TimeDelta = TimeDelta::hours(72);

/// One instant at which the expression counts, and the local minute that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    at: DateTime<Utc>,
    date: NaiveDate,
    minute: u32,
}

/// A start and the end that belongs to it; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) opens_at: DateTime<Utc>,
    pub(crate) closes_at: DateTime<Utc>,
}

/// What a window is doing at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowState {
    /// The occurrence that is open; of several, the one that closes last.
    pub(crate) open: Option<Occurrence>,
    /// The next occurrence, if its lead time runs.
    pub(crate) raised: Option<Occurrence>,
    /// The occurrence whose minimum ramps down, if none is open or raised.
    pub(crate) ramping: Option<Occurrence>,
    /// The minimum that counts.
    pub(crate) floor: Option<u32>,
    /// The next instant at which the fields above change; `None` when there is none within the horizon.
    pub(crate) next_edge: Option<DateTime<Utc>>,
    /// Until then the window asks for the same, although occurrences may take turns; not before `next_edge`. `None` as above.
    pub(crate) steady_until: Option<DateTime<Utc>>,
}

impl Window {
    pub(crate) fn state_at(&self, now: DateTime<Utc>) -> WindowState {
        if self.suspend {
            return WindowState {
                open: None,
                raised: None,
                ramping: None,
                floor: None,
                next_edge: None,
                steady_until: None,
            };
        }
        let latest = self.last_closing(self.latest_starts(now, self.ramp_down));
        let open = latest.filter(|occurrence| occurrence.closes_at > now);
        let next = self.next_occurrence_after(now);
        let raised = next.filter(|next| self.raised_at(next) <= now);
        let ramping = latest
            .filter(|_| open.is_none() && raised.is_none())
            .filter(|ended| ended.closes_at + self.ramp_down > now);
        let (floor, next_step) = match (open.or(raised), ramping) {
            (Some(_), _) => (self.min_replicas, None),
            (None, Some(ended)) => self.ramp_at(&ended, now),
            (None, None) => (None, None),
        };
        let next_raise = next.map(|next| self.raised_at(&next)).filter(|raise| *raise > now);
        let next_open = next.map(|next| next.opens_at);
        let next_close = open.map(|open| open.closes_at);

        let active_until = match open.or(raised) {
            Some(active) => Some(self.run_end(active, self.lead_time)),
            None => [next_raise, next_step].into_iter().flatten().min(),
        };
        let ceiling_until = match open {
            _ if self.max_replicas.is_none() => None,
            Some(open) => Some(self.run_end(open, TimeDelta::zero())),
            None => next_open,
        };
        WindowState {
            open,
            raised,
            ramping,
            floor,
            next_edge: [next_raise.or(next_open), next_close, next_step]
                .into_iter()
                .flatten()
                .min(),
            steady_until: [active_until, ceiling_until].into_iter().flatten().min(),
        }
    }

    /// What is left of the minimum after an occurrence has ended, and when that changes next: one node less at a time, at equal
    /// distances, and none at the end.
    fn ramp_at(&self, ended: &Occurrence, now: DateTime<Utc>) -> (Option<u32>, Option<DateTime<Utc>>) {
        let Some(min) = self.min_replicas.filter(|min| *min > 0) else {
            // A minimum of nothing ends at once, but counts as one until then.
            return (self.min_replicas, Some(ended.closes_at + self.ramp_down));
        };
        let step = |gone: u32| {
            let milliseconds = i128::from(self.ramp_down.num_milliseconds()) * i128::from(gone) / i128::from(min);
            ended.closes_at + TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap_or(i64::MAX))
        };
        // The number of steps that lie behind us, by halving.
        let (mut behind, mut ahead) = (0, min);
        while ahead - behind > 1 {
            let middle = behind + (ahead - behind) / 2;
            if step(middle) <= now {
                behind = middle;
            } else {
                ahead = middle;
            }
        }
        (Some(min - behind), Some(step(ahead)))
    }

    /// When the last of the occurrences ends that follow each other without a pause, each beginning `early` before its start.
    fn run_end(&self, first: Occurrence, early: TimeDelta) -> DateTime<Utc> {
        let mut end = first.closes_at;
        for _ in 0..MAX_RUN_JUMPS {
            let Some(reach) = end.checked_add_signed(early) else {
                break;
            };
            let mut starts = self.latest_starts(reach, TimeDelta::zero());
            if let End::After(duration) = self.end
                && let Some(latest) = starts.first()
                && duration + early >= self.longest_pause
                && let day = LocalDay::of(self.time_zone, latest.date)
                && day.is_plain()
            {
                // The rest of that day's starts follow without a pause, so the last of them is reached too.
                starts = self
                    .counted_starts(day, latest.date, |piece| {
                        self.starts.last_minute_in(piece.minutes.clone())
                    })
                    .collect();
            }
            match self.last_closing(starts) {
                Some(next) if next.closes_at > end => end = next.closes_at,
                _ => break,
            }
        }
        end
    }

    fn last_closing(&self, starts: Vec<Start>) -> Option<Occurrence> {
        starts
            .into_iter()
            .filter_map(|start| self.occurrence(start))
            .max_by_key(|occurrence| occurrence.closes_at)
    }

    pub(crate) fn raised_at(&self, occurrence: &Occurrence) -> DateTime<Utc> {
        occurrence
            .opens_at
            .checked_sub_signed(self.lead_time)
            .unwrap_or(occurrence.opens_at)
    }

    fn next_occurrence_after(&self, instant: DateTime<Utc>) -> Option<Occurrence> {
        let mut after = instant;
        for _ in 0..MAX_EMPTY_OCCURRENCES {
            let start = self.next_start_after(after)?;
            if let Some(occurrence) = self.occurrence(start) {
                return Some(occurrence);
            }
            after = start.at;
        }
        None
    }

    /// The first start strictly after an instant; of several at that one, the one that stands for the latest local time.
    fn next_start_after(&self, instant: DateTime<Utc>) -> Option<Start> {
        let today = local_date(self.time_zone, instant);
        let last_date = today.checked_add_days(Days::new(NEXT_START_HORIZON_DAYS.into()))?;
        // A start can lie a day behind its date: when a whole day was skipped, or clocks went back past midnight.
        let today_is_plain = LocalDay::of(self.time_zone, today).is_plain();
        let mut date = if today_is_plain { today } else { today.pred_opt()? };
        let mut found: Option<Start> = None;
        while date <= last_date {
            if self.starts.matches_date(date) {
                let day = LocalDay::of(self.time_zone, date);
                let is_plain = day.is_plain();
                let starts = self.counted_starts(day, date, |piece| {
                    let minutes = piece.minutes_after(instant);
                    match piece.reading {
                        Reading::Skipped => self.starts.last_minute_in(minutes),
                        Reading::Shown | Reading::Repeated => self.starts.first_minute_in(minutes),
                    }
                });
                found = starts
                    .chain(found)
                    .min_by_key(|start| (start.at, Reverse((start.date, start.minute))));
                if is_plain && found.is_some() {
                    break;
                }
            }
            if found.is_some_and(|start| start.date < date) {
                break;
            }
            date = date.succ_opt()?;
        }
        found
    }

    /// The starts at or before an instant of which one, if any at all, decides until when the window is open; of the latest date first.
    ///
    /// Ends come in the order of the local times that starts stand for, so within a piece only the last start matters; between the
    /// pieces of a day on which clocks went back the order of instants is another one, so all pieces have a say.
    ///
    /// With `after`, also whether it closed no longer ago than that.
    fn latest_starts(&self, instant: DateTime<Utc>, after: TimeDelta) -> Vec<Start> {
        let longest = after
            + match self.end {
                End::After(duration) => duration,
                End::AtMinute(_) => LONGEST_UNTIL,
            };
        let mut starts: Vec<Start> = Vec::new();
        let today = local_date(self.time_zone, instant);
        let today_is_plain = LocalDay::of(self.time_zone, today).is_plain();
        let latest = if today_is_plain { Some(today) } else { today.succ_opt() };
        let earliest = instant
            .checked_sub_signed(longest)
            .and_then(|instant| local_date(self.time_zone, instant).pred_opt());
        let (Some(mut date), Some(earliest)) = (latest, earliest) else {
            return starts;
        };
        while date >= earliest {
            if self.starts.matches_date(date) {
                let day = LocalDay::of(self.time_zone, date);
                let is_plain = day.is_plain();
                starts.extend(self.counted_starts(day, date, |piece| {
                    self.starts.last_minute_in(piece.minutes_until(instant))
                }));
                if is_plain && !starts.is_empty() {
                    break;
                }
            }
            if starts.first().is_some_and(|latest| latest.date > date) {
                break;
            }
            let Some(previous) = date.pred_opt() else { break };
            date = previous;
        }
        starts
    }

    /// One start for each piece of a local day in which starts count and `pick` finds a minute.
    fn counted_starts(
        &self,
        day: LocalDay,
        date: NaiveDate,
        pick: impl Fn(&Piece) -> Option<u32>,
    ) -> impl Iterator<Item = Start> {
        let follows_the_clock = self.starts.follow_the_clock();
        day.pieces.into_iter().filter_map(move |piece| {
            let counts = match piece.reading {
                Reading::Shown => true,
                Reading::Repeated => follows_the_clock,
                Reading::Skipped => !follows_the_clock,
            };
            let minute = if counts { pick(&piece) } else { None }?;
            Some(Start {
                at: piece.instant_of(minute),
                date,
                minute,
            })
        })
    }

    /// The end that belongs to a start; `None` when clocks skip the whole of it.
    fn occurrence(&self, start: Start) -> Option<Occurrence> {
        let closes_at = match self.end {
            End::After(duration) => start.at.checked_add_signed(duration)?,
            End::AtMinute(minute) => {
                // Compared with the time of day that was asked for: a start that moved out of skipped hours stays on its day.
                let date = if minute > start.minute {
                    start.date
                } else {
                    start.date.succ_opt()?
                };
                // The first time that clocks show the minute, or resume after it; a start in repeated hours may lie after that.
                LocalDay::of(self.time_zone, date)
                    .pieces
                    .iter()
                    .filter(|piece| piece.minutes.contains(&minute))
                    .map(|piece| piece.instant_of(minute))
                    .find(|instant| *instant > start.at)?
            }
        };
        Some(Occurrence {
            opens_at: start.at,
            closes_at,
        })
    }
}
