//! What lies between an operator and the API server: it keeps a list of the writes, and loses requests and answers as a crash, a
//! network or a busy server does.

use std::{
    collections::BTreeMap,
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
    /// How late the events of watches come.
    late: Duration,
    /// Answers to lists, as they were at first, while `keeps_lists`; given again while `repeats_lists`.
    lists: BTreeMap<String, (http::response::Parts, Bytes)>,
    keeps_lists: bool,
    repeats_lists: bool,
    /// Lists that were answered as they had been.
    repeated_lists: usize,
}

/// Some requests go wrong.
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

    /// From now on requests go wrong with this probability.
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

    /// Answers to lists are kept from now on.
    pub(crate) fn keep_lists(&self) {
        self.state.lock().unwrap().keeps_lists = true;
    }

    /// Lists are answered as they were, and events come late: what an API server does that lags behind.
    pub(crate) fn lag(&self, late: Duration) {
        let mut state = self.state.lock().unwrap();
        (state.keeps_lists, state.repeats_lists, state.late) = (false, true, late);
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

    fn fault(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let trouble = state.trouble.as_mut()?;
        if !trouble.rng.random_bool(trouble.probability) {
            return None;
        }
        let (name, fault) = FAULTS[trouble.rng.random_range(0..FAULTS.len())];
        *trouble.met.entry(name).or_default() += 1;
        Some(fault)
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
        let fault = if is_aside || is_watch { None } else { faults.fault() };
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
            let late = faults.state.lock().unwrap().late;
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
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "a test refuses this",
        "reason": reason, "code": code,
    });
    Response::builder()
        .status(code)
        .header("Content-Type", "application/json")
        .body(whole(Bytes::from(status.to_string())))
        .unwrap()
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
