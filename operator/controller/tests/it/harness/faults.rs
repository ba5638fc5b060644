//! What lies between an operator and the API server: it keeps a list of the writes, and loses requests and answers as a crash, a
//! network or a busy server does. It also says which statements of SQL go wrong, for the frontend to carry out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame};
use kube::client::{Body, DynBody};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{sync::Notify, time::Sleep};
use tower::{BoxError, Layer, Service};

/// Shared by all clones.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// What took effect, in order.
    writes: Vec<String>,
    /// The operator dies before it reads the answer to this write.
    dies_after: Option<usize>,
    is_dead: bool,
    trouble: Option<Trouble>,
    /// Paths of watches that were cut off and have not begun again.
    cut_off: BTreeSet<String>,
    /// How late the events of watches come, of those whose path has this in it.
    late: Duration,
    late_paths: &'static str,
    /// Answers to lists, as they were while `keeps_lists`; given again where it `repeats_lists`.
    lists: BTreeMap<String, (http::response::Parts, Bytes)>,
    keeps_lists: bool,
    repeats_lists: bool,
    /// Lists that were answered as they had been.
    repeated_lists: usize,
}

/// Some requests, watches and statements go wrong.
struct Trouble {
    rng: StdRng,
    probability: f64,
    /// How often each kind of trouble was met.
    met: BTreeMap<&'static str, u64>,
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The server refuses it with this code, and nothing happens.
    Refused(u16, &'static str),
    /// The connection breaks after the server did what was asked.
    AnswerLost,
}

const FAULTS: &[(&str, Fault)] = &[
    ("409", Fault::Refused(409, "Conflict")),
    ("429", Fault::Refused(429, "TooManyRequests")),
    ("500", Fault::Refused(500, "InternalError")),
    ("503", Fault::Refused(503, "ServiceUnavailable")),
    ("answer lost", Fault::AnswerLost),
];

/// What goes wrong with one statement of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatementFault {
    /// The frontend refuses it, and nothing happens.
    Refused,
    /// The connection breaks after the frontend did what was asked.
    AnswerLost,
}

const STATEMENT_FAULTS: &[(&str, StatementFault)] = &[
    ("SQL refused", StatementFault::Refused),
    ("SQL answer lost", StatementFault::AnswerLost),
];

/// How a watch ends before its time.
#[derive(Clone, Copy, Debug)]
enum WatchFault {
    /// The connection breaks.
    Broken,
    /// The server says that it does not know the events any more that come next.
    Gone,
}

const WATCH_FAULTS: &[(&str, WatchFault)] = &[("watch broken", WatchFault::Broken), ("watch 410", WatchFault::Gone)];

/// A watch is one request for all events of its kind, of which few come: it goes wrong so much more often than another request.
const WATCHES_GO_WRONG: f64 = 2.0;

/// A watch that goes wrong tells so many pieces at most before, mostly an event each.
const TOLD_BEFORE: u32 = 2;

/// Names of everything that can go wrong.
pub(crate) fn kinds_of_trouble() -> BTreeSet<&'static str> {
    let requests = FAULTS.iter().map(|(name, _)| *name);
    let statements = STATEMENT_FAULTS.iter().map(|(name, _)| *name);
    let watches = WATCH_FAULTS.iter().map(|(name, _)| *name);
    requests.chain(statements).chain(watches).collect()
}

