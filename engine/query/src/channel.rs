//! Connections to workers: the cluster token, timeouts, keep-alive, and errors that name the worker.

use std::{
    collections::HashMap,
    error::Error as _,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    common::{DataFusionError, Result, exec_datafusion_err},
    execution::TaskContext,
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse,
    SetPlanRequest, WorkerChannel, WorkerToCoordinatorMsg,
    grpc::{BoxCloneSyncChannel, create_worker_client},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tonic::{
    Code, Status,
    transport::{Endpoint, Error as TransportError},
};
use url::Url;

use crate::{
    codec::{PLAN_VERSION, PLAN_VERSION_HEADER},
    delivery::Delivery,
    error::{mark_lost, mark_refused, mark_unread},
};

/// The value of the `authorization` header between processes of a cluster, and which values are accepted. Never logged.
#[derive(Clone)]
pub struct WorkerToken {
    shown: Arc<dyn Fn() -> String + Send + Sync>,
    accepts: Arc<Accepts>,
}

type Accepts = dyn Fn(Option<&[u8]>) -> bool + Send + Sync;

impl WorkerToken {
    /// Always this one: the whole header value, such as `Bearer …`. `None` when it is empty or no header can carry it.
    #[must_use]
    pub fn new(header: &str) -> Option<Self> {
        let (shown, ours) = (header.to_owned(), header.to_owned());
        let accepts = move |given: Option<&[u8]>| {
            let Some(given) = given else {
                return false;
            };
            // It takes the same time wherever a wrong one differs.
            let difference = given
                .iter()
                .zip(ours.as_bytes())
                .fold(0_u8, |sum, (a, b)| sum | (a ^ b));
            given.len() == ours.len() && difference == 0
        };
        Self::following(move || shown.clone(), accepts)
    }

    /// One that may change: `shown` and `accepts` are asked at each call. `None` when what is shown now is empty or no header can carry it.
    #[must_use]
    pub fn following(
        shown: impl Fn() -> String + Send + Sync + 'static,
        accepts: impl Fn(Option<&[u8]>) -> bool + Send + Sync + 'static,
    ) -> Option<Self> {
        let token = Self {
            shown: Arc::new(shown),
            accepts: Arc::new(accepts),
        };
        token.header().is_some().then_some(token)
    }

    /// What a call shows; `None` where no header can carry it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&(self.shown)()).ok()?;
        value.set_sensitive(true);
        (!value.is_empty()).then_some(value)
    }

    /// Whether a request carries a token of the cluster.
    pub(crate) fn accepts(&self, given: Option<&[u8]>) -> bool {
        (self.accepts)(given)
    }
}

impl fmt::Debug for WorkerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerToken(***)")
    }
}

/// Times and windows of connections to workers.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// Time to open a connection: longer than a resolver takes to ask again after a lost answer, 5 s.
    pub connect_timeout: Duration,
    /// Time in which a worker must have taken its part of a plan: less than the 10 s for which other workers wait for it.
    pub plan_timeout: Duration,
    /// Time between pings on a connection: a hung worker is noticed after this plus [`Self::keep_alive_timeout`].
    pub keep_alive_interval: Duration,
    /// Time within which a worker must answer a ping. Too short, and a busy worker counts as dead.
    pub keep_alive_timeout: Duration,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(6),
            plan_timeout: WAIT_FOR_PLAN.saturating_sub(Duration::from_secs(2)),
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(15),
        }
    }
}

/// A worker that is asked for rows waits this long for its part of the plan: fixed in DataFusion Distributed
/// (`WAIT_PLAN_TIMEOUT_SECS`), whose error then names no worker.
const WAIT_FOR_PLAN: Duration = Duration::from_secs(10);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Connections that are kept; beyond, all are opened anew.
const MOST_CHANNELS: usize = 1024;

/// Keeps one connection per worker.
#[derive(Debug)]
pub(crate) struct Channels {
    token: WorkerToken,
    options: ChannelOptions,
    /// Where connections do their work; the current runtime when `None`.
    runtime: Option<tokio::runtime::Handle>,
    open: Mutex<HashMap<Url, ChannelEntry>>,
}

struct ChannelEntry(BoxCloneSyncChannel);

impl fmt::Debug for ChannelEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

#[derive(Clone)]
struct OnRuntime(tokio::runtime::Handle);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for OnRuntime {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

impl Channels {
    pub(crate) fn new(token: WorkerToken, options: ChannelOptions, runtime: Option<tokio::runtime::Handle>) -> Self {
        Self {
            token,
            options,
            runtime,
            open: Mutex::default(),
        }
    }

