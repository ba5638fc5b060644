//! What lies between the network and the worker: the token, the version of plans, the compute threads, the count of fragments.
//!
//! Only the work of a fragment is done on the compute threads. Plans are taken on the network's: a fragment waits for its plan for
//! ten seconds only, which on a busy node is less than a turn on the compute threads may take.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    channel::WorkerToken,
    codec::{PLAN_VERSION_HEADER, UNSAID_PLAN_VERSION},
};

#[cfg(test)]
mod tests;

/// End of the path of calls that run a fragment.
const EXECUTE_TASK: &str = "/ExecuteTask";
/// End of the path of calls that bring a plan.
const SET_PLAN: &str = "/CoordinatorChannel";

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

/// Refuses calls without the cluster token.
#[derive(Clone, Debug)]
pub(super) struct TokenLayer(WorkerToken);

impl TokenLayer {
    pub(super) fn new(token: WorkerToken) -> Self {
        Self(token)
    }
}

impl<S> Layer<S> for TokenLayer {
    type Service = TokenService<S>;

    fn layer(&self, inner: S) -> TokenService<S> {
        TokenService {
            inner,
            token: self.0.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TokenService<S> {
    inner: S,
    token: WorkerToken,
}

impl<S> Service<Request<Body>> for TokenService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self
            .token
            .accepts(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes))
        {
            return Box::pin(self.inner.call(request));
        }
        let refusal = Status::unauthenticated("the cluster token is missing or wrong").into_http();
        Box::pin(std::future::ready(Ok(refusal)))
    }
}

/// Refuses plans of versions that are not read here, by the call's header: of the plan itself nothing is looked at.
#[derive(Clone, Debug)]
pub(super) struct PlanLayer(RangeInclusive<u32>);

impl PlanLayer {
    pub(super) fn new(versions: RangeInclusive<u32>) -> Self {
        Self(versions)
    }

    /// Why a call is refused, if it is.
    fn refusal(&self, request: &Request<Body>) -> Option<String> {
        if !request.uri().path().ends_with(SET_PLAN) {
            return None;
        }
        let version = match request.headers().get(PLAN_VERSION_HEADER) {
            None => Some(UNSAID_PLAN_VERSION),
            Some(header) => header.to_str().ok().and_then(|text| text.parse().ok()),
        };
        let (oldest, newest) = (self.0.start(), self.0.end());
        let reads = format!("it reads plans of versions {oldest} to {newest}");
        match version {
            Some(version) if self.0.contains(&version) => None,
            Some(version) if version > *newest => Some(format!(
                "{reads}, and this one has version {version}; upgrade the compute node"
            )),
            Some(version) => Some(format!(
                "{reads}, and this one has version {version}; upgrade the frontend"
            )),
            None => Some(format!("{reads}, and this one does not say which version it has")),
        }
    }
}

impl<S> Layer<S> for PlanLayer {
    type Service = PlanService<S>;

    fn layer(&self, inner: S) -> PlanService<S> {
        PlanService {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct PlanService<S> {
    inner: S,
    layer: PlanLayer,
}

impl<S> Service<Request<Body>> for PlanService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(why) = self.layer.refusal(&request) else {
            return Box::pin(self.inner.call(request));
        };
        tracing::warn!(why, "refused a plan");
        let refusal = Status::failed_precondition(why).into_http();
        Box::pin(std::future::ready(Ok(refusal)))
    }
}

/// Runs fragments on the compute threads, and counts them from their call until their answer is fetched or given up.
#[derive(Clone, Debug)]
pub(super) struct ComputeLayer {
    compute: Handle,
    fragments: Arc<AtomicU64>,
}

impl ComputeLayer {
    pub(super) fn new(compute: Handle, fragments: Arc<AtomicU64>) -> Self {
        Self { compute, fragments }
    }
}

impl<S> Layer<S> for ComputeLayer {
    type Service = ComputeService<S>;

    fn layer(&self, inner: S) -> ComputeService<S> {
        ComputeService {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ComputeService<S> {
    inner: S,
    layer: ComputeLayer,
}

impl<S> Service<Request<Body>> for ComputeService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fragment = request
            .uri()
            .path()
            .ends_with(EXECUTE_TASK)
            .then(|| Fragment::begin(&self.layer.fragments));
        let threads = match &fragment {
            Some(_) => self.layer.compute.clone(),
            None => Handle::current(),
        };
        let mut running = AbortOnDrop(threads.spawn(self.inner.call(request)));
        Box::pin(async move {
            match (&mut running.0).await {
                Ok(answer) => {
                    let (head, body) = answer?.into_parts();
                    let body = Body::new(CountedBody {
                        inner: body,
                        _fragment: fragment,
                    });
                    Ok(Response::from_parts(head, body))
                }
                Err(error) => {
                    tracing::error!(%error, "a call failed");
                    Ok(Status::internal("the worker failed while it handled the call").into_http())
                }
            }
        })
    }
}

/// A call whose caller is gone must not go on.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Fragment(Arc<AtomicU64>);

impl Fragment {
    fn begin(fragments: &Arc<AtomicU64>) -> Self {
        fragments.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(fragments))
    }
}

impl Drop for Fragment {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct CountedBody {
    inner: Body,
    _fragment: Option<Fragment>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
