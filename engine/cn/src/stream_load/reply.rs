//! The JSON that a client of Stream Load reads: StarRocks' keys, in its order.

use serde::Serialize;

/// How a load went.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamLoadReply {
    pub(crate) txn_id: u64,
    pub(crate) label: String,
    /// `Success`, `Publish Timeout`, `Label Already Exists` or `Fail`.
    pub(crate) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) existing_job_status: Option<String>,
    pub(crate) message: String,
    pub(crate) number_total_rows: u64,
    pub(crate) number_loaded_rows: u64,
    pub(crate) number_filtered_rows: u64,
    pub(crate) number_unselected_rows: u64,
    pub(crate) load_bytes: u64,
    pub(crate) load_time_ms: u64,
    pub(crate) begin_txn_time_ms: u64,
    pub(crate) stream_load_plan_time_ms: u64,
    pub(crate) read_data_time_ms: u64,
    pub(crate) write_data_time_ms: u64,
    pub(crate) commit_and_publish_time_ms: u64,
    /// The door answers 401 instead of 200.
    #[serde(skip)]
    pub(crate) access_denied: bool,
}
