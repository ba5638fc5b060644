use std::sync::Arc;

use datafusion::{common::DataFusionError, parquet::errors::ParquetError};

use super::{QueryError, QueryErrorKind, mark_files, mark_lost, mark_refused, mark_unread, mark_write};
use springtide_tablet::{UNREADABLE, WriteError};

fn broken() -> DataFusionError {
    DataFusionError::Execution("connection reset".to_owned())
}

#[test]
fn a_lost_worker_is_found_however_deep_it_is() {
    let lost = || mark_lost("http://cn-1:9060/", broken());
    let wrapped = [
        lost(),
        DataFusionError::Context("while joining".to_owned(), Box::new(lost())),
        DataFusionError::Shared(Arc::new(lost())),
        DataFusionError::Collection(vec![broken(), lost()]),
        DataFusionError::External(Box::new(lost())),
        // A worker that lost another is itself reached well: the inner name counts.
        mark_lost("http://cn-2:9060/", lost()),
    ];
    for error in wrapped {
        let error = QueryError::from(error);
        assert_eq!(error.lost_worker(), Some("http://cn-1:9060/"), "{error}");
        assert_eq!(error.kind(), QueryErrorKind::WorkerLost);
        assert_eq!(
            error.to_string(),
            "compute node http://cn-1:9060/ was lost: connection reset"
        );
    }
}

#[test]
fn errors_are_told_apart_by_what_can_be_done() {
    let kind = |error: DataFusionError| QueryError::from(error).kind();
    assert_eq!(kind(mark_refused("http://cn/", broken())), QueryErrorKind::Retry);
    assert_eq!(
        kind(DataFusionError::ResourcesExhausted("join".to_owned())),
        QueryErrorKind::Retry
    );
    assert_eq!(kind(DataFusionError::Plan("no".to_owned())), QueryErrorKind::Invalid);
    assert_eq!(kind(DataFusionError::Internal("bug".to_owned())), QueryErrorKind::Bug);
    assert_eq!(kind(mark_files("cut")), QueryErrorKind::Invalid);
    let null = WriteError::Null {
        column: "a".to_owned(),
        row: 3,
    };
    let text = QueryError::from(mark_write(&null)).to_string();
    assert_eq!(text, "column `a`, row 3: NULL for a column that is NOT NULL");
}

#[test]
fn a_segment_that_the_store_does_not_give_is_no_fault_of_the_statement() {
    let said = format!("{UNREADABLE}data/o: Generic S3 error: HTTP error: operation timed out");
    let here = ParquetError::External(said.clone().into());
    let there = DataFusionError::Execution(format!("Parquet error: External: {said}"));
    for error in [DataFusionError::ParquetError(Box::new(here)), there] {
        let error = QueryError::from(error);
        assert_eq!(error.kind(), QueryErrorKind::Retry);
        assert_eq!(error.to_string(), format!("object store: {said}"));
    }
}

#[test]
fn a_worker_that_does_not_read_the_plan_is_named_and_done_without() {
    let why = "it reads plans of versions 2 to 3, and this one has version 1; upgrade the frontend";
    let error = QueryError::from(DataFusionError::Shared(Arc::new(mark_unread(
        "http://cn-1:9060/",
        why.to_owned(),
    ))));
    assert_eq!(error.lost_worker(), Some("http://cn-1:9060/"));
    assert_eq!(error.kind(), QueryErrorKind::WorkerLost);
    assert_eq!(
        error.to_string(),
        format!("compute node http://cn-1:9060/ does not read this plan: {why}")
    );
}