impl Trouble {
    /// One of these faults with its name, or none.
    fn draw<F: Copy>(&mut self, probability: f64, faults: &[(&'static str, F)]) -> Option<(&'static str, F)> {
        if !self.rng.random_bool(probability.min(1.0)) {
            return None;
        }
        Some(faults[self.rng.random_range(0..faults.len())])
    }

    fn meet(&mut self, name: &'static str) {
        *self.met.entry(name).or_default() += 1;
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Faults {
    /// An operator behind it dies with the write of this number, counted from one: the write takes effect, and nothing after it.
    pub(crate) fn dying_after(write: usize) -> Self {
        let faults = Self::default();
        faults.state.lock().unwrap().dies_after = Some(write);
        faults
    }

    /// From now on requests and statements go wrong with this probability.
    pub(crate) fn trouble(&self, seed: u64, probability: f64) {
        self.state.lock().unwrap().trouble = Some(Trouble {
            rng: StdRng::seed_from_u64(seed),
            probability,
            met: BTreeMap::new(),
        });
    }

    /// No more of it; how often each kind was met.
    pub(crate) fn calm(&self) -> BTreeMap<&'static str, u64> {
        let trouble = self.state.lock().unwrap().trouble.take();
        trouble.map(|trouble| trouble.met).unwrap_or_default()
    }

    /// Every watch that was cut off has begun again.
    pub(crate) fn all_watches_run(&self) -> bool {
        self.state.lock().unwrap().cut_off.is_empty()
    }

    /// What goes wrong with the next statement of SQL.
    pub(crate) fn statement_fault(&self) -> Option<StatementFault> {
        self.request_fault(STATEMENT_FAULTS)
    }

    /// Answers to lists are kept from now on.
    pub(crate) fn keep_lists(&self) {
        self.state.lock().unwrap().keeps_lists = true;
    }

    /// No more of them: those that are kept stay.
    pub(crate) fn keep_no_more_lists(&self) {
        self.state.lock().unwrap().keeps_lists = false;
    }

    /// For another operator: lists are answered as they are kept here, and events come late, as from an API server that lags behind.
    pub(crate) fn lagging(&self, late: Duration) -> Self {
        let lists = self.state.lock().unwrap().lists.clone();
        let state = State {
            lists,
            late,
            repeats_lists: true,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            died: Arc::default(),
        }
    }

    /// The watches of one resource alone tell everything so late; lists say how things are.
    pub(crate) fn lagging_behind(resource: &'static str, late: Duration) -> Self {
        let faults = Self::default();
        let mut state = faults.state.lock().unwrap();
        (state.late, state.late_paths) = (late, resource);
        drop(state);
        faults
    }

    /// How many lists were answered as they had been.
    pub(crate) fn repeated_lists(&self) -> usize {
        self.state.lock().unwrap().repeated_lists
    }

    /// Writes that took effect, in order.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// A statement of SQL took effect. Whether the operator still hears of it.
    pub(crate) fn executed(&self, statement: &str) -> bool {
        self.took_effect(format!("SQL {statement}"))
    }

    /// Ready when the operator has died.
    pub(crate) async fn died(&self) {
        loop {
            let notified = self.died.notified();
            if self.state.lock().unwrap().is_dead {
                return;
            }
            notified.await;
        }
    }

    /// Whether the operator lives on to hear of it.
    fn took_effect(&self, write: String) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.is_dead {
            return false;
        }
        state.writes.push(write);
        if state.dies_after == Some(state.writes.len()) {
            state.is_dead = true;
            self.died.notify_waiters();
        }
        !state.is_dead
    }

    fn is_dead(&self) -> bool {
        self.state.lock().unwrap().is_dead
    }

    fn request_fault<F: Copy>(&self, faults: &[(&'static str, F)]) -> Option<F> {
        let mut state = self.state.lock().unwrap();
        let trouble = state.trouble.as_mut()?;
        let (name, fault) = trouble.draw(trouble.probability, faults)?;
        trouble.meet(name);
        Some(fault)
    }

    /// A watch begins: how it ends, if before its time, and after how many pieces.
    fn watch_begins(&self, path: &str) -> Option<(&'static str, WatchFault, u32)> {
        let mut state = self.state.lock().unwrap();
        state.cut_off.remove(path);
        let trouble = state.trouble.as_mut()?;
        let (name, fault) = trouble.draw(trouble.probability * WATCHES_GO_WRONG, WATCH_FAULTS)?;
        Some((name, fault, trouble.rng.random_range(1..=TOLD_BEFORE)))
    }

    /// Whether a watch ends now that was to. When the trouble is over, none does.
    fn cuts_off(&self, path: &str, name: &'static str) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(trouble) = state.trouble.as_mut() else {
            return false;
        };
        trouble.meet(name);
        state.cut_off.insert(path.to_owned());
        true
    }

    fn list_again(&self, uri: &str) -> Option<Answer> {
        let mut state = self.state.lock().unwrap();
        let (parts, body) = state.repeats_lists.then(|| state.lists.get(uri).cloned())??;
        state.repeated_lists += 1;
        Some(Response::from_parts(parts, whole(body)))
    }
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            inner,
            faults: self.clone(),
        }
    }
}

pub(crate) struct Faulty<S> {
    inner: S,
    faults: Faults,
}

type Answer = Response<Box<DynBody>>;

impl<S> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let faults = self.faults.clone();
        if faults.is_dead() {
            return Box::pin(std::future::pending());
        }
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        // The Lease is not what is tested, and an Event is told once or not at all.
        let is_aside = path.contains("/leases") || path.ends_with("/events");
        let is_write = request.method() != Method::GET && !is_aside;
        let is_watch = query.contains("watch=true");
        let fault = if is_aside || is_watch {
            None
        } else {
            faults.request_fault(FAULTS)
        };
        if let Some(Fault::Refused(code, reason)) = fault {
            return Box::pin(std::future::ready(Ok(refusal(code, reason))));
        }
        let uri = request.uri().to_string();
        if let Some(list) = faults.list_again(&uri) {
            return Box::pin(std::future::ready(Ok(list)));
        }
        let is_list = request.method() == Method::GET && !is_watch && query.contains("limit=");
        let write = format!("{} {path}", request.method());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let is_dead = is_write && answer.status().is_success() && !faults.took_effect(write);
            if is_dead || faults.is_dead() {
                return std::future::pending().await;
            }
            if matches!(fault, Some(Fault::AnswerLost)) {
                return Err("the connection is broken".into());
            }
            let (parts, mut body) = answer.into_parts();
            if is_watch
                && parts.status.is_success()
                && let Some((name, fault, pieces_left)) = faults.watch_begins(&path)
            {
                let body: Box<DynBody> = Box::new(CutOff {
                    inner: body,
                    faults,
                    path,
                    name,
                    fault,
                    pieces_left,
                    is_between_events: true,
                    is_over: false,
                });
                return Ok(Response::from_parts(parts, body));
            }
            let late = {
                let state = faults.state.lock().unwrap();
                let is_late = path.contains(state.late_paths);
                if is_late { state.late } else { Duration::ZERO }
            };
            if is_watch && !late.is_zero() {
                let body: Box<DynBody> = Box::new(Late {
                    inner: body,
                    late,
                    held: None,
                });
                return Ok(Response::from_parts(parts, body));
            }
            if is_list && faults.state.lock().unwrap().keeps_lists {
                let mut bytes = Vec::new();
                while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                    bytes.extend(frame?.into_data().unwrap_or_default());
                }
                let bytes = Bytes::from(bytes);
                let mut state = faults.state.lock().unwrap();
                state.lists.insert(uri, (parts.clone(), bytes.clone()));
                return Ok(Response::from_parts(parts, whole(bytes)));
            }
            Ok(Response::from_parts(parts, body))
        })
    }
}

