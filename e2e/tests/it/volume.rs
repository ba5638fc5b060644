//! The volume of a frontend's metadata grows while the frontend runs, and never shrinks.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, said, with_department},
    scenario::Scenario,
};

async fn write_size(department: &Department, size: &str) {
    let patch = Patch::Merge(json!({"spec": {"frontends": {"metadataVolume": {"size": size}}}}));
    let written = department.lakes().patch(LAKE, &PatchParams::default(), &patch).await;
    written.expect("write the size");
}

async fn capacity(department: &Department) -> String {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let claim = claims.get(&format!("meta-{LAKE}-fe-0")).await.expect("get the claim");
    let capacity = claim.status.and_then(|status| status.capacity?.remove("storage"));
    capacity.map_or_else(String::new, |capacity| capacity.0)
}

async fn condition(department: &Department, type_: &str) -> String {
    let status = department
        .lakes()
        .get(LAKE)
        .await
        .expect("get")
        .status
        .unwrap_or_default();
    said(&status.conditions, type_)
}

/// Uid and restarts of the frontend's pod.
pub(crate) async fn frontend(department: &Department) -> (Option<String>, i32) {
    let pod = department
        .pods()
        .get(&format!("{LAKE}-fe-0"))
        .await
        .expect("get the frontend");
    let restarts = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let restarts = restarts.map_or(0, |containers| containers.iter().map(|one| one.restart_count).sum());
    (pod.uid(), restarts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_volume_grows_under_a_frontend_that_runs_and_a_smaller_one_is_refused() {
    with_department("volume", async |department| {
        let scenario = Scenario::begin("a metadata volume grows");
        let before = scenario
            .given("a frontend with a volume of 1Gi", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                department.answers(LAKE).await;
                assert_eq!(capacity(department).await, "1Gi");
                frontend(department).await
            })
            .await;
        scenario
            .when("2Gi are written", async || write_size(department, "2Gi").await)
            .await;
        scenario
            .then(
                "the volume has them, and the cluster is ready",
                EFFECT_LIMIT,
                async || {
                    let (capacity, ready) = (capacity(department).await, condition(department, "Ready").await);
                    if capacity == "2Gi" && ready.starts_with("Ready=True") {
                        Ok(())
                    } else {
                        Err(format!("{capacity}; {ready}"))
                    }
                },
            )
            .await;
        scenario
            .and("the frontend has run on", async || {
                assert_eq!(frontend(department).await, before);
            })
            .await;
        scenario
            .when("1Gi is written", async || write_size(department, "1Gi").await)
            .await;
        let told = scenario
            .then("it is refused", EFFECT_LIMIT, async || {
                let told = condition(department, "Accepted").await;
                if told.starts_with("Accepted=False") {
                    Ok(told)
                } else {
                    Err(told)
                }
            })
            .await;
        assert!(told.contains("a volume never shrinks"), "{told}");
        assert_eq!(frontend(department).await, before);
    })
    .await;
}
