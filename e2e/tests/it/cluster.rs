//! The cluster itself: what every other scenario takes for granted.

use std::{collections::BTreeMap, process::Command, time::Duration};

use chrono::Utc;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use springtide_e2e::{cluster, process::run, timeline::Progress};

use crate::{
    harness::{Cluster, alone, cluster, unique, with_temp_namespace},
    scenario::Scenario,
};

/// From a cluster that was started again until its nodes have told their state.
const TELL_LIMIT: Duration = Duration::from_secs(60);
/// For one of the cluster's scripts on an image of a few bytes.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_s3_server_keeps_accounts_apart_and_honours_conditional_writes() {
    let scenario = Scenario::begin("the S3 server keeps accounts apart and honours conditional writes");
    let bucket = unique("one");
    let place = Path::from("object");
    let create = || PutOptions::from(PutMode::Create);
    let (storage, one, two) = scenario
        .given("two accounts, and a bucket of the first", async || {
            let storage = cluster().await.storage().await;
            let (one, two) = (
                storage.account("it-one").await.expect("account"),
                storage.account("it-two").await.expect("account"),
            );
            storage.bucket(&bucket, &one).await.expect("bucket");
            (storage, one, two)
        })
        .await;
    let mine = storage.store(&bucket, &one).expect("store");
    let foreign = storage.store(&bucket, &two).expect("store");
    let second = scenario
        .when("an object is created twice", async || {
            mine.put_opts(&place, PutPayload::from_static(b"first"), create())
                .await
                .expect("the first create wins");
            mine.put_opts(&place, PutPayload::from_static(b"second"), create())
                .await
        })
        .await;
    scenario
        .and("the second time it is there already", async || {
            assert!(
                matches!(second, Err(object_store::Error::AlreadyExists { .. })),
                "{second:?}"
            );
        })
        .await;
    scenario
        .and("another account reads nothing", async || {
            foreign.get(&place).await.expect_err("another account reads nothing");
        })
        .await;
    scenario
        .when("that account may read", async || {
            storage.let_read(&bucket, &one, &[&two.id]).await.expect("policy");
        })
        .await;
    scenario
        .and("it reads what was created first, and writes nothing", async || {
            let read = foreign.get(&place).await.expect("a reader by policy");
            assert_eq!(&read.bytes().await.expect("bytes")[..], b"first");
            foreign
                .put(&place, PutPayload::from_static(b"third"))
                .await
                .expect_err("a reader writes nothing");
        })
        .await;
    scenario
        .and("the owner reads on", async || {
            mine.get(&place).await.expect("the owner reads on");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_get_volumes_and_run() {
    let scenario = Scenario::begin("pods get volumes and run");
    let cluster = cluster().await;
    with_temp_namespace(&cluster, "volumes", async |namespace| {
        let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), namespace);
        let set = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "keeper"},
            "spec": {
                "serviceName": "keeper", "replicas": 2, "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": "keeper"}},
                "template": {
                    "metadata": {"labels": {"app": "keeper"}},
                    "spec": {"containers": [{"name": "pause", "image": "kubernetes.local/pause:1", "imagePullPolicy": "Never",
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}],
            },
        }));
        scenario
            .when("two pods with a volume each are wanted", async || {
                sets.create(&PostParams::default(), &set.expect("a StatefulSet"))
                    .await
                    .expect("create");
            })
            .await;
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        scenario
            .then("two pods run", Duration::from_secs(60), async || {
                let list = pods.list(&ListParams::default().labels("app=keeper")).await;
                let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
                let list = list.expect("list pods").items;
                let running = list.iter().filter(|pod| phase(pod).as_deref() == Some("Running")).count();
                if running == 2 {
                    Ok(())
                } else {
                    Err(format!("{running} run"))
                }
            })
            .await;
    })
    .await;
}

/// A person who runs `make demo` or `make cluster-up` again has a cluster that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn starting_the_cluster_again_ends_nothing() {
    let scenario = Scenario::begin("starting the cluster again ends nothing");
    let cluster = cluster().await;
    let before = processes();
    assert!(before.len() >= 7, "{before:?}");
    let nodes = nodes(&cluster).await;
    scenario
        .when("the cluster is started again", async || up(&cluster, nodes.len()).await)
        .await;
    let started = Utc::now().timestamp();
    // A process that watches its files would end a moment later.
    scenario
        .then("all nodes have told their state since", TELL_LIMIT, async || {
            for node in &nodes {
                has_told(&cluster, node, started).await?;
            }
            Ok(())
        })
        .await;
    scenario
        .and("all processes are the same, and run", async || {
            assert_eq!(processes(), before);
            for (name, id) in &before {
                let process = id.split(' ').next().expect("a number");
                assert!(
                    std::path::Path::new("/proc").join(process).exists(),
                    "{name} has ended: process {process}"
                );
            }
        })
        .await;
}

