//! Stream Load: `PUT /api/{db}/{table}/_stream_load` with rows in the body, written under one transaction.
//!
//! ```text
//! client ──PUT──► CN ──begin──► FE      the user, the table and the label are checked before a row is read
//!                 CN: decode → map columns → TabletWriter → store
//!                 CN ──commit─► FE      or abort, whatever went wrong
//! client ◄─JSON── CN                    StarRocks' reply keys; HTTP 200 also for a load that failed, as there
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, BodyDataStream},
    http::HeaderMap,
};
use futures::StreamExt;
use object_store::ObjectStore;
use springtide_model::{DataObject, LoadTarget, TxnId};
use springtide_rpc::{
    RpcClient, RpcError,
    message::{
        ABORT_LOAD, AbortLoadRequest, BEGIN_LOAD, BeginLoadReply, BeginLoadRequest, COMMIT_LOAD, CommitLoadReply,
        CommitLoadRequest, NodeProcess, Secret, label_advice,
    },
};
use springtide_tablet::{TabletWriter, WriteError, WriterOptions};

use crate::{
    drain::{Fenced, Node},
    local::LocalVolume,
    metrics::Metrics,
};

mod json;
mod options;
mod reply;
mod rows;
mod source;

pub(crate) use reply::StreamLoadReply;

use options::{Format, LoadOptions, OptionError};
use rows::{MappingError, RowMapping};
use source::{Rest, Source, SourceError};

/// Time that a call to the frontend may take, besides what it waits for.
const FRONTEND_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a load asks again to begin while the frontend is not there: it may be being replaced, and the client, which has not sent a row
/// yet, waits as it would for compute.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long a commit is asked for again while the frontend does not answer: it may be starting anew.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// Wait between two such calls.
const PAUSE: Duration = Duration::from_millis(500);
/// Time that a client waits for its rows to be visible, unless its own timeout is shorter.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that a load needs of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    pub(crate) node: Node,
    /// When this process started, as its heartbeats say.
    pub(crate) start_time_ms: u64,
    pub(crate) rpc: RpcClient,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) writer: WriterOptions,
    pub(crate) volume: LocalVolume,
    /// No load takes longer, whatever its client says: a drain would cut it off.
    pub(crate) longest: Duration,
    /// No load waits longer for the answer to its commit, counted from its begin.
    pub(crate) longest_commit: Duration,
    pub(crate) metrics: Metrics,
}

/// Who loads what.
pub(crate) struct LoadRequest {
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) client_ip: String,
    pub(crate) redirect: Option<u64>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Why a load failed; each message is for the client.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("this compute node is draining; send the load to the frontend again, which picks another one")]
    Draining,
    #[error("no frontend has contacted this compute node yet; repeat the load in a moment")]
    NoFrontend,
    #[error("frontend: {0}")]
    Frontend(#[from] RpcError),
    #[error(
        "frontend: {0}; whether the rows are committed is not known: load them again under the same label, it counts once"
    )]
    CommitUnknown(RpcError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    AccessDenied(String),
    #[error("label {label} was used before by transaction {txn}, which is {status}{}", label_advice(.status))]
    LabelAlreadyExists { label: String, txn: TxnId, status: String },
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the body broke off: {0}")]
    Body(axum::Error),
    #[error("the load took longer than its timeout of {} s; set the header timeout", .0.as_secs())]
    Timeout(Duration),
    #[error(
        "the load took longer than {} s, after which a drain of this compute node would cut it off; load in smaller pieces, \
         or have drain.timeout of the ComputeGroup raised", .0.as_secs()
    )]
    LongerThanDrain(Duration),
}

impl Loader {
    /// Runs one load to its end and says how it went. Never fails: a failure is a reply, too.
    pub(crate) async fn stream_load(&self, request: LoadRequest) -> StreamLoadReply {
        let _running = self.node.begin_load();
        let started = Instant::now();
        let mut reply = StreamLoadReply::default();
        if let Err(error) = self.run(request, &mut reply).await {
            self.metrics.loads_failed.inc();
            tracing::info!(txn = reply.txn_id, label = reply.label, %error, "stream load failed");
            match &error {
                LoadError::LabelAlreadyExists { status, .. } => {
                    "Label Already Exists".clone_into(&mut reply.status);
                    reply.existing_job_status = Some(status.clone());
                }
                _ => "Fail".clone_into(&mut reply.status),
            }
            reply.access_denied = matches!(error, LoadError::AccessDenied(_));
            reply.number_loaded_rows = 0;
            reply.message = error.to_string();
        }
        reply.load_time_ms = started.elapsed().as_millis() as u64;
        reply
    }

