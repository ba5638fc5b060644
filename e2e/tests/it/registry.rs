//! Images by a private registry: what `REGISTRY=` and `REGISTRY_LOGIN=` do, against a real registry that wants a password.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;
use springtide_e2e::{
    cluster::{Look, wait_until},
    departments,
    images::{self, Delivery, Image},
    process::run,
    timeline::Progress,
};
use tokio::process::{Child, Command};

use crate::harness::{Cluster, cluster, unique, with_temp_namespace};

/// The nodes' side of this machine, which the registry listens on.
const HOST: &str = "10.98.0.1";
/// `tests:not-a-secret`, for the registry's file of users; bcrypt at its lowest cost.
const USERS: &str = "tests:$2a$04$9ySSrtbCLqdJ1/Rb8rJpSemEthENQN8IYYAU8sIVExQvrSsga.MRG\n";
/// The same login as a Docker configuration has it.
const LOGIN: &str = "dGVzdHM6bm90LWEtc2VjcmV0";
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn images_pushed_to_a_private_registry_run_with_its_pull_secret_and_not_without() {
    let mut cluster = cluster().await;
    let registry = Registry::start(&cluster).await;
    let image = own_image(&cluster, registry.folder.path()).await;
    let name = image.in_registry(&registry.name());
    let delivery = Delivery::Registry {
        registry: registry.name(),
        login: Some(registry.login()),
    };
    let tools = images::tools(&cluster.places, &["crane", "registry"], &Progress::default())
        .await
        .expect("crane is built");
    images::deliver(&cluster.places, &delivery, &[image], &tools, &Progress::default())
        .await
        .expect("crane pushes");

    cluster.target.delivery = delivery;
    with_temp_namespace(&cluster, "registry", async |namespace| {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        pods.create(&PostParams::default(), &pod("stranger", &name, false))
            .await
            .expect("create");
        let reason = waiting_reason(&pods, "stranger").await;
        assert!(
            ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str()),
            "{reason}"
        );

        departments::pull_secret(&cluster.target, &cluster.client, namespace)
            .await
            .expect("a pull secret");
        pods.create(&PostParams::default(), &pod("member", &name, true))
            .await
            .expect("create");
        wait_until(
            "the pod with the secret runs",
            LIMIT,
            &Progress::default(),
            async || {
                let phase = pods
                    .get("member")
                    .await
                    .expect("get")
                    .status
                    .and_then(|status| status.phase)
                    .unwrap_or_default();
                Ok(if phase == "Running" {
                    Look::Done(())
                } else {
                    Look::NotYet(phase)
                })
            },
        )
        .await
        .expect("it runs");
    })
    .await;
}

fn pod(name: &str, image: &str, with_secret: bool) -> Pod {
    let secrets = if with_secret {
        json!([{"name": springtide_e2e::storage::PULL_SECRET}])
    } else {
        json!([])
    };
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "imagePullSecrets": secrets,
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "Always"}],
        },
    }))
    .expect("a pod")
}

async fn waiting_reason(pods: &Api<Pod>, name: &str) -> String {
    wait_until("the image is refused", LIMIT, &Progress::default(), async || {
        let status = pods.get(name).await.expect("get").status.unwrap_or_default();
        let state = status
            .container_statuses
            .unwrap_or_default()
            .into_iter()
            .next()
            .and_then(|container| container.state);
        let reason = state
            .and_then(|state| state.waiting)
            .and_then(|waiting| waiting.reason)
            .unwrap_or_default();
        Ok(if reason.contains("Image") {
            Look::Done(reason)
        } else {
            Look::NotYet(reason)
        })
    })
    .await
    .expect("the kubelet says why")
}

/// An image that no other pod has: the kubelet remembers which image came by a login, whatever its name, and gives it to
/// nobody without that login from then on.
async fn own_image(cluster: &Cluster, folder: &Path) -> Image {
    let name = format!("springtide.dev/{}:1", unique("image"));
    let (root, archive) = (folder.join("root"), folder.join("image.tar"));
    std::fs::create_dir(&root).expect("make a folder");
    std::fs::copy(cluster.places.cluster_programs().join("pause"), root.join("pause")).expect("copy a program");
    let settings = json!({"Entrypoint": ["/pause"], "Env": [format!("NAME={name}")]});
    run(cluster.places.e2e("images/pack"), LIMIT)
        .arg(&name)
        .arg(&root)
        .arg(&archive)
        .arg(settings.to_string())
        .output()
        .await
        .expect("pack an image");
    Image {
        archive,
        name,
        size: String::new(),
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
