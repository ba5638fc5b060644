//! `/livez`, `/readyz` and `/metrics` over plain HTTP: read-only, and without anything secret.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};

use crate::metrics::Metrics;

/// Without an answer of the API server for this long the operator is not ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Without a turn of the main loop for this long the process hangs and should be restarted.
const ALIVE_WITHIN: Duration = Duration::from_secs(120);

/// What the probes ask about.
#[derive(Debug)]
pub struct Health {
    moments: Mutex<Moments>,
}

#[derive(Clone, Copy, Debug)]
struct Moments {
    turned: Instant,
    api_answered: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            moments: Mutex::new(Moments {
                turned: Instant::now(),
                api_answered: None,
            }),
        }
    }
}

impl Health {
    /// Notes that the main loop runs.
    pub fn turned(&self) {
        self.lock().turned = Instant::now();
    }

    /// Notes that the API server has answered.
    pub fn api_answered(&self) {
        let mut moments = self.lock();
        moments.turned = Instant::now();
        moments.api_answered = Some(Instant::now());
    }

    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.lock().turned) <= ALIVE_WITHIN
    }

    /// A standby is ready too: a rolling update of two replicas must not wait for a leadership that nobody gives up.
    fn is_ready(&self, now: Instant) -> bool {
        self.lock()
            .api_answered
            .is_some_and(|answered| now.saturating_duration_since(answered) <= READY_WITHIN)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Serves the probes until the process ends.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_health(address: SocketAddr, health: Arc<Health>) -> std::io::Result<()> {
    let router = Router::new()
        .route(
            "/livez",
            get(|State(health): State<Arc<Health>>| async move { answer(health.is_alive(Instant::now())) }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Arc<Health>>| async move { answer(health.is_ready(Instant::now())) }),
        )
        .with_state(health);
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await
}

/// Serves `/metrics` in the OpenMetrics text format until the process ends.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_metrics(address: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(axum::http::header::CONTENT_TYPE, OPEN_METRICS)], metrics.render())
}

fn answer(is_well: bool) -> (StatusCode, &'static str) {
    if is_well {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ok\n")
    }
}

#[cfg(test)]
mod tests;
