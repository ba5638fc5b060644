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
use springtide_e2e::{
    cluster::{self, Look, wait_until},
    process::run,
    timeline::Progress,
};

use crate::harness::{alone, cluster, unique, with_temp_namespace};

#[tokio::test(flavor = "multi_thread")]
async fn the_s3_server_keeps_accounts_apart_and_honours_conditional_writes() {
    let cluster = cluster().await;
    let storage = cluster.storage().await;
    let (one, two) = (
        storage.account("it-one").await.expect("account"),
        storage.account("it-two").await.expect("account"),
    );
    let bucket = unique("one");
    storage.bucket(&bucket, &one).await.expect("bucket");
    let mine = storage.store(&bucket, &one).expect("store");
    let place = Path::from("object");
    let create = || PutOptions::from(PutMode::Create);
    mine.put_opts(&place, PutPayload::from_static(b"first"), create())
        .await
        .expect("the first create wins");
    let second = mine
        .put_opts(&place, PutPayload::from_static(b"second"), create())
        .await;
    assert!(
        matches!(second, Err(object_store::Error::AlreadyExists { .. })),
        "{second:?}"
    );
    let foreign = storage.store(&bucket, &two).expect("store");
    foreign.get(&place).await.expect_err("another account reads nothing");
    storage.let_read(&bucket, &one, &[&two.id]).await.expect("policy");
    let read = foreign
        .get(&place)
        .await
        .expect("a reader by policy")
        .bytes()
        .await
        .expect("bytes");
    assert_eq!(&read[..], b"first");
    foreign
        .put(&place, PutPayload::from_static(b"third"))
        .await
        .expect_err("a reader writes nothing");
    mine.get(&place).await.expect("the owner reads on");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_get_volumes_and_run() {
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
        sets.create(&PostParams::default(), &set.expect("a StatefulSet")).await.expect("create");
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        wait_until("two pods run", Duration::from_secs(60), &Progress::default(), async || {
            let list = pods.list(&ListParams::default().labels("app=keeper")).await.expect("list pods");
            let running = list.iter().filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")).count();
            Ok(if running == 2 { Look::Done(()) } else { Look::NotYet(format!("{running} run")) })
        })
        .await
        .expect("two pods");
    })
    .await;
}

/// A person who runs `make demo` or `make cluster-up` again has a cluster that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn starting_the_cluster_again_ends_nothing() {
    let cluster = cluster().await;
    let before = processes();
    assert!(before.len() >= 7, "{before:?}");
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = nodes
        .list(&ListParams::default())
        .await
        .expect("list nodes")
        .items
        .len();
    let nodes = u8::try_from(nodes).expect("a few nodes");
    cluster::up(&cluster.places, nodes, &Progress::default())
        .await
        .expect("up succeeds");
    // A process that watches its files would end a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(processes(), before);
    for (name, id) in before {
        let process = id.split(' ').next().expect("a number");
        assert!(
            std::path::Path::new("/proc").join(process).exists(),
            "{name} has ended: process {process}"
        );
    }
}

/// The images of two versions lie in folders of their own, under the same names; that of the older version may have been packed last.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_reaches_the_nodes_although_another_version_of_it_was_packed_later() {
    let cluster = cluster().await;
    let places = &cluster.places;
    let folder = tempfile::tempdir().expect("a folder");
    let content = folder.path().join("content");
    std::fs::create_dir(&content).expect("create");
    std::fs::write(content.join("file"), "content").expect("write");
    let probe = unique("probe");
    let limit = Duration::from_secs(60);
    let mut archives = Vec::new();
    for version in ["2", "1"] {
        let of_version = folder.path().join(version);
        std::fs::create_dir(&of_version).expect("create");
        let archive = of_version.join(format!("{probe}.tar"));
        let pack = run(places.e2e("images/pack"), limit).arg(format!("springtide.dev/{probe}:{version}"));
        pack.arg(&content)
            .arg(&archive)
            .arg("{}")
            .output()
            .await
            .expect("packed");
        archives.push(archive);
    }
    archives.reverse();
    for archive in &archives {
        // Twice: what a node has is not given to it again.
        for _ in 0..2 {
            let load = run(places.e2e("kubernetes/load"), limit).arg(archive);
            load.output().await.expect("loaded");
        }
    }
    let of_node = "/run/springtide-local/node-0/containerd.sock";
    let list = run(places.cluster_programs().join("ctr"), limit).args([
        "--address",
        of_node,
        "--namespace",
        "k8s.io",
        "images",
        "list",
        "-q",
    ]);
    let images = list.output().await.expect("listed");
    for version in ["1", "2"] {
        let name = format!("springtide.dev/{probe}:{version}");
        assert!(images.lines().any(|line| line == name), "{name} is missing in {images}");
    }
}

/// A machine that lost power leaves process ids and sockets behind that nobody owns.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_processes_were_killed_is_ready_when_the_cluster_is_started_again() {
    let _alone = alone().await;
    let cluster = cluster().await;
    let api: Api<Node> = Api::all(cluster.client.clone());
    let all = api.list(&ListParams::default()).await.expect("list nodes").items;
    let nodes = u8::try_from(all.len()).expect("a few nodes");
    let node = format!("node-{}", nodes - 1);
    for (name, id) in processes() {
        let process = id.split(' ').next().expect("a number");
        if name.starts_with(&format!("{node}-")) {
            let killed = Command::new("kill").args(["-9", process]).status().expect("kill runs");
            assert!(killed.success(), "{name} ran as {process}");
            has_ended(process).await;
        }
    }
    let killed_at = Utc::now().timestamp();
    cluster::up(&cluster.places, nodes, &Progress::default())
        .await
        .expect("up succeeds");
    wait_until(
        "the node tells its state again",
        Duration::from_secs(60),
        &Progress::default(),
        async || {
            let conditions = api
                .get(&node)
                .await
                .expect("get")
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
            let again = ready.is_some_and(|ready| {
                ready.status == "True"
                    && ready
                        .last_heartbeat_time
                        .as_ref()
                        .is_some_and(|time| time.0.as_second() > killed_at)
            });
            Ok(if again {
                Look::Done(())
            } else {
                Look::NotYet(format!("{ready:?}"))
            })
        },
    )
    .await
    .expect("a node that is ready");
}

/// Waits until a process that was killed runs no more; what is left of it may be there until its parent asks.
async fn has_ended(process: &str) {
    let stat = std::path::Path::new("/proc").join(process).join("stat");
    wait_until(
        "the process ends",
        Duration::from_secs(10),
        &Progress::default(),
        async || {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            Ok(if matches!(state, None | Some('Z' | 'X')) {
                Look::Done(())
            } else {
                Look::NotYet(text)
            })
        },
    )
    .await
    .expect("SIGKILL ends a process");
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
