//! Pre-scaling windows: from a few recurring windows and the time of day to a floor and a ceiling for replicas.
//!
//! The nouns:
//!
//! - A [`Window`] is a validated [`WindowSpec`]: when it starts, when it ends, and the replicas it asks for meanwhile.
//! - A *start* is one instant at which the window's cron expression counts, or the one that is written; [`Dates`] of a calendar take
//!   starts away and add some. A start and the end that belongs to it are an *occurrence*.
//! - After an occurrence its minimum may *ramp down*, node by node.
//! - The *floor* is the largest active minimum, the *ceiling* the smallest active maximum.
//! - An [`Evaluation`] is what all windows together ask for at one instant; a [`Transition`] is the next instant at which that changes.
//!
//! Everything is a function of the windows and an instant. Nothing here remembers, reads a clock or waits, so a restart, a missed
//! edge or a late leader cannot change an answer. `README.md` of the crate states the rules for daylight saving time and the costs.

mod cron;
mod evaluate;
mod occurrence;
mod preview;
mod starts;
mod window;
mod zone;

pub use crate::cron::CronError;
pub use crate::evaluate::{
    ActiveWindow, Conflict, Evaluation, MAX_TRANSITION_STEPS, Phase, TRANSITION_HORIZON_DAYS, Transition,
    TransitionEdge, clamp, evaluate,
};
pub use crate::occurrence::NEXT_START_HORIZON_DAYS;
pub use crate::preview::{MAX_PREVIEW_STEPS, Segment, preview};
pub use crate::starts::Dates;
pub use crate::window::{MAX_DURATION, MAX_LEAD_TIME, MAX_RAMP_DOWN, Window, WindowError, WindowSpec};

/// The release of the IANA time zone database that is compiled in, for example `2025b`.
pub const TIME_ZONE_DATABASE: &str = chrono_tz::IANA_TZDB_VERSION;
