//! Departments as a platform team sets them up: the charts, the objects in `examples/`, and an analyst's login.

use std::{path::Path, time::Duration};

use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::Deserialize;
use serde_json::json;
use springtide_contract::ports;
use springtide_crds::{Calendar, ComputeGroup, ConditionType, Department, LakeCluster};

use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    images::Delivery,
    places::Places,
    sql::{Door, Session},
    storage::{self, PULL_SECRET, Storage},
    target::{KUBECTL_LIMIT, Target},
    timeline::Progress,
};

/// Namespace and release name of the operator.
pub const OPERATOR_NAMESPACE: &str = "springtide-system";
/// Label of the namespaces that were not there before, and its value: those go with the demo.
pub const MADE_BY_LABEL: &str = "springtide.dev/made-by";
/// See [`MADE_BY_LABEL`].
pub const MADE_BY_DEMO: &str = "demo";
/// `helm upgrade --install --wait`.
const INSTALL_LIMIT: Duration = Duration::from_secs(240);
/// From an applied Department to its namespaces.
const NAMESPACE_LIMIT: Duration = Duration::from_secs(120);
/// From an applied LakeCluster to its first answer, with volumes and a new catalog.
const READY_LIMIT: Duration = Duration::from_secs(300);
/// From a frontend that answers the operator to a session by its Service.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// Installs or upgrades the charts of the CRDs and of the operator.
pub async fn install_operator(target: &Target, places: &Places, progress: &Progress) -> Result<()> {
    let charts = places.checkout.join("charts");
    let client = target.client().await?;
    storage::namespace(&client, OPERATOR_NAMESPACE).await?;
    let restricted =
        Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    Api::<Namespace>::all(client.clone())
        .patch(OPERATOR_NAMESPACE, &PatchParams::default(), &restricted)
        .await
        .map_err(Error::kubernetes("restrict the operator's pods"))?;
    progress.say("helm upgrade --install springtide-crds");
    let release = |name: &str, wait: bool| {
        let run = target
            .helm(INSTALL_LIMIT)
            .args(["upgrade", "--install", name, "--namespace", OPERATOR_NAMESPACE])
            .args(["--timeout", &format!("{}s", INSTALL_LIMIT.as_secs())])
            .arg(charts.join(name));
        if wait { run.arg("--wait") } else { run }
    };
    release("springtide-crds", false).output().await?;
    progress.say("helm upgrade --install springtide");
    let mut operator = release("springtide", true);
    // The digest makes a new pod when the image of the same version was built anew.
    if let Ok(digest) = std::fs::read_to_string(places.images().join("operator.tar.digest")) {
        operator = operator.args([
            "--set-string",
            &format!("podAnnotations.springtide\\.dev/build={}", digest.trim()),
        ]);
    }
    if let Delivery::Registry { registry, login } = &target.delivery {
        operator = operator.args(["--set", &format!("imageRegistry={}", registry.trim_end_matches('/'))]);
        if login.is_some() {
            operator = operator.args(["--set", &format!("imagePullSecrets[0].name={PULL_SECRET}")]);
        }
    }
    operator.output().await?;
    let version = client
        .apiserver_version()
        .await
        .map_err(Error::kubernetes("ask for its version"))?;
    progress.say(format!(
        "{OPERATOR_NAMESPACE}/springtide on Kubernetes {}",
        version.git_version
    ));
    Ok(())
}

/// Writes the registry's login as a pull secret into a namespace, where images come from a registry that wants one.
pub async fn pull_secret(target: &Target, client: &Client, namespace: &str) -> Result<()> {
    let Delivery::Registry { login: Some(login), .. } = &target.delivery else {
        return Ok(());
    };
    let config = std::fs::read(login).map_err(Error::io(format!("read {}", login.display())))?;
    let data = [(".dockerconfigjson".to_owned(), ByteString(config))].into();
    storage::write_secret(client, namespace, PULL_SECRET, "kubernetes.io/dockerconfigjson", data).await
}

