//! A setting is changed under clients that are connected: it counts at once, and no pod is replaced.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use springtide_e2e::sql::Session;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, STATEMENT_LIMIT, said, with_department},
    long_query::{long_work, table},
    scenario::Scenario,
    volume::frontend,
};

const GROUP: &str = "crew";
const DATABASE: &str = "it_settings";
/// Seconds; less than the long query takes.
const SHORT: &str = "2";

async fn write(department: &Department, limit: Value) {
    let patch = Patch::Merge(json!({"spec": {"frontends": {"config": {"queryTimeoutS": limit}}}}));
    let written = department.lakes().patch(LAKE, &PatchParams::default(), &patch).await;
    written.expect("write the setting");
}

/// The limit of time by the engine's own word.
async fn shown(session: &mut Session) -> Result<String, String> {
    let rows = session
        .named_rows("ADMIN SHOW FRONTEND CONFIG LIKE 'query_timeout_s'", STATEMENT_LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    let row = rows.first().ok_or("it is not shown")?;
    Ok(row["Value"].clone())
}

/// Waits until frontend and status say the same, and nothing is under way.
async fn is_in_force(department: &Department, session: &mut Session, limit: &str, status: Value) -> Result<(), String> {
    let shown = shown(session).await?;
    let lake = department
        .lakes()
        .get(LAKE)
        .await
        .expect("get")
        .status
        .unwrap_or_default();
    let (told, noted) = (said(&lake.conditions, "UpToDate"), json!(lake.dynamic_settings));
    if shown == limit && noted == status && told.starts_with("UpToDate=True") {
        Ok(())
    } else {
        Err(format!("{shown} s; {noted}; {told}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_time_that_is_written_counts_at_once_for_clients_that_are_connected() {
    let scenario = Scenario::begin("a setting is changed under clients that are connected");
    with_department(&scenario, "settings", async |department| {
        let (mut client, mut admin, query, before) = scenario
            .given("a cluster, a client, and a query of some seconds", async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                let spec = json!({"replicas": 1, "warehouse": "default_warehouse"});
                department.group(GROUP, LAKE, spec).await;
                department.serves(GROUP, 1).await;
                let mut client = department.session(LAKE).await;
                table(&mut client, DATABASE, "default_warehouse").await;
                let query = long_work(&mut client, DATABASE).await.text;
                let admin = department.session(LAKE).await;
                (client, admin, query, frontend(department).await)
            })
            .await;
        scenario
            .when("two seconds are written", async || {
                write(department, json!(SHORT)).await
            })
            .await;
        scenario
            .then("the frontend says so, and the status", EFFECT_LIMIT, async || {
                let status = json!([{"name": "queryTimeoutS", "value": SHORT}]);
                is_in_force(department, &mut admin, SHORT, status).await
            })
            .await;
        scenario
            .and("a query of the client is ended after two seconds", async || {
                let ended = client.value(&query, STATEMENT_LIMIT).await;
                let told = ended.expect_err("it takes longer").to_string();
                assert!(told.contains("time limit of 2 seconds"), "{told}");
            })
            .await;
        scenario
            .when("the setting is taken out", async || {
                write(department, Value::Null).await
            })
            .await;
        scenario
            .then("the default is in force", EFFECT_LIMIT, async || {
                is_in_force(department, &mut admin, "300", json!([])).await
            })
            .await;
        scenario
            .and("the query of the client is answered", async || {
                let answer = client.value(&query, STATEMENT_LIMIT).await;
                answer.unwrap_or_else(|error| panic!("{error}"));
            })
            .await;
        scenario
            .and("the frontend has run on all the while", async || {
                assert_eq!(frontend(department).await, before);
            })
            .await;
    })
    .await;
}
