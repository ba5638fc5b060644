//! Logs of all containers of pods: the present one and, where it was restarted, the one before.

use std::{pin::pin, time::Duration};

use futures::{AsyncReadExt, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Collector, text, why};
use crate::report::{
    collected::{Folder, Log},
    summary::container_statuses,
};

/// Bytes of all logs of a report.
pub(super) const MOST_BYTES_IN_ALL: usize = 128 << 20;
/// Bytes of one log: the last ones.
pub(super) const MOST_BYTES: usize = 2 << 20;
/// Lines of one log: the last ones.
const MOST_LINES: i64 = 20_000;
/// Longest time for one log.
const LOG_TIMEOUT: Duration = Duration::from_secs(30);
/// Logs that are read side by side.
const AT_ONCE: usize = 6;
/// Bytes of one read.
const CHUNK: usize = 64 << 10;

/// A log that there should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) is_previous: bool,
}

impl Source {
    fn described(&self, namespace: &str) -> String {
        let previous = if self.is_previous {
            ", before its last restart"
        } else {
            ""
        };
        format!(
            "log of {namespace}/{}, container {}{previous}",
            self.pod, self.container
        )
    }
}

impl Collector<'_> {
    /// Reads the logs of these pods.
    pub(super) async fn logs(&mut self, folder: &Folder, namespace: &str, pods: &[Value]) {
        if !self.wanted.logs {
            return;
        }
        let sources: Vec<Source> = pods.iter().flat_map(sources).collect();
        if sources.is_empty() {
            return;
        }
        (self.say)(&format!("{}: {} logs", folder.path(), sources.len()));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let since = self.wanted.since;
        let reads = stream::iter(&sources).map(|source| read(&api, source, since));
        let mut logs = pin!(reads.buffered(AT_ONCE));
        let mut left = sources.iter();
        while self.log_bytes_left > 0
            && let (Some(source), Some((tail, trouble))) = (left.next(), logs.next().await)
        {
            if let Some(trouble) = trouble {
                self.unread(&source.described(namespace), trouble);
            }
            let text = tail.text();
            self.log_bytes_left = self.log_bytes_left.saturating_sub(text.len());
            if !text.is_empty() {
                self.collected.logs.push(Log {
                    folder: folder.clone(),
                    pod: source.pod.clone(),
                    container: source.container.clone(),
                    is_previous: source.is_previous,
                    text,
                });
            }
        }
        for source in left {
            let limit = MOST_BYTES_IN_ALL >> 20;
            self.unread(
                &source.described(namespace),
                format!("the report has its {limit} MiB of logs; name a cluster, or write --since"),
            );
        }
    }
}

/// The logs that a pod has by its status.
pub(super) fn sources(pod: &Value) -> Vec<Source> {
    let name = text(pod, "/metadata/name").unwrap_or_default();
    let mut sources = Vec::new();
    for status in container_statuses(pod) {
        let source = |is_previous: bool| Source {
            pod: name.to_owned(),
            container: status["name"].as_str().unwrap_or_default().to_owned(),
            is_previous,
        };
        let has = |pointer: &str| status.pointer(pointer).is_some();
        let was_restarted = status["restartCount"].as_i64().unwrap_or_default() > 0 || has("/lastState/terminated");
        if was_restarted || has("/state/running") || has("/state/terminated") {
            sources.push(source(false));
        }
        if was_restarted {
            sources.push(source(true));
        }
    }
    sources
}

/// What came of a log, and why not all of it.
async fn read(api: &Api<Pod>, source: &Source, since: Option<Duration>) -> (Tail, Option<String>) {
    let mut tail = Tail::default();
    let wanted = LogParams {
        container: Some(source.container.clone()),
        previous: source.is_previous,
        since_seconds: since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        // A limit of bytes would leave out the newest ones.
        tail_lines: Some(MOST_LINES),
        ..LogParams::default()
    };
    let deadline = Instant::now() + LOG_TIMEOUT;
    let slow = || format!("no end within {LOG_TIMEOUT:?}");
    let log = match timeout_at(deadline, api.log_stream(&source.pod, &wanted)).await {
        Ok(Ok(log)) => log,
        Ok(Err(error)) => return (tail, Some(why(&error))),
        Err(_) => return (tail, Some(slow())),
    };
    let mut log = pin!(log);
    let mut chunk = vec![0; CHUNK];
    loop {
        match timeout_at(deadline, log.read(&mut chunk)).await {
            Ok(Ok(0)) => return (tail, None),
            Ok(Ok(length)) => tail.push(&chunk[..length]),
            Ok(Err(error)) => return (tail, Some(format!("it broke off: {error}"))),
            Err(_) => return (tail, Some(slow())),
        }
    }
}

/// The last bytes of what is pushed.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Twice as much is held, so that it is seldom moved.
        if self.bytes.len() > 2 * MOST_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.bytes.len().saturating_sub(MOST_BYTES);
        if surplus > 0 {
            self.bytes.drain(..surplus);
            self.is_cut = true;
        }
    }

    /// Whole lines, as text.
    pub(super) fn text(mut self) -> String {
        self.cut();
        let text = String::from_utf8_lossy(&self.bytes);
        if !self.is_cut {
            return text.into_owned();
        }
        // The rest of a line could be the half of a secret whose name is lost.
        let lines = text.split_once('\n').map_or("", |(_, lines)| lines);
        let limit = MOST_BYTES >> 20;
        format!("[what was before is left out: a log has at most {limit} MiB here]\n{lines}")
    }
}
