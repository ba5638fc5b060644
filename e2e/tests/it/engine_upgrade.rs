//! Another version of the engine comes and goes: under load, in its order, and not at all where it does not run.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use springtide_e2e::{images, timeline::Progress};
use tokio::sync::OnceCell;

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, ids, nodes, said, two_rows, value, with_department},
    harness::Cluster,
    pause::{longest_pause, tell_stages},
    scenario::Scenario,
    trial::under_load,
};

const GROUP: &str = "crew";
const NODES: i32 = 2;
/// The version that runs, and the one after it: the same programs under another tag.
const NOW: &str = env!("CARGO_PKG_VERSION");
pub(crate) const NEXT: &str = "999.0.0";
/// Each pod drains, starts, and has to serve for ten seconds before the next one goes; beside other scenarios.
pub(crate) const ROLL_LIMIT: Duration = Duration::from_secs(420);
/// For the only frontend to be replaced, of which nothing takes long, beside other scenarios.
const PAUSE_LIMIT: Duration = Duration::from_secs(45);
/// Far below what clients send in the minutes that this takes.
const FEWEST_STATEMENTS: u64 = 100;

/// The images of the next version, in the nodes of Kubernetes.
pub(crate) async fn next_version(cluster: &Cluster) {
    static DELIVERED: OnceCell<()> = OnceCell::const_new();
    let progress = Progress::default();
    let deliver = async || {
        let tools = images::tools(&cluster.places, &[images::S3_SERVER], &progress).await?;
        let images = images::pack_next(&cluster.places, NEXT, &progress).await?;
        let of_pods: Vec<_> = images
            .into_iter()
            .filter(|image| ["engine", "sidecar"].contains(&image.short_name()))
            .collect();
        images::deliver(&cluster.places, &cluster.target.delivery, &of_pods, &tools, &progress).await
    };
    DELIVERED
        .get_or_init(|| async {
            deliver().await.expect("the next version's image is in the nodes");
        })
        .await;
}

async fn ground(scenario: &Scenario, department: &Department) {
    scenario
        .given(
            "a cluster of two nodes, and the images of the next version",
            async || {
                department.apply(json!({})).await;
                department.lake(LAKE, json!({})).await;
                let spec = json!({"replicas": NODES, "warehouse": "default_warehouse", "drain": {"timeout": "3m"}});
                department.group(GROUP, LAKE, spec).await;
                department.serves(GROUP, NODES).await;
                department.answers(LAKE).await;
                next_version(&department.cluster).await;
            },
        )
        .await;
}

