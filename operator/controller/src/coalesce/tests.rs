use std::time::Instant;

use futures::{SinkExt, channel::mpsc};
use kube::runtime::controller::ReconcileReason;
use springtide_crds::ComputeGroup;

use super::*;

fn request(name: &str) -> Request<ComputeGroup> {
    Ok(ReconcileRequest {
        obj_ref: ObjectRef::new(name).within("retail"),
        reason: ReconcileReason::ObjectUpdated,
    })
}

async fn names(requests: impl Stream<Item = Request<ComputeGroup>>) -> Vec<String> {
    requests.map(|request| request.unwrap().obj_ref.name).collect().await
}

#[tokio::test]
async fn a_burst_about_one_object_is_looked_at_once_and_nobody_is_left_out() {
    let burst = ["etl", "etl", "bi", "etl", "bi"].map(request);
    let requests = futures::stream::iter(burst);
    assert_eq!(
        names(coalesced(requests, Duration::from_millis(20))).await,
        ["etl", "bi"]
    );
}

#[tokio::test]
async fn an_object_to_which_something_happens_all_the_time_is_looked_at_nevertheless() {
    let (mut sender, receiver) = mpsc::channel(1);
    let begun = Instant::now();
    let busy = tokio::spawn(async move {
        while begun.elapsed() < Duration::from_secs(1) {
            sender.send(request("etl")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let looks = names(coalesced(receiver, Duration::from_millis(50))).await.len();
    busy.await.unwrap();
    // One in 50 ms where the machine is idle; fewer where it is busy.
    assert!((3..=21).contains(&looks), "{looks}");
}

#[tokio::test]
async fn many_objects_at_once_are_looked_at_one_after_the_other() {
    let groups: Vec<String> = (0..40).map(|number| format!("group-{number}")).collect();
    let requests = futures::stream::iter(groups.iter().map(|name| request(name)).collect::<Vec<_>>());
    let begun = Instant::now();
    assert_eq!(names(coalesced(requests, Duration::ZERO)).await.len(), groups.len());
    assert!(begun.elapsed() >= FOR_EACH * 39, "{:?}", begun.elapsed());
}
