//! Whether each node got its part of a plan. DataFusion sends the parts beside the stream of rows and asks how that went when
//! the rows have ended, which they never do where a part is missing: other nodes wait for it until they give up, and their
//! error says neither who was lost nor that the statement may be repeated.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::array::RecordBatch;
use datafusion::{
    common::{DataFusionError, Result},
    execution::SendableRecordBatchStream,
};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use tokio::sync::watch;

/// The first part of a statement's plan that did not reach its node, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery(watch::Sender<Option<Arc<DataFusionError>>>);

impl Delivery {
    /// A part did not arrive. Gives the error back for whoever sent it.
    pub(crate) fn failed(&self, error: DataFusionError) -> DataFusionError {
        let error = Arc::new(error);
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(|| Arc::clone(&error));
            is_first
        });
        DataFusionError::Shared(error)
    }

    /// The rows, which end with the error as soon as a part did not arrive.
    pub(crate) fn watch(&self, rows: SendableRecordBatchStream) -> WatchedRows {
        let mut seen = self.0.subscribe();
        let failure = async move {
            let failed = seen
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|first| first.clone());
            match failed {
                Some(error) => error,
                // Nobody is left who could say so.
                None => std::future::pending().await,
            }
        };
        WatchedRows {
            rows: Some(rows),
            failure: failure.boxed(),
        }
    }
}

/// Rows of a statement, or the reason why a part of its plan did not arrive.
pub(crate) struct WatchedRows {
    /// `None` after the end.
    rows: Option<SendableRecordBatchStream>,
    failure: BoxFuture<'static, Arc<DataFusionError>>,
}

impl Stream for WatchedRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rows) = &mut self.rows else {
            return Poll::Ready(None);
        };
        let next = rows.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Ok(_)))) {
            return next;
        }
        // Whatever error the rows ended with, it came of this one.
        match self.failure.poll_unpin(context) {
            Poll::Ready(error) => {
                self.rows = None;
                Poll::Ready(Some(Err(DataFusionError::Shared(error))))
            }
            Poll::Pending => next,
        }
    }
}
