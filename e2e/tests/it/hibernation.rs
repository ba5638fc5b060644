//! A cluster is put to sleep with its rows, and wakes with them.

use std::time::{Duration, Instant};

use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use springtide_e2e::departments;

use crate::department::{Department, EFFECT_LIMIT, LAKE, STATEMENT_LIMIT, eventually, said, two_rows, value, with_department};

const GROUP: &str = "crew";
/// A frontend and a node start, and find each other.
const WAKE_LIMIT: Duration = Duration::from_secs(180);

async fn suspend(department: &Department, suspend: bool) {
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    let written = department.lakes().patch(LAKE, &PatchParams::default(), &patch).await;
    written.expect("write suspend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_put_to_sleep_wakes_with_its_rows() {
    with_department("sleep", async |department| {
        department.apply(json!({})).await;
        department.lake(LAKE, json!({})).await;
        let spec = json!({"replicas": 1, "warehouse": "default_warehouse"});
        department.group(GROUP, LAKE, spec).await;
        department.serves(GROUP, 1).await;
        let mut session = department.session(LAKE).await;
        two_rows(&mut session).await;
        drop(session);

        let began = Instant::now();
        suspend(department, true).await;
        eventually("it sleeps", EFFECT_LIMIT, async || {
            let of_lake = ListParams::default().labels(&format!("springtide.dev/cluster={LAKE}"));
            let pods = department.pods().list(&of_lake).await.expect("list").items;
            let status = department.lakes().get(LAKE).await.expect("get").status.unwrap_or_default();
            let told = said(&status.conditions, "Ready");
            if pods.is_empty() && told.starts_with("Ready=True Suspended") {
                Ok(())
            } else {
                Err(format!("{} pods; {told}", pods.len()))
            }
        })
        .await;
        let asleep_after = began.elapsed();

        let began = Instant::now();
        suspend(department, false).await;
        let lake = department.lakes().get(LAKE).await.expect("get");
        eventually("it answers with its rows", WAKE_LIMIT, async || {
            let (target, client) = (&department.cluster.target, &department.cluster.client);
            let mut login = departments::log_in(target, client, &lake).await.map_err(|error| error.to_string())?;
            let sum = login.session.value("SELECT sum(id) FROM d.t", STATEMENT_LIMIT).await;
            match sum {
                Ok(sum) if sum == "3" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        println!(
            "asleep after {:.1} s, awake with the first answer after {:.1} s",
            asleep_after.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        department.serves(GROUP, 1).await;
        let mut session = department.session(LAKE).await;
        assert_eq!(value(&mut session, "SELECT count(*) FROM d.t").await, "2");
    })
    .await;
}