    fn get(&self, url: &Url) -> Result<BoxCloneSyncChannel> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get(url) {
            return Ok(entry.0.clone());
        }
        let channel = self
            .connect(url)
            .map_err(|error| exec_datafusion_err!("{url} is no address of a worker: {error}"))?;
        if open.len() >= MOST_CHANNELS {
            open.clear();
        }
        open.insert(url.clone(), ChannelEntry(channel.clone()));
        Ok(channel)
    }

    /// Does not wait: the connection opens with the first call, and again after it broke.
    fn connect(&self, url: &Url) -> Result<BoxCloneSyncChannel, TransportError> {
        let mut endpoint = Endpoint::from_shared(url.to_string())?
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.options.keep_alive_interval)
            .keep_alive_timeout(self.options.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if let Some(runtime) = &self.runtime {
            endpoint = endpoint.executor(OnRuntime(runtime.clone()));
        }
        let token = self.token.clone();
        let service = tower::ServiceBuilder::new()
            .map_request(move |mut request: http::Request<tonic::body::Body>| {
                // Without a header, the worker says what is wrong.
                if let Some(header) = token.header() {
                    request.headers_mut().insert(AUTHORIZATION, header);
                }
                request
            })
            .service(endpoint.connect_lazy());
        Ok(BoxCloneSyncChannel::new(service))
    }
}

/// Gives DataFusion's coordinator and workers our connections.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    channels: Arc<Channels>,
    delivery: Delivery,
}

impl Resolver {
    /// `delivery` is told of parts of the plan that do not reach their worker: a coordinator's alone does the sending.
    pub(crate) fn new(channels: Arc<Channels>, delivery: Delivery) -> Self {
        Self { channels, delivery }
    }
}

#[async_trait]
impl ChannelResolver for Resolver {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        Ok(Box::new(NamedChannel {
            inner: create_worker_client(self.channels.get(url)?),
            url: url.clone(),
            plan_timeout: self.channels.options.plan_timeout,
            delivery: self.delivery.clone(),
        }))
    }
}

/// A connection whose errors say which worker it was.
struct NamedChannel {
    inner: Box<dyn WorkerChannel>,
    url: Url,
    plan_timeout: Duration,
    delivery: Delivery,
}

impl NamedChannel {
    fn named(&self) -> impl Fn(DataFusionError) -> DataFusionError + Send + Clone + 'static {
        let url = self.url.to_string();
        move |error| match connection_fault(&error) {
            Some(Fault::Refused) => mark_refused(&url, error),
            Some(Fault::Unread(why)) => mark_unread(&url, why),
            Some(Fault::Lost) => mark_lost(&url, error),
            None => error,
        }
    }
}

enum Fault {
    Lost,
    Refused,
    /// The worker reads no plans of this version; why, in its words.
    Unread(String),
}

/// Errors of the worker's own arrive as decoded `DataFusionError`s; a bare status is the connection's, or a refusal.
fn connection_fault(error: &DataFusionError) -> Option<Fault> {
    let status = match error {
        DataFusionError::External(inner) => status_of(inner.as_ref())?,
        _ => return None,
    };
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Some(Fault::Refused),
        // Of all that is said here, only the gate before the worker says this.
        Code::FailedPrecondition => Some(Fault::Unread(status.message().to_owned())),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => {
            Some(Fault::Lost)
        }
        // Made here, by the HTTP/2 layer, when it has a source; sent by the worker when it has none.
        _ if status.source().is_some() => Some(Fault::Lost),
        _ => None,
    }
}

fn status_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Status> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(status) = error.downcast_ref::<Status>() {
            return Some(status);
        }
        next = error.source();
    }
    None
}

#[async_trait]
impl WorkerChannel for NamedChannel {
    async fn coordinator_channel(
        &mut self,
        mut headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        headers.insert(PLAN_VERSION_HEADER, HeaderValue::from(PLAN_VERSION));
        let named = self.named();
        let sending = self
            .inner
            .coordinator_channel(headers, request, messages, metrics, context);
        // It answers when it has the part.
        let sent = match tokio::time::timeout(self.plan_timeout, sending).await {
            Ok(sent) => sent.map_err(&named),
            Err(_) => {
                let seconds = self.plan_timeout.as_secs_f64();
                let late = exec_datafusion_err!("it did not take its part of the plan within {seconds} s");
                Err(mark_lost(self.url.as_str(), late))
            }
        };
        let answers = sent.map_err(|error| self.delivery.failed(error))?;
        Ok(answers.map_err(named).boxed())
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let named = self.named();
        let streams = self
            .inner
            .execute_task(headers, request, metrics, context)
            .await
            .map_err(&named)?;
        Ok(streams
            .into_iter()
            .map(|stream| stream.map_err(named.clone()).boxed())
            .collect())
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> Result<GetWorkerInfoResponse> {
        let named = self.named();
        self.inner.get_worker_info(request).await.map_err(named)
    }
}
