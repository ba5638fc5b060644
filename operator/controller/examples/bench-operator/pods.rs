//! Stands in for kubelets, scheduler and volumes, by watches alone, so that thousands of pods cost the API server little: a pod runs
//! and is ready as soon as it exists, and is gone as soon as it is deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;

use crate::frontend::Frontend;

/// Pods and claims that are dealt with at once.
const AT_ONCE: usize = 32;

/// The frontend behind each namespace's pods.
pub(crate) type Frontends = Arc<Mutex<BTreeMap<String, Frontend>>>;

/// Names of the pods that run, by namespace.
type Running = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// Runs until it is dropped.
pub(crate) async fn stand_in(client: Client, frontends: Frontends) {
    let config = watcher::Config::default().labels(springtide_plan::names::CLUSTER_LABEL);
    let pods = watcher(Api::<Pod>::all(client.clone()), config.clone()).default_backoff();
    let claims = watcher(Api::<PersistentVolumeClaim>::all(client.clone()), config).default_backoff();
    let running: Running = Arc::default();
    let stage = (client, frontends, running);
    let pods = pods.try_for_each_concurrent(AT_ONCE, |event| {
        let (client, frontends, running) = stage.clone();
        async move {
            match event {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    serve(&client, &frontends, &running, &pod).await;
                }
                watcher::Event::Delete(pod) => {
                    let namespace = pod.namespace().unwrap_or_default();
                    let mut running = running.lock().unwrap();
                    let pods = running.entry(namespace.clone()).or_default();
                    pods.remove(&pod.name_any());
                    tell(&frontends, &namespace, pods);
                }
                watcher::Event::Init | watcher::Event::InitDone => {}
            }
            Ok(())
        }
    });
    let claims = claims.applied_objects().try_for_each_concurrent(AT_ONCE, |claim| {
        let client = stage.0.clone();
        async move {
            bind(&client, &claim).await;
            Ok(())
        }
    });
    let (pods, claims) = tokio::join!(pods, claims);
    panic!("the stand-in for kubelets ended: {pods:?} {claims:?}");
}

async fn serve(client: &Client, frontends: &Frontends, running: &Running, pod: &Pod) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    if pod.metadata.deletion_timestamp.is_some() {
        // It may have gone meanwhile.
        let _gone = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
        return;
    }
    if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running") {
        return;
    }
    let address = {
        let frontends = frontends.lock().unwrap();
        match frontends.get(&namespace) {
            Some(frontend) if name.contains("-fe-") => frontend.address,
            _ => IpAddr::from([10, 244, rand::random(), rand::random()]),
        }
    };
    let ready = ["PodScheduled", "ContainersReady", "Ready"]
        .map(|type_| json!({"type": type_, "status": "True", "lastTransitionTime": "2026-11-22T08:00:00Z"}));
    let status = json!({"status": {
        "phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
        "startTime": "2026-11-22T08:00:00Z", "conditions": ready,
    }});
    let _gone = api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await;
    let mut running = running.lock().unwrap();
    let pods = running.entry(namespace.clone()).or_default();
    pods.insert(name);
    tell(frontends, &namespace, pods);
}

/// A frontend reaches the nodes whose pods run.
fn tell(frontends: &Frontends, namespace: &str, pods: &BTreeSet<String>) {
    let frontends = frontends.lock().unwrap();
    if let Some(frontend) = frontends.get(namespace) {
        let mut catalog = frontend.catalog.lock().unwrap();
        let leader = pods.iter().find(|pod| pod.contains("-fe-")).cloned();
        catalog.leader = leader.unwrap_or_default();
        catalog.running.clone_from(pods);
    }
}

async fn bind(client: &Client, claim: &PersistentVolumeClaim) {
    let requested = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.resources.as_ref()?.requests.clone());
    let status = claim.status.clone().unwrap_or_default();
    if status.phase.as_deref() == Some("Bound") && status.capacity == requested {
        return;
    }
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
    let status = json!({"status": {"phase": "Bound", "capacity": requested, "accessModes": ["ReadWriteOnce"]}});
    let _gone = api
        .patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await;
}