/// The images of two versions lie in folders of their own, under the same names; that of the older version may have been packed last.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_reaches_the_nodes_although_another_version_of_it_was_packed_later() {
    let scenario = Scenario::begin("an image that was packed before another version of it");
    let cluster = cluster().await;
    let places = &cluster.places;
    let folder = tempfile::tempdir().expect("a folder");
    let content = folder.path().join("content");
    std::fs::create_dir(&content).expect("create");
    std::fs::write(content.join("file"), "content").expect("write");
    let probe = unique("probe");
    let archive = |version: &str| folder.path().join(version).join(format!("{probe}.tar"));
    scenario
        .given(
            "version 2 of an image, and then version 1, each in its folder",
            async || {
                for version in ["2", "1"] {
                    std::fs::create_dir(folder.path().join(version)).expect("create");
                    let pack = run(places.e2e("images/pack"), SCRIPT_LIMIT)
                        .arg(format!("springtide.dev/{probe}:{version}"))
                        .arg(&content)
                        .arg(archive(version))
                        .arg("{}");
                    pack.output().await.expect("packed");
                }
            },
        )
        .await;
    scenario
        .when("version 1 comes to the nodes, and then version 2", async || {
            for version in ["1", "2"] {
                let load = run(places.e2e("kubernetes/load"), SCRIPT_LIMIT).arg(archive(version));
                load.output().await.expect("loaded");
            }
        })
        .await;
    scenario
        .and("a node has both", async || {
            let list = run(places.cluster_programs().join("ctr"), SCRIPT_LIMIT)
                .args(["--address", "/run/springtide-local/node-0/containerd.sock"])
                .args(["--namespace", "k8s.io", "images", "list", "-q"]);
            let images = list.output().await.expect("listed");
            for version in ["1", "2"] {
                let name = format!("springtide.dev/{probe}:{version}");
                assert!(images.lines().any(|line| line == name), "{name} is missing in {images}");
            }
        })
        .await;
}

/// A machine that lost power leaves process ids and sockets behind that nobody owns.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_processes_were_killed_is_ready_when_the_cluster_is_started_again() {
    let scenario = Scenario::begin("a node whose processes were killed is ready when the cluster is started again");
    let _alone = alone().await;
    let cluster = cluster().await;
    let nodes = nodes(&cluster).await;
    let node = format!("node-{}", nodes.len() - 1);
    for (name, id) in processes() {
        let process = id.split(' ').next().expect("a number");
        if name.starts_with(&format!("{node}-")) {
            scenario
                .when(&format!("{name} is killed"), async || {
                    let killed = Command::new("kill").args(["-9", process]).status().expect("kill runs");
                    assert!(killed.success(), "{name} ran as {process}");
                })
                .await;
            let limit = Duration::from_secs(10);
            scenario.then("it has ended", limit, async || has_ended(process)).await;
        }
    }
    let killed_at = Utc::now().timestamp();
    scenario
        .when("the cluster is started again", async || up(&cluster, nodes.len()).await)
        .await;
    scenario
        .then("the node tells its state again", TELL_LIMIT, async || {
            has_told(&cluster, &node, killed_at).await
        })
        .await;
}

async fn nodes(cluster: &Cluster) -> Vec<String> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.expect("list nodes").items;
    nodes.into_iter().filter_map(|node| node.metadata.name).collect()
}

async fn up(cluster: &Cluster, nodes: usize) {
    let nodes = u8::try_from(nodes).expect("a few nodes");
    cluster::up(&cluster.places, nodes, &Progress::default())
        .await
        .expect("up succeeds");
}

/// Whether a node has said after a second of the clock that it is ready; what it said instead.
async fn has_told(cluster: &Cluster, node: &str, after: i64) -> Result<(), String> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let status = api.get(node).await.expect("get").status;
    let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let again = ready.is_some_and(|ready| {
        let heartbeat = ready.last_heartbeat_time.as_ref();
        ready.status == "True" && heartbeat.is_some_and(|time| time.0.as_second() > after)
    });
    if again {
        Ok(())
    } else {
        Err(format!("{node}: {ready:?}"))
    }
}

/// Whether a process that was killed runs no more; what is left of it may be there until its parent asks.
fn has_ended(process: &str) -> Result<(), String> {
    let stat = std::path::Path::new("/proc").join(process).join("stat");
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    if matches!(state, None | Some('Z' | 'X')) {
        Ok(())
    } else {
        Err(text)
    }
}

/// The processes of the cluster: name, and process id with its start time.
fn processes() -> BTreeMap<String, String> {
    let run = std::fs::read_dir("/run/springtide-local").expect("the cluster runs on this machine");
    let entries = run.map(|entry| entry.expect("an entry").path());
    entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let id = std::fs::read_to_string(&path).expect("read its id");
            (name, id.trim().to_owned())
        })
        .collect()
}
