//! Log lines on standard error: for people or as JSON, one object a line.

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, with the fields of the enclosing reconcile in `span`.
    Json,
    /// Coloured text.
    Human,
}

/// Starts logging for the whole process.
///
/// # Errors
/// `filter` is not a list of `target=level`; or logging was started before.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LoggingError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(json(std::io::stderr)).try_init(),
        LogFormat::Human => registry.with(fmt::layer().with_writer(std::io::stderr)).try_init(),
    }
    .map_err(LoggingError::Started)
}

/// One JSON object a line. What a reconcile carries is in `span`, where stores of log lines find it by its path, and in the list
/// `spans`, where it is also within a span of the client's that a more talkative filter shows.
fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(true)
        .with_writer(writer)
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter does not parse.
    #[error("--log {filter:?} is not a list like `info,springtide_controller=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else logs already.
    #[error("logging was started before")]
    Started(#[source] tracing_subscriber::util::TryInitError),
}

#[cfg(test)]
mod tests;