/// What the objects in a folder are, by kind.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Departments.
    pub departments: Vec<Department>,
    /// Their clusters.
    pub lakes: Vec<LakeCluster>,
    /// The pools of compute nodes.
    pub groups: Vec<ComputeGroup>,
    /// Days on which their windows differ.
    pub calendars: Vec<Calendar>,
}

impl Examples {
    /// Reads the folder by `kubectl`, which fills in what the API server needs not be asked for.
    pub async fn read(target: &Target, places: &Places) -> Result<Self> {
        let printed = target
            .kubectl(KUBECTL_LIMIT)
            .args([
                "create",
                "--dry-run=client",
                "--validate=false",
                "--recursive",
                "--output",
                "json",
                "--filename",
            ])
            .arg(places.checkout.join("examples"))
            .output()
            .await?;
        let mut examples = Self::default();
        // One object, a list, or several documents one after the other, as kubectl sees fit.
        for document in serde_json::Deserializer::from_str(&printed).into_iter::<serde_json::Value>() {
            let document = document.map_err(|error| Error::Missing(format!("kubectl's JSON of examples/: {error}")))?;
            match document["items"].as_array() {
                Some(items) => items.iter().try_for_each(|item| examples.add(item))?,
                None => examples.add(&document)?,
            }
        }
        if examples.lakes.is_empty() || examples.groups.is_empty() {
            return Err(Error::Missing(
                "examples/ holds no LakeCluster, or no ComputeGroup".into(),
            ));
        }
        Ok(examples)
    }

    fn add(&mut self, item: &serde_json::Value) -> Result<()> {
        match item["kind"].as_str() {
            Some("Department") => self.departments.push(object(item)?),
            Some("LakeCluster") => self.lakes.push(object(item)?),
            Some("ComputeGroup") => self.groups.push(object(item)?),
            Some("Calendar") => self.calendars.push(object(item)?),
            _ => {}
        }
        Ok(())
    }

    /// The namespaces of the departments.
    pub fn namespaces(&self) -> Vec<String> {
        self.departments
            .iter()
            .flat_map(|department| &department.spec.namespaces)
            .map(|namespace| namespace.name.clone())
            .collect()
    }

    /// The groups of a cluster.
    pub fn groups_of<'a>(&'a self, lake: &'a LakeCluster) -> impl Iterator<Item = &'a ComputeGroup> {
        self.groups
            .iter()
            .filter(|group| group.namespace() == lake.namespace() && group.spec.cluster == lake.name_any())
    }
}

fn object<T: for<'a> Deserialize<'a>>(item: &serde_json::Value) -> Result<T> {
    serde_json::from_value(item.clone()).map_err(|error| {
        Error::Missing(format!(
            "examples/: {} {}: {error}",
            item["kind"], item["metadata"]["name"]
        ))
    })
}

/// `kubectl apply -f examples/`: the departments first; then, in their namespaces, what the platform team provides; then the
/// clusters, which find it there. Fields that somebody changed since, for example by `kubectl scale`, are as in the files again.
pub async fn apply(
    target: &Target,
    places: &Places,
    examples: &Examples,
    storage: &Storage,
    progress: &Progress,
) -> Result<()> {
    let client = target.client().await?;
    let folder = places.checkout.join("examples");
    let kubectl_apply = |what: &Path| {
        target
            .kubectl(KUBECTL_LIMIT)
            .args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--recursive",
                "--filename",
            ])
            .arg(what)
    };
    let mut new = Vec::new();
    for namespace in examples.namespaces() {
        if cluster::get(&Api::<Namespace>::all(client.clone()), &namespace)
            .await?
            .is_none()
        {
            new.push(namespace);
        }
    }
    kubectl_apply(&folder.join("departments.yaml")).with(progress).await?;
    let mut namespaces = examples.namespaces();
    wait_until(
        "the departments have their namespaces",
        NAMESPACE_LIMIT,
        progress,
        async || {
            provide(target, &client, storage, examples, &mut namespaces).await?;
            Ok(if namespaces.is_empty() {
                Look::Done(())
            } else {
                Look::NotYet(format!("namespaces {} are not there yet", namespaces.join(", ")))
            })
        },
    )
    .await?;
    for namespace in new {
        let made = Patch::Merge(json!({"metadata": {"labels": {MADE_BY_LABEL: MADE_BY_DEMO}}}));
        Api::<Namespace>::all(client.clone())
            .patch(&namespace, &PatchParams::default(), &made)
            .await
            .map_err(Error::kubernetes("label a namespace"))?;
    }
    kubectl_apply(&folder).with(progress).await?;
    progress.say(format!(
        "{} departments, {} clusters, {} compute groups",
        examples.departments.len(),
        examples.lakes.len(),
        examples.groups.len()
    ));
    Ok(())
}

