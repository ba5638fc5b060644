//! The answer to a compute node's `preStop` hook.
//!
//! The kubelet sends SIGTERM to the engine when the hook answers, whatever it answers. So the answer is what is withheld: until the
//! node is drained, until the deadline, or until there is no engine any more.
//!
//! ```text
//!  server ──Called──►┐                       ┌──AskToDrain, AskStatus──► engine
//!  engine ──Status,  ├─► decide(state, event)┤
//!           Failed──►│                       ├──Answer──► every hook that waits
//!  clock, SIGTERM ──►┘                       └──Exit
//! ```
//!
//! What to do is decided in [`decide`], which is pure; this file performs it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::drain::decide::{Effect, Event, Settings, State};
use crate::drain::engine::{EngineClient, EngineUrlError};
use crate::drain::server::Call;
use crate::drain::token::{TokenError, Tokens};

pub mod decide;
mod engine;
mod server;
mod token;

/// The longest deadline.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Between two looks at the node.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Hooks that may wait at once; one more is refused.
const MAX_WAITING_CALLS: usize = 64;
/// How long answers and their connections may take after the process was told to stop.
const ANSWER_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a drain needs to know.
#[derive(Clone, Debug)]
pub struct DrainOptions {
    engine_url: String,
    token_file: PathBuf,
    timeout: Duration,
    poll_interval: Duration,
}

impl DrainOptions {
    /// `engine_url` is `http://host:port` of the node's internal port; an answer is withheld for `timeout` at most.
    #[must_use]
    pub fn new(engine_url: String, token_file: PathBuf, timeout: Duration) -> Self {
        Self {
            engine_url,
            token_file,
            timeout: timeout.min(MAX_TIMEOUT),
            poll_interval: POLL_INTERVAL,
        }
    }

    /// Between two looks at the node, for tests that are in a hurry.
    #[must_use]
    pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval;
        self
    }
}

/// Why the hook cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The cluster token cannot be read.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The engine's address is no address.
    #[error(transparent)]
    EngineUrl(#[from] EngineUrlError),
    /// The listening socket failed.
    #[error("the hook's server stopped: {0}")]
    Server(#[source] std::io::Error),
}

/// Serves the hook until `stop` resolves and the drain that runs then, if any, has been answered.
///
/// # Errors
/// When the token cannot be read at the start, the URL is wrong or the listening socket fails.
pub async fn serve(
    listener: TcpListener,
    options: DrainOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let tokens = Tokens::read(options.token_file).await?;
    let engine = EngineClient::new(&options.engine_url, tokens.clone())?;
    let settings = Settings {
        timeout: options.timeout,
        poll_interval: options.poll_interval,
    };

    let (call_sender, calls) = mpsc::channel(MAX_WAITING_CALLS);
    let (stop_server, server_stops) = oneshot::channel::<()>();
    let address = listener.local_addr().map_err(ServeError::Server)?;
    let server = axum::serve(listener, server::router(tokens, call_sender)).with_graceful_shutdown(async move {
        // A dropped sender stops the server as well.
        let _ = server_stops.await;
    });
    let mut server = tokio::spawn(server.into_future());
    tracing::info!(%address, engine = %options.engine_url, timeout_s = settings.timeout.as_secs(), "listening for the preStop hook");

    let drainer = Drainer {
        engine,
        settings,
        calls,
        waiting: Vec::new(),
        asked: None,
        began: Instant::now(),
    };
    let ended = tokio::select! {
        () = drainer.run(stop) => None,
        ended = &mut server => Some(ended),
    };
    match ended {
        Some(ended) => ended
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(ServeError::Server),
        None => {
            drop(stop_server);
            if tokio::time::timeout(ANSWER_FLUSH_TIMEOUT, &mut server).await.is_err() {
                tracing::warn!("connections stayed open after the last answer and are cut");
                server.abort();
            }
            Ok(())
        }
    }
}

/// The call to the engine whose answer is awaited; there is one at most, and dropping it gives it up.
type Asked = Pin<Box<dyn Future<Output = Event> + Send>>;

/// Performs what [`decide`] decides.
struct Drainer {
    engine: EngineClient,
    settings: Settings,
    calls: mpsc::Receiver<Call>,
    waiting: Vec<Call>,
    asked: Option<Asked>,
    began: Instant,
}

impl Drainer {
    async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut state = State::default();
        let mut stop = std::pin::pin!(stop);
        let mut stop_heard = false;
        loop {
            let wake_at = state.wake_at().map(|since_begin| self.began + since_begin);
            let event = tokio::select! {
                call = self.calls.recv() => match call {
                    Some(call) if self.waiting.len() < MAX_WAITING_CALLS => {
                        self.waiting.push(call);
                        Event::Called
                    }
                    // Dropping the call refuses it.
                    Some(_) => continue,
                    None => return,
                },
                event = answer_of(&mut self.asked) => {
                    self.asked = None;
                    event
                }
                () = sleep_until(wake_at) => Event::TimePassed,
                () = &mut stop, if !stop_heard => {
                    stop_heard = true;
                    Event::ToldToStop
                }
            };
            let (next, effects) = decide::decide(state, event, self.began.elapsed(), &self.settings);
            state = next;
            for effect in effects {
                match effect {
                    Effect::AskToDrain => self.asked = Some(Box::pin(self.engine.clone().ask_to_drain())),
                    Effect::AskStatus => self.asked = Some(Box::pin(self.engine.clone().ask_status())),
                    Effect::GiveUpAsking => self.asked = None,
                    Effect::Answer(report) => {
                        let answered = self.waiting.len();
                        tracing::info!(report = %report, answered, "drain ended");
                        for call in self.waiting.drain(..) {
                            // A hook that no longer listens needs no answer.
                            let _ = call.send(report.clone());
                        }
                    }
                    Effect::Exit => return,
                }
            }
        }
    }
}

async fn answer_of(asked: &mut Option<Asked>) -> Event {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
