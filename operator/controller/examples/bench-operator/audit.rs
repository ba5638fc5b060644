//! What the operator asked of the API server, by the server's own log.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::api_server::{AuditMark, api_server};

/// Requests over a stretch of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// Objects that were made, changed or deleted.
    pub(crate) writes: u64,
    /// By the plural of the kind.
    pub(crate) status_writes: BTreeMap<String, u64>,
    pub(crate) lease_writes: u64,
    pub(crate) event_writes: u64,
    /// Single objects and lists, by the plural of the kind.
    pub(crate) reads: BTreeMap<String, u64>,
    pub(crate) watches: u64,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(AuditMark);

impl Mark {
    pub(crate) fn now() -> Self {
        Self(api_server().audit_mark())
    }

    /// What came after it.
    pub(crate) fn since(self) -> Requests {
        let mut requests = Requests::default();
        for event in api_server().requests_of_operator(self.0) {
            let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
            let is_status = event["objectRef"]["subresource"] == "status";
            let counter = match (event["verb"].as_str().unwrap_or_default(), resource) {
                ("watch", _) => &mut requests.watches,
                ("get" | "list", _) => requests.reads.entry(resource.to_owned()).or_default(),
                (_, "leases") => &mut requests.lease_writes,
                (_, "events") => &mut requests.event_writes,
                _ if is_status => requests.status_writes.entry(resource.to_owned()).or_default(),
                _ => &mut requests.writes,
            };
            *counter += 1;
        }
        requests
    }

    /// When the size of each StatefulSet was changed after it, as `namespace/name`: when the server had done it, whoever hears of it later.
    pub(crate) fn sizes_changed(self) -> BTreeMap<String, DateTime<Utc>> {
        let mut changed = BTreeMap::new();
        for event in api_server().requests_of_operator(self.0) {
            let object = &event["objectRef"];
            let is_size = object["resource"] == "statefulsets" && object["subresource"] == "scale";
            let has_changed = is_size && event["responseStatus"]["code"] == 200;
            let done: Option<DateTime<Utc>> = event["stageTimestamp"].as_str().and_then(|text| text.parse().ok());
            if let (true, Some(done)) = (has_changed, done) {
                let text = |field: &str| object[field].as_str().unwrap_or_default();
                changed
                    .entry(format!("{}/{}", text("namespace"), text("name")))
                    .or_insert(done);
            }
        }
        changed
    }
}