/// What the platform team puts into a department's namespace as soon as it is there: the keys of its bucket, and the login of
/// the registry. Takes the namespaces that it served off the list.
async fn provide(
    target: &Target,
    client: &Client,
    storage: &Storage,
    examples: &Examples,
    namespaces: &mut Vec<String>,
) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut served = Vec::new();
    for namespace in namespaces.iter() {
        if cluster::get(&api, namespace).await?.is_none() {
            continue;
        }
        pull_secret(target, client, namespace).await?;
        for lake in examples
            .lakes
            .iter()
            .filter(|lake| lake.namespace().as_ref() == Some(namespace))
        {
            let keys = storage.account(namespace).await?;
            storage.bucket(&lake.spec.storage.bucket, &keys).await?;
            if let Some(secret) = &lake.spec.storage.credentials.secret_ref {
                storage::write_secret(client, namespace, &secret.name, "Opaque", keys.data()).await?;
            }
        }
        served.push(namespace.clone());
    }
    namespaces.retain(|namespace| !served.contains(namespace));
    Ok(())
}

/// Waits until a cluster answers queries and all compute that its groups want serves.
pub async fn wait_ready(
    client: &Client,
    lake: &LakeCluster,
    groups: &[&ComputeGroup],
    progress: &Progress,
) -> Result<LakeCluster> {
    let (namespace, name) = (lake.namespace().unwrap_or_default(), lake.name_any());
    let api: Api<LakeCluster> = Api::namespaced(client.clone(), &namespace);
    let lake = wait_until(
        &format!("LakeCluster {namespace}/{name} is ready"),
        READY_LIMIT,
        progress,
        async || {
            let Some(lake) = cluster::get(&api, &name).await? else {
                return Ok(Look::NotYet("it does not exist".into()));
            };
            let status = lake.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice());
            let wanted = [ConditionType::Accepted, ConditionType::Available, ConditionType::Ready];
            Ok(match lacking(conditions.unwrap_or_default(), &wanted) {
                Some(seen) => Look::NotYet(seen),
                None => Look::Done(lake),
            })
        },
    )
    .await?;
    let mut nodes = 0;
    for group in groups {
        nodes += wait_serving(client, group, progress).await?;
    }
    progress.say(format!(
        "{nodes} compute node{}",
        if nodes == 1 { " serves" } else { "s serve" }
    ));
    Ok(lake)
}

/// Waits until as many nodes of a group serve as it wants now, and says how many.
async fn wait_serving(client: &Client, group: &ComputeGroup, progress: &Progress) -> Result<i32> {
    let (namespace, name) = (group.namespace().unwrap_or_default(), group.name_any());
    let api: Api<ComputeGroup> = Api::namespaced(client.clone(), &namespace);
    wait_until(
        &format!("ComputeGroup {namespace}/{name} serves"),
        READY_LIMIT,
        progress,
        async || {
            let Some(group) = cluster::get(&api, &name).await? else {
                return Ok(Look::NotYet("it does not exist".into()));
            };
            let status = group.status.unwrap_or_default();
            if let Some(seen) = lacking(&status.conditions, &[ConditionType::Accepted]) {
                return Ok(Look::NotYet(seen));
            }
            Ok(match status.wanted_replicas {
                Some(wanted) if status.serving_replicas >= wanted => Look::Done(status.serving_replicas),
                _ => Look::NotYet(
                    lacking(&status.conditions, &[ConditionType::Ready])
                        .unwrap_or_else(|| format!("{} nodes serve", status.serving_replicas)),
                ),
            })
        },
    )
    .await
}