fn refusal(code: u16, reason: &str) -> Answer {
    Response::builder()
        .status(code)
        .header("Content-Type", "application/json")
        .body(whole(Bytes::from(status(code, reason).to_string())))
        .unwrap()
}

fn status(code: u16, reason: &str) -> serde_json::Value {
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "a test refuses this",
        "reason": reason, "code": code,
    })
}

fn whole(bytes: Bytes) -> Box<DynBody> {
    Box::new(Whole(Some(bytes)))
}

/// A body that is there at once.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A body whose frames come late.
struct Late {
    inner: Box<DynBody>,
    late: Duration,
    held: Option<(Pin<Box<Sleep>>, Frame<Bytes>)>,
}

impl HttpBody for Late {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some((sleep, _)) = &mut self.held {
                ready!(sleep.as_mut().poll(context));
                let frame = self.held.take().map(|(_, frame)| Ok(frame));
                return Poll::Ready(frame);
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => self.held = Some((Box::pin(tokio::time::sleep(self.late)), frame)),
                other => return Poll::Ready(other),
            }
        }
    }
}

/// The body of a watch that ends before its time.
struct CutOff {
    inner: Box<DynBody>,
    faults: Faults,
    path: String,
    name: &'static str,
    fault: WatchFault,
    pieces_left: u32,
    /// The last piece ended with an event: what is said now begins a line.
    is_between_events: bool,
    is_over: bool,
}

impl HttpBody for CutOff {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.pieces_left == 0 && self.is_between_events && self.faults.cuts_off(&self.path, self.name) {
            self.is_over = true;
            let end = match self.fault {
                WatchFault::Broken => Err("the connection is broken".into()),
                WatchFault::Gone => {
                    let event = serde_json::json!({"type": "ERROR", "object": status(410, "Expired")});
                    Ok(Frame::data(Bytes::from(format!("{event}\n"))))
                }
            };
            return Poll::Ready(Some(end));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.is_between_events = data.ends_with(b"\n");
            self.pieces_left = self.pieces_left.saturating_sub(1);
        }
        Poll::Ready(frame)
    }
}
