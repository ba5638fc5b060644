//! Plays the kubelet, the scheduler and the provisioner of volumes: pods run and are ready soon after they exist, and are gone
//! soon after they are deleted; claims are bound, grow when they ask for more, and are gone once nobody uses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    certificates,
    frontend::{Catalog, Frontend},
};

/// What the pods of one test's namespaces do.
#[derive(Default)]
pub(crate) struct Script {
    /// By namespace: the frontend that stands behind the frontends' pods.
    pub(crate) frontends: BTreeMap<String, Frontend>,
    /// Pods that never become ready, by a part of their name.
    pub(crate) stuck: BTreeSet<String>,
    /// The states of the containers of a pod that cannot run; `None` for one that can.
    pub(crate) breaks: Option<Breaks>,
    /// Claims that no volume is found for, by a part of their name.
    pub(crate) unbound: BTreeSet<String>,
}

/// Whether a pod cannot run, and what its containers' statuses are then.
pub(crate) type Breaks = Box<dyn Fn(&Pod) -> Option<Value> + Send>;

/// Runs until the task is aborted, in one namespace or everywhere.
pub(crate) async fn play(client: Client, place: Option<String>, script: Arc<Mutex<Script>>) {
    let (pods, volume_claims) = match &place {
        Some(namespace) => (
            Api::namespaced(client.clone(), namespace),
            Api::namespaced(client.clone(), namespace),
        ),
        None => (Api::all(client.clone()), Api::all(client.clone())),
    };
    let mut addresses = BTreeMap::new();
    loop {
        let turned = async {
            claims(&client, &volume_claims, &script).await?;
            turn(&client, &pods, &script, &mut addresses).await
        };
        if let Err(error) = turned.await {
            eprintln!("the kubelet of the test: {error}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn turn(
    client: &Client,
    pods: &Api<Pod>,
    script: &Mutex<Script>,
    addresses: &mut BTreeMap<String, IpAddr>,
) -> Result<(), kube::Error> {
    let pods = pods
        .list(&ListParams::default().labels(springtide_plan::names::CLUSTER_LABEL))
        .await?
        .items;
    let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pod in &pods {
        let namespace = pod.namespace().unwrap_or_default();
        let (frontend, is_stuck, broken) = {
            let script = script.lock().unwrap();
            let is_stuck = script.stuck.iter().any(|part| pod.name_any().contains(part));
            let broken = script.breaks.as_ref().and_then(|breaks| breaks(pod));
            (script.frontends.get(&namespace).cloned(), is_stuck, broken)
        };
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        if pod.metadata.deletion_timestamp.is_some() {
            ignoring_absence(
                api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                    .await,
            )?;
            continue;
        }
        if let Some(statuses) = broken {
            let status = json!({"status": {"phase": "Pending", "containerStatuses": statuses, "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-22T08:00:00Z"},
            ]}});
            if serde_json::to_value(pod).unwrap()["status"]["containerStatuses"][0]["state"] != statuses[0]["state"] {
                ignoring_absence(
                    api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status))
                        .await,
                )?;
            }
            continue;
        }
        if is_stuck {
            continue;
        }
        running.entry(namespace.clone()).or_default().insert(pod.name_any());
        let is_frontend = is_frontend(pod);
        if let (Some(frontend), true, Some(secret)) = (&frontend, is_frontend, tls_secret(pod))
            && let Some(certificate) = certificates::mounted(client, &namespace, secret).await
        {
            frontend.show(certificate);
        }
        let address = match (&frontend, is_frontend) {
            (Some(frontend), true) => frontend.address,
            _ => *addresses
                .entry(pod.uid().unwrap_or_default())
                .or_insert_with(|| IpAddr::from([10, 244, rand::random(), rand::random()])),
        };
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Running") {
            let status = json!({"status": {
                "phase": "Running", "containerStatuses": null, "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
                "startTime": "2026-11-22T08:00:00Z",
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-22T08:00:00Z"},
                    {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-11-22T08:00:00Z"},
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-22T08:00:00Z"},
                ],
            }});
            ignoring_absence(
                api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status))
                    .await,
            )?;
        }
    }
    let script = script.lock().unwrap();
    for (namespace, frontend) in &script.frontends {
        let pods = running.remove(namespace).unwrap_or_default();
        let mut catalog = frontend.catalog.lock().unwrap();
        let Catalog { leader, starrocks, .. } = &mut *catalog;
        match starrocks {
            Some(starrocks) => starrocks.elect(namespace, &pods, leader),
            None => {
                let first = pods.iter().find(|pod| pod.contains("-fe-"));
                *leader = first.cloned().unwrap_or_default();
            }
        }
        catalog.running = pods;
    }
    Ok(())
}

/// Binds what is not bound, grows what asks for more, and lets go what is deleted once its pod is gone.
async fn claims(
    client: &Client,
    claims: &Api<PersistentVolumeClaim>,
    script: &Mutex<Script>,
) -> Result<(), kube::Error> {
    let selector = ListParams::default().labels(springtide_plan::names::CLUSTER_LABEL);
    for claim in claims.list(&selector).await?.items {
        let name = claim.name_any();
        if script.lock().unwrap().unbound.iter().any(|part| name.contains(part)) {
            continue;
        }
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
        if claim.metadata.deletion_timestamp.is_some() {
            // A claim of a StatefulSet has the name of its template before that of its pod.
            let pods: Api<Pod> = Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
            let pod = name.split_once('-').map_or("", |(_, pod)| pod);
            if pods.get_opt(pod).await?.is_none() {
                let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                ignoring_absence(api.patch(&name, &PatchParams::default(), &released).await)?;
            }
            continue;
        }
        let requested = claim.spec.and_then(|spec| spec.resources?.requests);
        let status = claim.status.unwrap_or_default();
        if status.phase.as_deref() == Some("Bound") && status.capacity == requested {
            continue;
        }
        let status = json!({"status": {"phase": "Bound", "capacity": requested, "accessModes": ["ReadWriteOnce"]}});
        ignoring_absence(
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                .await,
        )?;
    }
    Ok(())
}

/// The Secret with the certificate that a frontend's pod mounts.
fn tls_secret(pod: &Pod) -> Option<&str> {
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes
        .iter()
        .find(|volume| volume.name == springtide_plan::names::TLS_VOLUME)?;
    volume.secret.as_ref()?.secret_name.as_deref()
}

fn is_frontend(pod: &Pod) -> bool {
    pod.name_any().contains("-fe-")
}

fn ignoring_absence<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}