/// The first of the conditions `wanted` that is not true, as a person reads it.
fn lacking(conditions: &[Condition], wanted: &[ConditionType]) -> Option<String> {
    wanted.iter().find_map(
        |kind| match conditions.iter().find(|condition| condition.type_ == kind.as_str()) {
            Some(condition) if condition.status == "True" => None,
            Some(condition) => Some(said(condition)),
            None => Some(format!("the operator has not said {} yet", kind.as_str())),
        },
    )
}

fn said(condition: &Condition) -> String {
    format!(
        "{}={} {}: {}",
        condition.type_, condition.status, condition.reason, condition.message
    )
}

/// An analyst's session, as the department's SQL administrator, with how it was reached.
#[derive(Debug)]
pub struct Login {
    /// The open session.
    pub session: Session,
    /// The way to it, open as long as this is.
    pub door: Door,
    /// Whose session it is.
    pub account: Account,
}

/// A department's SQL administrator, and where its cluster listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The Service of the frontends.
    pub service: String,
    /// User name.
    pub user: String,
    /// The Secret with the password.
    pub secret: String,
}

/// The password of a department's SQL administrator.
pub async fn password(client: &Client, lake: &LakeCluster, account: &Account) -> Result<String> {
    let namespace = lake.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret = cluster::get(&secrets, &account.secret).await?;
    let password = secret.and_then(|secret| secret.data?.remove("password"));
    password
        .and_then(|value| String::from_utf8(value.0).ok())
        .ok_or_else(|| Error::Missing(format!("Secret {namespace}/{} has no key password", account.secret)))
}

/// Logs in to a cluster by what its status says.
pub async fn log_in(target: &Target, client: &Client, lake: &LakeCluster) -> Result<Login> {
    let (namespace, name) = (lake.namespace().unwrap_or_default(), lake.name_any());
    let missing = |what: &str| {
        Error::Missing(format!(
            "LakeCluster {namespace}/{name} has no status.{what}; is its operator running?"
        ))
    };
    let status = lake.status.as_ref().ok_or_else(|| missing("conditions"))?;
    let endpoint = status.endpoint.as_deref().ok_or_else(|| missing("endpoint"))?;
    let secret_name = status.admin_secret.clone().ok_or_else(|| missing("adminSecret"))?;
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let service = host.split('.').next().unwrap_or(host);
    let port = port.parse().unwrap_or(ports::FE_MYSQL);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let data = cluster::get(&secrets, &secret_name)
        .await?
        .and_then(|secret| secret.data)
        .unwrap_or_default();
    let text = |key: &str| {
        data.get(key)
            .and_then(|value| String::from_utf8(value.0.clone()).ok())
            .ok_or_else(|| Error::Missing(format!("Secret {namespace}/{secret_name} has no key {key}")))
    };
    let (user, password) = (text("username")?, text("password")?);
    // A frontend answers the operator a moment before its Service leads to it. A port is forwarded to a pod, and
    // cannot be while that pod is replaced.
    let (door, session) = wait_until(
        &format!("LakeCluster {namespace}/{name} lets {user} in"),
        LOGIN_LIMIT,
        &Progress::default(),
        async || {
            let door = match Door::open(target, client, &namespace, service, port).await {
                Ok(door) => door,
                Err(Error::Missing(why)) => return Ok(Look::NotYet(why)),
                Err(error) => return Err(error),
            };
            match Session::open(&door, &user, &password).await {
                Ok(session) => Ok(Look::Done((door, session))),
                Err(Error::Sql { source, .. }) if matches!(*source, mysql_async::Error::Io(_)) => {
                    Ok(Look::NotYet(source.to_string()))
                }
                Err(error) => Err(error),
            }
        },
    )
    .await?;
    Ok(Login {
        session,
        door,
        account: Account {
            service: service.to_owned(),
            user,
            secret: secret_name,
        },
    })
}
