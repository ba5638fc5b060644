//! Another version of the engine comes and goes: under load, in its order, and not at all where it does not run.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, LakeCluster};
use springtide_e2e::{departments, images, soak, sql_client::Installed, timeline::Progress};
use tokio::sync::OnceCell;

use crate::{
    department::{Department, LAKE, eventually, nodes, said, two_rows, value, with_department},
    drain::ids,
    harness::Cluster,
};

const GROUP: &str = "crew";
const NODES: i32 = 2;
/// The version that runs, and the one after it: the same programs under another tag.
const NOW: &str = env!("CARGO_PKG_VERSION");
pub(crate) const NEXT: &str = "999.0.0";
/// Each pod drains, starts, and has to serve for ten seconds before the next one goes; beside other scenarios.
const ROLL_LIMIT: Duration = Duration::from_secs(420);
/// Between two tries of a client that connects anew, and between two looks at a pod.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// One try of it. What is sent to the address of a pod that has gone may never be answered, and a client that waits longer measures itself.
const TRY_LIMIT: Duration = Duration::from_secs(2);
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

async fn ground(department: &Department) -> LakeCluster {
    department.apply(json!({})).await;
    department.lake(LAKE, json!({})).await;
    let spec = json!({"replicas": NODES, "warehouse": "default_warehouse", "drain": {"timeout": "3m"}});
    department.group(GROUP, LAKE, spec).await;
    department.serves(GROUP, NODES).await;
    department.answers(LAKE).await
}

async fn write(department: &Department, spec: Value) {
    department
        .lakes()
        .patch(LAKE, &PatchParams::default(), &Patch::Merge(json!({"spec": spec})))
        .await
        .expect("write the LakeCluster");
}

/// Waits until a group's pods are up to date, or are said not to be for this reason.
async fn group_is(department: &Department, reason: &str) -> ComputeGroup {
    eventually(&format!("{GROUP} is {reason}"), ROLL_LIMIT, async || {
        let group = department.groups().get(GROUP).await.expect("get");
        let conditions = group.status.clone().unwrap_or_default().conditions;
        let told = conditions.iter().find(|condition| condition.type_ == "UpToDate");
        if told.is_some_and(|told| told.reason == reason) {
            Ok(group)
        } else {
            Err(said(&conditions, "UpToDate"))
        }
    })
    .await
}

/// Waits until all nodes run this image.
async fn nodes_run(department: &Department, image: &str) {
    eventually(&format!("all nodes run {image}"), ROLL_LIMIT, async || {
        let status = department.status(GROUP).await;
        let runs = status.engine.unwrap_or_default().image;
        if runs == image && status.serving_replicas == NODES {
            Ok(())
        } else {
            Err(format!(
                "{} serve, {runs}; {}",
                status.serving_replicas,
                said(&status.conditions, "UpToDate")
            ))
        }
    })
    .await;
    group_is(department, "UpToDate").await;
}

