//! What `make demo CONTEXT=… REGISTRY=… REGISTRY_LOGIN=…` does, against a real registry that wants a password: the operator
//! and a department's cluster run from it.
//!
//! The operator is installed anew for this, which concerns every cluster it looks after: `e2e/test` runs this scenario after all
//! others, and alone.

use std::{
    net::TcpListener,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};
use springtide_e2e::{
    cluster::{Look, wait_until},
    departments::{self, OPERATOR_NAMESPACE},
    images::{self, Delivery, Image},
    process::run,
    target::Target,
    timeline::Progress,
};
use tokio::process::{Child, Command};

use crate::{
    department::{Department, EFFECT_LIMIT, LAKE, two_rows, value, with_department},
    harness::{Cluster, alone, cluster, unique},
    scenario::Scenario,
};

/// The nodes' side of this machine, which the registry listens on.
const HOST: &str = "10.98.0.1";
/// `tests:not-a-secret`, for the registry's file of users; bcrypt at its lowest cost.
const USERS: &str = "tests:$2a$04$9ySSrtbCLqdJ1/Rb8rJpSemEthENQN8IYYAU8sIVExQvrSsga.MRG\n";
/// The same login as a Docker configuration has it.
const LOGIN: &str = "dGVzdHM6bm90LWEtc2VjcmV0";
const LIMIT: Duration = Duration::from_secs(60);
const GROUP: &str = "crew";
/// The context of the local cluster's kubeconfig.
const CONTEXT: &str = "local";

#[tokio::test(flavor = "multi_thread")]
async fn a_department_runs_from_a_private_registry_with_its_pull_secret_and_nobody_without() {
    let scenario = Scenario::begin("a department runs from a private registry").may_take(
        Duration::from_secs(240),
        "all images are pushed and pulled, and helm brings another operator twice",
    );
    let _alone = alone().await;
    let outcome = AssertUnwindSafe(with_department(&scenario, "registry", async |department| {
        runs_from_a_registry(&scenario, department).await;
    }))
    .catch_unwind()
    .await;
    // The registry ends with its scenario: whoever uses this cluster next has images from its nodes again.
    scenario
        .and("the operator has the nodes' images again", async || {
            cluster().await.install_operator().await;
        })
        .await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn runs_from_a_registry(scenario: &Scenario, department: &Department) {
    let Cluster {
        places, client, target, ..
    } = &department.cluster;
    let registry = scenario
        .given("a registry that wants a password", async || {
            Registry::start(&department.cluster).await
        })
        .await;
    let delivery = Delivery::for_context(CONTEXT, Some(registry.name()), Some(registry.login())).expect("a way");
    let mut by_registry = Target::context(CONTEXT.to_owned(), delivery, places.cluster_programs());
    by_registry.kubeconfig.clone_from(&target.kubeconfig);
    let own = scenario
        .given("all images in it", async || {
            let tools = images::tools(places, by_registry.delivery.tools(), &Progress::default())
                .await
                .expect("crane is built");
            let packed = images::pack(places, &Progress::default()).await.expect("images");
            let mut own = Vec::new();
            for image in &packed {
                own.push(own_image(image, registry.folder.path()).await);
            }
            images::deliver(places, &by_registry.delivery, &own, &tools, &Progress::default())
                .await
                .expect("crane pushes all images");
            own
        })
        .await;
    scenario
        .when("the operator is installed from it", async || {
            departments::pull_secret(&by_registry, client, OPERATOR_NAMESPACE)
                .await
                .expect("a pull secret for the operator");
            departments::install_operator(&by_registry, places, &Progress::default())
                .await
                .expect("helm installs the operator from the registry");
            department.apply(json!({})).await;
        })
        .await;
    a_stranger_is_refused(scenario, department, &own[0].in_registry(&registry.name())).await;
    scenario
        .when("the department has the pull secret, and a cluster", async || {
            departments::pull_secret(&by_registry, client, &department.name)
                .await
                .expect("a pull secret");
            department.lake(LAKE, json!({})).await;
            let spec = json!({"warehouse": "default_warehouse"});
            department.group(GROUP, LAKE, spec).await;
        })
        .await;
    scenario
        .then("its node serves", EFFECT_LIMIT, async || {
            department.serving(GROUP, 1).await
        })
        .await;
    scenario
        .and("it writes and reads", async || {
            let mut session = department.session(LAKE).await;
            two_rows(&mut session).await;
            assert_eq!(value(&mut session, "SELECT sum(id) FROM d.t").await, "3");
        })
        .await;
    scenario
        .and("every image is one that the registry gave", async || {
            let mut images = images_in_use(&department.cluster, &department.name).await;
            images.extend(images_in_use(&department.cluster, OPERATOR_NAMESPACE).await);
            for part in ["engine", "sidecar", "operator"] {
                let from_registry = format!("{}/springtide.dev/{part}:", registry.name());
                assert!(
                    images.iter().any(|image| image.starts_with(&from_registry)),
                    "{part}: {images:?}"
                );
            }
            let elsewhere = |image: &&String| !image.starts_with(&registry.name());
            assert_eq!(
                images.iter().find(elsewhere),
                None,
                "an image that the registry did not give"
            );
        })
        .await;
}

async fn images_in_use(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let list = pods.list(&ListParams::default()).await.expect("list pods");
    let specs = list.items.into_iter().filter_map(|pod| pod.spec);
    specs
        .flat_map(|spec| {
            spec.init_containers
                .unwrap_or_default()
                .into_iter()
                .chain(spec.containers)
        })
        .filter_map(|container| container.image)
        .collect()
}

/// A pod without the login gets nothing, whatever the node has fetched for others.
async fn a_stranger_is_refused(scenario: &Scenario, department: &Department, image: &str) {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "stranger"},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }));
    let pods = department.pods();
    let pod: Pod = pod.expect("a pod");
    scenario
        .when("a pod without the login wants an image", async || {
            pods.create(&PostParams::default(), &pod).await.expect("create");
        })
        .await;
    let reason = scenario
        .then("its image is refused", LIMIT, async || {
            let reason = waiting_reason(&pods, "stranger").await;
            if reason.contains("Image") {
                Ok(reason)
            } else {
                Err(reason)
            }
        })
        .await;
    scenario
        .and("since it cannot be pulled", async || {
            assert!(
                ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str()),
                "{reason}"
            );
            pods.delete("stranger", &Default::default()).await.expect("delete");
        })
        .await;
}

