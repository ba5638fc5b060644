//! The volume of a frontend's metadata grows while the frontend runs, and never shrinks. Volumes of further frontends are as large.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, with_department},
    scenario::Scenario,
};

async fn write_size(department: &Department, size: &str) {
    let spec = json!({"frontends": {"metadataVolume": {"size": size}}});
    department.change_lake(LAKE, spec).await;
}

async fn claim(department: &Department) -> PersistentVolumeClaim {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(department.cluster.client.clone(), &department.name);
    claims.get(&format!("meta-{LAKE}-fe-0")).await.expect("get the claim")
}

async fn capacity(department: &Department) -> String {
    let status = claim(department).await.status;
    let capacity = status.and_then(|status| status.capacity?.remove("storage"));
    capacity.map_or_else(String::new, |capacity| capacity.0)
}

/// The frontends' StatefulSet: its uid, and what further claims of it ask for. `None` while it is made anew.
async fn stateful_set(department: &Department) -> Option<(String, String)> {
    let sets: Api<StatefulSet> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let set = sets
        .get_opt(&format!("{LAKE}-fe"))
        .await
        .expect("get the StatefulSet")?;
    let uid = set.uid()?;
    let claim = set.spec?.volume_claim_templates?.into_iter().next()?;
    let size = claim.spec?.resources?.requests?.remove("storage")?;
    Some((uid, size.0))
}

/// The volume and those of further frontends have this size, in a StatefulSet that is another one than `before`, and the cluster is
/// ready. The claim goes with the StatefulSet or with nothing.
async fn has_grown(
    department: &Department,
    size: &str,
    before: Option<&(String, String)>,
    goes: bool,
) -> Result<(), String> {
    let ready = department.lake_says(LAKE, "Ready").await;
    let now = stateful_set(department).await;
    let capacity = capacity(department).await;
    let claim = claim(department).await;
    let owners: Vec<&String> = claim.owner_references().iter().map(|owner| &owner.uid).collect();
    let is_so = now.as_ref().is_some_and(|(uid, further)| {
        let is_another = before.is_some_and(|(before, _)| before != uid);
        let expected = if goes { vec![uid] } else { Vec::new() };
        is_another && further == size && owners == expected
    });
    if is_so && capacity == size && ready.starts_with("Ready=True") {
        return Ok(());
    }
    Err(format!("{capacity}; {now:?}, owners of the claim {owners:?}; {ready}"))
}

/// Which pod the frontend is, and how often its containers were started again.
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
    let scenario = Scenario::begin("a metadata volume grows");
    with_department(&scenario, "volume", async |department| {
        let (before, first) = scenario
            .given("a frontend with a volume of 1Gi", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                department.answers(LAKE).await;
                assert_eq!(capacity(department).await, "1Gi");
                let before = (frontend(department).await, claim(department).await.uid());
                (before, stateful_set(department).await)
            })
            .await;
        scenario
            .when("2Gi are written", async || write_size(department, "2Gi").await)
            .await;
        scenario
            .then(
                "the volume and further ones have them, the cluster is ready, and the volume goes with it as before",
                EFFECT_LIMIT,
                async || has_grown(department, "2Gi", first.as_ref(), true).await,
            )
            .await;
        scenario
            .and("the frontend has run on, on the same volume", async || {
                let now = (frontend(department).await, claim(department).await.uid());
                assert_eq!(now, before);
            })
            .await;
        let second = stateful_set(department).await;
        scenario
            .when(
                "the volume is to stay when the cluster goes, and 3Gi are written",
                async || {
                    department.change_lake(LAKE, json!({"deletionPolicy": "Retain"})).await;
                    write_size(department, "3Gi").await;
                },
            )
            .await;
        scenario
            .then(
                "the same happens, and the volume belongs to nobody",
                EFFECT_LIMIT,
                async || has_grown(department, "3Gi", second.as_ref(), false).await,
            )
            .await;
        scenario
            .and("the frontend has run on, on the same volume", async || {
                let now = (frontend(department).await, claim(department).await.uid());
                assert_eq!(now, before);
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
                assert_eq!(frontend(department).await, before.0);
            })
            .await;
    })
    .await;
}
