//! Events on our objects: what happened and why, once.
//!
//! They are written one after the other behind the reconciles, which do not wait for them: when a thousand windows open at eight, the
//! API server is asked for the compute first.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::metrics::DropLabels;

/// An Event with the same text is not repeated for this long.
const QUIET: Duration = Duration::from_secs(3600);
/// Texts that are remembered; past that all are forgotten, and at worst one Event is repeated.
const MOST_REMEMBERED: usize = 20_000;
/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1024;
/// Longest time for writing one Event; Events are never worth waiting for.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Events that wait to be written; more are dropped.
const MOST_WAITING: usize = 10_000;

/// Too many wait.
const FULL: DropLabels = DropLabels { cause: "full" };
/// The API server does not take it, or cannot be reached.
const REFUSED: DropLabels = DropLabels { cause: "refused" };
/// It did not answer in time.
const TIMED_OUT: DropLabels = DropLabels { cause: "timeout" };

/// How many were not written, by why.
type Dropped = Family<DropLabels, Counter>;

/// Something worth telling people about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Whether someone should look.
    pub(crate) is_warning: bool,
    /// CamelCase reason, one of few.
    pub(crate) reason: String,
    /// What the operator was doing.
    pub(crate) action: String,
    /// The whole chain of causes.
    pub(crate) note: String,
}

/// Publishes notices, each at most once an hour, for as long as this lives.
pub(crate) struct Events {
    waiting: mpsc::Sender<(Event, ObjectReference)>,
    /// Those that wait and the one that is being written.
    unwritten: Arc<AtomicUsize>,
    writer: JoinHandle<()>,
    dropped: Dropped,
    told: Mutex<Told>,
}

/// By object, reason and a hash of the text: when it was told last.
type Told = HashMap<(String, String, u64), Instant>;

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(client: Client, instance: &str, dropped: Dropped) -> Self {
        Self::with_room(client, instance, dropped, MOST_WAITING)
    }

    fn with_room(client: Client, instance: &str, dropped: Dropped, most_waiting: usize) -> Self {
        // A counter that is not there before it counts has no first increase.
        for cause in [&FULL, &REFUSED, &TIMED_OUT] {
            drop(dropped.get_or_create(cause));
        }
        let reporter = Reporter {
            controller: springtide_plan::compare::FIELD_MANAGER.to_owned(),
            instance: Some(instance.to_owned()),
        };
        let (waiting, events) = mpsc::channel(most_waiting);
        let unwritten = Arc::new(AtomicUsize::new(0));
        Self {
            waiting,
            writer: tokio::spawn(write(client, reporter, events, Arc::clone(&unwritten), dropped.clone())),
            unwritten,
            dropped,
            told: Mutex::default(),
        }
    }

    /// Tells people soon, unless they were told the same of the same object lately; whether they are. A failure is logged and
    /// nothing else: no reconcile may depend on an Event.
    pub(crate) fn tell(&self, about: &ObjectReference, notice: Notice) -> bool {
        let Notice {
            is_warning,
            reason,
            action,
            note,
        } = notice;
        let note = shortened(note);
        if !self.is_news(about, &reason, &note, Instant::now()) {
            return false;
        }
        let event = Event {
            type_: if is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason,
            note: Some(note),
            action,
            secondary: None,
        };
        self.unwritten.fetch_add(1, Ordering::SeqCst);
        if let Err(refused) = self.waiting.try_send((event, about.clone())) {
            self.unwritten.fetch_sub(1, Ordering::SeqCst);
            let dropped = self.dropped.get_or_create(&FULL).inc() + 1;
            let (event, _) = refused.into_inner();
            self.forget(about, &event.reason, event.note.as_deref().unwrap_or_default());
            tracing::warn!(
                reason = event.reason,
                dropped,
                "too many events wait; this one is not written"
            );
            return false;
        }
        true
    }

    /// Waits until everything is written, at most so long.
    pub(crate) async fn finish(&self, at_most: Duration) {
        let ends = Instant::now() + at_most;
        while self.unwritten.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= ends {
                let left = self.unwritten.load(Ordering::SeqCst);
                tracing::warn!(left, "the operator ends, and these events are not written");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What was not written is news the next time, too.
    fn forget(&self, about: &ObjectReference, reason: &str, note: &str) {
        let object = about.uid.as_deref().unwrap_or_default();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.remove(&key(object, reason, note));
    }

    fn is_news(&self, about: &ObjectReference, reason: &str, note: &str, now: Instant) -> bool {
        let object = about.uid.as_deref().unwrap_or_default();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        is_news(&mut told, key(object, reason, note), now)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

async fn write(
    client: Client,
    reporter: Reporter,
    mut events: mpsc::Receiver<(Event, ObjectReference)>,
    unwritten: Arc<AtomicUsize>,
    dropped: Dropped,
) {
    while let Some((event, about)) = events.recv().await {
        // One that is kept takes an Event of the same reason for a repetition, and counts it in the first one's text, whatever its own says.
        let recorder = Recorder::new(client.clone(), reporter.clone());
        let of = span_of(&about);
        match tokio::time::timeout(TIMEOUT, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                dropped.get_or_create(&REFUSED).inc();
                tracing::warn!(parent: &of, error = %error, reason = event.reason, "cannot write an event");
            }
            Err(_) => {
                dropped.get_or_create(&TIMED_OUT).inc();
                tracing::warn!(parent: &of, reason = event.reason, "cannot write an event in time");
            }
        }
        unwritten.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Events are written behind the reconciles: what a line about one carries is the object that it is about.
fn span_of(about: &ObjectReference) -> tracing::Span {
    let [kind, namespace, object] =
        [&about.kind, &about.namespace, &about.name].map(|part| part.as_deref().unwrap_or_default());
    tracing::info_span!("event", kind, namespace, object)
}

fn key(object: &str, reason: &str, note: &str) -> (String, String, u64) {
    let mut hasher = DefaultHasher::new();
    note.hash(&mut hasher);
    (object.to_owned(), reason.to_owned(), hasher.finish())
}

fn is_news(told: &mut Told, key: (String, String, u64), now: Instant) -> bool {
    if told.get(&key).is_some_and(|when| now.duration_since(*when) < QUIET) {
        return false;
    }
    if told.len() >= MOST_REMEMBERED {
        told.clear();
    }
    told.insert(key, now);
    true
}

/// At most [`LONGEST_NOTE`] bytes, cut between characters.
fn shortened(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE - 3)
            .rev()
            .find(|index| note.is_char_boundary(*index))
            .unwrap_or(0);
        note.truncate(end);
        note.push_str("...");
    }
    note
}

#[cfg(test)]
mod tests;