    async fn run(&self, request: LoadRequest, reply: &mut StreamLoadReply) -> Result<(), LoadError> {
        let LoadRequest {
            database,
            table,
            user,
            password,
            client_ip,
            redirect,
            headers,
            body,
        } = request;
        let started = Instant::now();
        let mut options = LoadOptions::from_headers(&headers)?;
        let asked = options.timeout;
        options.timeout = asked.min(self.longest);
        let label = options
            .label
            .clone()
            .unwrap_or_else(|| format!("stream-load-{}", uuid::Uuid::new_v4()));
        reply.label.clone_from(&label);
        if self.node.refuses_loads() {
            return Err(LoadError::Draining);
        }
        let frontend = self.node.frontend().ok_or(LoadError::NoFrontend)?;
        let process = NodeProcess {
            node: frontend.node_id,
            start_time_ms: self.start_time_ms,
        };
        let frontend = frontend.rpc_url;
        let begin = BeginLoadRequest {
            database,
            table,
            label: label.clone(),
            user,
            password,
            client_ip,
            timeout_s: options.timeout.as_secs(),
            redirect,
            process: Some(process),
        };
        let begun = Instant::now();
        let patience = options.timeout.saturating_sub(started.elapsed()).min(BEGIN_PATIENCE);
        let target = self.begin(&frontend, &begin, label, patience).await?;
        reply.txn_id = target.txn.0;
        reply.begin_txn_time_ms = begun.elapsed().as_millis() as u64;
        // Of the whole load: what comes before and after the writing is part of what a drain waits for.
        let left = |timeout: Duration| timeout.saturating_sub(started.elapsed());
        let written =
            match tokio::time::timeout(left(options.timeout), self.write(&target, &options, body, reply)).await {
                Ok(written) => written,
                Err(_) if options.timeout < asked => Err(LoadError::LongerThanDrain(options.timeout)),
                Err(_) => Err(LoadError::Timeout(options.timeout)),
            };
        match written {
            Ok(objects) => {
                // A load that took long is committed, too; it is not waited for that it is visible.
                let visible_within = left(options.timeout).min(PUBLISH_TIMEOUT);
                let patience = left(self.longest_commit);
                let request = CommitLoadRequest {
                    txn: target.txn,
                    objects,
                    publish_timeout_s: visible_within.as_secs(),
                };
                self.commit(&frontend, request, patience, reply).await
            }
            Err(error) => {
                self.abort(&frontend, target.txn, &error).await;
                Err(error)
            }
        }
    }

    async fn begin(
        &self,
        frontend: &str,
        request: &BeginLoadRequest,
        label: String,
        patience: Duration,
    ) -> Result<LoadTarget, LoadError> {
        match self.ask_to_begin(frontend, request, patience).await? {
            BeginLoadReply::Begun { target } => Ok(target),
            BeginLoadReply::LabelAlreadyExists {
                txn,
                existing_job_status,
            } => Err(LoadError::LabelAlreadyExists {
                label,
                txn,
                status: existing_job_status,
            }),
            BeginLoadReply::AccessDenied { message } => Err(LoadError::AccessDenied(message)),
            BeginLoadReply::Refused { message } => Err(LoadError::Refused(message)),
        }
    }

