//! Rows that a frontend sends: the head of the body says where they go, an Arrow IPC stream holds them.

use std::sync::Arc;

use arrow::{buffer::Buffer, error::ArrowError, ipc::reader::StreamDecoder};
use axum::body::{Body, BodyDataStream};
use bytes::BytesMut;
use futures::StreamExt;
use springtide_rpc::message::{IngestReply, IngestRequest};
use springtide_tablet::{ErrorKind, TabletWriter, WriteError};

use crate::{drain::Fenced, stream_load::Loader};

/// Longest head of a body, in bytes: a table with thousands of partitions and tablets.
const HEAD_LIMIT: usize = 16 << 20;

/// Why rows were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error("the head of the body is not what was agreed: {0}")]
    Head(String),
    #[error("the rows are not a whole Arrow IPC stream: {0}")]
    Rows(#[from] ArrowError),
    #[error("the body broke off: {0}")]
    Body(axum::Error),
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl IngestError {
    /// Whether the rows themselves are at fault, so that repeating cannot help.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, IngestError::Write(error) if error.kind() == ErrorKind::Invalid)
    }
}

impl Loader {
    /// Writes the rows of `body`; what it returns is visible only after the frontend's commit.
    pub(crate) async fn ingest(&self, body: Body) -> Result<IngestReply, IngestError> {
        let _running = self.node.begin_load();
        let mut body = body.into_data_stream();
        let (request, first_rows) = head(&mut body).await?;
        self.node.check_epoch(request.target.epoch)?;
        let mut writer = TabletWriter::new(&request.target, Arc::clone(&self.store), self.writer.clone())?;
        match feed(&mut writer, first_rows, body).await {
            Ok(()) => {
                let rows = writer.rows();
                let objects = writer.finish().await?;
                self.metrics.load_rows.inc_by(rows);
                Ok(IngestReply { objects, rows })
            }
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }
}

async fn head(body: &mut BodyDataStream) -> Result<(IngestRequest, BytesMut), IngestError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let searched = bytes.len();
        bytes.extend_from_slice(&piece.map_err(IngestError::Body)?);
        if let Some(end) = bytes[searched..].iter().position(|byte| *byte == b'\n') {
            let line = bytes.split_to(searched + end + 1);
            let request = serde_json::from_slice(&line).map_err(|error| IngestError::Head(error.to_string()))?;
            return Ok((request, bytes));
        }
        if bytes.len() > HEAD_LIMIT {
            return Err(IngestError::Head(format!("longer than {HEAD_LIMIT} bytes")));
        }
    }
    Err(IngestError::Head("the body ends within it".into()))
}

async fn feed(writer: &mut TabletWriter, first: BytesMut, mut body: BodyDataStream) -> Result<(), IngestError> {
    let mut decoder = StreamDecoder::new();
    let mut piece = first.freeze();
    loop {
        let mut buffer = Buffer::from(piece);
        while let Some(batch) = decoder.decode(&mut buffer)? {
            writer.write(batch).await?;
        }
        match body.next().await {
            Some(next) => piece = next.map_err(IngestError::Body)?,
            None => break,
        }
    }
    Ok(decoder.finish()?)
}