/// Why the first container of a pod waits; nothing where it does not.
async fn waiting_reason(pods: &Api<Pod>, name: &str) -> String {
    let status = pods.get(name).await.expect("get").status.unwrap_or_default();
    let container = status.container_statuses.unwrap_or_default().into_iter().next();
    container
        .and_then(|container| container.state?.waiting?.reason)
        .unwrap_or_default()
}

/// The same image with another id: the kubelet remembers which image came by a login, whatever its name, and gives it to
/// nobody without that login from then on.
async fn own_image(image: &Image, folder: &Path) -> Image {
    let work = folder.join(image.short_name());
    std::fs::create_dir(&work).expect("make a folder");
    let tar = || run("tar", LIMIT).arg("-C").arg(&work);
    tar()
        .arg("-xf")
        .arg(&image.archive)
        .output()
        .await
        .expect("unpack the image");
    let config = work.join("config.json");
    let mut settings: Value =
        serde_json::from_slice(&std::fs::read(&config).expect("read")).expect("the image's settings");
    settings["config"]["Labels"] = json!({"springtide.dev/test": unique("image")});
    std::fs::write(&config, settings.to_string()).expect("write");
    let archive = folder.join(format!("{}.tar", image.short_name()));
    tar()
        .arg("-cf")
        .arg(&archive)
        .args(["manifest.json", "config.json", "layer.tar"])
        .output()
        .await
        .expect("pack the image");
    std::fs::remove_dir_all(&work).expect("remove the folder");
    Image {
        archive,
        ..image.clone()
    }
}

/// A registry of this test's own, which ends with it.
struct Registry {
    port: u16,
    folder: tempfile::TempDir,
    trust: PathBuf,
    _process: Child,
}

impl Registry {
    async fn start(cluster: &Cluster) -> Self {
        let port = TcpListener::bind((HOST, 0))
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let address = format!("{HOST}:{port}");
        let auths = json!({"auths": {address.as_str(): {"auth": LOGIN}}});
        std::fs::write(path("users"), USERS).expect("write");
        std::fs::write(path("config.json"), auths.to_string()).expect("write");
        let configuration = json!({
            "version": 0.1, "storage": {"filesystem": {"rootdirectory": path("data")}}, "http": {"addr": address},
            "auth": {"htpasswd": {"realm": "springtide", "path": path("users")}},
        });
        std::fs::write(path("registry.yml"), configuration.to_string()).expect("write");
        // The nodes speak TLS to a registry unless they are told about it.
        let trust = cluster.places.cluster_state.join("registries").join(&address);
        std::fs::create_dir_all(&trust).expect("make a folder");
        std::fs::write(trust.join("hosts.toml"), format!("server = \"http://{address}\"\n")).expect("write");
        let tools = images::tools(&cluster.places, &["crane", "registry"], &Progress::default())
            .await
            .expect("the registry is built");
        let process = Command::new(tools.join("registry"))
            .arg("serve")
            .arg(path("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("start the registry");
        let url = format!("http://{address}/v2/");
        wait_until("the registry answers", LIMIT, &Progress::default(), async || {
            Ok(match reqwest::get(&url).await {
                Ok(answer) if answer.status() == 401 => Look::Done(()),
                Ok(answer) => Look::NotYet(answer.status().to_string()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
        .expect("the registry wants a password");
        Self {
            port,
            folder,
            trust,
            _process: process,
        }
    }

    fn name(&self) -> String {
        format!("{HOST}:{}/team", self.port)
    }

    fn login(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.trust);
    }
}