    /// A begin is asked for again only where nothing can have begun: a label is taken from there on.
    async fn ask_to_begin(
        &self,
        frontend: &str,
        request: &BeginLoadRequest,
        patience: Duration,
    ) -> Result<BeginLoadReply, LoadError> {
        let asked = Instant::now();
        loop {
            let problem = match self.rpc.call(frontend, BEGIN_LOAD, request, FRONTEND_TIMEOUT).await {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            if !has_surely_not_begun(&problem) || asked.elapsed() + PAUSE > patience {
                return Err(LoadError::Frontend(problem));
            }
            tracing::debug!(label = request.label, %problem, "the frontend is not there for a load to begin; asking again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn write(
        &self,
        target: &LoadTarget,
        options: &LoadOptions,
        body: Body,
        reply: &mut StreamLoadReply,
    ) -> Result<Vec<DataObject>, LoadError> {
        self.node.check_epoch(target.epoch)?;
        let mut writer = TabletWriter::new(target, Arc::clone(&self.store), self.writer.clone())?;
        match self
            .feed(&mut writer, target, options, body.into_data_stream(), reply)
            .await
        {
            Ok(()) => {
                let finishing = Instant::now();
                reply.number_total_rows = writer.rows();
                reply.number_loaded_rows = writer.rows();
                let objects = writer.finish().await?;
                reply.write_data_time_ms += finishing.elapsed().as_millis() as u64;
                Ok(objects)
            }
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn feed(
        &self,
        writer: &mut TabletWriter,
        target: &LoadTarget,
        options: &LoadOptions,
        mut body: BodyDataStream,
        reply: &mut StreamLoadReply,
    ) -> Result<(), LoadError> {
        let all = || {
            target
                .schema
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect::<Vec<_>>()
        };
        let names = options.columns.clone().unwrap_or_else(all);
        let mut source = Source::new(options, &names, &self.volume)?;
        // Columns of JSON and Parquet have names of their own, so that any of them may be missing.
        let mut mapping = match options.format {
            Format::Parquet => None,
            Format::Csv | Format::Json => Some(RowMapping::new(
                &target.table_name,
                &target.schema,
                &names,
                options.trim_space,
            )?),
        };
        let reading = Instant::now();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(LoadError::Body)?;
            reply.load_bytes += piece.len() as u64;
            for batch in source.push(&piece)? {
                let Some(mapping) = &mapping else { continue };
                writer.write(mapping.map(&batch)?).await?;
            }
        }
        match source.finish()? {
            Rest::Batch(batch) => {
                if let (Some(batch), Some(mapping)) = (batch, &mapping) {
                    writer.write(mapping.map(&batch)?).await?;
                }
            }
            Rest::File(reader) => {
                let names: Vec<String> = reader_names(&reader);
                let mapping = mapping.insert(RowMapping::new(
                    &target.table_name,
                    &target.schema,
                    options.columns.as_ref().unwrap_or(&names),
                    options.trim_space,
                )?);
                for batch in reader {
                    let batch = batch.map_err(|error| SourceError::Parquet(error.to_string()))?;
                    writer.write(mapping.map(&batch)?).await?;
                }
            }
        }
        reply.read_data_time_ms = reading.elapsed().as_millis() as u64;
        Ok(())
    }

    async fn commit(
        &self,
        frontend: &str,
        request: CommitLoadRequest,
        patience: Duration,
        reply: &mut StreamLoadReply,
    ) -> Result<(), LoadError> {
        let committing = Instant::now();
        let answer = self.ask_to_commit(frontend, &request, patience).await?;
        reply.commit_and_publish_time_ms = committing.elapsed().as_millis() as u64;
        match answer {
            CommitLoadReply::Visible => "Success".clone_into(&mut reply.status),
            CommitLoadReply::PublishTimeout => {
                "Publish Timeout".clone_into(&mut reply.status);
                "the rows are committed and will be visible soon; do not load them again"
                    .clone_into(&mut reply.message);
            }
            CommitLoadReply::Refused { message } => return Err(LoadError::Refused(message)),
        }
        self.metrics.load_rows.inc_by(reply.number_loaded_rows);
        self.metrics.load_bytes.inc_by(reply.load_bytes);
        Ok(())
    }

    /// A commit may be asked for again: what is committed stays so, and what is lost is refused.
    async fn ask_to_commit(
        &self,
        frontend: &str,
        request: &CommitLoadRequest,
        patience: Duration,
    ) -> Result<CommitLoadReply, LoadError> {
        let begun = Instant::now();
        loop {
            let timeout = FRONTEND_TIMEOUT + Duration::from_secs(request.publish_timeout_s);
            let timeout = timeout.min(patience.saturating_sub(begun.elapsed()));
            let problem = match self.rpc.call(frontend, COMMIT_LOAD, request, timeout).await {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            let is_passing = problem.is_unreachable() || matches!(problem, RpcError::Remote { status: 503, .. });
            if !is_passing || begun.elapsed() + PAUSE > COMMIT_PATIENCE.min(patience) {
                return Err(LoadError::CommitUnknown(problem));
            }
            tracing::warn!(txn = %request.txn, %problem, "the frontend did not answer a commit; asking again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn abort(&self, frontend: &str, txn: TxnId, error: &LoadError) {
        let request = AbortLoadRequest {
            txn,
            reason: error.to_string(),
        };
        let answer: Result<serde_json::Value, _> =
            self.rpc.call(frontend, ABORT_LOAD, &request, FRONTEND_TIMEOUT).await;
        if let Err(error) = answer {
            // The frontend aborts it by itself when its time is over.
            tracing::warn!(%txn, %error, "cannot tell the frontend that a load failed");
        }
    }
}

/// Whether a load that asked to begin has no transaction: nobody took the connection, or who took it was starting or stopping.
fn has_surely_not_begun(problem: &RpcError) -> bool {
    match problem {
        RpcError::Unreachable { source, .. } => source.is_connect(),
        RpcError::Remote { status, .. } => *status == 503,
        RpcError::Unauthorized { .. } | RpcError::Malformed { .. } => false,
    }
}

fn reader_names(reader: &parquet::arrow::arrow_reader::ParquetRecordBatchReader) -> Vec<String> {
    use arrow::array::RecordBatchReader as _;
    reader
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

#[cfg(test)]
mod tests;