fn image(version: &str) -> String {
    format!("springtide.dev/engine:{version}")
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_to_the_next_version_and_back_under_load_and_no_statement_fails() {
    let scenario = Scenario::begin("nodes go to the next version and back under load").may_take(
        Duration::from_secs(240),
        "each node is replaced twice, and serves for ten seconds before the next one goes",
    );
    with_department(&scenario, "upgrade", async |department| {
        ground(&scenario, department).await;
        let there_and_back = async {
            for version in [NEXT, NOW] {
                let image = image(version);
                scenario
                    .when(&format!("nodes are to run {image}"), async || {
                        let spec = json!({"computeTemplate": {"image": image}});
                        department.change_lake(LAKE, spec).await;
                    })
                    .await;
                nodes_run(&scenario, department, &image).await;
            }
        };
        under_load(&scenario, department, GROUP, FEWEST_STATEMENTS, there_and_back).await;
    })
    .await;
}

async fn nodes_run(scenario: &Scenario, department: &Department, image: &str) {
    scenario
        .then("all nodes run it", ROLL_LIMIT, async || {
            let status = department.status(GROUP).await;
            let runs = status.engine.unwrap_or_default().image;
            if runs == image && status.serving_replicas == NODES {
                Ok(())
            } else {
                let told = said(&status.conditions, "UpToDate");
                Err(format!("{} serve, {runs}; {told}", status.serving_replicas))
            }
        })
        .await;
    scenario
        .then("they are up to date", ROLL_LIMIT, async || {
            department.up_to_date(GROUP, "UpToDate").await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_cluster_goes_to_the_next_version_in_its_order_and_back_and_its_pause_is_short() {
    let scenario = Scenario::begin("a whole cluster goes to the next version and back").may_take(
        Duration::from_secs(240),
        "each pod is replaced twice, and serves for ten seconds before the next one goes",
    );
    with_department(&scenario, "versions", async |department| {
        ground(&scenario, department).await;
        let mut session = department.session(LAKE).await;
        two_rows(&mut session).await;
        let known = nodes(&mut session, GROUP).await;
        drop(session);
        for version in [NEXT, NOW] {
            scenario
                .when(&format!("the cluster is to run {version}"), async || {
                    let spec = json!({"engine": {"version": version}});
                    department.change_lake(LAKE, spec).await;
                })
                .await;
            let (order, pause, ()) = tokio::join!(
                order_of(&scenario, department, version),
                longest_pause(&scenario, department, version),
                tell_stages(&scenario, department)
            );
            scenario.measured("nobody could connect for", pause.longest);
            scenario.note(&format!(
                "{} tries were refused, {} never answered",
                pause.refused, pause.unanswered
            ));
            scenario
                .and("the pause was short, and they came in their order", async || {
                    assert!(pause.longest < PAUSE_LIMIT, "{pause:?}");
                    let first = if version == NEXT { "nodes" } else { "frontends" };
                    assert_eq!(order.first().copied(), Some(first), "{order:?}");
                })
                .await;
        }
        scenario
            .and(
                "the frontend knows the same nodes, and the rows are there",
                async || {
                    let mut session = department.session(LAKE).await;
                    assert_eq!(
                        ids(&nodes(&mut session, GROUP).await),
                        ids(&known),
                        "no node was dropped"
                    );
                    assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
                },
            )
            .await;
    })
    .await;
}

/// Who ran a version first, and who then.
async fn order_of(scenario: &Scenario, department: &Department, version: &str) -> Vec<&'static str> {
    let mut order = Vec::new();
    scenario
        .then("frontends and nodes run it", ROLL_LIMIT, async || {
            let lake = department.lake_status(LAKE).await;
            let group = department.status(GROUP).await;
            for (who, runs) in [("frontends", &lake.engine), ("nodes", &group.engine)] {
                let is_there = runs.as_ref().is_some_and(|engine| engine.version == version);
                if is_there && !order.contains(&who) {
                    order.push(who);
                }
            }
            if order.len() == 2 {
                Ok(())
            } else {
                Err(format!(
                    "{order:?}; frontends: {}; nodes: {}",
                    said(&lake.conditions, "UpToDate"),
                    said(&group.conditions, "UpToDate")
                ))
            }
        })
        .await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_comes_to_one_node_and_is_taken_back() {
    let scenario = Scenario::begin("an image that does not exist is taken back").may_take(
        Duration::from_secs(120),
        "a pod is replaced, waits for its image, and is replaced again",
    );
    with_department(&scenario, "badimage", async |department| {
        ground(&scenario, department).await;
        let before = department.uids_of_group(GROUP).await;
        let uid = |uids: &BTreeMap<String, String>, ordinal: u32| uids.get(&format!("{GROUP}-cn-{ordinal}")).cloned();
        scenario
            .when("nodes are to run an image that does not exist", async || {
                let spec = json!({"computeTemplate": {"image": image("there-is-none")}});
                department.change_lake(LAKE, spec).await;
            })
            .await;
        let told = scenario
            .then("the change is taken back", ROLL_LIMIT, async || {
                department.up_to_date(GROUP, "Degraded").await
            })
            .await;
        scenario
            .and("it is said why", async || {
                assert!(
                    told.contains("springtide.dev/engine:there-is-none cannot be pulled"),
                    "{told}"
                );
            })
            .await;
        scenario
            .then("all nodes serve", EFFECT_LIMIT, async || {
                department.serving(GROUP, NODES).await
            })
            .await;
        scenario
            .and("one node was never touched", async || {
                let now = department.uids_of_group(GROUP).await;
                assert_eq!(uid(&now, 0), uid(&before, 0), "the other node was never touched");
                assert_ne!(uid(&now, 1), uid(&before, 1));
            })
            .await;
        scenario
            .when("the image is taken out of the spec", async || {
                let spec = json!({"computeTemplate": {"image": null}});
                department.change_lake(LAKE, spec).await;
            })
            .await;
        scenario
            .then("the nodes are up to date", ROLL_LIMIT, async || {
                department.up_to_date(GROUP, "UpToDate").await
            })
            .await;
    })
    .await;
}
