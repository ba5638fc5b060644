//! The volume of a frontend's metadata grows while the frontend runs, and never shrinks.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, with_department},
    scenario::Scenario,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_volume_grows_under_a_frontend_that_runs_and_a_smaller_one_is_refused() {
    let scenario = Scenario::begin("a metadata volume grows");
    with_department(&scenario, "volume", async |department| {
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
                    let (capacity, ready) = (capacity(department).await, department.lake_says(LAKE, "Ready").await);
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
                let told = department.lake_says(LAKE, "Accepted").await;
                if told.starts_with("Accepted=False") {
                    Ok(told)
                } else {
                    Err(told)
                }
            })
            .await;
        scenario
            .and("it is said why, and the frontend has run on", async || {
                assert!(told.contains("a volume never shrinks"), "{told}");
                assert_eq!(frontend(department).await, before);
            })
            .await;
    })
    .await;
}

async fn write_size(department: &Department, size: &str) {
    let spec = json!({"frontends": {"metadataVolume": {"size": size}}});
    department.change_lake(LAKE, spec).await;
}

async fn capacity(department: &Department) -> String {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let claim = claims.get(&format!("meta-{LAKE}-fe-0")).await.expect("get the claim");
    let capacity = claim.status.and_then(|status| status.capacity?.remove("storage"));
    capacity.map_or_else(String::new, |capacity| capacity.0)
}

/// Which pod the frontend is, and how often its containers were started again.
async fn frontend(department: &Department) -> (Option<String>, i32) {
    let pod = department.pods().get(&format!("{LAKE}-fe-0")).await;
    let pod = pod.expect("get the frontend");
    let restarts = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let restarts = restarts.map_or(0, |containers| containers.iter().map(|one| one.restart_count).sum());
    (pod.uid(), restarts)
}
