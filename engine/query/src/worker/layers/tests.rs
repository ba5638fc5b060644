use std::convert::Infallible;

use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service, service_fn};

use super::PlanLayer;
use crate::codec::PLAN_VERSION_HEADER;

const SET_PLAN: &str = "/worker.WorkerService/CoordinatorChannel";

/// What a worker that reads versions 2 and 3 answers; nothing where the call gets through.
async fn refusal(path: &str, version: Option<&str>) -> Option<Status> {
    let worker = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) });
    let mut call = Request::builder().uri(path);
    if let Some(version) = version {
        call = call.header(PLAN_VERSION_HEADER, version);
    }
    let call = call.body(Body::default()).unwrap();
    let answer = PlanLayer::new(2..=3).layer(worker).call(call).await.unwrap();
    Status::from_header_map(answer.headers())
}

#[tokio::test]
async fn a_plan_of_a_version_that_is_not_read_is_refused_and_says_whom_to_upgrade() {
    for version in ["2", "3"] {
        assert!(refusal(SET_PLAN, Some(version)).await.is_none(), "{version}");
    }
    for (version, advice) in [
        (Some("4"), "this one has version 4; upgrade the compute node"),
        (Some("1"), "this one has version 1; upgrade the frontend"),
        // Of a release that did not say it.
        (None, "this one has version 1; upgrade the frontend"),
        (Some("new"), "does not say which version it has"),
    ] {
        let refusal = refusal(SET_PLAN, version).await.expect("a refusal");
        assert_eq!(refusal.code(), Code::FailedPrecondition, "{version:?}");
        let message = refusal.message();
        assert!(
            message.starts_with("it reads plans of versions 2 to 3") && message.ends_with(advice),
            "{message}"
        );
    }
}

/// Workers of neighbouring releases fetch rows of one statement from each other.
#[tokio::test]
async fn calls_that_bring_no_plan_are_not_asked_for_its_version() {
    for path in [
        "/worker.WorkerService/ExecuteTask",
        "/worker.WorkerService/GetWorkerInfo",
    ] {
        assert!(refusal(path, Some("4")).await.is_none(), "{path}");
    }
}