fn image(version: &str) -> String {
    format!("springtide.dev/engine:{version}")
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_to_the_next_version_and_back_under_load_and_no_statement_fails() {
    with_department("upgrade", async |department| {
        let lake = ground(department).await;
        let cluster = &department.cluster;
        next_version(cluster).await;
        let installed = Installed::on(&cluster.places, &Progress::default()).await;
        let installed = installed.unwrap_or_else(|error| panic!("{error}"));
        let there_and_back = async {
            for version in [NEXT, NOW] {
                write(department, json!({"computeTemplate": {"image": image(version)}})).await;
                nodes_run(department, &image(version)).await;
            }
        };
        let outcome = soak::under_load(
            &cluster.target,
            &cluster.client,
            &lake,
            GROUP,
            &installed,
            there_and_back,
            &Progress::default(),
        )
        .await
        .unwrap_or_else(|error| panic!("{error}"));
        println!("to the next version and back: {outcome}");
        assert_eq!((outcome.failed, outcome.ledger_difference), (0, 0), "{outcome}");
        assert!(
            outcome.wrong_answers.is_empty() && outcome.wrong_nodes.is_empty(),
            "{outcome}"
        );
        assert!(
            outcome.succeeded() > FEWEST_STATEMENTS,
            "the clients hardly worked: {outcome}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_cluster_goes_to_the_next_version_in_its_order_and_back_and_its_pause_is_short() {
    with_department("versions", async |department| {
        ground(department).await;
        next_version(&department.cluster).await;
        let mut session = department.session(LAKE).await;
        two_rows(&mut session).await;
        let known = nodes(&mut session, GROUP).await;
        drop(session);
        for version in [NEXT, NOW] {
            write(department, json!({"engine": {"version": version}})).await;
            let (order, pause, parts) = tokio::join!(
                order_of(department, version),
                longest_pause(department, version),
                parts_of_pause(department)
            );
            println!(
                "to {version}: {order:?}, nobody could connect for {:.1} s ({} tries were refused, {} never answered); {parts}",
                pause.longest.as_secs_f64(),
                pause.refused,
                pause.unanswered
            );
            assert!(pause.longest < PAUSE_LIMIT, "{pause:?}");
            let first = if version == NEXT { "nodes" } else { "frontends" };
            assert_eq!(order.first().copied(), Some(first), "{order:?}");
        }
        let mut session = department.session(LAKE).await;
        assert_eq!(
            ids(&nodes(&mut session, GROUP).await),
            ids(&known),
            "no node was dropped"
        );
        assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
    })
    .await;
}

/// Who ran a version first, and who then.
async fn order_of(department: &Department, version: &str) -> Vec<&'static str> {
    let mut order = Vec::new();
    eventually(&format!("all run {version}"), ROLL_LIMIT, async || {
        let lake = department
            .lakes()
            .get(LAKE)
            .await
            .expect("get")
            .status
            .unwrap_or_default();
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

/// What a client that connects anew for each statement meets.
#[derive(Debug, Default)]
struct Pause {
    /// The longest time without an answer.
    longest: Duration,
    /// Tries that failed at once.
    refused: u32,
    /// Tries that heard nothing.
    unanswered: u32,
}

/// What such a client meets until the frontends run a version.
async fn longest_pause(department: &Department, version: &str) -> Pause {
    let lake = department.answers(LAKE).await;
    let cluster = &department.cluster;
    let (mut answered, mut pause) = (Instant::now(), Pause::default());
    let deadline = Instant::now() + ROLL_LIMIT;
    let mut runs = false;
    // Once more after it, so that the pause is over.
    while !runs || answered.elapsed() > BETWEEN_TRIES * 5 {
        assert!(Instant::now() < deadline, "no answer any more");
        let status = department
            .lakes()
            .get(LAKE)
            .await
            .expect("get")
            .status
            .unwrap_or_default();
        runs = status.engine.is_some_and(|engine| engine.version == version);
        let one = async {
            let mut login = departments::log_in(&cluster.target, &cluster.client, &lake).await?;
            login.session.value("SELECT 1", TRY_LIMIT).await
        };
        match tokio::time::timeout(TRY_LIMIT, one).await {
            Ok(Ok(_)) => {
                pause.longest = pause.longest.max(answered.elapsed());
                answered = Instant::now();
            }
            Ok(Err(_)) => pause.refused += 1,
            Err(_) => pause.unanswered += 1,
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    pause
}

/// Whether a pod has come so far in being replaced, by what there is under its name and the id that it had.
type HasCome = fn(Option<&Pod>, &str) -> bool;

/// The stages of a pod's replacement, in their order.
const STAGES: [(&str, HasCome); 6] = [
    ("told to stop", |pod, before| {
        pod.is_none_or(|pod| is_another(pod, before) || pod.metadata.deletion_timestamp.is_some())
    }),
    ("its process ended", |pod, before| {
        pod.is_none_or(|pod| is_another(pod, before) || !runs(pod))
    }),
    ("gone", |pod, before| pod.is_none_or(|pod| is_another(pod, before))),
    ("the next made", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before))
    }),
    ("its process started", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before) && runs(pod))
    }),
    ("ready", |pod, before| {
        pod.is_some_and(|pod| is_another(pod, before) && is_ready(pod))
    }),
];

fn is_another(pod: &Pod, before: &str) -> bool {
    pod.uid().as_deref() != Some(before)
}

fn runs(pod: &Pod) -> bool {
    let containers = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    containers.is_some_and(|containers| {
        containers
            .iter()
            .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// When the frontend's pod came to each stage of its replacement, counted from the first one.
async fn parts_of_pause(department: &Department) -> String {
    let name = format!("{LAKE}-fe-0");
    let look = async || department.pods().get_opt(&name).await.expect("get");
    let before = look().await.and_then(|pod| pod.uid()).expect("a frontend");
    let deadline = Instant::now() + ROLL_LIMIT;
    let mut told = None;
    let mut parts = Vec::new();
    for (stage, has_come) in STAGES {
        while !has_come(look().await.as_ref(), &before) {
            assert!(Instant::now() < deadline, "the frontend's pod: not {stage}");
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        let since: &mut Instant = told.get_or_insert_with(Instant::now);
        parts.push(format!("{stage} after {:.1} s", since.elapsed().as_secs_f64()));
    }
    parts.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_comes_to_one_node_and_is_taken_back() {
    with_department("badimage", async |department| {
        ground(department).await;
        let of_group = ListParams::default().labels(&format!("springtide.dev/compute-group={GROUP}"));
        let uid = async |ordinal: u32| {
            let pods = department.pods().list(&of_group).await.expect("list").items;
            let name = format!("{GROUP}-cn-{ordinal}");
            pods.iter()
                .find(|pod: &&Pod| pod.name_any() == name)
                .and_then(ResourceExt::uid)
        };
        let before = (uid(0).await, uid(1).await);
        write(
            department,
            json!({"computeTemplate": {"image": image("there-is-none")}}),
        )
        .await;
        let group = group_is(department, "Degraded").await;
        let told = said(&group.status.unwrap_or_default().conditions, "UpToDate");
        assert!(
            told.contains("springtide.dev/engine:there-is-none cannot be pulled"),
            "{told}"
        );
        department.serves(GROUP, NODES).await;
        assert_eq!(uid(0).await, before.0, "the other node was never touched");
        assert_ne!(uid(1).await, before.1);
        write(department, json!({"computeTemplate": {"image": null}})).await;
        group_is(department, "UpToDate").await;
    })
    .await;
}
