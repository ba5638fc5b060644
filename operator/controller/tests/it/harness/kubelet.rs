//! Plays the kubelet and the scheduler: pods run and are ready soon after they exist, and are gone soon after they are deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::frontend::Frontend;

/// What the pods of one test's namespaces do.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// By namespace: the frontend that stands behind the frontends' pods.
    pub(crate) frontends: BTreeMap<String, Frontend>,
    /// Pods that never become ready, by a part of their name.
    pub(crate) stuck: BTreeSet<String>,
}

/// Runs until the task is aborted.
pub(crate) async fn play(client: Client, script: Arc<Mutex<Script>>) {
    let mut addresses = BTreeMap::new();
    loop {
        if let Err(error) = turn(&client, &script, &mut addresses).await {
            eprintln!("the kubelet of the test: {error}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn turn(
    client: &Client,
    script: &Mutex<Script>,
    addresses: &mut BTreeMap<String, IpAddr>,
) -> Result<(), kube::Error> {
    let everywhere: Api<Pod> = Api::all(client.clone());
    let pods = everywhere
        .list(&ListParams::default().labels(springtide_plan::names::CLUSTER_LABEL))
        .await?
        .items;
    let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pod in &pods {
        let namespace = pod.namespace().unwrap_or_default();
        let (frontend, is_stuck) = {
            let script = script.lock().unwrap();
            let is_stuck = script.stuck.iter().any(|part| pod.name_any().contains(part));
            (script.frontends.get(&namespace).cloned(), is_stuck)
        };
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        if pod.metadata.deletion_timestamp.is_some() {
            ignoring_absence(
                api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                    .await,
            )?;
            continue;
        }
        if is_stuck {
            continue;
        }
        running.entry(namespace.clone()).or_default().insert(pod.name_any());
        let is_frontend = is_frontend(pod);
        let address = match (&frontend, is_frontend) {
            (Some(frontend), true) => frontend.address,
            _ => *addresses
                .entry(pod.uid().unwrap_or_default())
                .or_insert_with(|| IpAddr::from([10, 244, rand::random(), rand::random()])),
        };
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Running") {
            let status = json!({"status": {
                "phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
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
        catalog.leader = pods
            .iter()
            .find(|pod| pod.contains("-fe-"))
            .cloned()
            .unwrap_or_default();
        catalog.running = pods;
    }
    Ok(())
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
