//! What the operator asked of the API server, by the server's own log.

use serde_json::Value;

use crate::api_server::api_server;

/// Requests over a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// Objects that were made, changed or deleted.
    pub(crate) writes: u64,
    pub(crate) status_writes: u64,
    pub(crate) lease_writes: u64,
    pub(crate) event_writes: u64,
    /// Single objects and lists.
    pub(crate) reads: u64,
    pub(crate) watches: u64,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Mark {
    pub(crate) fn now() -> Self {
        Self(api_server().audit_log().len())
    }

    /// What came after it.
    pub(crate) fn since(self) -> Requests {
        let log = api_server().audit_log();
        let mut requests = Requests::default();
        for line in log[self.0..].lines() {
            // The last line may still be being written.
            let Ok(entry) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let resource = entry["objectRef"]["resource"].as_str().unwrap_or_default();
            let is_status = entry["objectRef"]["subresource"] == "status";
            let counter = match (entry["verb"].as_str().unwrap_or_default(), resource) {
                ("watch", _) => &mut requests.watches,
                ("get" | "list", _) => &mut requests.reads,
                (_, "leases") => &mut requests.lease_writes,
                (_, "events") => &mut requests.event_writes,
                _ if is_status => &mut requests.status_writes,
                _ => &mut requests.writes,
            };
            *counter += 1;
        }
        requests
    }
}
